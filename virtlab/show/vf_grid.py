"""Routing ids as a map: a panel for each bus, a column for each device, a row for each function.

    bus 01        00  01  02  03 ...      device
          .0      PF   o                  the PF, then its VFs downwards, then the next column
          .1       o   o
    function

The idea: a routing id is bus, device, function. Its map shows what one addition does: VFs follow
each other down a column, into the next one, and over the end of a bus.

The rule that keeps it simple: a cell is free, a physical function, a virtual one, another function,
or out of reach. Each has its own mark, so colour carries nothing alone.

Source: PCI Express 3.0, 2.2.4.2 and 6.13 (device and function numbers); SR-IOV 1.1, 2.1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from virtlab.pci.bus import Bus
from virtlab.pci.routing_ids import BUS, FUNCTIONS
from virtlab.pci.sriov import Sharing
from virtlab.pci.tlp import SOURCE_ID, bdf_text, source_id
from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SMALL,
    WHITE,
)
from virtlab.show.shapes import hatch, legend
from virtlab.show.svg import TOP, Picture, element, line, number, picture, rect, write

PF, VF, OTHER = "PF", "VF", "another function"
DEVICES = BUS // FUNCTIONS

_CELL, _ROW = 26, 18
_LEFT = MARGIN + 44
_HEAD = 46
"""Pixels above a panel's cells: the bus's name, the devices' numbers."""

PANEL = _HEAD + FUNCTIONS * _ROW + 16
"""Pixels that one bus takes."""


def panels(
    marks: Mapping[int, str],
    buses: Sequence[int],
    top: float,
    narrow: Sequence[int] = (),
    chosen: int | None = None,
) -> list[str]:
    """A panel for each of `buses`, the first at `top`. `marks` gives a kind for each routing id.

    On the `narrow` buses only device 0 can be reached. `chosen` is a routing id to mark.
    """
    end = _LEFT + DEVICES * _CELL
    parts = [write(end, top + 16, "devices across, functions down", SMALL, MUTED, "end")]
    for row, bus in enumerate(buses):
        y = top + row * PANEL
        parts += _panel(bus, y, bus in narrow)
        here = {rid: kind for rid, kind in marks.items() if SOURCE_ID.BUS.get(rid) == bus}
        parts += _cells(here, y + _HEAD)
        if chosen is not None and SOURCE_ID.BUS.get(chosen) == bus:
            x, at = _corner(chosen, y + _HEAD)
            parts.append(rect(x - 1, at - 1, _CELL + 2, _ROW + 2, "none", INK, 2, 4))
    return parts


def _panel(bus: int, y: float, narrow: bool) -> list[str]:
    """An empty bus."""
    name = f"bus {bus:02x}" + (": only device 00 can be reached" if narrow else "")
    parts = [write(MARGIN, y + 16, name, bold=True)]
    for device in range(DEVICES):
        middle = _LEFT + device * _CELL + _CELL / 2
        parts.append(write(middle, y + 40, f"{device:02x}", SMALL, MUTED, "middle", mono=True))
    top, width, height = y + _HEAD, DEVICES * _CELL, FUNCTIONS * _ROW
    parts.append(rect(_LEFT, top, width, height, WHITE, INK, 0, 1.5))
    if narrow:
        parts.append(rect(_LEFT + _CELL, top, width - _CELL, height, GREY_TINT, "none", 0))
        parts.append(hatch(_LEFT + _CELL, top, width - _CELL, height, gap=18))
    parts.append(_lines(top))
    for function in range(FUNCTIONS):
        at = top + function * _ROW + 14
        parts.append(write(_LEFT - 8, at, f".{function}", SMALL, MUTED, "end", mono=True))
    return parts


def _lines(top: float) -> str:
    width, height = DEVICES * _CELL, FUNCTIONS * _ROW
    down = [f"M{_LEFT + n * _CELL} {number(top)}v{height}" for n in range(1, DEVICES)]
    across = [f"M{_LEFT} {number(top + n * _ROW)}h{width}" for n in range(1, FUNCTIONS)]
    return element("path", d="".join(down + across), stroke=FAINT, stroke_width=1, fill="none")


def _corner(rid: int, top: float) -> tuple[float, float]:
    """The upper left corner of a routing id's cell."""
    device, function = SOURCE_ID.DEVICE.get(rid), SOURCE_ID.FUNCTION.get(rid)
    return _LEFT + device * _CELL, top + function * _ROW


