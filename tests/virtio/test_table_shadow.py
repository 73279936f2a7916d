"""Indirect tables that come again: compared each time, since a table changes on its own."""

import numpy as np
import pytest

from tests.virtio.test_whole import RING
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import WHOLE
from virtlab.virtio.batch_checks import RECORD
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import AVAIL, PACKED_DESC, USED, PackedRings, wrap_at
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.table_shadow import Inside

SIZE, N, ENTRIES = 16, 16, 3
TABLES, BUFFERS, MEMORY = 0x3000, 0x8000, 0x20000
FEATURES = frozenset({Feature.RING_INDIRECT_DESC})
NAMES = ("heads", "slots", "starts", "offset", "length", "write")


class Driver:
    """A ring full of chains that are tables of three; `step` bytes from table to table."""

    def __init__(self, layout, step=64, first=TABLES):
        self.ram, self.packed, self.at = GuestMemory(MEMORY), layout == "packed", 0
        kind, rings = (PackedQueue, PackedRings) if self.packed else (SplitQueue, SplitRings)
        self.rings, self.queue = rings.placed(RING, SIZE), kind(self.ram)
        self.queue.enable(self.rings, FEATURES)
        self.tables = [first + n * step for n in range(N)]
        for n in range(N):
            for entry in range(ENTRIES):
                self.entry(n, entry)

    def entry(self, n, entry, gpa=None, length=32, write=True):
        """Write entry `entry` of table `n`."""
        gpa = BUFFERS + 256 * n + 64 * entry if gpa is None else gpa
        flags = WRITE if write else 0
        if self.packed:
            record = packer(PACKED_DESC).pack(gpa, length, 0, flags)
        else:
            more = entry < ENTRIES - 1
            record = packer(DESC).pack(gpa, length, flags | (NEXT if more else 0), entry + 1)
        self.ram.write(self.tables[n] + 16 * entry, record)

    def offer(self):
        """All of them, in the same order as ever."""
        for n in range(N):
            gpa, length = self.tables[n], 16 * ENTRIES
            if self.packed:
                bits = AVAIL if wrap_at(self.at, SIZE) else USED
                record = packer(PACKED_DESC).pack(gpa, length, n, INDIRECT | bits)
                self.ram.write(self.rings.desc_at(self.at), record)
            else:
                record = packer(DESC).pack(gpa, length, INDIRECT, 0)
                self.ram.write(self.rings.desc + n * DESC.itemsize, record)
                self.ram.store(self.rings.avail_at(self.at), 2, n)
            self.at += 1
        if not self.packed:
            self.ram.store(self.rings.avail_field("idx"), 2, self.at)


def lap(driver):
    """Offer, take and give back: what the batch said, and the batch."""
    driver.offer()
    batch = driver.queue.pop_many()
    said = {name: getattr(batch, name).tolist() for name in NAMES}
    driver.queue.push_many(batch, WHOLE)
    driver.queue._check()
    return said, batch


def fresh(driver, layout):
    """What a queue that has seen nothing says of the same memory."""
    other = Driver(layout)
    other.tables = driver.tables
    other.ram.bytes[TABLES - 64 :] = driver.ram.bytes[TABLES - 64 :]
    return lap(other)[0]


@pytest.mark.parametrize("step", [48, 64, 72])
@pytest.mark.parametrize("first", [TABLES, TABLES + 8])
@pytest.mark.parametrize("layout", ["split", "packed"])
def test_the_same_tables_are_the_same_batch(layout, first, step):
    """Wherever they lie."""
    driver = Driver(layout, step, first)
    said = [lap(driver) for _ in range(8)]
    assert all(words == said[0][0] for words, _ in said)
    assert said[-1][1] is said[-2][1]
    said[-1][1].note = "a note"
    assert lap(driver)[1].note == "a note"


@pytest.mark.parametrize("n", [0, 7, N - 1])
@pytest.mark.parametrize("entry", range(ENTRIES))
@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("what", ["address", "length", "direction"])
def test_a_table_that_changes_is_seen(layout, n, entry, what):
    """2.7.5.3, 2.8.7: the descriptor in the ring stays the same all the while."""
    driver = Driver(layout)
    for _ in range(6):
        _, batch = lap(driver)
    batch.note = "a note"
    match what:
        case "address":
            driver.entry(n, entry, gpa=0x1C000)
        case "length":
            driver.entry(n, entry, length=17)
        case "direction":
            for before in range(entry + 1):
                driver.entry(n, before, write=False)
    for _ in range(12):
        said, batch = lap(driver)
        assert said == fresh(driver, layout)
    assert batch.note is None


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_table_that_breaks_a_rule_is_not_taken(layout):
    """What was right before is looked at anew: the batch ends before it."""
    driver = Driver(layout)
    for _ in range(6):
        lap(driver)
    driver.entry(9, 1, length=0)
    driver.offer()
    assert len(driver.queue.pop_many()) == 9


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_other_tables_each_time_are_not_remembered(layout):
    """A driver that has others each time need not pay for it, and gets what it says."""
    driver = Driver(layout)
    for turn in range(24):
        driver.entry(turn % N, turn % ENTRIES, gpa=BUFFERS + 0x4000 + 64 * turn)
        assert lap(driver)[0] == fresh(driver, layout)


def test_what_is_compared_is_one_copy():
    """The guest's bytes are gathered once, and never used."""
    ram = GuestMemory(0x1000)
    ram.bytes[:] = np.arange(0x1000) % 251
    for places in (np.array([0, 64, 128]), np.array([8, 72, 3])):
        records = np.array([ram.read(int(at), 16) for at in places]).view(RECORD)
        inside = Inside(ram.bytes, places, records)
        assert inside.again()
        for at in (int(places[0]), int(places[-1]) + 15):
            ram.bytes[at] ^= 1
            assert not inside.again()
            ram.bytes[at] ^= 1
        assert inside.again()
