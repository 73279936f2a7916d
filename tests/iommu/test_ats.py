"""Devices with a TLB of their own: trusted only where the context entry says so."""

import pytest

from tests.iommu.tables import READ, RW, WRITE, Tables, command, put, reg, unit_with
from virtlab.errors import DmaFault
from virtlab.iommu.ats import TRANSLATED, TRANSLATION_REQUEST
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

SID, IOVA = 0x0118, 0x40_0000
FRCD = VtdRegisters.FRCD0


def world(kind=1, rights=RW, entry=None):
    tables = Tables()
    at = tables.map(tables.attach(SID, TT=kind), IOVA, 0x3000, rights=rights)
    if entry is not None:
        tables.memory.store(at, 8, entry)
    unit = unit_with(tables)
    return tables, unit, unit.ats_for(SID)


@pytest.mark.parametrize("rights", [0, READ, WRITE, RW])
def test_a_translation_is_the_page_and_its_rights(rights):
    """A page without rights is an answer, not a fault."""
    _, unit, device = world(rights=rights)
    answer = device.ask(IOVA + 0x10)
    assert (answer.read, answer.write) == (bool(rights & READ), bool(rights & WRITE))
    assert (answer.gpa, answer.size) == (0x3010 if rights else 0, PAGE)
    assert reg(unit, "FSTS") == 0


def test_a_translated_request_goes_straight_to_memory():
    tables, unit, device = world()
    device.write(0x9000, b"trust")
    assert tables.memory.read(0x9000, 5) == device.read(0x9000, 5) == b"trust"
    with pytest.raises(DmaFault):
        device.read(0x4000_0000, 1)
    assert reg(unit, "FSTS") == 0


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize("how", ["ask", "read", "write"])
def test_without_the_trust_both_are_blocked(kind, how):
    _, unit, device = world(kind)
    before = unit.memory.bytes.copy()
    with pytest.raises(DmaFault) as caught:
        {
            "ask": lambda: device.ask(IOVA),
            "read": lambda: device.read(0x3000, 4),
            "write": lambda: device.write(0x3000, b"1234"),
        }[how]()
    assert caught.value.code == Reason.BLOCKED
    record = reg(unit, "FRCD0")
    assert FRCD.AT.get(record) == (TRANSLATION_REQUEST if how == "ask" else TRANSLATED)
    assert FRCD.T1.get(record) == (how != "write")
    assert (unit.memory.bytes == before).all()


def test_a_request_for_a_page_with_a_reserved_bit_is_a_fault():
    _, unit, device = world(entry=1 << 51 | RW)
    with pytest.raises(DmaFault) as caught:
        device.ask(IOVA)
    assert caught.value.code == Reason.PAGING_RESERVED
    assert FRCD.AT.get(reg(unit, "FRCD0")) == TRANSLATION_REQUEST


def test_a_request_for_an_address_with_too_many_bits_is_answered_without_rights():
    _, unit, device = world()
    answer = device.ask(1 << 60)
    assert (answer.read, answer.write) == (False, False)
    assert reg(unit, "FSTS") == 0


def test_a_request_for_interrupt_addresses_may_write_them():
    """A device asks for all addresses that it uses, its messages' too (7.1.3, S.1)."""
    _, unit, device = world()
    answer = device.ask(0xFEE0_1000)
    assert (answer.gpa, answer.read, answer.write) == (0xFEE0_1000, False, True)
    assert reg(unit, "FSTS") == 0


@pytest.mark.parametrize(
    ("gpa", "reason"), [(1 << 46, Reason.BEYOND_WIDTH), (0xFEE0_1000, Reason.INTERRUPT_RANGE)]
)
def test_translated_requests_to_where_no_memory_can_be(gpa, reason):
    _, unit, device = world()
    with pytest.raises(DmaFault) as caught:
        device.write(gpa, b"1234")
    assert caught.value.code == reason
    assert FRCD.AT.get(reg(unit, "FRCD0")) == TRANSLATED


def test_a_requester_without_a_context_is_not_trusted():
    _, unit, _ = world()
    with pytest.raises(DmaFault) as caught:
        unit.ats_for(0x0500).read(0x3000, 4)
    assert caught.value.code == Reason.ROOT_NOT_PRESENT


def test_while_translation_is_off_there_is_nothing_to_ask():
    _, unit, device = world()
    command(unit, "TE", False)
    with pytest.raises(DmaFault, match="no translation is enabled"):
        device.ask(IOVA)
    assert reg(unit, "FSTS") == 0


def test_protected_memory_is_protected_from_translated_requests_too():
    _, unit, device = world()
    put(unit, "PMEN", 1 << 31)  # the first 2 MiB
    with pytest.raises(DmaFault, match="protected"):
        device.read(0x3000, 4)
    unit.dma_for(SID).read(IOVA, 4)
