"""The unit: commands and their status, protected memory, and a device's requests."""

from __future__ import annotations

import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, command, put, reg, unit_with
from tests.iommu.work import QueueOf, reads
from virtlab.bus import AddressSpace
from virtlab.errors import DmaFault
from virtlab.interrupts import Msi
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.iommu.vtd import REQUESTERS, VtdUnit
from virtlab.memory import PAGE, GuestMemory

GCMD, GSTS = VtdRegisters.GCMD, VtdRegisters.GSTS
SID, IOVA = 0x0118, 0x40_0000


def world(rights=RW, **capabilities):
    """Two pages that lie apart in memory and beside each other for `SID`; their tables, a unit."""
    tables = Tables()
    table = tables.attach(SID)
    tables.map(table, IOVA, 0x3000, rights=rights)
    tables.map(table, IOVA + PAGE, 0x1000, rights=rights)
    return tables, unit_with(tables, **capabilities)


# -- 10.4.4, 10.4.5: commands


@pytest.mark.parametrize(
    ("bit", "status"), [("TE", "TES"), ("QIE", "QIES"), ("IRE", "IRES"), ("CFI", "CFIS")]
)
def test_a_switch_stands_in_gsts_as_it_was_written(bit, status):
    unit = VtdUnit(GuestMemory(PAGE))
    for on in (True, True, False, True):
        command(unit, bit, on)
        assert reg(unit, "GSTS") == (GSTS.fields[status].mask if on else 0)
    assert reg(unit, "GCMD") == 0


@pytest.mark.parametrize(("bit", "status"), [("SRTP", "RTPS"), ("SIRTP", "IRTPS")])
def test_an_order_is_done_and_leaves_the_switches(bit, status):
    unit = VtdUnit(GuestMemory(PAGE))
    command(unit, "CFI")
    command(unit, bit)
    assert reg(unit, "GSTS") == GSTS.fields[status].mask | GSTS.CFIS.mask
    command(unit, "CFI", False)
    assert reg(unit, "GSTS") == GSTS.fields[status].mask


@pytest.mark.parametrize("bit", ["WBF", "SFL", "EAFL"])
def test_a_write_buffer_flush_is_done_at_once_and_fault_logs_are_not_there(bit):
    unit = VtdUnit(GuestMemory(PAGE), Capabilities(write_buffers=True))
    command(unit, bit)
    assert reg(unit, "GSTS") == 0


def test_a_command_by_bytes_changes_its_own_bits():
    unit = VtdUnit(GuestMemory(PAGE))
    command(unit, "CFI")
    unit.write(GCMD.offset + 3, 1, 0x80)
    assert reg(unit, "GSTS") == GSTS.TES.mask | GSTS.CFIS.mask


def test_the_root_table_counts_from_srtp_on():
    tables, unit = world()
    other = Tables(tables.memory, first=tables.end)
    other.map(other.attach(0x0200), IOVA, 0x5000)
    tables.memory.store(0x5000, 8, 77)
    put(unit, "RTADDR", other.root)
    with pytest.raises(DmaFault):
        reads(unit, 0x0200, IOVA)
    command(unit, "SRTP")
    assert reads(unit, 0x0200, IOVA) == 77


@pytest.mark.parametrize("flushes", [False, True])
def test_srtp_drops_what_is_remembered_only_where_cap_says_so(flushes):
    tables, unit = world(set_root_flushes=flushes)
    reads(unit, SID, IOVA)
    put(unit, "RTADDR", tables.page())
    command(unit, "SRTP")
    assert len(unit.caches.contexts) == len(unit.caches.pages) == (0 if flushes else 1)


def test_legacy_mode_is_the_only_one():
    unit = VtdUnit(GuestMemory(PAGE))
    put(unit, "RTADDR", 0x1C00)
    assert reg(unit, "RTADDR") == 0x1000


