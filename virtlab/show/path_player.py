"""Two trips of the same request, side by side, step by step.

The idea: the left one goes first, and stays where it ended while the right one goes. So at the end
both costs stand beside each other.

The rule that keeps it simple: a frame is a number, and `frame` says how far each trip is then.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.show.path_figures import FIGURES, HEADS, column
from virtlab.show.path_picture import path_picture
from virtlab.show.path_trips import Trip, Way, trip
from virtlab.show.player import Player
from virtlab.show.svg import Picture


def frame(trips: Sequence[Trip], index: int) -> list[int]:
    """The step at which each of `trips` is in frame `index`; -1 for one that has not begun."""
    at = []
    for each in trips:
        at.append(max(-1, min(index, len(each.steps) - 1)))
        index -= len(each.steps)
    return at


def draw(trips: Sequence[Trip], index: int | None = None) -> Picture:
    """Frame `index`, the last one if None."""
    index = sum(len(each.steps) for each in trips) - 1 if index is None else index
    stages = zip(trips, frame(trips, index), strict=True)
    return path_picture([column(each.way, each.steps, at) for each, at in stages])


def explain(trips: Sequence[Trip], index: int) -> str:
    """The frame in a sentence: the step that was made last."""
    now, at = [each for each in zip(trips, frame(trips, index), strict=True) if each[1] >= 0][-1]
    told = now.steps[at]
    where = f"{HEADS[now.way]}, step {at + 1} of {len(now.steps)}"
    spent = told.spent
    so_far = f"So far: exits {spent.exits}, copies {spent.copies}, interrupts {spent.interrupts}."
    return f"{where}, at `{FIGURES[now.way][told.at]}`: {told.words}. {so_far}"


class PathPlayer(Player):
    """The trips of `ways`, one after another. It starts at the end, where both are told."""

    def __init__(self, ways: Sequence[Way] = ("dma", "virtio")) -> None:
        trips = [trip(way) for way in ways]
        lengths = [len(each.steps) for each in trips]
        chapters = {
            f"{HEADS[each.way]}: the beginning": sum(lengths[:number])
            for number, each in enumerate(trips)
        }
        super().__init__(
            sum(lengths),
            lambda index: draw(trips, index),
            lambda index: explain(trips, index),
            "One request, two ways",
            chapters,
            sum(lengths) - 1,
        )
