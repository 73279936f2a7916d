"""Who has which addresses: every BAR, and the window of every bridge that must hold it.

The idea: the rows are those of the tree, and the addresses run from left to right. A window is an
outline, a BAR a filled box. What is below a bridge must lie inside its outline; two boxes of one
column are two functions at one address.

The rule that keeps it simple: one picture shows one space, from the lowest address in use to the
highest. Memory above 4 GiB is listed and not drawn, for it is too far away.

Source: PCI Local Bus 3.0, 6.2.5; PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.10.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.pci.bars import Space
from virtlab.pci.bridge import Bridge
from virtlab.pci.bus import Bus
from virtlab.pci.tlp import bdf_text
from virtlab.show.bar_sizing import amount
from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SMALL,
    VERMILLION_TINT,
    WIDTH,
)
from virtlab.show.shapes import cross, hatch, legend
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, line, picture, rect, write

FAR = 1 << 32
"""Addresses from here on are listed, not drawn."""

_ROW, _LEFT, _INDENT, _THIN = 34, 300, 14, 6


class Span(NamedTuple):
    """Addresses of one function: a BAR or a window, `first` to `last`, both included.

    `state` says what is wrong with it: nothing, `off`, `overlaps`, `outside` a window above it.
    """

    place: str
    name: str
    depth: int
    what: str
    first: int
    last: int
    window: bool
    state: str = ""
    space: Space = "memory"

    @property
    def size(self) -> str:
        """How much it is, in words."""
        return amount(self.last - self.first + 1, self.space)

    @property
    def words(self) -> str:
        """`BAR0 0xc0000000-0xc00fffff, 1 MiB`."""
        wrong = f", {self.state}" if self.state else ""
        return f"{self.what} {self.first:#x}-{self.last:#x}, {self.size}{wrong}"


def spans(bus: Bus, space: Space = "memory", depth: int = 0) -> list[Span]:
    """The BARs and open windows of the functions on `bus` and below, in the order of the tree."""
    return _marked(list(_spans(bus, space, depth, ())))


def _spans(bus: Bus, space: Space, depth: int, above: tuple[Bridge, ...]) -> Iterator[Span]:
    for function in bus.functions.values():
        place = bdf_text(function.source_id)
        for bar in function.bars:
            first = bar.address(function.header)
            state = "" if bar.enabled(function.header) else "off"
            if not state and not all(each.forwards(space, first, bar.size) for each in above):
                state = "outside"
            if bar.space == space and (first or not state):
                last = first + bar.size - 1
                yield Span(
                    place, function.name, depth, bar.register, first, last, False, state, space
                )
        if isinstance(function, Bridge):
            yield from _windows(function, place, space, depth)
            yield from _spans(function.below, space, depth + 1, (*above, function))


def _windows(bridge: Bridge, place: str, space: Space, depth: int) -> Iterator[Span]:
    for window in bridge.windows:
        if window.space == space and window.open and bridge.secondary:
            words, ends = f"{window.name} window", (window.base, window.limit)
            state = "" if bridge.forwards(space, window.base, 1) else "off"
            yield Span(place, bridge.name, depth, words, *ends, True, state, space)


def _marked(found: list[Span]) -> list[Span]:
    """BARs that answer and share an address get the state `overlaps`."""
    live = [each for each in found if not each.window and not each.state]
    clash = {
        (one.place, one.what)
        for one in live
        for other in live
        if one is not other and one.first <= other.last and other.first <= one.last
    }
    return [
        each._replace(state="overlaps") if (each.place, each.what) in clash else each
        for each in found
    ]


def resources(bus: Bus, space: Space = "memory", title: str = "") -> Picture:
    """Draw who has which addresses of a space, on `bus` and below."""
    found = spans(bus, space)
    near = [each for each in found if each.last < FAR]
    heading = title or f"Who has which addresses: {space} space"
    low = min((each.first for each in near), default=0)
    high = max((each.last for each in near), default=0) + 1
    scale = (WIDTH - MARGIN - _LEFT) / max(1, high - low)
    far = len(found) - len(near)
    extent = amount(high - low, space)
    parts, y = [caption(TOP + 2, _summary(near, extent, far))], TOP + 22.0
    for number, each in enumerate(near):
        parts.append(_row(each, y + number * _ROW, low, scale))
    y += len(near) * _ROW + 6
    parts.append(line(_LEFT, y, WIDTH - MARGIN, y, FAINT, 1.5))
    parts.append(write(_LEFT, y + 18, f"{low:#x}", SMALL, mono=True))
    parts.append(write(WIDTH - MARGIN, y + 18, f"{high - 1:#x}", SMALL, anchor="end", mono=True))
    parts.append(legend(y + 48, _keys()))
    text = "\n".join([heading, *(_line(each) for each in found)])
    wrong = sum(bool(each.state) for each in found)
    label = f"{heading}: {len(found)} ranges, {wrong} of them not right"
    return picture(heading, y + 68, parts, text, label)


def _summary(near: list[Span], extent: str, far: int) -> str:
    if not near:
        return "No function has an address."
    bars = sum(not each.window for each in near)
    words = f"{bars} BARs and {len(near) - bars} windows in {extent}"
    return f"{words}; {far} more lie above 4 GiB" if far else words


def _row(each: Span, y: float, low: int, scale: float) -> str:
    width = max(_THIN, (each.last - each.first + 1) * scale)
    x = min(_LEFT + (each.first - low) * scale, WIDTH - MARGIN - width)
    label = MARGIN + each.depth * _INDENT
    who = fit(f"{each.place} {each.name}", _LEFT - label - 8, SMALL)
    parts = [write(label, y + 19, who, SMALL, MUTED if each.window else INK)]
    parts.append(line(_LEFT, y + 15, WIDTH - MARGIN, y + 15, FAINT, 1))
    parts.append(_box(each, x, y, width))
    words = f"{each.what}, {each.size}"
    words += f": {each.state}" if each.state else ""
    room = breadth(words, SMALL) + 16
    after = x + width + room <= WIDTH - MARGIN
    at, anchor = (x + width + 8, "start") if after else (x - 8, "end")
    if not after and x - _LEFT < room:
        at, anchor = x + 10, "start"
    halo = VERMILLION_TINT if each.state in ("overlaps", "outside") else PAPER
    parts.append(write(at, y + 20, words, SMALL, anchor=anchor, bold=bool(each.state), halo=halo))
    return "".join(parts)


def _box(each: Span, x: float, y: float, width: float) -> str:
    if each.window:
        return rect(x, y + 2, width, 26, "none", BLUE, 2, 3, "6 4" if each.state else "")
    fill = VERMILLION_TINT if each.state in ("overlaps", "outside") else GREEN_TINT
    box = rect(x, y + 4, width, 22, fill, INK, 0)
    if each.state == "off":
        return box + hatch(x, y + 4, width, 22, MUTED, 7)
    return box + (cross(x + width / 2, y + 15) if each.state else "")


def _keys() -> list[tuple[str, str]]:
    bar = rect(0, 0, 22, 18, GREEN_TINT, INK, 0)
    window = rect(1, 0, 22, 18, "none", BLUE, 2, 3)
    off = rect(0, 0, 22, 18, GREEN_TINT, INK, 0) + hatch(0, 0, 22, 18, MUTED, 7)
    wrong = rect(0, 0, 22, 18, VERMILLION_TINT, INK, 0) + cross(11, 9)
    return [(bar, "BAR"), (window, "window of a bridge"), (off, "not decoded"), (wrong, "wrong")]


def _line(each: Span) -> str:
    return f"{'  ' * each.depth}{each.place} {each.name}: {each.words}"
