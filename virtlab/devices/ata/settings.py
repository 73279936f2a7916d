"""What the host can set in a drive, what it is after power-on, and how a drive refuses.

    INITIALIZE DEVICE PARAMETERS   geometry      how CHS addresses count
    SET MULTIPLE MODE              multiple      sectors of a block
    SET FEATURES                   write_cache   whether a write may be over before it is safe
                                   mode          how fast DATA and DMA go; kept, and without effect
                                   reverts       whether a software reset undoes the other four

The rule that keeps it simple: a setter takes the register's value, and keeps it or refuses it.

Source: ATA-6, SET FEATURES, SET MULTIPLE MODE; ATA-5, INITIALIZE DEVICE PARAMETERS.
"""

from __future__ import annotations

from virtlab.devices.ata.registers import ABRT, FASTEST
from virtlab.devices.ata.task_file import Geometry
from virtlab.errors import GuestError

MAX_MULTIPLE = 16
"""Sectors that a block of READ MULTIPLE can have, as in QEMU."""


class Refused(GuestError):
    """The drive fails a command: `error` is what its ERROR register will say."""

    def __init__(self, why: str, spec: str, error: int = ABRT) -> None:
        super().__init__(why, spec)
        self.error = error


class Settings:
    """The settings of a drive with `sectors` sectors.

    `mode` is the transfer mode that SET FEATURES took, or None after power-on.
    """

    def __init__(self, sectors: int) -> None:
        self.sectors = sectors
        self.reverts = False
        self.restore()

    def restore(self) -> None:
        """As after power-on."""
        self.geometry = Geometry.of(self.sectors)
        self.multiple = MAX_MULTIPLE
        self.write_cache = True
        self.mode: int | None = None

    def set_geometry(self, heads: int, in_track: int) -> None:
        """So many heads, and sectors of a track."""
        if not in_track:
            raise Refused("a track of no sectors", "ATA-5 INITIALIZE DEVICE PARAMETERS, ABRT")
        self.geometry = Geometry.of(self.sectors, heads, in_track)

    def set_multiple(self, count: int) -> None:
        """A block of 1, 2, 4, 8 or 16 sectors; 0 turns READ and WRITE MULTIPLE off."""
        if count > MAX_MULTIPLE or count & (count - 1):
            raise Refused("a block of so many sectors", "ATA-6 SET MULTIPLE MODE, ABRT")
        self.multiple = count

    def set_mode(self, value: int) -> None:
        """A transfer mode: its kind in bits 7 to 3, its number below."""
        fastest = {kind.value: number for kind, number in FASTEST.items()}
        if value & 7 > fastest.get(value >> 3, -1):
            raise Refused("a mode that this drive has not", "ATA-6 SET FEATURES, ABRT")
        self.mode = value
