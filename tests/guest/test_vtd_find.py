"""The DMAR table: ours is taken apart by iasl, QEMU's and ours are understood by the driver."""

import dataclasses
import re
import struct

import pytest

from tests.needs import needs_iasl, needs_qemu
from tests.oracles.test_iasl import again, complaints, decoded, without_maker
from tests.test_acpi import LESSON, compare, theirs
from virtlab import firmware
from virtlab.acpi import build, encode, parse
from virtlab.acpi.remapping import BRIDGE, ENDPOINT, HPET, IO_APIC, RemappingUnit, Scope, dmar
from virtlab.acpi.structures import summed
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.guest.vtd_find import find_units, unit_for, units_of
from virtlab.guest.vtd_registers import VtdFailed
from virtlab.hosts.python import BareCpu
from virtlab.hosts.remote import QtestMachine
from virtlab.iommu.registers import BASE
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import GuestMemory
from virtlab.trace import Access, Trace

TWO = dmar(
    RemappingUnit(
        0xFED9_1000,
        (Scope(ENDPOINT, ((2, 0),)), Scope(BRIDGE, ((1, 0), (0, 3)), number=0)),
        all_others=False,
    ),
    RemappingUnit(
        BASE, (Scope(IO_APIC, ((0x1E, 7),), 0xF0, 2), Scope(HPET, ((0x1F, 0),), 0xF0)), True
    ),
    host_width=39,
)


def board(vtd=True, unit=True):
    """A machine with the lesson PC's ROM, and a unit where that says."""
    ram = GuestMemory(0x80000)
    memory = AddressSpace("memory", 52, Trace())
    memory.map_ram(ram)
    memory.map_ram(firmware.rom(vtd), "rom", writable=False)
    if unit:
        memory.map(BASE, VtdUnit.length, VtdUnit(ram), "vtd", width=8)
    ports = AddressSpace("port", 16, Trace(), ("in", "out"), max_size=4)
    return BareCpu(ports, memory, Clock())


# -- what a driver learns


def test_the_driver_finds_the_unit_of_our_board():
    vtd = VtdDriver.find(board(), Room(0x1000, 0x8000))
    assert vtd.registers.base == BASE
    assert vtd.capabilities.host_width == 46
    vtd.start()
    vtd.enable()
    assert vtd.enabled


def test_a_board_without_a_unit_says_nothing_of_one():
    with pytest.raises(LookupError, match="no DMAR"):
        VtdDriver.find(board(vtd=False), Room(0x1000, 0x8000))


def test_a_table_without_its_unit():
    with pytest.raises(VtdFailed, match="no remapping unit at 0xfed90000"):
        VtdDriver.find(board(unit=False), Room(0x1000, 0x8000))


def test_what_the_table_says():
    first, last = units_of(parse(encode(TWO)))
    assert (first.base, first.host_width, first.all_others) == (0xFED9_1000, 39, False)
    assert (last.base, last.all_others, last.interrupts) == (BASE, True, True)
    assert [scope.source_id for scope in first.scopes] == [0x0010, None]
    assert [scope.source_id for scope in last.scopes] == [0xF0F7, 0xF0F8]
    assert [scope.number for scope in last.scopes] == [2, 0]


def test_the_unit_of_a_device_is_the_one_that_names_it():
    """8.3: INCLUDE_PCI_ALL is for those that no other unit names."""
    units = units_of(TWO)
    assert unit_for(units, 0, 2).base == 0xFED9_1000
    assert unit_for(units, 0, 3).base == BASE
    with pytest.raises(LookupError, match=r"00:03\.0"):
        unit_for(units[:1], 0, 3)


def test_a_scope_that_nobody_knows_is_passed_over():
    data = bytearray(encode(TWO))
    data[64] = 0x77  # the type of the first scope
    (unknown, _), _ = (unit.scopes for unit in units_of(parse(summed(bytes(data), 9))))
    assert (unknown.kind, unknown.path, unknown.source_id) == (0x77, (), None)


