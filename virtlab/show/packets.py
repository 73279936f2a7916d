"""A packet's header, drawn bit by bit, and packets in a table.

The idea: a `Tlp` lays itself out in dwords, each with its declaration. A row here is a dword, 32
bits, high bit left, as the specification draws it. Each field stands over its bits with its name
and its value.

The rule that keeps it simple: bits that no field has are hatched. They are reserved, or of no
meaning in this kind of packet.

Source: PCI Express 3.0, 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtlab.pci.packets import Crossing
from virtlab.pci.tlp import Tlp, bdf_text
from virtlab.show.palette import (
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SKY_TINT,
    SMALL,
    YELLOW_TINT,
)
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, picture, rect, write
from virtlab.show.tables import Table
from virtlab.wire import Bits

SHOWN_DATA = 24
"""Bytes of data that the picture shows."""

_CELL, _BOX, _ROW = 27, 46, 72
_TINTS = (SKY_TINT, GREEN_TINT)
_ADDRESS = {"ADDRESS": Bits(31, 2)}

MEANINGS = {
    "LENGTH": "dwords of data that it is about",
    "TYPE": "with FMT: which kind of packet",
    "FMT": "3 or 4 dwords of header, data or none",
    "REQUESTER": "who asks: bus, device, function",
    "TAG": "the number of the question",
    "FIRST_BE": "which bytes of the first dword count",
    "LAST_BE": "which bytes of the last dword count; 0 where there is one dword",
    "ADDRESS": "where, in units of 4 bytes",
    "TARGET": "whose register: bus, device, function",
    "REGISTER": "which register, in units of 4 bytes",
    "COMPLETER": "who answers",
    "STATUS": "0: it went well; 1: unsupported request",
    "BYTE_COUNT": "bytes still to come, these included",
    "LOWER_ADDRESS": "where the first byte of the data belongs",
    "CODE": "which message",
}
"""The fields that say something about a request, in words."""

Dword = tuple[Mapping[str, Bits], int]


def dwords(tlp: Tlp) -> list[Dword]:
    """The header's dwords: the fields of each, and its value. Address bits are a field too."""
    found: list[Dword] = []
    for reg, word in tlp.words():
        if reg is not None:
            found.append((reg.fields, word))
        elif tlp.kind.startswith("Msg"):
            found.append(({}, word))
        else:
            high = tlp.wide and len(found) == 2
            found.append(({"ADDRESS_UPPER": Bits(31, 0)} if high else _ADDRESS, word))
    return found


def tlp_picture(tlp: Tlp, title: str = "") -> Picture:
    """The header of one packet, and the first bytes of its data."""
    heading = title or str(tlp)
    parts, y = [caption(TOP + 2, _about(tlp))], TOP + 24.0
    for bit in range(31, -1, -1):
        if bit % 8 in (7, 0):
            middle = MARGIN + (31 - bit + 0.5) * _CELL
            parts.append(write(middle, y + 8, str(bit), SMALL, MUTED, "middle"))
    y += 16
    for number, (fields, word) in enumerate(dwords(tlp)):
        parts.append(_dword(fields, word, y, number))
        y += _ROW
    if tlp.data:
        parts.append(_data(tlp.data, y))
        y += 44
    return picture(heading, y + 6, parts, tlp_text(tlp), f"Header of a packet: {tlp}")


def _about(tlp: Tlp) -> str:
    """Posted, non-posted or completion, and what that means."""
    size = f"{len(tlp.header())} bytes of header, {len(tlp.data)} bytes of data."
    if tlp.completion:
        return f"A completion: it answers a request. {size}"
    if tlp.posted:
        return f"Posted: it is sent and forgotten. {size}"
    return f"Non-posted: a completion must come back. {size}"


