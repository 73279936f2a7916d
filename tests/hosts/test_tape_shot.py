"""A ring that was kept: a look at the shot finds what a look at the ring found. It is bounded."""

from __future__ import annotations

import pytest

from virtlab.errors import DmaFault
from virtlab.guest.virtqueue import Tables
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.hosts.tape import RingShot, shot_of
from virtlab.hosts.tape_shot import MOST, PEEK, TABLE
from virtlab.memory import GuestMemory
from virtlab.show.ring_look import Counts, look_packed, look_split
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, SplitRings
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import FLAGS_AT, PackedRings, avail_bits
from virtlab.virtio.split import SplitQueue

RAM = 1 << 20
FEATURES = frozenset({Feature.VERSION_1, Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX})
REGIONS = ((0, RAM),)


class Cpu:
    """The processor of a driver in `memory`."""

    def __init__(self, memory):
        self.memory = memory
        self.read, self.write, self.load = memory.read, memory.write, memory.load

    def store(self, gpa, value, size=4):
        self.memory.store(gpa, size, value)


class Pair:
    """A driver and a device, of either layout, with a ring of 8."""

    def __init__(self, packed, memory=None):
        self.memory = memory or GuestMemory(RAM)
        features = FEATURES | ({Feature.RING_PACKED} if packed else frozenset())
        kinds = (
            (PackedRings, PackedDriver, PackedQueue)
            if packed
            else (
                SplitRings,
                SplitDriver,
                SplitQueue,
            )
        )
        rings = kinds[0].placed(0x1000, 8)
        self.driver = kinds[1](Cpu(self.memory), rings, features, None, Tables(0x2000, 8))
        self.queue = kinds[2](self.memory, lambda: None)
        self.queue.enable(rings, features)
        self.look = look_packed if packed else look_split

    def ask(self, number):
        """A request of three pieces, number so and so."""
        gpa = 0x4000 + number * 0x400
        self.memory.write(gpa, bytes([number]) * 0x300)
        self.driver.add_buf([(gpa, 16)], [(gpa + 0x100, 512), (gpa + 0x300, 1)], number)

    def looks(self):
        """At the ring itself, and at a shot of it."""
        shot = shot_of(self.queue, 0, REGIONS)
        counts = Counts(shot.added, 0, shot.last_avail, shot.used)
        return [
            self.look(memory, shot.rings, counts, shot.features)
            for memory in (self.memory, shot.memory)
        ]


BOTH = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


@BOTH
def test_a_look_at_the_shot_finds_what_a_look_at_the_ring_finds(packed):
    pair = Pair(packed)
    for number in range(20):
        pair.ask(number)
        pair.ask(number + 20)
        pair.driver.kick()
        ring, shot = pair.looks()
        assert shot == ring
        pair.queue.push(pair.queue.pop(), 513)
        ring, shot = pair.looks()
        assert shot == ring
        assert shot.findings == ()
        pair.queue.push(pair.queue.pop(), 1)
        while pair.driver.get_buf():
            pass


@BOTH
def test_a_shot_counts_what_the_driver_has_made_available(packed):
    pair = Pair(packed)
    for number in range(70):
        pair.ask(number)
        pair.driver.kick()
        shot = shot_of(pair.queue)
        assert (shot.packed, shot.last_avail, shot.added) == (packed, number, number + 1)
        pair.queue.push(pair.queue.pop())
        assert pair.driver.get_buf().token == number
    for number in range(8):
        pair.ask(number)
    pair.driver.kick()
    assert shot_of(pair.queue).added == 78


def test_counts_run_on_where_an_index_of_16_bits_begins_again():
    memory = GuestMemory(RAM)
    rings = SplitRings.placed(0x1000, 8)
    queue = SplitQueue(memory, lambda: None)
    queue.enable(rings, FEATURES, 0x2_0001)
    memory.store(rings.avail_field("idx"), 2, 4)
    assert shot_of(queue).added == 0x2_0004


