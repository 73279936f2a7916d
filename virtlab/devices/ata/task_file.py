"""The values in the task file, and the two ways to say which sector is meant.

    LBA28   DEVICE.HEAD  LBA_HIGH      LBA_MID       LBA_LOW
             27 ... 24   23 ....... 16 15 ....... 8  7 ........ 0
    LBA48   LBA_HIGH      LBA_MID      LBA_LOW       and the same three again, the bytes before
             23 ...... 16  15 ..... 8   7 ........ 0
             47 ...... 40  39 .... 32  31 ....... 24
    CHS     the cylinder in LBA_HIGH and LBA_MID, the head in DEVICE, the sector, from 1, in LBA_LOW

Each drive has a task file of its own; both hear every write.

Source: ATA-6, "48-bit Address feature set"; ATA-5, "General operational requirements", addressing.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.devices.ata.registers import (
    DEVICE,
    FEATURES,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    OBSOLETE_ONES,
    SECTOR_COUNT,
)

DEFAULT_HEADS, DEFAULT_SECTORS_PER_TRACK = 16, 63
MAX_CYLINDERS = 16383
"""Cylinders that CHS addressing shows of a disk, however big it is (ATA-5, 6.2)."""


class Geometry(NamedTuple):
    """Cylinders, heads, and sectors of a track, as CHS addressing counts them."""

    cylinders: int
    heads: int
    sectors: int

    @classmethod
    def of(
        cls, disk_sectors: int, heads: int = DEFAULT_HEADS, sectors: int = DEFAULT_SECTORS_PER_TRACK
    ) -> Geometry:
        """How a disk looks with so many heads and sectors of a track."""
        cylinders = disk_sectors // (heads * sectors)
        return cls(max(1, min(MAX_CYLINDERS, cylinders)), heads, sectors)

    @property
    def capacity(self) -> int:
        """How many sectors can be addressed."""
        return self.cylinders * self.heads * self.sectors


class TaskFile:
    """Registers 1 to 6. Of 1 to 5, `deep` has the last two bytes written: `before << 8 | now`.

    `extended` says that the command in progress takes both bytes.
    """

    def __init__(self) -> None:
        self.extended = False
        self.clear()

    def clear(self) -> None:
        """What every reset leaves: the signature of a disk without the packet commands."""
        self.deep = {reg.offset: 0 for reg in (FEATURES, SECTOR_COUNT, LBA_LOW, LBA_MID, LBA_HIGH)}
        self.device = OBSOLETE_ONES
        self.sign()

    def sign(self) -> None:
        """Put the signature (ATA-6, Signature and persistence); the bytes before stay."""
        for reg in (SECTOR_COUNT, LBA_LOW, LBA_MID, LBA_HIGH):
            self.set(reg.offset, reg.reset)
        self.device = OBSOLETE_ONES

    def push(self, offset: int, value: int) -> None:
        """The host writes a register: what was there is the byte before now."""
        self.deep[offset] = (self.deep[offset] << 8 | value) & 0xFFFF

    def set(self, offset: int, value: int) -> None:
        """The drive writes a register: nothing moves."""
        self.deep[offset] = self.deep[offset] & 0xFF00 | value & 0xFF

    def get(self, offset: int, before: bool = False) -> int:
        """The byte written last, or the one before it."""
        return self.deep[offset] >> (8 if before else 0) & 0xFF

    @property
    def features(self) -> int:
        """The parameter in FEATURES."""
        return self.get(FEATURES.offset)

    @property
    def count(self) -> int:
        """How many sectors are asked for. 0 is 256, or, in 16 bits, 65536."""
        if self.extended:
            return self.deep[SECTOR_COUNT.offset] or 0x10000
        return self.get(SECTOR_COUNT.offset) or 0x100

    # -- the address

    def sector(self, geometry: Geometry) -> int | None:
        """The sector that the registers name. None for a place that the geometry has not."""
        low, mid, high = (self.deep[reg.offset] for reg in (LBA_LOW, LBA_MID, LBA_HIGH))
        now = (high & 0xFF) << 16 | (mid & 0xFF) << 8 | low & 0xFF
        head = DEVICE.HEAD.get(self.device)
        if not DEVICE.LBA.get(self.device):
            cylinder, in_track = now >> 8, now & 0xFF
            if head >= geometry.heads or not 1 <= in_track <= geometry.sectors:
                return None
            return (cylinder * geometry.heads + head) * geometry.sectors + in_track - 1
        if self.extended:
            return (high >> 8) << 40 | (mid >> 8) << 32 | (low >> 8) << 24 | now
        return head << 24 | now

    def set_sector(self, sector: int, geometry: Geometry) -> None:
        """Let the registers name `sector`, in the way that they do now."""
        lba = bool(DEVICE.LBA.get(self.device))
        if not lba:
            track, in_track = divmod(sector, geometry.sectors)
            cylinder, head = divmod(track, geometry.heads)
            self.device = DEVICE.HEAD.put(self.device, head)
            sector = cylinder << 8 | in_track + 1
        elif not self.extended:
            self.device = DEVICE.HEAD.put(self.device, sector >> 24)
        for number, reg in enumerate((LBA_LOW, LBA_MID, LBA_HIGH)):
            self.set(reg.offset, sector >> 8 * number)
            if self.extended and lba:
                before = sector >> 24 + 8 * number & 0xFF
                self.deep[reg.offset] = before << 8 | self.get(reg.offset)
