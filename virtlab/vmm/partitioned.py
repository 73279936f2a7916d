"""A partitioned device: one physical disk, cut into virtual disks.

      VM A  LBA 5 ----+            +------------------+
                      +--- VMM ----> 5                |  0 to 999: A's
                      |            +------------------+
      VM B  LBA 5 ----+------------> 1005             |  1000 to 1999: B's
                                   +------------------+

The idea: each piece is a disk of its own, and is dedicated to one VM. The VMM translates addresses
and checks bounds, which is one addition and one comparison. Everything else is the ATA drive that
the VM knows: IDENTIFY tells the piece's size, and a sector past its end is IDNF, as on any disk.

The rule that keeps it simple: pieces do not overlap, and a drive's medium is a piece. The drive
never learns that there is more.

`PhysicalDisk` reaches the host's disk as the VMM does, by a driver of its own and the host's ports.
It polls, since the VMM that serves an exit has nobody to sleep for.
"""

from __future__ import annotations

from virtlab.backends.disk import SECTOR, Partition, Storage
from virtlab.devices.ata import Channel, Label, Refused
from virtlab.devices.ata.drive import Drive
from virtlab.devices.ata.registers import ERROR
from virtlab.guest.ata import AtaDriver, AtaError
from virtlab.trace import Trace
from virtlab.vmm.assignment import Guest, Kind, Ledger


class PhysicalDisk:
    """The disk behind `driver`, a `Storage` for whoever runs on the VMM.

    A sector that the physical drive cannot give is UNC in the virtual one.
    """

    def __init__(self, driver: AtaDriver) -> None:
        driver.mute()
        self.driver = driver
        self.sectors = driver.identify().sectors
        self.read_only = False

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors, by programmed I/O at the host's ports."""
        try:
            return self.driver.read(sector, count)
        except AtaError as error:
            raise self._failed(error) from None

    def write(self, sector: int, data: bytes) -> None:
        """Whole sectors of `data`, the same way."""
        try:
            self.driver.write(sector, data)
        except AtaError as error:
            raise self._failed(error) from None

    def flush(self) -> None:
        """Return when the physical drive has everything on its medium."""
        self.driver.flush()

    def _failed(self, error: AtaError) -> Refused:
        return Refused(f"the physical disk: {error}", "ATA-6 Error register, UNC", ERROR.UNC.mask)


class VirtualDisk(Partition):
    """Sectors `start` and on of the physical disk, for the VM `owner`. `channel` has the drive.

    Each request that is let through leaves an event `translate`, with the physical sector.
    """

    def __init__(
        self,
        disk: Storage,
        start: int,
        count: int,
        owner: str,
        trace: Trace,
        read_only: bool = False,
    ) -> None:
        super().__init__(disk, start, count)
        self.owner = owner
        self.trace = trace
        self._read_only = read_only

    @property
    def read_only(self) -> bool:
        """Whether a write is refused: for this piece, or for the whole disk."""
        return self._read_only or self.disk.read_only

    def _inside(self, sector: int, count: int) -> int:
        physical = super()._inside(sector, count)
        note = f"sector {sector} is {physical} of the disk"
        self.trace.emit("translate", self.owner, value=physical, size=count, note=note)
        return physical


class PartitionedDisk:
    """`disk`, of which each VM gets a piece. `pieces` are those given away."""

    def __init__(self, disk: Storage, trace: Trace, ledger: Ledger, name: str = "disk") -> None:
        self.disk = disk
        self.trace = trace
        self.ledger = ledger
        self.name = name
        self.pieces: list[VirtualDisk] = []
        self._slots: dict[str, tuple[Channel, tuple[Drive, ...]]] = {}

    def give(
        self, guest: Guest, channel: Channel, start: int, count: int, read_only: bool = False
    ) -> VirtualDisk:
        """Put `count` sectors from `start` into a drive on the VM's virtual `channel`.

        `ValueError` if they are not all on the disk, or if another VM has one of them.
        """
        owner = guest.vm.name
        piece = VirtualDisk(self.disk, start, count, owner, self.trace, read_only)
        for other in self.pieces:
            if start < other.start + other.sectors and other.start < start + count:
                raise ValueError(f"{other.owner} has sectors {other.start} to {_last(other)}")
        self.ledger.give(self.name, owner, Kind.PARTITIONED)
        self.pieces.append(piece)
        self._slots[owner] = channel, channel.drives
        _plug(channel, (Drive(piece, Label("PIECE OF A DISK", f"VL-{start}")),))
        return piece

    def withdraw(self, guest: Guest, erase: bool = True) -> None:
        """Take the piece back; the drives that were on the channel come back.

        With `erase` the next owner finds zeros. A piece to read only is left as it is.
        """
        owner = guest.vm.name
        self.ledger.withdraw(self.name, owner)
        piece = next(each for each in self.pieces if each.owner == owner)
        self.pieces.remove(piece)
        _plug(*self._slots.pop(owner))
        if erase and not piece.read_only:
            for sector in range(piece.start, piece.start + piece.sectors):
                self.disk.write(sector, bytes(SECTOR))


def _plug(channel: Channel, drives: tuple[Drive, ...]) -> None:
    """Hang other drives on a virtual cable; the channel is reset, as after power-on."""
    channel.drives = drives
    for drive in drives:
        drive.changed = channel.update
    channel.reset()


def _last(piece: VirtualDisk) -> int:
    return piece.start + piece.sectors - 1
