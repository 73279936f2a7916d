"""A virtqueue in memory, part by part, and what the driver tells the device of it.

    0x21000   descriptor table    addr len flags next  x 8      <- legacy: one page frame number
    0x21080   available ring      flags idx ring[8] used_event
              (padding)
    0x22000   used ring           flags idx ring[8] avail_event

The idea: a modern driver hands over three addresses, one for each part. A legacy one hands over a
single page frame number, and both sides compute the rest by the same rule. So only there the gap
before the used ring has to be what the rule says.

The rule that keeps it simple: names, offsets and sizes come from the declared layouts. Heights are
not to scale; the addresses are.

Source: virtio 1.3 2.7 (parts), 2.7.2 (legacy), 2.8 (packed), 4.1.4.3 (the three registers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.memory import PAGE
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
from virtlab.show.shapes import arrow, hatch
from virtlab.show.svg import TOP, Picture, caption, fit, picture, rect, write
from virtlab.virtio.layouts import DESC, DType, SplitRings, avail_ring, used_ring
from virtlab.virtio.packed_layouts import EVENT, PACKED_DESC, PackedRings

_LEFT, _RIGHT, _PANEL = 132, 628, 660
_BOX, _GAP = 84, 26
_TINTS = {"driver": GREEN_TINT, "device": SKY_TINT, "both": YELLOW_TINT}


class Part(NamedTuple):
    """A part of a queue: `times` a `layout` from `gpa` on, and the register that names it."""

    name: str
    register: str
    writer: str
    gpa: int
    layout: DType
    times: int

    @property
    def length(self) -> int:
        """Its bytes."""
        return self.layout.itemsize * self.times

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.gpa + self.length


def parts_of(rings: SplitRings | PackedRings) -> tuple[Part, Part, Part]:
    """The three areas, as the specification calls them: descriptors, driver's, device's."""
    size = rings.size
    if isinstance(rings, SplitRings):
        return (
            Part("descriptor table", "queue_desc", "driver", rings.desc, DESC, size),
            Part("available ring", "queue_driver", "driver", rings.avail, avail_ring(size), 1),
            Part("used ring", "queue_device", "device", rings.used, used_ring(size), 1),
        )
    return (
        Part("descriptor ring", "queue_desc", "both", rings.desc, PACKED_DESC, size),
        Part("driver event suppression", "queue_driver", "driver", rings.driver, EVENT, 1),
        Part("device event suppression", "queue_device", "device", rings.device, EVENT, 1),
    )


def vring_map(
    rings: SplitRings | PackedRings, legacy: bool = False, title: str = "A virtqueue in memory"
) -> Picture:
    """The parts from low to high addresses, their fields, and what is handed over.

    `legacy` shows the one page frame number. `ValueError` if such a queue does not lie where it
    would say.
    """
    if legacy:
        _check_legacy(rings)
    places = sorted(parts_of(rings), key=lambda part: part.gpa)
    drawn, y = [], TOP + 24.0
    drawn.append(write(_PANEL, TOP + 8, "what the driver tells the device", SMALL, MUTED))
    for number, part in enumerate(places):
        if number:
            drawn.append(_between(y, part.gpa - places[number - 1].end))
            y += _GAP
        drawn.append(_part(y, part))
        drawn += _told(y, part, legacy, number)
        y += _BOX
    drawn.append(write(_LEFT - 12, y + 6, f"{places[-1].end:#x}", SMALL, MUTED, "end", mono=True))
    note = f"{places[-1].end - places[0].gpa} bytes from the first to the last"
    drawn.append(caption(y + 34, note))
    label = f"{title}: {'; '.join(f'{part.name} at {part.gpa:#x}' for part in places)}"
    return picture(title, y + 52, drawn, _text(title, places, legacy), label)


def _check_legacy(rings: SplitRings | PackedRings) -> None:
    if not isinstance(rings, SplitRings) or rings.desc % PAGE:
        raise ValueError("a legacy queue is split, and begins at a page")
    if rings != SplitRings.legacy(rings.desc // PAGE, rings.size):
        raise ValueError("a legacy queue lies as its page frame number says (virtio 1.3 2.7.2)")


# -- one part


def _part(y: float, part: Part) -> str:
    """A box with its address, its name, and a cell for each field."""
    width = _RIGHT - _LEFT
    many = f"{part.layout.itemsize} x {part.times} = " if part.times > 1 else ""
    drawn = [write(_LEFT - 12, y + 14, f"{part.gpa:#x}", SMALL, INK, "end", mono=True)]
    drawn.append(rect(_LEFT, y, width, _BOX, _TINTS[part.writer], INK, 4, 2))
    drawn.append(write(_LEFT + 14, y + 26, part.name, BODY, bold=True))
    by = {"both": "both sides"}.get(part.writer, f"the {part.writer}")
    length = f"{many}{part.length} bytes, written by {by}"
    drawn.append(write(_RIGHT - 14, y + 26, length, SMALL, MUTED, "end"))
    fields = list(_fields(part))
    step = (width - 28) / len(fields)
    for number, words in enumerate(fields):
        x = _LEFT + 14 + number * step
        drawn.append(rect(x, y + 40, step - 4, 30, WHITE, INK, 3, 1))
        shown = fit(words, step - 8, SMALL, True)
        drawn.append(write(x + step / 2 - 2, y + 60, shown, SMALL, INK, "middle", mono=True))
    return "".join(drawn)


def _fields(part: Part) -> Iterator[str]:
    """The names of the layout's fields, an array with its length."""
    assert part.layout.names is not None
    for name in part.layout.names:
        shape = part.layout[name].shape
        yield f"{name}[{shape[0]}]" if shape else name


