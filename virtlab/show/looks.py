"""What a guest found: by heart, place by place, and on a bus, size by size.

`looks_picture` draws the looks of `virtlab.guest.probe`: a row for each place that the guest knows,
with what it read there. `sizes_picture` draws the BARs that a scan found beside those that are
true. A row that holds has a tick and a tint; one that does not has a cross and none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtlab.guest.pci import Found, FoundBar
from virtlab.guest.probe import Look
from virtlab.pci.names import device_name
from virtlab.show.bar_sizing import amount
from virtlab.show.palette import (
    BODY,
    GREEN,
    GREEN_TINT,
    MARGIN,
    MUTED,
    SMALL,
    VERMILLION,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import cross
from virtlab.show.svg import TOP, Picture, element, fit, picture, rect, write

_ROW, _BOX = 44, 36
_SPACE = WIDTH - 2 * MARGIN
MAX_ROWS = 16
"""Rows that are drawn; the text has all of them."""


def looks_picture(looks: Sequence[Look], title: str = "A guest that was told nothing") -> Picture:
    """A row for each look: the place, the device, the evidence, how many accesses it took."""
    rows = [
        (look.found, f"{look.where:#x}", look.what, look.evidence, f"{look.accesses} accesses")
        for look in looks
    ]
    found = sum(look.found for look in looks)
    return _rows(title, rows, (84, 212, 432, 122), f"{title}: {found} of {len(looks)} found")


def _bars(functions: Iterable[Found]) -> dict[tuple[str, int], FoundBar]:
    every = [found for top in functions for found in top.walk()]
    return {(str(found.place), bar.index): bar for found in every for bar in found.bars}


def sizes_picture(
    found: Sequence[Found], true: Sequence[Found], title: str = "What the guest found"
) -> Picture:
    """A row for each BAR that is truly there: its size, and the size that the guest found."""
    mine, theirs = _bars(found), _bars(true)
    names = {
        str(each.place): device_name(each.vendor, each.device) or "a function"
        for top in true
        for each in top.walk()
    }
    rows = []
    for (place, index), bar in theirs.items():
        seen = mine.get((place, index))
        right = seen is not None and (seen.space, seen.size) == (bar.space, bar.size)
        rows.append(
            (right, place, f"BAR {index}: {_size(bar)}", names[place], f"found: {_size(seen)}")
        )
    held = sum(row[0] for row in rows)
    ghosts = len(mine.keys() - theirs.keys())
    more = f", and {ghosts} BARs that do not exist" if ghosts else ""
    label = f"{title}: {held} of {len(rows)} BARs right{more}"
    return _rows(title, rows, (110, 230, 260, 260), label)


def _size(bar: FoundBar | None) -> str:
    return "none" if bar is None else f"{amount(bar.size, bar.space)}, {bar.space}"


def _rows(
    title: str, rows: Sequence[tuple[bool, str, str, str, str]], widths: Sequence[int], label: str
) -> Picture:
    parts, lines = [], [label]
    for number, (holds, *cells) in enumerate(rows):
        lines.append(f"{'yes' if holds else 'no ':<5}" + "  ".join(cells))
        if number < MAX_ROWS:
            parts.append(_row(TOP + number * _ROW, holds, cells, widths))
    height = TOP + min(len(rows), MAX_ROWS) * _ROW + 12
    if len(rows) > MAX_ROWS:
        parts.append(write(MARGIN, height + 8, f"and {len(rows) - MAX_ROWS} more", SMALL, MUTED))
        height += 24
    return picture(title, height, parts, "\n".join(lines), label)


def _row(y: float, holds: bool, cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [rect(MARGIN, y, _SPACE, _BOX, GREEN_TINT if holds else WHITE)]
    parts.append(_tick(MARGIN + 20, y + 18) if holds else cross(MARGIN + 20, y + 18, VERMILLION))
    x = MARGIN + 44.0
    for number, (words, width) in enumerate(zip(cells, widths, strict=True)):
        mono, size = number == 0, BODY if number < 2 else SMALL
        shown = fit(words, width - 8, size, mono)
        parts.append(write(x, y + 23, shown, size, bold=number == 1, mono=mono))
        x += width
    return "".join(parts)


def _tick(x: float, y: float) -> str:
    d = f"M{x - 8:g} {y:g}l6 7l11 -14"
    return element("path", d=d, stroke=GREEN, stroke_width=3.5, fill="none")
