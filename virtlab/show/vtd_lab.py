"""Step along a walk of VT-d, flip any bit of an entry, and ask the unit again.

The idea: the picture shows what the tables say. Below it stand what the unit remembers, and its
fault records. A flipped bit changes the picture at once, and the unit's answer only after an
invalidation. It begins with such a stale entry.

The rule that keeps it simple: every button is a function of `vtd_state` from state to state. Here
is the shell.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from virtlab.interrupts import MESSAGE_BASE
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    entry,
    quoted,
    row,
    said,
    sentence,
    shown,
    tagged,
    whole,
)
from virtlab.show.tables import Table
from virtlab.show.vtd_kept import kept_table
from virtlab.show.vtd_picture import vtd_picture
from virtlab.show.vtd_record import records_table
from virtlab.show.vtd_rows import View
from virtlab.show.vtd_state import (
    BUFFER,
    DEEP,
    DISK,
    EDU,
    GONE,
    LARGE,
    NET,
    OLD,
    READ_ONLY,
    VtdState,
    aim,
    flip,
    forget_contexts,
    forget_pages,
    free_records,
    light,
    overflowed,
    request,
    start,
    unit_of,
    view_of,
)
from virtlab.show.vtd_words import bits_of, explain
from virtlab.show.vtd_words import said as unit_said
from virtlab.wire import all_ones

SOURCES = (
    ("00:05.0, domain 1, 4 levels", EDU),
    ("00:06.0, domain 2, 3 levels", NET),
    ("00:07.0, domain 3, 5 levels", DISK),
    ("00:08.0, passed through", OLD),
    ("01:00.0, in no table", GONE),
)
ADDRESSES = (
    ("a buffer", BUFFER),
    ("a page to read only", READ_ONLY),
    ("inside a page of 2 MiB", LARGE + 0x1234),
    ("a buffer of the 5 levels", DEEP),
    ("nothing is mapped there", BUFFER + 0x5000),
    ("too many bits", 1 << 58),
    ("where interrupts are written", MESSAGE_BASE),
)
ACCESSES = (("write", True), ("read", False))

SLOTS = 7
"""Entries that the longest walk reads: root, context, 5 levels."""

UNLIT = (("no entry was read", 0),)

ACTIONS: dict[str, Callable[[VtdState], VtdState]] = {
    "Request DMA": request,
    "Invalidate IOTLB": forget_pages,
    "Invalidate contexts": forget_contexts,
    "Free records": free_records,
}
"""Buttons that do something to the unit."""

STEPS: dict[str, Callable[[VtdState], VtdState]] = {
    "First": lambda state: light(state, 0),
    "Back": lambda state: light(state, state.lit - 1),
    "Step": lambda state: light(state, state.lit + 1),
    "Last": lambda state: light(state, SLOTS),
}
"""Buttons that light an entry."""


def spaced(table: Table) -> str:
    """A table as the value of an `HTML`, where a notebook's own style does not reach."""
    style = "border-collapse: separate; border-spacing: 16px 0; line-height: 1.4"
    return table.html.replace('class="vl-table"', f'class="vl-table" style="{style}"', 1)


class VtdLab(Shell):
    """A unit under the learner's hands. It is small, and whatever is done to it, Reset mends it."""

    def __init__(self) -> None:
        self.state = start()
        self._picture, self._says = drawing(), sentence()
        self._kept, self._records = tagged(drawing(), "kept"), tagged(drawing(), "records")
        self._source = choice("Who asks", SOURCES, EDU)
        self._named = choice("Address", ADDRESSES, BUFFER)
        self._typed = entry("or type one", f"{BUFFER:#x}")
        self._access = choice("Access", ACCESSES, True)
        self._bit = choice("Bit of the lit entry", UNLIT, 0)
        steps = [button(words, partial(self._press, act)) for words, act in STEPS.items()]
        acts = [button(words, partial(self._press, act)) for words, act in ACTIONS.items()]
        rows = [
            row(self._source, self._named, self._typed, self._access),
            row(*steps, self._bit, button("Flip it", self.flip)),
            row(*acts, button("Reset", self.reset)),
        ]
        below = [self._picture, self._says, self._kept, self._records]
        super().__init__("VtdLab", [*rows, *below])
        self._source.observe(lambda change: self._aim(source_id=change["new"]), "value")
        self._named.observe(lambda change: self._aim(iova=change["new"]), "value")
        self._typed.observe(lambda change: self._type(change["new"]), "value")
        self._access.observe(lambda change: self._aim(write=change["new"]), "value")
        self._show()

    def flip(self) -> None:
        """Turn the chosen bit of the lit entry, in memory."""
        self._press(lambda state: flip(state, self._bit.value))

    def reset(self) -> None:
        """The tables as they were written, and the stale entry of the beginning."""
        self._press(lambda state: start())

    def _press(self, act: Callable[[VtdState], VtdState]) -> None:
        self.state = act(self.state)
        self._show()

    def _aim(self, **changes: Any) -> None:
        """Take what a control says, unless it says nothing new."""
        new = {name: value for name, value in changes.items() if value is not None}
        if any(getattr(self.state, name) != value for name, value in new.items()):
            self._press(lambda state: aim(state, **new))

    def _type(self, words: str) -> None:
        iova = whole(words)
        if iova is None or iova > all_ones(8):
            typed = quoted(words)
            self._says.value = said(f"{typed} is no address: give a number of up to 64 bits.")
            return
        self._aim(iova=iova)

    def _show(self) -> None:
        """Draw the state, and let every control follow."""
        state, view = self.state, view_of(self.state)
        self._source.value, self._access.value = state.source_id, state.write
        known = [iova for _, iova in ADDRESSES]
        self._named.value = state.iova if state.iova in known else None
        self._typed.value = f"{state.iova:#x}"
        self._offer_bits(view)
        self._picture.value = shown(vtd_picture(view, "", state.lit, SLOTS, unit_said(state, view)))
        self._says.value = said(explain(state))
        self._kept.value = spaced(kept_table(unit_of(state)))
        records = records_table(state.held.records, overflowed(state))
        self._records.value = spaced(records)

    def _offer_bits(self, view: View) -> None:
        """The bits of the entry that is lit; the number that was chosen, if it has that many."""
        offered = tuple(bits_of(view.rows[self.state.lit])) if view.rows else UNLIT
        if self._bit.options != offered:
            chosen = self._bit.value
            self._bit.options = offered
            self._bit.value = chosen if chosen < len(offered) else 0
