"""Two hosts, one card: who has which function of it, and under which label.

    host A --- [ hierarchy 1: bridges ] ---+           +--- net 0   03:00.0 of host A
                                           += 1 link ==+--- net 1   03:00.0 of host B
    host B --- [ hierarchy 2: bridges ] ---+           +--- net 2   nobody's

The idea: each host finds a whole tree, and the same places in it. So a place does not say which
function is meant, and the link below the switch needs a label. The picture draws each hierarchy in
its own pattern, from its root through the shared link to its function.

The rule that keeps it simple: the picture is drawn from the machines of `share_hosts`.
"""

from __future__ import annotations

from virtlab.pci.tlp import bdf_text
from virtlab.show.palette import (
    BLUE,
    BODY,
    FAINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PAPER,
    SKY_TINT,
    SMALL,
    VERMILLION,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import hatch
from virtlab.show.share_hosts import ENDPOINTS, NAMES, RAM, Host, TwoHosts
from virtlab.show.svg import TOP, Picture, caption, line, picture, rect, write

_ROOT, _SWITCH, _LINK, _DEVICE = MARGIN, 288.0, 590.0, 700.0
_ROOT_WIDTH, _SWITCH_WIDTH, _DEVICE_WIDTH = 196.0, 250.0, WIDTH - MARGIN - 700.0
_ROW, _BOX, _END = 156.0, 116.0, 82.0
_TOP = TOP + 30
_HEIGHT = _ROW + _BOX
_WAYS = {"A": (BLUE, "", SKY_TINT), "B": (VERMILLION, "8 5", ORANGE_TINT)}
"""Line, pattern and tint of each host's hierarchy."""


def roots_picture(two: TwoHosts, title: str = "Two roots, one card") -> Picture:
    """The hosts, what each sees of the switch, the shared link, and whose each function is."""
    parts = [
        write(_ROOT, TOP + 14, "root complexes", SMALL, MUTED),
        write(_SWITCH, TOP + 14, "the switch: bridges of each", SMALL, MUTED),
        write(_DEVICE, TOP + 14, "the card", SMALL, MUTED),
        rect(_SWITCH - 12, _TOP - 6, _SWITCH_WIDTH + 24, _HEIGHT + 12, PAPER, MUTED, 8),
        rect(_DEVICE - 12, _TOP - 6, _DEVICE_WIDTH + 12, _HEIGHT + 12, PAPER, MUTED, 8),
        rect(_LINK, _TOP, 26, _HEIGHT, GREY_TINT, INK, 4),
    ]
    for row, host in enumerate(two.hosts.values()):
        parts += _host(host, row)
    for endpoint in range(ENDPOINTS):
        parts += _endpoint(two, endpoint)
    parts.append(write(_LINK + 13, _TOP + _HEIGHT + 26, "one link", SMALL, MUTED, "middle"))
    says = "Each packet on the link has a label, its hierarchy: the rest may be the same bytes."
    parts.append(caption(_TOP + _HEIGHT + 54, says))
    whose = "; ".join(_line(two, endpoint) for endpoint in range(ENDPOINTS))
    return picture(title, _TOP + _HEIGHT + 74, parts, _text(title, two), f"{title}: {whose}")


def _host(host: Host, row: int) -> list[str]:
    """A host, and its hierarchy in the switch."""
    colour, dash, tint = _WAYS[host.name]
    y, number = _TOP + row * _ROW, row + 1
    middle = y + _BOX / 2
    ports = [f"{bdf_text(each)}" for each in _bridges(host)]
    return [
        rect(_ROOT, y, _ROOT_WIDTH, _BOX, tint),
        write(_ROOT + 14, y + 28, f"host {host.name}", BODY, INK, bold=True),
        write(_ROOT + 14, y + 54, f"RAM from 0, {RAM >> 20} MiB", SMALL),
        write(_ROOT + 14, y + 78, f"root port {ports[0]}", SMALL),
        write(_ROOT + 14, y + 100, f"messages: {len(host.messages)}", SMALL),
        line(_ROOT + _ROOT_WIDTH, middle, _SWITCH, middle, colour, 4, dash),
        rect(_SWITCH, y, _SWITCH_WIDTH, _BOX, tint),
        write(_SWITCH + 14, y + 28, f"hierarchy {number}", BODY, INK, bold=True),
        write(_SWITCH + 14, y + 58, f"upstream port     {ports[1]}", SMALL, mono=True),
        write(_SWITCH + 14, y + 82, f"downstream port   {ports[2]}", SMALL, mono=True),
        line(_SWITCH + _SWITCH_WIDTH, middle, _LINK, middle, colour, 4, dash),
        write((_SWITCH + _SWITCH_WIDTH + _LINK) / 2 + 2, middle - 10, f"{number}", BODY, INK,
              "middle", bold=True, halo=PAPER),
    ]  # fmt: skip


def _bridges(host: Host) -> tuple[int, int, int]:
    """Source ids of the root port, and of the two ports of its hierarchy."""
    port = host.port
    upstream = port.below.functions[0, 0]
    assert upstream.below is not None
    return port.source_id, upstream.source_id, upstream.below.functions[0, 0].source_id


def _endpoint(two: TwoHosts, endpoint: int) -> list[str]:
    """A function of the card, in its owner's pattern."""
    owner, function = two.owner(endpoint), two.functions[endpoint]
    y = _TOP + endpoint * (_HEIGHT - _END) / (ENDPOINTS - 1)
    tint = _WAYS[owner][2] if owner else WHITE
    parts = [rect(_DEVICE, y, _DEVICE_WIDTH - 12, _END, tint, INK if owner else FAINT)]
    if not owner:
        parts.append(hatch(_DEVICE, y, _DEVICE_WIDTH - 12, _END))
        parts.append(write(_DEVICE + 14, y + 30, function.name, BODY, MUTED, halo=WHITE))
        parts.append(write(_DEVICE + 14, y + 58, "nobody's", SMALL, MUTED, halo=WHITE))
        return parts
    colour, dash, _ = _WAYS[owner]
    start = _TOP + NAMES.index(owner) * _ROW + _BOX / 2
    parts += [
        write(_DEVICE + 14, y + 30, f"{function.name}: {owner}'s", BODY, INK, bold=True),
        write(_DEVICE + 14, y + 58, f"{bdf_text(function.source_id)} of host {owner}", SMALL),
        line(_LINK, start, _LINK + 26, y + _END / 2, colour, 4, dash),
        line(_LINK + 26, y + _END / 2, _DEVICE, y + _END / 2, colour, 4, dash),
    ]
    return parts


def _line(two: TwoHosts, endpoint: int) -> str:
    owner, function = two.owner(endpoint), two.functions[endpoint]
    if not owner:
        return f"{function.name} is nobody's"
    label = NAMES.index(owner) + 1
    return f"{function.name} is {bdf_text(function.source_id)} of host {owner}, label {label}"


def _text(title: str, two: TwoHosts) -> str:
    lines = [title]
    for number, host in enumerate(two.hosts.values(), 1):
        ports = " > ".join(bdf_text(each) for each in _bridges(host))
        lines.append(f"    host {host.name}, hierarchy {number}: {ports}")
    return "\n".join([*lines, *(f"    {_line(two, each)}" for each in range(ENDPOINTS))])
