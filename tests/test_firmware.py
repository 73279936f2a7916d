"""The ROM of the lesson PC: its tables say what the board is, and what enumeration makes of it."""

import re

import pytest

from tests.needs import needs_iasl
from tests.oracles.test_iasl import complaints, decoded
from virtlab import firmware, machine
from virtlab.cards import ECAM
from virtlab.guest.acpi import AcpiTables
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_resources import enumerate_pci

WORLDS = {"bare": machine.lesson_pc, "vm": machine.lesson_vm}


@pytest.mark.parametrize("world", WORLDS)
def test_a_kernel_finds_the_tables_where_it_looks(world):
    tables = AcpiTables(WORLDS[world]().cpu)
    assert tables.gpa == firmware.TABLES
    assert sorted(tables.signatures()) == ["APIC", "FACP", "HPET", "MCFG"]


def test_ecam_is_where_the_mcfg_says():
    cpu = machine.lesson_pc().cpu
    base = AcpiTables(cpu).find("MCFG").parts[0].values["base"]
    assert base == ECAM
    open_ecam(cpu, base)
    assert cpu.load(base, 4) == 0x29C0_8086


@pytest.mark.parametrize("pci", ["conventional", "express"])
def test_each_interrupt_is_the_one_that_enumeration_notes(pci):
    cpu = machine.lesson_pc(pci=pci).cpu
    noted = [(f.place, f.pin, f.line) for f in enumerate_pci(cpu) if f.pin and f.line is not None]
    for place, pin, line in noted:
        assert firmware.irq_of(place.device, pin) == line
    assert noted or pci == "express"


def test_the_hpet_is_where_its_table_says():
    board = machine.lesson_pc()
    told = AcpiTables(board.cpu).find("HPET").values
    assert board.cpu.load(told["base"][-1], 4) == told["block_id"]


def test_the_reset_register_resets():
    board = machine.lesson_pc()
    told = AcpiTables(board.cpu).find("FACP").values
    levels = []
    board.cpu_reset.sink = levels.append
    board.cpu.out(told["reset_reg"][-1], told["reset_value"])
    assert True in levels


def test_a_store_to_the_rom_changes_no_table():
    cpu = machine.lesson_pc().cpu
    cpu.write(firmware.TABLES, bytes(64))
    assert AcpiTables(cpu).signatures()


@needs_iasl
@pytest.mark.parametrize("signature", ["DSDT", "FACP", "APIC", "MCFG", "HPET", "RSDT", "XSDT"])
def test_iasl_has_no_complaint(tmp_path, signature):
    text, said = decoded(tmp_path, firmware.image().tables[signature])
    assert complaints(text, said) == []
    if signature == "DSDT":
        assert len(re.findall(r"Package \(0x04\)", text)) == 4 * 31
