"""An address space, drawn: who answers where, and which of them were just asked.

The idea: low addresses on top, one band for each mapping and one for each gap between two. A PC's
spaces hold ranges of 1 byte and of petabytes, so a band's height grows with the *logarithm* of its
length, and every band says its first and last address.

The rules that keep it simple: a gap is a band like the others, because a guest can hit it too;
there nobody answers, and a read gives all ones. Hits come as addresses with counts, or as the
trace's own events. RAM, ROM and devices differ by word and pattern, not by colour alone. A map of
many bands is drawn tight: a line each, but for those that were hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from virtlab.bus import AddressSpace, Ram
from virtlab.show.naming import REFUSED
from virtlab.show.palette import (
    BLUE,
    GREEN,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE,
    PAPER,
    SKY_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import arrow, dots, hatch, legend
from virtlab.show.svg import TOP, Picture, breadth, fit, picture, rect, write
from virtlab.trace import Event

Hits = Mapping[int, int] | Iterable[Event]
"""Addresses with how often each was asked for, or events of a trace."""

_BOX = 280
_ADDRESS_ROOM = 165
_UNITS = ((50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"))
_MANY, _TIGHT = 20, 24
"""More bands than this make a tight map; pixels of a band in it."""
_ACCENTS = {"RAM": GREEN, "ROM": ORANGE, "device": BLUE}


class Band(NamedTuple):
    """One range of the map, from `base` to `last` inclusive, with the hits that it got."""

    base: int
    last: int
    name: str
    kind: str
    hits: tuple[tuple[int, int], ...] = ()
    refused: int = 0
    tight: bool = False

    @property
    def total(self) -> int:
        """Accesses that began in this band."""
        return sum(count for _, count in self.hits)

    @property
    def height(self) -> float:
        """Pixels: 46, and up to 36 more for the whole of 64 bits; less in a tight map."""
        if self.tight:
            return _TIGHT
        return 46 + round(36 * (self.last - self.base + 1).bit_length() / 64)


def bands(space: AddressSpace, hits: Hits = ()) -> list[Band]:
    """The mappings of `space` and the gaps between them, low addresses first."""
    counts, refused = _counted(space, hits)
    found, at = [], 0
    for mapping in space.mappings:
        if at < mapping.base:
            found.append(Band(at, mapping.base - 1, "", "gap"))
        kind = "device"
        if isinstance(mapping.device, Ram):
            kind = "RAM" if mapping.device.writable else "ROM"
        found.append(Band(mapping.base, mapping.end - 1, mapping.name, kind))
        at = mapping.end
    if at < 1 << space.bits:
        found.append(Band(at, (1 << space.bits) - 1, "", "gap"))
    return [_with_hits(band, counts, refused) for band in found]


def _counted(space: AddressSpace, hits: Hits) -> tuple[Counter[int], Counter[int]]:
    """How often each address was asked for, and how often nobody answered there."""
    if isinstance(hits, Mapping):
        return Counter(dict(hits)), Counter()
    kinds = (*space.verbs, *REFUSED)
    events = [event for event in hits if event.space == space.name and event.kind in kinds]
    lost = Counter(event.address for event in events if event.kind in REFUSED)
    return Counter(event.address for event in events), lost


def _with_hits(band: Band, counts: Counter[int], refused: Counter[int]) -> Band:
    inside = tuple(sorted(item for item in counts.items() if band.base <= item[0] <= band.last))
    return band._replace(hits=inside, refused=sum(refused[address] for address, _ in inside))


def address_map(space: AddressSpace, hits: Hits = (), title: str = "") -> Picture:
    """The map of `space`, the ranges that were hit lit up and counted."""
    found = bands(space, hits)
    if len(found) > _MANY:
        found = [band._replace(tight=not band.total and _on_a_line(band)) for band in found]
    heading = title or f"The {space.name} space, {space.bits} address bits"
    parts, y = [], float(TOP)
    for band in found:
        parts.append(_draw(band, y))
        y += band.height + (2 if band.tight else 6)
    parts.append(legend(y + 26, _keys()))
    lit = [band for band in found if band.total]
    label = f"{heading}: {len(space.mappings)} mappings, {len(lit)} of {len(found)} ranges hit"
    return picture(heading, y + 46, parts, _text(heading, found), label)


# -- one band


def _on_a_line(band: Band) -> bool:
    """Whether first and last address have room side by side."""
    return breadth(f"{band.base:#x}-{band.last:#x}", SMALL, True) < _ADDRESS_ROOM


def _draw(band: Band, y: float) -> str:
    lit, height = band.total > 0, band.height
    fill = {"gap": PAPER, "device": SKY_TINT}.get(band.kind, WHITE)
    if lit:
        fill = VERMILLION_TINT if band.refused == band.total else YELLOW_TINT
    parts = [rect(_BOX, y, WIDTH - MARGIN - _BOX, height, fill, stroke="none")]
    parts.append(_pattern(band, y))
    if band.kind in _ACCENTS:
        parts.append(rect(_BOX, y, 9, height, _ACCENTS[band.kind], "none", 2))
    outline = rect(
        _BOX,
        y,
        WIDTH - MARGIN - _BOX,
        height,
        fill="none",
        stroke=INK if lit or band.kind != "gap" else MUTED,
        weight=4 if lit else 1.5,
        dash="5 4" if band.kind == "gap" and not lit else "",
    )
    parts += [outline, _labels(band, y, fill)]
    if lit:
        parts.append(_badge(band, y + height / 2))
    return "".join(parts)


def _pattern(band: Band, y: float) -> str:
    """Gaps are hatched and ROM is dotted, on the right of the words."""
    x, width = _BOX + 12.0, WIDTH - MARGIN - _BOX - 14.0
    if band.kind == "gap":
        return hatch(x, y + 2, width, band.height - 4, gap=14)
    return dots(x, y + 2, width, band.height - 4) if band.kind == "ROM" else ""


def _labels(band: Band, y: float, halo: str) -> str:
    middle, left = y + band.height / 2, _BOX + 22
    name_at = left + _ADDRESS_ROOM
    right = f"{band.kind}, {size_words(band.last - band.base + 1)}"
    if band.kind == "gap":
        right = size_words(band.last - band.base + 1)
    room = WIDTH - MARGIN - 16 - name_at - breadth(right, SMALL) - 16
    name = fit(band.name or "nobody answers: all ones", room)
    first, last = f"{band.base:#x}", f"{band.last:#x}"
    spans = [(middle - 5, first), (middle + 15, last)]
    if band.tight or band.base == band.last:
        spans = [(middle + 5, first if band.base == band.last else f"{first}-{last}")]
    return "".join(
        [
            *(write(left, at, span, SMALL, mono=True, halo=halo) for at, span in spans),
            write(name_at, middle + 6, name, bold=band.kind != "gap", halo=halo),
            write(WIDTH - MARGIN - 16, middle + 5, right, SMALL, MUTED, "end", halo=halo),
        ]
    )


def _badge(band: Band, y: float) -> str:
    """How often the band was hit and at which addresses, with an arrow into it."""
    words = _badge_words(band)
    width = breadth(words, SMALL) + 20
    where = ", ".join(f"{address:#x}" for address, _ in band.hits)
    return "".join(
        [
            rect(MARGIN, y - 21, width, 25, BLUE, INK, 12),
            write(MARGIN + width / 2, y - 4, words, SMALL, WHITE, "middle", bold=True),
            write(MARGIN + 4, y + 19, fit(where, 196, SMALL, True), SMALL, mono=True),
            arrow(MARGIN + 208, y, _BOX - 5, weight=3),
        ]
    )


def _badge_words(band: Band) -> str:
    if band.refused == band.total:
        return f"{band.total} refused"
    if band.refused:
        return f"{band.total} hits, {band.refused} refused"
    return f"{band.total} hit{'s' * (band.total != 1)}"


def _keys() -> list[tuple[str, str]]:
    """What the patterns mean."""
    device = rect(0, 0, 22, 18, SKY_TINT) + rect(0, 0, 7, 18, BLUE, "none", 2)
    ram = rect(0, 0, 22, 18, WHITE) + rect(0, 0, 7, 18, GREEN, "none", 2)
    rom = rect(0, 0, 22, 18, WHITE) + dots(8, 2, 14, 16, MUTED, 7) + rect(0, 0, 7, 18, ORANGE)
    gap = rect(0, 0, 22, 18, GREY_TINT, MUTED, dash="4 3") + hatch(0, 0, 22, 18, MUTED, 7)
    return [(device, "device"), (ram, "RAM"), (rom, "ROM"), (gap, "gap: nobody answers")]


# -- words


def size_words(length: int) -> str:
    """A length in words: exact where the number is short, else rounded to a larger unit.

    >>> size_words(0xA0000), size_words(8), size_words(2**52 - 0xFED00400)
    ('640 KiB', '8 bytes', 'about 4 PiB')
    """
    for shift, unit in _UNITS:
        whole = length >> shift
        if whole and not length & ((1 << shift) - 1) and whole < 10_000:
            return f"{whole} {unit}"
    if length < 10_000:
        return f"{length} byte{'s' * (length != 1)}"
    shift, unit = next(each for each in _UNITS if 2 * length >> each[0])
    return f"about {round(length / (1 << shift))} {unit}"


def _text(heading: str, found: list[Band]) -> str:
    spans = [f"{band.base:#x}-{band.last:#x}" for band in found]
    width = max(map(len, spans))
    lines = [heading]
    for span, band in zip(spans, found, strict=True):
        who = f"{band.name} ({band.kind})" if band.kind != "gap" else "nobody answers"
        hits = ", ".join(f"{address:#x} x{count}" for address, count in band.hits)
        refused = f", {band.refused} refused" if band.refused else ""
        marks = f"  <- {band.total} hit{'s' * (band.total != 1)}{refused}: {hits}"
        lines.append(f"{span.ljust(width)}  {who}{marks if band.total else ''}")
    return "\n".join(lines)
