"""Five ways to share a network, for 1 to 64 VMs: one number, drawn as curves.

    1000 |            o      a step to the right is twice as many VMs
     100 |      o     x      a step up is ten times as much
      10 |  o   x     +      filled: measured on the models      hollow: the closed form
       0 |  -   -     -      dotted, with a cross: not every VM has a device
          1   4    16   64

The idea: a straight line that rises is a price for each VM. What matters is how high it lies, and
whether it goes on: whole cards run out, and their curve ends where the slots do.

The rules that keep it simple: the picture is a function of a load and a metric. Ways are told apart
by marker, pattern and weight as well as by colour. The list at the right says the numbers for one
number of VMs, the best first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from virtlab.show.palette import (
    BLUE,
    BODY,
    FAINT,
    GREEN,
    INK,
    MARGIN,
    MUTED,
    ORANGE,
    SKY,
    SMALL,
    VERMILLION,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import cross
from virtlab.show.share_load import STEPS, WAYS, Load, Way, check, served
from virtlab.show.share_metrics import Metric, holders, metric, workload
from virtlab.show.share_runs import measure
from virtlab.show.svg import TOP, Picture, caption, element, line, number, picture, rect, write


class Style(NamedTuple):
    """How a way is drawn."""

    colour: str
    weight: float
    dash: str
    marker: str


STYLES: dict[Way, Style] = {
    "emulated": Style(VERMILLION, 3, "2 5", "square"),
    "virtio": Style(SKY, 7, "", "circle"),
    "virtio in user space": Style(BLUE, 2.5, "9 5", "diamond"),
    "VT-d": Style(ORANGE, 7, "", "triangle"),
    "SR-IOV": Style(GREEN, 2.5, "", "plus"),
}
"""Where two curves lie on each other the thin one is above."""

_LEFT, _RIGHT, _HEIGHT = 104.0, 560.0, 320.0
_TOP = TOP + 18
_BOTTOM = _TOP + _HEIGHT
_LIST = 612.0


class Point(NamedTuple):
    """`value` of a way at `vms` VMs; `full`: each of them has a device; `run`: it was measured."""

    vms: int
    value: float
    full: bool
    run: bool


def curve(way: Way, load: Load, shown: Metric, measured: Iterable[int] = ()) -> list[Point]:
    """The points of a way for all `STEPS`; for those in `measured`, a run is made and counted."""
    runs = set(measured) if shown.rate is None else set()
    points = []
    for vms in STEPS:
        here = load._replace(vms=vms)
        value = shown.of(measure(way, here)) if vms in runs else shown.value(way, here)
        points.append(Point(vms, value, served(way, vms) == vms, vms in runs))
    return points


def share_picture(
    load: Load, name: str = "exits", measured: Sequence[int] = (), title: str = ""
) -> Picture:
    """The metric `name` over the number of VMs; the list is for `load.vms`.

    For each number of VMs in `measured` the load is run, which takes its time. `ValueError` for a
    load or a metric that there is not.
    """
    check(load)
    shown = metric(name)
    curves = {way: curve(way, load, shown, measured) for way in WAYS}
    scale = _Scale(shown, [point.value for points in curves.values() for point in points])
    parts = [*_grid(scale, load.vms), *(part for way in WAYS for part in _way(way, curves, scale))]
    parts += _list(load, shown)
    parts.append(caption(_BOTTOM + 76, _key(bool(measured) and shown.rate is None)))
    parts.append(caption(_BOTTOM + 98, workload(load, shown.rate is not None)))
    words = shown.name[0].upper() + shown.name[1:]
    text = _text(words, load, shown, curves)
    return picture(title or words, _BOTTOM + 116, parts, text, f"{words}: {_best(load, shown)}")


# -- where a value is


class _Scale:
    """From numbers to pixels: VMs by powers of two, values by powers of ten, or from 0 to 1."""

    def __init__(self, shown: Metric, values: list[float]) -> None:
        self.shown = shown
        above = [value for value in values if value > 0]
        self.zero = not shown.linear and len(above) < len(values)
        self.low = math.floor(math.log10(min(above)) + 1e-9)
        self.high = max(self.low + 1, math.ceil(math.log10(max(above)) - 1e-9))
        self.floor = _BOTTOM - (38 if self.zero else 0)

    @staticmethod
    def x(vms: int) -> float:
        """Across."""
        return _LEFT + 24 + (_RIGHT - _LEFT - 48) * math.log2(vms) / math.log2(STEPS[-1])

    def y(self, value: float) -> float:
        """Down. On a scale of powers 0 has a row of its own."""
        if self.shown.linear:
            return _BOTTOM - _HEIGHT * value
        if not value:
            return _BOTTOM - 12
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.floor - (self.floor - _TOP) * part

    def ticks(self) -> list[tuple[float, str]]:
        """The values with a line, and their names."""
        if self.shown.linear:
            return [(step / 4, f"{step / 4:.0%}") for step in range(5)]
        names = [(10.0**power, _power(power)) for power in range(self.low, self.high + 1)]
        return [(0.0, "0"), *names] if self.zero else names


def _power(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


# -- what is drawn


def _grid(scale: _Scale, vms: int) -> list[str]:
    x = scale.x(vms)
    parts = [rect(x - 15, _TOP - 8, 30, _HEIGHT + 16, YELLOW_TINT, "none", 4)]
    for value, name in scale.ticks():
        y = scale.y(value)
        parts.append(line(_LEFT, y, _RIGHT, y, FAINT, 1.2))
        parts.append(write(_LEFT - 10, y + 5, name, SMALL, MUTED, "end"))
    for step in STEPS:
        bold = step == vms
        parts.append(
            write(scale.x(step), _BOTTOM + 28, f"{step}", SMALL, INK if bold else MUTED, "middle",
                  bold)
        )  # fmt: skip
    parts.append(write((_LEFT + _RIGHT) / 2, _BOTTOM + 50, "VMs", SMALL, MUTED, "middle"))
    return parts


def _way(way: Way, curves: dict[Way, list[Point]], scale: _Scale) -> list[str]:
    """The lines from point to point, then the points."""
    style, points = STYLES[way], curves[way]
    parts = []
    for one, other in pairwise(points):
        dash = style.dash if other.full else "1 7"
        weight = style.weight if other.full else 2.5
        at = scale.x(one.vms), scale.y(one.value), scale.x(other.vms), scale.y(other.value)
        parts.append(line(*at, style.colour, weight, dash))
    for each in points:
        x, y = scale.x(each.vms), scale.y(each.value)
        parts.append(_marker(style, x, y, each.run) if each.full else cross(x, y, style.colour, 5))
    return parts


def _marker(style: Style, x: float, y: float, filled: bool) -> str:
    fill = style.colour if filled else WHITE
    if style.marker == "circle":
        return element("circle", cx=x, cy=y, r=7, fill=fill, stroke=style.colour, stroke_width=2.5)
    if style.marker == "square":
        return rect(x - 7.5, y - 7.5, 15, 15, fill, style.colour, 0, 2.5)
    if style.marker == "plus":
        arm = 7.0 if filled else 5.5
        weight = 5 if filled else 2.5
        return line(x - arm, y, x + arm, y, style.colour, weight) + line(
            x, y - arm, x, y + arm, style.colour, weight
        )
    corners = {
        "diamond": ((0, -8), (8, 0), (0, 8), (-8, 0)),
        "triangle": ((0, -8), (8, 6), (-8, 6)),
    }[style.marker]
    points = " ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in corners)
    return element("polygon", points=points, fill=fill, stroke=style.colour, stroke_width=2.5)


def _list(load: Load, shown: Metric) -> list[str]:
    """Every way with its number, the best first."""
    order = "most first" if shown.most_is_best else "least for a VM first"
    words = f"{load.vms} VM{'s' * (load.vms != 1)}"
    parts = [
        write(_LIST, _TOP + 6, order, SMALL, MUTED),
        write(WIDTH - MARGIN, _TOP + 6, words, BODY, INK, "end", bold=True),
        line(_LIST, _TOP + 18, WIDTH - MARGIN, _TOP + 18, FAINT),
    ]
    for row, way in enumerate(shown.ranked(load)):
        value = shown.value(way, load)
        y = _TOP + 50 + 54 * row
        style = STYLES[way]
        parts.append(line(_LIST, y - 5, _LIST + 40, y - 5, style.colour, style.weight, style.dash))
        parts.append(_marker(style, _LIST + 20, y - 5, False))
        parts.append(write(_LIST + 54, y, way, BODY))
        parts.append(write(WIDTH - MARGIN, y, shown.shown(value), BODY, INK, "end", bold=True))
        if (have := holders(way, load.vms)) != "all":
            parts.append(write(_LIST + 54, y + 20, f"{have} have a device", SMALL, MUTED))
    return parts


def _key(measured: bool) -> str:
    lost = "dotted, with a cross: not every VM has a device"
    filled = "Filled: measured on the models; hollow" if measured else "Hollow"
    return f"{filled}: by the closed form; {lost}"


# -- in words


def _best(load: Load, shown: Metric) -> str:
    way = shown.ranked(load)[0]
    return f"{way} {shown.shown(shown.value(way, load))} at {load.vms} VM{'s' * (load.vms != 1)}"


def _text(words: str, load: Load, shown: Metric, curves: dict[Way, list[Point]]) -> str:
    lines = [f"{words}: {workload(load, shown.rate is not None)}"]
    lines.append(f"{'VMs':20}" + "".join(f"{step:>9}" for step in STEPS))
    for way, points in curves.items():
        cells = (
            f"{shown.shown(each.value)}{'*' * each.run}{'' if each.full else '!'}"
            for each in points
        )
        lines.append(f"{way:20}" + "".join(f"{cell:>9}" for cell in cells))
    marks = [("*", "measured"), ("!", "not every VM has a device")]
    used = [f"{mark} {what}" for mark, what in marks if any(mark in each for each in lines[2:])]
    return "\n".join([*lines, *([", ".join(used)] if used else [])])
