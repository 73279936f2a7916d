"""Memory behind the VT-d unit of a snapshot: the second-level walk, and nothing else.

    root table [bus] -> context table [device, function] -> page tables of 3 to 5 levels -> page

The rule that keeps it simple: it reads, one entry a level, and remembers nothing. There is no
IOTLB, so each access sees the tables as they are in memory.

Source: VT-d 9.1 (root entry), 9.3 (context entry), 9.8 (second-level entries), 10.4.5 and 10.4.6
(the registers). Left out: scalable mode, first-level and nested translation, writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, Bytes, GuestMemory
from virtlab.wire import Bits

GSTS, RTADDR = 0x01C, 0x020
"""Offsets of the global status register and of the root table address register."""

TES = Bits(31)
"""GSTS: translation is on."""

TTM = Bits(11, 10)
"""RTADDR: the kind of tables; 0 is legacy mode."""

PRESENT = Bits(0)
TRANSLATION_TYPE = Bits(3, 2)
ADDRESS_WIDTH = Bits(2, 0)
READ, WRITE = Bits(0), Bits(1)
LARGE, LARGE_LEVELS = Bits(7), (2, 3)
FRAME = Bits(51, 12)

PASS_THROUGH = 2
"""TRANSLATION_TYPE of a device whose addresses are guest-physical."""


def root_table(registers: Mapping[int, int]) -> int | None:
    """RTADDR where translation is on, None where it is off or there is no unit."""
    return registers.get(RTADDR) if TES.get(registers.get(GSTS, 0)) else None


class SavedIommu:
    """A `Dma` for reading: `source_id` is the requester, `root` is what RTADDR holds."""

    def __init__(self, memory: GuestMemory, root: int, source_id: int) -> None:
        self.memory = memory
        self.root = root
        self.source_id = source_id

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes; `DmaFault` where they are not mapped or were not saved."""
        return b"".join(self.memory.read(gpa, size) for gpa, size in self._pieces(iova, length))

    def view(self, iova: int, length: int) -> Bytes:
        """The bytes, read-only: pages that are neighbours here need not be in memory."""
        return np.frombuffer(self.read(iova, length), np.uint8)

    def write(self, iova: int, data: bytes) -> None:
        """Refused: the tables of a snapshot are for reading."""
        raise DmaFault("a snapshot behind an IOMMU is for reading only", iova, len(data))

    def translate(self, iova: int) -> int:
        """The guest-physical address that the device means by `iova`. `DmaFault` if none."""
        low, high = self._context()
        if TRANSLATION_TYPE.get(low) == PASS_THROUGH:
            return iova
        levels = ADDRESS_WIDTH.get(high) + 2
        if iova >> 12 + 9 * levels:
            raise DmaFault(f"not mapped: more bits than {levels} levels have", iova, 1)
        table = low & FRAME.mask
        for level in range(levels, 0, -1):
            shift = 12 + 9 * (level - 1)
            entry = self.memory.load(table + (iova >> shift) % 512 * 8, 8)
            if not READ.get(entry) | WRITE.get(entry):
                raise DmaFault(f"not mapped: no entry at level {level}", iova, 1)
            table = entry & FRAME.mask
            if level == 1 or (level in LARGE_LEVELS and LARGE.get(entry)):
                return table >> shift << shift | iova % (1 << shift)
        raise AssertionError("a walk ends at level 1")  # pragma: no cover

    def _context(self) -> tuple[int, int]:
        """The two halves of the device's context entry."""
        if TTM.get(self.root):
            raise DmaFault("the unit is in scalable mode, which is not read", self.root, 16)
        table = self.root & FRAME.mask
        for index in (self.source_id >> 8, self.source_id & 0xFF):
            low, high = (self.memory.load(table + 16 * index + half, 8) for half in (0, 8))
            if not PRESENT.get(low):
                raise DmaFault(f"source id {self.source_id:#06x} has no tables", table, 16)
            table = low & FRAME.mask
        return low, high

    def _pieces(self, iova: int, length: int) -> Iterator[tuple[int, int]]:
        """The stretches of memory behind `length` bytes: each inside one page."""
        end = iova + length
        while iova < end:
            size = min(end - iova, PAGE - iova % PAGE)
            yield self.translate(iova), size
            iova += size
