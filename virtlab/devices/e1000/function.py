"""The card as a PCI function: 8086:100E, registers in memory, and the same registers through ports.

The ports are for firmware that runs before memory addresses are given out, and for one thing that
Linux does: it resets the card through them. IOADDR picks an offset, IODATA is a window on it.

Source: 8254x SDM 4.1 (configuration space), 13.2.2 (ports). As in QEMU the ports are behind BAR 1;
on a real card behind BAR 2. It has no capabilities.
"""

from __future__ import annotations

from virtlab.backends.network import LinkEnd
from virtlab.clock import Clock
from virtlab.devices.e1000.device import DEFAULT_MAC, E1000
from virtlab.pci.function import Function, Identity
from virtlab.registers import Reg
from virtlab.wire import all_ones

IOADDR = Reg(0, 4, rw=0xFFFFF, name="IOADDR", spec="8254x SDM 13.2.2.1", doc="The offset to reach.")
IODATA = Reg(4, 4, rw=0xFFFFFFFF, name="IODATA", spec="8254x SDM 13.2.2.2", doc="What is there.")

PORTS = 64
"""Ports of BAR 1."""

IDENTITY = Identity(0x8086, 0x100E, 0x020000, revision=3, subsystem_vendor=0x1AF4, subsystem=0x1100)
"""What it says it is; the subsystem is QEMU's."""


class Window:
    """IOADDR and IODATA: a way to `card` of two dwords."""

    def __init__(self, card: E1000) -> None:
        self.card = card
        self.address = 0

    def read(self, offset: int, size: int) -> int:
        """IOADDR, or what is at the offset in it. Beyond the registers there is nothing."""
        if offset & ~3 == IOADDR.offset:
            return self.address >> 8 * (offset & 3) & all_ones(size)
        target = self._target(offset)
        return 0 if target is None else self.card.read(target, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A write to IOADDR is of a dword, or it is ignored (13.2.2.1)."""
        if offset == IOADDR.offset and size == IOADDR.width:
            self.address = value & IOADDR.rw
        elif (target := self._target(offset)) is not None:
            self.card.write(target, size, value)

    def _target(self, offset: int) -> int | None:
        inside = offset - IODATA.offset
        return (self.address & ~3) + inside if 0 <= inside < IODATA.width else None


class E1000Function(Function):
    """An 82540EM in a slot, with the address `mac`, plugged into `wire`."""

    def __init__(
        self,
        clock: Clock | None = None,
        wire: LinkEnd | None = None,
        mac: bytes = DEFAULT_MAC,
    ) -> None:
        super().__init__(IDENTITY, name="e1000", pin=1)
        self.e1000 = E1000(self.irq, self.dma, clock, wire, mac)
        self.window = Window(self.e1000)
        self.memory_bar(0, self.e1000, E1000.length)
        self.port_bar(1, self.window, PORTS)

    def reset(self) -> None:
        """As after the bus was reset."""
        super().reset()
        self.e1000.reset()
        self.window.address = 0
