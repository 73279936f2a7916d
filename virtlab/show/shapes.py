"""Shapes that mean something: arrows, a cross, and the two patterns that stand beside colour.

A hatched box is one where nothing is; a dotted one cannot be written. The patterns are drawn line
by line, because an SVG pattern needs an id, and two pictures on one page must not share ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.show.palette import FAINT, INK, MARGIN, MUTED, SMALL
from virtlab.show.svg import breadth, element, line, number, write


def arrow(
    x1: float,
    y: float,
    x2: float,
    stroke: str = INK,
    weight: float = 2,
    dash: str = "",
    both: bool = False,
) -> str:
    """A level arrow from `x1` to `x2`; with a head at each end where `both`."""
    step = 8 if x2 > x1 else -8
    shaft = line(x1 + step if both else x1, y, x2 - step, y, stroke, weight, dash)
    return shaft + _head(x2, y, step, stroke) + (_head(x1, y, -step, stroke) if both else "")


def _head(x: float, y: float, step: float, fill: str) -> str:
    back = number(x - 1.4 * step)
    points = f"{number(x)},{number(y)} {back},{number(y - 6)} {back},{number(y + 6)}"
    return element("polygon", points=points, fill=fill)


def cross(x: float, y: float, stroke: str = INK, arm: float = 7) -> str:
    """A saltire: here nobody answers."""
    return line(x - arm, y - arm, x + arm, y + arm, stroke, 3) + line(
        x - arm, y + arm, x + arm, y - arm, stroke, 3
    )


def hatch(
    x: float, y: float, width: float, height: float, stroke: str = FAINT, gap: float = 12
) -> str:
    """Diagonal lines that fill a box: nothing is here."""
    runs, start = [], gap
    while start < width + height:
        left, low = max(0.0, start - height), min(start, height)
        right, high = min(start, width), max(0.0, start - width)
        runs.append(f"M{number(x + left)} {number(y + low)}L{number(x + right)} {number(y + high)}")
        start += gap
    return element("path", d="".join(runs), stroke=stroke, stroke_width=1.5, fill="none")


def dots(
    x: float, y: float, width: float, height: float, stroke: str = FAINT, gap: float = 12
) -> str:
    """Dots that fill a box: this cannot be written."""
    runs = [
        f"M{number(x + gap * (column + 0.5))} {number(y + gap * (row + 0.5))}h0"
        for row in range(int(height // gap))
        for column in range(int(width // gap))
    ]
    return element("path", d="".join(runs), stroke=stroke, stroke_width=3.5, stroke_linecap="round")


def legend(y: float, keys: Iterable[tuple[str, str]]) -> str:
    """Swatches with names along one line: `(SVG drawn at 0, 0, at most 30 wide; name)`."""
    parts, x = [], float(MARGIN)
    for swatch, name in keys:
        parts.append(element("g", swatch, transform=f"translate({number(x)} {number(y - 13)})"))
        parts.append(write(x + 36, y, name, size=SMALL, fill=MUTED))
        x += 36 + breadth(name, SMALL) + 24
    return "".join(parts)