def _dword(fields: Mapping[str, Bits], word: int, y: float, number: int) -> str:
    parts = [rect(MARGIN, y, 32 * _CELL, _BOX, PAPER, INK, 0)]
    parts.append(hatch(MARGIN, y, 32 * _CELL, _BOX, gap=9))
    ordered = sorted(fields.items(), key=lambda item: -item[1].hi)
    for index, (name, bits) in enumerate(ordered):
        x, width = MARGIN + (31 - bits.hi) * _CELL, bits.width * _CELL
        parts.append(rect(x, y, width, _BOX, _TINTS[index % 2], INK, 0))
        middle = x + width / 2
        if breadth(name, SMALL) <= width - 4:
            parts.append(write(middle, y + 18, name, SMALL, MUTED, "middle"))
        value = value_of(name, bits, word)
        parts.append(write(middle, y + 38, value, anchor="middle", bold=True, mono=True))
    parts.append(
        write(MARGIN, y + _BOX + 17, f"bytes {4 * number} to {4 * number + 3}:", SMALL, MUTED)
    )
    raw = word.to_bytes(4, "big").hex(" ")
    parts.append(write(MARGIN + 120, y + _BOX + 17, raw, SMALL, MUTED, mono=True))
    return "".join(parts)


def value_of(name: str, bits: Bits, word: int) -> str:
    """A field's value as the specification writes it."""
    value = bits.get(word)
    if name in ("REQUESTER", "COMPLETER", "TARGET"):
        return bdf_text(value)
    if name in ("FMT", "TYPE", "FIRST_BE", "LAST_BE"):
        return f"{value:0{bits.width}b}"
    if name in ("ADDRESS", "REGISTER"):
        return f"{value << bits.lo:#x}"
    counts = name in ("LENGTH", "TAG", "BYTE_COUNT")
    return f"{value}" if counts or value < 10 else f"{value:#x}"


def _data(data: bytes, y: float) -> str:
    more = f" and {len(data) - SHOWN_DATA} more" if len(data) > SHOWN_DATA else ""
    shown_ = f"{data[:SHOWN_DATA].hex(' ')}{more}"
    width = 32 * _CELL
    box = rect(MARGIN, y, width, 32, YELLOW_TINT, INK, 0)
    words = fit(shown_, width - 80, SMALL, True)
    return (
        box
        + write(MARGIN + 10, y + 21, "data", SMALL, MUTED)
        + write(MARGIN + 66, y + 21, words, SMALL, mono=True)
    )


def tlp_text(tlp: Tlp) -> str:
    """The same in characters: a line for each field, and what it means."""
    lines = [f"{tlp}", _about(tlp)]
    for number, (fields, word) in enumerate(dwords(tlp)):
        lines.append(f"dword {number}: {word:08x}")
        for name, bits in sorted(fields.items(), key=lambda item: -item[1].hi):
            meaning = MEANINGS.get(name, "")
            words = f"  {bits!s:>5}  {name} = {value_of(name, bits, word)}"
            lines.append(f"{words}  {meaning}".rstrip())
    if tlp.data:
        lines.append(f"data: {tlp.data[:SHOWN_DATA].hex(' ')}")
    return "\n".join(lines)


# -- many packets


def packet_table(crossings: Sequence[Crossing], limit: int = 20, caption: str = "") -> Table:
    """The first `limit` packets that crossed a bus, one a row."""
    rows = tuple(
        (f"{number}", f"{each.bus:02x}", each.source, each.target, *_said(each.tlp))
        for number, each in enumerate(crossings[: max(0, limit)], 1)
    )
    total = len(crossings)
    many = f"{total} packet{'s' * (total != 1)} on a bus"
    words = caption or (many if total <= limit else f"the first {limit} of {many}")
    headers = ("#", "bus", "from", "to", "packet", "class", "says")
    return Table(words, headers, rows)


def word_for(tlp: Tlp) -> str:
    """Posted, non-posted, or completion."""
    return "posted" if tlp.posted else "completion" if tlp.completion else "non-posted"


def _said(tlp: Tlp) -> tuple[str, str, str]:
    """What a packet is, its class, and the rest of what it says of itself."""
    kind, _, rest = f"{tlp}".partition(" ")
    return kind, word_for(tlp), rest.removesuffix(f", {word_for(tlp)}")
