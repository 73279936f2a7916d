"""A walk through page tables: every entry that decides, and where the fault falls.

The idea: one column a level, from left to right as the processor goes. On top the bits of the
address that choose the entry; below them the entry, its bits decoded, and what all entries up to
here allow together. The last column is the end: the address, or the fault.

`page_walk` takes an `Ept`, a `ShadowPageTable` or a guest's own paging, and an address. It asks
the tables themselves, and sets no flag.
"""

from __future__ import annotations

from textwrap import wrap

from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SKY_TINT,
    SMALL,
    VERMILLION,
    VERMILLION_TINT,
    WIDTH,
)
from virtlab.show.shapes import arrow, cross, hatch
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, picture, rect, write
from virtlab.show.walk_view import Cell, View, Walkable, look

_GAP = 20.0
_BITS, _ENTRY, _LINE = TOP + 28.0, TOP + 100.0, 24.0
_TALL = 7 * _LINE + 10
_BOTTOM = _ENTRY + _TALL
_HEIGHT = _BOTTOM + 24


def page_walk(tables: Walkable, address: int, write: bool = False, title: str = "") -> Picture:
    """The walk of `address` (a gpa; for a guest's own paging a gva) through `tables`.

    `write` says whether the access is a store.
    """
    view = look(tables, address, write)
    heading = title or in_words(view).split(":")[0]
    count = len(view.cells) + len(view.missing) + 1
    width = (WIDTH - 2 * MARGIN - _GAP * (count - 1)) / count
    places = [MARGIN + n * (width + _GAP) for n in range(count)]
    parts = [caption(TOP + 10, _how(view))]
    for x, cell in zip(places, view.cells, strict=False):
        parts.append(_column(x, width, cell))
    for x, level in zip(places[len(view.cells) :], view.missing, strict=False):
        parts.append(_empty(x, width, level, bool(view.size)))
    parts.append(_end(places[-1], width, view))
    starts = places[: len(view.cells)]
    ends = [*starts[1:], places[-1]] if view.size else starts[1:]
    parts += [_onward(x + width, end) for x, end in zip(starts, ends, strict=False)]
    return picture(heading, _HEIGHT, parts, in_characters(view, heading), in_words(view))


def explain(tables: Walkable, address: int, write: bool = False) -> str:
    """What `page_walk` shows, in a few sentences."""
    return in_words(look(tables, address, write))


def in_words(view: View) -> str:
    """An access and its end, in words."""
    verb = "a store to" if view.write else "a load from"
    begin = f"{view.name}, {verb} {view.source} {view.address:#x}"
    begin = begin[0].upper() + begin[1:]
    if view.through:
        return f"{begin}: {view.target} {view.result:#x}, on a {view.verdict}."
    where = next((cell for cell in view.cells if cell.stops), None)
    at = f" at level {where.level}, {where.stops}" if where else ""
    return f"{begin}: {view.verdict}{at}."


def in_characters(view: View, heading: str) -> str:
    """The picture as lines of text."""
    lines = [heading]
    for cell in view.cells:
        decoded = ", ".join(filter(None, cell.lines))
        stops = f"  <- {cell.stops}" if cell.stops else ""
        lines.append(
            f"level {cell.level}  bits {cell.bits:>5} = {cell.chosen:<4} "
            f"entry {cell.entry:#018x} at {cell.entry_at:#x}: {decoded}; "
            f"so far {cell.so_far}{stops}"
        )
    end = f"{view.target} {view.result:#x}, " if view.through else ""
    return "\n".join([*lines, f"end      {end}{view.verdict}"])


def _how(view: View) -> str:
    return (
        f"Bits of the {view.source} choose one entry a level; the rights are those of all of them."
    )


def _column(x: float, width: float, cell: Cell) -> str:
    """One level: the bits above, the entry below."""
    stroke, weight = (VERMILLION, 3.0) if cell.stops else (INK, 1.5)
    tint = VERMILLION_TINT if cell.stops else SKY_TINT
    lines = (
        f"level {cell.level}",
        f"[{cell.chosen}] at {cell.entry_at:#x}",
        f"{cell.entry:#x}",
        *cell.lines,
        _last(cell, width),
    )
    parts = [_chooser(x, width, f"bits {cell.bits}", f"{cell.chosen:#x} = {cell.chosen}")]
    parts.append(rect(x, _ENTRY, width, _TALL, tint, stroke, weight=weight))
    for row, words in enumerate(lines):
        heavy = row in (0, len(lines) - 1)
        parts.append(_line(x, width, row, words, bold=heavy, mono=not heavy))
    if cell.stops:
        parts.append(cross(x + width - 16, _ENTRY + 18, VERMILLION))
    return "".join(parts)


def _last(cell: Cell, width: float) -> str:
    """What stands last in an entry. A reason that is too long for it stands in the last column."""
    words = cell.stops or f"so far: {cell.so_far}"
    return words if fit(words, width - 12, SMALL) == words else "ends here"


def _chooser(x: float, width: float, bits: str, value: str) -> str:
    """The bits of the address that belong to a column, and a stroke down to it."""
    return "".join(
        [
            rect(x, _BITS, width, 52, GREY_TINT),
            write(x + width / 2, _BITS + 21, bits, SMALL, MUTED, "middle"),
            write(x + width / 2, _BITS + 42, value, SMALL, anchor="middle", mono=True),
        ]
    )


def _line(x: float, width: float, row: int, words: str, bold: bool, mono: bool) -> str:
    y = _ENTRY + 24 + row * _LINE
    shown = fit(words, width - 12, SMALL, mono)
    return write(x + 8, y, shown, SMALL, INK, bold=bold, mono=mono)


def _onward(x: float, end: float) -> str:
    """From an entry to the one that it leads to, or to the page."""
    return arrow(x + 2, _ENTRY + _TALL / 2, end - 2, BLUE)


def _empty(x: float, width: float, level: int, needless: bool) -> str:
    """A level that the walk has no entry of."""
    words = "not needed" if needless else "not reached"
    return "".join(
        [
            rect(x, _ENTRY, width, _TALL, stroke=FAINT, dash="6 5"),
            hatch(x, _ENTRY + 60, width, _TALL - 60),
            write(x + 8, _ENTRY + 24, f"level {level}", SMALL, MUTED, bold=True),
            write(x + 8, _ENTRY + 48, words, SMALL, MUTED),
        ]
    )


def _end(x: float, width: float, view: View) -> str:
    """The last column: where the access arrives, or what stops it."""
    if not view.through:
        room = int((width - 12) / breadth("n", SMALL))
        words = [each for part in view.verdict.split(", ") for each in wrap(part, room)]
        box = rect(x, _ENTRY, width, _TALL, VERMILLION_TINT, VERMILLION, weight=3)
        rows = [_line(x, width, row, each, row == 0, False) for row, each in enumerate(words)]
        return box + "".join(rows) + cross(x + width - 16, _ENTRY + _TALL - 18, VERMILLION)
    offset = view.address & (view.size - 1)
    top = view.size.bit_length() - 2
    lines = (view.target, f"{view.result:#x}", view.verdict, f"+ {offset:#x}")
    box = _chooser(x, width, f"bits {top}:0", f"{offset:#x}")
    box += rect(x, _ENTRY, width, _TALL, GREEN_TINT, weight=2.5)
    return box + "".join(
        _line(x, width, row, each, row < 1, row in (1, 3)) for row, each in enumerate(lines)
    )
