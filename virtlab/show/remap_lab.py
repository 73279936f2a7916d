"""Let a card write into a VM's memory, and see in whose memory the bytes land.

The idea: every choice is an experiment on a fresh board (`remap_run`). The picture shows one step
of it, and the buttons go back and forth. All of the host's memory is there to be hit.

The rule that keeps it simple: stepping leaves the run alone. A target that makes no sense is said,
and the picture stays.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from virtlab.show.frames import ACTIONS, PlayerState, last
from virtlab.show.remap_picture import remap_picture
from virtlab.show.remap_run import Choice, experiment
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
    whole,
)

CARDS = (("edu: one address register", "edu"), ("disk: a table of regions", "IDE"))
SIZES = (512, 1024, 4096)
VMMS = (("remaps addresses", True), ("passes numbers on", False))
MOVES = (
    ("stays where it is", "no"),
    ("moves, if it is not pinned", "pins"),
    ("moves anyway", "yes"),
)
"""What happens to the page while the card works: the words in the lists, and the value."""


class RemapLab(Shell):
    """Choose a target, a card, a VMM; step through the transfer, and see where the bytes land."""

    def __init__(self, start: Choice | None = None) -> None:
        self._start = self.choice = start or Choice()
        self._picture, self._says = drawing(), sentence()
        self._gpa = entry("Guest address", f"{self.choice.gpa:#x}")
        self._length = choice("Bytes", SIZES, self.choice.length)
        self._card = choice("Card", CARDS, self.choice.card)
        self._vmm = choice("The VMM", VMMS, self.choice.remaps)
        self._moves = choice("Meanwhile the page", MOVES, self.choice.moves)
        self._fields = (self._gpa, self._length, self._card, self._vmm, self._moves)
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        buttons = row(*steps, button("Reset", self.reset))
        rows = [row(*self._fields[:3]), row(*self._fields[3:]), buttons]
        super().__init__("RemapLab", [*rows, self._picture, self._says])
        self._quiet = False
        for control in self._fields:
            control.observe(lambda _: self._read(), "value")
        self._make()

    def reset(self) -> None:
        """The transfer of the start, at its end."""
        start, self._quiet = self._start, True
        self._gpa.value, self._length.value = f"{start.gpa:#x}", start.length
        self._card.value, self._vmm.value = start.card, start.remaps
        self._moves.value, self._quiet = start.moves, False
        self._read()

    def _read(self) -> None:
        """Take what the fields say, if it makes sense."""
        gpa = whole(self._gpa.value)
        if self._quiet:
            return
        if gpa is None or gpa % 2 or gpa >= 1 << 24:
            typed = quoted(self._gpa.value)
            self._says.value = said(f"{typed} is no target: give an even number below `0x1000000`.")
            return
        self.choice = replace(
            self.choice,
            gpa=gpa,
            length=self._length.value,
            card=self._card.value,
            remaps=self._vmm.value,
            moves=self._moves.value,
        )
        self._make()

    def _make(self) -> None:
        """Do it, and stand at its end."""
        self.steps = experiment(self.choice)
        self.state = last(PlayerState(0, len(self.steps)))
        self._show()

    def _press(self, words: str) -> None:
        self.state = ACTIONS[words](self.state)
        self._show()

    def _show(self) -> None:
        scene, words = self.steps[self.state.index]
        place: Any = f"Step {self.state.index + 1} of {len(self.steps)}"
        self._picture.value = shown(remap_picture(scene, f"{place}: where the bytes land"))
        self._says.value = said(f"{place}. {words}")
