"""A kernel's way to the tables: scan, follow, add up; and what it says where there are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.acpi import Board, build
from virtlab.acpi.structures import summed
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.guest.acpi import MAX_TABLE, AcpiTables, find_rsdp
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory

BOARD = Board(hpet=(0xFED0_0000, 0x8086_A201), ecam=(0xB000_0000, 0, 255))
GPA = 0xF1230


@pytest.fixture
def machine():
    """RAM below 1 MiB with the tables in it."""
    return with_tables(build(BOARD, GPA))


def with_tables(image=None):
    ram, memory = GuestMemory([(0xD0000, 0x30000)]), AddressSpace("memory", 52)
    memory.map_ram(ram)
    cpu = BareCpu(AddressSpace("port", 16), memory, Clock())
    cpu.ram, cpu.image = ram, image
    if image is not None:
        ram.write(image.gpa, image.data)
    return cpu


def test_the_tables_are_found_by_their_signatures(machine):
    tables = AcpiTables(machine)
    assert tables.gpa == GPA
    assert tables.root.values["signature"] == b"XSDT"
    assert tables.signatures() == ["FACP", "APIC", "MCFG", "HPET"]
    assert tables.find("MCFG").parts[0].values["base"] == 0xB000_0000
    assert tables.find("HPET").values["base"][-1] == 0xFED0_0000


def test_the_dsdt_is_found_through_the_fadt(machine):
    assert b"PCI0" in AcpiTables(machine).find("DSDT").rest


def test_a_table_that_is_not_listed_is_not_there(machine):
    with pytest.raises(LookupError, match="lists no DMAR"):
        AcpiTables(machine).find("DMAR")


def test_a_machine_without_tables_has_none():
    with pytest.raises(LookupError, match="no RSDP in 0xe0000-0xfffff"):
        AcpiTables(with_tables())


@pytest.mark.parametrize("at", [0xDFFF0, 0xE0008])
def test_a_pointer_outside_the_area_or_off_its_step_is_not_seen(at):
    """5.2.5.1: on 16-byte boundaries of 0xE0000 to 0xFFFFF."""
    machine = with_tables()
    machine.ram.write(at, build(BOARD, GPA).tables["RSDP"])
    with pytest.raises(LookupError, match="no RSDP"):
        find_rsdp(machine)


def test_a_copy_that_does_not_add_up_is_passed_over(machine):
    machine.ram.write(0xE0000, b"RSD PTR " + bytes(28))
    assert find_rsdp(machine)[0] == GPA


def test_an_old_pointer_leads_through_the_rsdt(machine):
    """5.2.5.3: revision 0 knows the RSDT only."""
    old = bytearray(machine.image.tables["RSDP"][:20])
    old[15] = 0
    machine.ram.write(GPA, summed(bytes(old), 8) + bytes(16))
    tables = AcpiTables(machine)
    assert tables.root.values["signature"] == b"RSDT"
    assert tables.signatures() == ["FACP", "APIC", "MCFG", "HPET"]


def test_a_damaged_table_says_what_is_wrong(machine):
    machine.ram.store(machine.image.places["HPET"] + 40, 1, 0x77)
    with pytest.raises(LookupError, match=r"the table at 0x\w+ is damaged: byte 9"):
        AcpiTables(machine).find("HPET")


@pytest.mark.parametrize("length", [0, 35, MAX_TABLE + 1, 0xFFFF_FFFF])
def test_a_length_that_cannot_be_is_not_read(machine, length):
    machine.ram.store(machine.image.places["HPET"] + 4, 4, length)
    with pytest.raises(LookupError, match=f"it would have {length} bytes"):
        AcpiTables(machine).find("HPET")


def test_a_pointer_into_nothing_is_no_table(machine):
    """All ones come back from there, as a length too."""
    with pytest.raises(LookupError, match="there is no table at"):
        AcpiTables(machine).at(0x4000_0000)


@given(st.lists(st.tuples(st.integers(0, 0x7FF), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_firmware_left_there_nothing_but_a_lookup_error_comes_out(changes):
    machine = with_tables(build(BOARD, GPA))
    for at, byte in changes:
        machine.ram.store(GPA + at, 1, byte)
    try:
        tables = AcpiTables(machine)
        for signature in (*tables.signatures(), "DSDT"):
            tables.find(signature)
    except LookupError:
        pass