def test_qemus_table_is_understood():
    """Of a q35 with an I/O APIC, root ports, a bridge and endpoints (`tests/data/acpi`)."""
    (unit,) = units_of(parse(theirs("DMAR")))
    assert (unit.base, unit.host_width, unit.all_others, unit.interrupts) == (BASE, 39, False, True)
    assert unit.scopes[0] == (IO_APIC, ((0, 0),), 0xFF, 0)
    assert [scope.source_id for scope in unit.scopes[2:5]] == [0x18, 0x19, 0x1A]
    assert unit_for([unit], 0, 0x1F, 2) is unit


@needs_qemu
def test_the_driver_finds_qemus_unit_by_the_table_that_qemu_hands_out():
    """The table is on the fw_cfg ports, where firmware fetches it: this test is firmware."""
    with QtestMachine("q35", ["-device", "intel-iommu,intremap=on,aw-bits=48"]) as machine:
        units = units_of(parse(summed(fetched(machine, "etc/acpi/tables", b"DMAR"), 9)))
        vtd = VtdDriver(machine, units[0].base, Room(1 << 20, 1 << 20), units[0].host_width)
        assert vtd.capabilities.levels == (3, 4)
        vtd.start()
        vtd.enable()
        assert vtd.enabled


def fetched(machine, name, signature):
    """A table out of QEMU's file of tables."""

    def item(key, length):
        machine.out(0x510, key, 2)
        reads = [Access(at, False, "port", 0x511, 1, 0) for at in range(length)]
        return bytes(each.value for each in machine.pipeline(reads))

    (count,) = struct.unpack(">I", item(0x19, 4))
    directory = item(0x19, 4 + 64 * count)[4:]
    entries = (struct.unpack(">IHH56s", directory[at : at + 64]) for at in range(0, 64 * count, 64))
    length, key = next(
        (size, select) for size, select, _, text in entries if text.rstrip(b"\0") == name.encode()
    )
    data = item(key, min(length, 0x4000))
    at = data.index(signature)
    (size,) = struct.unpack_from("<I", data, at + 4)
    return data[at : at + size]


# -- the table itself


@needs_iasl
@pytest.mark.parametrize("made", [firmware.describe(vtd=True).more[0], TWO], ids=["board", "two"])
def test_iasl_takes_it_apart_without_a_complaint(tmp_path, made):
    data = encode(made)
    text, said = decoded(tmp_path, data)
    assert complaints(text, said) == []
    compare(parse(data), text)
    assert without_maker(again(tmp_path)) == without_maker(data)


@needs_iasl
def test_it_means_what_it_should(tmp_path):
    text, _ = decoded(tmp_path, encode(TWO))
    assert re.findall(r"Device Scope Type : \d+ \[(.*)\]", text) == [
        "PCI Endpoint Device",
        "PCI Bridge Device",
        "IOAPIC Device",
        "Message-capable HPET Device",
    ]
    assert re.findall(r"PCI Path : ([0-9A-F,]+)", text) == [
        "02,00",
        "01,00",
        "00,03",
        "1E,07",
        "1F,00",
    ]
    assert re.findall(r"Register Base Address : (\w+)", text) == [
        "00000000FED91000",
        "00000000FED90000",
    ]


def test_the_root_tables_list_it():
    image = build(dataclasses.replace(LESSON, more=(TWO,)))
    assert parse(image.tables["DMAR"]) == parse(encode(TWO))
    assert [unit.base for unit in find_units(board())] == [BASE]


@pytest.mark.parametrize(
    ("units", "why"),
    [
        ((), "one unit or more"),
        ((RemappingUnit(0x1000), RemappingUnit(0x2000)), "not the last"),
        ((RemappingUnit(BASE, (Scope(9, ((0, 0),)),)),), "no device scope"),
        ((RemappingUnit(BASE, (Scope(ENDPOINT, ()),)),), "no device scope"),
    ],
)
def test_what_no_table_can_say(units, why):
    with pytest.raises(ValueError, match=why):
        dmar(*units)


def test_each_segment_has_its_own_unit_for_all_others():
    assert len(units_of(dmar(RemappingUnit(0x1000), RemappingUnit(0x2000, segment=1)))) == 2
