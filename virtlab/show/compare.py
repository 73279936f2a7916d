"""Counts side by side: how much the one way takes, and how much the other.

The idea: a bar's length is its count, from zero, on one scale; the exact number stands at its end.
So the eye compares and the reader can still check. Each bar has its own pattern and its own name,
so that colour carries nothing alone.

Where the lesson has a closed form, `expected` draws it as a mark across the bar.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.show.palette import (
    BODY,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.shapes import dots, hatch
from virtlab.show.svg import TOP, Picture, breadth, fit, line, picture, rect, write

_ROW = 52
_BAR = 32
_FILLS = (SKY_TINT, ORANGE_TINT, GREEN_TINT, PURPLE_TINT)


def bars(
    title: str,
    counts: Mapping[str, float],
    unit: str = "",
    expected: Mapping[str, float] | None = None,
) -> Picture:
    """One bar for each count, in the order given. `expected` marks what a formula says.

    `ValueError` if there is nothing to draw, or a count is negative.
    """
    if not counts or min(counts.values()) < 0:
        raise ValueError("bars are drawn of one or more counts, none of them negative")
    formula = expected or {}
    left = MARGIN + min(300.0, max(breadth(name, BODY) for name in counts)) + 16
    ends = [_label(count, unit) for count in counts.values()]
    room = WIDTH - MARGIN - left - max(breadth(end, BODY) for end in ends) - 12
    scale = room / max(*counts.values(), *formula.values(), 1e-9)
    parts = []
    for row, (name, count) in enumerate(counts.items()):
        y = TOP + 4 + row * _ROW
        parts.append(write(left - 14, y + 21, fit(name, left - MARGIN - 14), anchor="end"))
        parts.append(_bar(left, y, count * scale, row))
        end = left + max(count, formula.get(name, 0)) * scale
        parts.append(write(end + 10, y + 21, ends[row], bold=True))
        if name in formula:
            x = left + formula[name] * scale
            parts.append(line(x, y - 6, x, y + _BAR + 6, INK, 4))
    parts.append(line(left, TOP - 4, left, TOP + len(counts) * _ROW - 8, MUTED, 1.5))
    height = TOP + len(counts) * _ROW + 8
    if formula:
        parts.append(write(left, height + 14, "the thick mark: the formula", SMALL, MUTED))
        height += 30
    label = f"{title}: {'; '.join(map(': '.join, zip(counts, ends, strict=True)))}"
    return picture(title, height, parts, _text(title, counts, unit, formula), label)


def _bar(x: float, y: float, width: float, row: int) -> str:
    """A bar of the row's own fill and pattern: plain, hatched, dotted, and again."""
    box = rect(x, y, width, _BAR, fill=_FILLS[row % len(_FILLS)], radius=0)
    pattern = ("", hatch(x, y, width, _BAR, MUTED), dots(x, y, width, _BAR, MUTED))[row % 3]
    return box + pattern + rect(x, y, width, _BAR, fill="none", radius=0)


def _label(count: float, unit: str) -> str:
    """`20 instructions`, `1 instruction`, `2.5`."""
    one = count == 1 and unit.endswith("s")
    return f"{count:.10g} {unit[:-1] if one else unit}".strip()


def _text(title: str, counts: Mapping[str, float], unit: str, formula: Mapping[str, float]) -> str:
    width = max(map(len, counts))
    top = max(*counts.values(), 1e-9)
    lines = [title]
    for name, count in counts.items():
        drawn = "#" * round(40 * count / top)
        says = f"  (formula: {formula[name]:.10g})" if name in formula else ""
        lines.append(f"{name.ljust(width)}  {drawn} {_label(count, unit)}{says}")
    return "\n".join(lines)
