"""Virtqueues behind a unit: batches run, and no right of a page is lost on the way."""

import numpy as np
import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, reg, unit_with
from tests.iommu.work import QueueOf
from virtlab.errors import GuestError
from virtlab.iommu.invalidation import Granularity
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE, is_flat
from virtlab.virtio.fused import FusedSplit
from virtlab.virtio.layouts import DESC, SplitRings
from virtlab.virtio.layouts import WRITE as WRITABLE
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import AVAIL, PACKED_DESC, PackedRings
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
@pytest.mark.parametrize(
    ("rights", "write", "reason"),
    [
        (READ, True, Reason.WRITE),
        (WRITE, False, Reason.READ),
        (0, True, Reason.WRITE),
        (0, False, Reason.READ),
    ],
)
def test_a_buffer_in_a_page_without_its_right_is_refused_and_recorded(
    plural, rights, write, reason
):
    """It is recorded once, as the access that the device would have made."""
    rig = Rig()
    rig.page(9, rights)
    rig.offer(writable=range(SIZE) if write else ())
    if plural:
        taken = rig.queue.pop_many()
        assert taken.heads.tolist() == list(range(9))
    else:
        taken = [rig.queue.pop() for _ in range(9)]
    with pytest.raises(GuestError, match=f"no permission to {'write' if write else 'read'}"):
        rig.queue.pop_many() if plural else rig.queue.pop()
    assert rig.queue.last_avail == 9
    assert reg(rig.unit, "FSTS") & 1 << 1
    assert reg(rig.unit, "FRCD0") >> 96 & 0xFF == reason
    assert rig.unit.faults.next == 1


def test_pages_with_the_one_right_that_is_needed_are_taken():
    """As a driver maps them: what is read may be read, and what is written may be written."""
    rig = Rig()
    for number in range(SIZE):
        rig.page(number, WRITE if number % 2 else READ)
    rig.offer(writable=range(1, SIZE, 2))
    rig.queue.pop = rig.queue._plural()._walk = None  # all at once, and by the quickest way
    batch = rig.queue.pop_many()
    assert batch.offset.tolist() == [frame * PAGE for frame in rig.frames]
    assert not reg(rig.unit, "FSTS")


def test_a_batch_in_other_pages_than_a_lap_ago_is_asked_for_its_rights_again():
    """The shadow of a lap knows lengths and flags, not where the buffers may be."""
    rig = Rig()
    for number in range(0, SIZE, 2):
        rig.page(number, READ)
    for _ in range(3):
        rig.offer(writable=range(1, SIZE, 2))
        assert len(rig.queue.pop_many()) == SIZE
        rig.queue.push_many(np.arange(SIZE))
    # The same, but the last chain, which is written, lies where the device may only read.
    rig.offer(writable=range(1, SIZE, 2))
    rig.tables.memory.store(400 * PAGE + (SIZE - 1) * DESC.itemsize, 8, BUFFERS)
    assert len(rig.queue.pop_many()) == SIZE - 1
    with pytest.raises(GuestError, match="no permission to write"):
        rig.queue.pop_many()


RIGHTS = [(READ, WRITE), (READ, RW), (RW, WRITE), (RW, READ), (WRITE, WRITE), (READ, READ)]


@pytest.mark.parametrize("plural", [False, True])
@pytest.mark.parametrize(("ring", "used"), RIGHTS)
def test_each_part_of_a_split_queue_needs_the_right_of_who_writes_it(ring, used, plural):
    """The device reads the table and the available ring, and writes the used ring (2.7)."""
    rig = Rig()
    rig.rings = rig.rings._replace(used=RINGS + PAGE)
    rig.queue.enable(rig.rings)
    for number, rights in enumerate((ring, used)):
        at = rig.tables.entry_at(rig.table, 4, RINGS + number * PAGE)
        rig.tables.memory.store(at, 8, (400 + number) * PAGE | rights)
    rig.offer()
    if not ring & READ:
        with pytest.raises(GuestError, match="no permission to read"):
            rig.queue.pop_many() if plural else rig.queue.pop()
        return
    if plural:
        if used & WRITE:
            rig.queue.pop = None  # all of them at once
        batch = rig.queue.pop_many()
        assert len(batch) == SIZE
        heads = batch.heads
    else:
        chain = rig.queue.pop()
    if used & WRITE:
        rig.queue.push_many(heads) if plural else rig.queue.push(chain)
        assert rig.tables.memory.load(401 * PAGE + 2, 2) == (SIZE if plural else 1)
        assert not reg(rig.unit, "FSTS")
        return
    with pytest.raises(GuestError, match="no permission to write"):
        rig.queue.push_many(heads) if plural else rig.queue.push(chain)
    assert rig.queue.used == 0


@pytest.mark.parametrize("plural", [False, True])
@pytest.mark.parametrize(("rights", "write"), [(READ, True), (WRITE, False), (0, True), (0, False)])
def test_a_packed_queue_asks_for_the_same_rights(rights, write, plural):
    """Descriptors are read and written, so their page needs both rights (2.8)."""
    rig = Rig()
    rig.page(9, rights)
    queue = PackedQueue(rig.dma)
    queue.enable(PackedRings.placed(RINGS, SIZE))
    table = rig.tables.memory.view(400 * PAGE, SIZE * 16).view(PACKED_DESC)
    for number in range(SIZE):
        flags = AVAIL | (WRITABLE if write else 0)
        table[number] = (BUFFERS + number * PAGE, 512, number, flags)
    taken = queue.pop_many().heads if plural else [queue.pop().head for _ in range(9)]
    assert list(taken) == list(range(9))
    with pytest.raises(GuestError, match=f"no permission to {'write' if write else 'read'}"):
        queue.pop_many() if plural else queue.pop()
    assert reg(rig.unit, "FRCD0") >> 96 & 0xFF == (Reason.WRITE if write else Reason.READ)
    assert rig.unit.faults.next == 1


def test_queues_that_are_served_together_need_the_same_rights():
    """`FusedQueues` looks at rings and buffers as each queue does."""
    rig = Rig()
    rig.rings = rig.rings._replace(used=RINGS + PAGE)
    for number, rights in enumerate((READ, WRITE)):
        at = rig.tables.entry_at(rig.table, 4, RINGS + number * PAGE)
        rig.tables.memory.store(at, 8, (400 + number) * PAGE | rights)
    for number in range(SIZE):
        rig.page(number, WRITE if number % 2 else READ)
    rig.queue.enable(rig.rings)
    fused = FusedSplit([rig.queue])
    rig.offer(writable=range(1, SIZE, 2))
    rig.queue.pop_many = None  # all of them at once
    popped = fused.pop_many()
    assert popped.batch.offset.tolist() == [frame * PAGE for frame in rig.frames]
    fused.push_many(popped.queue, popped.batch.heads)
    del rig.queue.pop_many
    rig.offer(writable=range(0, SIZE, 2))
    ((number, why),) = fused.pop_many().refused
    assert (number, why.spec) == (0, "virtio 1.3 2.7.5")
    assert rig.queue.last_avail == SIZE


def test_a_batch_ends_before_a_page_that_is_not_mapped():
    rig = Rig()
    rig.page(20, 0)
    rig.offer()
    assert rig.queue.pop_many().heads.tolist() == list(range(20))
    with pytest.raises(GuestError, match="no permission"):
        rig.queue.pop_many()
