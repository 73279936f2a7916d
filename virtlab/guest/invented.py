"""Drivers for devices that a VMM invented: an old kernel has none of them, so somebody writes one.

Each driver has the same two parts. `find` looks for the device in the way that the device chose: a
port that everybody has to know, or the PCI bus. The rest is its work.

The layouts are the devices' own declarations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self

from virtlab.cpu import Cpu
from virtlab.devices.debugcon import PORT as DEBUG_PORT
from virtlab.devices.debugcon import READBACK
from virtlab.devices.pvpanic import DEVICE, VENDOR, PvPanic
from virtlab.devices.pvpanic import PORT as PANIC_PORT
from virtlab.guest.pci import Found


class DebugConsoleDriver:
    """Prints by one `OUT` a character."""

    def __init__(self, cpu: Cpu, port: int = DEBUG_PORT) -> None:
        self.cpu = cpu
        self.port = port

    @classmethod
    def find(cls, cpu: Cpu) -> Self | None:
        """A driver, if the port gives its own number back."""
        return cls(cpu) if cpu.inp(DEBUG_PORT) == READBACK else None

    def write(self, data: bytes) -> None:
        """Print `data`. There is nothing to wait for."""
        for byte in data:
            self.cpu.out(self.port, byte)


class Door(Protocol):
    """The one register of pvpanic, behind a port or in memory."""

    def get(self) -> int:
        """Read it."""

    def put(self, value: int) -> None:
        """Write it."""


class PortDoor:
    """A register of one byte at a port."""

    def __init__(self, cpu: Cpu, port: int) -> None:
        self.cpu = cpu
        self.port = port

    def get(self) -> int:
        """Read it."""
        return self.cpu.inp(self.port)

    def put(self, value: int) -> None:
        """Write it."""
        self.cpu.out(self.port, value)


class MemoryDoor:
    """A register of one byte in memory."""

    def __init__(self, cpu: Cpu, gpa: int) -> None:
        self.cpu = cpu
        self.gpa = gpa

    def get(self) -> int:
        """Read it."""
        return self.cpu.load(self.gpa, 1)

    def put(self, value: int) -> None:
        """Write it."""
        self.cpu.store(self.gpa, value, 1)


class PvPanicDriver:
    """Tells the VMM that this kernel has crashed."""

    def __init__(self, door: Door) -> None:
        self.door = door

    @classmethod
    def at_port(cls, cpu: Cpu) -> Self | None:
        """The ISA device, if something other than an empty bus answers at its port."""
        door = PortDoor(cpu, PANIC_PORT)
        return cls(door) if door.get() != 0xFF else None

    @classmethod
    def on_pci(cls, cpu: Cpu, functions: Iterable[Found]) -> Self | None:
        """The PCI function, if enumeration met it and gave it an address."""
        for top in functions:
            for found in top.walk():
                if (found.vendor, found.device) == (VENDOR, DEVICE):
                    return cls(MemoryDoor(cpu, found.bar(0)))
        return None

    @property
    def wanted(self) -> int:
        """The events that the VMM wants to hear of."""
        return self.door.get()

    def panic(self) -> bool:
        """Say that the kernel has panicked; whether the VMM wanted to know."""
        event = PvPanic.EVENTS.PANICKED.mask
        if not self.wanted & event:
            return False
        self.door.put(event)
        return True
