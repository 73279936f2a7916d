"""Vectors as a square of 16 times 16: the upper digit down, the lower digit across.

        0 1 2 ... F          IRR  requested          a row is a priority class
    F0  . . . ... .          ISR  in service         grey rows have to wait
    E0  . . . ... .          TMR  level-triggered
    ..

The idea: a set of vectors is 256 bits, in a local APIC as in a posted-interrupt descriptor. The
most urgent vector is nearest to the top right, so "which comes next" can be seen.

The rule that keeps it simple: only bits that are set are drawn, each with its number below the
square. What has to wait follows from PPR.

Source: Intel SDM 3A, 11.8.3, 11.8.4; VT-d 3.0, 9.12.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.iommu.layouts import POSTED_DESCRIPTOR as PD
from virtlab.iommu.posted import NDST_XAPIC
from virtlab.show.irq_inside import vectors_text
from virtlab.show.palette import (
    BODY,
    FAINT,
    GREY_TINT,
    INK,
    MUTED,
    ORANGE,
    SMALL,
    WHITE,
    YELLOW_TINT,
)
from virtlab.show.svg import TOP, Picture, element, fit, number, picture, rect, write

_CELL = 16
_SIDE = 16 * _CELL
_SQUARES = (62, 358, 654)
_TOP = TOP + 46
NAMES = {"IRR": "IRR: requested", "ISR": "ISR: in service", "TMR": "TMR: came as a level"}
"""The sets of a local APIC, and what each is for."""


def set_of(registers: Mapping[str, int], name: str) -> int:
    """The 256 bits of `name`, `"IRR"` for instance, out of a local APIC's registers.

    >>> hex(set_of({f"IRR{n}": n == 2 and 2 for n in range(8)}, "IRR").bit_length() - 1)
    '0x41'
    """
    return sum(int(registers[f"{name}{n}"]) << 32 * n for n in range(8))


def apic_picture(registers: Mapping[str, int], title: str = "A local APIC") -> Picture:
    """The three sets of a local APIC, of its `peek()`, and its processor's priority."""
    priority, parts, lines = registers["PPR"], [], [title]
    for x, (name, words) in zip(_SQUARES, NAMES.items(), strict=True):
        vectors = set_of(registers, name)
        parts += square(x, words, vectors, priority >> 4 if name == "IRR" else 0)
        lines.append(f"{name} {vectors_text(vectors)}")
    y = _TOP + _SIDE + 60
    said = f"PPR {priority:#04x}: vectors up to {priority | 0xF:#04x} wait, the grey rows of IRR."
    parts.append(write(_SQUARES[0], y, said, SMALL, MUTED))
    return picture(title, y + 18, parts, "\n".join([*lines, said]), " ".join([*lines, said]))


def square(x: float, words: str, vectors: int, waiting: int = 0) -> list[str]:
    """One set. Classes up to `waiting` are grey."""
    parts = [write(x, _TOP - 24, words, BODY, bold=True)]
    parts.append(rect(x, _TOP, _SIDE, _SIDE, WHITE, "none", 0))
    rows = 1 + waiting
    parts.append(rect(x, _TOP + (16 - rows) * _CELL, _SIDE, rows * _CELL, GREY_TINT, "none", 0))
    lines = "".join(
        f"M{number(x + n * _CELL)} {_TOP}v{_SIDE}M{number(x)} {_TOP + n * _CELL}h{_SIDE}"
        for n in range(17)
    )
    parts.append(element("path", d=lines, stroke=FAINT, stroke_width=1, fill="none"))
    parts += [_bit(x, vector) for vector in range(256) if vectors >> vector & 1]
    parts.append(rect(x, _TOP, _SIDE, _SIDE, "none", INK, 0, 1.5))
    parts += [_label(x, digit) for digit in range(0, 16, 3)]
    shown = fit(vectors_text(vectors), _SIDE, SMALL, True)
    parts.append(write(x, _TOP + _SIDE + 22, shown, SMALL, mono=True))
    return parts


def _bit(x: float, vector: int) -> str:
    at = x + vector % 16 * _CELL, _TOP + (15 - vector // 16) * _CELL
    return rect(at[0] + 1, at[1] + 1, _CELL - 2, _CELL - 2, ORANGE, INK, 2, 2)


def _label(x: float, digit: int) -> str:
    """A row's class on the left, and a column's digit above."""
    down = _TOP + (16 - digit) * _CELL - 3
    row = write(x - 8, down, f"{digit:X}0", SMALL, MUTED, "end", mono=True)
    across = x + (digit + 0.5) * _CELL
    return row + write(across, _TOP - 6, f"{digit:X}", SMALL, MUTED, "middle", mono=True)


def descriptor_picture(value: int, title: str = "A posted-interrupt descriptor") -> Picture:
    """The 64 bytes: what was posted, and whom to tell."""
    pending = PD.PIR.get(value)
    fields = (
        (f"ON = {PD.ON.get(value)}", "a notification is on its way", PD.ON.get(value)),
        (f"SN = {PD.SN.get(value)}", "notifications are suppressed", PD.SN.get(value)),
        (f"NV = {PD.NV.get(value):#x}", "the vector of a notification", 0),
        (f"NDST = {NDST_XAPIC.get(value)}", "the processor that gets it", 0),
    )
    parts = square(_SQUARES[0], "PIR: posted", pending)
    for n, (name, words, on) in enumerate(fields):
        y = _TOP + n * 66
        parts.append(rect(_SQUARES[1], y, 180, 50, YELLOW_TINT if on else WHITE, INK, 4))
        parts.append(write(_SQUARES[1] + 16, y + 31, name, BODY, bold=True, mono=True))
        parts.append(write(_SQUARES[1] + 200, y + 31, words, BODY, INK if on else MUTED))
    said = "  ".join([f"PIR {vectors_text(pending)}", *(name for name, _, _ in fields)])
    return picture(title, _TOP + _SIDE + 44, parts, f"{title}\n{said}", f"{title}: {said}")
