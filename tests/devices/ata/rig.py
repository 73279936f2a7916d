"""A channel on a bench, and a machine with an IDE controller: PCI, memory, the two 8259As."""

from __future__ import annotations

import numpy as np

from tests.pci.rig import Rig
from virtlab.backends.disk import SECTOR, Disk
from virtlab.clock import Clock
from virtlab.devices.ata import BusMaster, BusMasterRegisters, Channel, Drive, IdeFunction
from virtlab.devices.ata.registers import (
    ALTERNATE_STATUS,
    COMMAND,
    DATA,
    DEVICE,
    DEVICE_CONTROL,
    EXTENDED,
    FEATURES,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    SECTOR_COUNT,
    STATUS,
)
from virtlab.devices.pic import PicPair
from virtlab.guest.ata import PRIMARY, SECONDARY
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

SECTORS = 8192
DEVICE_0, DEVICE_1 = DEVICE.LBA.mask, DEVICE.LBA.mask | DEVICE.DEV.mask
"""DEVICE, for LBA addresses."""

BMICOM, BMISTA, BMIDTP = (reg.offset for reg in BusMasterRegisters.registers)


def image(sectors: int = SECTORS, seed: int = 7) -> bytes:
    """A disk's bytes, no sector like the next, the same for a seed."""
    return np.random.default_rng(seed).integers(0, 256, sectors * SECTOR, np.uint8).tobytes()


class Bench:
    """A channel with `disks`, its bus master, 1 MiB of memory, and hands on all registers.

    `edges` counts the interrupts.
    """

    def __init__(self, *disks: Disk, latency: int = 0) -> None:
        self.clock = Clock()
        self.edges = 0
        drives = [Drive(disk, clock=self.clock, latency=latency) for disk in disks]
        self.channel = Channel(IrqLine("irq 14", self._changed), drives)
        self.ram = GuestMemory(1 << 20)
        self.master = BusMaster(self.channel, self.ram)

    def _changed(self, level: bool) -> None:
        self.edges += level

    @property
    def interrupt(self) -> bool:
        """Whether INTRQ is up."""
        return self.channel.irq.level

    def get(self, reg) -> int:
        """A register of the command block."""
        return self.channel.commands.read(reg.offset, reg.width)

    def put(self, reg, value) -> None:
        """The same, written."""
        self.channel.commands.write(reg.offset, reg.width, value & 0xFF)

    @property
    def status(self) -> int:
        """STATUS, read where it leaves the interrupt alone."""
        return self.channel.control.read(ALTERNATE_STATUS.offset, 1)

    def control(self, value) -> None:
        """Write DEVICE_CONTROL."""
        self.channel.control.write(DEVICE_CONTROL.offset, 1, value)

    def command(self, code, sector=0, count=1, device=DEVICE_0, feature=0) -> int:
        """All the registers, and the command; the status after it, which takes no interrupt."""
        extended = code in EXTENDED
        high = 0 if extended or not DEVICE.LBA.get(device) else sector >> 24 & 15
        self.put(DEVICE, device | high)
        self.put(FEATURES, feature)
        for shift in (24, 0) if extended else (0,):
            self.put(SECTOR_COUNT, count >> (8 if shift else 0))
            for number, reg in enumerate((LBA_LOW, LBA_MID, LBA_HIGH)):
                self.put(reg, sector >> shift + 8 * number)
        self.put(COMMAND, code)
        return self.status

    def address(self) -> int:
        """LBA_HIGH, LBA_MID and LBA_LOW as one number."""
        return self.get(LBA_HIGH) << 16 | self.get(LBA_MID) << 8 | self.get(LBA_LOW)

    def take(self, sectors=1, size=2) -> bytes:
        """Read sectors from DATA."""
        reads = range(sectors * SECTOR // size)
        words = [self.channel.commands.read(DATA.offset, size) for _ in reads]
        return b"".join(word.to_bytes(size, "little") for word in words)

    def give(self, data, size=2) -> None:
        """Write DATA."""
        for at in range(0, len(data), size):
            word = int.from_bytes(data[at : at + size], "little")
            self.channel.commands.write(DATA.offset, size, word)

    def acknowledge(self) -> int:
        """Read STATUS."""
        return self.get(STATUS)

    def start(self, table: bytes, at=0x8000, command=0x09) -> int:
        """Put a region table into memory and start the bus master anew; BMISTA after it."""
        self.ram.write(at, table)
        self.master.write(BMICOM, 1, 0)
        self.master.write(BMIDTP, 4, at)
        self.master.write(BMICOM, 1, command)
        return self.master.read(BMISTA, 1)


class AtaRig(Rig):
    """An IDE controller on a PCI bus, its channels where a PC has them, its BAR placed.

    `disks` are those of the primary channel, `second` those of the other one. `bar` is the first
    port of the bus masters.
    """

    def __init__(self, *disks: Disk, second: tuple[Disk, ...] = (), latency: int = 0) -> None:
        super().__init__()
        self.pic = PicPair(latched=True)
        self.ports.map(MASTER, 2, self.pic.master)
        self.ports.map(SLAVE, 2, self.pic.slave)
        clock = self.cpu.clock
        self.cpu = BareCpu(self.ports, self.memory, clock, self.pic)
        irqs = self.pic.line(PRIMARY.irq), self.pic.line(SECONDARY.irq)
        self.disks = disks
        self.ide = IdeFunction(irqs, disks, second, clock, latency)
        self.bus.plug(self.ide, 1)
        for place, channel in zip((PRIMARY, SECONDARY), self.ide.channels, strict=True):
            self.ports.map(place.command, 8, channel.commands, f"ide {place.number}", width=4)
            self.ports.map(place.control, 1, channel.control, f"ide {place.number} control")
        self.bar = find(enumerate_pci(self.cpu), 0x8086, 0x7010).bar(4)