def test_iva_and_gcmd_are_for_writing_and_two_fields_of_ccmd():
    unit = VtdUnit(GuestMemory(PAGE))
    put(unit, "IVA", 0x5000)
    put(unit, "GCMD", GCMD.CFI.mask)
    assert reg(unit, "IVA") == reg(unit, "GCMD") == 0
    put(unit, "CCMD", 0x3_FFFF_FFFF)
    assert reg(unit, "CCMD") == 0xFFFF


def test_after_reset_nothing_is_translated_remembered_or_recorded():
    _, unit = world()
    reads(unit, SID, IOVA)
    with pytest.raises(DmaFault):
        reads(unit, SID, 0)
    QueueOf(unit).wait()
    unit.reset()
    assert reg(unit, "FSTS") == reg(unit, "GSTS") == reg(unit, "FRCD0") == reg(unit, "IQH") == 0
    assert reg(unit, "CAP") == unit.capabilities.cap
    assert len(unit.caches.pages) == len(unit.caches.contexts) == len(unit.caches.tables) == 0
    assert unit.dma_for(SID).read(0x3000, 4) == bytes(4)
    assert not unit.queue.enabled


def test_a_unit_is_mapped_as_any_device():
    space = AddressSpace("memory", 52)
    space.map(BASE, VtdUnit.length, VtdUnit(GuestMemory(PAGE)), "vt-d", width=8)
    assert space.read(BASE, 4) == 0x10
    assert space.read(BASE + 8, 8) == Capabilities().cap
    assert space.read(BASE + 0x10, 4) == Capabilities().ecap & 0xFFFF_FFFF


# -- a device's requests


def test_neighbours_for_the_device_need_not_be_neighbours_in_memory():
    tables, unit = world()
    device = unit.dma_for(SID)
    device.write(IOVA + PAGE - 2, b"abcd")
    assert tables.memory.read(0x4000 - 2, 2) == b"ab"
    assert tables.memory.read(0x1000, 2) == b"cd"
    assert device.read(IOVA + PAGE - 2, 4) == b"abcd"


@pytest.mark.parametrize("write", [False, True])
def test_a_request_that_is_refused_in_its_last_page_moves_nothing(write):
    tables, unit = world()
    before = tables.memory.bytes.copy()
    device, many = unit.dma_for(SID), PAGE + 1
    with pytest.raises(DmaFault):
        device.write(IOVA + PAGE, b"x" * many) if write else device.read(IOVA + PAGE, many)
    assert (tables.memory.bytes == before).all()


def test_a_page_that_leads_nowhere_is_a_fault_of_memory_not_of_the_unit():
    tables = Tables()
    tables.map(tables.attach(SID), IOVA, 0x40_0000_0000)
    unit = unit_with(tables)
    with pytest.raises(DmaFault, match="no memory there") as caught:
        unit.dma_for(SID).read(IOVA, 4)
    assert caught.value.code == 0
    assert reg(unit, "FSTS") == 0


def test_a_requester_s_memory_is_one_object_and_they_are_bounded():
    _, unit = world()
    device = unit.dma_for(SID)
    assert unit.dma_for(SID) is device
    for source_id in range(REQUESTERS):
        unit.dma_for(source_id)
    assert unit.dma_for(SID) is not device
    assert device.read(IOVA, 4) == bytes(4)


def test_nor_does_a_request_whose_last_page_leads_nowhere():
    tables, unit = world()
    table = tables.memory.load(tables.context_at(SID), 16) & ~0xFFF & (1 << 64) - 1
    tables.map(table, IOVA + 2 * PAGE, 0x40_0000_0000)
    before = tables.memory.bytes.copy()
    with pytest.raises(DmaFault, match="no memory there"):
        unit.dma_for(SID).write(IOVA, b"x" * (2 * PAGE + 1))
    assert (tables.memory.bytes == before).all()


def test_neighbours_in_memory_are_one_piece():
    tables = Tables()
    table = tables.attach(SID)
    for page in range(4):
        tables.map(table, IOVA + page * PAGE, 0x2000 + page * PAGE, rights=RW if page else READ)
    unit = unit_with(tables)
    pieces = unit.translation.pieces(SID, IOVA + 1, 4 * PAGE - 2, False)
    assert pieces == [(0x2001, 4 * PAGE - 2)]


