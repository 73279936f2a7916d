"""The picture of a request's journey: three lanes, and time downwards.

The idea: a thick bar says who runs. Where the device model is inside the VMM, one frame holds both,
for they are one world. A service has a frame of its own, and every heavy arrow from frame to frame
is a world switch. The counters below are those of the trace.

The rule that keeps it simple: the picture is a function of a journey and the number of a step.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.show.journey_runs import HOMES, REQUESTS, Plan, Trip
from virtlab.show.journey_steps import DEVICE, GUEST, VMM, Step
from virtlab.show.palette import (
    BLUE,
    BODY,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    SKY_TINT,
    SMALL,
    VERMILLION,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import arrow, legend
from virtlab.show.svg import TOP, Picture, fit, line, picture, rect, write

_LANES = {GUEST: 150.0, VMM: 470.0, DEVICE: 790.0}
_TINTS = {GUEST: GREEN_TINT, VMM: ORANGE_TINT, DEVICE: SKY_TINT}
_HALF, _HEAD, _ROW = 106, 54, 40

MOST_ROWS = 10
"""Steps that are drawn at once: the last ones."""

_ARROWS = {
    "exit": (VERMILLION, 3.0, ""),
    "entry": (VERMILLION, 3.0, ""),
    "request": (VERMILLION, 3.0, ""),
    "reply": (VERMILLION, 3.0, ""),
    "call": (BLUE, 2.0, ""),
    "signal": (INK, 2.0, "3 4"),
}

RUNS: Mapping[str, str] = {
    GUEST: "The guest runs.",
    VMM: "The VMM runs, the guest waits.",
    DEVICE: "The service runs, guest and VMM wait.",
}


def journey_picture(trip: Trip, index: int | None = None, title: str = "") -> Picture:
    """The journey up to step `index`, or to its end; the last `MOST_ROWS` steps of that."""
    plan, steps = trip.plan, trip.steps
    index = len(steps) - 1 if index is None else index
    title = title or f"{_named(REQUESTS, plan.request)}; device model {_home(plan)}"
    rows = min(MOST_ROWS, len(steps) - 1)
    start = max(1, index - rows + 1)
    seen = steps[start : index + 1]
    top = TOP + _HEAD + 10.0
    bottom = top + rows * _ROW + 8
    before = steps[start - 1].running
    parts = [*_frames(plan, bottom), *_lifelines(before, seen, top, bottom)]
    parts += [_head(lane, lane == steps[index].running, plan) for lane in _LANES]
    parts += [_draw(step, top + _ROW * (n + 0.7)) for n, step in enumerate(seen)]
    parts.append(_counters(steps[index], bottom + 26))
    parts.append(legend(bottom + 92, _keys()))
    return picture(
        title, bottom + 112, parts, _text(title, trip, index), _label(title, steps, index)
    )


def _frames(plan: Plan, bottom: float) -> list[str]:
    """One frame a world."""
    top = TOP - 4.0
    spans = [(GUEST, GUEST)]
    spans += [(VMM, DEVICE)] if plan.home == "VMM" else [(VMM, VMM), (DEVICE, DEVICE)]
    return [
        rect(
            _LANES[a] - _HALF - 8, top, _LANES[b] - _LANES[a] + 2 * _HALF + 16, bottom - top, WHITE
        )
        for a, b in spans
    ]


def _head(lane: str, runs: bool, plan: Plan) -> str:
    """A lane's name; the one that runs says so, and has the thicker outline."""
    x, weight = _LANES[lane], 3.5 if runs else 1.2
    name = "service: device model" if lane == DEVICE and plan.home != "VMM" else lane
    box = rect(x - _HALF + 4, TOP + 4, 2 * _HALF - 8, _HEAD - 10, _TINTS[lane], INK, 6, weight)
    words = write(x, TOP + (22 if runs else 31), name, BODY, anchor="middle", bold=True)
    return box + words + (write(x, TOP + 41, "runs now", SMALL, anchor="middle") if runs else "")


