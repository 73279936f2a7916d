"""Every fault reason that a DMA request can have, provoked by hand on our unit and on QEMU's."""

import pytest

from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES, RAM, mapped, world_fixture
from virtlab.iommu.layouts import CONTEXT, FAULT_RECORD, ROOT, SECOND_LEVEL, TranslationType
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

IOVA = 0x40_0000
NOWHERE = 4 * RAM
"""A page that is no memory."""


world = world_fixture("4 levels")


@pytest.fixture
def vtd(world):
    """A unit at work, with `domain` of the prober, one page mapped, and nothing read of it yet."""
    return mapped(world, IOVA)


# -- what can be wrong, and how to make it so


def poke(vtd, gpa, bits, on=True, size=8):
    """Set or clear bits of an entry in memory."""
    old = vtd.cpu.load(gpa, size)
    vtd.cpu.store(gpa, old | bits if on else old & ~bits, size)


def root_entry(vtd):
    return vtd.root.gpa


def context_entry(vtd):
    return vtd.root.entry_gpa(EDU)


def entry_at(vtd, level):
    """Where the entry for IOVA is at this level."""
    table = vtd.domain.table
    for each in range(4, level, -1):
        table = vtd.domain._entry(table, each, IOVA) & SECOND_LEVEL.ADDRESS.mask
    return vtd.domain._entry_gpa(table, level, IOVA)


def move(gpa, low_bits):
    """A pointer to nowhere, the bits below kept."""
    return lambda vtd: vtd.cpu.store(gpa(vtd), NOWHERE | vtd.cpu.load(gpa(vtd), 8) & low_bits, 8)


def no_root(vtd):
    vtd.registers.put(VtdRegisters.RTADDR, NOWHERE)
    vtd.registers.command(VtdRegisters.GCMD.SRTP)


def aw(value):
    def change(vtd):
        upper = context_entry(vtd) + 8
        vtd.cpu.store(upper, CONTEXT.AW.put(vtd.cpu.load(upper, 8) << 64, value) >> 64, 8)

    return change


CAUSES = {
    "root not present": (1, lambda v: poke(v, root_entry(v), ROOT.P.mask, False)),
    "context not present": (2, lambda v: poke(v, context_entry(v), CONTEXT.P.mask, False)),
    "translation type reserved": (3, lambda v: poke(v, context_entry(v), CONTEXT.TT.mask)),
    "no device TLBs": (
        3,
        lambda v: poke(v, context_entry(v), TranslationType.DEVICE_TLB << CONTEXT.TT.lo),
    ),
    "5 levels": (3, aw(3)),
    "a width that is reserved": (3, aw(7)),
    "top table nowhere": (3, move(context_entry, 0xFFF)),
    "no right to write": (5, lambda v: poke(v, entry_at(v, 1), SECOND_LEVEL.W.mask, False)),
    "no right to write above": (5, lambda v: poke(v, entry_at(v, 3), SECOND_LEVEL.W.mask, False)),
    "page not present": (5, lambda v: poke(v, entry_at(v, 1), 3, False)),
    "table not present": (5, lambda v: poke(v, entry_at(v, 2), 3, False)),
    "table nowhere": (7, move(lambda v: entry_at(v, 2), 0xFFF)),
    "root table nowhere": (8, no_root),
    "context table nowhere": (9, move(root_entry, 0xFFF)),
    "root, a reserved bit": (0xA, lambda v: poke(v, root_entry(v), 1 << 1)),
    "root, its upper half": (0xA, lambda v: poke(v, root_entry(v) + 8, 1)),
    "context, a reserved bit": (0xB, lambda v: poke(v, context_entry(v), 1 << 4)),
    "context, above the domain id": (0xB, lambda v: poke(v, context_entry(v) + 8, 1 << 24)),
    "page, a snoop bit": (0xC, lambda v: poke(v, entry_at(v, 1), SECOND_LEVEL.SNP.mask)),
    "page, beyond the machine": (0xC, lambda v: poke(v, entry_at(v, 1), 1 << 51)),
    "table, beyond the machine": (0xC, lambda v: poke(v, entry_at(v, 3), 1 << 51)),
    "level 4, a page": (0xC, lambda v: poke(v, entry_at(v, 4), SECOND_LEVEL.PS.mask)),
    "large page, not aligned": (0xC, lambda v: poke(v, entry_at(v, 2), SECOND_LEVEL.PS.mask)),
}
"""The reason, and how to spoil what was good."""


@pytest.mark.parametrize("cause", CAUSES)
def test_the_reason_of_a_write(world, vtd, cause):
    """7.1.3: the record says who, where, which way and why; nothing arrives."""
    reason, spoil = CAUSES[cause]
    spoil(vtd)
    vtd.forget_all()
    assert not world.reaches(IOVA, FRAMES)
    (fault,) = vtd.faults.read()
    assert (fault.code, fault.source_id, fault.iova, fault.write) == (reason, EDU, IOVA, True)
    assert fault.reason == Reason(reason)
    assert vtd.faults.read() == []


READS = {
    "no right to read": (6, lambda v: poke(v, entry_at(v, 1), SECOND_LEVEL.R.mask, False)),
    "page not present": (6, lambda v: poke(v, entry_at(v, 1), 3, False)),
    "context not present": CAUSES["context not present"],
    "page, a snoop bit": CAUSES["page, a snoop bit"],
}


