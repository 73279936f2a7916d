"""Memory behind a unit as one array: each offset is where one request would go, and no other."""

import numpy as np
import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, command, put, reg, unit_with
from tests.iommu.work import QueueOf
from virtlab.errors import DmaFault
from virtlab.iommu.invalidation import Granularity
from virtlab.iommu.remapped_many import LONGEST, FlatDma
from virtlab.memory import PAGE, GuestMemory, flat, is_flat

SID, OTHER = 0x0118, 0x0200
BASE = 0x8000_0000


class Rig:
    """A unit with `pages` of `SID` from BASE on, in a random order, and a second domain."""

    def __init__(self, pages=64, seed=1, memory=None, **capabilities):
        self.tables = Tables(memory)
        self.table = self.tables.attach(SID)
        self.random = np.random.default_rng(seed)
        self.frames = (256 + self.random.permutation(pages)).tolist()
        for number, frame in enumerate(self.frames):
            self.tables.map(self.table, BASE + number * PAGE, frame * PAGE)
        self.unit = unit_with(self.tables, **capabilities)
        self.dma = FlatDma(self.unit.translation, SID)

    def at(self, number):
        return BASE + number * PAGE

    def change(self, number, bits):
        """Another leaf entry, and nobody is told."""
        self.tables.memory.store(self.tables.entry_at(self.table, 4, self.at(number)), 8, bits)


def many(dma, *pairs):
    """`offset_many` of pairs of address and length."""
    iovas, lengths = (np.array(each, np.int64) for each in zip(*pairs, strict=True))
    return dma.offset_many(iovas, lengths).tolist()


def one(dma, iova, length):
    """The same by one request each: an offset where both rights are, else -1."""
    try:
        view = dma.view(iova, length)
        if not view.flags.writeable:
            return -1
        dma.read(iova, length)
    except DmaFault:
        return -1
    return view.ctypes.data - dma.bytes.ctypes.data


# -- the same as one by one


def test_it_is_flat():
    dma = Rig().dma
    assert is_flat(dma)
    assert flat(dma).bytes is dma.memory.bytes


def test_an_offset_is_where_a_request_goes():
    rig = Rig()
    rig.dma.write(rig.at(3) + 5, b"here")
    assert many(rig.dma, (rig.at(3) + 5, 4)) == [rig.frames[3] * PAGE + 5]
    assert rig.dma.bytes[rig.dma.offset(rig.at(3) + 5, 4) :][:4].tobytes() == b"here"


