"""One byte of guest memory and its four names: in the guest, in QEMU, in the file, in our array.

                    guest address   QEMU's address     in the file   in our array
    guest memory    0x0             0x7f602ffff000     0x0           0x0            512 MiB
    avail ring      0x10bdc800      0x7f6040bdc800     0x10bdc800    0x10bdc800

The idea: a region says that the same bytes are at a guest address, at an address of the front-end
and at a place of a file. The back-end adds where it has mapped them. All four names differ by
constants, and a ring, which comes by QEMU's address, is found by subtracting.

The rule that keeps it simple: nothing is known here but what the messages up to one have said.

Source: vhost-user.rst, "Memory region description", SET_VRING_ADDR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.show.maps import size_words
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    SKY_TINT,
    SMALL,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.real_messages import Piece, R, Sent, pieces
from virtlab.show.real_replay import Place
from virtlab.show.svg import element, fit, number, rect, write
from virtlab.virtio.vhost_user.layouts import VRING_ADDR

HEADS = ("guest address", "QEMU's address", "in the file", "in our array")
"""The four names of a byte."""

_NAME, _COLUMN, _ROW = 150.0, 165.0, 28.0
_BAR = 24.0
MOST = 4
"""Regions that are drawn; the text has all of them."""


class Shared(NamedTuple):
    """What the front-end has said of memory: its regions, and where ring 0 lies, part by part.

    `ring` are addresses of the front-end; empty before SET_VRING_ADDR.
    """

    pieces: tuple[Piece, ...]
    ring: tuple[tuple[str, int], ...] = ()


class Row(NamedTuple):
    """A byte with its four names, `-` for one that nobody knows yet, and what begins there."""

    name: str
    cells: tuple[str, str, str, str]
    size: str = ""


def shared(session: Sequence[Sent], index: int) -> Shared:
    """What is known of memory after message `index`."""
    known: list[Piece] = []
    ring: tuple[tuple[str, int], ...] = ()
    for one in session[: index + 1]:
        if not one.asks:
            continue
        named = pieces(one.message)
        if one.request == R.ADD_MEM_REG:
            known += named
        elif one.request == R.REM_MEM_REG:
            known = [each for each in known if each[:3] != named[0][:3]]
        elif one.request == R.SET_MEM_TABLE:
            known = named
        elif one.request == R.SET_VRING_ADDR:
            _, _, table, used, avail, _ = one.message.fields(VRING_ADDR)
            ring = (("descriptor table", table), ("avail ring", avail), ("used ring", used))
    return Shared(tuple(known), ring)


def rows(memory: Shared, places: Sequence[Place]) -> list[Row]:
    """Each region, then each part of the ring."""
    found = [
        Row("guest memory", _names(each.user, memory, places), size_words(each.size))
        for each in memory.pieces
    ]
    return found + [Row(name, _names(user, memory, places)) for name, user in memory.ring]


def _names(user: int, memory: Shared, places: Sequence[Place]) -> tuple[str, str, str, str]:
    """The four names of the byte that the front-end has at `user`."""
    for piece in memory.pieces:
        inside = user - piece.user
        if 0 <= inside < piece.size:
            gpa = piece.guest + inside
            return f"{gpa:#x}", f"{user:#x}", f"{piece.offset + inside:#x}", _ours(gpa, places)
    return "-", f"{user:#x}", "-", "-"


def _ours(gpa: int, places: Sequence[Place]) -> str:
    """Where the back-end has the byte at `gpa`."""
    for each in places:
        if each.guest <= gpa < each.guest + each.size:
            return f"{each.at + gpa - each.guest:#x}"
    return "-"


def memory_parts(y: float, memory: Shared, places: Sequence[Place]) -> tuple[list[str], float]:
    """The table drawn from `y` on, and where it ends."""
    parts = [write(MARGIN, y + 14, "The same bytes, by four names", BODY, bold=True)]
    for column, words in enumerate(HEADS):
        x = MARGIN + _NAME + column * _COLUMN
        parts.append(write(x + _COLUMN / 2, y + 36, words, SMALL, MUTED, "middle"))
    top = y + 44
    listed = rows(memory, places)
    many = len(memory.pieces)
    kept = listed[: min(many, MOST)] + listed[many:]
    if not kept:
        words = "nothing is shared yet: to the back-end, guest memory does not exist"
        parts.append(write(MARGIN + 10, top + 19, words, SMALL, MUTED))
        return parts, top + _ROW
    for number_, each in enumerate(kept):
        parts.append(_row(top + number_ * _ROW, each, number_ < many))
    top += len(kept) * _ROW
    if many == 1:
        parts.append(_region(top + 8, memory))
        top += 8 + _BAR + 22
    return parts, top


def _row(y: float, each: Row, whole: bool) -> str:
    parts = [write(MARGIN, y + 19, fit(each.name, _NAME - 6, SMALL), SMALL, bold=whole)]
    for column, words in enumerate(each.cells):
        x = MARGIN + _NAME + column * _COLUMN
        tint = (YELLOW_TINT, WHITE, GREEN_TINT, SKY_TINT)[column]
        parts.append(rect(x, y, _COLUMN, _ROW, tint, FAINT, 2, 1))
        shown = fit(words, _COLUMN - 6, SMALL, mono=True)
        parts.append(write(x + _COLUMN / 2, y + 19, shown, SMALL, INK, "middle", mono=True))
    parts.append(write(MARGIN + _NAME + 4 * _COLUMN + 12, y + 19, each.size, SMALL, MUTED))
    return "".join(parts)


def _region(y: float, memory: Shared) -> str:
    """The region as a bar, and where in it the ring lies."""
    (piece,) = memory.pieces
    left, wide = MARGIN + _NAME, 4 * _COLUMN
    parts = [
        rect(left, y, wide, _BAR, GREEN_TINT, INK, 3),
        write(MARGIN, y + 17, "the region", SMALL),
    ]
    parts.append(write(left + wide + 12, y + 17, size_words(piece.size), SMALL, MUTED))
    inside = [user - piece.user for _, user in memory.ring[:1]]
    for at in (each for each in inside if 0 <= each < piece.size):
        x = left + wide * at / piece.size
        parts.append(rect(x - 2, y - 3, 4, _BAR + 6, INK, "none", 0))
        tip = f"{number(x)},{number(y + _BAR + 5)} {number(x - 5)},{number(y + _BAR + 14)} "
        parts.append(element("polygon", points=tip + f"{number(x + 5)},{number(y + _BAR + 14)}"))
        after = x < WIDTH / 2
        place, anchor = (x + 10, "start") if after else (x - 10, "end")
        parts.append(write(place, y + _BAR + 16, "the ring", SMALL, INK, anchor))
    return "".join(parts)


def memory_text(memory: Shared, places: Sequence[Place]) -> list[str]:
    """The table in characters."""
    listed = rows(memory, places)
    if not listed:
        return ["nothing is shared yet"]
    lines = [f"{'':<18}" + "".join(f"{head:<18}" for head in HEADS).rstrip()]
    for each in listed:
        cells = "".join(f"{cell:<18}" for cell in each.cells)
        lines.append(f"{each.name:<18}{cells}{each.size}".rstrip())
    return lines
