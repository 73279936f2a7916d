"""Configuration space in bytes, each of which explains itself.

The idea: the upper picture is 256 bytes as a dump prints them, tinted by the structure that they
belong to. One register is chosen. The lower picture is that register with its fields, drawn from
the declaration that our own functions answer with. So a dump of the reader's machine and a board of
ours are looked at in the same way.

The rule that keeps it simple: bytes in no structure stay white. Nothing is guessed about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.pci.config import BAR_FIELDS, Header
from virtlab.pci.decode import DecodedFunction
from virtlab.pci.fields import Register
from virtlab.pci.names import class_name, device_name, vendor_name
from virtlab.registers import Reg
from virtlab.show.naming import field_words
from virtlab.show.palette import (
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    WIDTH,
)
from virtlab.show.svg import TOP, Picture, caption, fit, picture, rect, write

PAGE = 256
"""Bytes shown at once."""

_ROW, _CELL, _LEFT = 26, 28, MARGIN + 44
_NAMES = _LEFT + 16 * _CELL + 24
_TINTS = (SKY_TINT, GREEN_TINT, ORANGE_TINT, PURPLE_TINT)


class Place(NamedTuple):
    """A register where it stands, and the structure that it belongs to: its name, its number."""

    register: Register
    structure: str
    number: int

    @property
    def span(self) -> range:
        """Its bytes."""
        return range(self.register.offset, self.register.offset + self.register.declared.width)


def places(function: DecodedFunction) -> list[Place]:
    """Every declared register of a function, by offset.

    Where the next structure begins, the one before it has ended: an older version is shorter.
    """
    parts = [(f"header, type {function.header_type}", 0, function.header)]
    listed = (*function.capabilities, *function.extended)
    parts += [(each.name, each.offset, each.registers) for each in listed]
    starts = sorted({start for _, start, _ in parts})
    found = []
    for number, (name, start, registers) in enumerate(parts):
        end = next((each for each in starts if each > start), len(function.source.data))
        own = (Place(register, name, number) for register in registers)
        found += [place for place in own if place.span[-1] < end]
    return sorted(found, key=lambda each: each.register.offset)


def at_offset(found: Sequence[Place], offset: int) -> int:
    """Which of `found` has the byte at `offset`, or is the last one before it."""
    before = [n for n, each in enumerate(found) if each.register.offset <= offset]
    return before[-1] if before else 0


# -- the bytes


def config_picture(
    function: DecodedFunction, chosen: Place | None = None, title: str = ""
) -> Picture:
    """The 256 bytes around the chosen register, 16 a row, and the structures among them."""
    found = places(function)
    data = function.source.data
    page = (chosen.register.offset if chosen else 0) // PAGE * PAGE
    end = min(page + PAGE, len(data))
    owner = {at: each for each in found for at in each.span}
    parts = [caption(TOP + 2, _about(function, page, end))]
    for at in range(page, end, 16):
        y = TOP + 22 + (at - page) // 16 * _ROW
        parts.append(write(MARGIN, y + 18, f"{at:03x}", SMALL, MUTED, mono=True))
        parts += [_byte(data[at + n], at + n, owner.get(at + n), y) for n in range(16)]
    if chosen is not None:
        parts.append(_outline(chosen.span, page))
    parts += _structures(found, page, end, chosen)
    heading = title or f"Configuration space of {function.bdf}"
    bottom = TOP + 22 + (end - page + 15) // 16 * _ROW + 18
    label = f"{heading}: {_about(function, page, end)}"
    if chosen is not None:
        label += f" Marked: {chosen.register.name}."
    return picture(heading, bottom, parts, _text(function, page, end, chosen), label)


def _about(function: DecodedFunction, page: int, end: int) -> str:
    name = class_name(function.class_code)
    size = len(function.source.data)
    words = f"bytes {page:#x} to {end - 1:#x} of {size}"
    return f"{name}: {vendor_name(function.vendor)} · {words}"


def _byte(value: int, at: int, owner: Place | None, y: float) -> str:
    x = _LEFT + at % 16 * _CELL
    fill = _TINTS[owner.number % len(_TINTS)] if owner else PAPER
    ink = MUTED if owner is None or value == 0 else INK
    box = rect(x, y, _CELL, _ROW, fill, FAINT, 0, 1)
    return box + write(x + _CELL / 2, y + 18, f"{value:02x}", SMALL, ink, "middle", mono=True)


def _outline(span: range, page: int) -> str:
    """A heavy box around the bytes of the chosen register, a box for each row they are in."""
    parts = []
    for at in range(span[0] // 16 * 16, span[-1] + 1, 16):
        first, last = max(span[0], at), min(span[-1], at + 15)
        x, y = _LEFT + first % 16 * _CELL, TOP + 22 + (at - page) // 16 * _ROW
        parts.append(rect(x, y, (last - first + 1) * _CELL, _ROW, "none", INK, 0, 3.5))
    return "".join(parts)


def _structures(found: Sequence[Place], page: int, end: int, chosen: Place | None) -> list[str]:
    """The names of what is on this page, each at the row where it begins, never over another."""
    parts, free, seen = [], TOP + 22.0, set[int]()
    for each in found:
        if each.number in seen or not page <= each.register.offset < end:
            continue
        seen.add(each.number)
        y = max(free, TOP + 22 + (each.register.offset - page) // 16 * _ROW)
        free = y + _ROW
        mine = chosen is not None and chosen.number == each.number
        tint = _TINTS[each.number % len(_TINTS)]
        parts.append(rect(_NAMES, y + 4, 20, 18, tint, INK, 0, 3 if mine else 1))
        words = f"{each.register.offset:02x} {each.structure.partition(' (')[0]}"
        words = fit(words, WIDTH - MARGIN - _NAMES - 30, SMALL)
        parts.append(write(_NAMES + 30, y + 18, words, SMALL, bold=mine))
    return parts


def _text(function: DecodedFunction, page: int, end: int, chosen: Place | None) -> str:
    data = function.source.data
    lines = [f"{function.bdf} {class_name(function.class_code)}"]
    lines += [f"{at:03x}: {data[at : min(at + 16, end)].hex(' ')}" for at in range(page, end, 16)]
    return "\n".join([*lines, *([in_words(function, chosen)] if chosen else [])])


# -- one register


def declared(place: Place) -> Reg:
    """The register's declaration at its offset in the whole space.

    A BAR gets the fields that its lowest bit chooses. Who may write it, a dump does not tell.
    """
    reg = place.register.declared
    fields = reg.fields
    if reg.name.startswith(("BAR", "VF_BAR")):
        fields = BAR_FIELDS["port" if place.register.value & 1 else "memory"]
    return Reg(
        place.register.offset,
        reg.width,
        name=reg.name,
        fields=fields,
        access="",
        spec=reg.spec,
        doc=reg.doc,
    )


def in_words(function: DecodedFunction, place: Place) -> str:
    """A register in a sentence: where it is, what it is for, what it says here, its clause."""
    register = place.register
    digits = 2 * register.declared.width
    words = f"`{register.offset:#05x}` {register.name} = `0x{register.value:0{digits}x}`. "
    words += f"{register.declared.doc} "
    if meaning := _meaning(function, register) or field_words(declared(place), register.value):
        words += f"Here: {meaning}. "
    return f"{words}({register.declared.spec})"


def _meaning(function: DecodedFunction, register: Register) -> str:
    """What the numbers of the header mean to people."""
    match register.name:
        case Header.VENDOR_ID.name:
            return vendor_name(function.vendor)
        case Header.DEVICE_ID.name:
            return device_name(function.vendor, function.device)
        case Header.CLASS_CODE.name:
            return class_name(function.class_code)
    if register.name.startswith("BAR"):
        for bar in function.bars:
            if register.name == f"BAR{bar.index}":
                kind = f"{bar.width} bits of memory" if bar.kind == "memory" else "ports"
                place = f"at {bar.address:#x}" if bar.address else "no address yet"
                return f"{kind}, {place}{'' if bar.enabled else ', decoding is off'}"
        if not register.value:
            return "no region"
    return ""
