"""The commonest batch of a split ring: one descriptor a chain, looked at without a walk.

    entries        the heads: mostly neighbours, so a slice of a ramp          one compare
    second words   `len`, `flags`, `next`: mostly those of the lap before      one compare
    addresses      others each time: shifted to offsets, lowest, highest       three passes

The idea: a driver that sends or receives has other buffers each time, but as many, as long, and of
the same kind. So what stays the same is compared, and only the addresses are looked at.

The rule that keeps it simple: all or nothing. Whatever is not as expected is left to the walk.

`Moved` is that idea, for any batch; `split_longer` has others. Arrays and views are kept from lap
to lap: to make them costs more than to fill them. Source: virtio 1.3 2.7.5, 2.7.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.batch_checks import RECORD, fields, over
from virtlab.virtio.chain import Span, overlap
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE
from virtlab.virtio.split_shadow import NEVER, Mirror, Seen
from virtlab.virtio.split_steps import FLAGS
from virtlab.virtio.split_views import SplitViews
from virtlab.virtio.split_window import Window, hull, one_shift, union
from virtlab.wire import all_ones, u16

# 0-d arrays: a ufunc takes them as they are, where a Python int costs it a microsecond.
_GOES_ON = np.array((NEXT | INDIRECT) << FLAGS)
_WRITES = np.array(WRITE << FLAGS)
_LEN = np.array(all_ones(4))
_NONE = np.array(0)


class Moved(Seen):
    """A batch whose descriptors were found right, and are the same again but for their addresses.

    A subclass copies them in `_copy`. `words` are their second words, as they were found right; if
    others are found, `_parse` may make another batch of them.
    """

    def __init__(self, views: SplitViews, batch: Batch, words: bytes = b"") -> None:
        self._rest, self._offset = np.empty((2, len(batch.offset)), np.int64)
        self._offset[:] = batch.offset
        super().__init__(replace(batch, offset=self._offset))
        self._views = views
        self._private: tuple[Ints, Ints] | None = None  # words that are compared from now on
        self._rest_bytes = self._rest.data.cast("B")
        self._parsed = bytearray(words)
        self._longest = int(batch.length.max())
        self._writes = bool(np.count_nonzero(batch.write))
        # As unsigned numbers: what lies below a window is far above it.
        unsigned = self._offset.view(np.uint64)
        self._offsets, self._lowest, self._highest = unsigned.data, unsigned.argmin, unsigned.argmax
        self._shift, self._window = np.zeros((), np.int64), Window(0, 0, 0)

    def read(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """Look at the ring anew: whether all is right, and the batch is of this kind.

        `parts` are the queue's own. False does not say what is wrong, or where.
        """
        self.valid, self.last_avail, self._whole, self.batch.note = False, NEVER, None, None
        words = self._copy()
        if words is None:
            return False
        addr, rest = words
        # All that is behind the addresses mostly stays, and then was looked at before.
        self._rest[:] = rest
        if not (self._parsed and self._parsed.startswith(self._rest_bytes)) and not self._parse():
            return False
        np.add(addr, self._shift, self._offset)
        if not self._translate(dma, parts):
            return False
        # One look compares what was copied, if it is known where in memory that is.
        self.valid = words is self._private and len(self.pieces) > 0
        return True

    def _copy(self) -> tuple[Ints, Ints] | None:
        """The two words of each descriptor: a copy, or those in memory, to be read once.

        None if the batch is of another kind.
        """
        raise NotImplementedError

    def _parse(self) -> bool:
        """Whether the second words, which are others now, are right too."""
        return False

    def _translate(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """Where the buffers are. False if one is not memory, or written where the queue is."""
        # What holds for the hull of all buffers holds for each: two searches, not six passes. So
        # they were shifted as in the lap before, and now it is seen whether all are in the window.
        low = self._offsets[self._lowest()]
        high = self._offsets[self._highest()] + self._longest
        window = self._window
        if low < window.low or high > window.high:
            return self._look_up(dma, parts)
        self.batch.offset = self._offset
        return not self._writes or not self._over(parts, (low - window.shift, high - low))

    def _look_up(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """The same, where the window is not large enough: it grows, or is a new one, or none."""
        addr = self._offset - self._shift
        span, window = hull(addr, self._longest), self._window
        for one in (union(span, window.span), span):
            shift = one_shift(dma, one)
            if shift is not None:
                self._window = Window(one[0] + shift, sum(one) + shift, shift)
                self._shift[()] = shift
                self.batch.offset = np.add(addr, self._shift, self._offset)
                break
        else:
            offset = dma.offset_many(addr, self.batch.length, self.batch.write)
            self.batch.offset = offset
            if np.count_nonzero(offset < 0):
                return False
        return not self._writes or not self._over(parts, span, addr)

    def _over(self, parts: Sequence[Span], span: Span, addr: Ints | None = None) -> bool:
        """Whether a buffer is to be written where the queue is. All of them are in `span`."""
        if not overlap(span, self._views.hull):
            return False
        addr = self._offset - self._shift if addr is None else addr
        return bool(np.count_nonzero(over(parts, addr, self.batch.length) & self.batch.write))


class OfRing(Moved):
    """A batch of descriptors in the ring: `descs` of them, and entries from `start` on."""

    def __init__(
        self, views: SplitViews, start: int, batch: Batch, descs: int, words: bytes = b""
    ) -> None:
        super().__init__(views, batch, words)
        self._entries, self._descs = Mirror(self.n, u16.itemsize), Mirror(descs, DESC.itemsize)
        self._entries.aim(views.entry_bytes, start)
        self.start = start
        self._records = np.frombuffer(self._descs.copy, RECORD)
        self._private = self._words = fields(self._records)
        self._live: tuple[Ints, Ints] | None = None
        self._head = -1  # where in the table they are, one behind the other; or -1

    def _aim(self, head: int) -> None:
        """The descriptors are those from `head` on."""
        views, end = self._views, head + self._descs.n
        self._head = head
        self._descs.aim(views.table_bytes, head)
        self.pieces = self._entries.pieces + self._descs.pieces
        # Those that lie round the end of the table are in two pieces.
        self._live = fields(views.table[head:end]) if end <= len(views.table) else None

    def move(self, start: int) -> bool:
        """See `Seen.move`."""
        entries, said = self._entries, bytes(self._entries.copy)
        entries.aim(self._views.entry_bytes, start)
        entries.take()
        same = entries.copy == said
        self.start, self.valid = start if same else self.start, self.valid and same
        entries.aim(self._views.entry_bytes, self.start)
        if self._head >= 0:
            self._aim(self._head)
        return same


class Single(OfRing):
    """`n` chains of one descriptor each, whose entries are at `start`."""

    def __init__(self, views: SplitViews, start: int, n: int) -> None:
        self._heads, zeros = np.zeros((2, n), np.int64)
        one_each = views.ones[:n], views.numbers[: n + 1]
        batch = Batch(self._heads, *one_each, zeros, zeros.copy(), np.zeros(n, np.bool_))
        super().__init__(views, start, batch, n)
        self._entry = np.frombuffer(self._entries.copy, np.uint16)
        self._ramp_at = 0

    def _copy(self) -> tuple[Ints, Ints] | None:
        """Copy entries and descriptors: the descriptors' words. None for a head that is none.

        While nothing is compared no copy is needed: the words are those in memory, to be read once.
        """
        entries, views = self._entries, self._views
        entries.take()
        # Heads that follow each other are a slice of the ramp, and their descriptors of the table.
        if self._head >= 0 and views.ramp_bytes.startswith(entries.copy, self._ramp_at):
            if self._pause and self._live:
                return self._live
            self._descs.take()
            return self._words
        self._head, head, self.pieces = -1, int(self._entry[0]), ()
        if views.ramp_bytes.startswith(entries.copy, head * u16.itemsize):
            self._aim(head)
            self._descs.take()
            return self._words
        if self._entry[self._entry.argmax()] >= len(views.table):
            return None
        self._heads[:] = self._entry
        if self.batch.heads is not self._heads:
            self._set_heads(self._heads)
        # 16 bytes move as one element; `clip` saves a check of each index, and they were checked.
        views.table.take(self._heads, 0, self._records, "clip")
        return self._words

    def _aim(self, head: int) -> None:
        """Heads that follow each other are a slice of the ramp."""
        super()._aim(head)
        self._ramp_at = head * u16.itemsize
        self._set_heads(self._views.ramp[head : head + self.n])

    def _parse(self) -> bool:
        """Lengths and flags from the second words. False if a chain goes on, or has no bytes."""
        rest, length = self._rest, self.batch.length
        self._parsed, self._room = bytearray(), None
        np.bitwise_and(rest, _GOES_ON, length)
        if np.count_nonzero(length):
            return False
        np.bitwise_and(rest, _WRITES, length)
        np.not_equal(length, _NONE, self.batch.write)
        self._writes = bool(np.count_nonzero(length))
        np.bitwise_and(rest, _LEN, length)
        if np.count_nonzero(length) < self.n:
            return False
        self._longest = int(length[length.argmax()])
        self._parsed = bytearray(self._rest_bytes)
        return True
