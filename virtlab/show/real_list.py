"""A tape as a list with a place in it, and the life of the chain that is there.

    0.025000  pop   ring 0  3:4113         |  the life of chain 3
  > 0.090200  push  ring 0  3:1            |  kick
    0.093100  call  ring 0                 |  pop     12.1 us later
                                           |  push    65.2 us later

The idea: the list is what is left by a filter. Only the rows around the place are drawn, so a tape
of 100,000 rows is as quick as one of ten. Beside the list stands the chain: its four moments, and
the times between them.

The rule that keeps it simple: a filter is a value, and what it leaves is an array of row numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.show.palette import (
    BODY,
    FAINT,
    GREEN_TINT,
    GREY_TINT,
    INK,
    MARGIN,
    MUTED,
    ORANGE_TINT,
    PURPLE_TINT,
    SKY_TINT,
    SMALL,
    VERMILLION_TINT,
    WHITE,
    WIDTH,
    YELLOW_TINT,
)
from virtlab.show.real_index import NONE, Index, Row
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, line, picture, rect, write

ROWS = 15
"""Rows that are drawn."""

TINTS = {
    "kick": YELLOW_TINT,
    "pop": SKY_TINT,
    "push": GREEN_TINT,
    "call": ORANGE_TINT,
    "error": VERMILLION_TINT,
    "refused": VERMILLION_TINT,
    "request": PURPLE_TINT,
}
"""The colour of a kind, beside its word; grey for the others."""

_LIST, _ROW = 560.0, 26.0
_PANEL = MARGIN + _LIST + 20
_TAG = 74.0


class Filter(NamedTuple):
    """What is shown: rows of this kind, ring and head that contain `text`. None: of any.

    A head is used again and again. `life` is one chain alone, by its place in `Index.lives`.
    """

    kind: str | None = None
    ring: int | None = None
    head: int | None = None
    text: str = ""
    life: int | None = None

    @property
    def empty(self) -> bool:
        """Whether everything is shown."""
        return self == Filter()


def chosen(index: Index, wanted: Filter) -> npt.NDArray[np.int64]:
    """(n,) the rows that a filter leaves, in order."""
    left = np.ones(len(index), bool)
    if wanted.kind is not None:
        left &= index.of_kind(wanted.kind)
    if wanted.ring is not None:
        left &= index.ring == wanted.ring
    if wanted.head is not None:
        left &= index.with_head(wanted.head)
    if wanted.text:
        left &= index.with_text(wanted.text)
    if wanted.life is not None:
        left &= index.of_life(wanted.life)
    return np.flatnonzero(left)


# -- the life of a chain


class Step(NamedTuple):
    """One moment of a chain's life: what, in which row, and how long after the step before (ns)."""

    what: str
    row: int
    after: int


def life_at(index: Index, row: int, life: int | None = None) -> int | None:
    """The life that a row belongs to: `life` if that is known, else the first; None if to none."""
    return index.of_row.get(row) if life is None else life


def life_of(index: Index, row: int, life: int | None = None) -> list[Step]:
    """The life that row `row` has a part in, step by step; empty if it has none."""
    life = life_at(index, row, life)
    if life is None:
        return []
    lives, ns = index.lives, index.ns
    rows = [(what, getattr(lives, what)[life]) for what in ("kick", "pop", "push", "call")]
    steps: list[Step] = []
    for what, at in rows:
        if at != NONE:
            after = int(ns[at] - ns[steps[-1].row]) if steps else 0
            steps.append(Step(what, at, after))
    return steps


def life_words(index: Index, row: int, life: int | None = None) -> str:
    """The life in a sentence; empty if the row has none."""
    life = life_at(index, row, life)
    if life is None:
        return ""
    steps, head = life_of(index, row, life), index.lives.head[life]
    parts = [f"`{step.what}` {_after(step.after)} later" for step in steps[1:]]
    start = f"Chain {head}: `{steps[0].what}` at {_time(index.rows[steps[0].row].ns)} s"
    return f"{start}{''.join(', ' + part for part in parts)}."


# -- drawing


