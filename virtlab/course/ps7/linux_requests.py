"""The requests that a real Linux made of a disk, as task 5 of problem set 7 makes them again.

    driver, mkfs, mount, files, sums, unmount, fsck       the works of the recording, in order

The idea: the library comes with a recording of an unmodified Linux on our disk. Its requests are
kept whole: what it wrote, in which pieces. So a back-end can be asked for the very same.

The rule that keeps it simple: a disk without DISCARD and WRITE_ZEROES is not asked for them. Linux
would then write zeros itself, and so it does here.

The recording is read once, when it is needed first: see `virtlab.hosts.live_tape`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from virtlab.backends.disk import Disk
from virtlab.course.ps7.requests import NAMES, Asked, write
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, SEGMENT, BlkType
from virtlab.virtio.layouts import packer

WORKS = ("driver", "mkfs", "mount", "files", "sums", "unmount", "fsck")
"""What Linux did, in order."""

DISK_BYTES = 16 << 20
"""Bytes of its disk."""

LONGEST = 1 << 16
"""Bytes of zeros that are written at once."""

_head, _segment = packer(REQUEST), packer(SEGMENT)


@cache
def requests(work: str) -> tuple[Asked, ...]:
    """The requests of one work. The recording is read at the first call."""
    return _works()[work]


@cache
def _works() -> dict[str, tuple[Asked, ...]]:
    from virtlab.hosts.live_tape import recorded
    from virtlab.hosts.tape_moments import ChainNote

    found: dict[str, tuple[Asked, ...]] = {}
    for said, moments in recorded().parts():
        notes = [moment.what for moment in moments if isinstance(moment.what, ChainNote)]
        asked = (one for note in notes for one in _asked(said.name, note.data, note.pieces))
        found[said.name] = tuple(asked)
    return found


def _asked(work: str, data: bytes, pieces: tuple[tuple[int, bool], ...]) -> Iterator[Asked]:
    kind, _, sector = _head.unpack_from(data)
    if kind == BlkType.WRITE_ZEROES:
        for start, count, _ in _segment.iter_unpack(data[_head.size :]):
            for at in range(0, count * SECTOR, LONGEST):
                size = min(LONGEST, count * SECTOR - at)
                yield write(start + at // SECTOR, bytes(size), f"{work}: zeros")
    elif kind != BlkType.DISCARD:
        told = f"{work}: {NAMES[kind]}, sector {sector}, {sum(n for n, _ in pieces) - 17} bytes"
        yield Asked(told, data, pieces)


def disk_before(work: str) -> Disk:
    """A disk as it is when this work begins."""
    disk = Disk(DISK_BYTES)
    for earlier in WORKS[: WORKS.index(work)]:
        for one in requests(earlier):
            kind, _, sector = _head.unpack_from(one.data)
            if kind == BlkType.OUT:
                disk.write(sector, one.data[_head.size :])
    return disk
