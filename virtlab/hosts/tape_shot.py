"""A ring at one moment, kept: the bytes that a look at it reads, wherever they lay in the guest.

    pieces    descriptor table | available ring | used ring       or the three of a packed ring
              indirect tables that it names
              the first 16 bytes of each buffer
    counts    last_avail, used                                    the device's own, in no memory

The idea: a ring is worth looking at later only if a look finds what it would have found then. So a
shot has addresses and bytes, and no decoding. Its `memory` is a `Dma`, and whatever draws or
examines a living ring takes that as well.

The rule that keeps it simple: a shot is bounded whatever the guest has written. What is not memory
is left out.

Source: virtio 1.3 2.7, 2.8. Left out: the driver's own counts, which it keeps to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.memory import Bytes, Dma
from virtlab.virtio.chain import Span
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import DESC, INDIRECT, SplitRings, packer
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_chain import flags_at
from virtlab.virtio.packed_layouts import PACKED_DESC, PackedRings, is_avail, wrap_at
from virtlab.virtio.split import SplitQueue

PEEK = 16
"""Bytes of a buffer that are kept: the head of a block request."""

TABLE = 64 * DESC.itemsize
"""Bytes of an indirect table that are kept."""

MOST = 64 << 10
"""Bytes of a shot beside the ring itself."""

_SPLIT, _PACKED = packer(DESC), packer(PACKED_DESC)

Rings = SplitRings | PackedRings
Piece = tuple[int, bytes]
"""A gpa, and the bytes from there on."""


class ShotMemory:
    """What a shot has of the guest's memory: a `Dma` that cannot be written.

    `read` gives what was kept; where that ends, `DmaFault`. `view` says for all `regions` that they
    are memory, as they were. What was not kept reads as zeros there.
    """

    def __init__(self, pieces: Sequence[Piece], regions: Sequence[Span]) -> None:
        self._pieces = pieces
        self._regions = regions

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        for gpa, data in self._pieces:
            if gpa <= iova and iova + length <= gpa + len(data):
                return data[iova - gpa :][:length]
        raise DmaFault("the recording does not have this", iova, length)

    def write(self, iova: int, data: bytes) -> None:
        """Refused: what happened does not change."""
        raise DmaFault("a recording is not written", iova, len(data))

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """(length,) uint8, which cannot be written, whatever is asked for."""
        for start, size in self._regions:
            if start <= iova and iova + length <= start + size:
                try:
                    return np.frombuffer(self.read(iova, length), np.uint8)
                except DmaFault:
                    return np.broadcast_to(np.uint8(0), (length,))
        raise DmaFault("no memory there", iova, length)


class RingShot(NamedTuple):
    """Ring `ring` at one moment: where it lies, how far the device is, and the bytes of it.

    `last_avail` and `used` run free, as the device's queue counts. `regions` are the guest's RAM.
    """

    ring: int
    rings: Rings
    features: Features
    last_avail: int
    used: int
    pieces: tuple[Piece, ...]
    regions: tuple[Span, ...]

    @property
    def packed(self) -> bool:
        """Whether it is a packed ring."""
        return isinstance(self.rings, PackedRings)

    @property
    def memory(self) -> ShotMemory:
        """What was kept, as memory."""
        return ShotMemory(self.pieces, self.regions)

    @property
    def whole(self) -> bool:
        """Whether all of the ring itself was kept: who looks at it finds it there."""
        try:
            return all(len(self.memory.read(*part)) for part in self.rings.parts)
        except DmaFault:
            return False

    @property
    def added(self) -> int:
        """How far the driver has made chains available, counted as `last_avail` is."""
        if isinstance(self.rings, SplitRings):
            idx = int.from_bytes(self.memory.read(self.rings.avail_field("idx"), 2), "little")
            return self.last_avail + ((idx - self.last_avail) & 0xFFFF)
        position = self.last_avail
        while position < self.used + self.rings.size and self._given(self.rings, position):
            position += 1
        return position

    def _given(self, rings: PackedRings, position: int) -> bool:
        flags = flags_at(self.memory, rings, position)
        return is_avail(flags, wrap_at(position, rings.size))


def shot_of(
    queue: SplitQueue | PackedQueue, ring: int = 0, regions: Sequence[Span] = ()
) -> RingShot:
    """What `queue`, ring number `ring`, is now. `regions` are the `(gpa, bytes)` of all RAM.

    `DmaFault` where the ring itself is no memory.
    """
    dma, rings = queue.dma, queue.rings
    parts = [(gpa, dma.read(gpa, length)) for gpa, length in rings.parts]
    table = parts[0][1]
    around = dict.fromkeys(_around(dma, table, isinstance(rings, PackedRings)))
    pieces = (*parts, *around)
    return RingShot(
        ring, rings, queue.features, queue.last_avail, queue.used, pieces, tuple(regions)
    )


def _around(dma: Dma, table: bytes, packed: bool) -> Iterator[Piece]:
    """The indirect tables and beginnings of buffers that the descriptors in `table` name."""
    left = MOST
    for gpa, length, indirect in _descriptors(table, packed):
        size = min(length, TABLE if indirect else PEEK, left)
        data = _read(dma, gpa, size)
        left -= len(data)
        if not data:
            continue
        yield gpa, data
        for inside, size, _ in _descriptors(data, packed) if indirect else ():
            if piece := _read(dma, inside, min(size, PEEK, left)):
                left -= len(piece)
                yield inside, piece


def _descriptors(table: bytes, packed: bool) -> Iterator[tuple[int, int, bool]]:
    """The address, the length and the INDIRECT flag of each whole descriptor."""
    layout = _PACKED if packed else _SPLIT
    whole = len(table) - len(table) % layout.size
    for fields in layout.iter_unpack(table[:whole]):
        flags = fields[3] if packed else fields[2]
        yield fields[0], fields[1], bool(flags & INDIRECT)


def _read(dma: Dma, gpa: int, length: int) -> bytes:
    """The bytes there; none where it is not memory."""
    try:
        return dma.read(gpa, length) if length else b""
    except DmaFault:
        return b""
