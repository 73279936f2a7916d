"""The two machines on which a device reaches memory: an IDE disk, and a network card.

Each has a `cpu` for the student, on which every access costs a bus cycle of virtual time, and
devices that take their time: a disk some microseconds for its first byte, a card some for a
doorbell. So whoever does not wait, finds memory as it was.

`PATTERN` fills main memory, so that a byte that nobody wrote can be told from a zero.
"""

from __future__ import annotations

import numpy as np

from virtlab.backends.network import Link
from virtlab.bus import AddressSpace
from virtlab.clock import MICROSECOND, Clock
from virtlab.course.budget import BudgetCpu
from virtlab.devices.ata import BusMaster, Channel, Drive
from virtlab.devices.e1000 import E1000
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import Bytes, GuestMemory
from virtlab.wire import u32

RAM, HIGH_RAM = (0, 1 << 20), (1 << 32, 1 << 16)
"""Main memory, and a little of it above 4 GiB: `(base, length)`."""

PATTERN = 0xEE
SECTOR_WORDS = 128

COMMANDS, CONTROL = 0x1F0, 0x3F6
"""The ports of a PC's first disk channel."""

DISK_TIME, DOORBELL_TIME = 10 * MICROSECOND, 10 * MICROSECOND
CARD = 0xC000_0000
"""Where the network card's registers are."""


class Machine:
    """Two address spaces with main memory in one of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ram = GuestMemory([RAM, HIGH_RAM])
        self.ram.bytes[:] = PATTERN
        self.ports = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52)
        self.memory.map_ram(self.ram)
        self.cpu = BudgetCpu(BareCpu(self.ports, self.memory, self.clock), self.clock)

    def changed(self, expected: Bytes) -> int | None:
        """The gpa of the first byte that is not as expected, if there is one."""
        wrong = (self.ram.bytes != expected).nonzero()[0]
        if not len(wrong):
            return None
        offset = int(wrong[0])
        region = max(region for region in self.ram.regions if region.offset <= offset)
        return region.start + offset - region.offset


class Numbered:
    """A disk of 2**28 sectors. Each 4 bytes of it are their own number, so none is like another."""

    sectors = 1 << 28
    read_only = True

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        first = sector * SECTOR_WORDS
        return np.arange(first, first + count * SECTOR_WORDS).astype(u32).tobytes()

    def write(self, sector: int, data: bytes) -> None:
        """Nobody can write it."""

    def flush(self) -> None:
        """There is nothing to flush."""


class DiskMachine(Machine):
    """A disk on the first channel, and its bus master at port `base`."""

    def __init__(self, base: int = 0xC000) -> None:
        super().__init__()
        self.base = base
        self.disk = Numbered()
        self.irq = IrqLine("irq 14")
        self.drive = Drive(self.disk, clock=self.clock, latency=DISK_TIME)
        self.channel = Channel(self.irq, [self.drive])
        self.master = BusMaster(self.channel, self.ram)
        self.ports.map(COMMANDS, 8, self.channel.commands, "disk", width=4)
        self.ports.map(CONTROL, 1, self.channel.control, "disk control")
        self.ports.map(base, 8, self.master, "bus master", width=4)


class Doorbell:
    """The card's registers, but that it hears of a new tail only `delay` ns later."""

    def __init__(self, card: E1000, clock: Clock, delay: int) -> None:
        self.card, self.clock, self.delay = card, clock, delay

    def read(self, offset: int, size: int) -> int:
        """As the card."""
        return self.card.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """As the card; a tail is kept at once, and looked at later."""
        if self.delay and offset == E1000.TDT.offset:
            self.card.TDT = value
            self.clock.after(self.delay, self.card.transmitter.kick)
        else:
            self.card.write(offset, size, value)


class CardMachine(Machine):
    """A network card at `CARD`. `frames` are those that came out of its cable."""

    def __init__(self, delay: int = 0) -> None:
        super().__init__()
        link = Link()
        self.frames: list[bytes] = []
        link.b.listener = self.frames.append
        self.card = E1000(IrqLine("irq 11"), self.ram, self.clock, link.a)
        registers = Doorbell(self.card, self.clock, delay)
        self.memory.map(CARD, E1000.length, registers, "e1000", width=4)
