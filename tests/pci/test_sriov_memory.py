"""Virtual functions at work: memory behind VF BARs, requests, interrupts, resets of a bus."""

import pytest

from tests.pci.sriov_rig import MSIX_AT, POWER_AT, SriovRig
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place
from virtlab.guest.pci_express import reset_function
from virtlab.guest.pci_sriov import let_master
from virtlab.interrupts import Msi
from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header
from virtlab.pci.express import ENDPOINT_AT
from virtlab.pci.extended import SrIov
from virtlab.wire import all_ones

MASTER = Header.COMMAND.BUS_MASTER.mask


@pytest.fixture
def rig():
    return SriovRig(total=4).start()


def vf_bar(rig, index=0):
    """The bar of VF BAR `index` as the scan made room for it."""
    return next(bar for bar in rig.sriov.found.bars if bar.index == 7 + index)


# -- 3.3.14: VF BARs


def test_sizing_tells_what_one_vf_takes(rig):
    """3.3.14: the aperture is that of one VF; software multiplies by TotalVFs."""
    sizes = {bar.index: (bar.size, bar.bits, bar.prefetchable) for bar in rig.sriov.size_bars()}
    assert sizes == {7: (0x1000, 64, True), 9: (0x1000, 32, False)}
    assert (vf_bar(rig).size, vf_bar(rig).align) == (4 * 0x1000, 0x1000)


@pytest.mark.parametrize(("size", "page", "aperture"), [(0x100, 1, 0x1000), (0x100, 2, 0x2000)])
def test_an_aperture_is_at_least_a_system_page(size, page, aperture):
    """3.3.13: each VF BAR is aligned to a page of the system, and takes whole pages."""
    rig = SriovRig(total=2, size=size).start()
    rig.sriov.put(SrIov.SYSTEM_PAGE_SIZE, page)
    assert rig.sriov.size_bars()[0].size == aperture
    rig.sriov.put(SrIov.VF_BAR0, all_ones(4))
    address = rig.sriov.get(SrIov.VF_BAR0) & ~0xF
    assert address == all_ones(4) & -aperture


def test_a_larger_page_realigns_what_was_there(rig):
    rig.sriov.put(SrIov.VF_BAR0, 0xC000_3000)
    rig.sriov.put(SrIov.VF_BAR1, 8)
    rig.sriov.put(SrIov.SYSTEM_PAGE_SIZE, 0x10)
    assert rig.sriov.get(SrIov.VF_BAR0) == 0xC000_000C
    assert rig.sriov.get(SrIov.VF_BAR1) == 8
    assert rig.sriov.size_bars()[0].size == 0x10000


def test_each_vf_answers_in_its_slice(rig):
    """3.3.14: VF n is at VF BAR + (n - 1) x aperture."""
    base = vf_bar(rig).address
    found = rig.sriov.enable(4)
    assert [vf.bar(0) for vf in found] == [base + 0x1000 * n for n in range(4)]
    for number, vf in enumerate(found):
        rig.cpu.store(vf.bar(0), 0x1000 + number)
    assert [vf.scratch.FIRST for vf in rig.vf] == [0x1000, 0x1001, 0x1002, 0x1003]
    assert rig.cpu.load(rig.sriov.found.bar(0)) == 0


def test_beyond_the_last_vf_nobody_answers(rig):
    found = rig.sriov.enable(2)
    assert rig.cpu.load(found[1].bar(0) + 0x1000) == all_ones(4)


def test_a_page_that_a_vf_does_not_fill_is_empty_behind_it():
    rig = SriovRig(total=2, size=0x100).start()
    found = rig.sriov.enable(2)
    assert found[1].bar(0) - found[0].bar(0) == 0x1000
    assert rig.cpu.load(found[0].bar(0) + 4) == 0
    assert rig.cpu.load(found[0].bar(0) + 0x100) == all_ones(4)


def test_vf_mse_is_for_all_of_them(rig):
    """3.3.3.4: VF memory space enable, not the bit in a VF's own command register."""
    found = rig.sriov.enable(4)
    assert rig.cpu.load(found[3].bar(0)) == 0
    rig.sriov.put(SrIov.CONTROL, SrIov.CONTROL.VF_ENABLE.mask)
    assert rig.cpu.load(found[3].bar(0)) == all_ones(4)
    rig.access.write(found[3].place, Header.COMMAND.offset, 2, 7)
    assert rig.cpu.load(found[3].bar(0)) == all_ones(4)
    assert "BAR0 has it, but memory decoding is off" in rig.vf[3].silence("memory", found[3].bar(0))


def test_memory_space_enable_of_the_physical_function_is_another_bit(rig):
    found = rig.sriov.enable(1)[0]
    rig.access.write(Place(1, 0, 0), Header.COMMAND.offset, 2, 0)
    assert rig.cpu.load(rig.sriov.found.bar(0)) == all_ones(4)
    assert rig.cpu.load(found.bar(0)) == 0


def test_a_vf_bar_that_moves_takes_all_slices_along(rig):
    found = rig.sriov.enable(4)
    rig.vf[2].scratch.FIRST = 0x77
    base = vf_bar(rig).address + 0x10000
    rig.sriov.put(SrIov.VF_BAR0, base & all_ones(4))
    rig.sriov.put(SrIov.VF_BAR1, base >> 32)
    assert rig.cpu.load(found[2].bar(0)) == all_ones(4)
    assert rig.cpu.load(base + 0x2000) == 0x77


