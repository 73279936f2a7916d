"""How a device asks for attention: a wire, or a message.

`IrqLine` is a wire with a level. A device sets it; whoever listens (an interrupt controller,
a vCPU, a test) is told of each *change* and of nothing else. What an edge or a level means is
the controller's business.

`Msi` is a message: a 32-bit write to an address. It needs no wire (PCI 3.0, 6.8).

`InterruptController` is what a processor, real or virtual, asks of the chip between it and the
wires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class IrqLine:
    """An interrupt wire. `level` is its state; `sink(level)` is called on each change."""

    __slots__ = ("level", "name", "sink")

    def __init__(self, name: str = "", sink: Callable[[bool], None] | None = None) -> None:
        self.name = name
        self.level = False
        self.sink = sink

    def set(self, level: bool) -> None:
        """Drive the wire high (True) or low (False)."""
        if level != self.level:
            self.level = level
            if self.sink is not None:
                self.sink(level)

    def pulse(self) -> None:
        """High, then low again: one edge."""
        self.set(True)
        self.set(False)

    def __repr__(self) -> str:
        return f"IrqLine({self.name!r}, {'high' if self.level else 'low'})"


def wired_or(line: IrqLine, count: int) -> list[IrqLine]:
    """`count` wires that drive `line` together: it is high while any of them is.

    >>> line = IrqLine("a20")
    >>> one, other = wired_or(line, 2)
    >>> one.set(True); other.set(True); one.set(False); line
    IrqLine('a20', high)
    """
    inputs = [IrqLine(f"{line.name} {n}") for n in range(count)]
    for wire in inputs:
        wire.sink = lambda _: line.set(any(each.level for each in inputs))
    return inputs


class Msi(NamedTuple):
    """A message-signalled interrupt: store 32-bit `data` at `address`."""

    address: int
    data: int


class InterruptController(Protocol):
    """What a processor needs of it: is there an interrupt, and which vector is it?"""

    @property
    def pending(self) -> bool:
        """Whether the INTR pin is up."""

    def acknowledge(self) -> int:
        """The INTA cycle: the vector of the highest request, which is now in service."""
