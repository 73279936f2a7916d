"""What the checks cost: counted by a formula, equal for small and large batches, and measured."""

import dis
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from virtlab.show.attack_cost import (
    Tracer,
    bare_pop,
    batch_comparisons,
    chain_comparisons,
    comparisons,
    measured,
    one_chain,
)
from virtlab.show.attack_hand import RINGS
from virtlab.virtio.chain import overlap


@pytest.mark.parametrize("buffers", range(1, 9))
def test_a_chain_takes_nine_comparisons_and_ten_a_buffer(buffers):
    assert chain_comparisons(buffers).total() == 9 + 10 * buffers


def test_they_are_where_the_rules_are():
    found = chain_comparisons(3)
    assert found["check_buffers"] == 3 * 3
    assert found["offset"] == 3 * (2 + 2 * 3)
    assert {name for name, times in found.items() if times == 0} == set()


def test_only_comparisons_of_the_library_count():
    assert comparisons(lambda: [a < 5 for a in range(9)]) == {}
    assert comparisons(lambda: overlap((0, 4), (2, 2))) == {"overlap": 2}
    assert comparisons(lambda: overlap((9, 4), (2, 2))) == {"overlap": 1}


def test_the_tracer_looks_into_the_library_only_and_counts_comparisons():
    """What the interpreter calls, called by hand."""
    assert Tracer().called(sys._getframe(), "call", None) is None
    tracer, (compares, other) = Tracer(), offsets_of(overlap)
    frame = SimpleNamespace(f_globals={"__name__": "virtlab.memory"}, f_code=overlap.__code__)
    assert tracer.called(frame, "call", None) == tracer.inside
    assert (frame.f_trace_opcodes, frame.f_trace_lines) == (True, False)
    for event, offset in (("opcode", compares), ("opcode", other), ("return", compares)):
        frame.f_lasti = offset
        assert tracer.inside(frame, event, None) == tracer.inside
    assert tracer.found == {"overlap": 1}


def offsets_of(function):
    """Where a comparison stands in the code of `function`, and where something else does."""
    codes = [(step.opname == "COMPARE_OP", step.offset) for step in dis.get_instructions(function)]
    return dict(codes)[True], dict(codes)[False]


def test_whoever_traced_before_goes_on_tracing():
    before = sys.gettrace()
    with pytest.raises(ZeroDivisionError):
        comparisons(lambda: 1 // 0)
    assert sys.gettrace() is before


def test_a_batch_takes_no_more_than_one_chain_however_many_there_are():
    assert batch_comparisons(64) == batch_comparisons(1024)
    assert batch_comparisons(64) < chain_comparisons(1).total()


@pytest.mark.parametrize("buffers", [1, 3, 8])
def test_without_checks_an_honest_ring_gives_the_same_chain(buffers):
    ram, queue = one_chain(buffers)
    assert bare_pop(ram, RINGS, 0) == queue.pop()
    assert bare_pop(ram, RINGS, 1) is None


def test_measured_is_the_quickest_of_both():
    ticks = count(0, 7)
    assert measured(2, runs=3, clock=lambda: next(ticks)) == (7, 7)
