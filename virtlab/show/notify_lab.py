"""Move the three positions of a notification threshold, and see whether anybody is told.

The idea: three boxes are the three numbers, and buttons make the moves that a driver or a device
makes. After each change the library's own function decides.

The rule that keeps it simple: a number that is not on the circle is the nearest one that is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets

from virtlab.show.notify_picture import threshold_picture
from virtlab.show.notify_state import (
    DEVICE,
    DRIVER,
    SIZES,
    Threshold,
    across,
    explain,
    hush,
    listen,
    moved,
    next_batch,
    other,
    placed,
)
from virtlab.show.shell import (
    WIDE,
    Shell,
    button,
    choice,
    drawing,
    row,
    said,
    sentence,
    shown,
    tagged,
)

NAMES = ("old", "new", "event")
LAYOUTS = {"split ring": False, "packed ring": True}
SIDES = {
    "the device asks (avail_event): the bell": DEVICE,
    "the driver asks (used_event): the interrupt": DRIVER,
}
START = Threshold()


class ThresholdExplorer(Shell):
    """Old, new and event on the circle, for either layout and either side."""

    def __init__(self, begin: Threshold = START) -> None:
        self._begin = self.state = begin
        self._following = False
        self._picture, self._says = drawing(), sentence()
        self._boxes = {name: _box(name, getattr(begin, name), begin.modulus - 1) for name in NAMES}
        self._lists = {
            "packed": choice("Layout", list(LAYOUTS.items()), begin.packed),
            "asks": choice("Who asks", list(SIDES.items()), begin.asks),
            "size": choice("Packed ring of", list(SIZES), begin.size),
        }
        steps: dict[str, Callable[[Threshold], Threshold]] = {
            "new + 1": lambda state: moved(state, "new", 1),
            "new - 1": lambda state: moved(state, "new", -1),
            "event + 1": lambda state: moved(state, "event", 1),
            "event - 1": lambda state: moved(state, "event", -1),
            "Next batch": next_batch,
            "Ask for the next": listen,
            "Ask for silence": hush,
            "Across the end": across,
        }
        buttons = [button(words, partial(self.press, step)) for words, step in steps.items()]
        super().__init__(
            "ThresholdExplorer: old, new and event",
            [
                self._picture,
                row(*self._lists.values()),
                row(*self._boxes.values()),
                row(*buttons, button("Reset", self.reset)),
                self._says,
            ],
        )
        for name, control in {**self._lists, **self._boxes}.items():
            control.observe(partial(self._changed, name), "value")
        self._take(begin)

    def press(self, action: Callable[[Threshold], Threshold]) -> None:
        """One of the buttons."""
        self._take(action(self.state))

    def reset(self) -> None:
        """Back to where it started."""
        self._take(self._begin)

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        if self._following:
            return
        if name in NAMES:
            self._take(placed(self.state, name, change["new"]))
        else:
            self._take(other(self.state, **{name: change["new"]}))

    def _take(self, state: Threshold) -> None:
        """Show `state`, and let every control follow."""
        self.state, self._following = state, True
        for name, control in self._lists.items():
            control.value = getattr(state, name)
        self._lists["size"].layout.display = None if state.packed else "none"
        for name, box in self._boxes.items():
            box.max = state.modulus - 1
            box.value = getattr(state, name)
            box.description = _title(name, box.max)
        self._following = False
        self._picture.value = shown(threshold_picture(state))
        self._says.value = said(explain(state))


def _box(name: str, value: int, most: int) -> Any:
    made = widgets.BoundedIntText(
        description=_title(name, most), value=value, max=most, continuous_update=False, style=WIDE
    )
    made.layout.width = "17em"
    return tagged(made, name)


def _title(name: str, most: int) -> str:
    return f"{name} (0 to {most})"
