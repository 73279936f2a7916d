"""The host's devices on the left, the virtual machines on the right, the VMM in between.

    a thick line, no dot              dedicated, direct
    a thin line, a dot in the VMM     dedicated, but through the VMM
    a dashed line, a dot              partitioned: the VMM translates addresses
    a dotted line, a dot              shared: the VMM translates requests
    a line that begins in the VMM     non-existent: there is no device

The idea: every VM has a row for every device, so that one sees too what was *not* given: there it
has its own virtual one, and no line.

The rule that keeps it simple: the picture is drawn from outcomes, that is, from what has run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.show.assign_run import Outcome
from virtlab.show.assign_state import DEVICES, DIRECT, FORWARDED, LINK, VMS
from virtlab.show.palette import (
    BLUE,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SKY_TINT,
    SMALL,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import legend
from virtlab.show.svg import TOP, Picture, caption, element, line, picture, rect, write


class Style(NamedTuple):
    """How a way is drawn: weight and dash of its line, whether it stops in the VMM, its word."""

    weight: float
    dash: str
    stop: bool
    word: str


STYLES = {
    DIRECT: Style(5, "", False, "direct"),
    FORWARDED: Style(2, "", True, "forwarded"),
    "partitioned": Style(2.5, "12 5", True, "partitioned"),
    "shared": Style(2.5, "2 5", True, "shared"),
    "non-existent": Style(2, "", False, "non-existent"),
}

_ROW, _HEAD, _GAP = 25, 28, 14
_BOX = _HEAD + len(DEVICES) * _ROW + 8
_LEFT, _RIGHT = MARGIN + 170, 540.0
_VMM, _VMM_WIDE = 285.0, 110.0
_TURN = 425.0
_BEGIN = TOP + 26.0
_END = _BEGIN + len(VMS) * (_BOX + _GAP) - _GAP


def assign_picture(
    outcomes: Sequence[Outcome],
    title: str = "Whose device is it?",
    chosen: tuple[str, str] = ("", ""),
) -> Picture:
    """Draw what was given and what it cost. `chosen` is a device and a VM to mark."""
    found = {(outcome.given.device, outcome.given.vm): outcome for outcome in outcomes}
    parts = [caption(TOP + 8, "Each row of a VM: what one piece of work cost.")]
    parts.append(rect(_VMM, _BEGIN, _VMM_WIDE, _END - _BEGIN, YELLOW_TINT))
    parts.append(write(_VMM + _VMM_WIDE / 2, _BEGIN + 24, "VMM", anchor="middle", bold=True))
    parts += [_line(outcome) for outcome in outcomes]
    parts += [_device(name, name == chosen[0]) for name in DEVICES]
    for vm in VMS:
        parts += _machine(vm, found, chosen)
    parts += [_word(outcome) for outcome in outcomes]
    keys = [(_sample(style), style.word) for style in STYLES.values()]
    parts.append(legend(_END + 32, keys))
    label = f"{title}: {len(outcomes)} given"
    return picture(title, _END + 52, parts, _text(title, found), label)


def costs(outcome: Outcome) -> str:
    """`264 exits, 2 copies, 1 interrupt`."""
    counts = {"exit": outcome.exits, "copy": outcome.copies, "interrupt": outcome.interrupts}
    words = [_many(count, what) for what, count in counts.items() if count or what == "exit"]
    return ", ".join(words)


def explain(outcomes: Sequence[Outcome]) -> str:
    """What each VM saw, and what it cost, a line for each."""
    if not outcomes:
        return "Nothing is given: every VM has its own virtual devices, and nothing of the host's."
    return "␊".join(
        f"{each.given.vm}, {each.given.device} ({each.given.way}): it {each.saw}. {costs(each)}."
        for each in outcomes
    )


def _many(count: int, what: str) -> str:
    plural = "copies" if what == "copy" else f"{what}s"
    return f"{count} {what if count == 1 else plural}"


# -- the parts


def _device_y(name: str) -> float:
    """The middle of a device's box; the link, which is none, is the last, in the VMM."""
    step = (_END - _BEGIN) / len(DEVICES)
    return _BEGIN + step * (DEVICES.index(name) + 0.5)


