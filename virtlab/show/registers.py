"""Registers, drawn from their declarations: bits, fields and what a value says.

The idea: a device, its driver and this picture read the same `Reg`. A register is a row of boxes,
high bit left, as in a data sheet; below it a line leads from each field to its name and value. A
register of more than 16 bits takes several rows, high half first.

The rules that keep it simple: a field's name stands at the end of its own line, so names of any
length fit; bits without a name are hatched. Where `before` is given, bits that changed have a
heavy outline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virtlab.registers import Reg
from virtlab.show.naming import access_words, field_words
from virtlab.show.palette import (
    BODY,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SKY_TINT,
    SMALL,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, line, picture, rect, write
from virtlab.wire import Bits, all_ones

_ROW_BITS = 16
_STEP = 26
_CELL = 38.0
_WIDE_CELL = 54.0


def register_picture(reg: Reg, value: int, before: int | None = None) -> Picture:
    """The bits of `reg` holding `value`, fields named; bits unlike `before` stand out."""
    value &= all_ones(reg.width)
    changed = 0 if before is None else (value ^ before) & all_ones(reg.width)
    parts, y = [caption(TOP + 2, _subtitle(reg))], TOP + 24.0
    bits = 8 * reg.width
    for high in range(bits - 1, -1, -_ROW_BITS):
        low = max(0, high - _ROW_BITS + 1)
        drawn, height = _bit_row(reg, value, changed, high, low, y)
        parts.append(drawn)
        y += height
    title = f"{reg.name} = {value:#0{2 * reg.width + 2}x}"
    label = f"Register {title}: {field_words(reg, value) or 'no named fields'}"
    return picture(title, y + 14, parts, register_text(reg, value, before), label)


def register_text(reg: Reg, value: int, before: int | None = None) -> str:
    """The same in characters: one line a field, high bits first."""
    lines = [f"{reg.name} = {value:#0{2 * reg.width + 2}x}  ({_subtitle(reg)})"]
    for name, bits in _high_first(reg):
        old = (
            f"  (was {bits.get(before)})"
            if before is not None and _differs(bits, value, before)
            else ""
        )
        lines.append(f"  {bits!s:>5}  {name} = {bits.get(value)}{old}")
    return "\n".join(lines)


def _differs(bits: Bits, value: int, before: int) -> bool:
    return bits.get(value) != bits.get(before)


def _subtitle(reg: Reg) -> str:
    """Where the register stands, who may use it, and what it is for."""
    parts = [f"offset {reg.offset:#x}", access_words(reg), reg.when, reg.spec, reg.doc]
    return " · ".join(part for part in parts if part)


def _high_first(reg: Reg) -> list[tuple[str, Bits]]:
    return sorted(reg.fields.items(), key=lambda item: -item[1].hi)


# -- one row of bits and the names below it


def _bit_row(
    reg: Reg, value: int, changed: int, high: int, low: int, y: float
) -> tuple[str, float]:
    """Bits `high` down to `low`: the drawing and its height in pixels."""
    cell = _WIDE_CELL if high < 8 else _CELL
    fields = [item for item in _high_first(reg) if item[1].lo <= high and low <= item[1].hi]
    parts = []
    for bit in range(high, low - 1, -1):
        x = MARGIN + (high - bit) * cell
        parts.append(write(x + cell / 2, y + 12, str(bit), SMALL, MUTED, "middle"))
        parts.append(_cell(reg, value, changed, bit, x, y + 20, cell))
    box_end = y + 20 + 34
    for step, (name, bits) in enumerate(reversed(fields)):
        left = MARGIN + (high - min(bits.hi, high)) * cell
        right = MARGIN + (high - max(bits.lo, low) + 1) * cell
        foot = box_end + 24 + step * _STEP
        parts.append(_leader(left + 4, right - 4, box_end + 6, foot))
        words = f"{name} = {_shown(bits, value)}" if bits.lo >= low else f"{name}, its high part"
        parts.append(_field_name((left + right) / 2 + 14, foot + 5, words, bits.mask & changed))
    return "".join(parts), 20 + 34 + 30 + len(fields) * _STEP


def _cell(reg: Reg, value: int, changed: int, bit: int, x: float, y: float, cell: float) -> str:
    index = next((i for i, item in enumerate(_high_first(reg)) if item[1].mask >> bit & 1), None)
    digit, hot = value >> bit & 1, changed >> bit & 1
    fill = PAPER if index is None else (SKY_TINT, GREEN_TINT)[index % 2]
    parts = [rect(x, y, cell, 34, YELLOW_TINT if hot else fill, radius=0)]
    if index is None:
        parts.append(hatch(x, y, cell, 34, gap=10))
    if hot:
        parts.append(rect(x + 2, y + 2, cell - 4, 30, "none", INK, 0, 4))
    ink = INK if digit else MUTED
    ground = PAPER if index is None else ""
    middle = x + cell / 2
    parts.append(write(middle, y + 23, str(digit), 18, ink, "middle", bool(digit), True, ground))
    return "".join(parts)


def _leader(left: float, right: float, top: float, foot: float) -> str:
    """A bracket under the field's bits, and a line down to where its name stands."""
    middle = (left + right) / 2
    bracket = line(left, top, right, top, MUTED, 2)
    return (
        bracket
        + line(middle, top, middle, foot, MUTED)
        + line(middle, foot, middle + 10, foot, MUTED)
    )


