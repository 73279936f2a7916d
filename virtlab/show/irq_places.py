"""Where the places of an interrupt's way stand, and the arrows between them.

    device  -->  VT-d unit  -->  entry  -->  host's local APIC
                                   |     +-------^  |
    guest  <--  guest's APIC <-- descriptor        VMM

The rule that keeps it simple: a place is a cell of two rows and four columns. An arrow is a few
straight pieces from one cell to another, and is looked up by the two places that it connects.
"""

from __future__ import annotations

from itertools import pairwise

from virtlab.show.irq_run import Place
from virtlab.show.palette import FAINT, INK, MARGIN
from virtlab.show.svg import TOP, element, line, number

WIDE, HIGH = 192.0, 124.0
"""Of a cell, in pixels."""

_GAP = 38.0
_UPPER, _LOWER = TOP + 26.0, TOP + 218.0
BOTTOM = _LOWER + HIGH
BETWEEN = (_UPPER + HIGH + _LOWER) / 2
"""The end of the lower row, and the line between the rows."""

_ROWS: tuple[tuple[float, tuple[Place, ...]], ...] = (
    (_UPPER, ("device", "unit", "entry", "host")),
    (_LOWER, ("guest", "apic", "descriptor", "vmm")),
)
CELLS: dict[Place, tuple[float, float]] = {
    name: (MARGIN + column * (WIDE + _GAP), top)
    for top, names in _ROWS
    for column, name in enumerate(names)
}
"""Left and top of each place."""

_Way = tuple[tuple[float, float], ...]


def middle(place: Place) -> tuple[float, float]:
    """The centre of a place."""
    x, y = CELLS[place]
    return x + WIDE / 2, y + HIGH / 2


def _beside(start: Place, end: Place) -> _Way:
    """Between neighbours of a row."""
    (x1, y), (x2, _) = middle(start), middle(end)
    half = WIDE / 2 if x2 > x1 else -WIDE / 2
    return (x1 + half, y), (x2 - half, y)


def _down(start: Place, end: Place) -> _Way:
    x, y = middle(start)
    return (x, y + HIGH / 2), (x, CELLS[end][1])


def _around(start: Place, end: Place, lane: float) -> _Way:
    """Past a place that is not on the way, along the line `lane`."""
    (x1, y1), (x2, y2) = middle(start), middle(end)
    edge = HIGH / 2 if lane > y1 else -HIGH / 2
    return (x1, y1 + edge), (x1, lane), (x2, lane), (x2, y2 + edge)


def _notice() -> _Way:
    """From the descriptor up to the host's APIC, between the columns."""
    right, low, high = CELLS["host"][0], middle("descriptor")[1], middle("host")[1] + 34
    lane = right - _GAP / 2
    return (right - _GAP, low), (lane, low), (lane, high), (right, high)


WAYS: dict[tuple[Place, Place], _Way] = {
    ("device", "unit"): _beside("device", "unit"),
    ("unit", "entry"): _beside("unit", "entry"),
    ("entry", "host"): _beside("entry", "host"),
    ("unit", "host"): _around("unit", "host", _UPPER - 16),
    ("entry", "descriptor"): _down("entry", "descriptor"),
    ("descriptor", "host"): _notice(),
    ("host", "vmm"): _down("host", "vmm"),
    ("vmm", "apic"): _around("vmm", "apic", BOTTOM + 16),
    ("descriptor", "apic"): _beside("descriptor", "apic"),
    ("apic", "guest"): _beside("apic", "guest"),
}
"""How one place is reached from another."""


def arrow_between(key: tuple[Place, Place], gone: bool) -> str:
    """An arrow of `WAYS`: heavy where the interrupt went, else faint."""
    points, colour, weight = WAYS[key], INK if gone else FAINT, 3.0 if gone else 1.5
    pieces = [line(*start, *end, colour, weight) for start, end in pairwise(points)]
    (x1, y1), (x2, y2) = points[-2:]
    turn = 0 if x2 > x1 else 180 if x2 < x1 else 90 if y2 > y1 else 270
    where = f"translate({number(x2)} {number(y2)}) rotate({turn})"
    return "".join(pieces) + element("path", d="M0 0L-12 -7L-12 7Z", fill=colour, transform=where)