def _cells(marks: Mapping[int, str], top: float) -> list[str]:
    """What is on one bus: one path for all VFs, because there may be hundreds."""
    virtual = [_corner(rid, top) for rid, kind in marks.items() if kind == VF]
    boxes = "".join(f"M{number(x)} {number(y)}h{_CELL}v{_ROW}h-{_CELL}z" for x, y in virtual)
    dots = "".join(f"M{number(x + _CELL / 2)} {number(y + _ROW / 2)}h0" for x, y in virtual)
    parts = []
    if virtual:
        parts.append(element("path", d=boxes, fill=GREEN_TINT, stroke=INK, stroke_width=1))
        parts.append(element("path", d=dots, stroke=INK, stroke_width=6, stroke_linecap="round"))
    parts += [_named(kind, *_corner(rid, top)) for rid, kind in marks.items() if kind != VF]
    return parts


def _named(kind: str, x: float, y: float) -> str:
    """A cell that is no VF."""
    if kind == PF:
        words = write(x + _CELL / 2, y + 14, "PF", SMALL, WHITE, "middle", bold=True)
        return rect(x, y, _CELL, _ROW, BLUE, INK, 0, 1) + words
    bar = line(x + 6, y + _ROW / 2, x + _CELL - 6, y + _ROW / 2, INK, 3)
    return rect(x, y, _CELL, _ROW, ORANGE_TINT, INK, 0, 1) + bar


def keys(others: bool = False, narrow: bool = False) -> list[tuple[str, str]]:
    """The legend's swatches."""
    dot = element(
        "path", d=f"M13 {_ROW / 2:g}h0", stroke=INK, stroke_width=6, stroke_linecap="round"
    )
    found = [
        (_named(PF, 0, 0), "physical function"),
        (rect(0, 0, _CELL, _ROW, GREEN_TINT, INK, 0, 1) + dot, "virtual function"),
    ]
    if others:
        found.append((_named(OTHER, 0, 0), OTHER))
    if narrow:
        shaded = rect(0, 0, _CELL, _ROW, GREY_TINT, FAINT, 0, 1) + hatch(0, 0, _CELL, _ROW, gap=9)
        found.append((shaded, "out of reach"))
    return found


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers that follow each other, such as routing ids, as `(first, last)`."""
    found: list[tuple[int, int]] = []
    for each in sorted(numbers):
        if found and found[-1][1] == each - 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found


def lines(marks: Mapping[int, str], buses: Sequence[int]) -> list[str]:
    """The map in characters: a line for each bus."""
    said = []
    for bus in buses:
        first = source_id(bus, 0, 0)
        here = {rid: kind for rid, kind in marks.items() if first <= rid < first + BUS}
        words = [
            f"{kind} {_span(*run)}"
            for kind in (PF, VF, OTHER)
            for run in runs(rid for rid, each in here.items() if each == kind)
        ]
        said.append(f"bus {bus:02x}: {', '.join(words) or 'nothing'}")
    return said


def _span(first: int, last: int) -> str:
    return bdf_text(first) if first == last else f"{bdf_text(first)} to {bdf_text(last)}"


def kinds_of(top: Bus) -> dict[int, str]:
    """What each function on `top` and below it is, by routing id."""
    kinds = {}
    for function in top.walk():
        kind = PF if function.config.find(Sharing) is not None else OTHER
        kinds[function.source_id] = VF if function.share is not None else kind
    return kinds


def function_map(
    marks: Mapping[int, str],
    title: str = "The functions, by routing id",
    buses: Sequence[int] = (),
    chosen: int | None = None,
    narrow: Sequence[int] = (),
) -> Picture:
    """The functions of a machine on `buses`, or on all that have any.

    `marks` gives `PF`, `VF` or `OTHER` for each routing id. On the `narrow` buses only device 0 can
    be reached. `ValueError` for no function at all.
    """
    shown = list(buses) or sorted({SOURCE_ID.BUS.get(rid) for rid in marks})
    if not shown:
        raise ValueError("give at least one function to draw")
    parts = panels(marks, shown, TOP, narrow, chosen)
    height = TOP + len(shown) * PANEL + 30
    kinds = {kind for rid, kind in marks.items() if SOURCE_ID.BUS.get(rid) in shown}
    parts.append(legend(height - 14, keys(OTHER in kinds, bool(set(narrow) & set(shown)))))
    text = lines(marks, shown)
    return picture(title, height, parts, "\n".join([title, *text]), f"{title}: {'; '.join(text)}")
