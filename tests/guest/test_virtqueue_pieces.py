"""What `add_bufs` takes: shapes, numbers, and what is no buffer."""

import numpy as np
import pytest

from tests.virtio.model import MemoryCpu
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_pieces import Pieces
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_layouts import PackedRings


def pieces(gpas, lengths, write=False, starts=None, limit=4):
    found = Pieces.of(gpas, lengths, write, starts, limit)
    return [
        [(int(found.gpa[i]), int(found.length[i]), bool(found.write[i])) for i in range(a, b)]
        for a, b in zip(found.starts, found.starts[1:], strict=False)
    ]


def test_a_row_of_addresses_is_a_row_of_buffers():
    assert pieces([0x10, 0x20], [1, 2]) == [[(0x10, 1, False)], [(0x20, 2, False)]]


def test_one_length_may_stand_for_all():
    assert pieces([0x10, 0x20], 8, True) == [[(0x10, 8, True)], [(0x20, 8, True)]]


def test_a_table_has_a_buffer_a_row():
    """A length and a direction for each column."""
    assert pieces([[0x10, 0x20], [0x30, 0x40]], [16, 512], [False, True]) == [
        [(0x10, 16, False), (0x20, 512, True)],
        [(0x30, 16, False), (0x40, 512, True)],
    ]


def test_with_starts_each_buffer_has_its_own_number():
    assert pieces([1, 2, 3], [4, 5, 6], [False, False, True], [0, 1, 3]) == [
        [(1, 4, False)],
        [(2, 5, False), (3, 6, True)],
    ]


@pytest.mark.parametrize("gpas", [[], np.zeros((0, 3), np.int64)])
def test_no_buffers_are_no_mistake(gpas):
    assert pieces(gpas, 8) == []
    assert pieces([], [], starts=[0]) == []


def test_any_address_and_the_longest_piece():
    assert pieces([2**64 - 1], [2**32 - 1]) == [[(2**64 - 1, 2**32 - 1, False)]]
    assert pieces([[0, 0]], [[2**31, 2**31]])


def test_what_is_to_write_may_begin_where_a_buffer_begins():
    assert pieces([1, 2, 3], 1, [False, True, False], [0, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([[[1]]], 1), r"gpas are \(n,\) or \(n, L\)"),
        ((7, 1), r"gpas are \(n,\) or \(n, L\)"),
        (([[1]], 1, False, [0, 1]), r"or \(m,\) with starts, not \(1, 1\)"),
        (([1, -2], 1), "an address of 0 or more, not -2"),
        (([1, 2], [1, 2, 3]), "broadcast"),
        (([1, 2], 0), r"1 to 2\*\*32 - 1 bytes"),
        (([1, 2], [1, -1]), r"1 to 2\*\*32 - 1 bytes"),
        (([1, 2], [1, 2**32]), r"1 to 2\*\*32 - 1 bytes"),
        (([[1] * 5], 1), "1 to 4 pieces, not 5"),
        ((np.zeros((1, 0), np.int64), 1), "1 to 4 pieces, not 0"),
        (([1] * 6, 1, False, [0, 1, 6]), "1 to 4 pieces, not 5"),
        (([1] * 2, 1, False, [0, 1, 1, 2]), "1 to 4 pieces, not 0"),
        (([1] * 2, 1, False, [0, 2, 1, 2]), "1 to 4 pieces, not -1"),
        (([1] * 2, 1, False, []), "starts go from 0 to the number of pieces, 2"),
        (([1] * 2, 1, False, [[0, 2]]), "starts go from 0"),
        (([1] * 2, 1, False, [1, 2]), "starts go from 0"),
        (([1] * 2, 1, False, [0, 1]), "starts go from 0"),
        (([[1, 2]], 1, [True, False]), "to write come behind those to read"),
        (([1, 2, 3], 1, [False, True, False], [0, 1, 3]), "to write come behind"),
        (([[0, 0]], [[2**31, 2**31 + 1]]), r"at most 2\*\*32 bytes"),
    ],
)
def test_what_is_no_buffer(arguments, says):
    with pytest.raises(ValueError, match=says):
        pieces(*arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(([1.5], 1), "gpas"), (([2**64], 1), "gpas"), (([1], 1.0), "lengths")],
)
def test_what_is_no_integer(arguments, name):
    with pytest.raises(TypeError, match=f"{name} are integers below"):
        pieces(*arguments)


def test_starts_are_integers_too():
    with pytest.raises(TypeError, match="starts are integers"):
        pieces([1], 1, starts=[0.0, 1.0])


@pytest.mark.parametrize(
    ("kind", "rings"), [(SplitDriver, SplitRings), (PackedDriver, PackedRings)]
)
def test_one_that_is_no_buffer_and_none_is_placed(kind, rings):
    """It is a mistake of the driver's own, so nothing is written before all are seen."""
    ram = GuestMemory(0x10000)
    driver = kind(MemoryCpu(ram), rings.placed(0x1000, 8))
    before = ram.bytes.tobytes()
    for bad, tokens in (([16, 16, 0], None), ([16, 16, 16], ["two", "tokens"])):
        with pytest.raises(ValueError, match=r"1 to 2\*\*32|3 buffers have as many tokens, not 2"):
            driver.add_bufs([0x8000, 0x8000, 0x8000], bad, tokens)
    assert ram.bytes.tobytes() == before
    assert driver.free == 8
    driver._check()
