"""A batch of chains as arrays, and the marks that rules leave on many buffers."""

import numpy as np
import pytest

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Buffer, Chain

RAM = GuestMemory([(0, 0x4000), (0x10000, 0x4000)])
CHAINS = [
    Chain(3, (Buffer(0x100, 16, False),), 1),
    Chain(0, (Buffer(0x200, 8, False), Buffer(0x10000, 4, True), Buffer(0x300, 2, True)), 3),
    Chain(5, (Buffer(0x400, 32, True),), 1),
]


def listed(batch):
    return {name: getattr(batch, name).tolist() for name in Batch.__slots__}


ALL = {
    "heads": [3, 0, 5],
    "slots": [1, 3, 1],
    "starts": [0, 1, 4, 5],
    "offset": [0x100, 0x200, 0x4000, 0x300, 0x400],
    "length": [16, 8, 4, 2, 32],
    "write": [False, False, True, True, True],
}


def test_chains_as_arrays():
    batch = Batch.of(CHAINS, RAM)
    assert len(batch) == 3
    assert listed(batch) == ALL
    assert {array.dtype for array in (batch.heads, batch.starts, batch.offset)} == {np.dtype("i8")}
    assert batch.write.dtype == bool


def test_what_may_be_read_and_written():
    batch = Batch.of(CHAINS, RAM)
    assert batch.readable().tolist() == [16, 8, 0]
    assert batch.writable().tolist() == [0, 6, 32]
    one_each = Batch.of([CHAINS[0], CHAINS[2]], RAM)
    assert one_each.readable().tolist() == [16, 0]
    assert one_each.writable().tolist() == [0, 32]


def test_no_chains():
    batch = Batch.of((), RAM)
    assert len(batch) == 0
    assert listed(batch) == {name: [0] if name == "starts" else [] for name in ALL}
    assert batch.writable().tolist() == batch.readable().tolist() == []


def test_the_first_few():
    batch = Batch.of(CHAINS, RAM)
    assert listed(batch.first(2)) == listed(Batch.of(CHAINS[:2], RAM))
    assert listed(batch.first(0)) == listed(Batch.of((), RAM))
    assert np.shares_memory(batch.first(2).offset, batch.offset)


def test_one_behind_the_other():
    parts = [Batch.of(CHAINS[:1], RAM), Batch.of((), RAM), Batch.of(CHAINS[1:], RAM)]
    assert listed(Batch.joined(parts)) == ALL
    assert not np.shares_memory(Batch.joined(parts[:1]).heads, parts[0].heads)


def test_a_copy_keeps():
    batch = Batch.of(CHAINS, RAM)
    kept = batch.copy()
    for name in Batch.__slots__:
        getattr(batch, name)[:] = 0
    assert listed(kept) == ALL


class Pages(GuestMemory):
    """A remapper that knows where each page is: pages 0 and 1 side by side, 2 elsewhere."""

    def offset(self, gpa, length=1, write=False):
        page, inside = divmod(gpa, PAGE)
        if page > 2 or inside + length > PAGE:
            raise DmaFault("not in one piece", gpa, length)
        return (2, 3, 0)[page] * PAGE + inside


def test_a_buffer_in_several_places_is_several_pieces():
    """Neighbours in memory are one piece."""
    memory = Pages(4 * PAGE)
    whole = Chain(1, (Buffer(0x800, 2 * PAGE, True),), 1)
    batch = Batch.of([whole], memory)
    assert batch.offset.tolist() == [2 * PAGE + 0x800, 0]
    assert batch.length.tolist() == [2 * PAGE - 0x800, 0x800]
    assert batch.starts.tolist() == [0, 2]
    with pytest.raises(DmaFault):
        Batch.of([Chain(1, (Buffer(2 * PAGE, PAGE + 1, True),), 1)], memory)
