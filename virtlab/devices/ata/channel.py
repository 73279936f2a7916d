"""A channel: one or two drives on a cable, the ports they share, and one interrupt line.

    write  DEVICE, FEATURES, ...   both drives hear it
    write  COMMAND                 the selected one does it; a diagnostic, both
    read                           the selected one answers
    INTRQ                          the selected one drives it, if nIEN is 0

The idea: there is no address on the cable. Bit DEV of DEVICE, which both drives keep, says who is
meant. So a channel is little more than that bit, and the device control register.

The rule that keeps it simple: after everything that may change a drive, `update` looks at the
selected one again, and drives the line by what it finds.

A drive that is alone answers for its absent partner: STATUS and ALTERNATE_STATUS read 00h, any
other read gives its own registers, a command is ignored (ATA-6, 9.16.1). On an empty cable nobody
drives the lines: DD7 is pulled down, so that BSY reads 0.

Source: ATA/ATAPI-6 (T13 1410D), "Register definitions", 9.16. The decoding is the lesson here, so
it is a plain `match`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtlab.devices.ata.drive import Drive
from virtlab.devices.ata.registers import (
    ALTERNATE_STATUS,
    COMMAND,
    CONTROL_REGISTERS,
    DATA,
    DEVICE,
    DEVICE_CONTROL,
    ERROR,
    FEATURES,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    OBSOLETE_ONES,
    SECTOR_COUNT,
    STATUS,
    Command,
)
from virtlab.interrupts import IrqLine
from virtlab.wire import all_ones

EMPTY_WORD = 0xFF7F
"""What an empty cable reads as: all ones, but for DD7 (ATA-6, "Electrical characteristics")."""


class Channel:
    """A channel with `drives`, device 0 first; none: the cable is empty. `irq` is INTRQ.

    `commands` (8 ports) and `control` (1 port) are the two `Device`s that a board maps.
    `wants_dma()` is called when the selected drive waits for the bus master, `interrupted()` at
    each rising edge of INTRQ.
    """

    def __init__(self, irq: IrqLine | None = None, drives: Sequence[Drive] = ()) -> None:
        if len(drives) > 2:
            raise ValueError(f"a cable has two drives at most, not {len(drives)}")
        self.irq = irq if irq is not None else IrqLine("ide")
        self.drives = tuple(drives)
        self.unit = 0
        self.device_control = 0
        self.wants_dma: Callable[[], None] = lambda: None
        self.interrupted: Callable[[], None] = lambda: None
        self.commands, self.control = CommandBlock(self), ControlBlock(self)
        for drive in self.drives:
            drive.changed = self.update

    @property
    def selected(self) -> Drive | None:
        """The drive that DEVICE selects, if it is there."""
        return self.drives[self.unit] if self.unit < len(self.drives) else None

    def update(self) -> None:
        """Drive INTRQ as the selected drive wants it, and call the bus master if it waits."""
        drive = self.selected
        enabled = not DEVICE_CONTROL.NIEN.get(self.device_control)
        level = enabled and drive is not None and drive.pending
        if level and not self.irq.level:
            self.interrupted()
        self.irq.set(level)
        if drive is not None and drive.dmarq:
            self.wants_dma()

    def reset(self) -> None:
        """A hardware reset: the cable's RESET- line."""
        for drive in self.drives:
            drive.power_on()
        self.unit = self.device_control = 0
        self.update()

    # -- the command block

    def read(self, offset: int) -> int:
        """A register, one byte."""
        if not self.drives:
            return EMPTY_WORD & all_ones(1)
        drive = self.selected or self.drives[0]
        match offset:
            case DATA.offset:
                return drive.read_word() & all_ones(1)
            case ERROR.offset:
                return drive.error
            case SECTOR_COUNT.offset | LBA_LOW.offset | LBA_MID.offset | LBA_HIGH.offset:
                before = DEVICE_CONTROL.HOB.get(self.device_control)
                return drive.task.get(offset, before=bool(before))
            case DEVICE.offset:
                return DEVICE.DEV.put(drive.task.device, self.unit)
            case _:
                status = self.status
                self._acknowledge()
                return status

    @property
    def status(self) -> int:
        """STATUS, with no effect: 0 for a drive that is not there."""
        if not self.drives:
            return EMPTY_WORD & all_ones(1)
        return self.selected.status if self.selected else 0

    def _acknowledge(self) -> None:
        """The selected drive no longer wants an interrupt (ATA-6, Status register)."""
        if self.selected is not None:
            self.selected.pending = False
            self.update()

    def write(self, offset: int, value: int) -> None:
        """A register, one byte. While BSY or DRQ is set, a drive looks at no register.

        A write to any of them clears HOB (ATA-6, Device Control register).
        """
        if offset == COMMAND.offset:
            self._acknowledge()
        if offset == DATA.offset or (self.selected is not None and self.selected.busy):
            return
        self.device_control = DEVICE_CONTROL.HOB.put(self.device_control, 0)
        match offset:
            case COMMAND.offset:
                self._command(value)
            case DEVICE.offset:
                self.unit = DEVICE.DEV.get(value)
                for drive in self.drives:
                    drive.task.device = value | OBSOLETE_ONES
            case _:
                for drive in self.drives:
                    drive.task.push(offset, value)
        self.update()

    def _command(self, code: int) -> None:
        """A diagnostic is for both, and device 0 speaks for both (ATA-6, 9.10)."""
        if code == Command.EXECUTE_DEVICE_DIAGNOSTIC:
            self.unit = 0
            for unit, drive in enumerate(self.drives):
                drive.execute(code)
                drive.pending &= unit == 0
        elif self.selected is not None:
            self.selected.execute(code)

    def read_word(self) -> int:
        """DATA, 16 bits."""
        drive = self.selected or (self.drives[0] if self.drives else None)
        return drive.read_word() if drive is not None else EMPTY_WORD

    def write_word(self, word: int) -> None:
        """DATA, 16 bits."""
        if self.selected is not None:
            self.selected.write_word(word)

    # -- the control block

    def write_control(self, value: int) -> None:
        """DEVICE_CONTROL: while SRST is 1, both drives are in reset (ATA-6, 9.3)."""
        was = DEVICE_CONTROL.SRST.get(self.device_control)
        now = DEVICE_CONTROL.SRST.get(value)
        self.device_control = value & DEVICE_CONTROL.rw
        if now and not was:
            self.unit = 0
        for drive in self.drives:
            if now and not was:
                drive.begin_reset()
            elif was and not now:
                drive.end_reset()
        self.update()

    def peek(self) -> dict[str, int]:
        """The registers that can be read, by name, with no side effect; and DEVICE_CONTROL."""
        values = {ALTERNATE_STATUS.name: self.status, DEVICE_CONTROL.name: self.device_control}
        drive = self.selected or (self.drives[0] if self.drives else None)
        if drive is not None:
            values |= {ERROR.name: drive.error, STATUS.name: self.status}
            values |= {DEVICE.name: DEVICE.DEV.put(drive.task.device, self.unit)}
            for reg in (FEATURES, SECTOR_COUNT, LBA_LOW, LBA_MID, LBA_HIGH):
                values[reg.name] = drive.task.get(reg.offset)
        return values


