"""The circle of positions: the arc that the index went, the place that was asked for, the formula.

The idea: the circle is true to scale, so on one of 65536 places a small batch is a thin line. The
strip beside it shows the same places from two before `old` on, one cell each.

The rule that keeps it simple: the arc is clockwise, as indices grow. A cell that was passed is
tinted, the one that was asked for has a diamond; both have words too.
"""

from __future__ import annotations

from math import cos, pi, sin

from virtlab.show.notify_state import DRIVER, Threshold, explain, formula, name_of
from virtlab.show.palette import (
    BLUE,
    BODY,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE,
    ORANGE_TINT,
    SMALL,
    TITLE,
    VERMILLION,
    WHITE,
    WIDTH,
)
from virtlab.show.shapes import legend
from virtlab.show.svg import TOP, Picture, element, fit, line, number, picture, rect, write
from virtlab.virtio.packed_layouts import to_word

_X, _Y, _RADIUS = 196.0, 250.0, 118.0
_LEFT, _CELL, _CELLS = 396, 51, 10
_STRIP = TOP + 68
_HEIGHT = 452


def threshold_picture(state: Threshold, title: str = "Was the threshold passed?") -> Picture:
    """The circle, the strip, the formula and the verdict."""
    parts = [*_circle(state), *_strip(state), *_formula(state), _verdict(state)]
    keys = [
        (_dot(15, 9, BLUE), "old"),
        (_arrow_head(15, 9, 0), "new"),
        (_diamond(15, 9), f"event: {state.asked}"),
    ]
    parts.append(legend(_HEIGHT - 22, keys))
    said = explain(state).replace("`", "")
    text = "\n".join([title, f"places: {state.modulus}", _strip_text(state), *formula(state), said])
    return picture(title, _HEIGHT, parts, text, f"{title} {said}")


# -- the circle


def _at(state: Threshold, position: float, radius: float) -> tuple[float, float]:
    """Where a position is on a circle of `radius`; 0 is at the top."""
    angle = 2 * pi * position / state.modulus
    return _X + radius * sin(angle), _Y - radius * cos(angle)


def _circle(state: Threshold) -> list[str]:
    ring = element("circle", cx=_X, cy=_Y, r=_RADIUS, fill=WHITE, stroke=FAINT, stroke_width=16)
    parts = [ring, _arc(state), *_ticks(state)]
    parts.append(_dot(*_at(state, state.old, _RADIUS), BLUE))
    x, y = _at(state, state.new, _RADIUS)
    parts.append(_arrow_head(x, y, 360 * state.new / state.modulus))
    parts.append(_diamond(*_at(state, state.event, _RADIUS + 20)))
    if state.packed:
        names = [f"a ring of {state.size}", "two laps:", "wrap 1, then wrap 0"]
    else:
        names = ["65536 places,", "then 0 again"]
    for row, words in enumerate(names):
        parts.append(write(_X, _Y - 8 + 22 * row, words, SMALL, MUTED, "middle"))
    return parts


def _arc(state: Threshold) -> str:
    """From `old` to `new`, clockwise."""
    if not state.passed:
        return ""
    x1, y1 = _at(state, state.old, _RADIUS)
    x2, y2 = _at(state, state.new, _RADIUS)
    far = int(2 * state.passed > state.modulus)
    r = number(_RADIUS)
    d = f"M{number(x1)} {number(y1)}A{r} {r} 0 {far} 1 {number(x2)} {number(y2)}"
    return element("path", d=d, stroke=ORANGE, stroke_width=16, fill="none")


def _ticks(state: Threshold) -> list[str]:
    """A mark at each place of a small circle; at each quarter of a large one."""
    many = state.modulus if state.packed else 4
    parts = []
    for step in range(many):
        position = step * state.modulus // many
        (x1, y1), (x2, y2) = _at(state, position, _RADIUS - 14), _at(state, position, _RADIUS - 6)
        parts.append(line(x1, y1, x2, y2, MUTED, 1.5))
        if step * 4 % many == 0:
            x, y = _at(state, position, _RADIUS - 38)
            parts.append(
                write(x, y + 5, name_of(state, position), SMALL, MUTED, "middle", mono=True)
            )
    return parts


