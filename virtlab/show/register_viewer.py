"""Look into a device's registers, and turn single bits to see what they would say.

The idea: the upper picture is the device now, by `peek`, which must have no side effect. The lower
one is one register with a value that the learner may change bit by bit, without touching the
device. With `write`, a button sends that value to the device, as a guest's write would.

The rule that keeps it simple: `RegisterState` is the register's name and the value being edited;
`toggle` and `choose` are functions of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from virtlab.registers import Reg
from virtlab.show.naming import field_words
from virtlab.show.registers import register_picture, registers_picture
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
from virtlab.wire import all_ones


@dataclass(frozen=True, slots=True)
class RegisterState:
    """Register `name`, `width` bytes, with the `value` being looked at."""

    name: str
    width: int
    value: int


def toggle(state: RegisterState, bit: int) -> RegisterState:
    """One bit turned. `ValueError` if the register has no such bit."""
    if not 0 <= bit < 8 * state.width:
        raise ValueError(f"{state.name} has bits 0 to {8 * state.width - 1}, not {bit}")
    return replace(state, value=state.value ^ 1 << bit)


def put(state: RegisterState, value: int) -> RegisterState:
    """Another value, cut to the register's width."""
    return replace(state, value=value & all_ones(state.width))


class RegisterViewer(Shell):
    """The registers of one device: `RegisterViewer(uart.REGISTERS, peek)`.

    `peek()` gives values by name, without side effects. `write(reg, value)`, where given, sends
    a value to the device. `chosen` names the register shown first.
    """

    def __init__(
        self,
        registers: Sequence[Reg],
        peek: Callable[[], Mapping[str, int]],
        write: Callable[[Reg, int], None] | None = None,
        title: str = "Registers",
        chosen: str = "",
    ) -> None:
        if not registers:
            raise ValueError("there is no register to view")
        self.registers = {reg.name: reg for reg in registers}
        self._peek, self._write, self._title = peek, write, title
        self._first = chosen or registers[0].name
        self.state = self._fresh(self._first)
        self._all, self._one, self._says = drawing(), drawing(), sentence()
        self._name = choice("Register", list(self.registers), self._first)
        self._value = entry("Value", "0x0")
        widest = 8 * max(reg.width for reg in registers)
        self._bits = [self._bit_button(bit) for bit in range(widest)]
        sends = [button("Write to the device", self.send, kind="primary")] if write else []
        actions = [*sends, button("Refresh", self.refresh), button("Reset", self.reset)]
        rows = [self._all, row(self._name, self._value), row(*reversed(self._bits))]
        super().__init__(
            f"RegisterViewer: {title}, {len(self.registers)} registers",
            [*rows, row(*actions), self._one, self._says],
        )
        self._name.observe(lambda change: self._take(self._fresh(change["new"])), "value")
        self._value.observe(self._typed, "value")
        self._take(self.state)

    def turn(self, bit: int) -> None:
        """Turn one bit of the value."""
        self._take(toggle(self.state, bit))

    def send(self) -> None:
        """Write the value to the device, then look at the device again."""
        if self._write is not None:
            self._write(self.registers[self.state.name], self.state.value)
        self.refresh()

    def refresh(self) -> None:
        """Take the value that the device has now."""
        self._take(self._fresh(self.state.name))

    def reset(self) -> None:
        """The first register again, with the device's own value. What was written stays."""
        self._name.value = self._first
        self.refresh()

    def _fresh(self, name: str) -> RegisterState:
        reg = self.registers[name]
        return put(RegisterState(name, reg.width, 0), self._peek().get(name, reg.reset))

    def _bit_button(self, bit: int) -> Any:
        made = button(f"bit {bit}", partial(self.turn, bit), tip=f"Turn bit {bit}")
        made.layout.min_width = "5.5em"
        return made

    def _typed(self, change: Mapping[str, Any]) -> None:
        value = whole(change["new"])
        if value is None:
            words = f"{quoted(change['new'])} is no value: give a number such as `0x80`."
            self._says.value = said(words)
        elif value != self.state.value:
            self._take(put(self.state, value))

    def _take(self, state: RegisterState) -> None:
        """Show `state`, and let every control follow it."""
        self.state = state
        reg, values = self.registers[state.name], self._peek()
        now = values.get(reg.name, reg.reset)
        self._all.value = shown(
            registers_picture(self.registers.values(), values, self._title, reg.name)
        )
        self._one.value = shown(register_picture(reg, state.value, before=now))
        self._value.value = f"{state.value:#x}"
        names = {bits.lo + i: name for name, bits in reg.fields.items() for i in range(bits.width)}
        for bit, control in enumerate(self._bits):
            on = state.value >> bit & 1
            control.description = f"{bit} {names.get(bit, '')}".strip() + f" = {on}"
            control.layout.display = "" if bit < 8 * reg.width else "none"
        self._says.value = said(_in_words(reg, state.value, now))


def _in_words(reg: Reg, value: int, now: int) -> str:
    fields = field_words(reg, value)
    words = f"{reg.name} with `{value:#x}`" + (f" says {fields}." if fields else ".")
    if value == now:
        return f"{words} That is what the device has now."
    return f"{words} The device has `{now:#x}`; bits that differ have a heavy outline."
