"""The course in one picture: one driver above one `Cpu`, and the worlds that can stand below it.

Each world is a column: what receives the driver's verbs first, and what they reach in the end. A
lesson fills in what its driver got there; the README shows the columns empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from virtlab.show.palette import (
    BODY,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.svg import Picture, element, fit, line, picture, rect, write

VERBS = ("inp", "out", "load", "store", "read", "write", "wait")


class World(NamedTuple):
    """One column: its name, and the boxes from the driver's side to the device's, with tints."""

    name: str
    boxes: tuple[tuple[str, str, str], ...]


WORLDS = (
    World(
        "bare machine",
        (
            ("BareCpu", "every verb goes straight on", GREY_TINT),
            ("the PC's buses", "ports and memory", SKY_TINT),
            ("the PC's devices", "UART, keyboard, timer", GREEN_TINT),
        ),
    ),
    World(
        "virtual machine",
        (
            ("VirtualCpu", "a bitmap and a table decide", PURPLE_TINT),
            ("an exit, then the VMM", "or no exit at all", ORANGE_TINT),
            ("virtual devices", "or the PC's own", GREEN_TINT),
        ),
    ),
    World(
        "QEMU",
        (
            ("QtestMachine", "each verb is a line of text", YELLOW_TINT),
            ("a socket", "to another program", SKY_TINT),
            ("QEMU's devices", "none of them ours", GREEN_TINT),
        ),
    ),
)

TOP, BOX, BAR, GAP = 66, 62, 46, 24


def worlds(found: Mapping[str, str] | None = None) -> Picture:
    """Draw the driver, the verbs and the worlds; `found` gives a world's name a line below it."""
    found = found or {}
    unknown = sorted(set(found) - {world.name for world in WORLDS})
    if unknown:
        raise ValueError(f"no world {unknown[0]!r}; there are {[world.name for world in WORLDS]}")
    parts = [_driver(), *_verbs(TOP + BOX + 14)]
    top = TOP + BOX + BAR + 70
    column = (WIDTH - 2 * MARGIN - 2 * GAP) / 3
    for i, world in enumerate(WORLDS):
        parts += _column(MARGIN + i * (column + GAP), top, column, world, found.get(world.name, ""))
    height = top + 3 * (BOX + 20) + (44 if found else 12)
    return picture("One driver, many worlds", height, parts, _text(found), _label(found))


def _driver() -> str:
    x, width = WIDTH / 2 - 190, 380
    return rect(x, TOP, width, BOX, WHITE, weight=2.5) + _two_lines(
        x, TOP, width, "a guest driver", "it knows these verbs, and no machine"
    )


def _verbs(y: float) -> list[str]:
    """The bar of verbs, the only way down."""
    width = WIDTH - 2 * MARGIN
    parts = [_down(WIDTH / 2, TOP + BOX, y + 12), rect(MARGIN, y + 12, width, BAR, INK, INK)]
    words = "     ".join(VERBS)
    return [*parts, write(WIDTH / 2, y + 41, words, fill=WHITE, anchor="middle", mono=True)]


def _column(x: float, y: float, width: float, world: World, found: str) -> list[str]:
    middle = x + width / 2
    name = write(middle, y - 16, world.name, anchor="middle", bold=True, halo=PAPER)
    parts = [_down(middle, y - 44, y + 4), name]
    for name, what, tint in world.boxes:
        parts += [rect(x, y + 4, width, BOX, tint), _two_lines(x, y + 4, width, name, what)]
        y += BOX + 20
    parts += [_down(middle, y - 16 - i * (BOX + 20), y + 4 - i * (BOX + 20)) for i in (1, 2)]
    if found:
        parts.append(write(middle, y + 14, fit(found, width, BODY), anchor="middle", bold=True))
    return parts


def _two_lines(x: float, y: float, width: float, first: str, second: str) -> str:
    middle = x + width / 2
    return write(middle, y + 27, first, anchor="middle", bold=True) + write(
        middle, y + 48, fit(second, width - 12, SMALL), SMALL, MUTED, "middle"
    )


def _down(x: float, y1: float, y2: float) -> str:
    head = element("path", d=f"M{x - 6:g} {y2 - 9:g}h12l-6 9z", fill=INK)
    return line(x, y1, x, y2 - 8, INK, 2) + head


def _text(found: Mapping[str, str]) -> str:
    rows = ["a guest driver", "  " + " ".join(VERBS)]
    for world in WORLDS:
        way = " -> ".join(name for name, _, _ in world.boxes)
        rows.append(f"    {world.name:<16}{way}")
        if world.name in found:
            rows.append(f"    {'':<16}{found[world.name]}")
    return "\n".join(rows)


def _label(found: Mapping[str, str]) -> str:
    got = "; ".join(f"{name}: {words}" for name, words in found.items())
    return f"One driver above seven verbs; below them three worlds. {got}".strip()
