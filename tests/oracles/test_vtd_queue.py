"""The invalidation queue: on our unit and on QEMU's."""

import pytest

from tests.oracles.vtd_worlds import FRAMES, mapped, world_fixture
from virtlab.guest.vtd_registers import VtdFailed
from virtlab.iommu.descriptors import (
    CONTEXT_INVALIDATE,
    DESCRIPTOR_SIZE,
    IEC_INVALIDATE,
    IOTLB_INVALIDATE,
    WAIT,
)
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

IOVA = 0x40_0000
FSTS, IQH, IQT = VtdRegisters.FSTS, VtdRegisters.IQH, VtdRegisters.IQT
ALL_PAGES = IOTLB_INVALIDATE.pack(TYPE=2, G=1)


world = world_fixture("4 levels")


@pytest.fixture
def vtd(world):
    return mapped(world, IOVA)


def test_a_wait_writes_its_number_when_all_before_it_is_done(vtd):
    """6.5.2.8."""
    for number in range(vtd.ring.number + 1, vtd.ring.number + 4):
        vtd.ring.submit([ALL_PAGES])
        assert vtd.cpu.load(vtd.ring.status_gpa, 4) == number
    assert vtd.registers.get(IQH) == vtd.registers.get(IQT) == vtd.ring.tail


@pytest.mark.parametrize("count", [0, 1, 253, 254, 255, 600])
def test_any_number_of_requests(world, vtd, count):
    """The ring is filled, wraps, and is emptied: a tail that meets the head would be empty."""
    assert world.reaches(IOVA, FRAMES)
    vtd.domain.unmap(IOVA, PAGE)
    vtd.ring.submit([ALL_PAGES] * count)
    assert world.reaches(IOVA, FRAMES) != (count > 0)
    assert vtd.registers.get(IQH) == vtd.ring.tail
    assert vtd.ring.tail % DESCRIPTOR_SIZE == 0


WRONG = {
    "no such type": 0xF,
    "type 0": 0,
    "IOTLB, granularity 0": IOTLB_INVALIDATE.pack(TYPE=2),
    "IOTLB, reserved bit": ALL_PAGES | 1 << 33,
    "context, granularity 0": CONTEXT_INVALIDATE.pack(TYPE=1),
    "context, reserved bit": CONTEXT_INVALIDATE.pack(TYPE=1, G=1) | 1 << 100,
    "mask that is too large": IOTLB_INVALIDATE.pack(TYPE=2, G=3, AM=19),
    "wait, reserved bit": WAIT.pack(TYPE=5, SW=1, STADDR=0x1000) | 1 << 64,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_descriptor_stops_the_queue_where_it_stands(vtd, name):
    """6.5.2.10: IQE, and IQH at the wrong one; after that is cleared it goes on."""
    registers, ring = vtd.registers, vtd.ring
    at = ring.tail
    vtd.cpu.write(ring.gpa + at, WRONG[name].to_bytes(DESCRIPTOR_SIZE, "little"))
    registers.put(IQT, (at + DESCRIPTOR_SIZE) % PAGE)
    assert FSTS.IQE.get(registers.get(FSTS))
    assert registers.get(IQH) == at
    vtd.cpu.write(ring.gpa + at, ALL_PAGES.to_bytes(DESCRIPTOR_SIZE, "little"))
    registers.put(IQT, (at + DESCRIPTOR_SIZE) % PAGE)
    assert registers.get(IQH) == at
    registers.put(FSTS, FSTS.IQE.mask)
    registers.put(IQT, (at + DESCRIPTOR_SIZE) % PAGE)
    assert not FSTS.IQE.get(registers.get(FSTS))
    assert registers.get(IQH) == (at + DESCRIPTOR_SIZE) % PAGE
    ring.tail = (at + DESCRIPTOR_SIZE) % PAGE
    ring.submit([ALL_PAGES])


@pytest.mark.parametrize("name", WRONG)
def test_the_driver_replaces_a_wrong_descriptor_and_says_so(world, vtd, name):
    assert world.reaches(IOVA, FRAMES)
    vtd.domain.unmap(IOVA, PAGE)
    with pytest.raises(VtdFailed, match="is wrong"):
        vtd.ring.submit([WRONG[name], WRONG[name], ALL_PAGES])
    assert not world.reaches(IOVA, FRAMES)
    vtd.ring.submit([ALL_PAGES])
    assert not FSTS.IQE.get(vtd.registers.get(FSTS))


def test_a_queue_that_stopped_raises_the_fault_event(world, vtd):
    """7.3: IQE is one of the conditions of the fault event."""
    vector = world.vector()
    vtd.faults.set_event(0xFEE0_0000, vector)
    with pytest.raises(VtdFailed):
        vtd.ring.submit([0xF])
    assert world.heard() == [(vector, 0)]


def test_a_wait_may_call(world, vtd):
    """6.5.2.8, IF; 10.4.24: IWC stays until it is cleared."""
    vector = world.vector()
    vtd.ring.set_event(0xFEE0_0000, vector)
    assert not vtd.ring.acknowledge()
    vtd.ring.submit([ALL_PAGES], interrupt=True)
    assert world.heard() == [(vector, 0)]
    assert vtd.ring.acknowledge()
    assert not vtd.ring.acknowledge()
    vtd.ring.submit([ALL_PAGES])
    assert not vtd.ring.acknowledge()


def test_the_queue_begins_anew_when_it_is_switched_on_again(world, vtd):
    """10.4.4, QIE: IQH is then 0."""
    vtd.ring.submit([ALL_PAGES] * 5)
    vtd.ring.disable()
    assert not vtd.registers.is_on(VtdRegisters.GSTS.QIES)
    vtd.ring.enable()
    assert vtd.registers.get(IQH) == 0
    assert world.reaches(IOVA, FRAMES)
    vtd.unmap(vtd.domain, IOVA, PAGE)
    assert not world.reaches(IOVA, FRAMES)


def test_a_driver_takes_over_a_queue_that_has_stopped(world, vtd):
    """6.5.2: a queue is switched off empty. After a crash a kernel finds it otherwise."""
    at = vtd.ring.tail
    vtd.cpu.write(vtd.ring.gpa + at, (0xF).to_bytes(DESCRIPTOR_SIZE, "little"))
    vtd.registers.put(IQT, (at + 3 * DESCRIPTOR_SIZE) % PAGE)
    assert FSTS.IQE.get(vtd.registers.get(FSTS))
    again = world.driver()
    assert not FSTS.IQE.get(again.registers.get(FSTS))
    again.ring.submit([ALL_PAGES])


def test_interrupt_entries_are_told_by_the_queue(vtd):
    """6.5.2.7, both granularities."""
    vtd.ring.interrupts()
    vtd.ring.interrupts(7, 2)
    assert IEC_INVALIDATE.IIDX.get(int.from_bytes(vtd.cpu.read(_last(vtd), 16), "little")) == 7


def _last(vtd):
    """Where the descriptor before the last wait is."""
    return vtd.ring.gpa + (vtd.ring.tail - 2 * DESCRIPTOR_SIZE) % PAGE
