"""The listing: the map that the walks of all addresses would draw, and no work without end."""

import random

import pytest

from tests.iommu.tables import RW, Tables
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import find_context
from virtlab.iommu.layouts import CONTEXT
from virtlab.iommu.listing import Budget, Page, contexts, pages
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import translate
from virtlab.memory import PAGE

CAPS = Capabilities(host_width=39)
SID = 0x0118
IOVA = 0x12_3456_7000


def listed(tables, source_id=SID, budget=None):
    context = find_context(tables.memory, tables.root, CAPS, source_id)
    return list(pages(tables.memory, CAPS, context, budget or Budget()))


def one_page(**fields):
    tables = Tables()
    table = tables.attach(SID, **fields)
    return tables, table, tables.map(table, IOVA, 0x9000)


# -- contexts


def test_every_context_that_is_present_is_found():
    tables = Tables()
    for number, source_id in enumerate((0x0000, 0x00FF, 0x0118, 0xFFFF)):
        tables.attach(source_id, domain=number)
    found = list(contexts(tables.memory, tables.root, CAPS))
    assert [(source_id, context.domain) for source_id, context in found] == [
        (0x0000, 0),
        (0x00FF, 1),
        (0x0118, 2),
        (0xFFFF, 3),
    ]


def test_a_context_that_is_wrong_is_found_with_its_reason():
    tables, _, _ = one_page(TT=3)
    ((source_id, context),) = contexts(tables.memory, tables.root, CAPS)
    assert (source_id, context.reason) == (SID, Reason.CONTEXT_INVALID)
    assert listed(tables) == []


@pytest.mark.parametrize(
    ("root", "reason"), [(1 << 38 | 1, Reason.CONTEXT_ACCESS), (0x9005, Reason.ROOT_RESERVED)]
)
def test_a_root_entry_that_is_wrong_stands_for_its_bus(root, reason):
    tables, _, _ = one_page()
    tables.memory.store(tables.root + 16 * 7, 16, root)
    found = list(contexts(tables.memory, tables.root, CAPS))
    assert [(source_id, context.reason) for source_id, context in found] == [
        (SID, None),
        (0x0700, reason),
    ]


def test_no_root_table_at_all():
    tables, _, _ = one_page()
    found = list(contexts(tables.memory, 1 << 38, CAPS))
    assert len(found) == 256
    assert {context.reason for _, context in found} == {Reason.ROOT_ACCESS}


# -- pages


@pytest.mark.parametrize("levels", [3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_list_is_what_the_walks_give(levels, seed):
    """Each page by its first and its last byte, with the rights of its way; and nothing else."""
    number = random.Random(seed)
    tables = Tables()
    table = tables.attach(SID, levels=levels)
    mapped = set()
    for _ in range(24):
        level = number.choice([1, 1, 1, 2, 3])
        size = PAGE << 9 * (level - 1)
        iova = number.randrange(4) << 30 | number.randrange(4) << 21 | number.randrange(4) << 12
        iova &= -size
        rights = number.choice([0, 1, 2, 3, 3])
        if not any(other <= iova < other + n or iova <= other < iova + size for other, n in mapped):
            tables.map(table, iova, 0x4000_0000 & -size, levels=levels, level=level, rights=rights)
            mapped.add((iova, size))
    found = listed(tables)
    assert [page.iova for page in found] == sorted(page.iova for page in found)
    told = {(page.iova, page.size): page for page in found}
    for iova, size in mapped:
        ways = [walk_of(tables, iova, write) for write in (False, True)]
        page = told.pop((iova, size), None)
        assert (page is None) == all(way.reason is not None for way in ways)
        if page is not None:
            assert (page.read, page.write) == tuple(way.reason is None for way in ways)
            good = next(way for way in ways if way.reason is None)
            assert (page.gpa, page.size, page.reason) == (good.gpa, good.size, None)
            last = walk_of(tables, iova + size - 1, not page.read)
            assert last.gpa == page.gpa + size - 1
    assert not told


def walk_of(tables, iova, write):
    return translate(tables.memory, tables.root, CAPS, SID, iova, write)


def test_a_right_that_is_lost_above_is_lost():
    tables, table, _ = one_page()
    at = tables.entry_at(table, 4, IOVA, level=3)
    tables.memory.store(at, 8, tables.memory.load(at, 8) & ~2)
    assert [(page.read, page.write) for page in listed(tables)] == [(True, False)]
    leaf = tables.entry_at(table, 4, IOVA)
    tables.memory.store(leaf, 8, 0x9002)
    assert listed(tables) == []


@pytest.mark.parametrize(
    ("level", "entry", "reason"),
    [
        (1, 0x9003 | 1 << 39, Reason.PAGING_RESERVED),
        (1, 0xFEE0_0003, Reason.INTERRUPT_RANGE),
        (2, 0x9003 | 1 << 7, Reason.PAGING_RESERVED),
        (3, 0x9003 | 1 << 62, Reason.PAGING_RESERVED),
        (3, 1 << 38 | RW, Reason.PAGING_ACCESS),
    ],
)
def test_an_entry_that_is_wrong_is_told_where_it_stands(level, entry, reason):
    tables, table, _ = one_page()
    tables.memory.store(tables.entry_at(table, 4, IOVA, level), 8, entry)
    (page,) = listed(tables)
    size = PAGE << 9 * (level - 1)
    assert (page.iova, page.size, page.level) == (IOVA & -size, size, level)
    assert page.reason is reason
    assert walk_of(tables, page.iova, False).reason is reason


def test_a_top_table_that_is_not_there_is_the_fault_of_the_context():
    tables = Tables()
    tables.memory.store(tables.context_at(SID), 16, CONTEXT.pack(P=1, AW=2, SLPTPTR=1 << 26))
    assert listed(tables) == [Page(0, 1 << 38, 1 << 48, False, False, 0, Reason.CONTEXT_INVALID)]


@pytest.mark.parametrize("kind", [2])
def test_a_domain_that_is_passed_through_has_no_pages(kind):
    tables, _, _ = one_page(TT=kind)
    assert listed(tables) == []


# -- how much


def test_tables_that_lead_to_themselves_end():
    tables = Tables()
    table = tables.attach(SID)
    for number in range(512):
        tables.memory.store(table + 8 * number, 8, table | RW)
    budget = Budget(tables=5, pages=10_000)
    found = listed(tables, budget=budget)
    # Down to level 1 once, which has 512 pages; there is one table left.
    assert (len(found), budget.spent) == (1024, True)
    budget = Budget(tables=1000, pages=100)
    assert (len(listed(tables, budget=budget)), budget.spent) == (100, True)
    # No table is read any more when the pages are spent.
    assert budget.tables == 1000 - 4


def test_a_budget_is_shared_and_stays_spent():
    tables, _, _ = one_page()
    budget = Budget(tables=6)
    assert len(listed(tables, budget=budget)) == 1
    assert not budget.spent
    assert listed(tables, budget=budget) == []
    assert budget.spent
