"""The data of one command, in the drive's buffer: a block at a time.

    in     medium --fill--> [ moved | left ] ----> host, or bus master
    out    medium <-------- [ moved | left ] <---- host, or bus master

The idea: a command moves its sectors in *blocks*. For READ SECTORS a block is one sector; for READ
MULTIPLE what SET MULTIPLE MODE chose; for READ DMA what the buffer holds. The medium fills or
empties whole blocks. The host, word by word, or the bus master, piece by piece, does the rest.

The rule that keeps it simple: there is one block, and no guest makes it larger than `DMA_BLOCK`.

Source: ATA-6, "PIO data-in", "PIO data-out" and "DMA command protocol".
"""

from __future__ import annotations

from enum import Enum

from virtlab.backends.disk import SECTOR

DMA_BLOCK = 128
"""Sectors that a DMA command has in the buffer at once: 64 KiB. No other command has more."""


class Way(Enum):
    """From whom to whom: the four data protocols."""

    PIO_IN = "the host reads"
    PIO_OUT = "the host writes"
    DMA_IN = "the bus master writes memory"
    DMA_OUT = "the bus master reads memory"

    @property
    def dma(self) -> bool:
        """Whether the bus master moves the bytes."""
        return self in (Way.DMA_IN, Way.DMA_OUT)

    @property
    def inwards(self) -> bool:
        """Whether they go from the drive to the host."""
        return self in (Way.PIO_IN, Way.DMA_IN)


class Transfer:
    """`remaining` sectors still to pass the medium, at most `per_block` of them in `block`."""

    def __init__(self, way: Way, remaining: int, per_block: int) -> None:
        self.way = way
        self.remaining = remaining
        self.per_block = per_block
        self.fill(b"")

    @property
    def next_block(self) -> int:
        """Sectors of the next block."""
        return min(self.remaining, self.per_block)

    def fill(self, data: bytes) -> None:
        """A new block; `bytes(n)` makes room for what is to come."""
        self.block = bytearray(data)
        self.position = 0

    def make_room(self) -> None:
        """An empty block, of the size of the next one."""
        self.fill(bytes(self.next_block * SECTOR))

    @property
    def left(self) -> int:
        """Bytes of the block that have not moved."""
        return len(self.block) - self.position

    def data(self, count: int) -> bytes:
        """The next `count` bytes. They have moved when `moved` says so."""
        return bytes(self.block[self.position : self.position + count])

    def put(self, data: bytes) -> None:
        """`data` becomes the next bytes of the block. The same."""
        self.block[self.position : self.position + len(data)] = data

    def moved(self, count: int) -> bool:
        """`count` bytes have moved; whether those were the last of the block."""
        self.position += count
        return not self.left
