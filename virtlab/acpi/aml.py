r"""ACPI Machine Language, as far as a host bridge needs it: names, devices, packages, resources.

    Scope (\_SB)                     10 <length> \_SB_ ...
        Device (PCI0)                5B 82 <length> PCI0 ...
            Name (_HID, EISAID)      08 _HID 0C 41 D0 0A 08

The idea: byte code is bytes. Each function here gives the bytes of one construct, and takes the
bytes of what is inside it. No tree, no names to resolve: the language is prefix code.

The rule that keeps it simple: numbers take their shortest form, as every compiler writes them. So
a compiler that reads our table and writes it again gives the same bytes.

Source: ACPI 6.4, 20.2 (the byte code) and 6.4 (resource descriptors). Left out: methods, and
everything else that runs.
"""

from __future__ import annotations

import re

import numpy as np

from virtlab.acpi.layouts import DType
from virtlab.wire import all_ones, u8, u16, u32, u64

# -- lengths, names, numbers


def package_length(length: int) -> bytes:
    """PkgLength of `length` bytes of content; it counts its own bytes too (20.2.4).

    One byte up to 63. Else the first byte has the low four bits, and how many bytes follow.

    >>> package_length(62).hex(), package_length(63).hex()
    ('3f', '4104')
    """
    if length + 1 < 1 << 6:
        return bytes([length + 1])
    for extra in (1, 2, 3):
        whole = length + 1 + extra
        if whole < 1 << 4 + 8 * extra:
            return bytes([extra << 6 | whole & 0xF]) + (whole >> 4).to_bytes(extra, "little")
    raise ValueError(f"{length} bytes do not fit into one package")


def name_string(path: str) -> bytes:
    r"""A path of one or two names, each of four characters, filled up with `_` (20.2.2).

    >>> name_string("\\_SB")
    b'\\_SB_'
    """
    root, names = path.startswith("\\"), path.lstrip("\\").split(".")
    if len(names) > 2 or not all(re.fullmatch("[A-Z_][A-Z0-9_]{0,3}", name) for name in names):
        raise ValueError(f"{path!r} is no path of one or two names")
    segments = b"".join(name.ljust(4, "_").encode() for name in names)
    return b"\\" * root + b"\x2e" * (len(names) == 2) + segments


def integer(value: int) -> bytes:
    """A number in its shortest form: Zero, One, or 1, 2, 4, 8 bytes behind a prefix (20.2.3).

    >>> integer(1).hex(), integer(0x1234).hex()
    ('01', '0b3412')
    """
    if value in (0, 1):
        return bytes([value])
    for prefix, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if 0 <= value <= all_ones(size):
            return bytes([prefix]) + value.to_bytes(size, "little")
    raise ValueError(f"{value} has no 64 bits")


def eisa_id(text: str) -> bytes:
    """An id such as PNP0A08 as a number: three letters of 5 bits, four digits (6.1.5).

    >>> eisa_id("PNP0A03").hex()
    '0c41d00a03'
    """
    if not re.fullmatch("[A-Z]{3}[0-9A-F]{4}", text):
        raise ValueError(f"{text!r} is no EISA id: three letters, four hexadecimal digits")
    word = 0
    for letter in text[:3]:
        word = word << 5 | ord(letter) - 0x40
    number = word << 16 | int(text[3:], 16)
    return integer(int.from_bytes(number.to_bytes(4, "big"), "little"))


# -- what holds something


def scope(path: str, *terms: bytes) -> bytes:
    """`Scope (path) { terms }` (20.2.5.1)."""
    return _block(b"\x10", name_string(path) + b"".join(terms))


def device(name: str, *terms: bytes) -> bytes:
    """`Device (name) { terms }` (20.2.5.2)."""
    return _block(b"\x5b\x82", name_string(name) + b"".join(terms))


def name(path: str, value: bytes) -> bytes:
    """`Name (path, value)` (20.2.5.1)."""
    return b"\x08" + name_string(path) + value


