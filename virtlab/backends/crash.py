"""A disk whose history is kept, so that one can ask what a crash would have left of it.

    log      write A | write B | flush | write C | write D      a crash here
    medium   A and B for sure            C, D: each sector may be there or not, in any order

The idea: a write goes into a cache, and the cache writes back when it likes. Only a flush that has
returned says that everything before it is on the medium. So after a crash each sector holds what
the last flush left there, or anything that was written to it since.

The rule that keeps it simple: nothing is killed. The log has every write and every flush. `after`
makes the medium that a crash behind any entry of it could leave, as often as one likes.

A sector is written as a whole or not at all, as disks promise. Source: virtio 1.3 5.2.6.2, which
calls a write volatile until it is stable; POSIX fsync. Left out: a medium that loses what it had.
"""

from __future__ import annotations

import errno
from random import Random
from typing import NamedTuple

from virtlab.backends.disk import SECTOR, Storage, sectors_of

MAX_LOG = 16 << 20
"""Bytes that a log keeps. A write that finds it full fails, as on a medium that is full."""

ENTRY = 64
"""Bytes that an entry counts for beside its data."""


class Entry(NamedTuple):
    """A write of `data` from `sector` on; a flush has None."""

    sector: int
    data: bytes | None


class CrashDisk:
    """`disk`, with a `log` of what was done to it since now. A `Storage`."""

    def __init__(self, disk: Storage, limit: int = MAX_LOG) -> None:
        self.disk = disk
        self.limit = limit
        self.log: list[Entry] = []
        self._before = disk.read(0, disk.sectors)
        self._kept = 0

    @property
    def sectors(self) -> int:
        """As many as the disk has."""
        return self.disk.sectors

    @property
    def read_only(self) -> bool:
        """As the disk is."""
        return self.disk.read_only

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`: what was written last, in the cache or not."""
        return self.disk.read(sector, count)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data` from `sector` on, and note it. `OSError` when the log is full."""
        self._note(Entry(sector, bytes(data)), len(data))
        self.disk.write(sector, data)

    def flush(self) -> None:
        """Flush the disk. It is noted when it is done."""
        self.disk.flush()
        self._note(Entry(0, None), 0)

    def _note(self, entry: Entry, size: int) -> None:
        if self._kept + ENTRY + size > self.limit:
            raise OSError(errno.ENOSPC, f"the log has no room for {size} bytes")
        self._kept += ENTRY + size
        self.log.append(entry)

    # -- what a crash leaves

    def flushed(self, cut: int) -> int:
        """Where the last flush among the first `cut` entries ends; 0 without one."""
        done = (at + 1 for at in range(cut - 1, -1, -1) if self.log[at].data is None)
        return next(done, 0)

    def after(self, cut: int, random: Random) -> bytes:
        """A medium that a crash behind the first `cut` entries may leave; `random` chooses.

        `ValueError` if the log has not so many.
        """
        if not 0 <= cut <= len(self.log):
            raise ValueError(f"the log has {len(self.log)} entries: no crash behind {cut}")
        medium, stable = bytearray(self._before), self.flushed(cut)
        # A cache may write the same sector back more than once, and late ones before early ones.
        late = [piece for entry in self.log[stable:cut] for piece in _sectors(entry)]
        random.shuffle(late)
        for sector, whole in self.log[:stable]:
            if whole is not None:
                medium[sector * SECTOR : sector * SECTOR + len(whole)] = whole
        for sector, data in late[: random.randint(0, len(late))]:
            medium[sector * SECTOR : (sector + 1) * SECTOR] = data
        return bytes(medium)

    def __repr__(self) -> str:
        return f"CrashDisk({self.disk}, {len(self.log)} entries)"


def _sectors(entry: Entry) -> list[tuple[int, bytes]]:
    """A write, sector by sector; a flush has none."""
    data = entry.data or b""
    return [
        (entry.sector + at, data[at * SECTOR : (at + 1) * SECTOR]) for at in range(sectors_of(data))
    ]
