"""What is changed in a table and not invalidated stays as it was; what is invalidated does not.

Each test on our unit and on QEMU's, by the queue and by the registers. A stale entry is no accident
of a model: software that forgets to invalidate leaves a device in memory that is somebody else's.
"""

import pytest

from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES, world_fixture
from virtlab.guest.vtd_tables import RootTable
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

IOVA, OTHER = 0x40_0000, 0x80_0000
WAYS = {"queue": True, "registers": False}


world = world_fixture("4 levels")


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def vtd(request, world):
    """Two devices in two domains, with a page each that the unit knows of."""
    vtd = world.driver(request.param)
    vtd.mine, vtd.other = vtd.new_domain(), vtd.new_domain()
    vtd.attach(EDU, vtd.mine)
    vtd.attach(EDU2, vtd.other)
    vtd.map(vtd.mine, IOVA, FRAMES, 2 * PAGE)
    vtd.map(vtd.other, IOVA, FRAMES + 2 * PAGE, PAGE)
    vtd.enable()
    assert world.reaches(IOVA, FRAMES)
    assert world.reaches(IOVA, FRAMES + 2 * PAGE, EDU2)
    return vtd


def reasons(vtd):
    return [fault.reason for fault in vtd.faults.read()]


PAGES = {
    "everything": (lambda vtd: vtd.invalidation.pages(), True),
    "the domain": (lambda vtd: vtd.invalidation.pages(vtd.mine.number), True),
    "the page": (lambda vtd: vtd.invalidation.pages(vtd.mine.number, IOVA), True),
    "the page, with the hint": (
        lambda vtd: vtd.invalidation.pages(vtd.mine.number, IOVA, hint=True),
        True,
    ),
    "a range around it": (
        lambda vtd: vtd.invalidation.pages(vtd.mine.number, IOVA - PAGE, 4 * PAGE),
        True,
    ),
    "a range that is too long": (
        lambda vtd: vtd.invalidation.pages(vtd.mine.number, 0, 1 << 40),
        True,
    ),
    "nothing": (lambda vtd: None, False),
    "the next page": (lambda vtd: vtd.invalidation.pages(vtd.mine.number, IOVA + PAGE), False),
    "another domain": (lambda vtd: vtd.invalidation.pages(vtd.other.number), False),
    "that page of another domain": (
        lambda vtd: vtd.invalidation.pages(vtd.other.number, IOVA),
        False,
    ),
}
"""What is invalidated, and whether that is enough for one page."""


@pytest.mark.parametrize("what", PAGES)
def test_a_page_that_was_unmapped_is_reached_until_it_is_invalidated(world, vtd, what):
    """6.2.3, 6.5: the exploit of lesson 19, and its cure."""
    invalidate, enough = PAGES[what]
    vtd.mine.unmap(IOVA, PAGE)
    assert world.reaches(IOVA, FRAMES)  # the page is no longer its own
    invalidate(vtd)
    assert world.reaches(IOVA, FRAMES) != enough
    assert reasons(vtd) == [Reason.WRITE] * enough


def test_a_page_that_was_moved_is_where_it_was(world, vtd):
    vtd.mine.unmap(IOVA, PAGE)
    vtd.mine.map(IOVA, FRAMES + 5 * PAGE, PAGE)
    assert world.reaches(IOVA, FRAMES)
    vtd.invalidation.pages(vtd.mine.number, IOVA)
    assert world.reaches(IOVA, FRAMES + 5 * PAGE)
    assert not world.reaches(IOVA, FRAMES)


def test_a_page_that_is_new_is_seen_at_once(world, vtd):
    """6.1: what is not present is not kept, out of caching mode."""
    assert not world.reaches(OTHER, FRAMES)
    vtd.mine.map(OTHER, FRAMES, PAGE)
    assert world.reaches(OTHER, FRAMES)


def test_a_large_page_is_forgotten_by_any_part_of_it(world, vtd):
    """6.5.1.2: an invalidation covers every page that it touches."""
    large = 2 << 20
    vtd.map(vtd.mine, 1 << 30, FRAMES, large)
    assert world.reaches((1 << 30) + 8 * PAGE, FRAMES + 8 * PAGE)
    vtd.mine.unmap(1 << 30, large)
    assert world.reaches((1 << 30) + 8 * PAGE, FRAMES + 8 * PAGE)
    vtd.invalidation.pages(vtd.mine.number, (1 << 30) + 3 * PAGE)
    assert not world.reaches((1 << 30) + 8 * PAGE, FRAMES + 8 * PAGE)


def test_the_driver_itself_leaves_nothing_stale(world, vtd):
    vtd.unmap(vtd.mine, IOVA, 2 * PAGE)
    assert not world.reaches(IOVA, FRAMES)
    assert not world.reaches(IOVA + PAGE, FRAMES + PAGE)
    assert world.reaches(IOVA, FRAMES + 2 * PAGE, EDU2)


CONTEXTS = {
    "everything": (lambda vtd: vtd.invalidation.contexts(), True),
    "the domain": (lambda vtd: vtd.invalidation.contexts(vtd.mine.number), True),
    "the device": (lambda vtd: vtd.invalidation.contexts(vtd.mine.number, EDU), True),
    "nothing": (lambda vtd: None, False),
    "another device": (lambda vtd: vtd.invalidation.contexts(vtd.other.number, EDU2), False),
}


@pytest.mark.parametrize("what", CONTEXTS)
def test_a_context_entry_counts_until_it_is_invalidated(world, vtd, what):
    """6.2.2: a device that was taken out of its domain; the IOTLB is empty each time."""
    invalidate, enough = CONTEXTS[what]
    vtd.root.detach(EDU)
    vtd.invalidation.pages()
    assert world.reaches(IOVA, FRAMES)
    invalidate(vtd)
    vtd.invalidation.pages()
    assert world.reaches(IOVA, FRAMES) != enough
    assert reasons(vtd) == [Reason.CONTEXT_NOT_PRESENT] * enough


def test_a_new_root_table_counts_from_the_command_and_its_invalidation_on(world, vtd):
    """10.4.6: RTADDR alone does nothing; after SRTP the caches still know the old one."""
    old, new = vtd.root, RootTable(vtd.cpu, vtd.pages)
    vtd.registers.put(VtdRegisters.RTADDR, new.gpa)
    vtd.forget_all()
    assert world.reaches(IOVA, FRAMES)
    vtd.set_root(new)
    assert not world.reaches(IOVA, FRAMES)
    assert reasons(vtd) == [Reason.ROOT_NOT_PRESENT]
    vtd.set_root(old)
    assert world.reaches(IOVA, FRAMES)