def _between(y: float, gap: int) -> str:
    """What lies between two parts: nothing, or bytes that nobody uses."""
    if not gap:
        return ""
    words = f"{gap} bytes of padding"
    box = rect(_LEFT, y + 3, _RIGHT - _LEFT, _GAP - 6, WHITE, FAINT, 2)
    lines = hatch(_LEFT, y + 3, _RIGHT - _LEFT, _GAP - 6, FAINT)
    middle = (_LEFT + _RIGHT) / 2
    return box + lines + write(middle, y + 18, words, SMALL, MUTED, "middle", halo=WHITE)


# -- what is handed over


def _told(y: float, part: Part, legacy: bool, number: int) -> Iterator[str]:
    """The register beside a part, or the rule by which a legacy device computes it."""
    name, value = _words(part, legacy, number)
    solid = not legacy or not number
    box = WHITE if solid else "none"
    yield rect(
        _PANEL,
        y + 8,
        WIDTH - MARGIN - _PANEL,
        60,
        box,
        INK if solid else MUTED,
        4,
        2 if solid else 1.5,
        "" if solid else "5 4",
    )
    yield write(_PANEL + 12, y + 31, name, SMALL, INK, bold=solid)
    yield write(_PANEL + 12, y + 55, value, SMALL, INK, mono=True)
    yield arrow(_PANEL - 2, y + 38, _RIGHT + 4, INK if solid else MUTED, 2, "" if solid else "5 4")


def _words(part: Part, legacy: bool, number: int) -> tuple[str, str]:
    """What names this part to the device."""
    if not legacy:
        return part.register, f"{part.gpa:#018x}"
    if not number:
        return "page frame number", f"{part.gpa // PAGE:#x} = {part.gpa:#x} / {PAGE}"
    rule = ("", "computed: behind the table", f"computed: next multiple of {PAGE}")
    return rule[number], f"{part.gpa:#x}"


def _text(title: str, places: list[Part], legacy: bool) -> str:
    lines = [title]
    for number, part in enumerate(places):
        if number and (gap := part.gpa - places[number - 1].end):
            lines.append(f"{'':>10}  ({gap} bytes of padding)")
        fields = " ".join(_fields(part)) + (f"  x {part.times}" if part.times > 1 else "")
        told = ": ".join(_words(part, legacy, number))
        place = f"{part.gpa:>#10x}  {part.name:<24}  {part.length:>5} bytes"
        lines.append(f"{place}  {fields:<32}  {told}")
    return "\n".join([*lines, f"{places[-1].end:>#10x}"])
