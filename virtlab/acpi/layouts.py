"""What an ACPI structure is made of: a declaration that makes it, reads it and labels its picture.

    RSDP --> XSDT --> FADT --> DSDT        in `tables`: FADT, MADT, MCFG, HPET, and the index
         --> RSDT --> MADT, MCFG, ...      in `dmar`: remapping units

The idea: a table is a tree. A `Layout` has a fixed part, a NumPy dtype, and after it come `parts`:
structures of a few known kinds, each with its type and its length in front, or one kind over and
over.

The rule that keeps it simple: the fields named `length` and `checksum` belong to the encoder; all
others are plain values. What no layout describes is kept as it is.

Source: ACPI 6.4, 5.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from virtlab.wire import u8, u32, u64

DType = np.dtype[Any]


class Layout(NamedTuple):
    """A structure: the `dtype` of its fixed part, and the `parts` that may follow.

    `type` is the value of the first field, where a type is what tells structures apart.
    """

    name: str
    dtype: DType
    spec: str
    type: int | None = None
    parts: tuple[Layout, ...] = ()


GENERIC_ADDRESS = np.dtype(  # ACPI 6.4 5.2.3.2
    [
        ("space", u8),  # 0: memory, 1: ports
        ("bit_width", u8),
        ("bit_offset", u8),
        ("access_size", u8),  # 1: a byte, 2: a word, 3: a dword, 4: a qword
        ("address", u64),  # gpa or port
    ]
)
MEMORY, PORTS = 0, 1
"""Address spaces of a generic address."""

RSDP = np.dtype(  # ACPI 6.4 5.2.5.3
    [
        ("signature", "S8"),  # "RSD PTR "
        ("checksum", u8),  # the first 20 bytes add up to 0
        ("oem_id", "S6"),
        ("revision", u8),  # 2: all of this; 0: the first 20 bytes
        ("rsdt_address", u32),  # gpa
        ("length", u32),  # bytes, 36
        ("xsdt_address", u64),  # gpa
        ("extended_checksum", u8),  # all bytes add up to 0
        ("reserved", "S3"),
    ]
)
SIGNATURE = b"RSD PTR "
AREA, STEP = (0xE0000, 0x20000), 16
"""Where a kernel looks for it: base (gpa) and length, and at multiples of what (5.2.5.1)."""

FIRST_PART = 20
"""Bytes of the RSDP that ACPI 1.0 knew, and that its first checksum is over."""

HEADER = np.dtype(  # ACPI 6.4 5.2.6: what every table begins with
    [
        ("signature", "S4"),
        ("length", u32),  # bytes of the whole table
        ("revision", u8),
        ("checksum", u8),  # all bytes of the table add up to 0
        ("oem_id", "S6"),
        ("oem_table_id", "S8"),
        ("oem_revision", u32),
        ("creator_id", "S4"),
        ("creator_revision", u32),
    ]
)


def table_dtype(*fields: tuple[str, Any]) -> DType:
    """The header, and the fields that a table has of its own."""
    return np.dtype([*HEADER.descr, *fields])
