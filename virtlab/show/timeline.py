"""Who ran when: guest, VMM and device side by side, time downwards.

The idea: three lifelines. A thick bar on a line means: this one runs now. An access that needs the
VMM leaves the guest's bar (`exit`), reaches the device from the VMM, and comes back (`entry`). An
access that does not exit goes straight from guest to device, past the VMM, and is drawn heavier.

It reads a trace's events by their `kind`, and needs no more of them than that:

    exit, entry              the world switch; `note` names the exit
    in, out, load, store     an access; `who` answered. From the VMM, if the guest stands still
    irq, inject              device to VMM, VMM to guest
    unclaimed, straddle      an access that nobody answers

Any other kind is a note in the margin, in its place in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.show.naming import READS, REFUSED, WRITES
from virtlab.show.palette import (
    BLUE,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    SKY_TINT,
    SMALL,
    VERMILLION,
)
from virtlab.show.shapes import arrow, cross, legend
from virtlab.show.svg import TOP, Picture, fit, line, picture, rect, write
from virtlab.trace import Event

GUEST, VMM, DEVICE = "guest", "VMM", "device"
_LANES = {GUEST: 200.0, VMM: 520.0, DEVICE: 840.0}
_TINTS = {GUEST: GREEN_TINT, VMM: ORANGE_TINT, DEVICE: SKY_TINT}
_ROW = 46


class Step(NamedTuple):
    """One row: an arrow from lane `start` to lane `end`, or a note where they are the same.

    `running` is the lane that runs while it happens: the guest, or the VMM.
    """

    time: int
    start: str
    end: str
    words: str
    style: str
    running: str


def steps(events: Sequence[Event]) -> list[Step]:
    """The rows that events give, in order. The guest runs first, unless the first is an entry."""
    running = VMM if events and events[0].kind == "entry" else GUEST
    rows = []
    for event in events:
        rows.append(_step(event, running))
        running = {"exit": VMM, "entry": GUEST}.get(event.kind, running)
    return rows


def _step(event: Event, running: str) -> Step:
    kind, note = event.kind, event.note
    if kind == "exit":
        return Step(event.time, GUEST, VMM, _exit_words(event), "exit", running)
    if kind == "entry":
        words = f"entry: {note}" if note else "entry"
        return Step(event.time, VMM, GUEST, words, "entry", running)
    if kind in READS + WRITES:
        style = "direct" if running == GUEST else "forwarded"
        return Step(event.time, running, DEVICE, _access_words(event), style, running)
    if kind in REFUSED:
        verb, _, why = note.partition(": ")
        words = f"{verb} {_place(event)}: {why or kind}"
        return Step(event.time, running, DEVICE, words, "lost", running)
    if kind in ("irq", "inject"):
        ends = (DEVICE, VMM) if kind == "irq" else (VMM, GUEST)
        words = f"{kind} {event.who} {note}".strip()
        return Step(event.time, *ends, words, "signal", running)
    words = " ".join(part for part in (kind, event.who, note) if part)
    return Step(event.time, running, running, words, "note", running)


def _exit_words(event: Event) -> str:
    """The exit's name and place: the numbers that a note has in brackets are for the table."""
    name = event.note.partition(" (")[0] or event.who
    return f"exit: {name}, {_place(event)}" if event.space else f"exit: {name}"


def _access_words(event: Event) -> str:
    sign = "gives" if event.kind in READS else "←"
    words = f"{event.kind} {_place(event)} {sign} {event.value:#x}"
    return f"{words}, {event.who}" if event.who else words


def _place(event: Event) -> str:
    return f"{event.address:#x}/{event.size}"


def exit_timeline(
    events: Sequence[Event], limit: int = 16, title: str = "Who runs, and who answers"
) -> Picture:
    """The first `limit` events as arrows between guest, VMM and device."""
    shown = events[: max(0, limit)]
    rows = steps(shown)
    more = len(events) - len(shown)
    exits = sum(row.style == "exit" for row in rows)
    direct = sum(row.style == "direct" for row in rows)
    top = TOP + 40.0
    bottom = top + len(rows) * _ROW + 14
    parts = [_heads(), *_lifelines(rows, top, bottom)]
    parts += [_draw(row, top + _ROW * (i + 0.62)) for i, row in enumerate(rows)]
    if more:
        parts.append(write(MARGIN, bottom + 22, f"and {more} more events", SMALL, MUTED))
        bottom += 26
    parts.append(legend(bottom + 34, _keys()))
    label = f"{title}: exits: {exits}, accesses without exit: {direct}"
    return picture(title, bottom + 54, parts, _text(title, rows, more), label)


