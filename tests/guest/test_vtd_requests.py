"""Invalidation, fault records and interrupt entries: rules of the driver itself."""

import pytest

from tests.guest.vtd_units import ALL, LARGE, attached
from tests.oracles.vtd_worlds import EDU, EDU2, Ours
from virtlab.cpu import Recorder
from virtlab.guest.vtd_faults import Fault
from virtlab.guest.vtd_invalidate import Request, Span
from virtlab.guest.vtd_registers import UnitRegisters, VtdFailed
from virtlab.interrupts import Interrupt
from virtlab.iommu.descriptors import DescriptorType, Granularity
from virtlab.iommu.layouts import FAULT_RECORD, FI_INDEX
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.memory import PAGE

CAP, ECAP = VtdRegisters.CAP, VtdRegisters.ECAP


# -- invalidation


@pytest.mark.parametrize(
    ("iova", "length", "span"),
    [
        (0x1000, 0x1000, (0x1000, 0)),
        (0x1000, 0x2000, (0, 2)),
        (0x2000, 0x2000, (0x2000, 1)),
        (0x1FFF, 2, (0, 2)),
        (0x5000, 0, (0x5000, 0)),
        (0, 1 << 57, (0, 45)),
        (LARGE - PAGE, 2 * PAGE, (0, 10)),
    ],
)
def test_a_span_covers_what_is_asked_for(iova, length, span):
    """10.4.8.2: 2**AM pages, at a multiple of that."""
    assert Span.over(iova, length) == span
    at, mask = span
    assert at % (PAGE << mask) == 0
    assert at <= iova < iova + length <= at + (PAGE << mask) or not length


@pytest.mark.parametrize(
    ("unit", "asked", "done"),
    [
        (ALL, (None, None, PAGE), Granularity.GLOBAL),
        (ALL, (3, None, PAGE), Granularity.DOMAIN),
        (ALL, (3, 0x1000, PAGE), Granularity.SELECTIVE),
        (ALL, (3, 0, PAGE << 18), Granularity.SELECTIVE),
        (ALL, (3, 0, PAGE << 19), Granularity.DOMAIN),
        (ALL._replace(address_mask=0), (3, 0, 2 * PAGE), Granularity.DOMAIN),
        (ALL._replace(page_selective=False), (3, 0x1000, PAGE), Granularity.DOMAIN),
    ],
)
def test_a_request_is_the_smallest_that_the_unit_can_do(unit, asked, done):
    """10.4.2: PSI, MAMV."""
    assert Request.of(unit, *asked).granularity == done


def test_a_context_entry_is_named_with_its_domain():
    vtd, _ = attached(Ours())
    with pytest.raises(ValueError, match="domain id"):
        vtd.invalidation.contexts(source_id=EDU)


def test_a_device_forgets_pages_of_its_own():
    """6.5.2.5: one page, or 2**n of them, as ATS says it."""
    told = []
    world = Ours()
    world.unit.invalidator.device_tlb = lambda *what: told.append(what) or True
    vtd, _ = attached(world)
    for mask in (0, 1, 4, 18):
        vtd.ring.device_pages(EDU, 0x1234_5000, mask)
    sizes = [PAGE << mask for mask in (0, 1, 4, 18)]
    assert told == [(EDU, 0x1234_5000 & -size, size) for size in sizes]


def test_a_device_that_does_not_answer():
    """6.5.2.10, ITE: the driver says so, and the queue goes on."""
    world = Ours()
    world.unit.invalidator.device_tlb = lambda *what: False
    vtd, _ = attached(world)
    with pytest.raises(VtdFailed, match="did not answer"):
        vtd.ring.device_pages(EDU, 0)
    assert not vtd.registers.get(VtdRegisters.FSTS)
    done = dict(world.unit.queue.done)
    vtd.ring.interrupts()
    assert world.unit.queue.done[DescriptorType.INTERRUPT_ENTRY] == 1 + done[4]


def test_a_unit_that_never_does_what_it_is_told():
    """Every wait is bounded."""
    world = Ours()
    vtd, _ = attached(world)

    class Deaf(Recorder):
        def store(self, gpa, value, size=4):
            if not BASE <= gpa < BASE + 0x1000:
                super().store(gpa, value, size)

    deaf = Deaf(world.cpu)
    vtd.registers.cpu = deaf
    with pytest.raises(VtdFailed, match=r"GSTS\[31\] does not become 0"):
        vtd.disable()
    vtd.ring.number += 1
    with pytest.raises(VtdFailed, match="does not answer"):
        vtd.ring.submit([])


def test_a_queue_that_stops_whatever_is_done():
    world = Ours()
    vtd, _ = attached(world)
    at = BASE + VtdRegisters.FSTS.offset

    class Stuck(Recorder):
        def load(self, gpa, size=4):
            return VtdRegisters.FSTS.IQE.mask if gpa == at else super().load(gpa, size)

    vtd.registers.cpu = Stuck(world.cpu)
    world.unit.queue.run = lambda: None
    with pytest.raises(VtdFailed, match="again and again"):
        vtd.ring.submit([0xF, 0xF])


