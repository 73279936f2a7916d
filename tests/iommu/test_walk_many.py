"""The batch walk: the pages and the reasons of so many walks, whatever the tables hold."""

import numpy as np
import pytest

from tests.iommu.tables import LARGE, READ, RW, WRITE, Tables
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context, find_context
from virtlab.iommu.layouts import CONTEXT, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Start, descend, judged, translate
from virtlab.iommu.walk_many import BatchWalk
from virtlab.iommu.walk_scratch import SIZES
from virtlab.memory import PAGE, GuestMemory

SID = 0x0118
FULL = Capabilities(host_width=39)
SNP, TM = 1 << 11, 1 << 62

UNITS = [
    FULL,
    Capabilities(host_width=46, large_levels=(), snoop=False, device_tlb=False),
    Capabilities(host_width=52, large_levels=(2,), guest_width=48, levels=(3, 4)),
]

SHAPES = {
    "one region": [(0, 40 * PAGE)],
    "a PC's gap": [(0, 10 * PAGE), (16 * PAGE, 30 * PAGE)],
    "regions that begin at odd bytes": [(0, 10 * PAGE + 3), (12 * PAGE, 30 * PAGE)],
    "a region that ends inside of a page": [(0, 40 * PAGE - 24)],
    "nothing low": [(8 * PAGE, 30 * PAGE)],
}


# -- a world of random tables


class World:
    """Random tables in a small memory, and addresses that lead through them.

    `wild` is how often an entry has something that a good driver never writes.
    """

    def __init__(self, seed, wild, shape="one region", unit=FULL):
        self.random, self.unit = np.random.default_rng(seed), unit
        self.memory = GuestMemory(SHAPES[shape])
        pages = self.memory.size // PAGE
        entries = self._entries(pages * 512, wild)
        self.memory.bytes[: pages * PAGE] = entries.view(np.uint8)
        first = self.memory.regions[-1].start
        table = first + 3 * PAGE if seed % 16 != 7 else 1 << 38
        rights = (seed % 16 != 9, seed % 16 != 10)
        self.start = Start(int(self.random.integers(1, 6)), table, *rights, top=bool(seed % 16))

    def _entries(self, n, wild):
        random = self.random
        spare = 12 if wild else 0
        low = self.memory.regions[0].start // PAGE
        top = max(sum(region[:2]) for region in self.memory.regions) // PAGE
        entries = random.integers(low, top + spare, n) << 12 | RW
        if wild:
            odd = random.random((9, n)) < wild
            entries ^= odd[0] * READ ^ odd[1] * WRITE ^ odd[2] * LARGE ^ odd[3] * SNP
            entries ^= odd[4] * TM ^ (odd[5] * 1 << 52) ^ (odd[6] * 1 << random.integers(3, 11, n))
            entries ^= odd[7] * 1 << random.integers(30, 63, n)
            entries[odd[8]] &= ~np.int64((1 << 30) - 1 - 0xFFF)
            entries[random.random(n) < wild / 4] = 0xFEE0_0000 | RW
            entries[random.random(n) < wild / 8] = -1
        return entries

    def iovas(self, n):
        """Addresses, as dense as the seed has it: some batches part at the top, some at the end."""
        bits = int(self.random.integers(8, index_bits(self.start.level).hi + 2))
        return self.random.integers(0, 1 << bits, n)