def _field_name(x: float, y: float, words: str, changed: int) -> str:
    return write(x, y, fit(words, WIDTH - MARGIN - x), bold=bool(changed), mono=True)


def _shown(bits: Bits, value: int) -> str:
    """A field's value: a digit for one bit, hexadecimal where a digit could mislead."""
    inside = bits.get(value)
    return str(inside) if inside < 10 else f"{inside:#x}"


# -- all registers of a device


def registers_picture(
    registers: Iterable[Reg], values: Mapping[str, int], title: str = "Registers", chosen: str = ""
) -> Picture:
    """One line for each register: name, offset, value, bits and fields. `chosen` is marked.

    `values` maps names to values; a register that is not in it shows `?`.
    """
    declared = list(registers)
    if not declared:
        raise ValueError("there is no register to draw")
    names_end = MARGIN + 34 + max(breadth(reg.name, BODY, True) for reg in declared)
    parts, lines = [], [title]
    for row, reg in enumerate(declared):
        y = TOP + row * 32.0
        parts.append(_table_row(reg, values.get(reg.name), y, names_end, reg.name == chosen, row))
        lines.append(_table_text(reg, values.get(reg.name), reg.name == chosen))
    found = "; ".join(_spoken(reg, values.get(reg.name), reg.name == chosen) for reg in declared)
    height = TOP + len(declared) * 32 + 16
    return picture(title, height, parts, "\n".join(lines), f"{title}: {found}")


def _spoken(reg: Reg, value: int | None, chosen: bool) -> str:
    """`LCR 0x03`, in the words of the alternative."""
    shown = "?" if value is None else f"{value:#0{2 * reg.width + 2}x}"
    return f"{reg.name} {shown}{' (chosen)' if chosen else ''}"


def _table_row(
    reg: Reg, value: int | None, y: float, names_end: float, chosen: bool, row: int
) -> str:
    ground = YELLOW_TINT if chosen else (PAPER, GREY_TINT)[row % 2]
    parts = [
        rect(MARGIN - 8, y, WIDTH - 2 * MARGIN + 16, 29, ground, INK if chosen else "none", 4, 2)
    ]
    if chosen:
        parts.append(write(MARGIN, y + 20, "▶", SMALL))
    offset = f"+{reg.offset:#x}"
    place = f"{offset} {reg.access}" + (f" {reg.when}" if reg.when else "")
    shown = "?" if value is None else f"{value:#0{2 * reg.width + 2}x}"
    words = "" if value is None else field_words(reg, value) or reg.doc
    value_at = names_end + 170
    fields_at = value_at + breadth("0" * (2 * reg.width + 2), BODY, True) + 20
    parts += [
        write(MARGIN + 20, y + 20, reg.name, bold=True, mono=True),
        write(names_end, y + 20, place, SMALL, MUTED),
        write(value_at, y + 20, shown, mono=True),
        write(fields_at, y + 20, fit(words, WIDTH - MARGIN - fields_at, SMALL), SMALL),
    ]
    return "".join(parts)


def _table_text(reg: Reg, value: int | None, chosen: bool) -> str:
    mark = ">" if chosen else " "
    shown = "?" if value is None else f"{value:#0{2 * reg.width + 2}x}"
    words = "" if value is None else field_words(reg, value)
    return f"{mark} {reg.name:<8} +{reg.offset:#x} {shown}  {words}".rstrip()
