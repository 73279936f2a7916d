"""Requests of a disk, as a driver makes them: task 5 of problem set 7.

    write(5, data)          head, data, status          ask_for(BlkType.IN, 3, 512)

The idea: a request is what the device can read, and in which pieces all of it lies. Where in memory
that is, the driver decides when it asks.

Source: virtio 1.3 5.2.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from virtlab.virtio.blk_layouts import REQUEST, BlkType
from virtlab.virtio.layouts import packer

NAMES = {int(kind): kind.name for kind in BlkType}
"""What the types of requests are called."""

_head = packer(REQUEST)


class Asked(NamedTuple):
    """A request as a driver makes it: what it is, what can be read, its pieces `(bytes, write)`."""

    told: str
    data: bytes
    pieces: Sequence[tuple[int, bool]]

    @property
    def writable(self) -> int:
        """Bytes that the device may write."""
        return sum(size for size, write in self.pieces if write)


def write(sector: int, data: bytes, told: str = "") -> Asked:
    """A request to write."""
    text = f"{told or 'OUT'}, sector {sector}, {len(data)} bytes"
    head = _head.pack(BlkType.OUT, 0, sector)
    return Asked(text, head + data, [(_head.size, False), (len(data), False), (1, True)])


def ask_for(kind: int, sector: int = 0, room: int = 0) -> Asked:
    """A request for `room` bytes."""
    pieces = [(_head.size, False), *([(room, True)] if room else []), (1, True)]
    text = f"{NAMES.get(kind, f'type {kind}')}, sector {sector}, {room} bytes"
    return Asked(text, _head.pack(kind, 0, sector), pieces)
