"""A virtqueue in guest memory, to scale, and the numbers that tell a device of it.

    0x21000  [desc desc desc desc]        QUEUE_SELECT    0x0
    page     [desc desc desc desc]        QUEUE_ADDRESS   0x21
    0x21080  [avail |            ]        doorbell
             [ 61 rows: padding  ]
    0x22000  [used used used used]
    page     [us|                ]

The idea: memory is drawn in rows of equal length, low addresses first, each byte at its place. Rows
in which no part lies are folded into one, which says how many they are.

The rule that keeps it simple: a row is a power of two, at most a page, so a page begins with a row.
What the device says to the numbers comes from `hand_over`.

Source: virtio 1.3 2.7, 2.7.1 (alignment), 2.7.2, 2.8.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from virtlab.memory import PAGE
from virtlab.show.palette import (
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SKY_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import dots, hatch
from virtlab.show.svg import TOP, Picture, breadth, fit, line, picture, rect, write
from virtlab.show.vring_map import Part, parts_of
from virtlab.show.vring_setup import HandedOver, Step, hand_over, steps
from virtlab.show.vring_state import RAM, Vring
from virtlab.virtio.layouts import SPLIT_PARTS
from virtlab.virtio.packed_layouts import PACKED_PARTS

_LEFT, _WIDE, _PANEL = 168.0, 430.0, 640.0
_ROW, _FOLD, _STEP = 34.0, 26.0, 25.0
_MOST_ROWS = 6

_TINTS = {"driver": GREEN_TINT, "device": SKY_TINT, "both": YELLOW_TINT}
_ALIGNED = dict((*SPLIT_PARTS, *PACKED_PARTS))
_EVENT_ALIGNED = PACKED_PARTS[-1][1]
"""Each part's own alignment; the two of event suppression have one."""

BELL = "the first doorbell"
"""The step after those of the registers."""


class Row(NamedTuple):
    """`rows` of them from `start` on: one that is drawn, or a fold of rows without a part."""

    start: int
    rows: int
    folded: bool


def row_length(parts: tuple[Part, ...]) -> int:
    """Bytes of a row: as few as possible, with at most six rows that have something."""
    length = 64
    while length < PAGE and len(_taken(parts, length)) > _MOST_ROWS:
        length *= 2
    return length


