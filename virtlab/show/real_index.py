"""A tape as columns: what a list, a filter or a statistic asks of 100,000 moments, in no time.

    row     0      1      2      3                    life   0
    ns      10     25     90     93                   head   3
    kind    kick   pop    push   call                 kick   row 0
    heads          [3]    [3]                         pop    row 1
                                                      push   row 2, call   row 3

The idea: a tape is walked once. What depends on order is found on the way: which push gives back
what a pop took, and which call tells the driver of it. After that a question is a comparison of
arrays.

The rule that keeps it simple: a head may be used again as soon as it is given back. So a chain is
its own thing here, a *life*, from its kick to its call.

Rows are made of `kick` to `refused` (events of a ring), `request` (what a chain asked for),
`command` and `console`. Shots of a ring have no row.

Source: `Event`; virtio 1.3 2.7.13, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.hosts.tape_moments import ChainNote, Moment, Said
from virtlab.show.real_requests import request_words
from virtlab.show.real_screen import plain
from virtlab.virtio.vhost_user.statistics import Event

Mask = npt.NDArray[np.bool_]

EVENTS = ("kick", "pop", "push", "call", "quiet", "start", "stop", "error", "refused")
OTHERS = ("request", "command", "console")
KINDS = EVENTS + OTHERS
"""What a row can be."""

NONE = -1
"""Where an array of rows has none."""


class Row(NamedTuple):
    """One row of the list. `heads` and `lengths` are those of an event."""

    ns: int
    device: str
    kind: str
    ring: int  # NONE for what is of no ring
    heads: Sequence[int]
    lengths: Sequence[int]
    note: str

    @property
    def text(self) -> str:
        """The row in characters, but for its time."""
        pairs = " ".join(f"{h}:{n}" for h, n in zip(self.heads, self.lengths, strict=True))
        ring = f"ring {self.ring}" if self.ring >= 0 else ""
        return " ".join(part for part in (self.device, self.kind, ring, pairs, self.note) if part)


@dataclass
class Lives:
    """Chains from kick to call, one in each place. Rows are `NONE` where nothing was recorded.

    A kick belongs to the chains that are taken next. Those after them needed none.
    """

    head: list[int] = field(default_factory=list)
    kick: list[int] = field(default_factory=list)
    pop: list[int] = field(default_factory=list)
    push: list[int] = field(default_factory=list)
    call: list[int] = field(default_factory=list)


class Index:
    """`moments` as rows. Making one walks over them once."""

    def __init__(self, moments: Iterable[Moment]) -> None:
        self.rows: list[Row] = []
        self.lives = Lives()
        self.of_row: dict[int, int] = {}  # the first life that a row has a part in
        self.asked: dict[int, int] = {}  # the row that says what a life's chain asked for
        self._open: dict[tuple[str, int, int], int] = {}
        self._told: dict[tuple[str, int], list[int]] = {}
        self._rung: dict[tuple[str, int], int] = {}
        for moment in moments:
            self._add(moment)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Index({len(self)} rows, {len(self.lives.head)} chains)"

    # -- making it

    def _add(self, moment: Moment) -> None:
        what = moment.what
        if isinstance(what, Event):
            self._event(moment.ns, moment.device, what)
        elif moment.kind in _NOTES:
            ring, heads, kind, note = _NOTES[moment.kind](moment)
            row = Row(moment.ns, moment.device, kind, ring, heads, [0] * len(heads), note)
            at = self._row(row)
            for head in heads:
                life = self._open.get((moment.device, ring, head))
                if life is not None:
                    self.of_row[at], self.asked[life] = life, at

    def _row(self, row: Row) -> int:
        self.rows.append(row)
        return len(self.rows) - 1

    def _event(self, ns: int, device: str, event: Event) -> None:
        at = self._row(Row(ns, device, *event))
        ring = (device, event.ring)
        if event.kind == "kick":
            self._rung[ring] = at
        elif event.kind == "pop":
            kick = self._rung.pop(ring, NONE)
            for head in event.heads:
                self._take(at, (*ring, head), kick)
        elif event.kind == "push":
            for head in event.heads:
                self._give(at, (*ring, head))
        elif event.kind in ("call", "quiet"):
            self._tell(at, ring, event.kind == "call")

    def _take(self, at: int, chain: tuple[str, int, int], kick: int) -> None:
        lives = self.lives
        self._open[chain] = life = len(lives.head)
        lives.head.append(chain[2])
        lives.kick.append(kick)
        lives.pop.append(at)
        lives.push.append(NONE)
        lives.call.append(NONE)
        self.of_row.setdefault(at, life)
        if kick != NONE:
            self.of_row.setdefault(kick, life)

    def _give(self, at: int, chain: tuple[str, int, int]) -> None:
        life = self._open.pop(chain, None)
        if life is not None:
            self.lives.push[life] = at
            self.of_row.setdefault(at, life)
            self._told.setdefault(chain[:2], []).append(life)

    def _tell(self, at: int, ring: tuple[str, int], called: bool) -> None:
        for life in self._told.pop(ring, []):
            if called:
                self.lives.call[life] = at
            self.of_row.setdefault(at, life)

    # -- columns

    @cached_property
    def ns(self) -> npt.NDArray[np.int64]:
        """(rows,) int64: when."""
        return np.array([row.ns for row in self.rows], np.int64)

    @cached_property
    def kind(self) -> npt.NDArray[np.int8]:
        """(rows,) int8: which of `KINDS`."""
        place = {name: n for n, name in enumerate(KINDS)}
        return np.array([place[row.kind] for row in self.rows], np.int8)

    @cached_property
    def ring(self) -> npt.NDArray[np.int64]:
        """(rows,) int64: which ring; `NONE` for what is of none."""
        return np.array([row.ring for row in self.rows], np.int64)

    @cached_property
    def texts(self) -> list[str]:
        """(rows,) the rows in characters, in small letters: made when first searched."""
        return [row.text.lower() for row in self.rows]

    @cached_property
    def rings(self) -> list[int]:
        """The rings that there are."""
        return sorted(set(self.ring.tolist()) - {NONE})

    @cached_property
    def _heads(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Every head, and the row that it stands in."""
        pairs = [(head, at) for at, row in enumerate(self.rows) for head in row.heads]
        both = np.array(pairs, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def with_head(self, head: int) -> Mask:
        """(rows,) bool: the rows in which `head` stands."""
        found = np.zeros(len(self), bool)
        heads, at = self._heads
        found[at[heads == head]] = True
        return found

    def of_life(self, life: int) -> Mask:
        """(rows,) bool: the rows of one chain, from its kick to its call."""
        lives = self.lives
        parts = (lives.kick, lives.pop, lives.push, lives.call)
        at = [self.asked.get(life, NONE), *(part[life] for part in parts)]
        found = np.zeros(len(self), bool)
        found[[row for row in at if row != NONE]] = True
        return found

    def with_text(self, text: str) -> Mask:
        """(rows,) bool: the rows that contain `text`, in letters of any size."""
        small = text.lower()
        return np.fromiter((small in each for each in self.texts), bool, len(self))

    def of_kind(self, kind: str) -> Mask:
        """(rows,) bool. `ValueError` for what is no kind of a row."""
        if kind not in KINDS:
            raise ValueError(f"no row is a {kind!r}; there are {', '.join(KINDS)}")
        found: Mask = self.kind == KINDS.index(kind)
        return found


# -- what is no event


Noted = tuple[int, Sequence[int], str, str]
"""The ring, the heads, the kind and the note of a row."""


def _request(moment: Moment) -> Noted:
    chain = moment.what
    assert isinstance(chain, ChainNote)
    return chain.ring, [chain.head], "request", request_words(chain)


def _said(moment: Moment) -> Noted:
    said = moment.what
    assert isinstance(said, Said)
    return NONE, (), "command", f"{said.command} -> status {said.status}"


def _console(moment: Moment) -> Noted:
    text = plain(moment.what) if isinstance(moment.what, bytes) else ""
    return NONE, (), "console", text.replace("\r", "").rstrip("\n").replace("\n", " / ")


_NOTES: dict[str, Any] = {
    "chain": _request,
    "said": _said,
    "console": _console,
}