def test_nothing_is_asked_of_nothing():
    rig = Rig()
    assert len(rig.dma.offset_many(np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0
    assert rig.dma.offset(rig.at(0), 0) == 0


@pytest.mark.parametrize("levels", [3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_any_buffers_go_where_each_goes_alone(levels, seed):
    """Pages without a right, with one, large ones, runs of neighbours, and none at all."""
    random = np.random.default_rng(seed)
    tables = Tables()
    table = tables.attach(SID, levels=levels)
    for number in range(48):
        frame = 256 + (number if number % 16 < 6 else int(random.integers(0, 256)))
        rights = random.choice([0, READ, WRITE, RW, RW, RW])
        tables.map(table, BASE + number * PAGE, frame * PAGE, levels=levels, rights=int(rights))
    tables.map(table, BASE + (2 << 21), 0, levels=levels, level=2)
    unit = unit_with(tables)
    dma = FlatDma(unit.translation, SID)
    near = BASE + random.integers(-2 * PAGE, 50 * PAGE, 80)
    large = BASE + (2 << 21) + random.integers(-PAGE, 1 << 21, 10)
    far = random.integers(-(1 << 63), (1 << 63) - 1, 10)
    iovas = np.concatenate([near, large, far])
    lengths = random.choice([1, 16, 512, PAGE, PAGE + 1, 3 * PAGE, 7 * PAGE], len(iovas))
    for _ in range(2):
        found = dma.offset_many(iovas, lengths)
        for iova, length, offset in zip(iovas.tolist(), lengths.tolist(), found, strict=True):
            assert offset == one(dma, iova & (1 << 64) - 1, length), (hex(iova), length)
    assert (found >= 0).sum() > 10
    assert (found < 0).sum() > 10


def test_a_page_with_one_right_goes_one_by_one():
    rig = Rig()
    rig.change(1, rig.frames[1] * PAGE | READ)
    rig.change(2, rig.frames[2] * PAGE | WRITE)
    assert many(rig.dma, (rig.at(1), 1), (rig.at(2), 1), (rig.at(3), 1))[:2] == [-1, -1]
    assert rig.dma.offset(rig.at(1)) == rig.frames[1] * PAGE
    assert rig.dma.offset(rig.at(2)) == rig.frames[2] * PAGE


def test_no_is_said_without_a_fault():
    rig = Rig()
    assert many(rig.dma, (rig.at(100), 1), (1 << 60, 1), (-1, 1)) == [-1, -1, -1]
    assert not reg(rig.unit, "FSTS")
    with pytest.raises(DmaFault):
        rig.dma.offset(rig.at(100))
    assert reg(rig.unit, "FSTS")


def test_pages_that_are_no_neighbours_are_not_one_piece():
    rig = Rig()
    assert many(rig.dma, (rig.at(3) + 4000, 200)) == [-1]
    with pytest.raises(DmaFault, match="not in one piece"):
        rig.dma.offset(rig.at(3) + 4000, 200)


def test_a_long_buffer_is_left_to_one_by_one():
    memory = GuestMemory(1 << 24)
    tables = Tables(memory)
    table = tables.attach(SID)
    for number in range(2):
        tables.map(table, BASE + (number << 21), (1 + number) << 21, level=2)
    dma = FlatDma(unit_with(tables).translation, SID)
    longest = (LONGEST + 1) * PAGE
    assert many(dma, (BASE, longest), (BASE, longest + 1), (BASE + 4095, 2)) == [
        1 << 21,
        -1,
        (1 << 21) + 4095,
    ]
    assert dma.offset(BASE, longest + 1) == 1 << 21


# -- who, and whether at all


def test_another_requester_has_another_map():
    rig = Rig()
    table = rig.tables.attach(OTHER, domain=2)
    rig.tables.map(table, rig.at(0), 0x1000)
    other = FlatDma(rig.unit.translation, OTHER)
    assert many(other, (rig.at(0), 8), (rig.at(1), 8)) == [0x1000, -1]
    assert many(rig.dma, (rig.at(0), 8)) == [rig.frames[0] * PAGE]
    nobody = FlatDma(rig.unit.translation, 0x0300)
    assert many(nobody, (rig.at(0), 8)) == [-1]


def test_a_unit_that_is_off_lets_all_but_protected_memory_through():
    rig = Rig()
    assert many(rig.dma, (0x1000, 8), (1 << 21, 8)) == [-1, -1]
    command(rig.unit, "TE", on=False)
    assert many(rig.dma, (0x1000, 8), (1 << 21, 8), (-8, 4)) == [0x1000, -1, -1]
    put(rig.unit, "PLMBASE", 0)
    put(rig.unit, "PLMLIMIT", 0)
    put(rig.unit, "PMEN", 1 << 31)
    assert many(rig.dma, (0x1000, 8)) == [-1]


def test_pass_through_has_the_unit_between_all_the_same():
    """Memory beyond the width is not reached, nor is what is protected."""
    tables = Tables(GuestMemory([(0, 1 << 21), (1 << 39, PAGE)]))
    tables.attach(SID, levels=3, TT=2)
    unit = unit_with(tables)
    dma = FlatDma(unit.translation, SID)
    assert many(dma, (0x1000, 8), (1 << 39, 8)) == [0x1000, -1]
    put(unit, "PLMLIMIT", 0)
    put(unit, "PMEN", 1 << 31)
    assert many(dma, (0x1000, 8)) == [-1]


@pytest.mark.parametrize("on", [False, True])
def test_where_interrupts_are_written_is_no_memory(on):
    memory = GuestMemory([(0, 1 << 21), (0xFEE0_0000, 1 << 20), (0xFEF0_0000, PAGE)])
    rig = Rig(memory=memory)
    for iova, gpa in ((0xFEE0_0000, 0x1000), (BASE, 0xFEE0_1000), (0xFEF0_0000, 0x2000)):
        rig.tables.map(rig.table, iova, gpa)
    command(rig.unit, "TE", on=on)
    assert many(rig.dma, (0xFEE0_0000, 4)) == [-1]
    assert many(rig.dma, (0xFEF0_0000, 4)) == [0x2000 if on else (1 << 21) + (1 << 20)]
    for _ in range(2):
        assert many(rig.dma, (BASE, 4)) == [-1]
        with pytest.raises(DmaFault):
            rig.dma.read(BASE, 4)  # the unit remembers the page, and refuses it


# -- stale


def test_what_was_learned_is_believed_until_it_is_invalidated():
    rig = Rig()
    queue = QueueOf(rig.unit)
    before, generation = many(rig.dma, (rig.at(5), 8)), rig.dma.generation
    rig.change(5, rig.frames[6] * PAGE | RW)
    assert many(rig.dma, (rig.at(5), 8)) == before
    assert rig.dma.generation == generation
    queue.iotlb(Granularity.SELECTIVE, 1, rig.at(5))
    assert rig.dma.generation != generation
    assert many(rig.dma, (rig.at(5), 8)) == [rig.frames[6] * PAGE]


def test_what_one_request_has_left_is_believed_by_a_batch():
    """Both ways are stale together, for the page that one of them has seen."""
    rig = Rig()
    rig.dma.read(rig.at(5), 1)
    rig.change(5, rig.frames[6] * PAGE | RW)
    rig.change(7, 0)
    assert many(rig.dma, (rig.at(5), 8), (rig.at(7), 8)) == [rig.frames[5] * PAGE, -1]
    assert one(rig.dma, rig.at(5), 8) == rig.frames[5] * PAGE


def test_what_another_requester_has_left_is_not_believed():
    rig = Rig()
    rig.tables.map(rig.tables.attach(OTHER, domain=2), rig.at(5), 0x1000)
    rig.unit.dma_for(OTHER).read(rig.at(5), 1)
    assert many(rig.dma, (rig.at(5), 8)) == [rig.frames[5] * PAGE]


def test_what_is_remembered_as_read_only_is_not_written():
    rig = Rig()
    rig.change(5, rig.frames[5] * PAGE | READ)
    rig.dma.read(rig.at(5), 1)
    rig.change(5, rig.frames[5] * PAGE | RW)
    assert many(rig.dma, (rig.at(5), 8)) == [-1]


def test_a_page_that_is_new_is_found_without_an_invalidation():
    """Not-present entries are not cached without caching mode (6.1)."""
    rig = Rig()
    assert many(rig.dma, (rig.at(70), 8)) == [-1]
    rig.tables.map(rig.table, rig.at(70), 0x3000)
    assert many(rig.dma, (rig.at(70), 8)) == [0x3000]


def test_memory_that_is_mapped_otherwise_is_another_generation():
    rig = Rig()
    generation = rig.dma.generation
    rig.tables.memory.generation += 1
    assert rig.dma.generation != generation
    assert many(rig.dma, (rig.at(1), 1)) == [rig.frames[1] * PAGE]


def test_a_second_batch_is_a_hit():
    rig = Rig()
    iovas = BASE + rig.random.integers(0, 64 * PAGE - 8, 200)
    first = rig.dma.translate_many(iovas)
    assert rig.dma.iotlb.misses == 1
    assert np.array_equal(rig.dma.translate_many(iovas), first)
    assert rig.dma.iotlb.misses == 1


def test_large_pages_are_learned_page_by_page():
    tables = Tables()
    tables.map(tables.attach(SID), BASE, 0, level=2)
    dma = FlatDma(unit_with(tables).translation, SID)
    dma.read(BASE, 1)  # the unit remembers 2 MiB
    assert many(dma, (BASE + 0x5123, 8), (BASE + (1 << 21), 1)) == [0x5123, -1]
