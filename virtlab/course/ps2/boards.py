"""The small machines of problem set 2: buses with cards on them, and a way to their registers.

The idea: a board is a root complex and what is plugged into it, nothing else. The student gets its
`pci`, which notes every configuration access; the case looks at the functions themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from virtlab.course.answers import Stopped
from virtlab.guest.pci import Place, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.memory import GuestMemory
from virtlab.pci.bus import DEVICES, FUNCTIONS
from virtlab.pci.chipset import HostBridge
from virtlab.pci.config import CONVENTIONAL
from virtlab.pci.function import Function, Identity
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.wire import all_ones

VENDOR = 0x1AF4
"""The vendor of every card here."""

RAM, BUSES = 1 << 20, 256
ACCESSES = 4_000
"""Configuration accesses that one answer may make."""

Topology = Literal["conventional", "express"]
BarKind = tuple[Literal["memory", "port"], int, int, bool]
"""Space, bytes, bits, prefetchable: what task 2 asks for."""


class Blank:
    """A device that has nothing to say."""

    def read(self, offset: int, size: int) -> int:
        """Zero."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing changes."""


class Card(Function):
    """A function with these BARs, by index, and nothing behind them."""

    def __init__(self, device: int = 1, bars: dict[int, BarKind] | None = None) -> None:
        super().__init__(Identity(VENDOR, device, 0xFF0000), name=f"card {device}")
        for index, (space, size, bits, prefetchable) in (bars or {}).items():
            if space == "port":
                self.port_bar(index, Blank(), size)
            else:
                self.memory_bar(index, Blank(), size, bits=bits, prefetchable=prefetchable)


class ConfigAccess(NamedTuple):
    """One access to the configuration space of the function at `place`."""

    seq: int
    write: bool
    place: Place
    offset: int
    size: int
    value: int


class Config:
    """The student's way to configuration space: `read` and `write`, noted, and bounded.

    `watch(access)`, where a case sets it, is called after each write.
    """

    def __init__(self, root: RootComplex) -> None:
        self.root = root
        self.accesses: list[ConfigAccess] = []
        self.watch: Callable[[ConfigAccess], None] = lambda access: None

    def read(self, place: tuple[int, int, int], offset: int, size: int) -> int:
        """`size` bytes (1, 2 or 4) at `offset` of the function at `place`."""
        where = _checked(place, offset, size, 0)
        value = self.root.config_read(*where, offset, size)
        self._note(False, where, offset, size, value)
        return value

    def write(self, place: tuple[int, int, int], offset: int, size: int, value: int) -> None:
        """The same, written."""
        where = _checked(place, offset, size, value)
        value &= all_ones(size)
        self.root.config_write(*where, offset, size, value)
        self.watch(self._note(True, where, offset, size, value))

    def _note(self, write: bool, place: Place, offset: int, size: int, value: int) -> ConfigAccess:
        if len(self.accesses) >= ACCESSES:
            raise Stopped(f"it was stopped after {ACCESSES:,} accesses; {self.last()}")
        access = ConfigAccess(len(self.accesses), write, place, offset, size, value)
        self.accesses.append(access)
        return access

    @property
    def writes(self) -> list[ConfigAccess]:
        """The writes among the accesses."""
        return [access for access in self.accesses if access.write]

    def last(self) -> str:
        """The last access, as a report shows it."""
        return f"the last: {self.say(self.accesses[-1])}" if self.accesses else "there was none"

    def say(self, access: ConfigAccess) -> str:
        """An access as a report shows it: `access 3: write 00:02.0 COMMAND 0x4/2 <- 0x0`."""
        target = self.root.bus.route_config(*access.place).target
        registers = target.header.registers if target else ()
        name = next((f" {reg.name}" for reg in registers if reg.offset == access.offset), "")
        verb, arrow = ("write", "<-") if access.write else ("read", "->")
        where = f"{access.place}{name} {access.offset:#x}/{access.size}"
        return f"access {access.seq}: {verb} {where} {arrow} {access.value:#x}"


def _checked(place: object, offset: int, size: int, value: int) -> Place:
    """The place of an access that can be made; else an error in the student's own line."""
    if not isinstance(place, tuple) or len(place) != 3:
        raise TypeError(f"a place is a tuple (bus, device, function), not {place!r}")
    for number in (*place, offset, size, value):
        if not isinstance(number, int):
            raise TypeError(f"place, offset, size and value are whole numbers, not {number!r}")
    bus, device, function = where = Place(*place)
    if not (0 <= bus < BUSES and 0 <= device < DEVICES and 0 <= function < FUNCTIONS):
        raise ValueError(f"no function can be at {place!r}")
    if size not in (1, 2, 4) or offset % size or not 0 <= offset < CONVENTIONAL:
        raise ValueError(f"no access has {size} bytes at offset {offset:#x}")
    return where


class Firmware:
    """The same way, for a case's own use: nothing is noted."""

    def __init__(self, root: RootComplex) -> None:
        self.root = root

    def read(self, place: Place, offset: int, size: int) -> int:
        """A read."""
        return self.root.config_read(*place, offset, size)

    def write(self, place: Place, offset: int, size: int, value: int) -> None:
        """A write."""
        self.root.config_write(*place, offset, size, value)


class Board:
    """A root complex with a host bridge at 00:00.0, and RAM from 0. `pci` is the student's."""

    def __init__(self, topology: Topology = "conventional") -> None:
        self.trace = Trace()
        self.ram = GuestMemory(RAM)
        self.root = RootComplex(self.trace, lambda source: self.ram)
        self.bus = self.root.bus
        self.bus.kind = "conventional" if topology == "conventional" else "internal"
        self.bus.plug(HostBridge(self.root))
        self.pci = Config(self.root)

    def enumerate(self) -> None:
        """Do what firmware does at power-on: numbers, addresses, windows, and let all decode."""
        firmware = Firmware(self.root)
        functions = Scan(firmware).run()
        assign(functions, Windows())
        program(firmware, functions)
