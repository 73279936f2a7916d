"""Memory behind a unit as one array: each offset is where one request would go, and no other."""

import numpy as np
import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, command, put, reg, unit_with
from tests.iommu.work import QueueOf
from virtlab.errors import DmaFault
from virtlab.iommu.caches import SLOTS
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


def many(dma, *pairs, write=None):
    """`offset_many` of pairs of address and length."""
    iovas, lengths = (np.array(each, np.int64) for each in zip(*pairs, strict=True))
    return dma.offset_many(iovas, lengths, write).tolist()


def one(dma, iova, length, write=None):
    """The same by one request each, or, without a right, by one for each; -1 for a refusal."""
    try:
        for right in (False, True) if write is None else (write,):
            view = dma.view(iova, length, right)
            assert dma.offset(iova, length, right) == view.ctypes.data - dma.bytes.ctypes.data
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
    mixed = random.random(len(iovas)) < 0.5
    for write in (None, False, True, mixed, mixed):
        found = dma.offset_many(iovas, lengths, write)
        each = np.broadcast_to(write, len(iovas)).tolist()
        rows = iovas.tolist(), lengths.tolist(), found, each
        for iova, length, offset, right in zip(*rows, strict=True):
            assert offset == one(dma, iova & (1 << 64) - 1, length, right), (hex(iova), length)
        assert (found >= 0).sum() > 10
        assert (found < 0).sum() > 10


@pytest.mark.parametrize(("rights", "good"), [(0, ""), (READ, "r"), (WRITE, "w"), (RW, "rwb")])
def test_each_is_asked_for_the_right_that_it_needs(rights, good):
    """To read needs R alone, to write W alone; who names no right needs both."""
    rig = Rig()
    rig.change(1, rig.frames[1] * PAGE | rights)
    at = rig.frames[1] * PAGE
    for _ in range(2):  # by a walk, and by what was learned
        for write, letter in ((False, "r"), (True, "w"), (None, "b")):
            assert many(rig.dma, (rig.at(1), 1), write=write) == [at if letter in good else -1]
    assert many(rig.dma, (rig.at(1), 8), (rig.at(1), 8), write=np.array([False, True])) == [
        at if "r" in good else -1,
        at if "w" in good else -1,
    ]


def test_pages_with_one_right_are_learned_too():
    rig = Rig()
    for number in range(9):
        rig.change(number, rig.frames[number] * PAGE | (WRITE if number % 2 else READ))
    # Not the first page of a window, which is never known.
    pairs, write = [(rig.at(number), 64) for number in range(1, 9)], np.arange(1, 9) % 2 == 1
    found = many(rig.dma, *pairs, write=write)
    assert found == [frame * PAGE for frame in rig.frames[1:9]]
    rig.tables.memory.view(rig.tables.root, 20 * PAGE)[:] = 0  # no tables: what is known is left
    assert many(rig.dma, *pairs, write=write) == found
    assert many(rig.dma, *pairs, write=~write) == many(rig.dma, *pairs) == [-1] * 8
    QueueOf(rig.unit).iotlb(Granularity.GLOBAL)
    assert many(rig.dma, *pairs, write=write) == [-1] * 8


def test_memory_may_lie_at_any_offset():
    """A region before it that is no whole number of pages moves all others."""
    tables = Tables(GuestMemory([(0, 0x7C03), (0x10000, 1 << 21)]), first=0x20000)
    table = tables.attach(SID)
    for number, rights in enumerate((RW, READ, WRITE)):
        tables.map(table, BASE + (number + 1) * PAGE, 0x11000 + number * PAGE, rights=rights)
    dma = FlatDma(unit_with(tables).translation, SID)
    pairs = [(BASE + number * PAGE + 5, 8) for number in (1, 2, 3)]
    for _ in range(2):
        found = [many(dma, *pairs, write=write) for write in (None, False, True)]
        assert found == [
            [one(dma, *pair, write) for pair in pairs] for write in (None, False, True)
        ]
    assert found[1][:2] == [0x7C03 + 0x1005, 0x7C03 + 0x2005]


def test_a_buffer_over_pages_needs_its_right_on_each():
    rig = Rig()
    run = [256, 257, 258]
    for number, (frame, rights) in enumerate(zip(run, (RW, READ, WRITE), strict=True)):
        rig.change(number, frame * PAGE | rights)
    two, three = (rig.at(0) + 8, PAGE), (rig.at(0) + 8, 2 * PAGE)
    assert many(rig.dma, two, three, write=False) == [256 * PAGE + 8, -1]
    assert many(rig.dma, two, three, write=True) == [-1, -1]
    assert many(rig.dma, (rig.at(1), 2 * PAGE), two, write=np.array([False, False]))[0] == -1


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
    assert many(rig.dma, (rig.at(5), 8)) == many(rig.dma, (rig.at(5), 8), write=True) == [-1]
    assert many(rig.dma, (rig.at(5), 8), write=False) == [rig.frames[5] * PAGE]


