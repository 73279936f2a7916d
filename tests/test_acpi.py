"""ACPI tables: QEMU's are read and written again byte for byte; ours say what the board is."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.rig import Rig
from virtlab.acpi import AREA, Board, IoApic, Override, Route, aml, build, encode, make, parse
from virtlab.acpi.dmar import HARDWARE_UNIT, PATH, SCOPE
from virtlab.acpi.layouts import GENERIC_ADDRESS, HEADER, MEMORY, PORTS, RSDP
from virtlab.acpi.structures import parse_rsdp, summed, table
from virtlab.acpi.tables import (
    ALLOCATION,
    BOOT_FLAGS,
    FADT,
    FADT_FLAGS,
    IO_APIC,
    LOCAL_APIC,
    LOCAL_NMI,
    OVERRIDE,
    TABLES,
)
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.guest.pci_resources import enumerate_pci, pins

DATA = Path(__file__).parent / "data" / "acpi"
THEIRS = ("APIC", "DMAR", "MCFG")
PRINTED = re.compile(r"\[[0-9A-F]+h (\d{4})\s+(\d+)\]\s+(.+?) : (.+)")


def theirs(signature):
    return (DATA / f"q35_72.{signature}.aml").read_bytes()


def lines(text):
    """`{(offset, size): value}` of every field that `iasl -d` printed."""
    found = {}
    for offset, size, _, value in PRINTED.findall(text):
        if not value.startswith("["):
            found[int(offset), int(size)] = value.split(" [")[0].strip()
    return found


def fields(structure, at=0):
    """`{(offset, size): value}` of every field, as ints, by the declared layouts."""
    found = {}
    dtype = structure.layout.dtype
    for name, (kind, offset) in dtype.fields.items():
        value = structure.values[name]
        inner = [(0, kind, value)]
        if kind == GENERIC_ADDRESS:
            inner = [(o, k, v) for (k, o), v in zip(kind.fields.values(), value, strict=True)]
        for further, each, number in inner:
            if isinstance(number, bytes):
                number = int.from_bytes(number.ljust(each.itemsize, b"\0"), "little")
            found[at + offset + further, each.itemsize] = number
    at += dtype.itemsize
    for part in structure.parts:
        found |= fields(part, at)
        at += len(encode(part))
    return found


def printed_number(value, size):
    """What `iasl` printed, as a number: text, bytes, a path, or hexadecimal digits."""
    if value.startswith('"'):
        return int.from_bytes(value.split('"')[1].encode().ljust(size, b"\0"), "little")
    if " " in value or "," in value:
        return int.from_bytes(bytes.fromhex(value.replace(",", " ")), "little")
    return int(value, 16)


def compare(structure, text):
    """Every field is where `iasl` sees one of its size, with its value; `iasl` sees no other."""
    ours, said = fields(structure), lines(text)
    for place in [place for place in ours if place not in said and place[1] == 1]:
        at = place[0]
        if (at, 2) in said and (at + 1, 1) in ours:
            ours[at, 2] = ours.pop(place) | ours.pop((at + 1, 1)) << 8
    assert set(ours) == set(said)
    assert ours == {place: printed_number(value, place[1]) for place, value in said.items()}


# -- QEMU's tables


@pytest.mark.parametrize("signature", THEIRS)
def test_qemus_table_is_read_and_written_again_byte_for_byte(signature):
    data = theirs(signature)
    assert encode(parse(data)) == data


@pytest.mark.parametrize("signature", THEIRS)
def test_each_field_is_where_iasl_sees_it(signature):
    compare(parse(theirs(signature)), (DATA / f"q35_72.{signature}.dsl").read_text())


def test_the_madt_of_a_q35():
    madt = parse(theirs("APIC"))
    assert [part.layout for part in madt.parts] == [LOCAL_APIC, IO_APIC, *[OVERRIDE] * 5, LOCAL_NMI]
    assert {o.values["source"]: o.values["gsi"] for o in madt.all(OVERRIDE)} == {
        0: 2,
        5: 5,
        9: 9,
        10: 10,
        11: 11,
    }


def test_the_dmar_of_a_q35():
    """Scopes inside a unit, a path inside each scope."""
    (unit,) = parse(theirs("DMAR")).all(HARDWARE_UNIT)
    assert unit.values["base"] == 0xFED9_0000
    bridges = unit.all(SCOPE[1])
    paths = [(p.values["device"], p.values["function"]) for b in bridges for p in b.all(PATH)]
    assert paths == [(3, 0), (3, 1), (3, 2), (4, 0)]
    assert [scope.values["start_bus"] for scope in unit.all(SCOPE[2])] == [0xFF]


# -- damage


@pytest.mark.parametrize("signature", THEIRS)
def test_one_wrong_byte_is_a_wrong_checksum(signature):
    """5.2.6: the entire table, including the checksum field, must add to zero."""
    data = bytearray(theirs(signature))
    data[-1] ^= 0x10
    with pytest.raises(ValueError, match="byte 9: the bytes add up to"):
        parse(bytes(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "a table has 36 bytes or more, not 0"),
        (theirs("MCFG")[:-1], "byte 4: the length is 60, there are 59 bytes"),
        (theirs("MCFG") + b"\0", "byte 4: the length is 60, there are 61 bytes"),
    ],
)
def test_a_length_that_is_not_true_is_refused(data, why):
    with pytest.raises(ValueError, match=why):
        parse(data)


def madt_with(rest):
    return encode(table("APIC", 5, rest=rest))


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (b"\x00\x00", "byte 44: a structure cannot have 0 bytes of 2"),
        (b"\x00\x01", "byte 44: a structure cannot have 1 bytes"),
        (b"\x00\x08\x00", "byte 44: a structure cannot have 8 bytes of 3"),
        (b"\x00\x04\x00\x00", "byte 44: Processor Local APIC has 8 bytes or more, not 4"),
        (b"\x63\x02\x01", "byte 46: 1 bytes are no structure"),
    ],
)
def test_a_structure_that_cannot_be_is_refused_and_ends_the_reading(rest, why):
    with pytest.raises(ValueError, match=why):
        parse(madt_with(rest))


def test_what_is_not_known_is_kept():
    """A structure of a type that has no layout, and a table of an unknown signature."""
    data = madt_with(b"\x63\x05abc\x00\x09\x01\x02\x00\x00\x00\x00z")
    unknown, apic = parse(data).parts
    assert (unknown.layout.name, unknown.rest) == ("structure of type 99", b"abc")
    assert (apic.values["apic_id"], apic.rest) == (2, b"z")
    assert encode(parse(data)) == data
    other = summed(data.replace(b"APIC", b"ZZZZ"), 9)
    assert parse(other).rest == data[36:]
    assert encode(parse(other)) == other


@given(st.sampled_from(sorted(TABLES)), st.binary(max_size=120))
def test_whatever_can_be_read_is_written_again_as_it_was(signature, body):
    """Any bytes behind a true header: refused, or kept to the byte."""
    record = np.zeros((), HEADER)
    record["signature"], record["length"] = signature.encode(), HEADER.itemsize + len(body)
    data = summed(record.tobytes() + body, 9)
    try:
        read = parse(data)
    except ValueError:
        return
    assert encode(read) == data


@given(st.sampled_from(THEIRS), st.data())
def test_a_table_with_some_bytes_changed_is_refused_or_kept(signature, data):
    changed = bytearray(theirs(signature))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(36, len(changed) - 1))] = data.draw(st.integers(0, 255))
    whole = summed(bytes(changed), 9)
    try:
        read = parse(whole)
    except ValueError:
        return
    assert encode(read) == whole


# -- making


def test_a_length_counts_what_is_inside():
    unit = make(HARDWARE_UNIT, make(SCOPE[0], make(PATH, device=3), start_bus=1), base=0xFED9_0000)
    assert len(encode(unit)) == 24
    assert encode(unit)[2:4] == b"\x18\x00"
    assert encode(unit)[17] == 8


@pytest.mark.parametrize(
    ("layout", "values", "why"),
    [
        (IO_APIC, {"gsi": 1}, "I/O APIC has no field gsi"),
        (IO_APIC, {"io_apic_id": 256}, "256 does not fit into io_apic_id"),
        (ALLOCATION, {"base": -1}, "-1 does not fit into base"),
        (FADT, {"oem_id": b"TOOLONG"}, "oem_id has 6 bytes, not 7"),
    ],
)
def test_a_value_that_does_not_fit_is_misuse(layout, values, why):
    with pytest.raises(ValueError, match=why):
        make(layout, **values)


# -- the board's tables

LESSON = Board(
    apic_ids=(0, 2),
    io_apics=(IoApic(),),
    overrides=(Override(0, 2), Override(10, 10, level=True)),
    hpet=(0xFED0_0000, 0x8086_A201),
    ecam=(ECAM, 0, 255),
    port_windows=PORT_WINDOWS,
    memory_windows=MEMORY_WINDOWS,
    routes=(Route(2, 1, 10), Route(3, 4, 5)),
    reset=(0x64, 0xFE),
    century=0x32,
)


@pytest.fixture
def image():
    return build(LESSON)


def of(image, signature):
    return parse(image.tables[signature])


def test_every_table_adds_up_and_is_where_the_pointers_say(image):
    """5.2.5.3, 5.2.7, 5.2.8, 5.2.9: RSDP, root tables, FADT, DSDT."""
    pointer = parse_rsdp(image.tables["RSDP"])
    assert pointer["xsdt_address"] == image.places["XSDT"]
    assert pointer["rsdt_address"] == image.places["RSDT"]
    listed = [image.places[name] for name in ("FACP", "APIC", "MCFG", "HPET")]
    for root in ("XSDT", "RSDT"):
        assert [part.values["address"] for part in of(image, root).parts] == listed
    fadt = of(image, "FACP").values
    assert fadt["dsdt"] == fadt["x_dsdt"] == image.places["DSDT"]
    for name, gpa in image.places.items():
        at = gpa - image.gpa
        assert image.data[at : at + len(image.tables[name])] == image.tables[name]
        assert gpa % 16 == 0
    assert len(image.tables) == 8


def test_both_checksums_of_the_rsdp_are_checked(image):
    good = image.tables["RSDP"]
    assert sum(good[:20]) % 256 == sum(good) % 256 == 0
    first, second = bytearray(good), bytearray(good)
    first[16] ^= 1
    second[24] ^= 1
    with pytest.raises(ValueError, match="byte 8"):
        parse_rsdp(bytes(first))
    with pytest.raises(ValueError, match="byte 32"):
        parse_rsdp(bytes(second))
    with pytest.raises(ValueError, match="byte 32"):
        parse_rsdp(good[:35])
    with pytest.raises(ValueError, match="signature"):
        parse_rsdp(good[1:])


def test_an_rsdp_of_acpi_1_has_20_bytes(image):
    """5.2.5.3: revision 0 has no XSDT; what follows is not part of it."""
    old = bytearray(image.tables["RSDP"][:20])
    old[15] = 0
    old = summed(bytes(old), 8)
    assert parse_rsdp(old + b"\xff" * 16)["xsdt_address"] == 0
    assert parse_rsdp(old)["rsdt_address"] == image.places["RSDT"]


def test_the_fadt_says_that_there_is_no_acpi_hardware(image):
    """5.2.9: with HW_REDUCED_ACPI no register block is used; the legacy devices are there."""
    fadt = of(image, "FACP").values
    flags = {name for name, bits in FADT_FLAGS.items() if bits.get(fadt["flags"])}
    assert flags == {"HW_REDUCED_ACPI", "WBINVD", "RESET_REG_SUP"}
    boot = {name for name, bits in BOOT_FLAGS.items() if bits.get(fadt["iapc_boot_arch"])}
    assert boot == set(BOOT_FLAGS) - {"CMOS_RTC_NOT_PRESENT"}
    assert fadt["reset_reg"] == (PORTS, 8, 0, 1, 0x64)
    assert (fadt["reset_value"], fadt["century"], fadt["sci_int"]) == (0xFE, 0x32, 0)
    blocks = [value for name, value in fadt.items() if name.startswith(("pm", "gpe", "x_pm"))]
    assert set(blocks) == {0, (0, 0, 0, 0, 0)}
    assert len(image.tables["FACP"]) == 276


def test_a_board_without_a_reset_register_or_with_messages_says_so():
    fadt = of(build(Board(msi=True)), "FACP").values
    assert not FADT_FLAGS["RESET_REG_SUP"].get(fadt["flags"])
    assert fadt["reset_reg"] == (0, 0, 0, 0, 0)
    assert not BOOT_FLAGS["MSI_NOT_SUPPORTED"].get(fadt["iapc_boot_arch"])


def test_the_madt_has_processors_chips_and_overrides(image):
    madt = of(image, "APIC")
    assert (madt.values["local_apic_address"], madt.values["flags"]) == (0xFEE0_0000, 1)
    assert [p.values["apic_id"] for p in madt.all(LOCAL_APIC)] == [0, 2]
    assert [p.values["processor_uid"] for p in madt.all(LOCAL_APIC)] == [0, 1]
    assert [c.values["address"] for c in madt.all(IO_APIC)] == [0xFEC0_0000]
    timer, card = madt.all(OVERRIDE)
    assert (timer.values["source"], timer.values["gsi"], timer.values["flags"]) == (0, 2, 0)
    assert card.values["flags"] == 0x0D


def test_mcfg_and_hpet_say_where(image):
    (space,) = of(image, "MCFG").parts
    assert list(space.values.values()) == [0xB000_0000, 0, 0, 255, 0]
    hpet = of(image, "HPET").values
    assert hpet["base"] == (MEMORY, 64, 0, 0, 0xFED0_0000)
    assert hpet["block_id"] == 0x8086_A201


def test_what_a_board_does_not_have_is_not_described():
    image = build(Board())
    assert set(image.tables) == {"RSDP", "RSDT", "XSDT", "FACP", "DSDT", "APIC"}
    assert of(image, "APIC").all(IO_APIC) == []
    assert b"ECAM" not in image.tables["DSDT"]


def test_a_further_table_is_listed_too():
    """A DMAR, for example."""
    dmar = parse(theirs("DMAR"))
    image = build(Board(more=(dmar,)))
    assert image.tables["DMAR"] == theirs("DMAR")
    assert image.places["DMAR"] in [p.values["address"] for p in of(image, "XSDT").parts]
    for twice in (dmar, table("DSDT", 2)):
        with pytest.raises(ValueError, match=r"there is a table \w+ already"):
            build(Board(more=(dmar, twice)))


@pytest.mark.parametrize("gpa", [0, 0xDFFF0, 0xE0008, 0x100000])
def test_an_rsdp_that_a_kernel_would_not_find_is_refused(gpa):
    with pytest.raises(ValueError, match="multiple of 16 in 0xe0000-0xfffff"):
        build(LESSON, gpa)


def test_tables_that_do_not_fit_below_1_mib_are_refused():
    with pytest.raises(ValueError, match="past 0xfffff"):
        build(LESSON, sum(AREA) - RSDP.itemsize // 16 * 16)


@pytest.mark.parametrize("route", [Route(32, 1, 5), Route(0, 0, 5), Route(0, 5, 5)])
def test_a_pin_that_bus_0_does_not_have_is_refused(route):
    with pytest.raises(ValueError, match="bus 0 has no pin"):
        build(Board(routes=(route,)))


def test_prt_says_what_firmware_routed():
    """6.2.13: for each pin of bus 0 the interrupt at which it really arrives."""
    rig = Rig().plug_everything()
    functions = enumerate_pci(rig.cpu)
    lines = {(device, pin): found.line for found, device, pin in pins(functions)}
    byte_code = build(Board(routes=tuple(Route(*at, gsi) for at, gsi in lines.items())))
    for (device, pin), line in lines.items():
        rig.bus.set_intx(device, 0, pin, True)
        assert [irq for irq, wire in rig.lines.items() if wire.level] == [line]
        rig.bus.set_intx(device, 0, pin, False)
        row = map(aml.integer, (device << 16 | 0xFFFF, pin - 1, 0, line))
        assert aml.package(*row) in byte_code.tables["DSDT"]
    assert sorted(lines) == [(3, 1), (3, 2), (5, 1)]