def _row_y(device: str, vm: str) -> float:
    top = _BEGIN + VMS.index(vm) * (_BOX + _GAP) + _HEAD
    return top + (DEVICES.index(device) + 0.5) * _ROW


def _device(name: str, chosen: bool) -> str:
    y, weight = _device_y(name), 3.5 if chosen else 1.5
    if name == LINK:
        x, wide = _VMM + 6, _VMM_WIDE - 12
        box = rect(x, y - 22, wide, 44, PAPER, weight=weight, dash="5 4")
        return box + write(x + wide / 2, y + 5, name, SMALL, anchor="middle")
    box = rect(MARGIN, y - 22, _LEFT - MARGIN, 44, GREEN_TINT, weight=weight)
    return box + write((MARGIN + _LEFT) / 2, y + 6, name, anchor="middle")


def _machine(vm: str, found: dict[tuple[str, str], Outcome], chosen: tuple[str, str]) -> list[str]:
    top, wide = _BEGIN + VMS.index(vm) * (_BOX + _GAP), WIDTH - MARGIN - _RIGHT
    weight = 3.5 if vm == chosen[1] else 1.5
    parts = [rect(_RIGHT, top, wide, _BOX, SKY_TINT, weight=weight)]
    parts.append(write(_RIGHT + 12, top + 20, f"VM {vm}", bold=True))
    for device in DEVICES:
        outcome, y = found.get((device, vm)), _row_y(device, vm) + 5
        parts.append(write(_RIGHT + 12, y, device, SMALL, INK if outcome else MUTED))
        own = "none" if device == LINK else "its own virtual one"
        words = costs(outcome) if outcome else own
        tone = INK if outcome else MUTED
        parts.append(write(_RIGHT + 122, y, words, SMALL, tone, bold=outcome is not None))
    return parts


def _line(outcome: Outcome) -> str:
    """From the device, or from the VMM, to the VM's row."""
    device, vm, way = outcome.given
    style, start, end = STYLES[way], _device_y(device), _row_y(device, vm)
    x = _VMM + _VMM_WIDE - 6 if device == LINK else _LEFT
    shade = BLUE if style.weight > 4 else INK
    drawn = line(x, start, _TURN, end, shade, style.weight, style.dash)
    drawn += line(_TURN, end, _RIGHT, end, shade, style.weight, style.dash)
    if style.stop:
        middle = _VMM + _VMM_WIDE / 2
        y = start + (end - start) * (middle - x) / (_TURN - x)
        drawn += element("circle", cx=middle, cy=y, r=6, fill=INK)
    return drawn


def _word(outcome: Outcome) -> str:
    device, vm, way = outcome.given
    x, y = (_TURN + _RIGHT) / 2 + 6, _row_y(device, vm) + 5
    return write(x, y, STYLES[way].word, SMALL, anchor="middle", halo=PAPER)


def _sample(style: Style) -> str:
    shade = BLUE if style.weight > 4 else INK
    drawn = line(0, 9, 30, 9, shade, style.weight, style.dash)
    if style.word == "non-existent":
        return rect(0, 2, 12, 14, PAPER, dash="3 2") + line(12, 9, 30, 9, INK, style.weight)
    return drawn + (element("circle", cx=15, cy=9, r=5, fill=INK) if style.stop else "")


def _text(title: str, found: dict[tuple[str, str], Outcome]) -> str:
    lines = [title]
    for vm in VMS:
        lines.append(f"VM {vm}")
        for device in DEVICES:
            outcome = found.get((device, vm))
            words = "none" if device == LINK else "its own virtual one"
            if outcome:
                words = f"{outcome.given.way}: {costs(outcome)}; it {outcome.saw}"
            lines.append(f"  {device:<13} {words}")
    return "\n".join(lines)
