"""Which address bits a device compares: the decode logic, drawn and counted.

The idea: an address decoder is a set of comparisons. Each looks at some address lines and ignores
the rest. `virtlab.bus.decoders` says which; here each comparison is one row of bits, high bit left.
A box with a digit is a line that is compared, a hatched box is one that does not matter.

The rule that keeps it simple: every row shows all address lines of its space, so that 16 lines of
the port space and 52 of memory can be seen beside each other.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.bus import Decoder, decoders
from virtlab.show.palette import INK, MARGIN, MUTED, PAPER, SKY_TINT, SMALL, WIDTH
from virtlab.show.shapes import hatch
from virtlab.show.svg import TOP, Picture, picture, rect, write

MOST_ROWS = 6
"""Comparisons drawn for one range; the rest are counted."""
_CELL = 26
_NIBBLE_GAP = 7


class Range(NamedTuple):
    """`length` addresses from `base`, in a space of `bits` address lines."""

    name: str
    base: int
    length: int
    bits: int = 16

    @property
    def comparisons(self) -> list[Decoder]:
        """The comparisons that recognize it."""
        return decoders(self.base, self.length, self.bits)

    @property
    def words(self) -> str:
        """What recognizing it takes: `uart · 0x3f8-0x3ff · 1 comparison, 13 of 16 lines`."""
        found = self.comparisons
        lines = "+".join(str(decoder.bits) for decoder in found[:4])
        lines += "+…" if len(found) > 4 else ""
        many = "comparison" if len(found) == 1 else "comparisons"
        span = f"{self.base:#x}-{self.base + self.length - 1:#x}"
        return f"{self.name} · {span} · {len(found)} {many}, {lines} of {self.bits} lines"


def decode_picture(*ranges: Range, title: str = "Which address lines are compared") -> Picture:
    """Each range with its comparisons, one below the other. `ValueError` for no range."""
    if not ranges:
        raise ValueError("give at least one Range to decode")
    parts, lines, y = [], [title], float(TOP)
    for each in ranges:
        found = each.comparisons
        y += 20
        parts.append(write(MARGIN, y, each.words, bold=True))
        lines.append(each.words)
        y += 14
        for decoder in found[:MOST_ROWS]:
            parts.append(_row(decoder, each.bits, y))
            lines.append("  " + _digits(decoder, each.bits))
            y += 60
        if len(found) > MOST_ROWS:
            more = f"and {len(found) - MOST_ROWS} more comparisons"
            parts.append(write(MARGIN, y + 12, more, SMALL, MUTED))
            lines.append(f"  {more}")
            y += 24
        y += 10
    parts.append(_key(y + 14))
    label = f"{title}: {'; '.join(each.words for each in ranges)}"
    return picture(title, y + 36, parts, "\n".join(lines), label)


def _row(decoder: Decoder, bits: int, y: float) -> str:
    """One comparison: a box a line, the hexadecimal digit below each four."""
    gaps = (bits - 1) // 4
    cell = min(_CELL, (WIDTH - 2 * MARGIN - gaps * _NIBBLE_GAP) / bits)
    parts, x = [], float(MARGIN)
    for bit in range(bits - 1, -1, -1):
        compared = decoder.mask >> bit & 1
        parts.append(rect(x, y, cell, 28, SKY_TINT if compared else PAPER, radius=0))
        if compared:
            digit = str(decoder.value >> bit & 1)
            parts.append(write(x + cell / 2, y + 20, digit, SMALL, anchor="middle", mono=True))
        else:
            parts.append(hatch(x, y, cell, 28, gap=7))
        x += cell
        if bit % 4 == 0:
            middle = x - cell * min(4, bits - bit) / 2
            digit = _hex_digit(decoder, bit)
            parts.append(write(middle, y + 46, digit, SMALL, MUTED, "middle", mono=True))
            x += _NIBBLE_GAP
    return "".join(parts)


def _hex_digit(decoder: Decoder, low: int) -> str:
    """The digit of four lines, `x` where none is compared, `8+` where only some are."""
    mask, value = decoder.mask >> low & 15, decoder.value >> low & 15
    if mask == 0:
        return "x"
    return f"{value:x}" if mask == 15 else f"{value:x}+"


def _digits(decoder: Decoder, bits: int) -> str:
    """A comparison in characters: `0000 0011 1111 1xxx`."""
    row = "".join(
        str(decoder.value >> bit & 1) if decoder.mask >> bit & 1 else "x"
        for bit in range(bits - 1, -1, -1)
    )
    first = bits % 4 or 4
    return " ".join([row[:first], *(row[i : i + 4] for i in range(first, bits, 4))])


def _key(y: float) -> str:
    compared = rect(MARGIN, y - 14, 20, 20, SKY_TINT, INK, 0)
    ignored = rect(MARGIN + 270, y - 14, 20, 20, PAPER, INK, 0)
    return (
        compared
        + write(MARGIN + 4 + 2, y + 1, "1", SMALL, mono=True)
        + write(MARGIN + 30, y + 1, "this address line is compared", SMALL, MUTED)
        + ignored
        + hatch(MARGIN + 270, y - 14, 20, 20, gap=7)
        + write(MARGIN + 300, y + 1, "any level will do", SMALL, MUTED)
    )
