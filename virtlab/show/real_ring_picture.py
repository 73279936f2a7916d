"""A ring of any size at one moment, small enough for a page and large enough for a projector.

    descriptors       [ 0 ][ 1 ][ 2 ] ...        thick: the device's; dashed: exposed
    available ring    |   |   |   |   |          used.idx, last_avail, avail.idx below it
    latest chains     head 2   the device's   write 8 sectors at 2048   16 r · 4096 r · 1 w

The idea: Linux asks for 128 descriptors or more, and nobody reads 128 rows. So whose they are is a
grid, how far each side is are marks on a strip, and only the latest chains are taken apart.

The rule that keeps it simple: an owner is an edge as well as a colour. What is not as in the look
before is bold.

Source: virtio 1.3 2.7, 2.8.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.hosts.tape_moments import Counts
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
)
from virtlab.show.real_chain import LATEST, Chain, Look, Owner
from virtlab.show.svg import TOP, Picture, breadth, element, fit, number, picture, rect, write

TINTS = {Owner.DRIVER: GREY_TINT, Owner.EXPOSED: ORANGE_TINT, Owner.DEVICE: SKY_TINT}
EDGES = {
    Owner.DRIVER: (FAINT, 1.0, ""),
    Owner.EXPOSED: (INK, 2.0, "4 3"),
    Owner.DEVICE: (INK, 3.0, ""),
}
"""How an owner is drawn: its colour, and the colour, weight and dashes of its edge."""

_WIDE = WIDTH - 2 * MARGIN
_ROW = 26.0
_COLUMNS = (70.0, 60.0, 120.0, 250.0)
"""The breadths of position, head, owner and request; the pieces have the rest."""


def columns_of(size: int) -> int:
    """How many descriptors stand in a row: at most 32, and not more than eight rows for 256."""
    return min(size, 8 if size <= 16 else 16 if size <= 64 else 32)


def ring_picture(
    look: Look,
    title: str = "Ring 0",
    before: Look | None = None,
    rates: Sequence[tuple[str, Counts]] = (),
) -> Picture:
    """The ring as `look` has it. What is not as in `before` is bold; `rates` are counts by name."""
    old = before or look
    parts, y = _grid(TOP, look, old)
    drawn, y = _strip(y + 20, look, old)
    parts += drawn
    drawn, y = _chains(y + 22, look.chains)
    parts += drawn
    if rates:
        parts += _rates(y + 22, rates)
        y += 44 + _ROW * len(rates)
    label = f"{title}. {in_words(look)}"
    text = [*_text(look, title), *(f"{name}: {price(counts)}" for name, counts in rates)]
    return picture(title, y + 14, parts, "\n".join(text), label)


def price(counts: Counts) -> str:
    """Counts in words: what was asked for, and what it cost.

    >>> price(Counts(requests=10, kicks=4, calls=3, batches=5))
    '10 requests in 5 batches, 4 kicks and 3 calls: 13 of 20 notifications saved'
    """
    return (
        f"{counts.requests} request{'s' * (counts.requests != 1)} in {counts.batches} "
        f"batch{'es' * (counts.batches != 1)}, {counts.kicks} kicks and {counts.calls} calls: "
        f"{saved(counts)} of {2 * counts.requests} notifications saved"
    )


def saved(counts: Counts) -> int:
    """Notifications that were not needed; never less than none."""
    return max(0, 2 * counts.requests - counts.kicks - counts.calls)


def in_words(look: Look) -> str:
    """Whose the descriptors are, and how far both sides."""
    many = {owner: look.owners.count(owner) for owner in Owner}
    having = ", ".join(f"{count} {owner.value}" for owner, count in many.items())
    return (
        f"Of {look.size} descriptors: {having}. Made available {look.added}, "
        f"taken {look.last_avail}, given back {look.used}"
    )


# -- whose the descriptors are


def _grid(y: float, look: Look, old: Look) -> tuple[list[str], float]:
    many = columns_of(look.size)
    wide = _WIDE / many
    tall = 26.0 if many == 32 else 32.0
    kind = "descriptor ring" if look.packed else "descriptor table"
    parts = [write(MARGIN, y + 4, f"{kind}: {look.size}", BODY, INK, bold=True)]
    parts.append(_legend(y + 4))
    top = y + 16
    plain, edged = list[str](), list[str]()
    for slot, owner in enumerate(look.owners):
        x, row = MARGIN + (slot % many) * wide, top + (slot // many) * tall
        stroke, weight, dash = EDGES[owner]
        fresh = slot < len(old.owners) and owner is not old.owners[slot]
        box = rect(x + 1.5, row + 1.5, wide - 3, tall - 3, TINTS[owner], stroke, 3, weight, dash)
        name = write(x + wide / 2, row + tall / 2 + 5, f"{slot}", SMALL, INK, "middle", fresh)
        (plain if owner is Owner.DRIVER else edged).append(box + name)
    rows = -(-look.size // many)
    return [*parts, *plain, *edged], top + rows * tall


def _legend(y: float) -> str:
    """The owners by colour and edge, at the right."""
    parts, x = [], WIDTH - MARGIN - 420.0
    for owner in Owner:
        stroke, weight, dash = EDGES[owner]
        parts.append(rect(x, y - 13, 30, 17, TINTS[owner], stroke, 3, weight, dash))
        parts.append(write(x + 38, y, owner.value, SMALL, MUTED))
        x += 38 + breadth(owner.value, SMALL) + 16
    return "".join(parts)


# -- how far both sides are


def _strip(y: float, look: Look, old: Look) -> tuple[list[str], float]:
    """One lap of the ring, and the three counts below the entries that they point to."""
    name = "positions" if look.packed else "entries of available and used ring"
    parts = [write(MARGIN, y + 4, f"one lap of {look.size} {name}", BODY, INK, bold=True)]
    wide, top = _WIDE / look.size, y + 16
    for entry in range(look.size):
        x = MARGIN + entry * wide
        parts.append(
            rect(x, top, wide, 22, _of_entry(entry, look), FAINT, 0, 1 if wide > 8 else 0.5)
        )
    counts = (
        ("driver: available", look.added, old.added),
        ("device: taken", look.last_avail, old.last_avail),
        ("device: given back", look.used, old.used),
    )
    for row, (words, count, was) in enumerate(counts):
        x = MARGIN + (count % look.size + 0.5) * wide
        parts.append(_mark(x, top + 26 + 19 * row, f"{words} {count}", count != was))
    wishes = f"driver wants to hear of {look.wish}; device wants to hear of {look.ask}"
    parts.append(write(MARGIN, top + 26 + 3 * 19 + 18, wishes, SMALL, MUTED))
    return parts, top + 26 + 3 * 19 + 22


def _of_entry(entry: int, look: Look) -> str:
    """The colour of an entry: that of the chain which it is for, if it is for one."""
    for owner, start, end in (
        (Owner.DEVICE, look.used, look.last_avail),
        (Owner.EXPOSED, look.last_avail, look.added),
    ):
        if (entry - start) % look.size < end - start:
            return TINTS[owner]
    return WHITE


def _mark(x: float, y: float, words: str, new: bool) -> str:
    """A triangle that points up at an entry, and the name of the count beside it."""
    points = (
        f"{number(x)},{number(y)} {number(x - 6)},{number(y + 11)} {number(x + 6)},{number(y + 11)}"
    )
    left = x > WIDTH * 0.6
    place, anchor = (x - 12, "end") if left else (x + 12, "start")
    head = element("polygon", points=points, fill=INK)
    return head + write(place, y + 12, words, SMALL, INK, anchor, new, True)


# -- the latest chains


def _chains(y: float, chains: Sequence[Chain]) -> tuple[list[str], float]:
    parts = [write(MARGIN, y + 4, "the latest chains, taken apart", BODY, INK, bold=True)]
    heads = (
        "entry",
        "head",
        "whose it is",
        "what it asks for",
        "its pieces: r for the device to read, w to write",
    )
    x = MARGIN + 0.0
    for words, wide in zip(heads, (*_COLUMNS, 0), strict=True):
        parts.append(write(x + 4, y + 26, words, SMALL, MUTED))
        x += wide
    top = y + 34
    for n, chain in enumerate(chains[-LATEST:]):
        parts.append(_chain(top + n * _ROW, chain))
    if not chains:
        parts.append(write(MARGIN + 4, top + 18, "none yet", SMALL, MUTED))
    return parts, top + LATEST * _ROW


def _chain(y: float, chain: Chain) -> str:
    stroke, weight, dash = EDGES[chain.owner]
    parts = [rect(MARGIN, y, _WIDE, _ROW - 3, TINTS[chain.owner], stroke, 3, weight, dash)]
    table = "table: " if chain.indirect else ""
    words = (f"{chain.position}", f"{chain.head}", chain.owner.value, chain.words)
    x = MARGIN + 4.0
    for shown, wide in zip(words, _COLUMNS, strict=True):
        parts.append(write(x, y + 17, fit(shown, wide - 8, SMALL), SMALL))
        x += wide
    room = WIDTH - MARGIN - x - 6
    parts.append(write(x, y + 17, fit(f"{table}{chain.buffers}", room, SMALL), SMALL))
    return "".join(parts)


# -- what it costs


def _rates(y: float, rates: Sequence[tuple[str, Counts]]) -> list[str]:
    """A row for each, in columns."""
    heads = ("", "requests", "batches", "kicks", "calls", "notifications saved")
    wide = (200.0, 110.0, 110.0, 110.0, 110.0, 240.0)
    rows: list[tuple[str, ...]] = [heads]
    for name, each in rates:
        spared = f"{saved(each)} of {2 * each.requests}"
        rows.append(
            (name, *map(str, (each.requests, each.batches, each.kicks, each.calls)), spared)
        )
    parts = []
    for n, cells in enumerate(rows):
        x = MARGIN + 0.0
        for column, (words, room) in enumerate(zip(cells, wide, strict=True)):
            place, anchor = (x + 4, "start") if not column else (x + room - 12, "end")
            fill, size = (MUTED, SMALL) if not n or not column else (INK, BODY)
            parts.append(
                write(place, y + 4 + n * _ROW, words, size, fill, anchor, bool(n and column))
            )
            x += room
    return parts


def _text(look: Look, title: str) -> list[str]:
    signs = {Owner.DRIVER: ".", Owner.EXPOSED: "e", Owner.DEVICE: "D"}
    many = columns_of(look.size)
    row = "".join(signs[owner] for owner in look.owners)
    lines = [title, *(row[at : at + many] for at in range(0, look.size, many))]
    lines.append(". the driver's   e exposed   D the device's")
    lines.append(f"available {look.added}  taken {look.last_avail}  given back {look.used}")
    lines.append(f"driver wants to hear of {look.wish}; device wants to hear of {look.ask}")
    for chain in look.chains[-LATEST:]:
        table = "table: " if chain.indirect else ""
        lines.append(
            f"  {chain.position:>5}  head {chain.head:<4} {chain.owner.value:<13} "
            f"{chain.words:<26} {table}{chain.buffers}"
        )
    return lines
