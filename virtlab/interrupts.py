"""How a device asks for attention: a wire, or a message.

`IrqLine` is a wire with a level. A device sets it; whoever listens (an interrupt controller,
a vCPU, a test) is told of each *change* and of nothing else. What an edge or a level means is
the controller's business.

`Msi` is a message: a 32-bit write to an address. It needs no wire (PCI 3.0, 6.8).

`Interrupt` is what such a message means to a processor's local APIC. The layouts of its address and
its data are declared here, for whoever sends one, remaps one or receives one.

    address  31     20 19         12 11    4  3    2   1 0     data  15    14   10   8 7      0
            +---------+-------------+-------+----+----+---+         +----+----+-+------+--------+
            |  FEEh   | destination |   0   | RH | DM |   |         | TM |  L | | mode | vector |
            +---------+-------------+-------+----+----+---+         +----+----+-+------+--------+

`InterruptController` is what a processor, real or virtual, asks of the chip between it and the
wires.

Source: PCI 3.0, 6.8; Intel SDM 3A, 11.11 (the message), 11.6 (delivery modes).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, Protocol, Self

from virtlab.wire import Bits


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


class Delivery(IntEnum):
    """Delivery modes: what the vector is to the processor (SDM 3A 11.6.1). 3 is reserved."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    NMI = 4
    INIT = 5
    STARTUP = 6
    EXTINT = 7


MESSAGE_BASE = 0xFEE0_0000
"""Where a message is written to, with destination 0."""

INTERRUPT_RANGE = range(MESSAGE_BASE, MESSAGE_BASE + (1 << 20))
"""Writes of devices to these addresses are interrupts, and no memory (SDM 3A 11.11.1)."""

DESTINATION, HINT, LOGICAL = Bits(19, 12), Bits(3), Bits(2)
"""Fields of a message's address (SDM 3A 11.11.1)."""

DESTINATION_HIGH = Bits(63, 40)
"""Bits 31:8 of an x2APIC destination. No bus carries them: between the remapping unit and the
APICs, QEMU and KVM write them here (KVM API, KVM_CAP_X2APIC_API)."""

VECTOR, MODE, ASSERT, TRIGGER = Bits(7, 0), Bits(10, 8), Bits(14), Bits(15)
"""Fields of its data (SDM 3A 11.11.2)."""


class Interrupt(NamedTuple):
    """A message as the local APICs read it.

    `destination` is an APIC id, or, with `logical`, a mask of logical ids. `mode` is a `Delivery`,
    or 3, which nobody takes. `hint`: one processor of those named, the one of lowest priority.
    `level`: it comes from a level-triggered input, so that its end is of interest there.

    >>> Interrupt(0x41, destination=1).message()
    Msi(address=4276097024, data=65)
    >>> Interrupt.of(Msi(0xFEE0_1000, 0x41)).destination
    1
    """

    vector: int
    destination: int = 0
    mode: int = Delivery.FIXED
    logical: bool = False
    hint: bool = False
    level: bool = False

    @classmethod
    def of(cls, msi: Msi) -> Self:
        """What `msi` says, in the compatibility format, which is the one of the APICs."""
        high = DESTINATION_HIGH.get(msi.address)
        return cls(
            VECTOR.get(msi.data),
            high << 8 | DESTINATION.get(msi.address),
            MODE.get(msi.data),
            bool(LOGICAL.get(msi.address)),
            bool(HINT.get(msi.address)),
            bool(TRIGGER.get(msi.data)),
        )

    def message(self) -> Msi:
        """The message that says this. Of a level-triggered input it says "asserted"."""
        address = MESSAGE_BASE | DESTINATION_HIGH.put(0, self.destination >> 8)
        address = DESTINATION.put(address, self.destination)
        address = HINT.put(LOGICAL.put(address, self.logical), self.hint)
        data = MODE.put(self.vector & VECTOR.mask, self.mode)
        return Msi(address, TRIGGER.put(ASSERT.put(data, self.level), self.level))


class InterruptController(Protocol):
    """What a processor needs of it: is there an interrupt, and which vector is it?"""

    @property
    def pending(self) -> bool:
        """Whether the INTR pin is up."""

    def acknowledge(self) -> int:
        """The INTA cycle: the vector of the highest request, which is now in service."""
