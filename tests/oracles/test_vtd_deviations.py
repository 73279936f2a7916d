"""Where QEMU 7.2's unit and ours differ: each difference seen on both, with its clause."""

import pytest

from tests.oracles.vtd_worlds import EDU, FRAMES, UNITS, each_world, world_of
from virtlab.guest.vtd_registers import VtdFailed
from virtlab.iommu.descriptors import IOTLB_INVALIDATE, WAIT
from virtlab.iommu.layouts import CONTEXT
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

IOVA = 0x40_0000
ALL_PAGES = IOTLB_INVALIDATE.pack(TYPE=2, G=1)
FSTS, IQH, IQT = VtdRegisters.FSTS, VtdRegisters.IQH, VtdRegisters.IQT


@pytest.fixture(scope="module", params=each_world())
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def world(kind, tmp_path_factory):
    with world_of(kind, tmp_path_factory.mktemp("vtd"), *UNITS["4 levels"]) as made:
        yield made


@pytest.fixture
def vtd(world):
    return at_work(world)


def at_work(world):
    vtd = world.driver()
    vtd.domain = vtd.new_domain()
    vtd.attach(EDU, vtd.domain)
    vtd.map(vtd.domain, IOVA, FRAMES, PAGE, read=False)
    vtd.enable()
    return vtd


def put(vtd, descriptor):
    """A descriptor by hand, and the doorbell."""
    ring = vtd.ring
    vtd.cpu.write(ring.gpa + ring.tail, descriptor.to_bytes(16, "little"))
    ring.tail = (ring.tail + 16) % PAGE
    vtd.registers.put(IQT, ring.tail)


def test_a_page_that_is_remembered_and_the_other_direction(world, vtd):
    """7.1.3, reasons 5 and 6: they are faults, wherever the rights come from."""
    assert world.reaches(IOVA, FRAMES)
    world.read(IOVA)
    found = [fault.reason for fault in vtd.faults.read()]
    assert found == ([Reason.READ] if world.name == "ours" else [])


def test_a_reserved_bit_of_a_context_entry_that_asks_for_silence(world, vtd):
    """7.1.3: reason Bh is qualified, so FPD keeps it out of the records. QEMU records it."""
    entry_gpa = vtd.root.entry_gpa(EDU)
    vtd.cpu.store(entry_gpa, vtd.cpu.load(entry_gpa, 8) | CONTEXT.FPD.mask | 1 << 4, 8)
    vtd.forget_all()
    assert not world.reaches(IOVA, FRAMES)
    found = [fault.reason for fault in vtd.faults.read()]
    assert found == ([] if world.name == "ours" else [Reason.CONTEXT_RESERVED])


def test_the_registers_while_the_queue_is_on(world, vtd):
    """6.5.2: the request is not done. Ours answers so; in QEMU the busy bit stays."""
    ccmd = VtdRegisters.CCMD
    vtd.registers.put(ccmd, ccmd.ICC.mask | 1 << ccmd.CIRG.lo)
    busy = bool(ccmd.ICC.get(vtd.registers.get(ccmd)))
    assert busy == (world.name == "qemu")


def test_a_wait_that_tells_nobody(world, vtd):
    """6.5.2.8: without IF and SW it is a fence. QEMU takes it for an error."""
    put(vtd, WAIT.pack(TYPE=5, FN=1))
    stopped = FSTS.IQE.get(vtd.registers.get(FSTS))
    assert stopped == (world.name == "qemu")


def test_a_queue_whose_error_is_cleared(world, vtd):
    """6.5.2.10: it goes on. QEMU waits for the next doorbell."""
    at = vtd.ring.tail
    put(vtd, 0xF)
    assert vtd.registers.get(IQH) == at
    vtd.cpu.write(vtd.ring.gpa + at, ALL_PAGES.to_bytes(16, "little"))
    vtd.registers.put(FSTS, FSTS.IQE.mask)
    assert (vtd.registers.get(IQH) == vtd.ring.tail) == (world.name == "ours")
    vtd.registers.put(IQT, vtd.ring.tail)
    assert vtd.registers.get(IQH) == vtd.ring.tail


def test_why_the_queue_stopped(world, vtd):
    """IQERCD_REG, of a later revision than QEMU's unit."""
    with pytest.raises(VtdFailed, match="TYPE_INVALID" if world.name == "ours" else "UNKNOWN"):
        vtd.ring.submit([0xF])


def test_caching_mode_remembers_what_is_not_there(kind, tmp_path):
    """6.1: it may. Ours does, QEMU's does not; a driver invalidates in either."""
    with world_of(kind, tmp_path, *UNITS["caching mode"]) as world:
        vtd = at_work(world)
        assert vtd.capabilities.caching_mode
        assert not world.reaches(IOVA + PAGE, FRAMES)
        vtd.domain.map(IOVA + PAGE, FRAMES, PAGE)
        assert world.reaches(IOVA + PAGE, FRAMES) == (world.name == "qemu")
        vtd.domain.unmap(IOVA + PAGE, PAGE)
        vtd.invalidation.pages()
        assert not world.reaches(IOVA + PAGE, FRAMES)
        vtd.map(vtd.domain, IOVA + PAGE, FRAMES, PAGE)
        assert world.reaches(IOVA + PAGE, FRAMES)


def test_a_wait_with_both_answers_ends_qemu(kind, tmp_path):
    """6.5.2.8: IF and SW together. QEMU 7.2 fails an assertion, so our driver asks with two."""
    with world_of(kind, tmp_path, *UNITS["4 levels"]) as world:
        vtd = at_work(world)
        both = WAIT.pack(TYPE=5, IF=1, SW=1, STDATA=77, STADDR=FRAMES >> 2)
        if world.name == "qemu":
            with pytest.raises(ConnectionError, match="vtd_process_wait_desc"):
                put(vtd, both)
            return
        put(vtd, both)
        assert world.cpu.load(FRAMES, 4) == 77
        assert vtd.ring.acknowledge()
