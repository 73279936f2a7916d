"""A driver for an IDE disk: sectors by programmed I/O, and sectors by DMA.

    PIO   the processor reads 256 words for each sector, one instruction each
    DMA   the processor writes a table and a few registers, and is free until the interrupt

The idea: both ways give the same command to the same drive. What differs is who moves the bytes,
and `Recorder` counts it. Either can be polled, or slept for: `listen` chooses.

The rule that keeps it simple: a long transfer is several commands, each of 256 sectors at most. A
command of 28 bits serves, unless the sectors are beyond it.

Source: ATA/ATAPI-6 (T13 1410D), "Host protocol"; Programming Interface for Bus Master IDE
Controller 1.0, 3. Left out: CHS addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from virtlab.backends.disk import SECTOR, sectors_of
from virtlab.cpu import Cpu
from virtlab.devices.ata.identify import IDENTIFY, LBA48, MULTIPLE_SECTORS, text_of
from virtlab.devices.ata.registers import (
    BSY,
    BUS_MASTER,
    DATA,
    DRDY,
    DRQ,
    SECTOR_COUNT,
    BusMasterRegisters,
    Command,
)
from virtlab.guest.ata_ports import (
    POLLS,
    PRIMARY,
    SECONDARY,
    AtaError,
    AtaPorts,
    IdeChannel,
    Pair,
)
from virtlab.guest.ata_regions import check_table, prd_table
from virtlab.registers import Reg

__all__ = ["PRIMARY", "SECONDARY", "AtaDriver", "AtaError", "IdeChannel", "Identity"]

MAX_SECTORS = 256
"""Sectors that one command moves here. A 48-bit command could move 65,536."""

READ = Pair(Command.READ_SECTORS, Command.READ_SECTORS_EXT)
WRITE = Pair(Command.WRITE_SECTORS, Command.WRITE_SECTORS_EXT)
READ_MULTIPLE = Pair(Command.READ_MULTIPLE, Command.READ_MULTIPLE_EXT)
WRITE_MULTIPLE = Pair(Command.WRITE_MULTIPLE, Command.WRITE_MULTIPLE_EXT)
READ_DMA = Pair(Command.READ_DMA, Command.READ_DMA_EXT)
WRITE_DMA = Pair(Command.WRITE_DMA, Command.WRITE_DMA_EXT)
VERIFY = Pair(Command.READ_VERIFY_SECTORS, Command.READ_VERIFY_SECTORS_EXT)


class Identity(NamedTuple):
    """What a drive says of itself. `multiple` is the most sectors of a block."""

    model: str
    serial: str
    firmware: str
    sectors: int
    lba48: bool
    multiple: int


class AtaDriver(AtaPorts):
    """Drive `device` (0 or 1) of `channel`, through `cpu`.

    `bus_master` is the port that BAR 4 holds, `table` (gpa, a multiple of 4) the place in RAM for
    the region table; both are needed for DMA. `size` is the bytes of one access to DATA: 2 or 4.
    `block` is how many sectors move for one interrupt of PIO.
    """

    def __init__(
        self,
        cpu: Cpu,
        channel: IdeChannel = PRIMARY,
        device: int = 0,
        *,
        bus_master: int | None = None,
        table: int = 0,
        size: int = 2,
    ) -> None:
        super().__init__(cpu, channel, device)
        if size not in (2, 4):
            raise ValueError(f"an access to DATA has 2 or 4 bytes, not {size}")
        self.bus_master = None if bus_master is None else bus_master + BUS_MASTER * channel.number
        self.table = table
        self.size = size
        self.block = 1

    # -- commands without sectors

    def detect(self) -> bool:
        """Whether the drive answers: it is ready, and its registers keep what is written."""
        self.select(0)
        for value in (0x55, 0xAA):
            self.put(SECTOR_COUNT, value)
            if self.get(SECTOR_COUNT) != value:
                return False
        return self.alternate() & (BSY | DRDY) == DRDY

    def identify(self) -> Identity:
        """IDENTIFY DEVICE, decoded."""
        self.issue(Command.IDENTIFY_DEVICE)
        self.answer("IDENTIFY DEVICE", DRQ)
        record = np.frombuffer(self._take(1), IDENTIFY)[0]
        lba48 = bool(LBA48.get(int(record["COMMANDS_2"])))
        sectors = int(record["LBA48_SECTORS"] if lba48 else record["LBA_SECTORS"])
        model, serial, firmware = (
            text_of(record[name].item()) for name in ("MODEL", "SERIAL", "FIRMWARE")
        )
        multiple = MULTIPLE_SECTORS.get(int(record["MAX_MULTIPLE"]))
        return Identity(model, serial, firmware, sectors, lba48, multiple)

    def set_features(self, feature: int, count: int = 0) -> None:
        """SET FEATURES. `AtaError` where the drive has not this one."""
        self.issue(Command.SET_FEATURES, count, feature)
        self.answer("SET FEATURES")

    def set_multiple(self, sectors: int) -> None:
        """Let blocks have so many sectors: fewer interrupts. `AtaError` if the drive cannot.

        0 turns blocks off: each sector goes alone.
        """
        self.issue(Command.SET_MULTIPLE_MODE, sectors)
        self.answer("SET MULTIPLE MODE")
        self.block = max(1, sectors)

    def flush(self) -> None:
        """Return once everything written is safe."""
        self.issue(Command.FLUSH_CACHE)
        self.answer("FLUSH CACHE")

    def verify(self, sector: int, count: int = 1) -> None:
        """READ VERIFY SECTORS: `AtaError` unless they are all there."""
        for first, n in _commands(sector, count):
            self.command(VERIFY, first, n)
            self.answer("READ VERIFY SECTORS")

    # -- programmed I/O

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors, word by word."""
        data = bytearray()
        for first, n in _commands(sector, count):
            self.command(READ if self.block == 1 else READ_MULTIPLE, first, n)
            for block in self._blocks(n):
                self.answer("read", DRQ)
                data += self._take(block)
        return bytes(data)

    def write(self, sector: int, data: bytes) -> None:
        """Whole sectors of `data`, word by word. For the first block no drive interrupts."""
        at = 0
        for first, n in _commands(sector, sectors_of(data)):
            self.command(WRITE if self.block == 1 else WRITE_MULTIPLE, first, n)
            self.wait("write", DRQ)
            for block in self._blocks(n):
                self._give(data[at : at + block * SECTOR])
                at += block * SECTOR
                self.answer("write")

    def _blocks(self, count: int) -> Iterator[int]:
        for done in range(0, count, self.block):
            yield min(self.block, count - done)

    def _take(self, sectors: int) -> bytes:
        """Read DATA."""
        port, size = self.channel.command + DATA.offset, self.size
        words = [self.cpu.inp(port, size) for _ in range(sectors * SECTOR // size)]
        return b"".join(word.to_bytes(size, "little") for word in words)

    def _give(self, data: bytes) -> None:
        """Write DATA."""
        port, size = self.channel.command + DATA.offset, self.size
        for at in range(0, len(data), size):
            self.cpu.out(port, int.from_bytes(data[at : at + size], "little"), size)

    # -- DMA

    def read_dma(self, sector: int, regions: Sequence[tuple[int, int]]) -> None:
        """Fill `regions` of memory, pairs `(gpa, bytes)`: whole sectors from `sector` on."""
        self._dma(READ_DMA, sector, regions)

    def write_dma(self, sector: int, regions: Sequence[tuple[int, int]]) -> None:
        """Write `regions` of memory to the disk, from `sector` on."""
        self._dma(WRITE_DMA, sector, regions)

    def _dma(self, pair: Pair, sector: int, regions: Sequence[tuple[int, int]]) -> None:
        """The steps of Bus Master IDE 1.0, 3.1, in its order."""
        if self.bus_master is None or not self.table:
            raise ValueError("DMA needs the bus master's port and a place for the table")
        sectors, rest = divmod(sum(length for _, length in regions), SECTOR)
        if rest or not 1 <= sectors <= MAX_SECTORS:
            raise ValueError(f"one command moves 1 to {MAX_SECTORS} whole sectors")
        table = prd_table(regions)
        check_table(self.table, table)
        bits = BusMasterRegisters.BMICOM
        way = bits.TO_MEMORY.mask if pair is READ_DMA else 0
        self.cpu.write(self.table, table)
        self._master(BusMasterRegisters.BMIDTP, self.table)
        self._master(bits, way)
        self._master(BusMasterRegisters.BMISTA, BusMasterRegisters.BMISTA.w1c)
        self.command(pair, sector, sectors)
        self._master(bits, way | bits.START.mask)
        if self.pics is not None:
            self.sleep("DMA")
        state = self._until_moved()
        self._master(bits, way)
        self._finish(state)

    def _until_moved(self) -> int:
        """Poll until the bus master or the drive has come to an end: BMISTA."""
        bits = BusMasterRegisters.BMISTA
        ended = bits.INTERRUPT.mask | bits.ERROR.mask
        for _ in range(POLLS):
            state = self.cpu.inp(self._master_port(bits))
            if state & ended or not state & bits.ACTIVE.mask:
                return state
            if not self.alternate() & (BSY | DRQ):
                return state
        raise TimeoutError(f"DMA: the bus master was not done after {POLLS} polls")

    def _finish(self, state: int) -> None:
        """See how both fared. A drive that still waits for its data can only be reset."""
        if state & BusMasterRegisters.BMISTA.ERROR.mask or self.alternate() & DRQ:
            status = self.alternate()
            self.reset()
            raise AtaError("DMA did not move everything", status, 0, state)
        self.wait("DMA")

    def _master(self, reg: Reg, value: int) -> None:
        self.cpu.out(self._master_port(reg), value, reg.width)

    def _master_port(self, reg: Reg) -> int:
        assert self.bus_master is not None
        return self.bus_master + reg.offset


def _commands(sector: int, count: int) -> list[tuple[int, int]]:
    """`(sector, count)` of each command that a long transfer takes."""
    starts = range(sector, sector + count, MAX_SECTORS)
    return [(start, min(MAX_SECTORS, sector + count - start)) for start in starts]
