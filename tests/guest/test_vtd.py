"""The driver of a remapping unit, on units of ours that QEMU has not.

What holds on both is in `tests/oracles/test_vtd_*.py`.
"""

import pytest

from tests.guest.vtd_units import ALL, HUGE, LARGE, attached
from tests.oracles.vtd_worlds import EDU, EDU2, FOUR, FRAMES, Ours
from virtlab.cpu import Recorder
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.guest.vtd_registers import VtdFailed
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.memory import PAGE

CAP, ECAP = VtdRegisters.CAP, VtdRegisters.ECAP


# -- units of all kinds

KINDS = {
    "everything": ALL,
    "5 levels alone": ALL._replace(levels=(5,)),
    "3 levels alone": ALL._replace(levels=(3,), guest_width=39),
    "no large pages": ALL._replace(large_levels=()),
    "2 MiB pages alone": ALL._replace(large_levels=(2,)),
    "no page-selective invalidation": ALL._replace(page_selective=False),
    "one page at a time": ALL._replace(address_mask=0),
    "caching mode": ALL._replace(caching_mode=True),
    "write buffers": ALL._replace(write_buffers=True),
    "one record": ALL._replace(records=1),
    "a root table that flushes": ALL._replace(set_root_flushes=True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queued", [True, False], ids=["queue", "registers"])
def test_the_driver_serves_every_kind_of_unit(kind, queued):
    """Mapped, reached; unmapped, not reached; attached, detached, attached."""
    world = Ours(KINDS[kind])
    vtd, domain = attached(world, queued)
    other = max(vtd.capabilities.levels)
    for iova, gpa, length in ((0x7000, FRAMES, PAGE), (4 * HUGE, FRAMES, 2 * LARGE)):
        assert not world.reaches(iova, gpa)
        vtd.map(domain, iova, gpa, length)
        assert world.reaches(iova + length - 4, gpa + length - 4)
        vtd.unmap(domain, iova, length)
        assert not world.reaches(iova + length - 4, gpa + length - 4)
    assert not world.reaches(0x7000, FRAMES, EDU2)
    deep = vtd.new_domain(other)
    vtd.map(deep, 0x7000, FRAMES, PAGE)
    vtd.attach(EDU2, deep)
    assert world.reaches(0x7000, FRAMES, EDU2)
    vtd.detach(EDU2)
    assert not world.reaches(0x7000, FRAMES, EDU2)
    vtd.pass_through(EDU2)
    assert world.reaches(FRAMES, FRAMES, EDU2)


def test_a_unit_without_a_queue_is_served_by_registers():
    world = Ours(FOUR)
    world.unit.preset(ECAP=ECAP.QI.put(world.unit.ECAP, 0))
    vtd, domain = attached(world)
    assert vtd.ring is None
    vtd.map(domain, 0x7000, FRAMES, PAGE)
    assert world.reaches(0x7000, FRAMES)
    vtd.unmap(domain, 0x7000, PAGE)
    assert not world.reaches(0x7000, FRAMES)
    with pytest.raises(VtdFailed, match="queue"):
        vtd.remap_interrupts()


def test_the_depth_of_a_domain_is_4_where_it_can_be():
    for levels, depth in (((3, 4, 5), 4), ((3,), 3), ((5,), 5), ((3, 5), 5)):
        width = 57 if 5 in levels else 39
        world = Ours(ALL._replace(levels=levels, guest_width=width))
        assert world.driver().new_domain().levels == depth
    with pytest.raises(ValueError, match="not 4"):
        world.driver().new_domain(4)


def test_write_buffers_are_flushed_where_there_are_any():
    """11.4.1 of the manual's rules: CAP.RWBF."""
    for buffers in (True, False):
        world = Ours(ALL._replace(write_buffers=buffers))
        seen = Recorder(world.cpu)
        vtd = VtdDriver(seen, BASE, Room(2 << 20, 4 << 20))
        vtd.start()
        domain = vtd.new_domain()
        vtd.attach(EDU, domain)
        vtd.map(domain, 0x7000, FRAMES, PAGE)
        flush = VtdRegisters.GCMD.WBF.mask
        at = BASE + VtdRegisters.GCMD.offset
        flushes = [a for a in seen.accesses if a.write and a.address == at and a.value & flush]
        assert len(flushes) == 2 * buffers


def test_an_order_is_given_once():
    """10.4.4: SRTP, SIRTP and WBF are 1 in the write that gives them, and in no other."""
    world = Ours()
    gcmd, seen = VtdRegisters.GCMD, Recorder(world.cpu)
    vtd = VtdDriver(seen, BASE, Room(2 << 20, 4 << 20))
    vtd.start()
    vtd.enable()
    vtd.remap_interrupts()
    vtd.set_root(vtd.root)
    vtd.disable()
    given = [a.value for a in seen.accesses if a.write and a.address == BASE + gcmd.offset]
    assert [sum(bool(field.get(each)) for each in given) for field in (gcmd.SRTP, gcmd.SIRTP)] == [
        2,
        1,
    ]
    on = gcmd.TE.mask | gcmd.QIE.mask | gcmd.IRE.mask
    changes = [(a ^ b) & on for a, b in zip([0, *given], given, strict=False)]
    assert max(each.bit_count() for each in changes) == 1


def test_protected_regions_of_firmware_are_given_up():
    """10.4.16: they would also stop what the tables allow."""
    world = Ours()
    for reg, value in (("PLMBASE", FRAMES), ("PLMLIMIT", FRAMES), ("PMEN", 1 << 31)):
        declared = getattr(VtdRegisters, reg)
        world.cpu.store(BASE + declared.offset, value, declared.width)
    assert not world.reaches(FRAMES, FRAMES)
    vtd, domain = attached(world)
    vtd.map(domain, 0x7000, FRAMES, PAGE)
    assert world.reaches(0x7000, FRAMES)
    assert vtd.registers.get(VtdRegisters.PMEN) == 0


def test_every_domain_has_its_number_and_they_end():
    world = Ours()
    world.unit.preset(CAP=CAP.ND.put(world.unit.CAP, 0))
    vtd = world.driver()
    assert [vtd.new_domain().number for _ in range(15)] == list(range(1, 16))
    with pytest.raises(ValueError, match="16 domains"):
        vtd.new_domain()


def test_a_unit_that_cannot_pass_through():
    world = Ours(ALL._replace(pass_through=False))
    with pytest.raises(ValueError, match="every device"):
        world.driver().pass_through(EDU)