# -- drawing


def _heads() -> str:
    """The three names, each in a box on top of its line."""
    parts = [write(MARGIN, TOP + 20, "time (ns)", SMALL, MUTED)]
    for name, x in _LANES.items():
        parts.append(rect(x - 55, TOP, 110, 30, _TINTS[name], INK, 6))
        parts.append(write(x, TOP + 20, name, anchor="middle", bold=True))
    return "".join(parts)


def _lifelines(rows: Sequence[Step], top: float, bottom: float) -> list[str]:
    """A thin line for each; a bar over the rows in which guest or VMM runs."""
    parts = [line(x, top - 10, x, bottom, MUTED, 1.5, "3 5") for x in _LANES.values()]
    for lane, first, last in _turns(rows):
        start = top + _ROW * (first - 0.38) if first else top - 10
        end = min(top + _ROW * (last + 0.62), bottom)
        parts.append(rect(_LANES[lane] - 7, start, 14, end - start, _TINTS[lane], INK, 0))
    return parts


def _turns(rows: Sequence[Step]) -> list[tuple[str, int, int]]:
    """Who runs from which row to which: `(lane, first, last)`; the last turn runs off the end."""
    turns: list[tuple[str, int, int]] = []
    for i, row in enumerate(rows):
        if turns and turns[-1][0] == row.running:
            turns[-1] = (row.running, turns[-1][1], i)
        else:
            turns.append((row.running, i, i))
    if rows:
        after = {"exit": VMM, "entry": GUEST}.get(rows[-1].style, rows[-1].running)
        if turns[-1][0] == after:
            turns[-1] = (after, turns[-1][1], len(rows))
        else:
            turns.append((after, len(rows), len(rows)))
    return turns


_ARROWS = {
    "exit": (VERMILLION, 3.0, ""),
    "entry": (INK, 2.0, "7 5"),
    "direct": (BLUE, 5.0, ""),
    "forwarded": (INK, 2.0, ""),
    "lost": (MUTED, 2.0, "2 4"),
    "signal": (INK, 2.0, "2 4"),
}


def _draw(row: Step, y: float) -> str:
    stamp = write(MARGIN, y + 5, f"{row.time}", SMALL, MUTED, mono=True)
    left, right = sorted((_LANES[row.start], _LANES[row.end]))
    if left == right:
        words = fit(row.words, _LANES[DEVICE] - _LANES[VMM] - 40, SMALL)
        return stamp + write(left + 18, y + 1, words, SMALL, MUTED, halo=PAPER)
    stroke, weight, dash = _ARROWS[row.style]
    inward = 9 if _LANES[row.end] > _LANES[row.start] else -9
    start, end = _LANES[row.start] + inward, _LANES[row.end] - inward
    shaft = arrow(start, y, end, stroke, weight, dash)
    if row.style == "lost":
        shaft = line(start, y, end - 12, y, stroke, weight, dash) + cross(end - 4, y, VERMILLION)
    bold = row.style in ("exit", "direct")
    words = fit(row.words, right - left - 26, SMALL)
    return stamp + shaft + write(left + 20, y - 9, words, SMALL, bold=bold, halo=PAPER)


def _keys() -> list[tuple[str, str]]:
    return [
        (arrow(0, 9, 30, *_ARROWS[style]), words)
        for style, words in (
            ("exit", "VM exit"),
            ("entry", "VM entry"),
            ("direct", "access with no exit"),
            ("forwarded", "the VMM's access"),
        )
    ]


def _text(title: str, rows: Sequence[Step], more: int) -> str:
    """One line a row: time, who to whom, what."""
    lines = [title]
    for row in rows:
        route = row.start if row.start == row.end else f"{row.start} -> {row.end}"
        lines.append(f"{row.time:>10} ns  {route:<16}  {row.words}")
    if more:
        lines.append(f"{'':>10}     and {more} more events")
    return "\n".join(lines)