def test_no_bytes_are_no_request():
    _, unit = world()
    device = unit.dma_for(SID)
    assert device.read(0, 0) == b""
    device.write(0, b"")
    assert len(device.view(0, 0)) == 0
    command(unit, "TE", False)
    assert device.read(0, 0) == b""


@pytest.mark.parametrize(
    ("iova", "length"),
    [(-1, 4), (0, -1), ((1 << 64) - 2, 4), (0, 1 << 62), (1 << 70, 1)],
)
@pytest.mark.parametrize("translating", [False, True])
def test_requests_that_cannot_be(iova, length, translating):
    _, unit = world()
    command(unit, "TE", translating)
    with pytest.raises(DmaFault):
        unit.dma_for(SID).read(iova, length)
    with pytest.raises(DmaFault):
        unit.dma_for(SID).view(iova, length)
    assert reg(unit, "FSTS") == 0


def test_a_view_is_the_bytes_themselves():
    tables, unit = world()
    view = unit.dma_for(SID).view(IOVA + 4, 4, write=True)
    view[:] = 9
    assert tables.memory.read(0x3004, 4) == bytes([9] * 4)
    with pytest.raises(DmaFault, match="not in one piece"):
        unit.dma_for(SID).view(IOVA, PAGE + 1)
    assert reg(unit, "FSTS") == 0


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("rights", [0, READ, WRITE, RW])
def test_a_view_needs_the_right_that_it_is_for_and_no_other(rights, write):
    """What it lacks is recorded once, as the access that the device would have made."""
    _, unit = world(rights)
    if rights & (WRITE if write else READ):
        assert unit.dma_for(SID).view(IOVA, 4, write).flags.writeable is write
        assert reg(unit, "FSTS") == 0
        return
    with pytest.raises(DmaFault) as caught:
        unit.dma_for(SID).view(IOVA, 4, write)
    assert caught.value.code == (Reason.WRITE if write else Reason.READ)
    assert VtdRegisters.FSTS.PPF.get(reg(unit, "FSTS")) == 1
    assert unit.faults.next == 1


def test_while_translation_is_off_addresses_are_memory_s_own():
    tables, unit = world()
    command(unit, "TE", False)
    device = unit.dma_for(SID)
    device.write(0x8000, b"flat")
    assert tables.memory.read(0x8000, 4) == device.read(0x8000, 4) == b"flat"
    assert device.view(0x8000, 4).tobytes() == b"flat"
    with pytest.raises(DmaFault):
        device.read(IOVA, 4)


def test_what_is_remembered_outlives_translation_off_and_on():
    tables, unit = world()
    reads(unit, SID, IOVA)
    tables.memory.store(tables.context_at(SID), 16, 0)
    command(unit, "TE", False)
    command(unit, "TE")
    reads(unit, SID, IOVA)


def test_where_interrupts_are_written_nothing_is_read():
    """3.14: it is reported as a fault of interrupt remapping, whatever the tables say."""
    tables, unit = world()
    table = tables.memory.load(tables.context_at(SID), 16) & ~0xFFF & (1 << 64) - 1
    for iova in (0xFEE0_0000, 0xFEEF_FFFC):
        tables.map(table, iova & ~0xFFF, 0x1000)
        with pytest.raises(DmaFault, match="addresses of interrupts") as caught:
            unit.dma_for(SID).read(iova, 4)
        assert caught.value.code == Reason.INTERRUPT_REQUEST
    assert VtdRegisters.FRCD0.FR.get(reg(unit, "FRCD0")) == 0x29


def test_messages_go_through_the_interrupt_entries():
    sent = []
    unit = VtdUnit(GuestMemory(PAGE), message=sent.append)
    unit.remap(SID, Msi(0xFEE0_1000, 0x41))
    assert sent == [Msi(0xFEE0_1000, 0x41)]
    command(unit, "IRE")
    unit.remap(SID, Msi(0xFEE0_1000, 0x41))
    assert len(sent) == 1
    assert VtdRegisters.FRCD0.FR.get(reg(unit, "FRCD0")) == Reason.COMPATIBILITY_BLOCKED
    command(unit, "CFI")
    unit.remap(SID, Msi(0xFEE0_1000, 0x42))
    assert len(sent) == 2