@pytest.mark.parametrize("version", [0, 0xFFFF_FFFF])
def test_where_no_unit_is(version):
    world = Ours()
    world.unit.preset(VER=version)
    with pytest.raises(VtdFailed, match="no remapping unit"):
        UnitRegisters(world.cpu, BASE)


def test_registers_are_where_the_unit_says():
    """CAP.FRO and ECAP.IRO, in units of 16 bytes."""
    registers = UnitRegisters(Ours().cpu, BASE)
    registers.cap = CAP.FRO.put(registers.cap, 0x400 >> 4)
    registers.ecap = ECAP.IRO.put(registers.ecap, 0x300 >> 4)
    offsets = [registers.offset(getattr(VtdRegisters, name)) for name in ("IVA", "IOTLB", "FRCD2")]
    assert offsets == [0x300, 0x308, 0x420]
    assert registers.offset(VtdRegisters.GSTS) == VtdRegisters.GSTS.offset


# -- faults


def test_records_are_read_from_the_first_one_on():
    """7.2.1: they are used in a circle, and FRI says where it begins."""
    world = Ours(ALL._replace(records=3))
    vtd, _ = attached(world)
    for source in (EDU, EDU2, EDU, EDU2, EDU):
        world.write(0x7000, source=source)
        assert [fault.source_id for fault in vtd.faults.read()] == [source]
    world.write(0x7000)
    world.write(0x9000, source=EDU2)
    assert [fault.source_id for fault in vtd.faults.read()] == [EDU, EDU2]
    assert vtd.faults.read() == []


def test_after_an_overflow_recording_goes_on():
    """7.2.1: nothing is recorded while PFO is set; `read` clears it."""
    world = Ours(ALL._replace(records=1))
    vtd, _ = attached(world)
    for _ in range(2):
        world.write(0x7000)
        world.write(0x7000, source=EDU2)
        assert vtd.faults.overflowed
        assert [fault.source_id for fault in vtd.faults.read()] == [EDU]
        assert not vtd.faults.overflowed


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            FAULT_RECORD.pack(F=1, FR=5, SID=0x28) | 0x7000,
            "0x0028: write at 0x7000: 0x5, a write, and no permission to write",
        ),
        (
            FAULT_RECORD.pack(F=1, FR=6, SID=0x28, T1=1),
            "0x0028: read at 0x0: 0x6, a read, and no permission to read",
        ),
        (
            FI_INDEX.put(FAULT_RECORD.pack(F=1, FR=0x22, SID=0x28), 9),
            "0x0028: an interrupt entry 9: 0x22, the interrupt entry is not present",
        ),
        (FAULT_RECORD.pack(F=1, FR=0x7F), "0x0000: write at 0x0: 0x7f, a reason that is not known"),
    ],
)
def test_a_fault_in_words(record, text):
    assert str(Fault.of(record)) == text


# -- interrupts


def test_entries_are_taken_in_rows():
    vtd, _ = attached(Ours())
    table = vtd.remap_interrupts()
    assert [table.take(), table.take(4), table.take(), table.take(2), table.take(4)] == [
        0,
        4,
        1,
        2,
        8,
    ]
    with pytest.raises(ValueError, match="powers of two"):
        table.take(3)
    with pytest.raises(ValueError, match="powers of two"):
        table.take(0)
    table.take(128)
    with pytest.raises(ValueError, match="are free"):
        table.take(128)


def test_an_xapic_id_has_8_bits():
    vtd, _ = attached(Ours())
    table = vtd.remap_interrupts()
    with pytest.raises(ValueError, match="8 bits"):
        table.route(EDU, Interrupt(0x40, 0x100))


@pytest.mark.parametrize("field", ["IR", "EIM"])
def test_a_unit_that_cannot_remap_interrupts(field):
    world = Ours()
    world.unit.preset(ECAP=getattr(ECAP, field).put(world.unit.ECAP, 0))
    vtd = world.driver()
    with pytest.raises(VtdFailed, match="cannot remap"):
        vtd.remap_interrupts(extended=True)


def test_an_entry_in_use_is_not_present_while_it_changes():
    """An entry has two halves, and is written with two stores."""
    world = Ours()
    vtd, _ = attached(world)
    table = vtd.remap_interrupts()
    table.route(EDU, Interrupt(0x40))
    table.cpu = seen = Recorder(world.cpu)
    table.route(EDU2, Interrupt(0x41), 0)
    stores = [(a.address - table.gpa, a.value & 1) for a in seen.accesses if a.write]
    assert stores == [(0, 0), (8, 0), (0, 1)]


def test_a_new_table_begins_with_nothing_remembered():
    """6.5.2.7, 10.4.4: after SIRTP the entries of the table before are still cached."""
    world = Ours()
    vtd, _ = attached(world)
    sent = vtd.remap_interrupts().route(EDU, Interrupt(0x40))
    world.send(sent)
    assert world.heard() == [(0x40, 0)]
    vtd.remap_interrupts()
    world.send(sent)
    assert world.heard() == []
    assert [fault.reason for fault in vtd.faults.read()] == [Reason.IRTE_NOT_PRESENT]
