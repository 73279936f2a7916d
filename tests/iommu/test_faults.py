"""Fault recording and the fault event."""

from __future__ import annotations

import pytest

from tests.iommu.tables import Tables, command, put, reg, unit_with
from virtlab.errors import DmaFault
from virtlab.interrupts import Msi
from virtlab.iommu.layouts import CONTEXT, FAULT_RECORD
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters

FSTS, FECTL = VtdRegisters.FSTS, VtdRegisters.FECTL
MESSAGE = Msi(0x1_FEE0_1000, 0x41)


class World:
    """A unit with no page mapped, and what it sends."""

    def __init__(self, **capabilities: object) -> None:
        self.sent: list[Msi] = []
        self.tables = Tables()
        self.unit = unit_with(self.tables, message=self.sent.append, **capabilities)
        put(self.unit, "FEADDR", MESSAGE.address & 0xFFFF_FFFF)
        put(self.unit, "FEUADDR", MESSAGE.address >> 32)
        put(self.unit, "FEDATA", MESSAGE.data)

    def unmask(self, masked: bool = False) -> None:
        put(self.unit, "FECTL", masked << 31)

    def fault(self, source_id: int = 0x0118, iova: int = 0x1234_5678, write: bool = False) -> int:
        """A request that is refused: by its reason."""
        dma = self.unit.dma_for(source_id)
        request = (lambda: dma.write(iova, b"1234")) if write else (lambda: dma.read(iova, 4))
        with pytest.raises(DmaFault) as caught:
            request()
        assert caught.value.address == iova
        return caught.value.code

    def record(self, number: int = 0) -> dict[str, int]:
        return FAULT_RECORD.decode(reg(self.unit, f"FRCD{number}"))

    def status(self, *names: str) -> tuple[int, ...]:
        value = reg(self.unit, "FSTS")
        return tuple(FSTS.fields[name].get(value) for name in names)

    def free(self, number: int = 0) -> None:
        put(self.unit, f"FRCD{number}", FAULT_RECORD.F.mask)


# -- 10.4.14: what a record says


@pytest.mark.parametrize("write", [False, True])
def test_a_record_has_who_where_how_and_why(write):
    world = World()
    world.tables.attach(0x0118)
    reason = world.fault(0x0118, 0x1234_5678, write)
    assert reason == (Reason.WRITE if write else Reason.READ)
    record = world.record()
    assert record["FI"] == 0x1234_5678 >> 12
    assert (record["SID"], record["FR"], record["F"]) == (0x0118, reason, 1)
    assert (record["T1"], record["T2"], record["AT"], record["PP"]) == (not write, 0, 0, 0)


def test_the_fault_that_is_raised_has_the_sentence():
    world = World()
    with pytest.raises(DmaFault, match="the root entry is not present: 1 bytes at 0x5000"):
        world.unit.dma_for(0x0500).read(0x5000, 4)


def test_a_long_request_names_the_page_that_was_refused():
    world = World()
    table = world.tables.attach(0x0118)
    world.tables.map(table, 0x5000, 0x1000)
    with pytest.raises(DmaFault) as caught:
        world.unit.dma_for(0x0118).read(0x5800, 0x1000)
    assert caught.value.address == 0x6000
    assert world.record()["FI"] == 0x6


def test_an_interrupt_s_record_has_its_index():
    world = World()
    world.unit.faults.interrupt(Reason.IRTE_NOT_PRESENT, 0x0118, 0x1234)
    record = world.record()
    assert (record["FR"], record["SID"], record["FI"]) == (0x22, 0x0118, 0x1234 << 36)


# -- 7.2: one record after another


def test_ppf_and_fri_tell_of_the_first_record():
    world = World()
    assert world.status("PPF", "FRI") == (0, 0)
    world.fault(0x0100)
    assert world.status("PPF", "FRI") == (1, 0)
    world.fault(0x0200)
    assert world.record(1)["SID"] == 0x0200
    assert world.status("PPF", "FRI") == (1, 0)
    world.free(0)
    assert world.status("PPF") == (1,)
    world.free(1)
    assert world.status("PPF") == (0,)
    world.fault(0x0300)
    assert world.status("PPF", "FRI") == (1, 2)


def test_records_are_used_in_a_circle():
    world = World(records=3)
    for number in range(7):
        world.fault(0x0100 * (number + 1))
        assert world.record(number % 3)["SID"] == 0x0100 * (number + 1)
        assert world.status("PFO", "FRI") == (0, number % 3)
        world.free(number % 3)


def test_further_faults_of_a_requester_that_has_a_record_add_none():
    world = World(records=2)
    for _ in range(5):
        world.fault(0x0100)
    assert world.record(1)["F"] == 0
    assert world.status("PFO") == (0,)
    world.free(0)
    world.fault(0x0100)
    assert world.record(1)["F"] == 1


def test_a_fault_that_finds_no_record_sets_pfo_and_is_lost():
    world = World(records=2)
    for number in (1, 2, 3, 4):
        world.fault(0x0100 * number)
    assert world.status("PPF", "PFO") == (1, 1)
    assert [world.record(n)["SID"] for n in (0, 1)] == [0x0100, 0x0200]
    assert world.unit.faults.lost == 2


