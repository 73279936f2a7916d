"""The walk of VT-d, drawn: who asks, entry by entry from the real bytes, and where it ends.

    [ root entry    ]  [0x0] at 0x1000   01 20 00 00 ...   P=1            context table 0x2000
          |
    [ context entry ]  [0x28] at 0x2280  ...
          |
    [ the end       ]  a page, or the reason of the fault

The idea: the walk goes down the page, one entry a row. Bytes stand as a dump would show them, the
lowest address first, and beside them what their bits mean.

The rule that keeps it simple: `vtd_picture` draws a `View` (`vtd_rows`) and nothing else. `lit` is
the row under the learner's finger, `said` what the unit did when a card asked it last.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Memory
from virtlab.show.palette import (
    BLUE,
    FAINT,
    GREEN,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    SKY_TINT,
    SMALL,
    VERMILLION,
    VERMILLION_TINT,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.shapes import cross, hatch
from virtlab.show.svg import TOP, Picture, caption, element, fit, line, number, picture, rect, write
from virtlab.show.vtd_rows import Row, View, in_characters, in_words, look, verdict

_FIRST, _ROW, _HIGH = TOP + 48.0, 54.0, 46.0
_NAME, _PLACE, _BYTES, _WORDS = MARGIN + 10.0, 200.0, 336.0, 552.0
_WIDE = WIDTH - 2 * MARGIN
_HEADS = (
    (_NAME, "chosen by"),
    (_PLACE, "where it lies"),
    (_BYTES, "its bytes"),
    (_WORDS, "what they say"),
)


def vtd_walk(
    memory: Memory,
    root_table: int,
    capabilities: Capabilities,
    source_id: int,
    iova: int,
    write: bool = False,
    title: str = "",
) -> Picture:
    """The walk of `iova` for `source_id`, through the tables at `root_table` (gpa)."""
    return vtd_picture(look(memory, root_table, capabilities, source_id, iova, write), title)


class Said(NamedTuple):
    """What the unit itself did when it was asked last; `stale` if the tables say otherwise now."""

    words: str
    stale: bool = False


def vtd_picture(
    view: View, title: str = "", lit: int | None = None, slots: int = 0, said: Said | None = None
) -> Picture:
    """A row for each entry, and the end. `lit` is a row's number, `said` one more line below.

    There is room for `slots` rows, so that the picture is as high for any view that fits.
    """
    heading = title or f"{view.who} {'writes' if view.write else 'reads'} at iova {view.iova:#x}"
    count = len(view.rows) + len(view.missing)
    parts = [caption(TOP + 8, _how(view))]
    parts += [write(x, _FIRST - 10, words, SMALL, MUTED, bold=True) for x, words in _HEADS]
    for place, row in enumerate(view.rows):
        stops = view.reason is not None and place == len(view.rows) - 1
        parts.append(_drawn(row, _FIRST + place * _ROW, place == lit, stops))
    for place, name in enumerate(view.missing, len(view.rows)):
        parts.append(_absent(name, _FIRST + place * _ROW, view.reason is None))
    parts += [_down(_FIRST + place * _ROW) for place in range(len(view.rows) - 1)]
    end = _FIRST + count * _ROW
    parts.append(_end(view, end))
    bottom = _FIRST + max(count, slots) * _ROW + _HIGH + 18
    text = in_characters(view, heading)
    if said is not None:
        parts.append(_unit(said, bottom))
        bottom += _HIGH + 18
        text = f"{text}\nlast request: {said.words}{', STALE' * said.stale}"
    return picture(heading, bottom, parts, text, in_words(view))


def _how(view: View) -> str:
    return f"The source id {view.who} chooses the first two entries, the iova chooses the others."


def _drawn(row: Row, y: float, lit: bool, stops: bool) -> str:
    """One entry: four columns of two lines."""
    tint = VERMILLION_TINT if stops else YELLOW_TINT if lit else SKY_TINT
    stroke, weight = (VERMILLION, 2.5) if stops else (INK, 1.5)
    if lit:
        stroke, weight = BLUE, 4.0
    dump = [row.raw[n : n + 8].hex(" ") for n in range(0, len(row.raw), 8)]
    parts = [
        rect(MARGIN, y, _WIDE, _HIGH, tint, stroke, weight=weight),
        _line(_NAME, y, 0, row.name, _PLACE, bold=True),
        _line(_NAME, y, 1, row.chooser, _PLACE),
        _line(_PLACE, y, 0, f"{row.entry_at:#x}", _BYTES, mono=True),
        _line(_PLACE, y, 1, f"entry {row.number}", _BYTES),
        *(_line(_BYTES, y, n, words, _WORDS, mono=True) for n, words in enumerate(dump)),
        _line(_WORDS, y, 0, row.fields, WIDTH - MARGIN - 24, mono=True),
        _line(_WORDS, y, 1, row.leads, WIDTH - MARGIN - 24),
    ]
    if stops:
        parts.append(cross(WIDTH - MARGIN - 16, y + _HIGH / 2, VERMILLION))
    return "".join(parts)


def _line(
    x: float, y: float, row: int, words: str, end: float, bold: bool = False, mono: bool = False
) -> str:
    shown = fit(words, end - x - 6, SMALL, mono)
    return write(x, y + 19 + 20 * row, shown, SMALL, bold=bold, mono=mono)


def _absent(name: str, y: float, needless: bool) -> str:
    """An entry that the walk did not read."""
    words = "not needed: the page is larger" if needless else "not read"
    return "".join(
        [
            rect(MARGIN, y, _WIDE, _HIGH, stroke=FAINT, dash="6 5"),
            hatch(_BYTES, y + 2, WIDTH - MARGIN - _BYTES - 2, _HIGH - 4),
            write(_NAME, y + 19, name, SMALL, MUTED, bold=True),
            write(_NAME, y + 39, words, SMALL, MUTED),
        ]
    )


def _down(y: float) -> str:
    """From an entry to the next one."""
    x, top = 178.0, y + _HIGH + 1
    tip = number(top + 6)
    points = f"{number(x - 6)},{number(top)} {number(x + 6)},{number(top)} {number(x)},{tip}"
    return element("polygon", points=points, fill=BLUE)


def _unit(said: Said, y: float) -> str:
    """What the unit did, by whatever it remembers."""
    tint, stroke, weight = (YELLOW_TINT, VERMILLION, 3.0) if said.stale else (GREY_TINT, FAINT, 1.5)
    end = WIDTH - MARGIN - 90
    parts = [
        rect(MARGIN, y, _WIDE, _HIGH, tint, stroke, weight=weight),
        write(_NAME, y + 28, "last request", bold=True),
        write(_PLACE, y + 28, fit(said.words, end - _PLACE)),
    ]
    if said.stale:
        parts.append(write(WIDTH - MARGIN - 12, y + 28, "stale", anchor="end", bold=True))
    return "".join(parts)


def _end(view: View, y: float) -> str:
    """Where the request arrives, or why it does not."""
    good = view.reason is None
    tint, stroke = (GREEN_TINT, GREEN) if good else (VERMILLION_TINT, VERMILLION)
    name = "it arrives" if good else "it is refused"
    right = "write" if view.write else "read"
    parts = [
        rect(MARGIN, y, _WIDE, _HIGH, tint, stroke, weight=2.5),
        write(_NAME, y + 28, name, bold=True),
        write(_PLACE, y + 28, fit(verdict(view), WIDTH - MARGIN - 90 - _PLACE), mono=good),
    ]
    if good:
        parts.append(line(WIDTH - MARGIN - 70, y + 10, WIDTH - MARGIN - 70, y + _HIGH - 10, FAINT))
    parts.append(write(WIDTH - MARGIN - 12, y + 28, right, SMALL, MUTED, "end"))
    return "".join(parts)