def test_the_interrupt_table_counts_from_sirtp_on():
    unit = VtdUnit(GuestMemory(PAGE))
    put(unit, "IRTA", 0x3 | 0x5000)
    assert unit.interrupts.entries == 0
    command(unit, "SIRTP")
    assert (unit.interrupts.table, unit.interrupts.entries) == (0x5000, 16)


# -- 10.4.16 to 10.4.20: protected memory

LOW, HIGH, ANY = 0x20_0000, 0x60_0000, 0x80_0000


def protected(translating=False, kind=2):
    """16 MiB with 2 MiB protected at LOW and 2 MiB at HIGH."""
    tables = Tables(GuestMemory(1 << 24))
    tables.attach(SID, TT=kind)
    unit = unit_with(tables)
    command(unit, "TE", translating)
    for name, value in (("PLMBASE", LOW), ("PLMLIMIT", LOW), ("PHMBASE", HIGH), ("PHMLIMIT", HIGH)):
        put(unit, name, value)
    put(unit, "PMEN", 1 << 31)
    return tables, unit


@pytest.mark.parametrize("translating", [False, True])
@pytest.mark.parametrize("base", [LOW, HIGH])
def test_protected_memory_is_not_reached(translating, base):
    _, unit = protected(translating)
    device = unit.dma_for(SID)
    for iova, length in ((base, 1), (base + 0x1F_FFFF, 1), (base - 1, 2), (base + 0x1F_FFFF, 2)):
        with pytest.raises(DmaFault, match="protected") as caught:
            device.read(iova, length)
        assert caught.value.code == 0
        with pytest.raises(DmaFault, match="protected"):
            device.write(iova, bytes(length))
        with pytest.raises(DmaFault, match="protected"):
            device.view(iova, length)
    device.read(base - 1, 1)
    device.read(base + 0x20_0000, 1)
    assert reg(unit, "FSTS") == 0  # not recorded


def test_prs_follows_epm():
    _, unit = protected()
    assert reg(unit, "PMEN") == 1 << 31 | 1
    put(unit, "PMEN", 1)
    assert reg(unit, "PMEN") == 0
    unit.dma_for(SID).read(LOW, 1)


def test_where_tables_decide_they_decide_alone():
    tables, unit = protected(translating=True, kind=0)
    table = tables.memory.load(tables.context_at(SID), 16) & ~0xFFF & (1 << 64) - 1
    tables.map(table, IOVA, LOW)
    unit.dma_for(SID).write(IOVA, b"allowed")


def test_a_base_above_its_limit_protects_nothing():
    _, unit = protected()
    put(unit, "PLMLIMIT", 0)
    unit.dma_for(SID).read(LOW, 1)
    unit.dma_for(SID).read(LOW - 1, 2)
    with pytest.raises(DmaFault):
        unit.dma_for(SID).read(HIGH, 1)


def test_base_and_limit_are_multiples_of_2_mib():
    _, unit = protected()
    for name in ("PLMBASE", "PLMLIMIT", "PHMBASE", "PHMLIMIT"):
        put(unit, name, (1 << 64) - 1)
        assert reg(unit, name) & 0x1F_FFFF == 0
        assert reg(unit, name) >> 21 & 1


def test_a_unit_without_protected_memory_has_none():
    unit = VtdUnit(GuestMemory(PAGE), Capabilities(protected_memory=False))
    put(unit, "PMEN", 1 << 31)
    put(unit, "PLMBASE", LOW)
    assert reg(unit, "PMEN") == reg(unit, "PLMBASE") == 0


def test_no_unit_is_made_of_what_cannot_be():
    with pytest.raises(ValueError, match="levels"):
        VtdUnit(GuestMemory(PAGE), Capabilities(levels=(7,)))