def list_picture(
    index: Index,
    rows: npt.NDArray[np.int64],
    at: int,
    title: str = "A trace",
    life: int | None = None,
) -> Picture:
    """The rows around place `at` of `rows`, with that one's chain beside them, or with `life`."""
    if not len(rows):
        words = "No row is left by this filter."
        return picture(
            title, TOP + 60, [caption(TOP + 20, words)], f"{title}\n{words}", f"{title}: {words}"
        )
    start = min(max(0, at - ROWS // 2), max(0, len(rows) - ROWS))
    shown = rows[start : start + ROWS].tolist()
    here = int(rows[at])
    top = TOP + 28
    parts = [
        caption(
            TOP + 4,
            f"row {at + 1} of {len(rows)}; the tape has {len(index)}. Times are in seconds.",
        )
    ]
    for n, number in enumerate(shown):
        parts.append(_row(top + n * _ROW, index.rows[number], number == here))
    bottom = top + max(len(shown), ROWS) * _ROW
    parts.append(line(_PANEL - 10, top, _PANEL - 10, bottom, FAINT))
    parts += _panel(top, index, here, life)
    text = [title, f"row {at + 1} of {len(rows)}"]
    text += [_line(index.rows[number], number == here) for number in shown]
    text.append(life_words(index, here, life).replace("`", ""))
    label = f"{title}: {_line(index.rows[here], False)}"
    return picture(title, bottom + 14, parts, "\n".join(each for each in text if each), label)


def _row(y: float, row: Row, current: bool) -> str:
    parts = []
    if current:
        parts.append(rect(MARGIN - 6, y, _LIST + 12, _ROW - 2, YELLOW_TINT, INK, 4, 2))
    parts.append(write(MARGIN + 92, y + 17, _time(row.ns), SMALL, MUTED, "end", mono=True))
    parts.append(rect(MARGIN + 102, y + 2, _TAG, 20, TINTS.get(row.kind, GREY_TINT), FAINT, 4, 1))
    middle = MARGIN + 102 + _TAG / 2
    parts.append(write(middle, y + 17, row.kind, SMALL, INK, "middle", current))
    x = MARGIN + 102 + _TAG + 10
    shown = fit(what_words(row), MARGIN + _LIST - x, SMALL, mono=True)
    parts.append(write(x, y + 17, shown, SMALL, INK, mono=True))
    return "".join(parts)


def what_words(row: Row) -> str:
    """A row without its time and kind."""
    ring = f"ring {row.ring}" if row.ring >= 0 else ""
    if row.kind == "request":
        return f"{ring}  {row.heads[0]}: {row.note}"
    few = list(zip(row.heads, row.lengths, strict=True))[:6]
    chains = " ".join(f"{head}:{length}" for head, length in few)
    more = f"... {len(row.heads)} chains" if len(row.heads) > len(few) else ""
    return "  ".join(part for part in (ring, chains, more, row.note) if part)


def _panel(y: float, index: Index, at: int, life: int | None) -> list[str]:
    """The row in full, and its chain's life as a ladder."""
    row, wide = index.rows[at], WIDTH - MARGIN - _PANEL
    parts = [write(_PANEL, y + 16, f"{row.kind} at {_time(row.ns)} s", BODY, INK, bold=True)]
    listed = _said(row, int(wide / breadth("n", SMALL)))
    for n, words in enumerate(listed):
        parts.append(write(_PANEL, y + 40 + 20 * n, words, SMALL, MUTED))
    life = life_at(index, at, life)
    top = y + 40 + 20 * len(listed) + 14
    if life is None:
        parts.append(write(_PANEL, top, "no chain belongs to it", SMALL, MUTED))
        return parts
    head, steps = index.lives.head[life], life_of(index, at, life)
    parts.append(write(_PANEL, top, f"the life of chain {head}", SMALL, INK, bold=True))
    for n, step in enumerate(steps):
        parts.append(_step(top + 14 + 52 * n, step, step.row == at, wide, n == len(steps) - 1))
    return parts


def _step(y: float, step: Step, current: bool, wide: float, last: bool) -> str:
    box = rect(_PANEL, y, 84, 28, TINTS.get(step.what, WHITE), INK, 6, 3 if current else 1.5)
    parts = [box, write(_PANEL + 42, y + 19, step.what, SMALL, INK, "middle", current)]
    if step.after:
        parts.append(write(_PANEL + 94, y + 19, f"{_after(step.after)} later", SMALL, MUTED))
    if not last:
        parts.append(line(_PANEL + 42, y + 28, _PANEL + 42, y + 52, INK, 2))
    return "".join(parts)


def _said(row: Row, most: int) -> list[str]:
    """What stands in a row, in lines of at most `most` characters; five of them."""
    lines = [""]
    for word in (what_words(row) or "nothing more").split():
        if len(lines[-1]) + len(word) + 1 > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[:most]
    return lines[:5]


def _line(row: Row, current: bool) -> str:
    mark = ">" if current else " "
    return f"{mark} {_time(row.ns):>12}  {row.kind:<8} {what_words(row)}".rstrip()


def _time(ns: int) -> str:
    """Seconds, to the microsecond."""
    return f"{ns / 1e9:.6f}"


def _after(ns: int) -> str:
    """A time between two steps, in a unit that suits it.

    >>> _after(950), _after(65_200), _after(12_000_000)
    ('950 ns', '65.2 us', '12.0 ms')
    """
    if ns < 1000:
        return f"{ns} ns"
    return f"{ns / 1000:.1f} us" if ns < 1_000_000 else f"{ns / 1e6:.1f} ms"
