"""What goes on between two virtual machines, with the VMM in the middle, time downwards.

    VM A            VMM            VM B
     |----exit------>|              |
     |====copy======>|              |
     |               |----irq------>|
     |               |====copy=====>|

The idea: the two guests never touch each other. Everything between them is an arrow to the VMM and
another one away from it. A heavy arrow moves bytes.

It reads a trace's events by their `kind`: `exit`, `copy`, `irq`, `inject`, `fault`. The rest it
leaves out, the entries too: after each exit the guest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from virtlab.show.naming import Registers
from virtlab.show.palette import BLUE, INK, MARGIN, ORANGE_TINT, PAPER, SKY_TINT, SMALL, VERMILLION
from virtlab.show.shapes import arrow, legend
from virtlab.show.svg import TOP, Picture, fit, line, picture, rect, write
from virtlab.trace import Event

_LANES = (170.0, 470.0, 770.0)
_ROW = 40
_HEAD = 34


_WORDS: dict[str, Callable[[Event], str]] = {
    "exit": lambda event: event.note.partition(" (")[0],
    "copy": lambda event: f"copy, {event.size} bytes",
    "irq": lambda event: f"IRQ {event.value} rises",
    "inject": lambda event: f"inject {event.note}",
    "fault": lambda event: f"fault: {event.note}",
}
"""The kinds of event that are drawn, and what stands above their arrow."""


class Arrow(NamedTuple):
    """One event: from lane `start` to lane `end` (0 and 2 the VMs, 1 the VMM)."""

    start: int
    end: int
    words: str
    kind: str


def arrows(
    events: Sequence[Event], left: str, right: str, registers: Registers | None = None
) -> list[Arrow]:
    """The arrows of the events that concern these two VMs, in order.

    `registers` has, for a base, the declarations there: an exit is named by the register it meets.
    """
    names = {
        base + reg.offset: reg.name for base, regs in (registers or {}).items() for reg in regs
    }
    lanes, found = {left: 0, right: 2}, []
    for event in events:
        lane = lanes.get(event.who)
        if lane is None or event.kind not in _WORDS:
            continue
        away = event.kind in ("irq", "inject") or event.note.startswith("the VMM to")
        start, end = (1, lane) if away else (lane, 1)
        found.append(Arrow(start, end, _words(event, names), event.kind))
    return found


def _words(event: Event, names: Mapping[int, str]) -> str:
    """What stands above an arrow; an exit says where."""
    words = _WORDS[event.kind](event)
    if event.kind == "exit" and event.space:
        return f"{words}: {names.get(event.address, hex(event.address))}"
    return words


_STYLES = {
    "exit": (INK, 2.0, ""),
    "copy": (BLUE, 5.0, ""),
    "irq": (INK, 2.0, "7 4"),
    "inject": (INK, 2.0, "7 4"),
    "fault": (VERMILLION, 2.0, "2 4"),
}


def two_vms(
    events: Sequence[Event],
    left: str = "A",
    right: str = "B",
    registers: Registers | None = None,
    limit: int = 16,
    title: str = "Two machines and what is between them",
) -> Picture:
    """Draw the first `limit` arrows between VM `left` and VM `right`."""
    found = arrows(events, left, right, registers)
    drawn = found[: max(0, limit)]
    top = TOP + _HEAD
    end = top + len(drawn) * _ROW + 12
    parts = []
    for x, name, tint in zip(
        _LANES, (f"VM {left}", "VMM", f"VM {right}"), (SKY_TINT, ORANGE_TINT, SKY_TINT), strict=True
    ):
        parts.append(line(x, top, x, end, INK, 1.5))
        parts.append(rect(x - 70, TOP - 6, 140, _HEAD, tint))
        parts.append(write(x, TOP + 17, name, anchor="middle", bold=True))
    parts += [_drawn(each, top + (row + 1) * _ROW - 6) for row, each in enumerate(drawn)]
    if len(found) > len(drawn):
        parts.append(write(MARGIN, end + 20, f"and {len(found) - len(drawn)} more", SMALL))
        end += 24
    samples = [(kind, _sample(kind)) for kind in _STYLES]
    parts.append(legend(end + 30, [(sample, kind) for kind, sample in samples]))
    label = f"{title}: {len(found)} arrows"
    return picture(title, end + 50, parts, _text(title, drawn, (left, right)), label)


def _drawn(each: Arrow, y: float) -> str:
    stroke, weight, dash = _STYLES[each.kind]
    x1, x2 = _LANES[each.start], _LANES[each.end]
    middle, room = (x1 + x2) / 2, abs(x2 - x1) - 24
    words = write(middle, y - 9, fit(each.words, room, SMALL), SMALL, anchor="middle", halo=PAPER)
    return arrow(x1, y, x2, stroke, weight, dash) + words


def _sample(kind: str) -> str:
    stroke, weight, dash = _STYLES[kind]
    return line(0, 9, 30, 9, stroke, weight, dash)


def _text(title: str, drawn: Sequence[Arrow], names: tuple[str, str]) -> str:
    lanes = (f"VM {names[0]}", "VMM", f"VM {names[1]}")
    lines = [f"{lanes[each.start]:>5} -> {lanes[each.end]:<5} {each.words}" for each in drawn]
    return "\n".join([title, *lines])
