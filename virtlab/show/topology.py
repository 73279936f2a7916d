"""The tree of buses, and a request that goes through it hop by hop.

The idea: the tree is `nodes`, and a request is the `Crossing` records that the root complex made
while it was watched. So what the picture shows has happened.

The rule that keeps it simple: one row for one function, one vertical bar for one bus. A crossing
lights the bar from the one row to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from virtlab.pci.packets import MEMORY, NOBODY, PROCESSOR, Crossing
from virtlab.show.nodes import Node
from virtlab.show.palette import (
    BLUE,
    GREEN_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION,
    WIDTH,
)
from virtlab.show.svg import (
    TOP,
    Picture,
    breadth,
    caption,
    element,
    fit,
    line,
    picture,
    rect,
    write,
)

ROW, INDENT, BOX = 34, 58, 26
"""Pixels: from row to row, from bus to bus, and the height of a box."""

_WORDS = {
    "MRd": "a memory read",
    "MWr": "a memory write",
    "IORd": "a port read",
    "IOWr": "a port write",
    "CfgRd0": "a configuration read of type 0",
    "CfgRd1": "a configuration read of type 1",
    "CfgWr0": "a configuration write of type 0",
    "CfgWr1": "a configuration write of type 1",
    "CplD": "a completion with data",
    "Cpl": "a completion without data",
    "Msg": "a message",
    "MsgD": "a message with data",
}


class _Row(NamedTuple):
    """Where a node is drawn: its row, its depth, and the rows of the bus below it."""

    node: Node
    row: int
    depth: int


def topology(
    nodes: Iterable[Node],
    crossings: Sequence[Crossing] = (),
    at: int | None = None,
    title: str = "The tree of buses",
    says: str = "",
    marked: str = "",
    room: int = 0,
) -> Picture:
    """Draw the tree; where there are `crossings`, light those up to number `at` (all of them).

    The last one lit is drawn strong, the ones before it thin. `says` is the line below the title,
    if it is to be another; `marked` is the place of a function to light; there is `room` for at
    least so many rows, so that a picture that grows stays where it is.
    """
    rows = _rows(nodes, 1, 0)
    shown = list(crossings if at is None else crossings[: at + 1])
    lit = {end for crossing in shown[-1:] for end in (crossing.source, crossing.target)}
    lit |= {marked} - {""}
    top = TOP + 30
    parts = [caption(TOP + 8, says or _caption(shown, crossings))]
    parts += _buses(rows, top)
    last = len(shown) - 1
    parts += [_hop(crossing, rows, top, hop == last) for hop, crossing in enumerate(shown)]
    parts += _root(top, lit)
    parts += [_box(each, top, any(end.startswith(each.node.place) for end in lit)) for each in rows]
    height = top + (max(len(rows), room) + 1) * ROW + 8
    text = "\n".join([*_lines(rows), *map(explain_crossing, shown[-1:])])
    found = ", ".join(f"{each.node.place} {each.node.name}" for each in rows)
    label = f"{title}, {len(rows)} functions: {found}."
    label += f" {explain_crossing(shown[-1])}" if shown else ""
    return picture(title, height, parts, text, label)


def explain_crossing(crossing: Crossing) -> str:
    """One hop in a sentence."""
    tlp = crossing.tlp
    what = _WORDS.get(tlp.kind, tlp.kind)
    word = "It is posted: no answer comes." if tlp.posted else ""
    word = "It is non-posted: an answer must come." if tlp.non_posted else word
    if tlp.completion:
        word = "It answers the request." if tlp.status == 0 else "It says: unsupported request."
    where = f"bus {crossing.bus:02x}"
    return f"On {where}, {what} goes from {crossing.source} to {crossing.target}. {word}".strip()


def _caption(shown: Sequence[Crossing], crossings: Sequence[Crossing]) -> str:
    if not shown:
        return "One row a function, one bar a bus."
    return f"Hop {len(shown)} of {len(crossings)}: {shown[-1].tlp}"


def _rows(nodes: Iterable[Node], start: int, depth: int) -> list[_Row]:
    rows: list[_Row] = []
    for node in nodes:
        rows.append(_Row(node, start + len(rows), depth))
        rows += _rows(node.below, start + len(rows), depth + 1)
    return rows


def _x(depth: int) -> float:
    return MARGIN + 26 + depth * INDENT


def _y(index: int, top: float) -> float:
    return top + index * ROW + BOX / 2


def _bar(depth: int) -> float:
    """Where the bus that the nodes of `depth` are on has its bar."""
    return _x(depth) - 16


def _buses(rows: list[_Row], top: float) -> list[str]:
    """A bar for each bus, from its bridge to its last function, and a tick to each function."""
    parts = []
    for each in rows:
        x, y = _bar(each.depth), _y(each.row, top)
        parts.append(line(x, y, _x(each.depth), y, MUTED, 2))
    for parent, depth, children in _families(rows):
        start = top + BOX if parent is None else _y(parent, top) + BOX / 2
        parts.append(line(_bar(depth), start, _bar(depth), _y(children[-1], top), MUTED, 2))
    return parts


def _families(rows: list[_Row]) -> list[tuple[int | None, int, list[int]]]:
    """For each bus with functions: the row of its bridge, the depth, the rows on it."""
    found: dict[int | None, tuple[int, list[int]]] = {}
    path: list[int | None] = [None]
    for each in rows:
        path = [*path[: each.depth + 1], each.row]
        found.setdefault(path[each.depth], (each.depth, []))[1].append(each.row)
    return [(parent, depth, children) for parent, (depth, children) in found.items()]


def _root(top: float, lit: set[str]) -> list[str]:
    """The row of the root complex: what speaks for the processor, and for memory."""
    strong = bool(lit & {PROCESSOR, MEMORY})
    words = "root complex: the processor and memory are behind it"
    width = breadth(words, SMALL) + 20
    box = rect(MARGIN, top, width, BOX, ORANGE_TINT, BLUE if strong else INK, 4, 3 if strong else 1)
    number = write(MARGIN + width + 12, top + 18, "bus 00", SMALL, MUTED, mono=True)
    return [box, write(MARGIN + 10, top + 18, words, SMALL), number]


def _box(each: _Row, top: float, lit: bool) -> str:
    node, x, y = each.node, _x(each.depth), top + each.row * ROW
    tint = SKY_TINT if node.behind else GREEN_TINT
    left = x + breadth(node.place, SMALL, mono=True) + 20
    room = WIDTH - MARGIN - left - 20 - breadth(node.behind, SMALL)
    name = fit(node.name, room, SMALL)
    width = left - x + breadth(name, SMALL) + 8
    parts = [rect(x, y, width, BOX, tint, BLUE if lit else INK, 4, 3 if lit else 1)]
    parts.append(write(x + 8, y + 18, node.place, SMALL, mono=True, bold=lit))
    parts.append(write(left, y + 18, name, SMALL))
    if node.behind:
        parts.append(write(x + width + 10, y + 18, node.behind, SMALL, MUTED))
    return "".join(parts)


def _hop(crossing: Crossing, rows: list[_Row], top: float, last: bool) -> str:
    """A crossing as a line along its bus, from row to row, with an arrow head at its end."""
    one, two = _row_of(crossing.source, rows), _row_of(crossing.target, rows)
    depth = max(_depth(one, rows), _depth(two, rows))
    nobody = NOBODY in (crossing.source, crossing.target)
    if nobody:
        depth = _depth(one if crossing.target == NOBODY else two, rows) + 1
    x = _bar(depth)
    start, end = _edge(one, depth, rows, top), _edge(two, depth, rows, top)
    if nobody and crossing.target == NOBODY:
        end = start + ROW * 0.6
    elif nobody:
        start = end + ROW * 0.6
    stroke = VERMILLION if nobody else BLUE
    drawn = line(x, start, x, end, stroke, 6 if last else 2.5)
    return drawn + (_head(x, end, end >= start, stroke) if last else "")


def _head(x: float, y: float, down: bool, stroke: str) -> str:
    tip, back = (y + 4, y - 10) if down else (y - 4, y + 10)
    path = f"M{x - 8} {back}L{x} {tip}L{x + 8} {back}Z"
    return element("path", d=path, fill=stroke)


def _row_of(end: str, rows: list[_Row]) -> int:
    """The row of an end; 0 for the root complex, and for nobody."""
    place = end.partition(" ")[0]
    return next((each.row for each in rows if each.node.place == place), 0)


def _depth(index: int, rows: list[_Row]) -> int:
    return rows[index - 1].depth if index else -1


def _edge(index: int, depth: int, rows: list[_Row], top: float) -> float:
    """Where on its bar a hop meets a row: at a function's tick, or under its bridge's box."""
    if _depth(index, rows) == depth:
        return _y(index, top)
    return _y(index, top) + BOX / 2


def _lines(rows: list[_Row]) -> list[str]:
    """The tree as text."""
    said = ["root complex: bus 00"]
    for each in rows:
        node = each.node
        words = f"{node.place} {node.name}" + (f" -> {node.behind}" if node.behind else "")
        said.append("  " * (each.depth + 1) + words)
    return said
