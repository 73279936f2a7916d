"""A Wireshark for virtqueues: a tape, or a file of ``virtlab serve --trace``, opened and searched.

    First  Back  Step  Last   Go to         Kind   Ring   Head   Text          Reset
    This chain only                         Show: the list, the figures

The idea: on a wire everybody sees the packets. A virtqueue is memory, and only its two sides see
what lies there. The back-end wrote it down, and this is the window to look at it.

The rule that keeps it simple: the state is a filter, a place among the rows that it leaves, and
which of two pictures is shown. Every control makes a new state; `Reset` is the first one.

    TraceView.of_file("disk.jsonl")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import Moment
from virtlab.show.real_figures import figures, figures_picture
from virtlab.show.real_index import KINDS, NONE, Index
from virtlab.show.real_list import Filter, chosen, life_words, list_picture, what_words
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    entry,
    number_box,
    quoted,
    row,
    said,
    sentence,
    shown,
    whole,
)

PAGE = 10
"""Rows that the larger steps pass."""

FAR = 1 << 40
"""More rows than there are."""

ALL = Filter()
"""What leaves every row."""


@dataclass(frozen=True, slots=True)
class State:
    """A filter, a place (from 0) among the rows that it leaves, and whether figures are shown."""

    wanted: Filter = ALL
    at: int = 0
    figures: bool = False


def moved(state: State, count: int, step: int) -> State:
    """`step` places further among `count` rows, or as far as it goes."""
    return replace(state, at=min(max(0, state.at + step), max(0, count - 1)))


def filtered(state: State, rows: npt.NDArray[np.int64], here: int, wanted: Filter) -> State:
    """Another filter, which leaves `rows`: at the row `here`, or at the next one that is left."""
    at = int(np.searchsorted(rows, here))
    return replace(state, wanted=wanted, at=min(at, max(0, len(rows) - 1)))


class TraceView(Shell):
    """The moments of `source` in a list that can be filtered. `start` is the row shown first.

    `source` is a `Tape`, a list of moments, or a session of `virtlab.hosts.live`. What a session
    has done since is seen by `read_again`.
    """

    def __init__(self, source: Any, title: str = "A trace", start: int = 0) -> None:
        self.source = source
        self.index = Index(moments_of(source))
        self.title = title
        self._rows = chosen(self.index, ALL)
        self.first = self.state = moved(State(), len(self._rows), start)
        self._picture, self._says = drawing(), sentence()
        self._following = False
        super().__init__(
            "TraceView: the events of the rings",
            [self._picture, self._says, self._moves(), self._filters()],
        )
        self._listen()
        self._show()

    @classmethod
    def of_file(cls, path: str | PathLike[str]) -> TraceView:
        """The tape or trace in a file. `FileError`, `OSError`: see `Tape.read`."""
        return cls(Tape.read(path))

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """(n,) the rows that are listed."""
        return self._rows

    # -- what can be done

    def go(self, step: int) -> None:
        """So many rows further, or back."""
        self._take(moved(self.state, len(self._rows), step))

    def filter(self, wanted: Filter) -> None:
        """List only these rows, from the one that is shown now on."""
        here = int(self._rows[self.state.at]) if len(self._rows) else 0
        self._rows = chosen(self.index, wanted)
        self._take(filtered(self.state, self._rows, here, wanted))

    def follow(self) -> None:
        """List only the rows of this row's chain; once more, and all rows are there again.

        Of a row with several chains it is the first.
        """
        if self.state.wanted.life is not None:
            self.filter(ALL)
            return
        here = int(self._rows[self.state.at]) if len(self._rows) else NONE
        life = self.index.of_row.get(here)
        if life is None:
            self._says.value = said("This row belongs to no chain. Choose a `pop` or a `push`.")
            return
        self.filter(Filter(life=life))

    def reset(self) -> None:
        """Everything, from where it started."""
        self._rows = chosen(self.index, ALL)
        self._take(self.first)

    def read_again(self) -> None:
        """What the source has by now, with the same filter, at the same place.

        A filter for what is not there any more is taken away: a long session keeps its end alone.
        """
        self.index = Index(moments_of(self.source))
        kinds, rings = _kinds(self.index), _rings(self.index)
        wanted = self.state.wanted
        if wanted.kind not in dict(kinds):
            wanted = wanted._replace(kind=None)
        if wanted.ring not in self.index.rings:
            wanted = wanted._replace(ring=None)
        self._rows = chosen(self.index, wanted)
        self._following = True
        self._kind.options, self._ring.options = kinds, rings
        self._go.max = max(1, len(self.index))
        self._take(moved(replace(self.state, wanted=wanted), len(self._rows), 0))

    # -- the shell

    def _moves(self) -> Any:
        steps = {
            "First": -FAR,
            f"Back {PAGE}": -PAGE,
            "Back": -1,
            "Step": 1,
            f"Step {PAGE}": PAGE,
            "Last": FAR,
        }
        buttons = [button(words, partial(self.go, step)) for words, step in steps.items()]
        self._go = number_box("Go to", self.state.at + 1, max(1, len(self.index)), "19em")
        self._go.description = "Go to row"  # how many there are, the picture says
        again = button("Read again", self.read_again, "What was recorded since")
        lives = [again] if hasattr(self.source, "tape") else []
        return row(*buttons, self._go, *lives, button("Reset", self.reset))

    def _filters(self) -> Any:
        self._kind = choice("Kind", _kinds(self.index), "")
        self._ring = choice("Ring", _rings(self.index), NONE)
        self._head = entry("Head", "")
        self._text = entry("Text", "")
        self._head.layout.width = "9em"
        self._what = choice("Show", [("the list", False), ("the figures", True)], False)
        tip = "List only the rows of this chain; press again for all rows"
        chain = button("This chain only", self.follow, tip)
        return row(self._kind, self._ring, self._head, self._text, chain, self._what)

    def _listen(self) -> None:
        self._go.observe(self._gone, "value")
        for control in (self._kind, self._ring, self._head, self._text):
            control.observe(self._wanted, "value")
        self._what.observe(self._looked, "value")

    def _gone(self, change: Any) -> None:
        if not self._following:
            self.go(change["new"] - 1 - self.state.at)

    def _looked(self, change: Any) -> None:
        if not self._following:
            self._take(replace(self.state, figures=change["new"]))

    def _wanted(self, _: Any) -> None:
        """One of the four fields of the filter is another one."""
        if self._following:
            return
        typed = self._head.value.strip()
        head = whole(typed) if typed else None
        if typed and head is None:
            self._take(self.state)  # the box has again what it had
            self._says.value = said(f"{quoted(typed)} is no head: write a number such as `3`.")
            return
        ring = None if self._ring.value == NONE else self._ring.value
        self.filter(Filter(self._kind.value or None, ring, head, self._text.value.strip()))

    def _take(self, state: State) -> None:
        """Another state; the controls follow, and are not taken for the reader's."""
        self.state = state
        self._following = True
        try:
            kind, ring, head, text, _ = state.wanted
            self._kind.value = kind or ""
            self._ring.value = NONE if ring is None else ring
            self._head.value = "" if head is None else str(head)
            self._text.value, self._what.value = text, state.figures
            self._go.value = min(state.at + 1, self._go.max)
        finally:
            self._following = False
        self._show()

    def _show(self) -> None:
        if self.state.figures:
            found = figures(self.index, self.state.wanted.ring)
            self._picture.value = shown(figures_picture(found, self.title))
            self._says.value = said(f"{found}.")
            return
        life = self.state.wanted.life
        drawn = list_picture(self.index, self._rows, self.state.at, self.title, life)
        self._picture.value = shown(drawn)
        self._says.value = said(explain(self.index, self._rows, self.state))


