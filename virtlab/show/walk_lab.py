"""Choose an address, turn bits of an entry, and see what the processor says.

The idea: the picture is `page_walk`, drawn from the tables; turning a bit changes the entry itself,
in the memory where it lies. A guest that runs on these tables meets the difference with its next
access. Reset puts every entry back.

The rule that keeps it simple: the widget holds a frozen `WalkState`, and remembers which bits of
which entry it turned. `WalkLab()` has small tables of its own, `example_tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.page_walk import in_words, page_walk
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
from virtlab.show.walk_view import Walkable, bits_of, look
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import READ
from virtlab.vmm.frames import Frames
from virtlab.vmm.walk import Step
from virtlab.wire import Bits

EXAMPLES = (
    ("RAM", 0x1234),
    ("a page that can only be read", 0x8010),
    ("a page of 2 MiB", 0x21_2345),
    ("nothing there: an emulated device", 0xFEC0_0010),
)
"""Addresses of `example_tables`, by what lies there."""

ACCESSES = (("load", False), ("store", True))


@dataclass(frozen=True, slots=True)
class WalkState:
    """What is looked at: an address, the access, and the level whose entry the buttons turn."""

    address: int
    write: bool = False
    level: int = 1


def example_tables() -> Ept:
    """A small EPT: 64 KiB of RAM with a read-only page, a page of 2 MiB, and a device left out."""
    ept = Ept(Frames(GuestMemory(16 * PAGE), 0, 16))
    ept.map(0, 0x4_0000, 0x1_0000)
    ept.protect(0x8000, PAGE, READ)
    ept.map(0x20_0000, 0x60_0000, 0x20_0000, large=True)
    return ept


def step_at(tables: Walkable, state: WalkState) -> Step | None:
    """The entry that the buttons turn: that of the state's level, or the last before it."""
    steps = tables.descend(state.address).steps
    above = [step for step in steps if step.level >= state.level]
    return above[-1] if above else None


def bits_to_turn(tables: Walkable) -> dict[str, Bits]:
    """The bits that have a button: those with names, and one that is reserved (or ignored)."""
    last = Bits(51 if tables.ENTRY == 8 else 13)
    return {**bits_of(tables), f"bit {last}": last}


def turn(tables: Walkable, step: Step, mask: int) -> None:
    """Turn bits of an entry, in the memory where it lies; nothing happens where there is none."""
    with suppress(DmaFault):
        tables.memory.store(step.entry_at, tables.ENTRY, step.entry ^ mask)


def explain(tables: Walkable, state: WalkState) -> str:
    """What the picture shows, and which entry the buttons turn."""
    words = in_words(look(tables, state.address, state.write))
    step = step_at(tables, state)
    if step is None:
        return f"{words} No entry was read."
    return f"{words} The buttons turn bits of the entry at level {step.level}, `{step.entry:#x}`."


class WalkLab(Shell):
    """A walk under the learner's hands.

    `tables` is an `Ept`, a `ShadowPageTable` or a guest's paging; `addresses` are offered in a
    list, by name: `[("RAM", 0x1234), ("the UART's page", 0xFEC00000)]`. It starts with the first of
    them, and with a store if `write`.
    """

    def __init__(
        self,
        tables: Walkable | None = None,
        addresses: Sequence[tuple[str, int]] = (),
        title: str = "",
        write: bool = False,
    ) -> None:
        self.tables = example_tables() if tables is None else tables
        self._addresses = tuple(addresses) or (EXAMPLES if tables is None else (("0", 0),))
        self._title = title
        self.start = WalkState(self._addresses[0][1], write)
        self.state = self.start
        self._turned: dict[int, int] = {}
        self._picture, self._says = drawing(), sentence()
        self._named = choice("Address", self._addresses, self.start.address)
        self._typed = entry("or type one", f"{self.start.address:#x}")
        self._access = choice("Access", ACCESSES, write)
        levels = [(f"level {level}", level) for level in self.tables.INDEX]
        self._level = choice("Entry", levels, self.start.level)
        self._bits = {
            name: button(f"{name}", partial(self.turn, name), tip=f"Turn {name} of the entry")
            for name in bits_to_turn(self.tables)
        }
        fields = row(self._named, self._typed, self._access, self._level)
        buttons = row(*self._bits.values(), button("Reset", self.reset))
        super().__init__("WalkLab", [fields, self._picture, buttons, self._says])
        self._named.observe(lambda change: self._go(address=change["new"]), "value")
        self._typed.observe(lambda change: self._go_typed(change["new"]), "value")
        self._access.observe(lambda change: self._go(write=change["new"]), "value")
        self._level.observe(lambda change: self._go(level=change["new"]), "value")
        self._show()

    def turn(self, name: str) -> None:
        """Turn one bit of the chosen entry, by its name."""
        step = step_at(self.tables, self.state)
        if step is not None:
            mask = bits_to_turn(self.tables)[name].mask
            turn(self.tables, step, mask)
            self._turned[step.entry_at] = self._turned.get(step.entry_at, 0) ^ mask
        self._show()

    def reset(self) -> None:
        """Every entry as it was, and the first address."""
        for entry_at, mask in self._turned.items():
            now = self.tables.entry(entry_at)
            if now is not None:
                turn(self.tables, Step(0, entry_at, now), mask)
        self._turned.clear()
        start = self.start
        self._go(address=start.address, write=start.write, level=start.level)

    def _go(self, **changes: Any) -> None:
        """Take what a control says, unless it says nothing."""
        if None not in changes.values():
            self.state = replace(self.state, **changes)
            self._show()

    def _go_typed(self, words: str) -> None:
        address = whole(words)
        if address is None:
            words = f"{quoted(words)} is no address: give a number such as `0x1234`."
            self._says.value = said(words)
        elif address != self.state.address:
            self._go(address=address)

    def _show(self) -> None:
        """Draw the tables as they are, and let every control follow."""
        state = self.state
        known = [address for _, address in self._addresses]
        self._named.value = state.address if state.address in known else None
        self._typed.value = f"{state.address:#x}"
        self._access.value, self._level.value = state.write, state.level
        drawn = page_walk(self.tables, state.address, state.write, self._title)
        self._picture.value = shown(drawn)
        step = step_at(self.tables, state)
        for name, bit in bits_to_turn(self.tables).items():
            self._bits[name].description = f"{name} = {bit.get(step.entry)}" if step else name
        self._says.value = said(explain(self.tables, state))
