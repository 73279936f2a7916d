"""The tables that the driver of a remapping unit writes: what they say, and in which order."""

import random

import pytest

from tests.guest.vtd_units import HUGE, LARGE, attached, walked
from tests.oracles.vtd_worlds import EDU, EDU2, FOUR, FRAMES, Ours
from virtlab.cpu import Recorder
from virtlab.guest.room import Room
from virtlab.guest.vtd_tables import TablePages
from virtlab.iommu.context import find_context
from virtlab.iommu.layouts import CONTEXT, ROOT
from virtlab.iommu.reasons import Reason
from virtlab.memory import PAGE


def test_random_changes_leave_exactly_what_a_list_says():
    """A thousand maps and unmaps; then memory, the unit and `mapped` agree with a dictionary."""
    rng = random.Random(4)
    world = Ours()
    vtd, domain = attached(world)
    model = {}
    for _ in range(1000):
        page, count = rng.randrange(64), rng.randint(1, 8)
        iova, wanted = page * PAGE, range(page, page + count)
        if rng.random() < 0.6:
            gpa = FRAMES + rng.randrange(512) * PAGE
            read, write = rng.choice([(True, True), (True, False), (False, True)])
            if any(each in model for each in wanted):
                with pytest.raises(ValueError, match="mapped already"):
                    vtd.map(domain, iova, gpa, count * PAGE, read, write)
                continue
            vtd.map(domain, iova, gpa, count * PAGE, read, write)
            model |= {each: (gpa + (each - page) * PAGE, read, write) for each in wanted}
        else:
            vtd.unmap(domain, iova, count * PAGE)
            model = {each: value for each, value in model.items() if each not in wanted}
    found = {p.iova // PAGE: (p.gpa, p.read, p.write) for p in domain.mapped()}
    assert found == model
    for page in range(80):
        walk = walked(world, vtd, page * PAGE)
        gpa, read, _ = model.get(page, (0, False, False))
        assert walk.reason == (None if read else Reason.READ)
        assert walk.gpa == gpa * read


def test_large_pages_need_their_alignment_on_both_sides():
    world = Ours()
    vtd, domain = attached(world)
    vtd.map(domain, 0, LARGE, LARGE)
    vtd.map(domain, LARGE, LARGE + PAGE, LARGE)
    vtd.map(domain, HUGE, 0, HUGE + LARGE + PAGE)
    sizes = [page.size for page in domain.mapped()]
    assert sizes == [LARGE] + [PAGE] * 512 + [HUGE, LARGE, PAGE]
    assert walked(world, vtd, HUGE + LARGE + 5).gpa == LARGE + 5


def test_where_a_table_was_no_large_page_takes_its_place():
    """Rule 2 of `vtd_tables`: so the hint IH is true whenever the driver gives it."""
    world = Ours()
    _, domain = attached(world)
    domain.map(0, FRAMES, PAGE)
    domain.unmap(0, PAGE)
    domain.map(0, 0, LARGE)
    assert [page.size for page in domain.mapped()] == [PAGE] * 512


def test_a_range_that_is_looked_at_from_its_middle():
    world = Ours()
    _, domain = attached(world)
    domain.map(HUGE - PAGE, FRAMES, 3 * PAGE)
    domain.map(2 * HUGE, 0, HUGE)
    assert [page.iova for page in domain.mapped(HUGE, PAGE)] == [HUGE]
    assert [page.iova for page in domain.mapped(2 * HUGE + 5 * LARGE, PAGE)] == [2 * HUGE]
    assert list(domain.mapped(HUGE + 2 * PAGE, HUGE - 2 * PAGE)) == []


WRONG = {
    "no whole page": ((1, 0, PAGE), "no pages"),
    "half a page": ((0, 0, 100), "no pages"),
    "nothing": ((0, 0, 0), "no pages"),
    "before the first": ((-PAGE, 0, PAGE), "no pages"),
    "past the last": (((1 << 48) - PAGE, 0, 2 * PAGE), "no pages"),
    "a gpa inside a page": ((0, 5, PAGE), "no pages"),
    "no memory has it": ((0, 1 << 46, PAGE), "of the machine"),
    "no right": ((0, 0, PAGE, False, False), "without a right"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_mapped(name):
    arguments, why = WRONG[name]
    world = Ours(FOUR)
    vtd, domain = attached(world)
    with pytest.raises(ValueError, match=why):
        vtd.map(domain, *arguments)
    assert list(domain.mapped()) == []


def test_a_part_of_a_large_page_is_not_unmapped():
    world = Ours()
    vtd, domain = attached(world)
    vtd.map(domain, 0, 0, LARGE)
    vtd.map(domain, LARGE, FRAMES, PAGE)
    for iova, length in ((0, PAGE), (LARGE - PAGE, 2 * PAGE)):
        with pytest.raises(ValueError, match="0x200000 bytes"):
            vtd.unmap(domain, iova, length)
    assert len(list(domain.mapped())) == 2
    with pytest.raises(ValueError, match="no pages"):
        vtd.unmap(domain, 1, PAGE)


def test_nothing_that_is_half_written_is_ever_found():
    """Rule 1: after each single store the unit finds the old entry or the new one."""
    world = Ours()
    vtd, _ = attached(world)
    states = []

    class Watching(Recorder):
        def store(self, gpa, value, size=4):
            super().store(gpa, value, size)
            context = find_context(world.ram, vtd.root.gpa, vtd.capabilities, EDU2)
            states.append((context.reason, context.domain if context.reason is None else None))

    watching = Watching(world.cpu)
    vtd.root.cpu = watching
    deep = vtd.new_domain(5)
    vtd.root.attach(EDU2, deep)
    vtd.root.detach(EDU2)
    nothing = (Reason.CONTEXT_NOT_PRESENT, None)
    assert states == [nothing, (None, deep.number), nothing, nothing]


def test_who_is_attached_is_not_attached_again():
    world = Ours()
    vtd, domain = attached(world)
    with pytest.raises(ValueError, match="attached already"):
        vtd.attach(EDU, domain)
    with pytest.raises(ValueError, match="attached to nothing"):
        vtd.detach(EDU2)
    with pytest.raises(ValueError, match="attached to nothing"):
        vtd.detach(0x1234)
    assert CONTEXT.DID.get(vtd.root.entry(EDU)) == domain.number
    vtd.attach(0xFFFF, domain)
    root = vtd.cpu.load(vtd.root.gpa + 255 * ROOT.size, 8)
    assert ROOT.P.get(root)
    assert vtd.root.entry_gpa(0xFFFF) == (root & ROOT.CTP.mask) + 255 * CONTEXT.size


def test_tables_end_with_their_room():
    world = Ours()
    pages = TablePages(world.cpu, Room(PAGE, 3 * PAGE))
    world.cpu.write(2 * PAGE, b"x" * PAGE)
    assert pages.take(2) == 2 * PAGE
    assert world.cpu.read(2 * PAGE, PAGE) == bytes(PAGE)
    with pytest.raises(ValueError, match="do not fit"):
        pages.take()
