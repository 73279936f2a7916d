"""What the quick ways of the scalar walk must not change: what is taken, and what is refused."""

from __future__ import annotations

import pytest

from tests.virtio.raw import DATA, TABLE, Raw
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import PAGE
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, NEXT, WRITE, SplitRings

TABLES = frozenset({Feature.RING_INDIRECT_DESC})
SIZE = DESC.itemsize


class Ending:
    """Memory that may be read up to `end`. A fault has `code`; reads and faults are counted."""

    def __init__(self, ram):
        self.ram = ram
        self.end, self.code = ram.size, 0
        self.reads, self.faults = [], []

    def read(self, iova, length):
        self.reads.append((iova, length))
        if iova + length > self.end:
            self.faults.append((iova, length))
            raise DmaFault("beyond the end", iova, length, self.code)
        return self.ram.read(iova, length)

    def __getattr__(self, name):
        return getattr(self.ram, name)


def rig(entries, addr):
    """A chain of `entries` buffers in a table at `addr`."""
    raw = Raw(16, TABLES, Ending)
    for index in range(entries):
        follow = NEXT if index < entries - 1 else 0
        raw.desc(index, DATA + 0x100 * index, 16 + index, follow, index + 1, table=addr)
    raw.indirect(entries, addr)
    return raw, raw.queue.dma


def lengths(chain):
    return [buffer.length for buffer in chain.buffers]


def of_table(dma, addr):
    return [(iova - addr, length) for iova, length in dma.reads if addr <= iova < addr + 16 * SIZE]


def test_a_table_in_one_page_is_one_read():
    raw, dma = rig(5, TABLE)
    assert lengths(raw.queue.pop()) == [16, 17, 18, 19, 20]
    assert of_table(dma, TABLE) == [(0, 5 * SIZE)]


def test_a_table_that_ends_with_its_page_is_one_read():
    raw, dma = rig(4, TABLE + PAGE - 4 * SIZE)
    assert len(raw.queue.pop().buffers) == 4
    assert of_table(dma, TABLE + PAGE - 4 * SIZE) == [(0, 4 * SIZE)]


def test_a_table_in_two_pages_is_read_entry_by_entry():
    """The second page may be one that a remapper refuses; nobody asks for it in vain."""
    addr = TABLE + PAGE - 2 * SIZE
    raw, dma = rig(4, addr)
    assert lengths(raw.queue.pop()) == [16, 17, 18, 19]
    assert of_table(dma, addr) == [(SIZE * index, SIZE) for index in range(4)]


def test_a_chain_that_ends_before_the_memory_does_is_taken():
    """Its table says that it is longer; but no descriptor beyond the end is part of the chain."""
    raw, dma = rig(4, TABLE)
    raw.desc(1, DATA, 5, 0, 0, table=TABLE)
    dma.end = TABLE + 2 * SIZE
    assert lengths(raw.queue.pop()) == [16, 5]


def test_a_chain_that_goes_on_beyond_the_end_of_memory_is_refused_there():
    raw, dma = rig(4, TABLE)
    dma.end = TABLE + 2 * SIZE
    before = raw.state()
    with pytest.raises(GuestError) as caught:
        raw.queue.pop()
    assert caught.value.why == f"beyond the end: 16 bytes at {TABLE + 2 * SIZE:#x}"
    assert caught.value.spec == "virtio 1.3 2.7.5"
    assert raw.state() == before


def test_what_a_remapper_has_recorded_is_not_asked_for_again():
    raw, dma = rig(4, TABLE)
    dma.end, dma.code = TABLE + 2 * SIZE, 6
    with pytest.raises(GuestError) as caught:
        raw.queue.pop()
    assert caught.value.spec == "virtio 1.3 2.7.5"
    assert dma.faults == [(TABLE, 4 * SIZE)]


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("inside", [0, 1])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_what_is_written_may_lie_next_to_the_queue_and_not_in_it(part, inside, where):
    """To the byte, for each of its parts."""
    raw = Raw(16)
    raw.rings = SplitRings(16, 0x1000, 0x2000, 0x3000)
    raw.queue.enable(raw.rings)
    start, length = raw.rings.parts[part]
    addr = start - 16 + inside if where == "before" else start + length - inside
    raw.desc(0, addr, 16, WRITE)
    raw.offer(0)
    if inside:
        with pytest.raises(GuestError, match="a writable buffer over the queue"):
            raw.queue.pop()
    else:
        assert raw.queue.pop().buffers == ((addr, 16, True),)
