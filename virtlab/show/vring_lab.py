"""Lay out a virtqueue, choose how the device learns of it, and see what it says.

The idea: lists for what has few values, a box for the page number or the address, a list of
mistakes. After each change a fresh device gets the numbers, and its answer stands in the picture.

The rule that keeps it simple: a control that means nothing for an interface is hidden. What cannot
be read as a number changes nothing, and the sentence says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from virtlab.memory import PAGE
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
from virtlab.show.vring_map import parts_of
from virtlab.show.vring_picture import BELL, vring_picture
from virtlab.show.vring_setup import HandedOver, hand_over, steps
from virtlab.show.vring_state import (
    BUSES,
    LAYOUTS,
    START,
    Vring,
    aligns,
    chosen,
    mistakes,
    moved,
    sizes,
)


def explain(vring: Vring) -> str:
    """What the picture shows, in sentences."""
    parts = parts_of(vring.rings)
    last = max(part.end for part in parts)
    used = sum(part.length for part in parts)
    pages = (last - 1) // PAGE - vring.base // PAGE + 1
    spare = last - vring.base - used
    padding = f", and {spare} of padding" if spare else ""
    words = f"The three parts have {' + '.join(f'{part.length}' for part in parts)} bytes{padding}."
    words += f" They lie in {pages} page{'s' if pages > 1 else ''}."
    return f"{words} {_told(vring)} {_answer(vring, hand_over(vring))}"


def _told(vring: Vring) -> str:
    """How the device learns where they are."""
    if vring.fixed:
        return (
            f"The driver says one number, `{vring.place:#x}`: the queue begins at "
            f"`{vring.base:#x}`. Size and alignment are not its to choose."
        )
    if vring.legacy:
        return f"The driver says size, alignment, and one number: page `{vring.place:#x}`."
    return "The driver says the size and three addresses, each in two halves."


def _answer(vring: Vring, came: HandedOver) -> str:
    """What came of it."""
    if came.noticed is None:
        if came.ready:
            return "The device has no objection."
        return "A 0 is no place: it takes the queue out of use, and no doorbell wakes it."
    made = steps(vring)
    if came.noticed == len(made):
        return (
            f"No register objects: the numbers are only compared, not used. {BELL.capitalize()} "
            "makes the device look, and it finds no memory there. It asks for a reset."
        )
    return f"The device objects when `{made[came.noticed].name}` is written: {came.why}."


class VringLab(Shell):
    """A queue of any layout, over either bus, with right and wrong numbers."""

    def __init__(self, begin: Vring = START) -> None:
        self._begin = self.state = begin
        self._following = False
        self._picture, self._says = drawing(), sentence()
        self._bus = choice("Bus", BUSES, begin.bus)
        self._layout = choice("Layout", LAYOUTS, begin.layout)
        self._size = choice("Size", sizes(begin), begin.size)
        self._align = choice("Used ring at a multiple of", (begin.align,), begin.align)
        self._place = entry("Begins at", "")
        self._mistake = choice("or make a mistake", [("choose one", "")], "")
        self._near = button("16 bytes further", partial(self.shift, 16))
        rows = [
            row(self._bus, self._layout, self._size, self._align),
            row(
                self._place,
                self._near,
                button("One page further", partial(self.shift, PAGE)),
                self._mistake,
                button("Reset", self.reset),
            ),
        ]
        super().__init__("VringLab: a virtqueue in memory", [self._picture, *rows, self._says])
        for control, hear in (
            (self._bus, lambda value: chosen(self.state, value, self.state.layout)),
            (self._layout, lambda value: chosen(self.state, self.state.bus, value)),
            (self._size, lambda value: replace(self.state, size=value)),
            (self._align, lambda value: replace(self.state, align=value)),
        ):
            control.observe(partial(self._heard, hear), "value")
        self._place.observe(lambda change: self._typed(change["new"]), "value")
        self._mistake.observe(lambda change: self._err(change["new"]), "value")
        self._take(begin)

    def shift(self, length: int) -> None:
        """The queue `length` bytes further on; by whole pages, if it is named by a page."""
        step = length // PAGE if self.state.legacy else length
        self._move(self.state.place + step)

    def reset(self) -> None:
        """The queue of the start."""
        self._take(self._begin)

    def _heard(self, hear: Any, change: Any) -> None:
        if not self._following:
            self._take(hear(change["new"]))

    def _typed(self, words: str) -> None:
        if self._following:
            return
        place = whole(words)
        if place is None:
            self._says.value = said(f"{quoted(words)} is no number: write one such as `0x21`.")
        else:
            self._move(place)

    def _move(self, place: int) -> None:
        try:
            self._take(moved(self.state, place))
        except ValueError as error:
            self._says.value = said(f"Nothing changes: {error}.")

    def _err(self, name: str) -> None:
        if name and not self._following:
            self._take(mistakes(self.state)[name])

    def _take(self, vring: Vring) -> None:
        """Show `vring`, and let every control follow."""
        self.state, self._following = vring, True
        self._bus.value, self._layout.value = vring.bus, vring.layout
        for control, options, value in (
            (self._size, sizes(vring), vring.size),
            (self._align, aligns(vring) or (vring.align,), vring.align),
        ):
            control.options = options
            control.value = value
        self._align.layout.display = None if aligns(vring) else "none"
        self._near.layout.display = "none" if vring.legacy else None
        self._size.description = "Size, the device's" if vring.fixed else "Size"
        self._place.description = "Page number" if vring.legacy else "Begins at (gpa)"
        self._place.value = f"{vring.place:#x}"
        self._mistake.options = [("choose one", ""), *((name, name) for name in mistakes(vring))]
        self._mistake.value = ""
        self._following = False
        self._picture.value = shown(vring_picture(vring))
        self._says.value = said(explain(vring))