def _dot(x: float, y: float, stroke: str) -> str:
    return element("circle", cx=x, cy=y, r=7, fill=WHITE, stroke=stroke, stroke_width=4)


def _arrow_head(x: float, y: float, degrees: float) -> str:
    """A triangle that points clockwise at `degrees` from the top."""
    turn = f"translate({number(x)} {number(y)}) rotate({number(degrees)})"
    return element("path", d="M9 0L-7 -9L-7 9Z", fill=INK, transform=turn)


def _diamond(x: float, y: float) -> str:
    turn = f"translate({number(x)} {number(y)})"
    return element(
        "path",
        d="M0 -9L9 0L0 9L-9 0Z",
        fill=VERMILLION,
        stroke=INK,
        stroke_width=1.5,
        transform=turn,
    )


# -- the strip


def _places(state: Threshold) -> list[int]:
    """The places that are drawn, from two before `old` on."""
    return [(state.old - 2 + cell) % state.modulus for cell in range(_shown(state))]


def _shown(state: Threshold) -> int:
    return min(_CELLS, state.modulus)


def _was_passed(state: Threshold, position: int) -> bool:
    return (position - state.old) % state.modulus < state.passed


def _strip(state: Threshold) -> list[str]:
    thing = "offset/wrap of each descriptor" if state.packed else "the entries"
    parts = [write(_LEFT, TOP + 16, f"{thing}, from two before old", SMALL, MUTED)]
    places = _places(state)
    for cell, position in enumerate(places):
        x = _LEFT + cell * _CELL
        tint = ORANGE_TINT if _was_passed(state, position) else WHITE
        parts.append(rect(x, _STRIP, _CELL - 4, 34, tint, INK, 3, 1.5))
        label = name_of(state, position)
        parts.append(
            write(x + (_CELL - 4) / 2, _STRIP + 22, label, SMALL, INK, "middle", mono=True)
        )
        if position == state.event:
            parts.append(_diamond(x + (_CELL - 4) / 2, _STRIP - 14))
    x = _LEFT + 2 * _CELL - 2
    parts.append(_dot(x, _STRIP + 48, BLUE))
    end = 2 + state.passed
    if end <= len(places):
        parts.append(_arrow_head(_LEFT + end * _CELL - 2, _STRIP + 48 + (14 if end == 2 else 0), 0))
    else:
        further = f"{end - len(places)} more passed"
        parts.append(write(WIDTH - MARGIN, _STRIP + 53, further, SMALL, MUTED, "end"))
    return parts


def _strip_text(state: Threshold) -> str:
    cells = []
    for position in _places(state):
        label = name_of(state, position) + ("*" if position == state.event else "")
        cells.append(f"[{label}]" if _was_passed(state, position) else f" {label} ")
    return " ".join(cells).rstrip() + "    [passed]  * asked for"


# -- the formula


def _formula(state: Threshold) -> list[str]:
    top = _STRIP + 84
    first, second, _ = formula(state)
    parts = [rect(_LEFT, top, WIDTH - MARGIN - _LEFT, 92, GREY_TINT, FAINT, 6)]
    room = WIDTH - MARGIN - _LEFT - 24
    for row, words in enumerate((first, second)):
        shown = fit(words, room, SMALL, True)
        parts.append(write(_LEFT + 12, top + 26 + 26 * row, shown, SMALL, mono=True))
    word = f"event as the ring's word: {to_word(state.event, state.size):#06x}"
    note = word if state.packed else "16-bit numbers: what is below 0 counts from the top"
    parts.append(write(_LEFT + 12, top + 78, note, SMALL, MUTED))
    return parts


def _verdict(state: Threshold) -> str:
    top = _STRIP + 188
    call = "ring the bell" if state.mover == DRIVER else "interrupt"
    words = f"{formula(state)[2].partition(':')[0]}: {call if state.notify else 'stay silent'}"
    sign = "yes" if state.notify else "no"
    box = rect(
        _LEFT, top, WIDTH - MARGIN - _LEFT, 46, GREEN_TINT if state.notify else WHITE, INK, 6, 2
    )
    lead = write(_LEFT + 16, top + 30, sign, TITLE, INK, bold=True)
    return box + lead + write(_LEFT + 66, top + 29, words, BODY, bold=True)
