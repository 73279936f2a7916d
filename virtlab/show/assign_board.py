"""Give the host's devices to virtual machines, by keyboard, and see what comes of it.

The idea: three lists say what, to whom and as what kind; two buttons do it. After each change
everybody works on fresh machines (`assign_run`), so the counts in the picture have happened.

The rule that keeps it simple: nothing can be broken. What the ledger refuses is said, with the
reason, and the board stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from virtlab.show.assign_picture import assign_picture, explain
from virtlab.show.assign_run import experiment
from virtlab.show.assign_state import DEVICES, VMS, WAYS, Board, give, withdraw
from virtlab.show.shell import Shell, button, choice, drawing, row, said, sentence, shown


class AssignBoard(Shell):
    """Choose a device, a virtual machine and a kind; give, withdraw, look."""

    def __init__(self, start: Board | None = None, title: str = "Whose device is it?") -> None:
        self._start = self.state = start or Board()
        self._title = title
        self._picture, self._says = drawing(), sentence()
        self._device = choice("Device", DEVICES, self.state.device)
        self._vm = choice("Virtual machine", VMS, self.state.vm)
        self._way = choice("Kind", list(WAYS), self.state.way)
        buttons = row(
            button("Give", partial(self._press, give), kind="primary"),
            button("Withdraw", partial(self._press, withdraw)),
            button("Take all back", self._clear),
            button("Reset", self.reset),
        )
        lists = row(self._device, self._vm, self._way)
        super().__init__(
            f"{title}: give devices to virtual machines",
            [self._picture, lists, buttons, self._says],
        )
        fields = {"device": self._device, "vm": self._vm, "way": self._way}
        for name, control in fields.items():
            control.observe(partial(self._changed, name), "value")
        self._show()

    def reset(self) -> None:
        """Back to where it started."""
        self._device.value, self._vm.value = self._start.device, self._start.vm
        self._way.value = self._start.way
        self.state = self._start
        self._show()

    def _clear(self) -> None:
        self.state = replace(self.state, given=(), said="Everything is taken back.")
        self._show()

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        self.state = replace(self.state, **{name: change["new"]})
        self.state = replace(self.state, said=f"Chosen: {self.state.chosen}. Press Give.")
        self._show()

    def _press(self, action: Any) -> None:
        self.state = action(self.state)
        self._show()

    def _show(self) -> None:
        outcomes = experiment(self.state.given)
        chosen = self.state.device, self.state.vm
        self._picture.value = shown(assign_picture(outcomes, self._title, chosen))
        self._says.value = said(f"{self.state.said}␊{explain(outcomes)}")
