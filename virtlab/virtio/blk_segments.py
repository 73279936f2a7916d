"""Discard and write zeroes: requests whose data is a list of stretches of the disk.

    readable   [ type, reserved, 0 ][ sector, num_sectors, flags ][ ... ]
                  16 bytes               16 bytes a segment

The idea: a driver that frees a file tells so, and the host gets the room back. One that wants zeros
does not send them.

The rule that keeps it simple: the list is read once, into memory of our own, and judged as a whole.
Nothing is done before every segment is right. How long it may be, and how much each segment may ask
for, is said in the configuration, so a guest's number decides no work beyond it.

Source: virtio 1.3 5.2.6, 5.2.6.1, 5.2.6.2. Left out: secure erase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from virtlab.backends.disk import Storage, ThinStorage
from virtlab.virtio.blk_layouts import SECTOR, SEGMENT, UNMAP, BlkStatus
from virtlab.virtio.layouts import packer

SLAB = 1 << 18
"""Bytes of zeros that are written at once."""

_SEGMENT = packer(SEGMENT)
_ZEROS = bytes(SLAB)


class Segment(NamedTuple):
    """`sectors` of the disk from `sector` on; `unmap` is set where they may be given up."""

    sector: int
    sectors: int
    flags: int


class Limits(NamedTuple):
    """What one request may ask for, as the configuration says it."""

    segments: int
    sectors: int  # of each segment
    flags: int  # those that are known


def discard(disk: ThinStorage, data: bytes, limits: Limits) -> BlkStatus:
    """Give up what the segments in `data` name. `OSError` if the medium fails."""
    return _each(disk, data, limits, lambda part: disk.discard(part.sector, part.sectors))


def write_zeroes(disk: Storage, data: bytes, limits: Limits) -> BlkStatus:
    """Let what the segments name read as zeros, whether they may be given up or not."""
    return _each(disk, data, limits, lambda part: _zero(disk, part))


def _each(disk: Storage, data: bytes, limits: Limits, do: Callable[[Segment], None]) -> BlkStatus:
    """Do it for each segment, if all are right."""
    if not data or len(data) % _SEGMENT.size or len(data) > limits.segments * _SEGMENT.size:
        return BlkStatus.IOERR
    segments = [Segment(*words) for words in _SEGMENT.iter_unpack(data)]
    status = _judge(disk, segments, limits)
    if status == BlkStatus.OK:
        for segment in segments:
            do(segment)
    return status


def _judge(disk: Storage, segments: Sequence[Segment], limits: Limits) -> BlkStatus:
    """What is to be said of all of them: flags first, for they make the request another one."""
    # The device MUST answer UNSUPP if any unknown flag is set; to a discard, also for `unmap`.
    if any(segment.flags & ~limits.flags for segment in segments):
        return BlkStatus.UNSUPP
    for sector, count, _ in segments:
        if count > limits.sectors or sector + count > disk.sectors:
            return BlkStatus.IOERR
    return BlkStatus.OK


def _zero(disk: Storage, segment: Segment) -> None:
    sector, count, flags = segment
    # If `unmap` is set the device MAY give the sectors up: here they then read as zeros.
    if flags & UNMAP and isinstance(disk, ThinStorage):
        disk.discard(sector, count)
        return
    for at in range(0, count * SECTOR, SLAB):
        disk.write(sector + at // SECTOR, _ZEROS[: min(SLAB, count * SECTOR - at)])