def _lifelines(before: str, seen: tuple[Step, ...], top: float, bottom: float) -> list[str]:
    """A thin line for each lane, and a bar on the one that runs, from row to row."""
    parts = [line(x, top, x, bottom - 8, MUTED, 1.5, "3 5") for x in _LANES.values()]
    running, since, y = before, top, top
    for n, step in enumerate(seen):
        y = top + _ROW * (n + 0.7)
        if step.running != running:
            parts.append(_bar(running, since, y))
            running, since = step.running, y
    parts.append(_bar(running, since, min(y + 14, bottom - 8)))
    return parts


def _bar(lane: str, start: float, end: float) -> str:
    return rect(_LANES[lane] - 6, start, 12, end - start, _TINTS[lane], INK, 0)


def _draw(step: Step, y: float) -> str:
    left, right = sorted((_LANES[step.start], _LANES[step.end]))
    if left == right:
        anchor = "end" if step.start == DEVICE else "start"
        x = left - 16 if step.start == DEVICE else left + 16
        return write(x, y + 2, fit(step.words, 290, SMALL), SMALL, anchor=anchor, halo=PAPER)
    inward = 9 if _LANES[step.end] > _LANES[step.start] else -9
    shaft = arrow(_LANES[step.start] + inward, y, _LANES[step.end] - inward, *_ARROWS[step.style])
    words = fit(step.words, right - left - 40, SMALL)
    bold = step.style not in ("call", "signal")
    return shaft + write(
        (left + right) / 2, y - 8, words, SMALL, anchor="middle", bold=bold, halo=WHITE
    )


def _counters(step: Step, y: float) -> str:
    """What it has cost so far: three boxes."""
    exits, switches, ns = step.cost
    parts, width = [], (WIDTH - 2 * MARGIN - 32) / 3
    for n, words in enumerate(
        (_many(exits, "exit"), _many(switches, "world switch"), f"{_spaced(ns)} ns of switching")
    ):
        x = MARGIN + n * (width + 16)
        parts.append(rect(x, y - 14, width, 44, WHITE, INK, 6))
        parts.append(write(x + width / 2, y + 14, words, BODY, anchor="middle", bold=True))
    return "".join(parts)


def _keys() -> list[tuple[str, str]]:
    return [
        (arrow(0, 9, 30, *_ARROWS[style]), words)
        for style, words in (
            ("exit", "a world switch"),
            ("call", "a call inside one world"),
            ("signal", "a message; nobody waits"),
        )
    ]


def explain(trip: Trip, index: int) -> str:
    """A step in words: what crosses, who runs then, what it has cost."""
    step = trip.steps[index]
    where = f"Step {index + 1} of {len(trip.steps)}"
    exits, switches, ns = step.cost
    route = "" if step.start == step.end else f" from {step.start} to {step.end}"
    spent = (
        f"{_many(exits, 'exit')}, {_many(switches, 'world switch')}, {_spaced(ns)} ns of switching"
    )
    return f"{where}{route}: `{step.words}`. {RUNS[step.running]} So far: {spent}."


def _text(title: str, trip: Trip, index: int) -> str:
    lines = [title]
    for step in trip.steps[1 : index + 1]:
        route = step.start if step.start == step.end else f"{step.start} -> {step.end}"
        exits, switches, ns = step.cost
        lines.append(f"{exits:>4} {switches:>5} {ns:>9} ns  {route:<22}  {step.words}")
    lines.insert(1, "exits, world switches, and what they take")
    return "\n".join([*lines, RUNS[trip.steps[index].running]])


def _label(title: str, steps: tuple[Step, ...], index: int) -> str:
    exits, switches, _ = steps[index].cost
    return f"{title}: step {index + 1} of {len(steps)}, exits {exits}, world switches {switches}"


def _named(options: tuple[tuple[str, str], ...], value: str) -> str:
    return next(words for words, each in options if each == value)


def _home(plan: Plan) -> str:
    return _named(HOMES, plan.home)


def _many(count: int, what: str) -> str:
    plural = "es" if what.endswith("ch") else "s"
    return f"{count} {what}{'' if count == 1 else plural}"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")
