"""The regions of a function: its BARs, its ROM, its configuration space; each by number and offset.

    0..5  BAR 0 to 5     6  the ROM     7  configuration space     8  VGA: nothing

The idea: the client has the addresses. It knows where a BAR lies in its guest's memory map, and
says here only which BAR and how far into it. So an access comes to the very `Bar` that our own
root complex would have found.

The rule that keeps it simple: an access outside a region is `Refused`; inside it every access has
an answer, as on a bus. An access of 1, 2, 4 or 8 aligned bytes is one access to the device, any
other is cut into dwords and less.

The table of MSI-X is not the client's: what it says is told by DEVICE_SET_IRQS, and the table has
messages of ours. As with Linux's VFIO it reads all ones, and writes are lost.

Source: vfio-user.rst, "Region Information", "Read and Write Operations"; PCI 3.0, 6.8.2.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from virtlab.bus import SIZES, Device, cycles
from virtlab.hosts.vfio_user.layouts import (
    REGION_READ,
    REGION_WRITE,
    REGIONS,
    RegionIndex,
)
from virtlab.hosts.vfio_user.messages import MAX_TRANSFER, Refused
from virtlab.pci.bars import ROM_REGISTER
from virtlab.pci.function import Function
from virtlab.pci.msix import ENTRY, MsixTable
from virtlab.wire import all_ones


class Region(NamedTuple):
    """`size` bytes of `device`."""

    device: Device
    size: int
    flags: int = REGION_READ | REGION_WRITE


class Closed:
    """An MSI-X table that only its pending bits can be read of."""

    def __init__(self, table: MsixTable) -> None:
        self.table = table

    def read(self, offset: int, size: int) -> int:
        """All ones, or pending bits."""
        return all_ones(size) if self._inside(offset) else self.table.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing: the entries are not the client's, and pending bits are read only."""

    def _inside(self, offset: int) -> bool:
        return offset < self.table.vectors * ENTRY


class Regions:
    """Those of `function`."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self._regions: dict[int, Region] = {
            RegionIndex.CONFIG: Region(function.config, function.config.size)
        }
        device: Device
        for bar in function.bars:
            if bar.register == ROM_REGISTER:
                self._regions[RegionIndex.ROM] = Region(bar, bar.size, REGION_READ)
            else:
                device = Closed(bar.device) if isinstance(bar.device, MsixTable) else bar
                self._regions[int(bar.register[3:])] = Region(device, bar.size)

    def info(self, index: int) -> tuple[int, int]:
        """Flags and bytes of a region: none where the function has no such BAR.

        `Refused` where no PCI function has one.
        """
        if index >= REGIONS:
            raise Refused(errno.EINVAL, f"no region is {index}")
        region = self._regions.get(index)
        return (region.flags, region.size) if region else (0, 0)

    def read(self, index: int, offset: int, count: int) -> bytes:
        """`count` bytes."""
        region = self._inside(index, offset, count, REGION_READ)
        if not self._answers(index):
            return b"\xff" * count
        pieces = [
            (region.device.read(at, n) & all_ones(n)).to_bytes(n, "little")
            for at, n, _ in _accesses(offset, count)
        ]
        return b"".join(pieces)

    def write(self, index: int, offset: int, data: bytes) -> None:
        """Write `data`."""
        region = self._inside(index, offset, len(data), REGION_WRITE)
        for at, n, _ in _accesses(offset, len(data)) if self._answers(index) else []:
            value = int.from_bytes(data[at - offset : at - offset + n], "little")
            region.device.write(at, n, value)

    def _answers(self, index: int) -> bool:
        """In D3hot a function answers configuration requests, and nothing else."""
        return self.function.awake or index == RegionIndex.CONFIG

    def _inside(self, index: int, offset: int, count: int, right: int) -> Region:
        flags, size = self.info(index)
        if offset + count > size or not 0 < count <= MAX_TRANSFER:
            raise Refused(errno.EINVAL, f"{count} bytes at {offset:#x} of region {index}")
        if not flags & right:
            raise Refused(errno.EPERM, f"region {index} can only be read")
        return self._regions[index]


def _accesses(offset: int, count: int) -> list[tuple[int, int, int]]:
    """The accesses `(offset, bytes, shift)` that so many bytes are."""
    return cycles(offset, count, count if count in SIZES else 4)