class CommandBlock:
    """Eight ports. DATA is 16 bits wide, the others 8; a wider access is several of them."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def read(self, offset: int, size: int) -> int:
        """DATA in words, or registers in bytes, the lowest first."""
        if offset == DATA.offset and size > 1:
            return sum(self.channel.read_word() << 16 * n for n in range(size // 2))
        return sum(self.channel.read(offset + n) << 8 * n for n in range(size))

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written. A byte alone is no data."""
        if offset == DATA.offset and size > 1:
            for n in range(size // 2):
                self.channel.write_word(value >> 16 * n)
        else:
            for n in range(size):
                self.channel.write(offset + n, value >> 8 * n & all_ones(1))

    def peek(self) -> dict[str, int]:
        """Every register by name, with no side effect."""
        return self.channel.peek()


class ControlBlock:
    """One port: ALTERNATE_STATUS, which leaves the interrupt alone, and DEVICE_CONTROL."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def read(self, offset: int, size: int) -> int:
        """STATUS, with no effect (ATA-6, Alternate Status register)."""
        return self.channel.status

    def write(self, offset: int, size: int, value: int) -> None:
        """DEVICE_CONTROL."""
        self.channel.write_control(value)

    def peek(self) -> dict[str, int]:
        """Both registers by name, with no side effect."""
        values = self.channel.peek()
        return {reg.name: values[reg.name] for reg in CONTROL_REGISTERS}
