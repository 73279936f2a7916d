"""The two-dimensional walk: the guest's tables behind EPT, every reference to memory numbered.

The idea: a row is one entry of the guest's tables, or the page at the end. To read it, the
processor first walks EPT from left to right; the last box of the row is the guest's entry itself.
Rows times columns is the price that the picture is about: (n + 1)(m + 1) - 1 references.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.show import svg
from virtlab.show.palette import (
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION,
    VERMILLION_TINT,
    WIDTH,
)
from virtlab.show.shapes import cross
from virtlab.show.svg import TOP, Picture, caption, fit, picture, rect
from virtlab.show.walk_view import Cell, look
from virtlab.vmm.nested_paging import NestedPaging
from virtlab.vmm.walk import INDEX, UNREACHABLE

_LABEL, _ROW, _HIGH, _GAP = 176.0, 60.0, 48.0, 10.0
_HEAD = TOP + 44.0
_FIRST = _HEAD + 14.0
_COLUMNS = len(INDEX) + 1
_WIDE = (WIDTH - 2 * MARGIN - _LABEL - _GAP * (_COLUMNS - 1)) / _COLUMNS


class Box(NamedTuple):
    """One reference: its number, what was read, whether the walk stops there. 0 is the end."""

    number: int
    words: str
    bad: bool = False


class Row(NamedTuple):
    """What a row is for, the guest-physical address, and a box a column, None where no read was."""

    label: str
    gpa: int
    boxes: tuple[Box | None, ...]


def nested_walk(paging: NestedPaging, gva: int, write: bool = False, title: str = "") -> Picture:
    """The walk of `gva` through the guest's tables and EPT, a row for each guest-physical address.

    `write` says whether the access is a store. No flag is set.
    """
    rows, verdict = grid(paging, gva, write)
    count = sum(box is not None and box.number > 0 for row in rows for box in row.boxes)
    heading = title or f"{count} references to memory, for one access to gva {gva:#x}"
    parts = [caption(TOP + 10, "In a row: EPT's entries from left to right, then the guest's own.")]
    for column, words in enumerate([*(f"EPT level {level}" for level in INDEX), "what is there"]):
        parts.append(
            svg.write(_place(column) + _WIDE / 2, _HEAD, words, anchor="middle", fill=MUTED)
        )
    for number, row in enumerate(rows):
        parts.append(_drawn(row, _FIRST + number * _ROW))
    bottom = _FIRST + len(rows) * _ROW + 18
    parts.append(svg.write(MARGIN, bottom, fit(verdict, WIDTH - 2 * MARGIN), bold=True))
    text = "\n".join([heading, *map(_in_characters, rows), verdict])
    return picture(heading, bottom + 22, parts, text, f"{heading}: {verdict}")


def grid(paging: NestedPaging, gva: int, write: bool = False) -> tuple[list[Row], str]:
    """The rows of the walk of `gva`, and its end in words. No flag is set."""
    walk, guest = paging.walk(gva), look(paging.guest, gva, write)
    rows: list[Row] = []
    number, verdict = 0, guest.verdict
    for level, ept in zip([*paging.guest.INDEX, 0], walk.rows, strict=False):
        table = len(rows) < len(guest.cells) or walk.guest.problem == UNREACHABLE
        if not table and not guest.through:
            break
        view = look(paging.ept, ept.gpa, write and not table)
        boxes: list[Box | None] = [_box(number + n, cell) for n, cell in enumerate(view.cells, 1)]
        number += len(boxes)
        boxes += [None] * (len(INDEX) - len(boxes))
        if not view.through:
            verdict = f"{view.verdict.split(',')[0]}, {'for a table' if table else 'for the page'}"
        elif table:
            number += 1
            boxes.append(_box(number, guest.cells[len(rows)]))
        else:
            boxes.append(Box(0, f"{view.result:#x}"))
            verdict = f"gva {gva:#x} is gpa {ept.gpa:#x} is hpa {view.result:#x}"
        rows.append(Row(f"guest level {level}" if table else "the page", ept.gpa, tuple(boxes)))
    return rows, verdict


def _box(number: int, cell: Cell) -> Box:
    return Box(number, cell.stops or f"{cell.entry:#x}", bool(cell.stops))


def _in_characters(row: Row) -> str:
    boxes = [f"{box.number or 'at'}: {box.words}" for box in row.boxes if box]
    return f"{row.label}, gpa {row.gpa:#x}:  " + "  ".join(boxes)


def _place(column: int) -> float:
    return MARGIN + _LABEL + column * (_WIDE + _GAP)


def _drawn(row: Row, y: float) -> str:
    """One row: its label, and a box for each reference."""
    parts = [svg.write(MARGIN, y + 20, row.label, SMALL, bold=True)]
    parts.append(
        svg.write(MARGIN, y + 40, fit(f"gpa {row.gpa:#x}", _LABEL, SMALL, True), SMALL, mono=True)
    )
    for column, box in enumerate(row.boxes):
        x = _place(column)
        if box is None:
            parts.append(rect(x, y, _WIDE, _HIGH, stroke=FAINT, dash="6 5"))
        else:
            parts.append(_reference(x, y, box, column == len(INDEX)))
    return "".join(parts)


def _reference(x: float, y: float, box: Box, guest: bool) -> str:
    """A box: the number of the reference, and what was read."""
    tint = VERMILLION_TINT if box.bad else ORANGE_TINT if guest else SKY_TINT
    tint = tint if box.number else GREEN_TINT
    parts = [rect(x, y, _WIDE, _HIGH, tint, VERMILLION if box.bad else INK)]
    parts.append(svg.write(x + 8, y + 19, f"{box.number}" if box.number else "hpa", bold=True))
    mono = not box.bad
    parts.append(
        svg.write(x + 8, y + 40, fit(box.words, _WIDE - 12, SMALL, mono), SMALL, mono=mono)
    )
    if box.bad:
        parts.append(cross(x + _WIDE - 16, y + 14, VERMILLION, 6))
    return "".join(parts)