def _taken(parts: tuple[Part, ...], length: int) -> set[int]:
    """The rows, by number, in which some part lies. A part longer than the picture is no set."""
    rows: set[int] = set()
    for part in parts:
        rows.update(range(part.gpa // length, (part.end - 1) // length + 1))
    return rows


def rows_of(parts: tuple[Part, ...], length: int) -> Iterator[Row]:
    """The rows from the first part to the last, those without any part folded."""
    numbers = sorted(_taken(parts, length))
    for at, number in enumerate(numbers):
        if at and (gap := number - numbers[at - 1] - 1):
            yield Row((numbers[at - 1] + 1) * length, gap, True)
        yield Row(number * length, 1, False)


# -- the picture


def vring_picture(vring: Vring, title: str = "") -> Picture:
    """Memory left, what the driver writes right, the device's answer below."""
    parts, came = parts_of(vring.rings), hand_over(vring)
    title = title or f"A queue of {vring.size}: {vring.layout}, over {vring.bus}"
    length = row_length(parts)
    head = f"guest memory, {length} bytes a row"
    drawn = [write(_LEFT, TOP + 8, head, SMALL, MUTED)]
    y = TOP + 20.0
    for row in rows_of(parts, length):
        drawn.append(_fold(y, row, length) if row.folded else _bytes(y, row.start, length, parts))
        y += _FOLD if row.folded else _ROW
    low = _register_panel(drawn, steps(vring), came, vring)
    y = max(y, low) + 22
    for part in parts:
        drawn.append(_key(y, part))
        y += 24
    drawn.append(_verdict(y, verdict(vring, came), came.ready and came.noticed is None))
    label = f"{title}: {'; '.join(f'{part.name} at {part.gpa:#x}' for part in parts)}"
    return picture(title, y + 50, drawn, _text(title, vring, parts, length, came), label)


def _bytes(y: float, start: int, length: int, parts: tuple[Part, ...]) -> str:
    """One row of memory, with what lies in it; a thick line where a page begins."""
    drawn = [rect(_LEFT, y, _WIDE, _ROW, WHITE, FAINT, 0, 1)]
    paged = start % PAGE == 0
    drawn.append(write(_LEFT - 12, y + (14 if paged else 21), f"{start:#x}", SMALL, INK, "end"))
    if paged:
        drawn.append(write(_LEFT - 12, y + 30, "a page begins", SMALL, MUTED, "end"))
        drawn.append(line(_LEFT - 6, y, _LEFT + _WIDE + 6, y, INK, 4))
    inside = [part for part in parts if part.gpa < start + length and part.end > start]
    for low, high in _gaps(parts, start, start + length):
        x, width = _x(low, start, length), (high - low) * _WIDE / length
        drawn.append(rect(x, y + 1, width, _ROW - 2, GREY_TINT, "none", 0))
        drawn.append(hatch(x, y + 1, width, _ROW - 2, FAINT, 10))
    drawn += [_piece(y, part, start, length) for part in inside]
    return "".join(drawn)


def _x(gpa: int, start: int, length: int) -> float:
    return _LEFT + (gpa - start) * _WIDE / length


def _gaps(parts: tuple[Part, ...], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The padding between two parts, as far as it lies in this row."""
    places = sorted(parts, key=lambda part: part.gpa)
    for before, after in pairwise(places):
        low, high = max(before.end, start), min(after.gpa, end)
        if low < high:
            yield low, high


def _piece(y: float, part: Part, start: int, length: int) -> str:
    """What of a part lies in one row, its name where it has room."""
    low, high = max(part.gpa, start), min(part.end, start + length)
    x, width = _x(low, start, length), max((high - low) * _WIDE / length, 2)
    missing = low >= RAM
    fill = VERMILLION_TINT if missing else _TINTS[part.writer]
    drawn = [rect(x, y + 3, width, _ROW - 6, fill, INK, 0, 1.5)]
    if part.register == "queue_driver":
        drawn.append(dots(x, y + 3, width, _ROW - 6, MUTED, 9))
    words = f"{part.name}, no memory" if missing else part.name
    if breadth(words, SMALL) < width - 8:
        drawn.append(write(x + 8, y + 22, words, SMALL, INK, halo=fill))
    return "".join(drawn)


def _fold(y: float, row: Row, length: int) -> str:
    count = "1 row" if row.rows == 1 else f"{row.rows} rows"
    words = f"{count}, {row.rows * length} bytes of padding"
    drawn = [rect(_LEFT, y, _WIDE, _FOLD, GREY_TINT, FAINT, 0, 1)]
    drawn.append(hatch(_LEFT, y, _WIDE, _FOLD, FAINT, 10))
    middle = _LEFT + _WIDE / 2
    return "".join(drawn) + write(middle, y + 18, words, SMALL, INK, "middle", halo=GREY_TINT)


def _key(y: float, part: Part) -> str:
    """A part by name, address, length and alignment."""
    swatch = rect(MARGIN, y - 12, 28, 16, _TINTS[part.writer], INK, 0, 1)
    if part.register == "queue_driver":
        swatch += dots(MARGIN, y - 12, 28, 16, MUTED, 7)
    align = _ALIGNED.get(part.name, _EVENT_ALIGNED)
    wrong = part.gpa % align != 0
    words = f"{part.length} bytes, {'not ' if wrong else ''}at a multiple of {align}"
    by = {"both": "both sides"}.get(part.writer, f"the {part.writer}")
    return (
        swatch
        + write(MARGIN + 40, y, part.name, SMALL, bold=True)
        + write(300, y, f"{part.gpa:#x}", SMALL, mono=True)
        + write(470, y, words, SMALL, INK if wrong else MUTED, bold=wrong)
        + write(WIDTH - MARGIN, y, f"written by {by}", SMALL, MUTED, "end")
    )


def _register_panel(drawn: list[str], made: list[Step], came: HandedOver, vring: Vring) -> float:
    """What the driver writes, one register a line; gives where the panel ends."""
    head = "what the driver writes"
    drawn.append(write(_PANEL, TOP + 8, head, SMALL, MUTED))
    y = TOP + 20.0
    lines = [(step.name, f"{step.value:#x}") for step in made] + [(BELL, "")]
    for number, (name, value) in enumerate(lines):
        here = number == came.noticed
        later = came.noticed is not None and number > came.noticed
        if here:
            drawn.append(
                rect(_PANEL - 8, y, WIDTH - MARGIN - _PANEL + 16, _STEP, VERMILLION_TINT, INK, 4, 2)
            )
        ink = MUTED if later else INK
        drawn.append(write(_PANEL, y + 17, name, SMALL, ink, bold=here, mono=bool(value)))
        drawn.append(write(WIDTH - MARGIN, y + 17, value, SMALL, ink, "end", here, True))
        y += _STEP
    if vring.fixed:
        drawn.append(write(_PANEL, y + 17, "The size is read, not written.", SMALL, MUTED))
        y += _STEP
    return y


def _verdict(y: float, words: str, good: bool) -> str:
    box = rect(MARGIN - 8, y - 4, WIDTH - 2 * MARGIN + 16, 36, GREEN_TINT, INK, 6, 2)
    if not good:
        box = rect(MARGIN - 8, y - 4, WIDTH - 2 * MARGIN + 16, 36, VERMILLION_TINT, INK, 6, 2.5)
    shown = fit(words, WIDTH - 2 * MARGIN, SMALL)
    return box + write(WIDTH / 2, y + 19, shown, SMALL, INK, "middle", True)


def verdict(vring: Vring, came: HandedOver) -> str:
    """What the device made of it, in one line."""
    if came.noticed is None:
        if came.ready:
            return "The queue is in use. The device looks for work where the numbers say."
        return "No objection, and no queue: page number 0 means that it is not in use."
    made = steps(vring)
    where = BELL if came.noticed == len(made) else made[came.noticed].name
    return f"{where}: {came.why}"


def _text(title: str, vring: Vring, parts: tuple[Part, ...], length: int, came: HandedOver) -> str:
    lines = [title, f"rows of {length} bytes"]
    for row in rows_of(parts, length):
        inside = [p.name for p in parts if p.gpa < row.start + length and p.end > row.start]
        page = "  a page begins" if row.start % PAGE == 0 and not row.folded else ""
        words = f"({row.rows} x {length} bytes of padding)" if row.folded else ", ".join(inside)
        lines.append(f"{row.start:>#14x}  {words}{page}")
    lines += [f"{part.name}: {part.length} bytes at {part.gpa:#x}" for part in parts]
    lines += [f"write {step.name} = {step.value:#x}" for step in steps(vring)]
    return "\n".join([*lines, verdict(vring, came)])
