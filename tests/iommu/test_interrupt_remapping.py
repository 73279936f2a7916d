"""Interrupt remapping, clause by clause: requests, entries, source ids, faults."""

import pytest

from tests.iommu.interrupt_bench import DESCRIPTOR, DISK, NIC, TABLE, Bench, entry, posted, request
from virtlab.interrupts import Delivery, Interrupt, Msi
from virtlab.iommu.interrupt_remapping import CHECK_BUS, COMPARED
from virtlab.iommu.layouts import IRTE
from virtlab.iommu.posted import PostedDescriptor
from virtlab.iommu.reasons import Reason
from virtlab.memory import GuestMemory


@pytest.fixture
def bench():
    return Bench()


# -- 5.1.2: the two formats


def test_switched_off_every_message_passes(bench):
    bench.unit.enabled = False
    for msi in (Msi(0xFEE0_1000, 0x41), request(3)):
        assert bench.unit.decide(DISK, msi).message == msi


@pytest.mark.parametrize(
    ("compatibility", "eime", "passes"),
    [(True, False, True), (False, False, False), (True, True, False), (False, True, False)],
)
def test_the_compatibility_format_passes_with_cfis_and_without_eime(compatibility, eime, passes):
    bench = Bench(TABLE | 7 | eime << 11)
    bench.unit.compatibility = compatibility
    msi = Msi(0xFEE0_1004, 0x4041)
    outcome = bench.unit.send(DISK, msi)
    assert bench.delivered == [msi] * passes
    assert outcome.reason == (None if passes else Reason.COMPATIBILITY_BLOCKED)
    assert bench.faults == ([] if passes else [(0x25, DISK, 0)])


def test_an_entry_becomes_a_message(bench):
    bench.put(5, entry(0x41, 2))
    assert bench.send(5) == Interrupt(0x41, 2)
    assert bench.delivered == [Msi(0xFEE0_2000, 0x41)]


@pytest.mark.parametrize("mode", [each for each in Delivery if each != Delivery.STARTUP])
def test_every_field_of_the_entry_is_in_the_message(bench, mode):
    bench.put(5, entry(0x99, 0xAB, DLM=mode, DM=1, RH=1, TM=1, AVAIL=0xF))
    assert bench.send(5) == Interrupt(0x99, 0xAB, mode, True, True, True)


def test_bits_1_and_0_of_the_address_are_ignored(bench):
    bench.put(5, entry())
    address, data = request(5)
    assert bench.unit.decide(DISK, Msi(address | 3, data)).reason is None


def test_the_highest_bit_of_the_handle_stands_apart():
    bench = Bench(0xF)
    bench.memory = GuestMemory([(0x8_0000, 0x8_0000)])
    bench.unit.memory = bench.memory
    bench.memory.store(16 * 0x9234, 16, entry())
    assert bench.send(0x9234) == Interrupt(0x41, 2)


def test_the_subhandle_is_added_where_shv_says_so(bench):
    bench.put(9, entry(0x49))
    bench.put(5, entry(0x45))
    assert bench.send(5, subhandle=4) == Interrupt(0x49, 2)
    assert bench.unit.decide(DISK, request(5)._replace(data=4)).interrupt_index == 5


def test_handle_and_subhandle_do_not_wrap():
    bench = Bench(0xF)
    assert bench.send(0xFFFF, subhandle=1) == Reason.INDEX_BEYOND


def test_x2apic_destinations_have_32_bits():
    bench = Bench(TABLE | 7 | 1 << 11)
    bench.put(5, IRTE.pack(P=1, V=0x41, DST=0x1234_5678))
    assert bench.send(5) == Interrupt(0x41, 0x1234_5678)
    assert bench.delivered == [Msi(0x1234_5600_FEE7_8000, 0x41)]


def test_a_unit_without_eim_has_no_eime():
    bench = Bench(TABLE | 7 | 1 << 11, extended=False)
    bench.put(5, IRTE.pack(P=1, V=0x41, DST=0x1234_5678))
    assert bench.send(5) == Reason.IRTE_RESERVED


# -- 5.1.4: faults, each by its reason


def test_20h_a_reserved_field_of_the_request(bench):
    bench.put(5, entry())
    assert bench.send(5, subhandle=1 << 16) == Reason.REQUEST_RESERVED
    assert bench.send(5, high=1) == Reason.REQUEST_RESERVED
    for address in (0xFED0_0000, 0xFEF0_0010, 0x10):
        assert bench.unit.send(DISK, Msi(address, 0)).reason == 0x20
    assert bench.faults == [(0x20, DISK, 0)] * 5


def test_without_shv_the_data_is_ignored(bench):
    bench.put(5, entry())
    assert bench.unit.decide(DISK, request(5)._replace(data=0xFFFF_FFFF)).reason is None


