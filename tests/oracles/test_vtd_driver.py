"""The driver of a remapping unit, unchanged, on our unit and on QEMU's: tables, on and off."""

import pytest

from tests.guest.vtd_units import attached
from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES, UNITS, Ours, each_world, world_of
from virtlab.guest.vtd_invalidate import ByRegisters
from virtlab.guest.vtd_registers import VtdFailed
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

LARGE, HUGE = 2 << 20, 1 << 30
WAYS = {"queue": True, "registers": False}
DEPTHS = [
    (unit, levels) for unit in UNITS for levels in (3, 4) if (unit, levels) != ("3 levels", 4)
]


@pytest.fixture(scope="module", params=each_world())
def worlds(request, tmp_path_factory):
    """The machines of one kind, by unit, each made when it is first asked for."""
    made, open_ones = {}, []

    def world(unit):
        if unit not in made:
            options, capabilities = UNITS[unit]
            manager = world_of(request.param, tmp_path_factory.mktemp("vtd"), options, capabilities)
            open_ones.append(manager)
            made[unit] = manager.__enter__()
        return made[unit]

    yield world
    for manager in open_ones:
        manager.__exit__(None, None, None)


@pytest.fixture
def world(worlds):
    return worlds("4 levels")


def reasons(vtd):
    return [fault.reason for fault in vtd.faults.read()]


# -- on and off


@pytest.mark.parametrize("queued", WAYS.values(), ids=WAYS)
def test_nothing_is_translated_until_it_is_enabled_and_nothing_after(world, queued):
    """10.4.4, TE. A device whose bus has no table then reaches nothing (7.1.3, reason 1)."""
    vtd = world.driver(queued)
    assert not vtd.enabled
    assert world.reaches(FRAMES, FRAMES)
    vtd.enable()
    assert vtd.enabled
    assert not world.reaches(FRAMES, FRAMES)
    assert reasons(vtd) == [Reason.ROOT_NOT_PRESENT]
    vtd.disable()
    assert world.reaches(FRAMES, FRAMES)
    assert reasons(vtd) == []


def test_a_command_leaves_the_other_switches_as_they_are(world):
    """10.4.4: one bit changes in a write, and GSTS has those that shall stay."""
    gsts = VtdRegisters.GSTS
    vtd, _ = attached(world)
    vtd.remap_interrupts()
    on = vtd.registers.get(gsts)
    for field in (gsts.TES, gsts.QIES, gsts.IRES, gsts.RTPS, gsts.IRTPS):
        assert field.get(on)
    vtd.disable()
    assert vtd.registers.get(gsts) == on & ~gsts.TES.mask
    vtd.interrupts.disable()
    assert vtd.registers.get(gsts) == on & ~gsts.TES.mask & ~gsts.IRES.mask


def test_a_driver_that_starts_again_finds_nothing_of_the_one_before(world):
    vtd, domain = attached(world)
    vtd.map(domain, 0x40_0000, FRAMES, PAGE)
    vtd.remap_interrupts()
    assert world.reaches(0x40_0000, FRAMES)
    again = world.driver()
    assert not again.enabled
    assert not again.registers.is_on(VtdRegisters.GSTS.IRES)
    again.enable()
    assert not world.reaches(0x40_0000, FRAMES)
    assert reasons(again) == [Reason.ROOT_NOT_PRESENT]


def test_with_the_queue_on_our_registers_do_nothing():
    """6.5.2: what software asks of CCMD and IOTLB then has no effect, and the unit says so."""
    world = Ours()
    vtd, domain = attached(world)
    vtd.map(domain, 0x40_0000, FRAMES, PAGE)
    assert world.reaches(0x40_0000, FRAMES)
    domain.unmap(0x40_0000, PAGE)
    for invalidate in (ByRegisters(vtd.registers).pages, ByRegisters(vtd.registers).contexts):
        with pytest.raises(VtdFailed, match="did nothing"):
            invalidate()
    assert world.reaches(0x40_0000, FRAMES)
    vtd.forget_all()
    assert not world.reaches(0x40_0000, FRAMES)


# -- tables


@pytest.mark.parametrize(("unit", "levels"), DEPTHS)
@pytest.mark.parametrize("queued", WAYS.values(), ids=WAYS)
def test_exactly_the_mapped_pages_are_reached(worlds, unit, levels, queued):
    """3.7: each page through so many levels; its neighbours through none."""
    world = worlds(unit)
    vtd, domain = attached(world, queued, levels)
    top = (1 << domain.width) - PAGE
    for iova, frame in ((0x40_0000, 3), (top, 5), (1 << 30, 4)):
        vtd.map(domain, iova, FRAMES + frame * PAGE, PAGE)
        assert world.reaches(iova + 0x10, FRAMES + frame * PAGE + 0x10)
        assert world.reaches(iova + PAGE - 4, FRAMES + (frame + 1) * PAGE - 4)
        for near in (iova - PAGE, iova + PAGE):
            assert not world.reaches(near, FRAMES + frame * PAGE)
            (fault,) = vtd.faults.read()
            outside = near == 1 << domain.width
            assert fault.reason == (Reason.BEYOND_WIDTH if outside else Reason.WRITE)
            assert (fault.source_id, fault.iova, fault.write) == (EDU, near, True)
    assert [page.iova for page in domain.mapped()] == [0x40_0000, 1 << 30, top]


