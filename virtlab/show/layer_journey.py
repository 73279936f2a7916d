"""Where a VMM can stand in a guest's I/O, and the journey of one `write` through the place chosen.

      guest                     VMM                    device
    [ application      ]
        | SYSCALL        ->  a. [ shadow routines ]  ->  [      ]
    [ system calls     ]                                 [      ]
        | sectors                                        [ disk ]
    [ block driver     ] ->  b. [ I/O component   ]  ->  [      ]
        | registers                                      [      ]
    [ I/O operations   ] ->  c. [ device model    ]  ->  [      ]

The idea: the guest's layers stand on the left, and at each of three heights a way leaves to the
right. What the call passes is drawn full, what never runs is hatched. The numbers are those of a
run.

The rule that keeps it simple: a journey is a list of places (`layer_words.PATHS`), and every box
and arrow has its name there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from virtlab.show.layer_runs import Choice, Counts, Way
from virtlab.show.layer_words import LEVELS, NAMES, PATHS, cells, disk_copies, many
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import arrow, hatch
from virtlab.show.svg import Picture, element, line, picture, rect, write


class Box(NamedTuple):
    """A box: where it is, and its two lines."""

    x: float
    y: float
    width: float
    height: float
    tint: str
    name: str
    what: str

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """The height of its middle."""
        return self.y + self.height / 2


_GUEST, _VMM, _DISK = MARGIN + 0.0, 480.0, 800.0
_TOP, _TALL, _GAP = 96.0, 56.0, 36.0
_ROWS = [_TOP + n * (_TALL + _GAP) for n in range(4)]
_CUT = _ROWS[0] + _TALL + _GAP / 2
"""The height of the boundary below the application."""

BOXES = {
    "application": Box(_GUEST, _ROWS[0], 250, _TALL, GREEN_TINT, "application", "write(3, data)"),
    "kernel": Box(
        _GUEST, _ROWS[1], 250, _TALL, GREEN_TINT, "system calls, files", "the kernel: 1 copy"
    ),
    "driver": Box(_GUEST, _ROWS[2], 250, _TALL, GREEN_TINT, "block driver", "sector, count"),
    "io": Box(_GUEST, _ROWS[3], 250, _TALL, GREEN_TINT, "I/O operations", "IN, OUT, registers"),
    "a": Box(_VMM, _CUT - 28, 210, _TALL, ORANGE_TINT, "a. shadow routines", "know files"),
    "b": Box(_VMM, _ROWS[2], 210, _TALL, ORANGE_TINT, "b. I/O component", "knows sectors"),
    "c": Box(_VMM, _ROWS[3], 210, _TALL, ORANGE_TINT, "c. device model", "knows registers"),
    "disk": Box(_DISK, _CUT - 28, 112, _ROWS[3] + _TALL - _CUT + 28, SKY_TINT, "disk", "sectors"),
}
"""Everything that can be on a journey, by name."""

_DOWN = {"SYSCALL": 0, "call": 1, "access": 2}


def layer_journey(runs: Mapping[Way, Counts], choice: Choice, stage: int | None = None) -> Picture:
    """The places, with the counts of `runs`, by way; without any run, the places alone.

    With a `stage` it is the journey of `choice` as far as that place, which is lit; without, all
    of `runs` at once.
    """
    path = PATHS[choice.way]
    ways = (choice.way,) if stage is not None else tuple(runs)
    reached = {at for way in ways or PATHS for at in PATHS[way]}
    passed = reached if stage is None else set(path[:stage])
    current = path[stage] if stage is not None else ""
    unused = set(BOXES) - reached
    parts = [*_heads()]
    parts += [_box(name, passed, current, name in unused, ways) for name in BOXES]
    parts += [_down(name, row, passed, current) for name, row in _DOWN.items()]
    parts += _crossings(runs, passed, current, ways)
    height = _ROWS[3] + _TALL + 20
    if ways:
        parts += _table(height + 20, runs, ways)
        height += 30 * len(ways) + 40
    title = f"Write {choice.size} bytes: where does the VMM stand?"
    return picture(
        title,
        height,
        parts,
        _text(title, runs, ways, current),
        _label(title, runs, choice, current),
    )


def _label(title: str, runs: Mapping[Way, Counts], choice: Choice, current: str) -> str:
    """One place on a journey, or what each way cost."""
    if current:
        return f"{title} By {NAMES[choice.way]}, now at: {current}."
    found = [f"{NAMES[way]}: {many(counts.exits, 'exit')}" for way, counts in runs.items()]
    return f"{title} {'; '.join(found) or ', '.join(NAMES.values())}."


def _heads() -> list[str]:
    spots = (("guest", _GUEST + 125), ("VMM", _VMM + 105), ("device", _DISK + 56))
    return [write(x, _TOP - 12, words, SMALL, MUTED, "middle") for words, x in spots]


def _box(name: str, passed: set[str], current: str, unused: bool, ways: tuple[Way, ...]) -> str:
    box = BOXES[name]
    lit, seen = name == current, name in passed
    fill = YELLOW_TINT if lit else box.tint if seen else WHITE
    ink = INK if lit or seen else MUTED
    outline = ink if lit or seen else FAINT
    parts = [rect(box.x, box.y, box.width, box.height, fill, outline, weight=3 if lit else 1.5)]
    what = box.what
    if unused:
        parts.append(hatch(box.x, box.y, box.width, box.height))
        what = "never runs" if name in ("kernel", "driver", "io") else ""
    elif name == "driver" and ways == ("hypercall",):
        what = "para-virtual: knows the VMM"
    middle, y = box.x + box.width / 2, box.middle - (4 if what else -5)
    parts.append(write(middle, y, box.name, BODY, ink, "middle", bold=True, halo=fill))
    if what:
        parts.append(write(middle, y + 20, what, SMALL, MUTED, "middle", halo=fill))
    return "".join(parts)


def _down(name: str, row: int, passed: set[str], current: str) -> str:
    """An arrow from one layer of the guest to the next, and what goes along it.

    `SYSCALL` is executed also where the VMM takes it.
    """
    x, y, lit = _GUEST + 40.0, _ROWS[row] + _TALL, name == current
    ink, weight = (INK, 4 if lit else 2) if lit or name in passed else (FAINT, 2)
    said = {name, "a exits"} if name == "SYSCALL" else {name}
    bright = bool(said & (passed | {current}))
    head = element("path", d=f"M{x - 6:g} {y + _GAP - 10:g}h12l-6 9z", fill=ink)
    words = {"SYSCALL": "SYSCALL", "call": "sectors, data", "access": "registers"}[name]
    label = write(x + 16, y + 23, words, SMALL, INK if bright else MUTED, bold=lit)
    return line(x, y, x, y + _GAP - 9, ink, weight) + head + label


def _crossings(
    runs: Mapping[Way, Counts], passed: set[str], current: str, ways: tuple[Way, ...]
) -> list[str]:
    """The arrows from the guest to the VMM, and from there to the disk, with their counts."""
    parts = []
    for level in LEVELS:
        box, here = BOXES[level], [way for way in ways if level in PATHS[way]]
        for what, x1, x2 in (
            ("exits", _GUEST + 250, box.x),
            ("moves", box.right, _DISK),
        ):
            name = f"{level} {what}"
            lit, seen = name == current, name in passed
            ink = INK if lit or seen else FAINT
            dash = "" if lit or seen else "5 5"
            start = _GUEST + 128 if name == "a exits" else x1
            parts.append(arrow(start, box.middle, x2 - 2, ink, 4 if lit else 2, dash))
            if lit or seen:
                parts += _labels(name, (x1 + x2) / 2, box.middle, runs, here)
    return parts


def _labels(
    name: str, x: float, y: float, runs: Mapping[Way, Counts], here: list[Way]
) -> list[str]:
    """One count above the arrow; a second one below it."""
    parts = []
    for way, at in zip(here, (y - 8, y + 20), strict=False):
        words = _crossing(name, way, runs[way])
        if len(here) > 1 and name.endswith("exits"):
            words = f"{way.upper()}: {words}"
        parts.append(write(x, at, words, SMALL, INK, "middle", bold=True, halo=PAPER))
    return parts


def _crossing(name: str, way: Way, counts: Counts) -> str:
    """`2064 exits`, `8 copies`."""
    if name.endswith("exits"):
        return many(counts.exits, "exit")
    return many(disk_copies(way, counts), "copy", "copies")


_HEADS = ("exits", "world switches", "copies", "bytes copied", "about µs")
_COLUMNS = (330.0, 480.0, 590.0, 740.0, WIDTH - MARGIN - 8)


def _table(y: float, runs: Mapping[Way, Counts], ways: tuple[Way, ...]) -> list[str]:
    parts = [
        write(x, y, words, SMALL, MUTED, "end") for x, words in zip(_COLUMNS, _HEADS, strict=True)
    ]
    parts.append(line(MARGIN, y + 8, WIDTH - MARGIN, y + 8, FAINT))
    for row, way in enumerate(ways, 1):
        at = y + 28 * row
        parts.append(write(MARGIN + 4, at, NAMES[way], SMALL))
        for x, words in zip(_COLUMNS, cells(runs[way]), strict=True):
            parts.append(write(x, at, words, BODY, INK, "end", bold=True))
    return parts


def _text(title: str, runs: Mapping[Way, Counts], ways: tuple[Way, ...], current: str) -> str:
    lines = [title, " " * 24 + "".join(head.rjust(16) for head in _HEADS if runs)]
    for way in ways or PATHS:
        row = "".join(cell.rjust(16) for cell in cells(runs[way])) if runs else ""
        lines.append(f"{NAMES[way]:<24}{row}")
        lines.append("    " + " > ".join(at for at in PATHS[way]))
    if current:
        lines.append(f"now: {current}")
    return "\n".join(lines)