def test_after_an_overflow_nothing_is_recorded_until_pfo_is_cleared():
    world = World(records=1)
    world.fault(0x0100)
    world.fault(0x0200)
    world.free()
    world.fault(0x0300)
    assert world.record()["F"] == 0
    put(world.unit, "FSTS", FSTS.PFO.mask)
    assert world.status("PFO", "PPF") == (0, 0)
    world.fault(0x0300)
    assert world.record()["SID"] == 0x0300


def test_ppf_and_fri_are_not_for_writing_and_records_only_free():
    world = World()
    world.fault(0x0100)
    put(world.unit, "FSTS", 0xFFFF_FFFF)
    assert world.status("PPF") == (1,)
    before = reg(world.unit, "FRCD0")
    put(world.unit, "FRCD0", (1 << 127) - 1)
    assert reg(world.unit, "FRCD0") == before
    world.unit.write(VtdRegisters.FRCD0.offset + 12, 4, 1 << 31)  # as Linux does
    assert world.record()["F"] == 0
    assert world.status("PPF") == (0,)


def test_where_there_are_fewer_records_the_others_stay_empty():
    world = World(records=1)
    world.fault(0x0100)
    assert [world.record(n)["F"] for n in range(8)] == [1] + [0] * 7


# -- 9.3: FPD


@pytest.mark.parametrize(
    ("fields", "iova", "reason"),
    [
        ({"P": 0}, 0, Reason.CONTEXT_NOT_PRESENT),
        ({"AW": 0}, 0, Reason.CONTEXT_INVALID),
        ({"SLPTPTR": 1 << 51}, 0, Reason.CONTEXT_RESERVED),
        ({}, 1 << 50, Reason.BEYOND_WIDTH),
        ({}, 0, Reason.READ),
    ],
)
@pytest.mark.parametrize("fpd", [0, 1])
def test_fpd_keeps_qualified_faults_out_of_the_records(fields, iova, reason, fpd):
    world = World()
    world.tables.attach(0x0118)
    at = world.tables.context_at(0x0118)
    entry = CONTEXT.FPD.put(world.tables.memory.load(at, 16), fpd)
    for name, value in fields.items():
        entry = CONTEXT.fields[name].put(entry, value)
    world.tables.memory.store(at, 16, entry)
    assert world.fault(0x0118, iova) == reason
    assert world.record()["F"] == (not fpd)


def test_fpd_keeps_no_other_fault_out():
    world = World()
    world.tables.attach(0x0118)
    at = world.tables.context_at(0x0118)
    world.tables.memory.store(at, 16, world.tables.memory.load(at, 16) | 2)
    assert world.fault(0x0118, 0xFEE0_0000) == Reason.INTERRUPT_REQUEST
    assert world.record()["F"] == 1


def test_fpd_counts_for_pages_that_are_remembered():
    world = World()
    world.tables.map(world.tables.attach(0x0118, FPD=1), 0x5000, 0x1000, rights=1)
    world.unit.dma_for(0x0118).read(0x5000, 4)
    assert world.fault(0x0118, 0x5000, write=True) == Reason.WRITE
    assert world.record()["F"] == 0


def test_the_next_record_is_the_first_when_nothing_is_remapped():
    """7.2.1: neither DMA nor interrupts."""
    world = World()
    world.fault(0x0100)
    command(world.unit, "IRE")
    command(world.unit, "TE", False)
    assert world.unit.faults.next == 1
    command(world.unit, "IRE", False)
    assert world.unit.faults.next == 0


# -- 7.3: the event


def test_the_first_fault_sends_a_message():
    world = World()
    world.unmask()
    world.fault(0x0100)
    assert world.sent == [MESSAGE]
    assert FECTL.IP.get(reg(world.unit, "FECTL")) == 0


def test_while_anything_is_pending_no_other_message_is_sent():
    world = World(records=2)
    world.unmask()
    for number in (1, 2, 3):
        world.fault(0x0100 * number)
    assert world.sent == [MESSAGE]
    world.free(0)
    world.free(1)
    world.fault(0x0400)  # lost: PFO is still set
    put(world.unit, "FSTS", FSTS.PFO.mask)
    assert world.sent == [MESSAGE]
    world.fault(0x0400)
    assert world.sent == [MESSAGE, MESSAGE]


def test_masked_it_is_pending_until_it_is_unmasked():
    world = World()
    assert FECTL.IM.get(reg(world.unit, "FECTL")) == 1  # after reset
    world.fault(0x0100)
    assert world.sent == []
    assert FECTL.IP.get(reg(world.unit, "FECTL")) == 1
    world.unmask()
    assert world.sent == [MESSAGE]
    assert FECTL.IP.get(reg(world.unit, "FECTL")) == 0
    world.unmask()
    assert world.sent == [MESSAGE]


def test_pending_it_lapses_when_software_has_cleared_everything():
    world = World()
    world.fault(0x0100)
    world.free(0)
    assert FECTL.IP.get(reg(world.unit, "FECTL")) == 0
    world.unmask()
    assert world.sent == []


def test_without_a_sink_the_message_is_lost():
    tables = Tables()
    unit = unit_with(tables)
    put(unit, "FECTL", 0)
    with pytest.raises(DmaFault):
        unit.dma_for(0).read(0, 1)
