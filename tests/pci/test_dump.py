"""Dumps: what is read, what is refused and where, and that what we write reads back."""

import gzip
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.dumps import machine
from tests.pci.rig import Rig
from virtlab.errors import FileError
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.pci import dump
from virtlab.pci.config import Header
from virtlab.pci.dump import (
    DumpedFunction,
    dumped,
    example,
    format_dump,
    load_dump,
    parse_dump,
    unpack,
)

ROW = "86 80 c0 29 07 00 10 00 00 00 00 06 00 00 00 00"


def rows(count=4, start=0):
    return "".join(f"{at:02x}: {ROW}\n" for at in range(start, start + 16 * count, 16))


def text(*titles, count=4):
    return "\n".join(f"{title}\n{rows(count)}" for title in titles).encode()


# -- what is read


def test_a_title_and_its_rows_are_a_function():
    (function,) = parse_dump(text("00:1f.3 SMBus: Intel Corporation"))
    assert function[:4] == (0, 0, 0x1F, 3)
    assert function.data == bytes.fromhex(ROW) * 4
    assert (function.bdf, function.title) == ("00:1f.3", "SMBus: Intel Corporation")


@pytest.mark.parametrize("size", [64, 128, 256, 4096])
def test_the_sizes_that_lspci_prints(size):
    (function,) = parse_dump(text("00:00.0 x", count=size // 16))
    assert len(function.data) == size


@pytest.mark.parametrize(
    ("title", "place", "bdf"),
    [
        ("0000:00:02.0 x", (0, 0, 2, 0), "00:02.0"),
        ("0001:00:02.0 x", (1, 0, 2, 0), "0001:00:02.0"),
        ("10000:e1:02.7 x", (0x10000, 0xE1, 2, 7), "10000:e1:02.7"),
        ("00:02.0", (0, 0, 2, 0), "00:02.0"),
        ("FF:1F.0 X", (0, 0xFF, 0x1F, 0), "ff:1f.0"),
    ],
)
def test_domains_and_titles(title, place, bdf):
    (function,) = parse_dump(text(title))
    assert (function[:4], function.bdf) == (place, bdf)


def test_where_there_are_several_domains_each_function_shows_its_own_as_with_lspci():
    functions = parse_dump(text("0001:00:00.0 x", "00:00.0 x"))
    assert [function.bdf for function in functions] == ["0000:00:00.0", "0001:00:00.0"]


def test_functions_are_given_in_the_order_of_their_places():
    functions = parse_dump(text("02:00.0 x", "00:1f.0 x", "00:02.1 x"))
    assert [function.bdf for function in functions] == ["00:02.1", "00:1f.0", "02:00.0"]


def test_the_lines_of_lspci_vvv_and_of_a_shell_do_no_harm():
    verbose = (
        "\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n\t\tDevCap:\tMaxPayload\n"
    )
    mixed = f"$ sudo lspci -vvv -xxxx\n00:00.0 x\n{verbose}{rows()}\npcilib: a complaint\n".encode()
    assert parse_dump(mixed) == parse_dump(text("00:00.0 x"))


def test_line_ends_of_windows_a_byte_order_mark_and_capitals():
    plain = text("00:00.0 x")
    other = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n").replace(b"c0", b"C0")
    assert parse_dump(other) == parse_dump(plain)


def test_what_a_user_may_not_read_is_a_title_only_and_is_left_out():
    assert [each.bdf for each in parse_dump(b"00:01.0 x\n\n" + text("00:02.0 x"))] == ["00:02.0"]


def test_a_title_is_kept_printable_and_short():
    (function,) = parse_dump(text("00:00.0 " + "a\x1b[31mb\xff" + "c" * 300))
    assert function.title.startswith("a?[31mb?")
    assert len(function.title) == dump.MAX_TITLE


def test_a_file_may_be_compressed(tmp_path):
    plain, packed = tmp_path / "dump.txt", tmp_path / "dump.txt.gz"
    plain.write_bytes(text("00:00.0 x"))
    packed.write_bytes(gzip.compress(text("00:00.0 x")))
    assert load_dump(plain) == load_dump(str(packed)) == parse_dump(text("00:00.0 x"))


def test_the_dump_that_comes_with_the_library():
    functions = example()
    assert len(functions) == 21
    assert {len(function.data) for function in functions} == {4096}
    with pytest.raises(ValueError, match="no dump 'z80'; there are q35"):
        example("z80")


# -- what is refused


def refused(data):
    with pytest.raises(FileError) as caught:
        parse_dump(data, "d.txt")
    assert str(caught.value).count("\n") == 0
    return caught.value


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"", 1, "no PCI function in it; make one with: sudo lspci -xxxx"),
        (b"hello\n", 1, "no PCI function in it"),
        (b"\x7fELF\x00\xff\n", 1, "no PCI function in it"),
        (b"00:00.0 x\n", 1, "titles without bytes"),
        (rows().encode(), 1, "bytes before the title of a function"),
        (b"00:20.0 x\n", 1, "device 0x20: a bus has 32 devices"),
        (text("00:00.0 x", "00:00.0 y"), 7, "00:00.0 is here again; it was on line 1 first"),
        (b"00:00.0 x\n" + rows(1, 0x10).encode(), 2, "offset 0x10 where 0x0 is due"),
        (b"00:00.0 x\n" + rows(2).encode() + rows(1).encode(), 4, "offset 0x0 where 0x20 is"),
        (text("00:00.0 x", count=3), 4, "ends after 48 bytes; it may have 64, 128, 256, 4096"),
        (text("00:00.0 x", count=257), 258, "a function has at most 4096 bytes"),
        (b"00:00.0 x\n00: " + ROW[:-3].encode(), 2, "a row is 16 bytes of two hexadecimal"),
        (b"00:00.0 x\n00: " + ROW.encode() + b" 00", 2, "a row is 16 bytes"),
        (b"00:00.0 x\n00: g" + ROW[1:].encode(), 2, "a row is 16 bytes"),
        (b"00:00.0 x\n00:\n", 2, "a row is 16 bytes"),
    ],
)
def test_a_malformed_dump_is_refused_with_its_line_and_byte(data, line, why):
    error = refused(data)
    start = len(b"".join(data.splitlines(keepends=True)[: line - 1]))
    assert (error.path, error.line, error.byte) == ("d.txt", line, start)
    assert why in error.why


