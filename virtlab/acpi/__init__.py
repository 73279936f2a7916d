"""ACPI tables: what firmware tells an operating system about the board, in memory.

`layouts`     what a declaration of a structure is; the header, the RSDP
`tables`      the bytes of each table, declared once; `dmar` has the largest
`structures`  bytes to named values and back; lengths and checksums
`aml`         the byte code of a DSDT, as far as a host bridge needs it
`board`       the tables that describe a board, and where they lie in memory
`remapping`   the DMAR table of a board that has remapping units
"""

from virtlab.acpi.board import Board, Image, IoApic, Override, Route, build
from virtlab.acpi.layouts import AREA
from virtlab.acpi.structures import Structure, encode, make, parse

__all__ = [
    "AREA",
    "Board",
    "Image",
    "IoApic",
    "Override",
    "Route",
    "Structure",
    "build",
    "encode",
    "make",
    "parse",
]
