"""The block layer: three drivers for one disk, which a kernel cannot tell apart.

    PioBlocks         each word by an IN or an OUT               the driver of a real disk
    DmaBlocks         a table and a command; the disk fetches    the driver of a real disk
    HypercallBlocks   one VMCALL: sector, count, address         made for a VMM, and nothing else

The idea: a kernel asks for sectors, and a driver gets them. The first two know a disk controller's
registers and run on any PC. The third knows no register at all: it is *para-virtual*, and calls the
VMM by name. That it exists, and that it is in the guest, is the price of its single exit.

The rule that keeps it simple: what a driver cannot do is `BlocksFailed`, whatever the reason.

The request is the course's own:

    number           arguments                       answer
    BLOCK_READ       sector, sectors, gpa            a `Status`
    BLOCK_WRITE      sector, sectors, gpa            a `Status`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from virtlab.backends.disk import SECTOR, sectors_of
from virtlab.cpu import Cpu
from virtlab.guest.ata import AtaDriver, AtaError
from virtlab.guest.calls import CHUNK, BlocksFailed

BLOCK_READ, BLOCK_WRITE = 0x10, 0x11
"""Hypercall numbers."""

MAX_SECTORS = CHUNK // SECTOR
"""Sectors that one request may have, and the driver's buffer holds."""

Vmcall = Callable[[int, tuple[int, ...]], int]
"""`VMCALL` as a driver uses it: number and arguments in, EAX out."""


class Status(IntEnum):
    """What the VMM answers to a request."""

    OK = 0
    BAD_SECTOR = 1
    BAD_LENGTH = 2
    BAD_ADDRESS = 3
    READ_ONLY = 4


class PioBlocks:
    """Sectors by programmed I/O."""

    def __init__(self, disk: AtaDriver) -> None:
        self.disk = disk

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        with _failing():
            return self.disk.read(sector, count)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data` from `sector` on."""
        with _failing():
            self.disk.write(sector, data)


class Buffered:
    """A driver whose device fetches the data itself, from `buffer` (gpa, `CHUNK` bytes)."""

    def __init__(self, cpu: Cpu, buffer: int) -> None:
        self.cpu = cpu
        self.buffer = buffer

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`, in requests that the buffer can hold."""
        data = bytearray()
        for done in range(0, count, MAX_SECTORS):
            n = min(MAX_SECTORS, count - done)
            self.request(False, sector + done, n)
            data += self.cpu.read(self.buffer, n * SECTOR)
        return bytes(data)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""
        for done in range(0, sectors_of(data), MAX_SECTORS):
            piece = data[done * SECTOR : (done + MAX_SECTORS) * SECTOR]
            self.cpu.write(self.buffer, piece)
            self.request(True, sector + done, len(piece) // SECTOR)

    def request(self, write: bool, sector: int, count: int) -> None:
        """Move `count` sectors between the disk and the buffer."""
        raise NotImplementedError


class DmaBlocks(Buffered):
    """Sectors by DMA."""

    def __init__(self, cpu: Cpu, disk: AtaDriver, buffer: int) -> None:
        super().__init__(cpu, buffer)
        self.disk = disk

    def request(self, write: bool, sector: int, count: int) -> None:
        """One command of the disk."""
        move = self.disk.write_dma if write else self.disk.read_dma
        with _failing():
            move(sector, [(self.buffer, count * SECTOR)])


class HypercallBlocks(Buffered):
    """Sectors by the VMM: the para-virtual driver."""

    def __init__(self, cpu: Cpu, vmcall: Vmcall, buffer: int) -> None:
        super().__init__(cpu, buffer)
        self.vmcall = vmcall

    def request(self, write: bool, sector: int, count: int) -> None:
        """One hypercall."""
        number = BLOCK_WRITE if write else BLOCK_READ
        status = self.vmcall(number, (sector, count, self.buffer))
        if status != Status.OK:
            raise BlocksFailed(f"the VMM answered {status:#x}")


@contextmanager
def _failing() -> Iterator[None]:
    """What a disk driver raises inside becomes `BlocksFailed`."""
    try:
        yield
    except (AtaError, TimeoutError) as error:
        raise BlocksFailed(str(error)) from error