def test_a_byte_is_counted_from_the_start_of_the_file():
    """An editor's byte order mark is a part of it."""
    error = refused(b"\xef\xbb\xbf00:00.0 x\r\n00: 86\n")
    assert (error.line, error.byte) == (2, 14)


def test_a_damaged_or_endless_compressed_file_is_refused(monkeypatch):
    packed = gzip.compress(text("00:00.0 x"))
    for bad in (packed[:-9], packed[:20] + b"\xff\xff\xff" + packed[23:], packed[:-8] + b"\0" * 8):
        with pytest.raises(FileError, match=r"d\.gz: byte 0: the compressed file is damaged"):
            unpack(io.BytesIO(bad), "d.gz")
    monkeypatch.setattr(dump, "MAX_TEXT", 1 << 20)
    with pytest.raises(FileError, match="byte 1048576: a dump has at most 1 MiB of text"):
        unpack(io.BytesIO(gzip.compress(bytes(2 << 20))), "d.gz")
    with pytest.raises(FileError, match="at most 1 MiB"):
        unpack(io.BytesIO(bytes(2 << 20)), "d.txt")


# -- any bytes at all


def survives(data):
    """It is read, or refused with a place that is in it."""
    functions, line, byte = [], 1, 0
    try:
        functions = parse_dump(data)
    except FileError as error:
        line, byte = error.line, error.byte
    else:
        assert functions
    assert all(len(function.data) in dump.SIZES for function in functions)
    assert 1 <= line <= data.count(b"\n") + 1
    assert 0 <= byte <= len(data)


@given(st.binary(max_size=400))
def test_no_bytes_do_harm(data):
    survives(data)


ROWS = (rows(1), rows(4), rows(3, 0x10), rows(12, 0x40), "40: 00\n", "zz", "\n", "\r\n")
PIECES = [
    piece.encode() for piece in ("00:00.0 x\n", "0001:02:1f.7\n", "\t\tLnkCap: Port\n", *ROWS)
]
"""Lines that a dump may have."""


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_order_of_lines_does_harm(lines):
    survives(b"".join(lines))


@given(st.integers(0, 1 << 30), st.integers(1, 8))
def test_no_damage_to_a_dump_does_harm(seed, count):
    chance = random.Random(seed)
    data = bytearray(format_dump(machine(seed % 3, 2)).encode())
    for _ in range(count):
        data[chance.randrange(len(data))] = chance.choice(b"0f: .x\n\xff\t")
    survives(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))


# -- what we write


def test_what_is_written_reads_back():
    functions = machine(7, 60)
    assert parse_dump(format_dump(functions).encode()) == sorted(functions)


def test_a_title_stays_on_its_line():
    function = DumpedFunction(0, 0, 0, 0, bytes(64), "a\nb ")
    assert format_dump([function]).startswith("00:00.0 a b\n")
    assert format_dump([function._replace(title=" ")]).startswith("00:00.0 PCI function\n")


def test_a_function_of_ours_is_dumped_as_its_driver_reads_it():
    rig = Rig().plug_everything()
    enumerate_pci(rig.cpu)
    made = dumped(rig.right)
    assert (made.bdf, made.title, len(made.data)) == ("04:00.0", "right", 4096)
    for offset in (Header.VENDOR_ID.offset, Header.COMMAND.offset, 0x10, 0xC0, 0x100):
        assert made.data[offset : offset + 4] == rig.right.config.read(offset, 4).to_bytes(
            4, "little"
        )