def moments_of(source: Any) -> Iterable[Moment]:
    """The moments of a tape, of a session, or those that are given themselves."""
    tape = getattr(source, "tape", source)
    return tape.moments if isinstance(tape, Tape) else tape


def _kinds(index: Index) -> list[tuple[str, str]]:
    """What the list of kinds offers: those that there are."""
    there = sorted(set(index.kind.tolist()))
    return [("all", ""), *((KINDS[kind], KINDS[kind]) for kind in there)]


def _rings(index: Index) -> list[tuple[str, int]]:
    return [("all", NONE), *((str(ring), ring) for ring in index.rings)]


def explain(index: Index, rows: npt.NDArray[np.int64], state: State) -> str:
    """What is listed, and the row where we are, in words."""
    if not len(rows):
        return "No row is left by this filter. Take a part of it away, or reset."
    here = int(rows[state.at])
    row_ = index.rows[here]
    which = "" if state.wanted.empty else f" of those that the filter leaves ({len(index)} in all)"
    words = f"Row {state.at + 1} of {len(rows)}{which}: `{row_.kind}` {what_words(row_)}".rstrip()
    life = state.wanted.life
    again = "" if life is None else " Press `This chain only` again for all rows."
    return f"{words}. {life_words(index, here, life)}{again}".strip()
