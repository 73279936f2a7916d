"""Turn bits of the I/O bitmap, and see at once what the guest under it does.

The idea: the state is the set of open ports and the byte being edited. Each change runs the guest's
program in a fresh virtual machine (`bitmap_run`), so nothing of an earlier run is left.

The rule that keeps it simple: a button turns one bit, and its words are the port that the bit is
for. What the bit is now, in both readings, stands in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from virtlab.show.bitmap_picture import bitmap_picture, byte_of
from virtlab.show.bitmap_run import USED, Outcome, explain, open_ports, run, run_picture
from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    row,
    said,
    sentence,
    shown,
)

WATCHED = {
    0x60: "keyboard",
    0x1F0: "disk",
    0x3F8: "UART",
    0xCF8: "PCI configuration",
    0x8000: "nobody",
}
"""The bytes that can be edited, by the first of their eight ports, and who is there."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Which ports are `open`, and the first port of the byte that is `chosen`."""

    open: frozenset[int] = frozenset(range(0x3F8, 0x400))
    chosen: int = 0x3F8


def turn(doors: Doors, bit: int) -> Doors:
    """Turn one bit of the chosen byte. `ValueError` if a byte has no such bit."""
    if not 0 <= bit < 8:
        raise ValueError(f"a byte has bits 0 to 7, not {bit}")
    return replace(doors, open=doors.open ^ {doors.chosen + bit})


def fill(doors: Doors, bit: int) -> Doors:
    """All eight bits of the chosen byte: 1 traps its ports, 0 opens them."""
    byte = frozenset(range(doors.chosen, doors.chosen + 8))
    return replace(doors, open=doors.open - byte if bit else doors.open | byte)


def choose(doors: Doors, port: int) -> Doors:
    """Another byte. `ValueError` if it is not one of `WATCHED`."""
    if port not in WATCHED:
        raise ValueError(f"no byte is shown for port {port:#x}, only for {[*map(hex, WATCHED)]}")
    return replace(doors, chosen=port)


def in_words(doors: Doors, outcome: Outcome) -> str:
    """The chosen byte, and what came of the run."""
    value = byte_of(open_ports(doors.open), doors.chosen)
    here = f"The byte of the {WATCHED[doors.chosen]} is `{value:#04x}`."
    if doors.chosen == 0x8000:
        here = f"Byte 0 of bitmap B is `{value:#04x}`."
    return f"{here} {explain(outcome)}"


class BitmapEditor(Shell):
    """Edit the I/O bitmap bit by bit, with a guest running under it."""

    def __init__(self, start: Doors | None = None) -> None:
        self.start = self.state = start or Doors()
        self._bitmap, self._run, self._says = drawing(), drawing(), sentence()
        names = [(f"{name}, {port:#x}-{port + 7:#x}", port) for port, name in WATCHED.items()]
        self._byte = choice("Byte", names, self.start.chosen)
        self._bits = [self._bit_button(bit) for bit in range(8)]
        whole = [
            button("Trap all eight", partial(self._fill, 1), "All eight bits to 1"),
            button("Open all eight", partial(self._fill, 0), "All eight bits to 0"),
        ]
        super().__init__(
            "BitmapEditor: the I/O bitmap, and a guest under it",
            [
                self._bitmap,
                row(self._byte, *whole, button("Reset", self.reset)),
                row(*reversed(self._bits)),
                self._run,
                self._says,
            ],
        )
        self._byte.observe(lambda change: self._chosen(change["new"]), "value")
        self._take(self.state)

    def turn(self, bit: int) -> None:
        """Turn one bit of the chosen byte, and run the guest again."""
        self._take(turn(self.state, bit))

    def reset(self) -> None:
        """The bitmap of the start."""
        self._take(self.start)

    def _fill(self, bit: int) -> None:
        self._take(fill(self.state, bit))

    def _chosen(self, port: int) -> None:
        if port != self.state.chosen:
            self._take(choose(self.state, port))

    def _bit_button(self, bit: int) -> Any:
        made = button(f"bit {bit}", partial(self.turn, bit), f"Turn bit {bit}")
        made.layout.min_width = "5em"
        return made

    def _take(self, doors: Doors) -> None:
        """Show `doors`, and let every control follow."""
        self.state = doors
        bitmap = open_ports(doors.open)
        outcome = run(bitmap)
        self._byte.value = doors.chosen
        for bit, control in enumerate(self._bits):
            control.description = f"{doors.chosen + bit:X}"
        drawn = bitmap_picture(bitmap, WATCHED, chosen=doors.chosen, used=USED)
        self._bitmap.value = shown(drawn)
        self._run.value = shown(run_picture(outcome))
        self._says.value = said(in_words(doors, outcome))
