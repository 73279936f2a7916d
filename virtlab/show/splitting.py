"""A long transfer, cut into packets: where the cuts fall, and who makes them.

The idea: the addresses run from left to right. The transfer is the upper bar; below it are the
packets that carry it, a row of requests and, for a read, a row of completions. The cuts come from
the functions that cut our own devices' transfers.

The rule that keeps it simple: `Split` holds all that is chosen. Everything else is computed of it.

Source: PCI Express 3.0, 2.2.2 and 2.2.7 (requests), 2.3.1.1 (completions), 7.8.4 (the two sizes).
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.pci.tlp import MAX_LENGTH, completions, split_reads, split_writes
from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.svg import TOP, Picture, breadth, caption, line, picture, rect, write

LONGEST = MAX_LENGTH
"""Bytes of a transfer here, at most."""

HEADER, FRAMING = 12, 8
"""Bytes of a header with a 32-bit address; bytes that a link adds to each packet: sequence number,
LCRC and framing (PCI Express 3.0, 3.6.2.2 and 4.2.1, at 2.5 GT/s)."""

SIZES = (128, 256, 512, 1024, 2048, 4096)
"""What Max_Payload_Size and Max_Read_Request_Size can be (7.8.4)."""

BOUNDARIES = (64, 128)
"""What the Read Completion Boundary can be (2.3.1.1)."""

Piece = tuple[int, int]
"""`(address, bytes)` of one packet's data."""


@dataclass(frozen=True, slots=True)
class Split:
    """`length` bytes from `address`, `write` or read, and the sizes that software has set."""

    write: bool = False
    address: int = 0x0F90
    length: int = 600
    payload: int = 128
    request: int = 512
    boundary: int = 64

    @property
    def requests(self) -> list[Piece]:
        """The packets that the device sends."""
        if self.write:
            return list(split_writes(self.address, self.length, self.payload))
        return list(split_reads(self.address, self.length, self.request))

    @property
    def answers(self) -> list[Piece]:
        """The completions that come back: none for a write."""
        if self.write:
            return []
        return [
            (at, n)
            for start, length in self.requests
            for at, n, _ in completions(start, length, self.payload, self.boundary)
        ]

    @property
    def packets(self) -> int:
        """Packets in all."""
        return len(self.requests) + len(self.answers)

    @property
    def overhead(self) -> int:
        """Bytes on the links that are not data: headers, and what each packet adds to them."""
        return self.packets * (HEADER + FRAMING)


def split_picture(asked: Split, title: str = "A transfer in packets") -> Picture:
    """The addresses of a transfer, and below them the packets."""
    scale = (WIDTH - 2 * MARGIN) / max(asked.length, 1)
    rows = [("the transfer", ORANGE_TINT, [(asked.address, asked.length)])]
    rows.append(("memory writes" if asked.write else "read requests", SKY_TINT, asked.requests))
    if not asked.write:
        rows.append(("completions", GREEN_TINT, asked.answers))
    parts, y = [caption(TOP + 2, _counts(asked))], TOP + 22.0
    top = y + 24
    for name, fill, pieces in rows:
        many = f": {len(pieces)}" if fill != ORANGE_TINT else ""
        parts.append(write(MARGIN, y + 16, f"{name}{many}", SMALL, MUTED))
        parts += [_piece(piece, asked.address, scale, y + 24, fill) for piece in pieces]
        y += 76
    parts += [_cut(page, asked, scale, top, y) for page in _pages(asked)]
    parts.append(_ends(asked, y))
    return picture(title, y + 36, parts, _text(asked), f"{title}: {_counts(asked)}")


def _piece(piece: Piece, base: int, scale: float, y: float, fill: str) -> str:
    x, width = MARGIN + (piece[0] - base) * scale, piece[1] * scale
    box = rect(x, y, width, 40, fill, INK, 0)
    words = str(piece[1])
    if breadth(words, SMALL) > width - 4:
        return box
    return box + write(x + width / 2, y + 25, words, SMALL, anchor="middle", mono=True)


def _pages(asked: Split) -> list[int]:
    """The multiples of 4 KiB inside the transfer."""
    first = (asked.address // MAX_LENGTH + 1) * MAX_LENGTH
    return list(range(first, asked.address + asked.length, MAX_LENGTH))


def _cut(page: int, asked: Split, scale: float, top: float, bottom: float) -> str:
    x = MARGIN + (page - asked.address) * scale
    words = f"{page:#x}: a 4 KiB boundary"
    left = x > WIDTH / 2
    return line(x, top - 20, x, bottom, BLUE, 3, "6 4") + write(
        x - 8 if left else x + 8, bottom + 2, words, SMALL, anchor="end" if left else "start"
    )


def _ends(asked: Split, y: float) -> str:
    last = asked.address + asked.length - 1
    rule = line(MARGIN, y + 8, WIDTH - MARGIN, y + 8, FAINT, 1.5)
    return (
        rule
        + write(MARGIN, y + 26, f"{asked.address:#x}", SMALL, mono=True)
        + write(WIDTH - MARGIN, y + 26, f"{last:#x}", SMALL, anchor="end", mono=True)
    )


def _counts(asked: Split) -> str:
    many = len(asked.requests)
    words = f"{many} request{'s' * (many != 1)}"
    if not asked.write:
        words += f", {len(asked.answers)} completion{'s' * (len(asked.answers) != 1)}"
    size = f"{asked.length} byte{'s' * (asked.length != 1)}"
    return f"{size}: {words}, {asked.overhead} bytes of overhead"


def _text(asked: Split) -> str:
    lines = [_counts(asked)]
    lines += [f"request     {at:#x}, {n} bytes" for at, n in asked.requests]
    lines += [f"completion  {at:#x}, {n} bytes" for at, n in asked.answers]
    return "\n".join(lines)


def explain(asked: Split) -> str:
    """Who cut where, and what it costs."""
    share = 100 * asked.overhead / (asked.overhead + asked.length)
    if asked.write:
        words = f"A write carries at most Max_Payload_Size, `{asked.payload}` bytes. "
    else:
        words = (
            f"A request asks for at most Max_Read_Request_Size, `{asked.request}` bytes. Each "
            f"completion carries at most `{asked.payload}`, and all but the last of a request end "
            f"at a multiple of `{asked.boundary}`. "
        )
    if _pages(asked):
        words += "No request crosses a 4 KiB boundary. "
    return f"{words}Headers and framing are {share:.0f} % of the bytes on the link."
