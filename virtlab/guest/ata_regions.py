"""The table of regions that a bus master follows: scatter-gather, as a driver writes it.

    a buffer         |------ 0x1FF00, 0x300 bytes ------|
    the table        [ 0x1FF00, 0x100 ] [ 0x20000, 0x200, EOT ]      0x20000 is a boundary

The rule that keeps it simple: the caller gives any even pieces of memory, and the table obeys. A
region is cut where it would cross a multiple of 64 KiB; the last one is marked.

Source: Programming Interface for Bus Master IDE Controller 1.0, 1.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from virtlab.devices.ata.registers import BOUNDARY, PRD, PRD_EOT

LIMIT = 1 << 32
"""Addresses have 32 bits."""


def prd_table(regions: Iterable[tuple[int, int]]) -> bytes:
    """The table for `regions`, pairs `(gpa, bytes)`. `ValueError` for one that cannot be in it.

    >>> prd_table([(0x1FF00, 0x300)]).hex(" ", 4)
    '00ff0100 00010000 00000200 00020080'
    """
    pieces = [piece for gpa, length in regions for piece in _cut(gpa, length)]
    table = np.zeros(len(pieces), PRD)
    if pieces:
        table["base"], lengths = zip(*pieces, strict=True)
        table["count"] = [length % BOUNDARY for length in lengths]
        table["flags"][-1] = PRD_EOT.mask
    return table.tobytes()


def _cut(gpa: int, length: int) -> list[tuple[int, int]]:
    """A region, cut at each boundary."""
    if gpa % 2 or length % 2 or length <= 0 or not 0 <= gpa <= LIMIT - length:
        raise ValueError(f"a region is whole words below 4 GiB, not {length} bytes at {gpa:#x}")
    pieces = []
    while length:
        n = min(length, BOUNDARY - gpa % BOUNDARY)
        pieces.append((gpa, n))
        gpa, length = gpa + n, length - n
    return pieces


def check_table(gpa: int, table: bytes) -> None:
    """`ValueError` unless `table` may be at `gpa`: a multiple of 4, and no boundary crossed."""
    if gpa % 4 or not 0 <= gpa <= LIMIT - len(table):
        raise ValueError(f"a table begins at a multiple of 4 below 4 GiB, not at {gpa:#x}")
    if gpa % BOUNDARY + len(table) > BOUNDARY:
        raise ValueError(f"{len(table)} bytes of table at {gpa:#x} cross a multiple of 64 KiB")
