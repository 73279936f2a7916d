"""The parts of which a ring is drawn: cells, owners, the two sides, and the signal between them.

    [ DRIVER ]     [ memory: tables and rings, low addresses on top ]     [ DEVICE ]

The idea: both layouts are drawn of the same parts, so that a reader who knows the one can read the
other. What a side keeps for itself stands in that side's box; what is in memory stands in memory.

The rules that keep it simple: an owner is a word, and its colour repeats it. What has changed since
the frame before is bold and has a thick edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.ring_look import Owner
from virtlab.show.shapes import arrow
from virtlab.show.svg import breadth, element, fit, line, number, rect, write
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE

LEFT, WIDE = 184.0, 572.0
"""Where memory is drawn, and its breadth; the driver is left of it, the device right."""

SIDE = 150.0
"""The breadth of a side's box."""

ROW = 28.0
"""The height of a row of cells."""

TINTS = {
    Owner.FREE: GREY_TINT,
    Owner.ADDED: YELLOW_TINT,
    Owner.EXPOSED: ORANGE_TINT,
    Owner.DEVICE: SKY_TINT,
    Owner.USED: GREEN_TINT,
}
"""The colour of each owner, beside its word."""

LIFE = "add: added · kick: exposed · pop: device · push: used · get: free"
"""What each call makes of a descriptor."""

Column = tuple[str, float]
"""The heading of a column, and its breadth."""


Drawn = tuple[bool, str]
"""Whether it is new, and its SVG."""


def cell(
    x: float, y: float, width: float, words: str, tint: str = WHITE, new: bool = False
) -> Drawn:
    """A field, in the middle of its box; thick and bold where it is `new`."""
    box = rect(x, y, width, ROW, tint, INK if new else FAINT, 2, 3 if new else 1)
    shown = fit(words, width - 2, SMALL, mono=True)
    return new, box + write(x + width / 2, y + 19, shown, SMALL, INK, "middle", new, True)


def stacked(cells: Iterable[Drawn]) -> str:
    """Cells of which the new ones lie on top, so that no neighbour cuts their edges."""
    return "".join(svg for _, svg in sorted(cells, key=lambda drawn: drawn[0]))


def cells(
    x: float, y: float, columns: Sequence[Column], words: Sequence[str], new: Sequence[bool]
) -> list[Drawn]:
    """One row of cells side by side."""
    parts = []
    for (_, width), shown, fresh in zip(columns, words, new, strict=True):
        parts.append(cell(x, y, width, shown, WHITE, fresh))
        x += width
    return parts


def headings(x: float, y: float, columns: Sequence[Column]) -> str:
    """The names of the columns, above them."""
    parts = []
    for name, width in columns:
        parts.append(write(x + width / 2, y, name, SMALL, MUTED, "middle"))
        x += width
    return "".join(parts)


def owner_tag(x: float, y: float, width: float, owner: Owner, new: bool) -> Drawn:
    """Whose a descriptor is, in a word."""
    return cell(x, y, width, owner.value, TINTS[owner], new)


def heading(y: float, words: str, writer: str) -> str:
    """The name of a part of memory, and who writes it."""
    return write(LEFT, y, words, BODY, bold=True) + write(
        LEFT + WIDE, y, f"written by {writer}", SMALL, MUTED, "end"
    )


def marker(x: float, y: float, words: str, new: bool, right: float = LEFT + WIDE) -> str:
    """A count that points up at a cell: a triangle at `x`, its name beside it."""
    triangle = f"{number(x)},{number(y)} {number(x - 6)},{number(y + 11)} {number(x + 6)},"
    head = element("polygon", points=triangle + number(y + 11), fill=INK)
    after = x + 12 + breadth(words, SMALL, mono=True) <= right
    place, anchor = (x + 12, "start") if after else (x - 12, "end")
    return head + write(place, y + 12, words, SMALL, INK, anchor, new, True)


