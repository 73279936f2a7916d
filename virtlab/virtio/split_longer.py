"""What is kept of chains that were walked: so the next lap need not walk them again.

    Straight   entries [ 0 1 3 ]   descriptors [ 0 | 1 2 | 3 4 5 ]    one run of the ring's table
    Tables     entries [ 0 1 ]     descriptors [ 0 | 1 ]              each refers to a table, and
                                   tables      [ . . . ] [ . . . ]    is as long as its chain

The idea: a driver offers chains of the same shape again, with other buffers. If the entries and all
second words (`len`, `flags`, `next`) are those of the lap before, the walk would go the same way,
and each rule about order, kinds and lengths would say the same. Only addresses are looked at.

The rule that keeps it simple: as in `split_single`. What comes of the guest's bytes is read once,
and whatever is not as expected is left to the walk.

A table may change while the descriptor that refers to it does not. So tables are gathered each
time, and compared as `table_shadow` says. Chains whose descriptors are no neighbours are not kept:
they are walked each time.

Source: virtio 1.3 2.7.5, 2.7.5.3, 2.7.6; what it gains is in `benchmarks/split_rows.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.batch_checks import Records, fields, gather
from virtlab.virtio.chain import Span
from virtlab.virtio.split_shadow import PAUSE, Seen
from virtlab.virtio.split_single import Moved, OfRing, Single
from virtlab.virtio.split_steps import SIZE
from virtlab.virtio.split_views import SplitViews
from virtlab.virtio.split_walk import Found, Place
from virtlab.virtio.table_shadow import Inside
from virtlab.wire import all_ones


def remembered(place: Place, start: int, found: Found) -> Seen:
    """What is kept of the batch that was `found`, whose entries are at `start`."""
    batch, ring, inside = found
    n = len(batch)
    # Where the walk ended before a wrong chain, it read more than there is in the batch.
    if n == ring.n and ring.straight and not inside.n and len(ring.records) > n:
        return Straight(place.views, start, batch, ring.records)
    if n == len(ring.records) == inside.n and inside.straight:
        return Tables(place, start, batch, ring.records, inside.records)
    return Seen(batch)


class Straight(OfRing):
    """Chains that together were one run of the ring's table: `records`."""

    def __init__(self, views: SplitViews, start: int, batch: Batch, records: Records) -> None:
        words = fields(records)[1].tobytes()
        super().__init__(views, start, batch, len(records), words)
        self._said = batch.heads.astype(np.uint16).tobytes()
        self._entries.copy[:] = self._said
        self._aim(int(batch.heads[0]))

    def _copy(self) -> tuple[Ints, Ints] | None:
        self._entries.take()
        if self._entries.copy != self._said:
            return None
        if self._pause and self._live:
            return self._live
        self._descs.take()
        return self._words


class Tables(Moved):
    """Chains of one descriptor each, `referring` to tables that were as long as their chains.

    `inside` are the descriptors in the tables.
    """

    def __init__(
        self, place: Place, start: int, batch: Batch, referring: Records, inside: Records
    ) -> None:
        super().__init__(place.views, batch, fields(inside)[1].tobytes())
        self._dma, self.start = place.dma, start
        self._ring = Referring(place.views, start, batch.heads, referring)
        entries = np.diff(batch.starts)
        # For each descriptor in a table: whose it is, and how far behind the table's first.
        self._whose = np.repeat(np.arange(self.n), entries)
        self._behind = (np.arange(self.size) - np.repeat(batch.starts[:-1], entries)) * SIZE
        self._places = np.empty(self.size, np.int64)

    def read(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """See `Moved.read`: first the descriptors in the ring, then those in the tables."""
        ring = self._ring
        if not ring.read(dma, parts):
            return False
        if self.batch.heads is not ring.batch.heads:
            self._set_heads(ring.batch.heads)
        found = super().read(dma, parts)
        if found and not self._pause:
            self._inside, self.valid = Inside(dma.bytes, self._places, self._records), True
        return found

    def again(self) -> bool:
        """See `Seen.again`."""
        if self._pause or not self.valid:
            self._pause = max(0, self._pause - 1)
            return False
        if self._ring.again() and self._inside.again():
            return True
        self._pause = PAUSE
        return False

    def move(self, start: int) -> bool:
        """See `Seen.move`."""
        moved = self._ring.move(start)
        self.start, self.valid = self._ring.start, self.valid and moved
        return moved

    def _copy(self) -> tuple[Ints, Ints] | None:
        self._ring.batch.offset.take(self._whose, 0, self._places, "clip")
        self._places += self._behind
        self._records = gather(self._dma.bytes, self._places)
        return fields(self._records)


class Referring(Single):
    """Descriptors in the ring that refer to tables: the batch's offsets are those of the tables."""

    def __init__(self, views: SplitViews, start: int, heads: Ints, records: Records) -> None:
        super().__init__(views, start, len(records))
        self._entry[:] = heads
        rest = fields(records)[1]
        self._parsed = bytearray(rest.tobytes())
        np.bitwise_and(rest, all_ones(4), self.batch.length)
        self._longest = int(self.batch.length.max())

    def _parse(self) -> bool:
        """Other lengths are other tables: for those there is the walk."""
        return False
