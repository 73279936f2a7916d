"""The commonest batch of a split ring: one descriptor a chain, looked at without a walk.

    entries        the heads: mostly neighbours, so a slice of a ramp          one compare
    second words   `len`, `flags`, `next`: mostly those of the lap before      one compare
    addresses      others each time: shifted to offsets, lowest, highest       three passes

The idea: a driver that sends or receives has other buffers each time, but as many, as long, and of
the same kind. So what stays the same is compared, and only the addresses are looked at.

The rule that keeps it simple: all or nothing. Whatever is not as expected is left to the walk.

`Single` keeps its arrays and views from lap to lap: to make them costs more than to fill them.
Source: virtio 1.3 2.7.5, 2.7.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.batch_checks import RECORD, fields, over
from virtlab.virtio.chain import Span, overlap
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE
from virtlab.virtio.split_shadow import NEVER, Mirror, Seen
from virtlab.virtio.split_steps import FLAGS
from virtlab.virtio.split_views import SplitViews
from virtlab.wire import all_ones, u16

# 0-d arrays: a ufunc takes them as they are, where a Python int costs it a microsecond.
_GOES_ON = np.array((NEXT | INDIRECT) << FLAGS)
_WRITES = np.array(WRITE << FLAGS)
_LEN = np.array(all_ones(4))
_NONE = np.array(0)


class Window(NamedTuple):
    """Offsets from `low` to `high` that are one piece of memory, `shift` behind their iovas."""

    low: int
    high: int
    shift: int

    @property
    def span(self) -> Span:
        """The same, as iovas."""
        return self.low - self.shift, self.high - self.low


class Single(Seen):
    """`n` chains of one descriptor each, whose entries are at `start`."""

    def __init__(self, views: SplitViews, start: int, n: int) -> None:
        self._views = views
        self._entries, self._descs = Mirror(n, u16.itemsize), Mirror(n, DESC.itemsize)
        self._entries.aim(views.entry_bytes, start)
        self._entry = np.frombuffer(self._entries.copy, np.uint16)
        self._records = np.frombuffer(self._descs.copy, RECORD)
        self._private = fields(self._records)
        self._live: tuple[Ints, Ints] | None = None
        self._heads, self._rest, length, self._offset = np.empty((4, n), np.int64)
        self._rest_bytes = self._rest.data.cast("B")
        self._head, self._ramp_at = -1, 0  # the first of heads that follow each other, or -1
        self._parsed = bytearray()  # the second words that lengths and flags were made of
        self._longest, self._writes = 0, False
        # As unsigned numbers: what lies below a window is far above it.
        unsigned = self._offset.view(np.uint64)
        self._offsets, self._lowest, self._highest = unsigned.data, unsigned.argmin, unsigned.argmax
        self._shift, self._window = np.zeros((), np.int64), Window(0, 0, 0)
        one_each, write = (views.ones[:n], views.numbers[: n + 1]), np.empty(n, np.bool_)
        super().__init__(Batch(self._heads, *one_each, self._offset, length, write))

    def read(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """Look at the ring anew: whether all is right, and each chain has one descriptor.

        `parts` are the queue's own. False does not say what is wrong, or where.
        """
        self.valid, self.last_avail = False, NEVER
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
        # One look compares what was copied, if it lies in the table in the order of the entries.
        self.valid = self._head >= 0 and words is self._private
        return True

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
            return self._private
        self._head, head = -1, int(self._entry[0])
        if views.ramp_bytes.startswith(entries.copy, head * u16.itemsize):
            self._aim(head)
            self._descs.take()
            return self._private
        if self._entry[self._entry.argmax()] >= len(views.table):
            return None
        self._heads[:] = self._entry
        if self.batch.heads is not self._heads:
            self._set_heads(self._heads)
        # 16 bytes move as one element; `clip` saves a check of each index, and they were checked.
        views.table.take(self._heads, 0, self._records, "clip")
        return self._private

    def _aim(self, head: int) -> None:
        """The heads are those from `head` on."""
        views, end = self._views, head + self.n
        self._head, self._ramp_at = head, head * u16.itemsize
        self._set_heads(views.ramp[head:end])
        self._descs.aim(views.table_bytes, head)
        self.pieces = self._entries.pieces + self._descs.pieces
        # Those that lie round the end of the ring are in two pieces.
        self._live = fields(views.table[head:end]) if end <= len(views.table) else None

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
        span, window = _hull(addr, self._longest), self._window
        for one in (_union(span, window.span), span):
            shift = _shift(dma, one)
            if shift is not None:
                self._window = Window(one[0] + shift, sum(one) + shift, shift)
                self._shift[()] = shift
                self.batch.offset = np.add(addr, self._shift, self._offset)
                break
        else:
            self.batch.offset = offset = dma.offset_many(addr, self.batch.length)
            if np.count_nonzero(offset < 0):
                return False
        return not self._writes or not self._over(parts, span, addr)

    def _over(self, parts: Sequence[Span], span: Span, addr: Ints | None = None) -> bool:
        """Whether a buffer is to be written where the queue is. All of them are in `span`."""
        if not overlap(span, self._views.hull):
            return False
        addr = self._offset - self._shift if addr is None else addr
        return bool(np.count_nonzero(over(parts, addr, self.batch.length) & self.batch.write))


def _hull(addr: Ints, longest: int) -> Span:
    """From the lowest of many addresses to the highest, and `longest` bytes behind it."""
    unsigned = addr.view(np.uint64)
    low, high = int(unsigned[unsigned.argmin()]), int(unsigned[unsigned.argmax()])
    return low, high - low + longest


def _shift(dma: Flat, span: Span) -> int | None:
    """What to add to an iova in `span` for its offset; None if the span is not in one piece."""
    start, size = span
    if start + size > 1 << 63:
        return None
    # Not `offset`: that there is no such piece is no fault, and none shall be recorded.
    offset = int(dma.offset_many(np.array([start]), np.array([size]))[0])
    return None if offset < 0 else offset - start


def _union(one: Span, other: Span) -> Span:
    """The span of both and all between; an empty one counts for nothing."""
    if not other[1]:
        return one
    low = min(one[0], other[0])
    return low, max(sum(one), sum(other)) - low
