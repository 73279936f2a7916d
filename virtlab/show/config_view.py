"""Walk through configuration space, register by register: a board's, or a dump of a real machine.

The idea: the pictures are `config_picture` and `register_picture`, pure functions of a function and
a register. Here are lists, an offset to type, and the player's buttons. They all say the same
place, whichever of them was used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from virtlab.pci.decode import DecodedFunction, decode
from virtlab.pci.dump import DumpedFunction
from virtlab.pci.names import class_name, device_name
from virtlab.show.config_bytes import Place, at_offset, config_picture, declared, in_words, places
from virtlab.show.frames import ACTIONS, PlayerState, jump
from virtlab.show.palette import (
    SMALL,
)
from virtlab.show.registers import register_picture
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
from virtlab.show.svg import fit


class ConfigView(Shell):
    """The functions of a dump, or of a board, byte by byte and register by register.

    `start` is the place (`"00:03.0"`) and the offset that are shown first, and after a reset.
    """

    def __init__(
        self, functions: Sequence[DumpedFunction], start: tuple[str, int] = ("", 0)
    ) -> None:
        if not functions:
            raise ValueError("give at least one function to look at")
        self.functions = [decode(each) for each in functions]
        known = {each.bdf: number for number, each in enumerate(self.functions)}
        if start[0] and start[0] not in known:
            raise ValueError(f"there is no function {start[0]}")
        self._start = known.get(start[0], 0), start[1]
        self.index, self.found = 0, places(self.functions[0])
        self.state = PlayerState(0, len(self.found))
        self._bytes, self._one, self._says = drawing(), drawing(), sentence()
        names = [(_named(each), number) for number, each in enumerate(self.functions)]
        self._function = choice("Function", names, 0)
        self._register = choice("Register", [("", 0)], 0)
        self._offset = entry("Offset", "0x0")
        steps = [button(words, partial(self._press, words)) for words in ACTIONS]
        fields = row(self._function, self._register, self._offset)
        buttons = row(*steps, button("Reset", self.reset))
        rows = [fields, buttons, self._bytes, self._one, self._says]
        super().__init__(f"ConfigView: {len(functions)} functions", rows)
        self._function.observe(lambda change: self._enter(change["new"], 0), "value")
        self._register.observe(self._chosen, "value")
        self._offset.observe(self._typed, "value")
        self.reset()

    @property
    def place(self) -> Place:
        """The register that is chosen."""
        return self.found[self.state.index]

    def reset(self) -> None:
        """Back to where it started."""
        self._enter(*self._start)

    def _enter(self, index: int, offset: int) -> None:
        """Show another function."""
        self.index, self.found = index, places(self.functions[index])
        self.state = PlayerState(at_offset(self.found, offset), len(self.found))
        chosen = self.state
        self._function.value = index
        self._register.options = [
            (f"{each.register.offset:03x} {each.register.name}", number)
            for number, each in enumerate(self.found)
        ]
        self.state = chosen
        self._show()

    def _press(self, words: str) -> None:
        self.state = ACTIONS[words](self.state)
        self._show()

    def _chosen(self, change: Mapping[str, Any]) -> None:
        self.state = jump(self.state, change["new"])
        self._show()

    def _typed(self, change: Mapping[str, Any]) -> None:
        offset = whole(change["new"])
        size = len(self.functions[self.index].source.data)
        if offset is None or offset >= size:
            words = f"{quoted(change['new'])} is no offset: give a number below `{size:#x}`."
            self._says.value = said(words)
        elif offset != self.place.register.offset:
            self.state = jump(self.state, at_offset(self.found, offset))
            self._show()

    def _show(self) -> None:
        """Draw both pictures, and let every control follow."""
        function, place = self.functions[self.index], self.place
        self._bytes.value = shown(config_picture(function, place))
        self._one.value = shown(register_picture(declared(place), place.register.value))
        self._register.value = self.state.index
        self._offset.value = f"{place.register.offset:#x}"
        self._says.value = said(in_words(function, place))


def _named(function: DecodedFunction) -> str:
    """Its title in the dump; a title of one letter is a stand-in for a name."""
    title = function.source.title
    if len(title) < 2:
        title = f"{class_name(function.class_code)}: "
        title += device_name(function.vendor, function.device)
    return f"{function.bdf} {fit(title, 400, SMALL)}"
