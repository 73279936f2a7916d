"""How far a reader is: the parts of the course, a box for each lesson and each problem set.

    a thin dashed edge    not yet
    a thick edge, ▸       begun: run to the end, or a part of the quiz or of the tasks
    a tint and a tick     done: run, and each answer right; or every task passes

The rule that keeps it simple: the picture knows no file. It gets rows of stops, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.show.palette import (
    BODY,
    GREEN,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    WHITE,
    WIDTH,
)
from virtlab.show.svg import TOP, Picture, element, fit, picture, rect, write

IN_A_ROW = 3
GAP, BOX, HEADING = 12, 54, 34
_BOX_WIDTH = (WIDTH - 2 * MARGIN - (IN_A_ROW - 1) * GAP) / IN_A_ROW

SIGNS = {"": "○", "begun": "▸", "done": "✓"}
"""The sign of each state, in the text and in the picture."""


class Stop(NamedTuple):
    """A lesson or a problem set: its name, `""`, `"begun"` or `"done"`, and that in words."""

    name: str
    state: str
    words: str
    exercise: bool = False


class Row(NamedTuple):
    """A part of the course."""

    name: str
    stops: tuple[Stop, ...]


def progress_picture(rows: Sequence[Row], title: str = "The course, and where you are") -> Picture:
    """Draw the parts one below the other, in reading order."""
    parts, lines, y = [], [summary(rows)], TOP - 6.0
    for row in rows:
        parts.append(write(MARGIN, y + 18, row.name, BODY, MUTED, bold=True))
        lines.append(row.name)
        y += HEADING - 4
        for number, stop in enumerate(row.stops):
            x = MARGIN + number % IN_A_ROW * (_BOX_WIDTH + GAP)
            parts.append(_stop(x, y + number // IN_A_ROW * (BOX + GAP), stop))
            lines.append(f"  {SIGNS[stop.state]} {stop.name:<26}{stop.words}")
        y += -(-len(row.stops) // IN_A_ROW) * (BOX + GAP) + 4
    return picture(title, y + 8, parts, "\n".join(lines), f"{title}. {summary(rows)}")


def summary(rows: Sequence[Row]) -> str:
    """What the picture says, in one sentence."""
    stops = [stop for row in rows for stop in row.stops]
    lessons = [stop for stop in stops if not stop.exercise]
    sets = [stop for stop in stops if stop.exercise]
    begun = sum(stop.state == "begun" for stop in stops)
    return (
        f"{_done(lessons)} of {len(lessons)} lessons and {_done(sets)} of {len(sets)} "
        f"problem sets are done, {begun} more are begun."
    )


def _done(stops: Sequence[Stop]) -> int:
    return sum(stop.state == "done" for stop in stops)


def _stop(x: float, y: float, stop: Stop) -> str:
    """One box. Edge, sign and words differ with the state, and the tint only after them."""
    fill = GREEN_TINT if stop.state == "done" else GREY_TINT if stop.exercise else WHITE
    weight, dash = (2.5, "") if stop.state else (1.2, "5 4")
    box = rect(x, y, _BOX_WIDTH, BOX, fill, INK, 14 if stop.exercise else 4, weight, dash)
    name = fit(stop.name, _BOX_WIDTH - 40, BODY)
    words = fit(stop.words, _BOX_WIDTH - 40, SMALL)
    return "".join(
        [
            box,
            _sign(x + 18, y + 18, stop.state),
            write(x + 32, y + 23, name, BODY, bold=True),
            write(x + 32, y + 43, words, SMALL, MUTED),
        ]
    )


def _sign(x: float, y: float, state: str) -> str:
    """A circle, an arrow head, or a tick."""
    if state == "done":
        d = f"M{x - 8:g} {y:g}l5 6l9 -13"
        return element("path", d=d, stroke=GREEN, stroke_width=3, fill="none")
    if state == "begun":
        return element("path", d=f"M{x - 5:g} {y - 7:g}l11 7l-11 7z", fill=INK)
    return element("circle", cx=x, cy=y, r=5, fill="none", stroke=MUTED, stroke_width=1.5)
