"""One workload on its way: the figure on the left, and what it cost on the right, term by term.

    KVM with virtio          32 packets            measured   predicted
    [ application  ]         doorbell        ###          4           4
    [ front-end    ]         HLT             ###          4           4
         ...                 ...

The idea: a cost is a sum of terms with names, and each term was counted and was predicted. The bar
is what was counted, the mark across it the prediction.

The rule that keeps it simple: the picture is a function of a choice and of what its run counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from virtlab.show.layer_words import many
from virtlab.show.palette import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.path_choice import Choice
from virtlab.show.path_figures import HEADS, whole
from virtlab.show.path_forms import Counts, closed_form, terms
from virtlab.show.path_picture import END, START, column_parts
from virtlab.show.path_runs import run
from virtlab.show.path_steps import Spent
from virtlab.show.svg import TOP, Picture, line, picture, rect, write

_LEFT, _RIGHT = WIDTH / 2 + 18, float(WIDTH - MARGIN)
_BAR, _MEASURED, _PREDICTED = _LEFT + 140, _RIGHT - 84, _RIGHT
_ROOM = _MEASURED - 70 - _BAR
_ROW = 38


@lru_cache(128)
def measured(choice: Choice) -> tuple[Counts, Mapping[str, int]]:
    """What a run of `choice` counted, all in all and by terms. It is always the same."""
    done = run(choice)
    return done.counts, done.terms


def figure_of(choice: Choice) -> str:
    """Which of the figures it is."""
    return "virtio-net" if (choice.device, choice.way) == ("net", "virtio") else choice.way


def pieces(choice: Choice, count: int) -> str:
    """`32 packets`, `1 request of 4 KiB`."""
    one, more = ("request", " of 4 KiB") if choice.device == "disk" else ("packet", "")
    return many(count, one) + more


def costs_picture(choice: Choice, counts: Counts, found: Mapping[str, int]) -> Picture:
    """The way of `choice`, and what it cost: `counts`, and the exits `found` by their names."""
    way, predicted = figure_of(choice), closed_form(choice)
    spent = Spent(counts.exits, counts.accesses, counts.interrupts, counts.copies)
    batch = 1 if way in ("pio", "dma") else choice.batch
    title = f"{HEADS[way]}, {pieces(choice, choice.units)}, {batch} at a time"
    rows = [(term.name, found.get(term.name, 0), term.count) for term in terms(choice)]
    parts = column_parts(MARGIN, whole(way, spent))
    parts += [
        write(_LEFT, TOP + 14, "Exits", BODY, bold=True),
        write(_MEASURED, TOP + 14, "measured", SMALL, MUTED, "end"),
        write(_PREDICTED, TOP + 14, "predicted", SMALL, MUTED, "end"),
    ]
    scale = _ROOM / max((count for each in rows for count in each[1:]), default=1)
    for number, (name, got, form) in enumerate(rows):
        parts += _row(START + number * _ROW, name, got, form, scale)
    y = START + len(rows) * _ROW + 6
    parts.append(line(_LEFT, y, _RIGHT, y, FAINT))
    parts += _sums(y + 30, choice, counts, predicted)
    label = f"{title}: {many(counts.exits, 'exit')}, predicted {predicted.exits}"
    return picture(title, END + 64, parts, _text(title, rows, counts, predicted), label)


def _row(y: float, name: str, got: int, form: int, scale: float) -> list[str]:
    mark = _BAR + form * scale
    return [
        write(_LEFT, y + 20, name, SMALL),
        rect(_BAR, y + 6, max(got * scale, 1), 20, ORANGE_TINT, INK, 0),
        line(mark, y, mark, y + 32, INK, 3.5),
        write(_MEASURED, y + 21, f"{got}", BODY, anchor="end", bold=True),
        write(_PREDICTED, y + 21, f"{form}", BODY, anchor="end"),
    ]


def _sums(y: float, choice: Choice, counts: Counts, predicted: Counts) -> list[str]:
    """What is counted of the whole, and what that is for a piece."""
    each = "for each 4 KiB" if choice.device == "disk" else "for each packet"
    both, units = (counts, predicted), choice.units
    rows: dict[str, list[str]] = {
        "all exits": [f"{one.exits}" for one in both],
        "accesses to registers": [f"{one.accesses}" for one in both],
        "interrupts": [f"{one.interrupts}" for one in both],
        "copies": [f"{one.copies}" for one in both],
        f"exits {each}": [f"{one.exits / units:.4g}" for one in both],
        f"about µs {each}": [f"{one.ns / units / 1000:.3g}" for one in both],
    }
    parts = []
    for number, (name, (got, form)) in enumerate(rows.items()):
        at = y + 30 * number
        parts.append(write(_LEFT, at, name, SMALL))
        parts.append(write(_MEASURED, at, got, BODY, anchor="end", bold=True))
        parts.append(write(_PREDICTED, at, form, BODY, anchor="end"))
    return parts


def _text(title: str, rows: list[tuple[str, int, int]], counts: Counts, predicted: Counts) -> str:
    rows = [*rows, ("all exits", counts.exits, predicted.exits)]
    rows += [("interrupts", counts.interrupts, predicted.interrupts)]
    rows += [("copies", counts.copies, predicted.copies)]
    lines = [f"{name:<20}{got:>8}   (formula: {form})" for name, got, form in rows]
    return "\n".join([title, *lines])
