"""Virtqueues behind a unit: batches run, and no right of a page is lost on the way."""

import numpy as np
import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, reg, unit_with
from tests.iommu.work import QueueOf
from virtlab.errors import GuestError
from virtlab.iommu.invalidation import Granularity
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE, is_flat
from virtlab.virtio.layouts import DESC, SplitRings
from virtlab.virtio.layouts import WRITE as WRITABLE
from virtlab.virtio.split import SplitQueue

SID, SIZE = 0x0118, 64
RINGS, BUFFERS = 0x4000_0000, 0x4100_0000
FRAMES = 256


class Rig:
    """A split queue of 64 entries, with a buffer in a page of its own for each."""

    def __init__(self):
        self.tables = Tables()
        self.table = self.tables.attach(SID)
        self.rings = SplitRings.placed(RINGS, SIZE)
        frames = (FRAMES + np.random.default_rng(3).permutation(SIZE)).tolist()
        for number in range(2):
            self.tables.map(self.table, RINGS + number * PAGE, (400 + number) * PAGE)
        self.frames = frames
        for number, frame in enumerate(frames):
            self.tables.map(self.table, BUFFERS + number * PAGE, frame * PAGE)
        self.unit = unit_with(self.tables)
        self.dma = self.unit.dma_for(SID)
        self.queue = SplitQueue(self.dma)
        self.queue.enable(self.rings)
        self.invalidations = QueueOf(self.unit)
        self.made = 0

    def page(self, number, rights):
        """Another right for the page of a buffer, and the unit is told."""
        at = self.tables.entry_at(self.table, 4, BUFFERS + number * PAGE)
        self.tables.memory.store(at, 8, self.frames[number] * PAGE | rights)
        self.invalidations.iotlb(Granularity.GLOBAL)

    def offer(self, count=SIZE, writable=(), length=512):
        """Chains of one descriptor each; a driver writes them, where the rings are in memory."""
        memory = self.tables.memory
        table = memory.view(400 * PAGE, SIZE * DESC.itemsize).view(DESC)
        for number in range(count):
            flags = WRITABLE if number in writable else 0
            table[number] = (BUFFERS + number * PAGE, length, flags, 0)
        avail = 400 * PAGE + self.rings.avail - RINGS
        for number in range(count):
            memory.store(avail + 4 + 2 * ((self.made + number) % SIZE), 2, number)
        self.made += count
        memory.store(avail + 2, 2, self.made)


def test_a_batch_is_taken_at_once_and_lies_where_the_tables_say():
    rig = Rig()
    assert is_flat(rig.dma)
    rig.offer()
    batch = rig.queue.pop_many()
    assert batch.offset.tolist() == [frame * PAGE for frame in rig.frames]
    rig.queue.push_many(batch, 0)
    misses = rig.dma.iotlb.misses
    rig.offer(length=256)
    assert len(rig.queue.pop_many()) == SIZE
    assert rig.dma.iotlb.misses == misses


def test_the_same_batch_again_goes_elsewhere_after_an_invalidation():
    """The ring's own memory of a lap ago ends with the unit's generation."""
    rig = Rig()
    for _ in range(3):
        rig.offer()
        batch = rig.queue.pop_many()
        rig.queue.push_many(batch, 0)
    rig.frames[5], rig.frames[6] = rig.frames[6], rig.frames[5]
    rig.page(5, RW)
    rig.page(6, RW)
    rig.offer()
    assert rig.queue.pop_many().offset.tolist() == [frame * PAGE for frame in rig.frames]


@pytest.mark.parametrize("plural", [False, True])
def test_a_buffer_to_be_written_in_a_page_for_reading_is_refused_and_recorded(plural):
    rig = Rig()
    rig.page(9, READ)
    rig.offer(writable=range(SIZE))
    if plural:
        taken = rig.queue.pop_many()
        assert taken.heads.tolist() == list(range(9))
    else:
        taken = [rig.queue.pop() for _ in range(9)]
    with pytest.raises(GuestError, match="no permission to write"):
        rig.queue.pop_many() if plural else rig.queue.pop()
    assert rig.queue.last_avail == 9
    assert reg(rig.unit, "FSTS") & 1 << 1
    assert reg(rig.unit, "FRCD0") >> 96 & 0xFF == Reason.WRITE


def test_pages_with_the_one_right_that_is_needed_are_taken():
    """As a driver maps them: what is read may be read, and what is written may be written."""
    rig = Rig()
    for number in range(SIZE):
        rig.page(number, WRITE if number % 2 else READ)
    rig.offer(writable=range(1, SIZE, 2))
    batch = rig.queue.pop_many()
    assert batch.offset.tolist() == [frame * PAGE for frame in rig.frames]
    assert not reg(rig.unit, "FSTS")


def test_a_batch_ends_before_a_page_that_is_not_mapped():
    rig = Rig()
    rig.page(20, 0)
    rig.offer()
    assert rig.queue.pop_many().heads.tolist() == list(range(20))
    with pytest.raises(GuestError, match="no permission"):
        rig.queue.pop_many()
