"""A chain: what is read and written through it, and the rules about its buffers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.errors import DmaFault, GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio import chain as module
from virtlab.virtio.chain import Buffer, Chain, Clauses, check_buffers, check_memory, overlap

CLAUSES = Clauses("element", "order", "total", "address", "ring")


def chain_of(*buffers):
    return Chain(0, tuple(Buffer(*buffer) for buffer in buffers), len(buffers))


@pytest.fixture
def ram():
    return GuestMemory(0x4000)


THREE = chain_of((0x100, 4, False), (0x200, 2, False), (0x300, 3, True), (0x400, 5, True))


def test_how_much_there_is():
    assert (THREE.readable, THREE.writable) == (6, 8)


def test_read_gathers(ram):
    ram.write(0x100, b"abcd")
    ram.write(0x200, b"ef")
    assert THREE.read(ram) == b"abcdef"
    assert THREE.read(ram, 3) == b"def"
    assert THREE.read(ram, 1, 2) == b"bc"
    assert THREE.read(ram, 4, 100) == b"ef"
    assert THREE.read(ram, 6) == b""
    assert THREE.read(ram, 99, 1) == b""


def test_write_scatters(ram):
    assert THREE.write(ram, b"abcdefghij") == 8
    assert (ram.read(0x300, 4), ram.read(0x400, 6)) == (b"abc\0", b"defgh\0")
    assert THREE.write(ram, b"XY", offset=2) == 2
    assert (ram.read(0x300, 3), ram.read(0x400, 5)) == (b"abX", b"Yefgh")
    assert THREE.write(ram, b"Z", offset=8) == 0


def test_pieces_beyond_what_there_is_are_none():
    assert list(THREE.pieces(False, 5)) == [(0x201, 1)]
    assert list(THREE.pieces(True, 0, 0)) == []
    for wrong in ((-1, 1), (0, -1)):
        with pytest.raises(ValueError, match="0 or more"):
            list(THREE.pieces(False, *wrong))


def test_one_read_moves_so_much_and_no_more(ram, monkeypatch):
    """A chain may name the same page a million times; the host does not allocate for it."""
    monkeypatch.setattr(module, "MAX_MOVE", 100)
    long = chain_of(*[(0, 64, False)] * 4)
    assert len(long.read(ram, 0, 300)) == 100


def test_a_fault_is_the_guests_mistake(ram):
    away = chain_of((0x100, 4, False), (0x4000, 4, False), (0x3FFF, 2, True))
    for move in (lambda: away.read(ram), lambda: away.write(ram, b"ab")):
        with pytest.raises(GuestError, match=r"no memory there") as caught:
            move()
        assert caught.value.spec == "virtio 1.3 2.7.5, 2.8.4"
        assert isinstance(caught.value.__cause__, DmaFault)
    assert away.read(ram, 0, 4) == bytes(4)


# -- the rules, and which comes first

RING = (0x1000, 0x100)
EMPTY = (0x100, 0, False)
PAST = (2**64 - 1, 2, False)
READ, WRITE = (0x100, 1, False), (0x100, 1, True)
OVER = (0xFFF, 2, True)
HALF = (0x100, 2**31, False)


@pytest.mark.parametrize(
    ("buffers", "clause"),
    [
        ([READ, EMPTY], "element"),
        ([(2**64, 0, True)], "element"),
        ([WRITE, EMPTY], "element"),
        ([PAST], "address"),
        ([WRITE, PAST], "address"),
        ([(2**64 - 1, 2, True)], "address"),
        ([READ, WRITE, READ], "order"),
        ([WRITE, READ, EMPTY], "order"),
        ([WRITE, (0x100, 2**32, False)], "order"),
        ([OVER], "ring"),
        ([(0x10FF, 1, True)], "ring"),
        ([(0, 2**32, False), OVER], "ring"),
        ([OVER, READ], "ring"),
        ([HALF, HALF, READ], "total"),
        ([HALF, HALF, WRITE, READ], "total"),
    ],
)
def test_the_first_rule_that_is_broken(buffers, clause):
    with pytest.raises(GuestError) as caught:
        check_buffers([Buffer(*buffer) for buffer in buffers], [(0, 1), RING], CLAUSES)
    assert caught.value.spec == clause


@pytest.mark.parametrize(
    "buffers",
    [
        [READ],
        [WRITE],
        [READ, READ, WRITE, WRITE],
        [(2**64 - 1, 1, False)],
        [(0x1000, 0x100, False)],
        [(0xFFF, 1, True), (0x1100, 1, True)],
        [HALF, HALF],
    ],
)
def test_what_keeps_all_rules(buffers):
    check_buffers([Buffer(*buffer) for buffer in buffers], [(0, 1), RING], CLAUSES)


span = st.tuples(st.integers(0, 12), st.integers(1, 6))


@given(one=span, other=span)
def test_overlap(one, other):
    shared = set(range(one[0], sum(one))) & set(range(other[0], sum(other)))
    assert overlap(one, other) == bool(shared)


class Scattered:
    """Pages that lie apart: a view spans one page only, and only some exist.

    Those of `fixed` may not be written, those of `hidden` not read.
    """

    def __init__(self, pages, fixed=(), hidden=(), code=0):
        self.pages, self.fixed, self.hidden, self.code = pages, fixed, hidden, code
        self.views = 0
        self.refused = []

    def view(self, iova, length, write=False):
        self.views += 1
        first, last = iova // 4096, (iova + length - 1) // 4096
        if first != last or first not in self.pages:
            raise DmaFault("not in one piece", iova, length)
        if first in (self.fixed if write else self.hidden):
            self.refused.append(iova)
            raise DmaFault("no right", iova, length, self.code)
        return np.zeros(length, np.uint8)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("buffer", "at"), [((0x2010, 8), 0x2010), ((0x1800, 0x1000), 0x2000), ((0x1FFF, 2), 0x2000)]
)
def test_a_buffer_is_looked_at_for_what_the_device_shall_do_with_it(buffer, at, write):
    """What is for writing may be written, and what is for reading may be read."""
    dma = Scattered({1, 2, 3}, **{"fixed" if write else "hidden": {2}})
    with pytest.raises(GuestError) as caught:
        check_memory(dma, [Buffer(*buffer, write)], CLAUSES)
    assert caught.value.spec == "address"
    assert set(dma.refused) == {at}
    check_memory(dma, [Buffer(*buffer, not write)], CLAUSES)


def test_what_a_unit_has_recorded_is_not_asked_again():
    dma = Scattered({1}, fixed={1}, code=5)
    with pytest.raises(GuestError, match="no right"):
        check_memory(dma, [Buffer(0x1000, 8, True)], CLAUSES)
    assert dma.refused == [0x1000]


def test_memory_may_lie_in_many_places():
    check_memory(Scattered({1, 2, 3}), [Buffer(0x1800, 0x2800, True)], CLAUSES)
    check_memory(Scattered({1}), [Buffer(0x1000, 0x1000, True)], CLAUSES)


@pytest.mark.parametrize("buffer", [(0x1800, 0x2801), (0xFFF, 2), (0x1FFF, 0x1002)])
def test_each_of_its_pages_is_looked_at(buffer):
    with pytest.raises(GuestError) as caught:
        check_memory(Scattered({1, 3}), [Buffer(*buffer, True)], CLAUSES)
    assert caught.value.spec == "address"


def test_a_long_buffer_that_is_not_there_is_found_at_once():
    dma = Scattered(set())
    with pytest.raises(GuestError):
        check_memory(dma, [Buffer(0, 2**32 - 1, True)], CLAUSES)
    assert dma.views == 2
