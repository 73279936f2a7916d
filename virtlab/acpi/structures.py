"""ACPI structures: bytes to named values, and back.

    parse(bytes) -> Structure(layout, values, parts, rest) -> encode -> the same bytes

The idea: every structure is a fixed part with named fields, then parts, then what nobody knows. So
one reader and one writer serve all tables, the nested ones too.

The rule that keeps it simple: a table is read as a whole or refused. A length that does not fit, a
checksum that is not 0, a structure shorter than its own head: each is a `ValueError` that names the
byte. Nothing is read twice, and each step of the reader takes at least two bytes.

Source: ACPI 6.4, 5.2.6 and 5.2.12.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from virtlab.acpi.layouts import FIRST_PART, HEADER, RSDP, SIGNATURE, DType, Layout
from virtlab.acpi.tables import TABLES

CHECKSUM = 9
"""Where in a table its checksum is."""

OEM: dict[str, Any] = {
    "oem_id": b"VIRTLB",
    "oem_table_id": b"VIRTLAB ",
    "oem_revision": 1,
    "creator_id": b"VLAB",
    "creator_revision": 1,
}
"""Who made the tables, in their headers."""


@dataclass
class Structure:
    """A table, or a structure inside one: its `values` by field, its `parts` in order, its `rest`.

    Values are ints, bytes (text, reserved fields), or tuples (a generic address). The `layout` of
    a part that is not known has a fixed part of type and length only.
    """

    layout: Layout
    values: dict[str, Any]
    parts: list[Structure] = field(default_factory=list)
    rest: bytes = b""

    def all(self, layout: Layout) -> list[Structure]:
        """Its parts of this layout."""
        return [part for part in self.parts if part.layout == layout]


# -- making them


def make(
    layout: Layout, *parts: Structure, rest: bytes = b"", **values: int | bytes | tuple[int, ...]
) -> Structure:
    """A structure with these values; a field that is not named is 0.

    `ValueError` for a field that it does not have, or a value that does not fit.
    """
    record = np.zeros((), layout.dtype)
    if layout.type is not None:
        record["type"] = layout.type
    for name, value in values.items():
        _put(record, layout.name, name, value)
    return Structure(layout, _values(record), list(parts), rest)


def table(
    signature: str,
    revision: int,
    *parts: Structure,
    rest: bytes = b"",
    **values: int | bytes | tuple[int, ...],
) -> Structure:
    """A table with its header. `KeyError` for a signature that no layout is known for."""
    head = {"signature": signature.encode(), "revision": revision, **OEM}
    return make(TABLES[signature], *parts, rest=rest, **{**head, **values})


def encode(structure: Structure) -> bytes:
    """The bytes: lengths are counted, and a table's checksum is made."""
    body = b"".join(map(encode, structure.parts)) + structure.rest
    dtype = structure.layout.dtype
    record = np.zeros((), dtype)
    for name, value in structure.values.items():
        _put(record, structure.layout.name, name, value)
    names = dtype.names or ()
    if "length" in names:
        _put(record, structure.layout.name, "length", dtype.itemsize + len(body))
    data = record.tobytes() + body
    return summed(data, CHECKSUM) if "checksum" in names else data


def rsdp(rsdt_gpa: int, xsdt_gpa: int) -> bytes:
    """The Root System Description Pointer, 36 bytes, with both of its checksums (5.2.5.3)."""
    record = np.zeros((), RSDP)
    record["signature"], record["oem_id"], record["revision"] = SIGNATURE, OEM["oem_id"], 2
    record["rsdt_address"], record["xsdt_address"] = rsdt_gpa, xsdt_gpa
    record["length"] = RSDP.itemsize
    data = record.tobytes()
    at, extended = (_offset(RSDP, name) for name in ("checksum", "extended_checksum"))
    return summed(summed(data[:FIRST_PART], at) + data[FIRST_PART:], extended)


def summed(data: bytes, at: int) -> bytes:
    r"""`data` with the byte `at` such that all bytes add up to 0, modulo 256.

    >>> summed(bytes([1, 2, 99]), 2)
    b'\x01\x02\xfd'
    """
    rest = data[:at] + b"\0" + data[at + 1 :]
    return rest[:at] + bytes([-sum(rest) & 0xFF]) + rest[at + 1 :]


