"""Scatter-gather: a table of regions, and the pieces of memory that it names.

The idea: one transfer fills many pieces. The table says which, in the order of the data; memory
has them in the order of addresses. So the lines between the two may cross, and that is the point.

It draws what it is given: a `PRD` array, as `np.frombuffer` makes it of the table's own bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from virtlab.devices.ata.registers import BOUNDARY, PRD_EOT
from virtlab.show.palette import (
    GREEN_TINT,
    INK,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    YELLOW_TINT,
)
from virtlab.show.svg import TOP, Picture, caption, line, picture, rect, write

_ROW, _BOX = 46, 34
_LEFT, _WIDE, _RIGHT = 60.0, 330.0, 570.0
_TINTS = (SKY_TINT, ORANGE_TINT, GREEN_TINT, PURPLE_TINT, YELLOW_TINT)

MAX_DRAWN = 12
"""Entries that are drawn; a table may have more."""


class Entry(NamedTuple):
    """One entry: bytes of the data from `start`, to memory at `gpa`; whether it is the last."""

    number: int
    gpa: int
    length: int
    start: int
    last: bool

    @property
    def words(self) -> str:
        """The entry as the table has it."""
        return f"{self.gpa:#x}, {self.length} bytes{', EOT' if self.last else ''}"


def entries(table: npt.NDArray[Any]) -> list[Entry]:
    """The entries of a `PRD` array, up to the one that is marked as the last.

    A count of 0 is 64 KiB (Bus Master IDE 1.0, 1.2).
    """
    found: list[Entry] = []
    start = 0
    for number, row in enumerate(table.tolist()):
        gpa, count, flags = row
        length, last = count or BOUNDARY, bool(PRD_EOT.get(flags))
        found.append(Entry(number, gpa, length, start, last))
        start += length
        if last:
            break
    return found


def scatter_picture(table: npt.NDArray[Any], title: str = "One transfer, many pieces") -> Picture:
    """The table on the left, memory on the right, low addresses on top; a line for each entry."""
    found = entries(table)
    shown = found[:MAX_DRAWN]
    order = sorted(shown, key=lambda entry: entry.gpa)
    top = TOP + 52.0
    parts = [
        caption(TOP + 8, "The table is in the order of the data, memory in that of addresses.")
    ]
    parts.append(write(_LEFT, TOP + 38, "the table", bold=True))
    parts.append(write(_RIGHT, TOP + 38, "memory", bold=True))
    for entry in shown:
        parts.append(_link(entry, order.index(entry), top))
    for entry in shown:
        parts.append(
            _box(_LEFT, top + entry.number * _ROW, entry, f"{entry.number}: {entry.words}")
        )
        place = top + order.index(entry) * _ROW
        end = entry.gpa + entry.length - 1
        parts.append(_box(_RIGHT, place, entry, f"{entry.gpa:#x} to {end:#x}"))
    height = top + len(shown) * _ROW + 8
    if len(found) > len(shown):
        parts.append(write(_LEFT, height + 8, f"and {len(found) - len(shown)} more", SMALL, MUTED))
        height += 24
    label = f"{title}: {len(found)} pieces, {sum(entry.length for entry in found)} bytes"
    return picture(title, height, parts, _text(title, found), label)


def _box(x: float, y: float, entry: Entry, words: str) -> str:
    tint = _TINTS[entry.number % len(_TINTS)]
    return rect(x, y, _WIDE, _BOX, tint) + write(x + 10, y + 22, words, SMALL, mono=True)


def _link(entry: Entry, place: int, top: float) -> str:
    start, end = top + entry.number * _ROW + _BOX / 2, top + place * _ROW + _BOX / 2
    return line(_LEFT + _WIDE, start, _RIGHT, end, INK, 2)


def _text(title: str, found: list[Entry]) -> str:
    lines = [title]
    for entry in found:
        data = f"bytes {entry.start} to {entry.start + entry.length - 1}"
        lines.append(f"{entry.number:>3}  {entry.words:<32}  {data}")
    return "\n".join(lines)
