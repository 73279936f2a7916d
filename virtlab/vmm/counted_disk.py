"""A virtual machine's disk, whose moves the trace counts as copies.

The idea: whoever serves a guest's request moves a block between the guest's memory and the disk: a
device model, a block service, a shadow routine. All of them end here, so here it is counted once,
in the same way for all.
"""

from __future__ import annotations

from virtlab.backends.disk import SECTOR, Storage
from virtlab.guest.kernel import count_copy
from virtlab.trace import Trace


class CountedDisk:
    """`disk`, with an event in `trace` for each block that moves. A `Storage`."""

    def __init__(self, disk: Storage, trace: Trace) -> None:
        self.disk = disk
        self.trace = trace

    @property
    def sectors(self) -> int:
        """As many as the disk has."""
        return self.disk.sectors

    @property
    def read_only(self) -> bool:
        """As the disk is."""
        return self.disk.read_only

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        size = count * SECTOR
        count_copy(self.trace, "disk", size, f"gives {size} bytes")
        return self.disk.read(sector, count)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""
        count_copy(self.trace, "disk", len(data), f"takes {len(data)} bytes")
        self.disk.write(sector, data)

    def flush(self) -> None:
        """Flush the disk."""
        self.disk.flush()
