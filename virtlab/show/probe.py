"""Ask any address of a board, and see who answers.

The idea: `Probe` is what was asked so far, frozen. `ask` performs one access on the real address
space and gives the next `Probe`, with the trace's events in it; the map lights up from those. The
widget `AddressProbe` is fields and two buttons around that.

The rule that keeps it simple: it does what a guest does, nothing more. So a read can change the
device, as a read of a UART's data register takes the character away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from virtlab.bus import SIZES, AddressSpace
from virtlab.show.maps import address_map
from virtlab.show.naming import REFUSED
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
from virtlab.trace import Event

KEPT = 200
"""Accesses that a probe remembers; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was asked of a space so far: the events, and the last answer in `words`."""

    events: tuple[Event, ...] = ()
    words: str = "Nothing was asked yet. Choose an address, then press Read or Write."


def ask(
    space: AddressSpace, before: Probe, address: int, size: int, value: int | None = None
) -> Probe:
    """One read of `size` bytes at `address`, or a write where there is a `value`."""
    with space.trace.recording() as events:
        if value is None:
            answer = space.read(address, size)
        else:
            space.write(address, size, value)
            answer = value
    kinds = (*space.verbs, *REFUSED)
    event = next(each for each in events if each.space == space.name and each.kind in kinds)
    kept = (*before.events, event)[-KEPT:]
    words = _refused_words(event, size) if event.kind in REFUSED else _words(space, event)
    return replace(
        before, events=kept, words=_opening(space, event, value is not None, answer) + words
    )


def _opening(space: AddressSpace, event: Event, write: bool, answer: int) -> str:
    """`A read of 1 byte at port 0x3fd gives 0x60.`"""
    many = f"{event.size} byte{'s' * (event.size != 1)}"
    place = f"{space.name} `{event.address:#x}`"
    if write:
        return f"A write of {many} to {place}, value `{event.value:#x}`. "
    return f"A read of {many} at {place} gives `{answer:#x}`. "


def _words(space: AddressSpace, event: Event) -> str:
    mapping = space.find(event.address)
    if mapping is None:
        return "It answered, and its mapping is gone since."
    words = f"{mapping.name} answers: this is its offset `{event.address - mapping.base:#x}`."
    if event.size > mapping.width:
        many = event.size // mapping.width
        path = f"{mapping.width} byte{'s' * (mapping.width != 1)}"
        words += f" Its data path is {path} wide, so the bus made {many} cycles of it."
    return words


def _refused_words(event: Event, size: int) -> str:
    lost = "A write is lost." if event.note.startswith(("out", "store")) else "All ones come back."
    if event.kind == "straddle":
        why = event.note.partition(": ")[2]
        return f"Nobody answers, because the access {why}. {lost}"
    return f"Nobody answers here. {lost}"


def places(space: AddressSpace) -> list[tuple[str, int]]:
    """Addresses worth asking: each mapping's first and last, and what lies right behind it."""
    found = []
    for mapping in space.mappings:
        last = mapping.end - 1
        found.append((f"{mapping.base:#x}  {mapping.name}, first", mapping.base))
        if last > mapping.base:
            found.append((f"{last:#x}  {mapping.name}, last", last))
        if mapping.end < 1 << space.bits and space.find(mapping.end) is None:
            found.append((f"{mapping.end:#x}  behind {mapping.name}", mapping.end))
    return found


class AddressProbe(Shell):
    """Ask any address of the given spaces: `AddressProbe(board.ports, board.memory)`.

    `start`, an address and a size in bytes, is read in the first space at the start and after a
    reset, so that there is something to see.
    """

    def __init__(self, *spaces: AddressSpace, start: tuple[int, int] | None = None) -> None:
        if not spaces:
            raise ValueError("give at least one AddressSpace to ask")
        self.spaces = {space.name: space for space in spaces}
        self.state, self._start = Probe(), start
        self._picture, self._says = drawing(), sentence()
        self._space = choice("Space", list(self.spaces), spaces[0].name)
        self._place = choice("Place", [("", -1)], -1)
        self._address = entry("Address", "0x0")
        self._size = choice("Size in bytes", [1], 1)
        self._value = entry("Value to write", "0x41")
        asks = [button("Read", self.read, kind="primary"), button("Write", self.write)]
        fields = row(self._space, self._place, self._address, self._size, self._value)
        buttons = row(*asks, button("Reset", self.reset))
        names = " and ".join(self.spaces)
        super().__init__(f"AddressProbe: {names}", [self._picture, fields, buttons, self._says])
        self._space.observe(lambda _: self._enter(), "value")
        self._place.observe(self._chosen, "value")
        self._address.observe(self._typed, "value")
        self.reset()

    @property
    def space(self) -> AddressSpace:
        """The space being asked."""
        return self.spaces[self._space.value]

    def read(self) -> None:
        """Read at the address in the field."""
        self._ask(None)

    def write(self) -> None:
        """Write the value in the field to the address in the field."""
        value = whole(self._value.value)
        if value is None:
            self._complain("value", self._value.value)
        else:
            self._ask(value)

    def reset(self) -> None:
        """Forget what was asked, and put every field back. What devices took, they keep."""
        self._space.value, self._value.value = next(iter(self.spaces)), "0x41"
        self._enter()
        if self._start is not None:
            self._address.value, self._size.value = f"{self._start[0]:#x}", self._start[1]
            self.read()

    def _ask(self, value: int | None) -> None:
        address = whole(self._address.value)
        if address is None or address >> self.space.bits:
            self._complain("address", self._address.value)
            return
        self.state = ask(self.space, self.state, address, self._size.value, value)
        self._show()

    def _complain(self, what: str, typed: str) -> None:
        limit = f" below `{1 << self.space.bits:#x}`" if what == "address" else ""
        words = f"{quoted(typed)} is no {what}: give a number{limit}, such as `0x3f8`."
        self._says.value = said(words)

    def _enter(self) -> None:
        """Begin with a space: its places and sizes, nothing asked."""
        known = places(self.space)
        self.state = Probe()
        self._place.options = [("choose, or type an address", -1), *known]
        self._size.options = [size for size in SIZES if size <= self.space.max_size]
        self._size.value = 1
        self._place.value = known[0][1] if known else -1
        self._show()

    def _chosen(self, change: Mapping[str, Any]) -> None:
        if change["new"] is not None and change["new"] >= 0:
            self._address.value = f"{change['new']:#x}"

    def _typed(self, change: Mapping[str, Any]) -> None:
        """Let the list of places follow the address, blank where it is none of them."""
        address, known = whole(change["new"]), [value for _, value in self._place.options]
        self._place.value = address if address in known else -1

    def _show(self) -> None:
        self._picture.value = shown(address_map(self.space, self.state.events))
        self._says.value = said(self.state.words)