def test_a_page_that_is_new_is_found_without_an_invalidation():
    """Not-present entries are not cached without caching mode (6.1)."""
    rig = Rig()
    assert many(rig.dma, (rig.at(70), 8)) == [-1]
    rig.tables.map(rig.table, rig.at(70), 0x3000)
    assert many(rig.dma, (rig.at(70), 8)) == [0x3000]


# -- what concerns a requester, and what does not


class Two(Rig):
    """Two requesters in domains of their own, 1 and `other`, and a queue."""

    def __init__(self, other=2):
        super().__init__()
        self.number = other
        self.others_table = self.tables.attach(OTHER, domain=other)
        self.tables.map(self.others_table, self.at(5), 0x1000)
        self.other = self.unit.dma_for(OTHER)
        self.queue = QueueOf(self.unit)
        self.known = many(self.dma, (self.at(5), 8)), many(self.other, (self.at(5), 8))

    def stays(self, step):
        """Whether what is known of SID is still known after `step`: no batch walks."""
        generation, misses = self.dma.generation, self.dma.iotlb.misses
        step()
        assert many(self.dma, (self.at(5), 8)) == self.known[0]
        same = self.dma.iotlb.misses == misses
        assert same == (self.dma.generation == generation)
        return same


def test_what_another_domain_loses_is_still_known():
    rig = Two()
    assert rig.stays(lambda: rig.queue.iotlb(Granularity.DOMAIN, 2))
    assert rig.stays(lambda: rig.queue.iotlb(Granularity.SELECTIVE, 2, rig.at(5)))
    assert many(rig.other, (rig.at(5), 8)) == [0x1000]
    before = rig.other.generation
    rig.tables.map(rig.others_table, rig.at(5), 0x2000)
    assert rig.stays(lambda: rig.queue.iotlb(Granularity.DOMAIN, 2))
    assert rig.other.generation != before
    assert many(rig.other, (rig.at(5), 8)) == [0x2000]


@pytest.mark.parametrize(
    "step",
    [
        lambda queue: queue.iotlb(Granularity.DOMAIN, 1),
        lambda queue: queue.iotlb(Granularity.SELECTIVE, 1, BASE),
        lambda queue: queue.iotlb(Granularity.GLOBAL),
        lambda queue: queue.contexts(Granularity.SELECTIVE, 2, OTHER),
        lambda queue: queue.contexts(Granularity.GLOBAL),
        lambda queue: command(queue.unit, "TE"),
    ],
)
def test_what_may_concern_its_own_domain_is_forgotten(step):
    rig = Two()
    assert not rig.stays(lambda: step(rig.queue))


def test_domains_that_share_a_counter_forget_too_much_and_never_too_little():
    rig = Two(other=1 + SLOTS)
    assert not rig.stays(lambda: rig.queue.iotlb(Granularity.DOMAIN, 1 + SLOTS))
    assert many(rig.other, (rig.at(5), 8)) == [0x1000]
    rig.tables.map(rig.others_table, rig.at(5), 0x2000)
    assert not rig.stays(lambda: rig.queue.iotlb(Granularity.DOMAIN, 1 + SLOTS))
    assert many(rig.other, (rig.at(5), 8)) == [0x2000]


def test_what_is_known_of_two_domains_ends_with_either():
    """A device goes to domain 2, and of its old pages nobody tells the unit (VT-d 6.5.1)."""
    rig = Two()
    rig.dma.read(rig.at(5), 1)  # the unit remembers the page of domain 1
    rig.tables.memory.store(
        rig.tables.context_at(SID), 16, rig.tables.memory.load(rig.tables.context_at(OTHER), 16)
    )
    rig.tables.map(rig.others_table, rig.at(6), 0x3000)
    rig.queue.contexts(Granularity.GLOBAL)
    both = [(rig.at(5), 8), (rig.at(6), 8)]
    assert many(rig.dma, *both) == [rig.frames[5] * PAGE, 0x3000]
    rig.tables.map(rig.others_table, rig.at(6), 0x4000)
    rig.queue.iotlb(Granularity.DOMAIN, 2)
    assert many(rig.dma, *both) == [rig.frames[5] * PAGE, 0x4000]
    rig.queue.iotlb(Granularity.DOMAIN, 1)
    assert many(rig.dma, *both) == [0x1000, 0x4000]


def test_where_one_request_goes_is_of_a_generation_too():
    """`offset` keeps nothing here, but who asks may: any invalidation is another generation."""
    rig = Two()
    dma = FlatDma(rig.unit.translation, SID)
    dma.offset(rig.at(5))
    for domain in (1, 2):
        before = dma.generation
        rig.queue.iotlb(Granularity.DOMAIN, domain)
        assert dma.generation != before
        dma.offset(rig.at(5))


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
