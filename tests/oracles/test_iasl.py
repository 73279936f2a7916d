"""iasl, the compiler of ACPICA, reads our tables, and writes them again as they were."""

import re
import subprocess

import pytest

from tests.needs import needs_iasl
from tests.test_acpi import LESSON, compare
from virtlab.acpi import Board, build, parse

DATA_TABLES = ("FACP", "APIC", "MCFG", "HPET", "RSDT", "XSDT")
RANGE = re.compile(
    r"(\w+) \(Resource(\w+),[^/]*// Granularity"
    r"\s+0x(\w+),\s+// Range Minimum\s+0x(\w+),\s+// Range Maximum"
)


def iasl(folder, *arguments):
    """What it said. It must not complain."""
    done = subprocess.run(
        ["iasl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def decoded(folder, data, name="table"):
    """The text of a table, and what iasl said while it made it."""
    (folder / f"{name}.aml").write_bytes(data)
    said = iasl(folder, "-d", f"{name}.aml")
    return (folder / f"{name}.dsl").read_text(), said


def complaints(*texts):
    words = re.compile(r".*(?:warning|error|invalid|unknown|incorrect|should be).*", re.I)
    return [line for text in texts for line in words.findall(text)]


def again(folder, name="table"):
    """The bytes that iasl makes of its own text."""
    said = iasl(folder, "-oa", "-p", "again", f"{name}.dsl")
    assert "0 Errors, 0 Warnings, 0 Remarks" in said
    return (folder / "again.aml").read_bytes()


def without_maker(data):
    """Without the checksum and the compiler's name: iasl puts its own there."""
    return data[:9] + data[10:28] + data[36:]


@needs_iasl
@pytest.mark.parametrize("signature", DATA_TABLES)
def test_a_data_table_is_decoded_field_by_field_without_a_complaint(tmp_path, signature):
    data = build(LESSON).tables[signature]
    text, said = decoded(tmp_path, data)
    assert complaints(text, said) == []
    compare(parse(data), text)
    assert without_maker(again(tmp_path)) == without_maker(data)


@needs_iasl
@pytest.mark.parametrize("board", [LESSON, Board()], ids=["lesson board", "bare board"])
def test_the_dsdt_is_disassembled_and_assembled_to_the_same_bytes(tmp_path, board):
    data = build(board).tables["DSDT"]
    text, said = decoded(tmp_path, data)
    assert complaints(text, said) == []
    assert without_maker(again(tmp_path)) == without_maker(data)


@needs_iasl
def test_the_fadt_means_what_it_should(tmp_path):
    """Fields of one size that stand side by side, by the names that iasl has for them."""
    text, _ = decoded(tmp_path, build(LESSON).tables["FACP"])
    said = dict(re.findall(r"^(?:\[.*?\])? *(\S.*?) : (\w+)", text, re.M))
    wanted = {
        "RTC Century Index": "32",
        "RTC Day Alarm Index": "00",
        "Value to cause reset": "FE",
        "Legacy Devices Supported (V2)": "1",
        "8042 Present on ports 60/64 (V2)": "1",
        "VGA Not Present (V4)": "1",
        "MSI Not Supported (V4)": "1",
        "CMOS RTC Not Present (V5)": "0",
        "Reset Register Supported (V2)": "1",
        "Hardware Reduced (V5)": "1",
    }
    assert {name: said.get(name) for name in wanted} == wanted


@needs_iasl
def test_the_dsdt_says_ids_windows_and_pins(tmp_path):
    text, _ = decoded(tmp_path, build(LESSON).tables["DSDT"])
    assert re.findall(r'EisaId \("(\w+)"\)', text) == ["PNP0A08", "PNP0A03", "PNP0C02"]
    spans = RANGE.findall(text)
    assert [(kind, role, int(low, 16), int(high, 16)) for kind, role, low, high in spans] == [
        ("WordBusNumber", "Producer", 0, 255),
        ("WordIO", "Producer", 0x1000, 0xFFFF),
        ("DWordMemory", "Producer", 0xC000_0000, 0xFDFF_FFFF),
        ("QWordMemory", "Producer", 0x8_0000_0000, 0xF_FFFF_FFFF),
        ("DWordMemory", "Consumer", 0xB000_0000, 0xBFFF_FFFF),
    ]
    rows = re.findall(r"Package \(0x04\)\s+\{\s+(\w+),\s+(\w+),\s+(\w+),\s+(\w+)\s+\}", text)
    assert rows == [("0x0002FFFF", "Zero", "Zero", "0x0A"), ("0x0003FFFF", "0x03", "Zero", "0x05")]


@needs_iasl
def test_iasl_would_see_a_wrong_checksum(tmp_path):
    """The oracle can say no."""
    data = bytearray(build(LESSON).tables["APIC"])
    data[9] ^= 1
    assert complaints(*decoded(tmp_path, bytes(data)))


@needs_iasl
def test_iasl_would_see_a_structure_that_is_cut(tmp_path):
    data = build(LESSON).tables["DSDT"]
    (tmp_path / "cut.aml").write_bytes(data[:50] + data[51:])
    done = subprocess.run(
        ["iasl", "-d", "cut.aml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode or complaints(done.stdout, done.stderr)
