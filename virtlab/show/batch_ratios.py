"""The table of `make bench` as a chart: how long the library takes, in units of a C twin's time.

                            0.1        1        10
    fresh addresses          .    #  o | x            o 256   x 1024   # 4096
    in order                 #  x      |o
                                goals below them, hollow

The idea: left of the line at 1 the vectorized path is quicker than the twin, right of it C is. Each
row is drawn, the bad ones too. The scale is logarithmic: half and twice are equally far from 1.

The rule that keeps it simple: nothing is measured here. The figures are a file with its provenance,
`virtlab/data/bench/`, so that a lesson says the same on each machine. `as_file` makes a new one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from math import log10
from typing import NamedTuple

from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SMALL,
    WIDTH,
)
from virtlab.show.shapes import legend
from virtlab.show.svg import Picture, element, fit, line, number, picture, rect, write

FILE = ("data", "bench", "ratios.tsv")
"""Where in the package the figures are."""

SHAPES = {256: "circle", 1024: "square", 4096: "triangle", 32768: "diamond"}
"""How a batch of so many is drawn."""

LOW, HIGH = 0.1, 100.0

_TOP, _LINE, _LEFT, _RIGHT = 96.0, 36.0, 362.0, WIDTH - MARGIN - 10


class Ratio(NamedTuple):
    """A row of the table: the library's time over the twin's, and the goal, if it has one.

    A goal that is a `gate` must be met.
    """

    row: str
    batch: int
    ratio: float
    goal: float | None
    gate: bool


def measured() -> list[Ratio]:
    """The figures of the file, in its order."""
    return rows_of(resources.files("virtlab").joinpath(*FILE).read_text(encoding="utf-8"))


def rows_of(text: str) -> list[Ratio]:
    """The figures that such a file has; lines with a # in front say where they come from."""
    lines = [each for each in text.splitlines() if not each.startswith("#")]
    return [
        Ratio(
            each["row"],
            int(each["batch"]),
            float(each["ratio"]),
            float(each["goal"]) if each["goal"] else None,
            each["gate"] == "yes",
        )
        for each in csv.DictReader(lines, delimiter="\t")
    ]


def as_file(printed: Iterable[str]) -> str:
    """The rows of the file, from the lines that `python -m benchmarks --json` prints.

    Those against anything but C are left out. Above them belongs where, when and how.
    """
    lines = ["row\tbatch\tratio\tgoal\tgate"]
    for each in map(json.loads, printed):
        if each["against"] == "C":
            goal = "" if each["goal"] is None else f"{each['goal']:g}"
            gate = "yes" if each["gate"] else ""
            lines.append(f"{each['row']}\t{each['batch']}\t{each['ratio']:.2f}\t{goal}\t{gate}")
    return "\n".join([*lines, ""])


def ratio_picture(ratios: Sequence[Ratio], title: str = "Time in units of C") -> Picture:
    """A line for each row: solid marks are measured, hollow ones below are goals."""
    names = list(dict.fromkeys(each.row for each in ratios))
    bottom = _TOP + len(names) * _LINE
    parts = [_ground(bottom)]
    for place, name in enumerate(names):
        y = _TOP + place * _LINE
        parts.append(line(_LEFT, y + _LINE - 1, _RIGHT, y + _LINE - 1, FAINT, 1))
        words = fit(name, _LEFT - MARGIN - 14, SMALL)
        parts.append(write(_LEFT - 14, y + 22, words, SMALL, anchor="end"))
        for each in (one for one in ratios if one.row == name):
            if each.goal is not None:
                parts.append(mark(each.batch, _x(each.goal), y + 26, PAPER, 2 if each.gate else 1))
            parts.append(mark(each.batch, _x(each.ratio), y + 11, BLUE, 1))
    keys = [(mark(size, 15, 8, BLUE, 1), f"batch {size:,}") for size in SHAPES]
    keys.append((mark(1024, 15, 8, PAPER, 2), "hollow: its goal"))
    parts.append(legend(bottom + 26, keys))
    return picture(title, bottom + 44, parts, _text(ratios, title), _label(ratios, title))


def _x(ratio: float) -> float:
    """Where a ratio is; what lies outside is at the edge."""
    share = (log10(min(max(ratio, LOW), HIGH)) - log10(LOW)) / (log10(HIGH) - log10(LOW))
    return _LEFT + share * (_RIGHT - _LEFT)


def _ground(bottom: float) -> str:
    """The scale, and the half in which the library is quicker."""
    parts = [rect(_LEFT, _TOP, _x(1) - _LEFT, bottom - _TOP, GREEN_TINT, "none", 0)]
    for ratio in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        bold = ratio == 1
        x = _x(ratio)
        parts.append(line(x, _TOP, x, bottom, INK if bold else FAINT, 2 if bold else 1))
        parts.append(write(x, _TOP - 8, f"{ratio:g}", SMALL, MUTED, "middle", bold))
    parts.append(write(_LEFT, _TOP - 28, "the library is quicker", SMALL))
    parts.append(write(_RIGHT, _TOP - 28, "C is quicker", SMALL, anchor="end"))
    return "".join(parts)


def mark(batch: int, x: float, y: float, fill: str, weight: float) -> str:
    """A small shape around a point that says how large the batch is."""
    shape, r = SHAPES.get(batch, "circle"), 6.0
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=r, fill=fill, stroke=INK, stroke_width=weight)
    corners = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "triangle": ((0, -r - 1), (r + 1, r), (-r - 1, r)),
        "diamond": ((0, -r - 2), (r + 2, 0), (0, r + 2), (-r - 2, 0)),
    }[shape]
    points = " ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in corners)
    return element("polygon", points=points, fill=fill, stroke=INK, stroke_width=weight)


def _label(ratios: Sequence[Ratio], title: str) -> str:
    quicker = sum(each.ratio < 1 for each in ratios)
    return f"{title}: in {quicker} of {len(ratios)} rows the library is quicker than C"


def _text(ratios: Sequence[Ratio], title: str) -> str:
    width = max((len(each.row) for each in ratios), default=0)
    lines = [title]
    for each in ratios:
        goal = "" if each.goal is None else f"   goal {each.goal:g}{' *' if each.gate else ''}"
        lines.append(f"{each.row.ljust(width)} {each.batch:>6} {each.ratio:>7.2f}{goal}")
    return "\n".join(lines)