def test_vfs_vanish_from_memory_too(rig):
    found = rig.sriov.enable(4)
    rig.cpu.store(found[0].bar(0), 5)
    rig.sriov.disable()
    assert rig.cpu.load(found[0].bar(0)) == all_ones(4)


# -- requests


def test_bus_master_enable_is_each_vf_s_own(rig):
    """3.4.1.3: without it a VF makes no request."""
    first, _ = rig.sriov.enable(2)
    let_master(rig.access, first)
    rig.vf[0].dma.write(0x1000, b"here")
    assert rig.ram.read(0x1000, 4) == b"here"
    with pytest.raises(DmaFault, match="Bus Master Enable is 0"):
        rig.vf[1].dma.write(0x1000, b"no")
    rig.access.write(Place(1, 0, 0), Header.COMMAND.offset, 2, 0)
    rig.vf[0].dma.read(0x1000, 4)


def test_requests_carry_the_vf_s_own_source_id():
    """What an IOMMU tells them apart by: 2.1.2, VT-d 3.4.1."""
    rig = SriovRig(total=20).start(ari=False)
    seen = []
    memory = rig.root.memory
    rig.root.memory = lambda source: seen.append(source) or memory(source)
    for vf, function in zip(rig.sriov.enable(20), rig.vf, strict=True):
        let_master(rig.access, vf)
        function.dma.read(0, 4)
    assert seen == [0x0200 + n for n in range(20)]


def test_a_vf_that_is_not_there_reaches_nothing(rig):
    found = rig.sriov.enable(1)[0]
    let_master(rig.access, found)
    rig.sriov.disable()
    with pytest.raises(DmaFault, match="is on no bus"):
        rig.vf[0].dma.write(0x1000, b"ghost")


def test_many_requests_at_once_find_the_same_way(rig):
    """`Requests.one_array`: as long as nothing on the way changes."""
    found = rig.sriov.enable(2)[1]
    dma = rig.vf[1].dma
    assert not dma.one_array
    let_master(rig.access, found)
    assert dma.one_array
    assert dma.offset(0x1000, 4) == 0x1000
    before = dma.generation
    reset_function(rig.access, found.place)
    assert (dma.one_array, dma.generation == before) == (False, False)


def test_a_vf_sleeps_with_its_physical_function(rig):
    """5.1: and by its own power state."""
    found = rig.sriov.enable(2)
    for vf in found:
        let_master(rig.access, vf)
    rig.access.write(found[0].place, POWER_AT + 4, 2, 3)
    assert rig.cpu.load(found[0].bar(0)) == all_ones(4)
    assert rig.cpu.load(found[1].bar(0)) == 0
    rig.access.write(Place(1, 0, 0), POWER_AT + 4, 2, 3)
    assert rig.cpu.load(found[1].bar(0)) == all_ones(4)
    with pytest.raises(DmaFault, match="sleeps"):
        rig.vf[1].dma.read(0, 4)
    rig.access.write(Place(1, 0, 0), POWER_AT + 4, 2, 0)
    assert rig.cpu.load(found[1].bar(0)) == 0


# -- interrupts


def test_each_vf_has_its_own_msi_x(rig):
    """4.1: MSI-X tables in the VFs' own memory; messages carry the VF's source id."""
    found = rig.sriov.enable(2)
    for number, vf in enumerate(found):
        let_master(rig.access, vf)
        table = vf.bar(2)
        rig.cpu.store(table, 0xFEE0_0000 + 0x1000 * number)
        rig.cpu.store(table + 8, 0x40 + number)
        rig.cpu.store(table + 12, 0)
        rig.access.write(vf.place, MSIX_AT + 2, 2, 0x8000)
    assert rig.vf[0].notify(0)
    assert rig.vf[1].notify(0)
    assert rig.messages == [
        (0x0101, Msi(0xFEE0_0000, 0x40)),
        (0x0102, Msi(0xFEE0_1000, 0x41)),
    ]
    assert not rig.pf.notify(0)


def test_a_vf_without_bus_master_interrupts_nobody(rig):
    """A message is a memory write (PCI 3.0, 6.8)."""
    found = rig.sriov.enable(1)[0]
    rig.cpu.store(found.bar(2) + 12, 0)
    rig.access.write(found.place, MSIX_AT + 2, 2, 0x8000)
    rig.vf[0].notify(0)
    assert rig.messages == []
    assert rig.trace.counts["lost"] == 1


def test_the_state_of_one_vf_is_not_another_s(rig):
    """Isolation in configuration space: writes to one change one."""
    found = rig.sriov.enable(4)
    before = [vf.config.dump() for vf in rig.vf]
    flr = ENDPOINT_AT + Express.DEVICE_CONTROL.offset
    for offset in range(0, 4096, 4):
        if offset != flr:
            rig.access.write(found[1].place, offset, 4, all_ones(4))
    after = [vf.config.dump() for vf in rig.vf]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]
    assert rig.sriov.enabled
    assert len(rig.places()) == 4
