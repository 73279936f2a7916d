"""Turn virtual functions on and off, and see where they appear.

The idea: each control is one register of the SR-IOV capability. A change is written to the card as
it is now, so a register that is locked stays as it was, and the words say why.

The rule that keeps it simple: after each write every control follows what the card says.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from virtlab.show.maps import size_words
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    number_box,
    row,
    said,
    sentence,
    shown,
)
from virtlab.show.vf_map import vf_map
from virtlab.show.vf_state import MOST, PAGES, TOTAL, VfState, explain, look, more, put

SWITCH = (("0", False), ("1", True))
LISTS = {
    "enabled": ("VF Enable", SWITCH),
    "decodes": ("VF MSE", SWITCH),
    "ari": ("ARI", SWITCH),
    "page": ("System Page Size", tuple((size_words(page), page) for page in PAGES)),
}
"""Lists of the lab, by the field of the state that each writes."""


class VfLab(Shell):
    """NumVFs, VF Enable, VF MSE, ARI and page size of a card; `begin` is where it starts."""

    def __init__(self, begin: VfState | None = None) -> None:
        self._begin = self.state = VfState() if begin is None else begin
        self._following = False
        self._picture, self._says = drawing(), sentence()
        self._lists: dict[str, Any] = {
            field: choice(words, list(options), getattr(self.state, field))
            for field, (words, options) in LISTS.items()
        }
        self._wanted = number_box("NumVFs", self.state.wanted, MOST, "15em", 0)
        self._chosen = number_box("Look at VF", self.state.chosen, TOTAL, "15em")
        counts = row(
            self._wanted,
            button("NumVFs - 1", lambda: self._take(more(self.state, -1))),
            button("NumVFs + 1", lambda: self._take(more(self.state, 1))),
            self._chosen,
            button("Reset", self.reset),
        )
        rows = [counts, row(*self._lists.values()), self._picture, self._says]
        super().__init__("VfLab: the SR-IOV capability of a card", rows)
        for field, control in {**self._lists, "wanted": self._wanted}.items():
            control.observe(partial(self._changed, field), "value")
        self._chosen.observe(self._looked, "value")
        self._take(self.state)

    def reset(self) -> None:
        """Back to where it started."""
        self._take(self._begin)

    def _changed(self, field: str, change: dict[str, Any]) -> None:
        if not self._following:
            self._take(put(self.state, field, change["new"]))

    def _looked(self, change: dict[str, Any]) -> None:
        if not self._following:
            self._take(look(self.state, change["new"]))

    def _take(self, state: VfState) -> None:
        """Show `state`, and let every control follow."""
        self.state, self._following = state, True
        for field, control in self._lists.items():
            control.value = getattr(state, field)
        self._wanted.value, self._chosen.value = state.wanted, state.chosen
        self._following = False
        self._picture.value = shown(vf_map(state))
        self._says.value = said(explain(state))
