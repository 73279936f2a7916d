"""Interrupts and faults find their handler, or become the fault that the SDM says."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.hosts.gates import GATE, deliver
from virtlab.vmm.exits import DOUBLE_FAULT, GENERAL_PROTECTION, NO_SEGMENT

BASE = 0x4000
FLAGS = 0x4346  # NT, IF, TF, ZF, PF
GOOD = 0x8E << 40
TRAP = 0x8F << 40
ABSENT = 0x0E << 40


def gate(vector, word=GOOD):
    """A gate whose handler says its vector: at 0x12340000 + vector, in segment 8."""
    return word | 0x1234 << 48 | 8 << 16 | vector


@dataclass
class Core:
    """A processor with a table of gates, `vector -> word`, and a stack that is a list."""

    table: dict[int, int] = field(default_factory=dict)
    limit: int = 0x7FF
    eip: int = 0x1003
    cs: int = 0x18
    eflags: int = FLAGS
    stack: list[int] = field(default_factory=list)

    @property
    def gates(self):
        return BASE, self.limit

    def load(self, gpa, size):
        assert size == GATE
        assert (gpa - BASE) % GATE == 0
        return self.table.get((gpa - BASE) // GATE, 0)

    def push(self, value):
        self.stack.append(value)


def core_with(*vectors, **options):
    return Core({vector: gate(vector) for vector in vectors}, **options)


def test_a_gate_pushes_three_words_closes_interrupts_and_jumps():
    core = core_with(0x21)
    assert deliver(core, 0x21, external=True)
    assert core.stack == [FLAGS, 0x18, 0x1003]
    assert (core.eip, core.cs, core.eflags) == (0x12340021, 8, 0x46)


def test_an_error_code_comes_last():
    core = core_with(13)
    assert deliver(core, 13, 0x50)
    assert core.stack == [FLAGS, 0x18, 0x1003, 0x50]


@pytest.mark.parametrize("limit", [0, 6 * 8 + 6])
def test_a_gate_must_lie_inside_the_limit_to_its_last_byte(limit):
    core = core_with(6, limit=limit)
    assert not deliver(core, 6)
    assert core.stack == []


def test_the_last_byte_may_be_the_limit():
    assert deliver(core_with(6, limit=6 * 8 + 7), 6)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [(gate(6, TRAP), GENERAL_PROTECTION), (0, GENERAL_PROTECTION), (gate(6, ABSENT), NO_SEGMENT)],
)
def test_a_wrong_gate_is_a_fault_with_the_vector_as_its_error_code(wrong, fault):
    core = core_with(11, 13)
    core.table[6] = wrong
    assert deliver(core, 6)
    assert core.eip == 0x12340000 + fault
    assert core.stack[-1] == 6 * 8 | 2


def test_a_wrong_gate_of_an_interrupt_says_that_it_came_from_outside():
    core = core_with(13)
    assert deliver(core, 0x30, external=True)
    assert core.stack[-1] == 0x30 * 8 | 3


@pytest.mark.parametrize("first", [0, 10, 11, 12, 13, 14])
def test_a_fault_in_a_contributory_one_is_a_double_fault(first):
    core = core_with(*{8, 11, 13} - {first})
    assert deliver(core, first)
    assert core.eip == 0x12340000 + DOUBLE_FAULT
    assert core.stack[-1] == 0


@pytest.mark.parametrize("first", [1, 3, 6, 7, 0x80])
def test_a_fault_in_another_one_is_served_by_itself(first):
    core = core_with(8, 13)
    assert deliver(core, first)
    assert core.eip == 0x12340000 + GENERAL_PROTECTION


def test_two_faults_in_a_row_after_a_benign_one_are_a_double_fault():
    core = core_with(8)
    assert deliver(core, 6)
    assert core.eip == 0x12340000 + DOUBLE_FAULT


def test_a_double_fault_without_a_gate_is_the_end():
    assert not deliver(core_with(13), 8, 0)
    assert not deliver(Core(), 0)


def test_an_interrupt_with_the_vector_of_a_fault_is_an_interrupt():
    """A PC's firmware lets the 8259A give IRQ 0 and 2 as vectors 8 and 10."""
    for vector in (8, 10):
        core = core_with(*{8, 13} - {vector})
        assert deliver(core, vector, external=True)
        assert core.eip == 0x12340000 + GENERAL_PROTECTION


words = st.one_of(
    st.integers(0, (1 << 64) - 1), st.sampled_from([gate(1), gate(1, TRAP), gate(1, ABSENT), 0])
)


@given(
    st.dictionaries(st.integers(0, 255), words, max_size=12),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.booleans(),
)
def test_any_table_ends_in_a_handler_or_in_a_triple_fault(table, limit, vector, external):
    core = Core(table, limit)
    if deliver(core, vector, external=external):
        assert core.stack[:3] == [FLAGS, 0x18, 0x1003]
        assert core.eflags & 1 << 9 == 0
    else:
        assert (core.stack, core.eip, core.eflags) == ([], 0x1003, FLAGS)