def test_the_rights_of_a_page_are_those_that_were_given(world):
    """7.1.3: reasons 5 and 6."""
    vtd, domain = attached(world)
    vtd.map(domain, 0x40_0000, FRAMES, PAGE, write=False)
    vtd.map(domain, 0x50_0000, FRAMES + PAGE, PAGE, read=False)
    assert not world.reaches(0x40_0000, FRAMES)
    assert reasons(vtd) == [Reason.WRITE]
    world.read(0x50_0000)
    (fault,) = vtd.faults.read()
    assert (fault.reason, fault.write, fault.iova) == (Reason.READ, False, 0x50_0000)
    world.read(0x40_0000)
    assert world.reaches(0x50_0000, FRAMES + PAGE)
    assert reasons(vtd) == []


@pytest.mark.parametrize("unit", ["3 levels", "4 levels"])
def test_large_pages_are_used_where_they_fit(worlds, unit):
    """3.7: SLLPS; a page of 1 GiB, and of 2 MiB, and small ones around."""
    world = worlds(unit)
    vtd, domain = attached(world)
    vtd.map(domain, HUGE, 0, HUGE)
    vtd.map(domain, 4 * HUGE - PAGE, FRAMES - PAGE, LARGE + 2 * PAGE)
    sizes = [page.size for page in domain.mapped()]
    assert sizes == [HUGE, PAGE, LARGE, PAGE]
    for offset in (FRAMES, FRAMES + 0x12_3454, 2 * FRAMES):
        assert world.reaches(HUGE + offset, offset)
    for offset in (-PAGE, 0, LARGE - 4, LARGE):
        assert world.reaches(4 * HUGE + offset, FRAMES + offset)
    assert reasons(vtd) == []
    assert not world.reaches(4 * HUGE + LARGE + PAGE, FRAMES + LARGE + PAGE)
    assert reasons(vtd) == [Reason.WRITE]


# -- domains


def test_two_devices_in_two_domains_see_two_memories(world):
    """3.4.2: the same iova, by who asks."""
    vtd, mine = attached(world)
    other = vtd.new_domain()
    vtd.attach(EDU2, other)
    vtd.map(mine, 0x40_0000, FRAMES, PAGE)
    vtd.map(other, 0x40_0000, FRAMES + PAGE, PAGE)
    assert mine.number != other.number
    world.write(0x40_0000, 0x1111)
    world.write(0x40_0000, 0x2222, EDU2)
    assert [world.cpu.load(FRAMES + n * PAGE, 4) for n in (0, 1)] == [0x1111, 0x2222]
    assert reasons(vtd) == []
    world.write(0x50_0000, 0x2222, EDU2)
    assert [(f.source_id, f.reason) for f in vtd.faults.read()] == [(EDU2, Reason.WRITE)]


def test_two_devices_in_one_domain_see_one_memory(world):
    vtd, domain = attached(world)
    vtd.attach(EDU2, domain)
    vtd.map(domain, 0x40_0000, FRAMES, PAGE)
    world.write(0x40_0000, 0x1111)
    world.write(0x40_0004, 0x2222, EDU2)
    assert world.cpu.load(FRAMES, 8) == 0x2222_0000_1111


def test_a_device_that_passes_through_is_not_translated(world):
    """9.3: TT = 10b."""
    vtd = world.driver()
    vtd.pass_through(EDU)
    vtd.enable()
    assert world.reaches(FRAMES, FRAMES)
    world.write(FRAMES, 0x2222, EDU2)
    assert [(f.source_id, f.reason) for f in vtd.faults.read()] == [
        (EDU2, Reason.CONTEXT_NOT_PRESENT)
    ]


def test_a_device_that_is_detached_reaches_nothing(world):
    vtd, domain = attached(world)
    vtd.map(domain, 0x40_0000, FRAMES, PAGE)
    assert world.reaches(0x40_0000, FRAMES)
    vtd.detach(EDU)
    assert not world.reaches(0x40_0000, FRAMES)
    assert reasons(vtd) == [Reason.CONTEXT_NOT_PRESENT]
    vtd.attach(EDU, domain)
    assert world.reaches(0x40_0000, FRAMES)