def test_21h_an_index_beyond_the_table(bench):
    assert bench.send(256) == Reason.INDEX_BEYOND
    assert bench.send(250, subhandle=6) == 0x21
    assert bench.faults == [(0x21, DISK, 256)] * 2
    assert bench.send(255) == Reason.IRTE_NOT_PRESENT


@pytest.mark.parametrize("size", range(16))
def test_the_size_of_the_table(size):
    bench = Bench(TABLE | size)
    assert bench.unit.entries == 2 ** (size + 1)


def test_22h_an_entry_that_is_not_present(bench):
    bench.put(5, entry(P=0) | 1 << 12)
    assert bench.send(5) == Reason.IRTE_NOT_PRESENT
    assert bench.faults == [(0x22, DISK, 5)]


def test_23h_a_table_that_is_not_in_memory():
    bench = Bench(0xFF_F000 | 7)
    assert bench.send(5) == Reason.IRTE_ACCESS
    assert bench.faults == [(0x23, DISK, 5)]


RESERVED = (*range(12, 15), *range(24, 32), *range(84, 128))
RESERVED_POSTED = (*range(2, 8), *range(12, 14), *range(24, 38), *range(84, 96))
"""The bits that the figures of 9.10 and 9.11 leave blank."""


@pytest.mark.parametrize("bit", [*RESERVED, *range(32, 40), *range(48, 64)])
def test_24h_a_reserved_bit_of_an_entry(bench, bit):
    bench.put(5, entry() | 1 << bit)
    assert bench.send(5) == Reason.IRTE_RESERVED
    assert bench.faults == [(0x24, DISK, 5)]


@pytest.mark.parametrize("bit", RESERVED_POSTED)
def test_24h_a_reserved_bit_of_a_posted_entry(bench, bit):
    bench.put(5, posted() | 1 << bit)
    assert bench.send(5) == Reason.IRTE_RESERVED
    assert PostedDescriptor(bench.memory, DESCRIPTOR).pending == 0


@pytest.mark.parametrize("fields", [{"DLM": 3}, {"DLM": 6}, {"svt": 3}])
def test_24h_a_value_that_means_nothing(bench, fields):
    bench.put(5, entry(**fields))
    assert bench.send(5) == Reason.IRTE_RESERVED


def test_24h_a_posted_entry_in_a_unit_that_cannot_post():
    bench = Bench(posting=False)
    bench.put(5, posted())
    assert bench.send(5) == Reason.IRTE_RESERVED


@pytest.mark.parametrize("qualifier", range(4))
def test_26h_the_source_id_by_its_qualifier(bench, qualifier):
    """Every function of the same device and of its neighbour, against the bits that count."""
    bench.put(5, entry(sid=0x0123, SQ=qualifier))
    for sid in (*range(0x0120, 0x0130), 0x0223, 0x0133):
        same = sid & COMPARED[qualifier] == 0x0123 & COMPARED[qualifier]
        assert bench.send(5, sid) == (Interrupt(0x41, 2) if same else Reason.SOURCE_ID)
    assert set(bench.faults) >= {(0x26, 0x0223, 5), (0x26, 0x0133, 5)}


def test_qualifiers_in_numbers():
    """9.10: all bits; all but bit 2; all but bits 2:1; all but bits 2:0."""
    assert COMPARED == (0xFFFF, 0xFFFF - 4, 0xFFFF - 6, 0xFFFF - 7)


def test_26h_a_bus_range_has_its_start_above_its_end(bench):
    """SID 15:8 is the first bus, 7:0 the last."""
    bench.put(5, entry(sid=0x0305, svt=CHECK_BUS))
    passed = [bus for bus in range(256) if bench.send(5, bus << 8 | 0x21) == Interrupt(0x41, 2)]
    assert passed == [3, 4, 5]
    bench.unit.invalidate_all()
    bench.put(5, entry(sid=0x0503, svt=CHECK_BUS))
    assert bench.send(5, 0x0400) == Reason.SOURCE_ID


def test_without_a_check_everybody_may(bench):
    bench.put(5, entry(svt=0))
    assert bench.send(5, NIC) == Interrupt(0x41, 2)


def test_reserved_comes_before_the_source_id(bench):
    bench.put(5, entry() | 1 << 12)
    assert bench.send(5, NIC) == Reason.IRTE_RESERVED


@pytest.mark.parametrize(
    ("value", "sid", "reason"),
    [(entry(P=0), DISK, 0x22), (entry() | 1 << 12, DISK, 0x24), (entry(), NIC, 0x26)],
)
def test_fpd_keeps_the_faults_of_an_entry_out_of_the_records(bench, value, sid, reason):
    bench.put(5, value | IRTE.FPD.mask)
    assert bench.send(5, sid) == reason
    assert bench.faults == []
    assert bench.unit.decide(sid, request(5)).recorded is False
