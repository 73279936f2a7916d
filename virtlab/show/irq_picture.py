"""The places of an interrupt's way, what stands in each, and how far it has come.

The idea: the upper row is the host's, the way of a message. The lower row is the way of an
interrupt that belongs to a guest. What connects the rows is an exit, or a descriptor in memory.

The rule that keeps it simple: the picture is a function of a trip and the number of a step. A place
where the trip has not been yet is grey; one that has no part in this set-up is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from virtlab.show.irq_inside import inside
from virtlab.show.irq_places import (
    BETWEEN,
    BOTTOM,
    CELLS,
    HIGH,
    WAYS,
    WIDE,
    arrow_between,
    middle,
)
from virtlab.show.irq_run import Place, Step, Trip
from virtlab.show.irq_scene import CARD, STATES, UNITS, words_of
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch
from virtlab.show.svg import Picture, fit, picture, rect, write

_NAMES: dict[Place, str] = {
    "unit": "VT-d unit",
    "entry": "entry",
    "host": "host's local APIC",
    "vmm": "host and VMM",
    "apic": "guest's local APIC",
    "guest": "guest",
    "descriptor": "descriptor",
}

_HEIGHT = BOTTOM + 112


def irq_picture(trip: Trip, index: int | None = None, title: str = "") -> Picture:
    """The way up to step `index`, or to its end."""
    index = len(trip.steps) - 1 if index is None else index
    seen = trip.steps[: index + 1]
    title = title or title_of(trip)
    gone = ways_of(trip, index)
    parts = [arrow_between(way, way in gone) for way in sorted(WAYS, key=lambda way: way in gone)]
    parts += [_box(trip, place, seen) for place in CELLS]
    parts += [_label("entry", "a post", -10, "end"), _label("host", _crossing(trip), 10, "start")]
    parts.append(_counters(seen[-1]))
    label = f"{title}: step {index + 1} of {len(trip.steps)}. {seen[-1].words}"
    return picture(title, _HEIGHT, parts, _text(title, trip, index), label)


def title_of(trip: Trip) -> str:
    """The set-up, in words."""
    guest = words_of(STATES, trip.plan.guest).partition(" ")[0]
    return f"{words_of(UNITS, trip.plan.unit).capitalize()}, and the guest is {guest}"


def ways_of(trip: Trip, index: int) -> set[tuple[Place, Place]]:
    """The arrows that were passed up to a step."""
    gone: set[tuple[Place, Place]] = set()
    for start, end in pairwise(step.place for step in trip.steps[: index + 1]):
        # What was posted comes from the descriptor, whoever takes it there.
        source: Place = "descriptor" if (end, trip.plan.unit) == ("apic", "posted") else start
        if (source, end) in WAYS:
            gone.add((source, end))
    return gone


def _place_of(step: Step) -> Place:
    return "unit" if step.place == "refused" else step.place


def _absent(trip: Trip, place: Place) -> bool:
    """Whether a place has no part in this set-up."""
    if place == "descriptor":
        return trip.plan.unit != "posted"
    return place == "entry" and trip.plan.unit == "off"


def _box(trip: Trip, place: Place, seen: Sequence[Step]) -> str:
    """A place: its name, and what stands in it now."""
    x, y = CELLS[place]
    been = any(_place_of(step) == place for step in seen)
    here = _place_of(seen[-1]) == place
    tint = YELLOW_TINT if here else WHITE if been else GREY_TINT
    if place == "unit" and any(step.place == "refused" for step in seen):
        tint = VERMILLION_TINT
    parts = [rect(x, y, WIDE, HIGH, tint, "none", 6)]
    if _absent(trip, place):
        parts.append(hatch(x, y, WIDE, HIGH, FAINT, 14))
    parts.append(rect(x, y, WIDE, HIGH, "none", INK if been else MUTED, 6, 3.5 if here else 1.2))
    device = "guest's card" if trip.plan.sender == CARD else "host's disk"
    parts.append(write(x + 12, y + 24, _NAMES.get(place, device), BODY, bold=True))
    lines = [] if _absent(trip, place) else inside(trip, place, seen)
    for n, words in enumerate(lines):
        shown = fit(words, WIDE - 20, SMALL, True)
        parts.append(write(x + 12, y + 48 + 21 * n, shown, SMALL, mono=True))
    return "".join(parts)


def _crossing(trip: Trip) -> str:
    """What a physical interrupt is for the processor at that moment."""
    return "an exit" if trip.plan.guest == "running" else "a handler"


def _label(place: Place, words: str, shift: float, anchor: str) -> str:
    """Beside the arrow that leads down from a place."""
    return write(middle(place)[0] + shift, BETWEEN + 5, words, SMALL, MUTED, anchor)


def _counters(step: Step) -> str:
    """What it has cost so far: three boxes."""
    y, width = BOTTOM + 46, (WIDTH - 2 * MARGIN - 32) / 3
    counts = (_spent(step), f"host's handlers: {step.handled}", f"{step.cost.ns} ns of switching")
    return "".join(
        rect(MARGIN + n * (width + 16), y, width, 44, GREEN_TINT if n == 0 else WHITE, INK, 6)
        + write(MARGIN + n * (width + 16) + width / 2, y + 28, words, BODY, anchor="middle")
        for n, words in enumerate(counts)
    )


def _spent(step: Step) -> str:
    exits, switches, _ = step.cost
    return f"{exits} exit{'' if exits == 1 else 's'}, {switches} world switches"


def _text(title: str, trip: Trip, index: int) -> str:
    lines = [title, "exits, world switches, host's handlers"]
    for step in trip.steps[: index + 1]:
        exits, switches, _ = step.cost
        lines.append(f"{exits:>4} {switches:>4} {step.handled:>4}  {step.place:<10}  {step.words}")
    return "\n".join(lines)


def explain(trip: Trip, index: int) -> str:
    """A step in words, and what it has cost up to there."""
    step = trip.steps[index]
    where = f"Step {index + 1} of {len(trip.steps)}."
    return f"{where} {step.words} So far: {_spent(step)}."