def test_a_driver_that_marks_slots_beyond_a_lap_has_made_no_more_available():
    memory = GuestMemory(RAM)
    rings = PackedRings.placed(0x1000, 8)
    queue = PackedQueue(memory, lambda: None)
    queue.enable(rings, FEATURES)
    for slot in range(8):
        memory.store(rings.desc_at(slot) + FLAGS_AT, 2, avail_bits(slot >= 4))
    shot = shot_of(queue)._replace(last_avail=4)
    assert shot.added == 8


@BOTH
def test_the_heads_of_requests_are_kept(packed):
    pair = Pair(packed)
    pair.ask(7)
    pair.driver.kick()
    memory = shot_of(pair.queue).memory
    assert memory.read(0x4000 + 7 * 0x400, PEEK) == b"\x07" * PEEK
    with pytest.raises(DmaFault):
        memory.read(0x4000 + 7 * 0x400, PEEK + 1)


def test_a_shot_does_not_change_with_the_ring():
    pair = Pair(False)
    pair.ask(1)
    pair.driver.kick()
    shot = shot_of(pair.queue, 0, REGIONS)
    before = look_split(shot.memory, shot.rings, Counts())
    pair.memory.write(0, bytes(RAM))
    assert look_split(shot.memory, shot.rings, Counts()) == before


def test_what_was_not_kept_is_memory_of_zeros_and_nothing_is_written():
    memory = RingShot(0, SplitRings(1, 0, 16, 32), FEATURES, 0, 0, ((64, b"abcd"),), REGIONS).memory
    assert memory.view(64, 4).tolist() == list(b"abcd")
    assert memory.view(128, 1 << 19, True).sum() == 0
    assert not memory.view(64, 4, True).flags.writeable
    assert not memory.view(128, 4, True).flags.writeable
    with pytest.raises(DmaFault):
        memory.view(RAM - 1, 2)
    with pytest.raises(DmaFault):
        memory.write(64, b"a")


# -- whatever the guest has written


class Hostile:
    """Memory where `table` is at 0 and everywhere else; it counts how much was read."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def read(self, gpa, length):
        self.asked.append(length)
        return self.table[:length]


def raw(*descriptors):
    return b"".join(
        addr.to_bytes(8, "little") + length.to_bytes(4, "little") + flags.to_bytes(4, "little")
        for addr, length, flags in descriptors
    )


def test_a_shot_is_bounded_whatever_the_descriptors_say():
    size = 1024
    table = raw(*[(0x10_0000 + n * 0x1_0000, 0xFFFF_FFFF, INDIRECT) for n in range(size)])
    queue = SplitQueue(Hostile(table), lambda: None)
    queue.enable(SplitRings.placed(0, size))
    shot_of(queue)
    beside = sum(queue.dma.asked[3:])
    assert 0 < beside <= MOST
    assert max(queue.dma.asked[3:]) <= TABLE


def test_a_table_of_half_a_descriptor_and_a_buffer_beyond_memory_are_left_out():
    memory = GuestMemory(0x4000)
    memory.write(0x3FF0, raw((0x2000, 4, 0)))
    table = raw(
        (0x3FF0, 20, INDIRECT), ((1 << 64) - 8, 16, 0), (0x2000, 0, 0), (0x3FF0, 16, INDIRECT)
    )
    memory.write(0, table)
    queue = SplitQueue(memory, lambda: None)
    queue.enable(SplitRings.placed(0, 4))
    kept = dict(shot_of(queue).pieces[3:])
    assert kept == {0x3FF0: memory.read(0x3FF0, DESC.itemsize), 0x2000: bytes(4)}


def test_a_ring_that_is_no_memory_has_no_shot():
    queue = SplitQueue(GuestMemory(0x100), lambda: None)
    queue.enable(SplitRings.placed(0x1000, 4))
    with pytest.raises(DmaFault):
        shot_of(queue)
