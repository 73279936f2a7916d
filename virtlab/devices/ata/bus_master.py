"""The bus master: it moves the bytes of a DMA command itself, by a table of regions in memory.

    BMIDTP --> [ base, count      ]  a region of memory
               [ base, count      ]
               [ base, count, EOT ]  the last one

    the drive   |  sector  |  sector  |  sector  |  sector  |     one stream of bytes
    the table   | region |      region      |    region     |     and where it goes

The idea: the drive's sectors are one stream, the regions another, and neither knows of the other's
pieces. The bus master moves what both have, and fetches an entry when the one before it is used up.

The rules that keep it simple: it runs while ACTIVE is set and the drive waits, and stops where
either ends. The drive decides the direction. Each entry is read once.

    INTERRUPT ACTIVE     what it means (Bus Master IDE 1.0, 3.1)
        0        1       moving
        1        0       done, and the table as well
        1        1       done; the table had room for more
        0        0       the table was too short, or ERROR: the drive still waits

A table ends where 64 KiB end, since it may not cross that (1.2): so no START reads more than 8,192
entries. Source: Programming Interface for Bus Master IDE Controller 1.0; Intel PIIX3 (29055002),
2.7. A region that crosses 64 KiB, which is against 1.2, goes on behind it, as in QEMU.
"""

from __future__ import annotations

import numpy as np

from virtlab.devices.ata.channel import Channel
from virtlab.devices.ata.drive import Drive
from virtlab.devices.ata.registers import BOUNDARY, PRD, PRD_EOT, BusMasterRegisters
from virtlab.devices.ata.transfer import Transfer
from virtlab.errors import DmaFault
from virtlab.memory import Dma

START = BusMasterRegisters.BMICOM.START.mask
ACTIVE, ERROR, INTERRUPT = (
    BusMasterRegisters.BMISTA.fields[name].mask for name in ("ACTIVE", "ERROR", "INTERRUPT")
)


class BusMaster(BusMasterRegisters):
    """The bus master of `channel`, which reaches memory by `dma`.

    `entry` is where the next entry is, `end` where the table can go no further; `base` and `room`
    (bytes) are what is left of the region.
    """

    def __init__(self, channel: Channel, dma: Dma) -> None:
        super().__init__()
        self.channel = channel
        self.dma = dma
        self.entry = self.end = self.base = self.room = 0
        self.last = False
        channel.wants_dma = self._run
        channel.interrupted = self._interrupted

    def write_BMICOM(self, old: int, new: int) -> None:
        """START begins at the table's top. Stopped, it forgets where it was (PIIX3, 2.7.1)."""
        if new & ~old & START:
            self.entry, self.room, self.last = self.BMIDTP, 0, False
            self.end = (self.entry // BOUNDARY + 1) * BOUNDARY
            self.BMISTA |= ACTIVE
            self._run()
        elif old & ~new & START:
            self.BMISTA &= ~ACTIVE

    def _interrupted(self) -> None:
        """A rising edge of the drive's interrupt line sets the bit (2.2)."""
        self.BMISTA |= INTERRUPT

    def _run(self) -> None:
        """Move bytes while the drive waits and the table has room."""
        drive = self.channel.selected
        try:
            while drive is not None and self.BMISTA & ACTIVE and (transfer := drive.dmarq):
                if not self.room:
                    self._fetch()
                self._move(drive, transfer)
                if self.last and not self.room:
                    self.BMISTA &= ~ACTIVE
        except DmaFault:
            self.BMISTA = self.BMISTA & ~ACTIVE | ERROR

    def _fetch(self) -> None:
        """The next entry of the table. A count of 0 is 64 KiB (1.2)."""
        data = self.dma.read(self.entry, PRD.itemsize)
        base, count, flags = np.frombuffer(data, PRD)[0].item()
        self.base, self.room = base & ~1, count & ~1 or BOUNDARY
        self.entry += PRD.itemsize
        self.last = bool(PRD_EOT.get(flags)) or self.entry + PRD.itemsize > self.end

    def _move(self, drive: Drive, transfer: Transfer) -> None:
        """As many bytes as the region and the drive's buffer both have."""
        count = min(self.room, transfer.left)
        if transfer.way.inwards:
            self.dma.write(self.base, transfer.data(count))
        else:
            transfer.put(self.dma.read(self.base, count))
        self.base, self.room = self.base + count, self.room - count
        drive.moved(transfer, count)


class BusMasterBlock:
    """Sixteen ports: the bus masters of two channels, side by side."""

    def __init__(self, masters: tuple[BusMaster, BusMaster]) -> None:
        self.masters = masters

    def read(self, offset: int, size: int) -> int:
        """A register of one of them."""
        index, inside = divmod(offset, BusMaster.length)
        return self.masters[index].read(inside, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        index, inside = divmod(offset, BusMaster.length)
        self.masters[index].write(inside, size, value)