# -- reading them


def parse(data: bytes) -> Structure:
    """The table that `data` is. `ValueError` where it is none, or a damaged one.

    A table whose signature is not known is its header; all else is its `rest`.
    """
    if len(data) < HEADER.itemsize:
        raise ValueError(f"a table has {HEADER.itemsize} bytes or more, not {len(data)}")
    head = _read(HEADER, data)
    if head["length"] != len(data):
        raise ValueError(f"byte 4: the length is {head['length']}, there are {len(data)} bytes")
    if sum(data) & 0xFF:
        raise ValueError(f"byte {CHECKSUM}: the bytes add up to {sum(data) & 0xFF:#x}, not to 0")
    signature = head["signature"].decode("latin-1")
    return _structure(TABLES.get(signature, Layout("table", HEADER, "ACPI 6.4 5.2.6")), data, 0)


def parse_rsdp(data: bytes) -> dict[str, Any]:
    """The fields of an RSDP. `ValueError` where a checksum is wrong, or it is none.

    Of a revision 0 only the first 20 bytes count; `xsdt_address` is then 0.
    """
    if len(data) < FIRST_PART or not data.startswith(SIGNATURE):
        raise ValueError("no RSDP: the signature is not there")
    if sum(data[:FIRST_PART]) & 0xFF:
        raise ValueError("byte 8: the first 20 bytes of the RSDP do not add up to 0")
    values = _read(RSDP, data[:FIRST_PART].ljust(RSDP.itemsize, b"\0"))
    if values["revision"] < 2:
        return values
    values = _read(RSDP, data.ljust(RSDP.itemsize, b"\0"))
    if len(data) < RSDP.itemsize or sum(data[: RSDP.itemsize]) & 0xFF:
        raise ValueError("byte 32: the 36 bytes of the RSDP do not add up to 0")
    return values


def _structure(layout: Layout, data: bytes, at: int) -> Structure:
    """What `data`, which begins at byte `at` of the table, is by `layout`."""
    size = layout.dtype.itemsize
    if len(data) < size:
        raise ValueError(f"byte {at}: {layout.name} has {size} bytes or more, not {len(data)}")
    made = Structure(layout, _read(layout.dtype, data))
    left = memoryview(data)[size:]
    while layout.parts and left:
        part, length = _next(layout.parts, left, at + len(data) - len(left))
        made.parts.append(_structure(part, bytes(left[:length]), at + len(data) - len(left)))
        left = left[length:]
    made.rest = bytes(left)
    return made


def _next(kinds: tuple[Layout, ...], data: memoryview, at: int) -> tuple[Layout, int]:
    """The layout of the structure at the front of `data`, and its length in bytes."""
    first = kinds[0]
    if first.type is None:
        return first, first.dtype.itemsize
    head = np.dtype([(name, first.dtype[name]) for name in ("type", "length")])
    if len(data) < head.itemsize:
        raise ValueError(f"byte {at}: {len(data)} bytes are no structure")
    kind, length = _read(head, bytes(data[: head.itemsize])).values()
    if not head.itemsize <= length <= len(data):
        raise ValueError(f"byte {at}: a structure cannot have {length} bytes of {len(data)}")
    unknown = Layout(f"structure of type {kind}", head, first.spec, kind)
    return next((each for each in kinds if each.type == kind), unknown), length


def _read(dtype: DType, data: bytes) -> dict[str, Any]:
    return _values(np.frombuffer(data, dtype, 1)[0])


def _values(record: Any) -> dict[str, Any]:
    return dict(zip(record.dtype.names, record.item(), strict=True))


def _put(record: Any, layout: str, name: str, value: Any) -> None:
    dtype = record.dtype
    if name not in dtype.names:
        raise ValueError(f"{layout} has no field {name}")
    if isinstance(value, bytes) and len(value) > dtype[name].itemsize:
        raise ValueError(f"{layout}: {name} has {dtype[name].itemsize} bytes, not {len(value)}")
    try:
        record[name] = value
    except OverflowError:
        raise ValueError(f"{layout}: {value} does not fit into {name}") from None


def _offset(dtype: DType, name: str) -> int:
    fields = dtype.fields
    assert fields is not None
    return int(fields[name][1])