@pytest.mark.parametrize("cause", READS)
def test_the_reason_of_a_read(world, vtd, cause):
    reason, spoil = READS[cause]
    spoil(vtd)
    vtd.forget_all()
    world.read(IOVA + 0x123)
    (fault,) = vtd.faults.read()
    assert (fault.code, fault.source_id, fault.iova, fault.write) == (reason, EDU, IOVA, False)


@pytest.mark.parametrize("iova", [1 << 48, 1 << 63, (1 << 48) + IOVA])
def test_beyond_the_width(world, vtd, iova):
    """3.6: reason 4. It is not taken for the address without its upper bits."""
    assert not world.reaches(iova, FRAMES)
    assert [(f.code, f.iova) for f in vtd.faults.read()] == [(4, iova)]


def test_a_page_that_leads_to_the_interrupt_addresses(world, vtd):
    """3.14: reason Eh; no interrupt is written there."""
    vtd.cpu.store(entry_at(vtd, 1), 0xFEE0_0000 | 3, 8)
    vtd.forget_all()
    world.write(IOVA, world.vector())
    assert [f.code for f in vtd.faults.read()] == [0xE]
    assert world.heard() == []


# -- recording

QUIET = ["context not present", "no right to write", "page, a snoop bit", "5 levels"]
LOUD = ["root not present"]


@pytest.mark.parametrize("cause", QUIET + LOUD)
def test_fpd_keeps_qualified_faults_out_of_the_records(world, vtd, cause):
    """7.1.3: the request is refused in either case; a fault that is not qualified is recorded."""
    poke(vtd, context_entry(vtd), CONTEXT.FPD.mask)
    CAUSES[cause][1](vtd)
    vtd.forget_all()
    assert not world.reaches(IOVA, FRAMES)
    assert len(vtd.faults.read()) == (cause in LOUD)


def test_faults_of_two_devices_are_two_records_or_an_overflow(world, vtd):
    """7.2.1: with one record the second fault is lost, and PFO says so."""
    world.write(IOVA + PAGE)
    world.write(IOVA, source=EDU2)
    records = vtd.capabilities.records
    assert vtd.faults.overflowed == (records == 1)
    found = [(fault.source_id, fault.code) for fault in vtd.faults.read()]
    assert found == [(EDU, 5), (EDU2, 2)][:records]
    assert not vtd.faults.overflowed
    world.write(IOVA, source=EDU2)
    assert [fault.source_id for fault in vtd.faults.read()] == [EDU2]


def test_a_device_that_goes_on_has_one_record(world, vtd):
    """7.2.1: further faults of the same source id add nothing while the first is there."""
    for page in range(1, 5):
        world.write(IOVA + page * PAGE)
    assert not vtd.faults.overflowed
    assert [fault.iova for fault in vtd.faults.read()] == [IOVA + PAGE]


# -- the event


def test_the_fault_event(world, vtd):
    """7.3: one message for the first fault, none for those behind it; then again."""
    vector = world.vector()
    vtd.faults.set_event(0xFEE0_0000, vector)
    world.write(IOVA + PAGE)
    assert world.heard() == [(vector, 0)]
    vtd.faults.set_event(0xFEE0_0000, world.vector())
    world.write(IOVA, source=EDU2)
    assert world.heard() == []
    vtd.faults.read()
    later = world.vector()
    vtd.faults.set_event(0xFEE0_0000, later)
    world.write(IOVA + PAGE)
    assert world.heard() == [(later, 0)]


def test_a_masked_event_waits_until_it_is_unmasked(world, vtd):
    """10.4.10: IP, then the message; it lapses when its cause is gone."""
    vector = world.vector()
    vtd.faults.set_event(0xFEE0_0000, vector)
    vtd.faults.mask()
    world.write(IOVA + PAGE)
    control = VtdRegisters.FECTL
    assert control.IP.get(vtd.registers.get(control))
    assert world.heard() == []
    vtd.faults.mask(False)
    assert world.heard() == [(vector, 0)]
    assert not control.IP.get(vtd.registers.get(control))
    vtd.faults.read()
    vtd.faults.mask()
    world.write(IOVA + PAGE)
    vtd.faults.read()
    assert not control.IP.get(vtd.registers.get(control))
    vtd.faults.mask(False)
    assert world.heard() == []


def test_a_record_is_freed_by_its_own_bit_alone(world, vtd):
    """10.4.14: F is cleared by a 1; a 0 leaves it, and PPF follows."""
    world.write(IOVA + PAGE)
    registers, record = vtd.registers, VtdRegisters.FRCD0
    first = VtdRegisters.FSTS.FRI.get(registers.get(VtdRegisters.FSTS))
    assert first < vtd.capabilities.records
    at = registers.base + registers.offset(record) + 16 * first + 12
    assert FAULT_RECORD.F.get(vtd.cpu.load(at, 4) << 96)
    vtd.cpu.store(at, 0, 4)
    assert VtdRegisters.FSTS.PPF.get(registers.get(VtdRegisters.FSTS))
    vtd.cpu.store(at, 1 << 31, 4)
    assert not VtdRegisters.FSTS.PPF.get(registers.get(VtdRegisters.FSTS))