def package(*elements: bytes) -> bytes:
    """`Package { elements }`, at most 255 (20.2.5.4)."""
    if len(elements) > 255:
        raise ValueError(f"a package has at most 255 elements, not {len(elements)}")
    return _block(b"\x12", bytes([len(elements)]) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    """`Buffer { data }` (20.2.5.4)."""
    return _block(b"\x11", integer(len(data)) + data)


def _block(opcode: bytes, content: bytes) -> bytes:
    return opcode + package_length(len(content)) + content


# -- resources

MEMORY_RANGE, IO_RANGE, BUS_NUMBER_RANGE = 0, 1, 2
"""Resource types of an address space descriptor (6.4.3.5)."""

PRODUCER, CONSUMER = 0x0C, 0x0D
"""General flags: both ends fixed; whether the addresses go on to what is below, or end here."""

READ_WRITE, PREFETCHABLE, ENTIRE_RANGE = 0x01, 0x06, 0x03
"""Type specific flags: two of memory (6.4.3.5.5), one of ports (6.4.3.5.5)."""

END_TAG = b"\x79\x00"
"""Ends a template; a checksum of 0 means that there is none (6.4.2.9)."""


def _descriptor(word: DType) -> DType:
    """An address space descriptor with fields of one width (6.4.3.5.1 to 6.4.3.5.3)."""
    return np.dtype(
        [
            ("tag", u8),
            ("length", u16),  # bytes behind this field
            ("resource_type", u8),
            ("general_flags", u8),
            ("type_flags", u8),
            ("granularity", word),
            ("minimum", word),
            ("maximum", word),  # included
            ("translation", word),
            ("size", word),
        ]
    )


DESCRIPTORS = {
    0x88: _descriptor(u16),
    0x87: _descriptor(u32),
    0x8A: _descriptor(u64),
}
"""Word, DWord and QWord address space descriptors, by tag."""

WORD, DWORD, QWORD = DESCRIPTORS

IO_PORT = np.dtype(  # 6.4.2.5
    [
        ("tag", u8),  # 0x47
        ("information", u8),  # bit 0: all 16 bits of the port are decoded
        ("minimum", u16),
        ("maximum", u16),  # of the base
        ("alignment", u8),
        ("size", u8),
    ]
)


def template(*descriptors: bytes) -> bytes:
    """`ResourceTemplate () { descriptors }`: a buffer."""
    return buffer(b"".join(descriptors) + END_TAG)


def bus_numbers(first: int, last: int) -> bytes:
    """`WordBusNumber`: the buses `first` to `last`."""
    return _range(WORD, BUS_NUMBER_RANGE, PRODUCER, 0, first, last - first + 1)


def ports(base: int, length: int) -> bytes:
    """`WordIO`: `length` ports from `base` go on to the bus below."""
    return _range(WORD, IO_RANGE, PRODUCER, ENTIRE_RANGE, base, length)


def memory(base: int, length: int, consumer: bool = False) -> bytes:
    """`DWordMemory`, or `QWordMemory` where 32 bits are too few: that one is prefetchable.

    `length` bytes from `base` (gpa) go on to the bus below, or, of a `consumer`, end here.
    """
    general = CONSUMER if consumer else PRODUCER
    if base + length <= 1 << 32:
        return _range(DWORD, MEMORY_RANGE, general, READ_WRITE, base, length)
    flags = READ_WRITE | (0 if consumer else PREFETCHABLE)
    return _range(QWORD, MEMORY_RANGE, general, flags, base, length)


def io(base: int, length: int) -> bytes:
    """`IO`: `length` ports at `base`, which end here."""
    return np.array((0x47, 1, base, base, 1, length), IO_PORT).tobytes()


def _range(tag: int, kind: int, general: int, flags: int, base: int, length: int) -> bytes:
    """An address space descriptor of `length` addresses from `base`."""
    dtype, last = DESCRIPTORS[tag], base + length - 1
    if not 0 <= base <= last <= all_ones(dtype["minimum"].itemsize):
        raise ValueError(f"{length:#x} from {base:#x} do not fit into one descriptor")
    head = (tag, dtype.itemsize - 3, kind, general, flags)
    return np.array((*head, 0, base, last, 0, length), dtype).tobytes()