def agree(world, n):
    """Compare `n` walks, one direction each half. Gives the reasons that were met."""
    batch = BatchWalk(world.memory, world.unit)
    met = set()
    for write in (False, True):
        iovas = world.iovas(n // 2)
        many = batch.descend(world.start, iovas, write)
        for iova, gpa, reason in zip(iovas.tolist(), *map(np.ndarray.tolist, many), strict=True):
            one = judged(descend(world.memory, world.unit, world.start, iova, write), write)
            assert (reason or None, gpa) == (one.reason, one.gpa), hex(iova)
            met.add(reason)
    return met


def pairs(worlds, each):
    """So many worlds, from mild to wild."""
    met = set()
    for seed in range(worlds):
        wild = (0, 0.01, 0.05, 0.3)[seed % 4]
        shape = list(SHAPES)[seed // 4 % len(SHAPES)]
        met |= agree(World(seed, wild, shape, UNITS[seed % 3]), each)
    return met


ALL_REASONS = {0, 3, 5, 6, 7, 0xC, 0xE}


@pytest.mark.volume
def test_many_walks_are_so_many_walks():
    """20,000 pairs of tables and addresses, and each reason a second level can give among them."""
    assert pairs(worlds=200, each=100) == ALL_REASONS


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_walks_are_a_million_walks():
    assert pairs(worlds=4000, each=250) == ALL_REASONS


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("wild", [0, 0.1])
def test_wherever_memory_is(shape, wild):
    for seed in range(8):
        agree(World(seed, wild, shape), 40)


# -- which way is taken


def plain(rights=RW, levels=4, level=1):
    """Tables with 16 pages for `SID`, side by side, each to another place."""
    tables = Tables()
    table = tables.attach(SID, levels=levels)
    size = 1 << index_bits(level).lo
    for number in range(16):
        at = (37 * number % 16) * size
        tables.map(table, 0x4000_0000 + number * size, at, levels=levels, level=level)
    context = find_context(tables.memory, tables.root, FULL, SID)
    return tables, context, 0x4000_0000 + np.arange(16) * size + np.arange(16)


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_good_tables_are_certain(levels):
    tables, context, iovas = plain(levels=levels)
    batch = BatchWalk(tables.memory, FULL)
    found = batch.certain(Start(levels, context.table), iovas, True)
    assert found.gpas.tolist() == [(37 * n % 16) * PAGE + n for n in range(16)]
    assert not found.reasons.any()


@pytest.mark.parametrize(
    ("bits", "level"),
    [
        (0, 1),
        (0, 2),
        (0, 4),
        (READ, 1),
        (RW | 1 << 39, 1),
        (RW | 1 << 45, 2),
        (RW | SNP, 2),
        (-1, 3),
    ],
)
def test_one_entry_that_is_not_good_and_nothing_is_certain(bits, level):
    """It goes level by level, and only that address is refused."""
    tables, context, iovas = plain()
    at = tables.entry_at(context.table, 4, int(iovas[5]), level)
    tables.memory.store(at, 8, tables.memory.load(at, 8) & ~RW | bits & (1 << 64) - 1)
    batch, start = BatchWalk(tables.memory, FULL), Start(4, context.table)
    assert batch.certain(start, iovas, True) is None
    found = batch.descend(start, iovas, True)
    for iova, gpa, reason in zip(iovas.tolist(), *map(np.ndarray.tolist, found), strict=True):
        one = descend(tables.memory, FULL, start, iova, True)
        assert (one.gpa, one.reason or 0) == (gpa, reason)
    refused = np.flatnonzero(found.reasons).tolist()
    assert refused == ([5] if level == 1 else list(range(16)))


def test_a_leaf_may_have_bits_that_a_table_may_not():
    tables, context, iovas = plain()
    for iova in iovas.tolist():
        at = tables.entry_at(context.table, 4, iova)
        tables.memory.store(at, 8, tables.memory.load(at, 8) | SNP | TM)
    start = Start(4, context.table)
    assert BatchWalk(tables.memory, FULL).certain(start, iovas, False) is not None
    less = FULL._replace(snoop=False)
    assert BatchWalk(tables.memory, less).certain(start, iovas, False) is None
    assert set(BatchWalk(tables.memory, less).descend(start, iovas, False).reasons) == {0xC}


@pytest.mark.parametrize("level", [2, 3])
def test_large_pages_are_walked_level_by_level(level):
    tables, context, iovas = plain(level=level)
    start = Start(4, context.table)
    batch = BatchWalk(tables.memory, FULL)
    assert batch.certain(start, iovas, False) is None
    size = 1 << index_bits(level).lo
    assert batch.descend(start, iovas, False).gpas.tolist() == [
        (37 * n % 16) * size + n for n in range(16)
    ]


@pytest.mark.parametrize("level", [2, 3])
def test_all_addresses_in_one_large_page(level):
    """They meet the same entries down to the page, so none of them parts from the others."""
    tables, context, iovas = plain(level=level)
    inside = iovas[3] + np.arange(100) * 4000
    found = BatchWalk(tables.memory, FULL).descend(Start(4, context.table), inside, True)
    size = 1 << index_bits(level).lo
    assert found.gpas.tolist() == [37 * 3 % 16 * size + 3 + n * 4000 for n in range(100)]


def test_a_table_above_what_the_host_has_is_reserved_though_memory_is_there():
    """The addresses part at the top, so each of its entries is asked."""
    memory = GuestMemory(1 << 20)
    tables = Tables(memory, first=1 << 18)
    table = tables.attach(SID)
    iovas = np.array([0x7000, 1 << 39 | 0x7000])
    for iova in iovas.tolist():
        tables.map(table, iova, 0x9000)
    start, less = Start(4, table), FULL._replace(host_width=18)
    assert not BatchWalk(memory, FULL).descend(start, iovas, True).reasons.any()
    found = BatchWalk(memory, less).descend(start, iovas, True)
    assert descend(memory, less, start, 0x7000, True).reason is Reason.PAGING_RESERVED
    assert found.reasons.tolist() == [Reason.PAGING_RESERVED] * 2


def test_a_table_below_the_memory_that_has_the_others_is_not_there():
    """Tables lie from 1 MiB on, and nothing below: an entry that points there is no table."""
    memory = GuestMemory([(1 << 20, 1 << 20)])
    tables = Tables(memory, first=(1 << 20) + 16 * PAGE)
    table = tables.attach(SID)
    iovas = np.array([0x7000, 0x20_7000])
    for iova in iovas.tolist():
        tables.map(table, iova, 0x10_9000)
    start, batch = Start(4, table), BatchWalk(memory, FULL)
    assert not batch.descend(start, iovas, True).reasons.any()
    memory.store(tables.entry_at(table, 4, 0x7000, level=2), 8, 0x8_0000 | RW)
    memory.store(1 << 20, 8, 0x10_9000 | RW)  # a clipped index would find this
    assert batch.descend(start, iovas, True).reasons.tolist() == [Reason.PAGING_ACCESS, 0]


def test_a_right_that_was_lost_above_is_lost():
    """A start from the paging-structure cache may have no right to write any more."""
    tables, context, iovas = plain()
    start = Start(4, context.table, write=False)
    batch = BatchWalk(tables.memory, FULL)
    assert set(batch.descend(start, iovas, True).reasons) == {Reason.WRITE}
    assert not batch.descend(start, iovas, False).reasons.any()


def test_a_table_that_is_not_there_is_the_fault_of_the_entry_above():
    tables, _, iovas = plain()
    batch = BatchWalk(tables.memory, FULL)
    nowhere = 1 << 38
    assert set(batch.descend(Start(4, nowhere), iovas, True).reasons) == {Reason.CONTEXT_INVALID}
    below = Start(3, nowhere, top=False)
    assert set(batch.descend(below, iovas, True).reasons) == {Reason.PAGING_ACCESS}


def test_no_page_leads_to_where_interrupts_are_written():
    tables, context, iovas = plain()
    at = tables.entry_at(context.table, 4, int(iovas[7]))
    tables.memory.store(at, 8, 0xFEE1_2000 | RW)
    found = BatchWalk(tables.memory, FULL).descend(Start(4, context.table), iovas, True)
    assert found.reasons.tolist() == [0] * 7 + [0xE] + [0] * 8
    assert found.gpas[7] == 0


# -- from the context on


@pytest.mark.parametrize(
    ("fields", "levels"),
    [({}, 3), ({}, 4), ({}, 5), ({"TT": 1}, 4), ({"TT": 2}, 3), ({"TT": 3}, 4)],
)
def test_from_the_context_on(fields, levels):
    tables = Tables()
    table = tables.attach(SID, levels=levels, **fields)
    tables.map(table, 0x7000, 0x9000, levels=levels)
    context = find_context(tables.memory, tables.root, FULL, SID)
    edges = [0x7123, 0x8000, (1 << 39) - 1, 1 << 39, 1 << 48, 1 << 57, -1, -(1 << 63)]
    iovas = np.array(edges, np.int64)
    found = BatchWalk(tables.memory, FULL).translate(context, iovas, False)
    for iova, gpa, reason in zip(edges, *map(np.ndarray.tolist, found), strict=True):
        one = translate(tables.memory, tables.root, FULL, SID, iova & (1 << 64) - 1, False)
        assert (one.gpa, one.reason or 0) == (gpa, reason)


def test_all_in_the_width_and_none_at_all():
    tables, context, iovas = plain()
    batch = BatchWalk(tables.memory, FULL)
    assert batch.translate(context, np.array([iovas[3], -1]), True).reasons.tolist() == [0, 4]
    assert not batch.translate(context, iovas, True).reasons.any()
    assert [len(each) for each in batch.translate(context, iovas[:0], True)] == [0, 0]
    wrong = Context((), 0, Reason.ROOT_NOT_PRESENT)
    assert set(batch.translate(wrong, iovas, True).reasons) == {Reason.ROOT_NOT_PRESENT}
    through = Context((), CONTEXT.pack(P=1, AW=2, TT=2))
    assert batch.translate(through, iovas, True).gpas.tolist() == iovas.tolist()


# -- what is kept


def test_results_are_the_callers_own():
    tables, context, iovas = plain()
    batch = BatchWalk(tables.memory, FULL)
    first = batch.translate(context, iovas, True)
    kept = first.gpas.copy()
    batch.translate(context, iovas[::-1].copy(), True)
    assert np.array_equal(first.gpas, kept)


def test_few_sizes_are_kept():
    tables, context, iovas = plain()
    batch = BatchWalk(tables.memory, FULL)
    for n in range(1, 3 * SIZES):
        batch.translate(context, iovas[:n], True)
    assert len(batch._scratch._kept) == SIZES


def test_memory_that_becomes_another_array_is_looked_at_again():
    tables, context, iovas = plain()
    batch = BatchWalk(tables.memory, FULL)
    before = batch.translate(context, iovas, True)
    tables.memory.bytes = tables.memory.bytes.copy()
    tables.memory._view = tables.memory.bytes.data
    at = tables.entry_at(context.table, 4, int(iovas[0]))
    tables.memory.store(at, 8, 0x5000 | RW)
    after = batch.translate(context, iovas, True)
    assert after.gpas[0] == 0x5000
    assert np.array_equal(after.gpas[1:], before.gpas[1:])
