"""The switch inside a card: four VMs, the host, the wire, and the way of one frame.

The idea: a port is a row. What the host has set stands in the VM's box, what the port has counted
on its line. The way of the frame is drawn heavy, with a head at each end where it arrives.

The rule that keeps it simple: the way comes from `trip`, which has asked the library's own switch.
"""

from __future__ import annotations

from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import arrow, cross
from virtlab.show.svg import TOP, Picture, line, picture, rect, write
from virtlab.show.vf_switch import (
    GUESTS,
    PORTS,
    SwitchState,
    Trip,
    explain,
    mac,
    name_of,
    trip,
)
from virtlab.virtio.embedded_switch import PHYSICAL, WIRE

_ROW, _BOX = 88, 68
_ORDER = (*GUESTS, PHYSICAL)
"""Rows from top to bottom: the VMs, then the host."""

_LEFT, _BOX_WIDTH = MARGIN, 236
_PORT, _BAR, _END = 342, 664, 786
_CARD_TOP = TOP + 2
_CARD = len(_ORDER) * _ROW + 6
_HEIGHT = _CARD_TOP + _CARD + 20


def switch_picture(state: SwitchState, title: str = "The switch inside the card") -> Picture:
    """Settings, counts, and the way of the frame as it is chosen."""
    done = trip(state)
    said = explain(state)
    parts = [rect(_PORT - 34, _CARD_TOP, _BAR - _PORT + 74, _CARD, GREY_TINT, INK, 8)]
    parts.append(line(_BAR, _y(_ORDER[0]), _BAR, _y(_ORDER[-1]), FAINT, 12))
    parts += [_quiet(number) for number in (*_ORDER, WIRE)]
    parts += _way(state, done)
    for number in _ORDER:
        parts += _owner(state, number)
        parts += _port(state, number)
    parts += _wire(state, done)
    text = "\n".join([title, *(_line(state, number) for number in _ORDER), said])
    return picture(title, _HEIGHT, parts, text, f"{title}. {said}")


def _y(number: int) -> float:
    """The middle of a port's row; the wire is level with the third."""
    row = 2 if number == WIRE else _ORDER.index(number)
    return _CARD_TOP + 6 + row * _ROW + _BOX / 2 + 4


# -- boxes


def _owner(state: SwitchState, number: int) -> list[str]:
    """Who is behind a port, and what the host has set."""
    y = _y(number) - _BOX / 2
    shown = number == state.port
    tint = ORANGE_TINT if number == PHYSICAL else GREEN_TINT
    name = "host, with the PF" if number == PHYSICAL else f"VM {number}, with VF {number}"
    parts = [rect(_LEFT, y, _BOX_WIDTH, _BOX, tint, INK, 6, 4 if shown else 1.5)]
    parts.append(write(_LEFT + 12, y + 20, name, bold=True))
    parts.append(write(_LEFT + 12, y + 39, mac(number).hex(":"), SMALL, mono=True))
    parts.append(write(_LEFT + 12, y + 58, settings_words(state, number), SMALL, MUTED))
    return parts


def settings_words(state: SwitchState, number: int) -> str:
    """A port's settings: `VLAN 5, spoof check on`."""
    if number == PHYSICAL:
        return "trunk: sees every tag"
    setting = state.settings[number - 1]
    where = f"VLAN {setting.vlan}" if setting.vlan else "untagged"
    return f"{where}, spoof check {'on' if setting.check else 'off'}"


def counts_words(state: SwitchState, number: int) -> str:
    """A port's counts: `sent 1, received 0, dropped 0`."""
    each = state.counts[PORTS.index(number)]
    return f"sent {each.sent}, received {each.received}, dropped {each.dropped}"


def _port(state: SwitchState, number: int) -> list[str]:
    y = _y(number)
    return [
        rect(_PORT - 14, y - 14, 28, 28, WHITE, INK, 2),
        write(_PORT, y + 6, f"{number}", anchor="middle", bold=True),
        write(_PORT + 26, y - 10, counts_words(state, number), SMALL, INK),
    ]


def _wire(state: SwitchState, done: Trip) -> list[str]:
    y = _y(WIRE)
    parts = [rect(_END, y - _BOX / 2, WIDTH - MARGIN - _END, _BOX, SKY_TINT, INK, 6)]
    parts.append(write(_END + 12, y - 4, "wire", bold=True))
    parts.append(write(_END + 12, y + 18, "also a trunk", SMALL, MUTED))
    tag = done.tag_at(WIRE)
    if state.sender == WIRE:
        tag = state.tag
    if tag is not None:
        parts.append(write(_END, y + _BOX / 2 + 20, _tag_words(tag), SMALL, bold=True))
    return parts


# -- the way


def _ends(number: int) -> tuple[float, float]:
    """Where a port's line begins, at its owner, and where it ends, at the switch."""
    return (_END, _BAR) if number == WIRE else (_LEFT + _BOX_WIDTH, _BAR)


def _quiet(number: int) -> str:
    """A line that nothing goes over."""
    start, end = _ends(number)
    return line(start, _y(number), end, _y(number), MUTED, 1.5)


def _way(state: SwitchState, done: Trip) -> list[str]:
    sender, y = state.sender, _y(state.sender)
    start, end = _ends(sender)
    if done.dropped:
        words = write(_PORT + 26, y + 22, f"dropped: {done.dropped}", SMALL, bold=True)
        stop = _PORT - 26
        return [line(start, y, stop, y, VERMILLION, 5), cross(stop, y, VERMILLION, 9), words]
    parts = [line(start, y, end, y, BLUE, 5)]
    rows = [y, *(_y(number) for number, _ in done.arrived)]
    parts.append(line(_BAR, min(rows), _BAR, max(rows), BLUE, 5))
    parts += [_arrival(number, tag) for number, tag in done.arrived]
    return parts


def _arrival(number: int, tag: int) -> str:
    start, end = _ends(number)
    y = _y(number)
    drawn = arrow(end, y, start, BLUE, 5)
    if number == WIRE:
        return drawn
    return drawn + write(_PORT + 26, y + 22, f"arrives {_tag_words(tag)}", SMALL, bold=True)


def _tag_words(tag: int) -> str:
    return f"with tag {tag}" if tag else "without a tag"


def _line(state: SwitchState, number: int) -> str:
    words = f"{name_of(number)} {mac(number).hex(':')} {settings_words(state, number)}"
    return f"{words}; {counts_words(state, number)}"
