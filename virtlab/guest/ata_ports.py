"""The task file as a driver uses it: select a drive, give it a command, wait for it.

    DEVICE --> idle? --> the other registers --> COMMAND --> an interrupt, or polls --> STATUS

The idea: whatever the command, the host does these steps (ATA-6, "Host protocol"). `AtaDriver` adds
what the commands mean.

The rules that keep it simple: before a command the drive is idle, after it STATUS has been read,
which takes the interrupt back. Every wait is bounded. `listen` chooses sleep, `mute` polling.

Source: ATA/ATAPI-6 (T13 1410D). The registers are the device's own declarations.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.cpu import Cpu
from virtlab.devices.ata.registers import (
    ALTERNATE_STATUS,
    BSY,
    COMMAND,
    DEVICE,
    DEVICE_CONTROL,
    DRQ,
    ERR,
    ERROR,
    FEATURES,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    SECTOR_COUNT,
    STATUS,
    Command,
)
from virtlab.guest.pic import Pics
from virtlab.registers import Reg

POLLS = 100_000
"""Reads of a status after which a drive counts as dead."""

TIMEOUT = 1_000_000_000
"""Nanoseconds after which it counts as dead, asleep."""

LBA28_LIMIT = 1 << 28


class IdeChannel(NamedTuple):
    """Where a PC has a channel: its first ports, its IRQ. Its bus master is BAR 4's `number`th."""

    number: int
    command: int
    control: int
    irq: int


PRIMARY = IdeChannel(0, 0x1F0, 0x3F6, 14)
SECONDARY = IdeChannel(1, 0x170, 0x376, 15)


class Pair(NamedTuple):
    """One command in its two forms, of 28 and of 48 bits."""

    short: Command
    extended: Command


class AtaError(Exception):
    """It went wrong: `status` and `error` are the drive's registers, `bus_master` is BMISTA."""

    def __init__(self, what: str, status: int, error: int = 0, bus_master: int = 0) -> None:
        names = [name for name, bit in ERROR.decode(error).items() if bit]
        text = f"{what}: status {status:#04x}, error {error:#04x} {' '.join(names)}".rstrip()
        super().__init__(text + (f", bus master {bus_master:#04x}" if bus_master else ""))
        self.status = status
        self.error = error
        self.bus_master = bus_master


class AtaPorts:
    """The ports of drive `device` (0 or 1) on `channel`, through `cpu`."""

    def __init__(self, cpu: Cpu, channel: IdeChannel = PRIMARY, device: int = 0) -> None:
        if device not in (0, 1):
            raise ValueError(f"a cable has device 0 and 1, not {device}")
        self.cpu = cpu
        self.channel = channel
        self.device = device
        self.pics: Pics | None = None

    def reset(self) -> None:
        """Reset both drives of the channel (ATA-6, Software reset)."""
        quiet = 0 if self.pics else DEVICE_CONTROL.NIEN.mask
        self.cpu.out(self.channel.control, DEVICE_CONTROL.SRST.mask | quiet)
        self.cpu.out(self.channel.control, quiet)
        self.select(0)
        self.idle("reset")

    def listen(self, pics: Pics) -> None:
        """From now on, sleep until the drive interrupts."""
        self.pics = pics
        pics.unmask(self.channel.irq)
        self.cpu.out(self.channel.control, 0)

    def mute(self) -> None:
        """From now on, poll: the drive may not interrupt (nIEN)."""
        self.pics = None
        self.cpu.out(self.channel.control, DEVICE_CONTROL.NIEN.mask)

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register of the command block."""
        return self.cpu.inp(self.channel.command + reg.offset)

    def put(self, reg: Reg, value: int) -> None:
        """The same, written."""
        self.cpu.out(self.channel.command + reg.offset, value & 0xFF)

    def wait(self, what: str, wanted: int = 0) -> int:
        """Poll until the drive is not busy and has the bits `wanted`; the status.

        `AtaError` if the command failed.
        """
        for _ in range(POLLS):
            status = self.get(STATUS)
            if status & BSY:
                continue
            if status & ERR:
                raise AtaError(what, status, self.get(ERROR))
            if status & wanted == wanted:
                return status
        raise TimeoutError(f"{what}: the drive did not answer in {POLLS} polls")

    def answer(self, what: str, wanted: int = 0) -> int:
        """The same, asleep until the drive interrupts if there is anybody to wake us."""
        if self.pics is not None:
            self.sleep(what)
        return self.wait(what, wanted)

    def sleep(self, what: str) -> None:
        """Halt until the drive interrupts. `TimeoutError` if it does not, or another one does."""
        assert self.pics is not None
        irq = self.pics.next_irq(TIMEOUT)
        if irq is not None:
            self.pics.eoi(irq)
        if irq != self.channel.irq:
            raise TimeoutError(f"{what}: IRQ {self.channel.irq} did not come, but {irq}")

    def idle(self, what: str) -> None:
        """Poll until the drive takes a command. STATUS is left alone, and so is an old ERR."""
        for _ in range(POLLS):
            if not self.alternate() & (BSY | DRQ):
                return
        raise TimeoutError(f"{what}: the drive was not idle after {POLLS} polls")

    def alternate(self) -> int:
        """STATUS, without taking the interrupt back."""
        return self.cpu.inp(self.channel.control + ALTERNATE_STATUS.offset)

    def select(self, high: int) -> None:
        """DEVICE: which drive, LBA, and four more bits of the address."""
        word = DEVICE.DEV.put(DEVICE.reset | DEVICE.LBA.mask, self.device)
        self.put(DEVICE, DEVICE.HEAD.put(word, high))

    def issue(self, code: Command, count: int = 0, feature: int = 0) -> None:
        """A command without an address."""
        self.select(0)
        self.idle(code.name)
        self.put(FEATURES, feature)
        self.put(SECTOR_COUNT, count)
        self.put(COMMAND, code)

    def command(self, pair: Pair, sector: int, count: int) -> None:
        """A command for `count` sectors from `sector`, in the form that reaches them.

        In the long form each register takes two bytes, the upper ones first.
        """
        extended = sector + count > LBA28_LIMIT
        self.select(0 if extended else sector >> 24)
        self.idle(pair.short.name)
        for shift in (24, 0) if extended else (0,):
            self.put(SECTOR_COUNT, count >> (8 if shift else 0))
            for number, reg in enumerate((LBA_LOW, LBA_MID, LBA_HIGH)):
                self.put(reg, sector >> shift + 8 * number)
        self.put(COMMAND, pair.extended if extended else pair.short)
