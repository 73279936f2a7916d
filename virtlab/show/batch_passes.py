"""The passes of one batch, as bars: each purpose a row, as long as the array that it looks at.

    heads                         [##########]  4 passes x 64
    a step in lockstep            [##########]  19 passes x 64
    a step in lockstep            [#######   ]  21 passes x 48
    a step in lockstep            [##        ]  21 passes x 16

The idea: a pass costs a fixed price and a little for each element. So count the passes, which stay
the same for any number of chains, and see how long the arrays are.

The rule that keeps it simple: all of it is an `Outcome`, which was counted in the library.
"""

from __future__ import annotations

from virtlab.show.batch_rings import KINDS
from virtlab.show.batch_run import Outcome, Stage, time
from virtlab.show.palette import (
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, caption, fit, line, picture, rect, write

LOCKSTEP = "a step in lockstep"

_LINE, _BAR, _LEFT, _LONG = 36.0, 26.0, 300.0, 400.0


def passes_picture(outcome: Outcome) -> Picture:
    """A row for each stage, and below what the batch takes at least, both ways."""
    choice = outcome.choice
    title = f"pop_many, {choice.n:,} x {KINDS[choice.kind]}: {outcome.passes} passes"
    parts, y = [], TOP + 4.0
    longest = max((stage.widest for stage in outcome.stages), default=1)
    for stage in outcome.stages:
        parts.append(_stage(stage, y, longest))
        y += _LINE
    if not outcome.stages:
        parts.append(rect(MARGIN, y, WIDTH - 2 * MARGIN, _BAR, GREY_TINT, "none"))
        parts.append(write(MARGIN + 12, y + 18, fit(_none(outcome), WIDTH - 3 * MARGIN)))
        y += _LINE
    parts.append(line(MARGIN, y + 2, WIDTH - MARGIN, y + 2, MUTED, 1))
    parts.append(_floors(outcome, y + 14))
    y += 14 + 2 * _LINE
    words = "A bar is as long as the array. Times are floors: counts of steps, no clock."
    parts.append(caption(y + 16, words))
    return picture(title, y + 34, parts, _text(outcome, title), f"{title}. {_ways(outcome)}")


def _none(outcome: Outcome) -> str:
    """What is done instead of passes."""
    if outcome.singly:
        return "so few are taken one by one, by pop"
    return f"no pass over an array: {outcome.compares} compares of bytes"


def _stage(stage: Stage, y: float, longest: int) -> str:
    width = _LONG * stage.widest / longest
    fill = ORANGE_TINT if stage.name == LOCKSTEP else SKY_TINT
    pattern = hatch(_LEFT, y, width, _BAR, MUTED, 14) if stage.name == LOCKSTEP else ""
    return "".join(
        (
            write(_LEFT - 14, y + 19, fit(stage.name, _LEFT - MARGIN - 14), anchor="end"),
            rect(_LEFT, y, width, _BAR, fill, "none", 0),
            pattern,
            rect(_LEFT, y, width, _BAR, "none", INK, 0),
            write(_LEFT + _LONG + 12, y + 19, _count(stage), SMALL, INK, mono=True),
        )
    )


def _count(stage: Stage) -> str:
    one = "pass  " if stage.passes == 1 else "passes"
    return f"{stage.passes:>2} {one} x {stage.widest:,}"


def _floors(outcome: Outcome, y: float) -> str:
    """Two bars on one scale: the batch, and one by one."""
    ways = {"pop_many": outcome.floor, "pop, one by one": outcome.scalar_floor}
    parts, longest = [], max(ways.values())
    for fill, (name, floor) in zip((GREEN_TINT, GREY_TINT), ways.items(), strict=True):
        width = max(1.0, _LONG * floor / longest)
        parts.append(write(_LEFT - 14, y + 19, name, anchor="end", bold=True))
        parts.append(rect(_LEFT, y, width, _BAR, fill, INK, 0))
        parts.append(write(_LEFT + _LONG + 12, y + 19, f"at least {time(floor)}", SMALL, mono=True))
        y += _LINE
    return "".join(parts)


def _ways(outcome: Outcome) -> str:
    return f"pop_many at least {time(outcome.floor)}, pop at least {time(outcome.scalar_floor)}"


def _text(outcome: Outcome, title: str) -> str:
    lines = [title]
    lines += [f"{stage.name:32}  {_count(stage)}" for stage in outcome.stages]
    if not outcome.stages:
        lines.append(_none(outcome))
    return "\n".join([*lines, _ways(outcome)])