def side(
    x: float, y: float, height: float, name: str, where: str, keeps: Mapping[str, str], call: str
) -> str:
    """A side's box: what it keeps for itself, and the `call` that it has made, if it was its."""
    parts = [rect(x, y, SIDE, height, YELLOW_TINT if call else WHITE, INK, 8, 3 if call else 1.5)]
    middle = x + SIDE / 2
    parts.append(write(middle, y + 24, name, BODY, bold=True, anchor="middle"))
    parts.append(write(middle, y + 42, where, SMALL, MUTED, "middle"))
    for number_, (what, value) in enumerate(keeps.items()):
        at = y + 70 + 20 * number_
        parts.append(write(x + 10, at, what, SMALL, mono=True))
        parts.append(write(x + SIDE - 10, at, value, SMALL, anchor="end", bold=True, mono=True))
    if call:
        shown = fit(f"{call}()", SIDE - 10, BODY, mono=True)
        parts.append(write(middle, y + height - 14, shown, BODY, INK, "middle", True, True))
    return "".join(parts)


DRIVERS = {"add": "add_buf", "kick": "kick", "get": "get_buf"}
DEVICES = {"pop": "pop", "push": "push"}
"""Whose each call is, and its name."""


def sides(
    y: float, height: float, driver: Mapping[str, str], device: Mapping[str, str], call: str
) -> str:
    """Both boxes, the driver's left and the device's right, and who made the `call`."""
    left, right = LEFT - SIDE - 14, LEFT + WIDE + 14
    ours = side(left, y, height, "DRIVER", "in the guest", driver, DRIVERS.get(call, ""))
    return ours + side(right, y, height, "DEVICE", "in the VMM", device, DEVICES.get(call, ""))


def traffic(y: float, left: str, right: str) -> str:
    """What the two sides do to a part of memory: `writes` or `reads`."""
    ends = (LEFT - 10, LEFT + WIDE + 10)
    far = (MARGIN + 6.0, WIDTH - MARGIN - 6.0)
    parts = []
    for end, out, words in zip(ends, far, (left, right), strict=True):
        start, stop = (out, end) if words == "writes" else (end, out)
        parts.append(arrow(start, y, stop, MUTED))
        parts.append(write((end + out) / 2, y - 8, words, SMALL, MUTED, "middle"))
    return "".join(parts)


def told(y: float, signal: str, refused: str) -> str:
    """The line below the memory: who told whom, or who refused what."""
    left, right = MARGIN + SIDE / 2, WIDTH - MARGIN - SIDE / 2
    if refused:
        box = rect(MARGIN - 8, y - 4, WIDTH - 2 * MARGIN + 16, 34, VERMILLION_TINT, INK, 6, 2.5)
        words = fit(refused, WIDTH - 2 * MARGIN, SMALL)
        return box + write(WIDTH / 2, y + 18, words, SMALL, anchor="middle", bold=True)
    if signal == "bell":
        words = "the bell: one register write, one exit"
        return _signal(left, right, y, words)
    if signal == "interrupt":
        return _signal(right, left, y, "the interrupt: used buffers are there")
    return write(WIDTH / 2, y + 18, "no signal", SMALL, MUTED, "middle")


def _signal(start: float, end: float, y: float, words: str) -> str:
    parts = [line(start, y - 6, start, y + 24, INK, 3), arrow(start, y + 24, end, INK, 3)]
    return "".join(parts) + write(WIDTH / 2, y + 15, words, SMALL, anchor="middle", bold=True)


def flag_words(flags: int, known: int = NEXT | WRITE | INDIRECT) -> str:
    """The three flags by name, `-` for none of them; the number where there are others.

    >>> flag_words(NEXT | WRITE), flag_words(0), flag_words(0x4000)
    ('NEXT WRITE', '-', '0x4000')
    """
    names = ((NEXT, "NEXT"), (WRITE, "WRITE"), (INDIRECT, "INDIRECT"))
    found = [name for bit, name in names if flags & bit]
    if flags & ~known or len(found) == len(names):
        return f"{flags:#06x}"
    return " ".join(found) or "-"


def readable(data: bytes) -> str:
    """Bytes as characters, a dot for what is none; `-` where there is no memory.

    >>> readable(b"read 0" + bytes(2))
    'read 0··'
    """
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in data) or "-"
