"""The rings of many split queues as one table: a row a queue, for queues that lie at equal steps.

    queue 0   [ descriptors ]       [ avail ][ used ]        entry 5 of queue 2 is at
    queue 1         [ descriptors ]       [ avail ][ used ]  2 * step + 5 of one long array
    queue 2               ...

The idea: a driver that has a queue for each processor allocates them one behind the other, all of
one size. Then the place of a descriptor is a number made of two, and one gather reads the next
descriptor of every chain of every queue.

The rule that keeps it simple: a chain is *plain* if it is surely right and looks like all others. A
table of chains is (n, L). What is not plain is left to its own queue, which has the words.

Chains with indirect tables, or of more than `LEVELS` descriptors, are never plain.

Source: virtio 1.3 2.7.5 to 2.7.6, 2.7.4.2, 2.7.5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.memory import Flat
from virtlab.virtio.batch import Bools, Ints
from virtlab.virtio.batch_checks import RECORD, Records, fields
from virtlab.virtio.layouts import (
    DESC,
    INDIRECT,
    MAX_BYTES,
    NEXT,
    SPLIT_WRITES,
    USED_ELEM,
    WRITE,
    SplitRings,
    avail_ring,
    offset_of,
    used_ring,
)
from virtlab.virtio.split_steps import FLAGS, FOLLOWING
from virtlab.wire import all_ones, u16, u32

LEVELS = 16
"""Descriptors of the longest chain that is followed here."""


class Table(NamedTuple):
    """Items of one part of every queue: item k of queue q is `items[q * step + k]`."""

    items: npt.NDArray[Any]
    step: int

    def places(self, queue: Ints, index: Ints) -> Ints:
        """Where these items are."""
        return queue * self.step + index


class Chains(NamedTuple):
    """`n` chains of `L` descriptors each, and which of them are plain: the rest says nothing."""

    addr: Ints  # (n, L) iova
    length: Ints  # (n, L)
    write: Bools  # (n, L)
    offset: Ints  # (n, L) in `dma.bytes`
    plain: Bools  # (n,)

    def only(self, some: Bools) -> Chains:
        """Those for which (n,) `some` is True."""
        rest = self.write[some], self.offset[some], self.plain[some]
        return Chains(self.addr[some], self.length[some], *rest)


class FusedViews:
    """Views of the queues at `rings`. `DmaFault` for what is not memory, `ValueError` for queues
    whose parts do not follow each other at equal steps.
    """

    def __init__(self, dma: Flat, rings: Sequence[SplitRings]) -> None:
        self.dma, self.rings, self.count, self.size = dma, rings, len(rings), rings[0].size
        self.generation = dma.generation
        places = [
            [dma.offset(*part, write) for part, write in zip(one.parts, SPLIT_WRITES, strict=True)]
            for one in rings
        ]
        parts = np.array(places, np.int64)
        (desc, avail, used), steps = parts[0].tolist(), _steps(parts)
        ring_a, ring_u, size = avail_ring(self.size), used_ring(self.size), self.size
        self.table = self._table(desc, steps[0], size, RECORD)
        self.entries = self._table(avail + offset_of(ring_a, "ring"), steps[1], size, u16)
        # Each element is two words: the id, and behind it the length.
        self.elements = self._table(used + offset_of(ring_u, "ring"), steps[2], 2 * size, u32)
        self.avail_idx = self._column(avail + offset_of(ring_a, "idx"), steps[1])
        self.avail_flags = self._column(avail + offset_of(ring_a, "flags"), steps[1])
        self.used_event = self._column(avail + offset_of(ring_a, "used_event"), steps[1])
        self.used_idx = self._column(used + offset_of(ring_u, "idx"), steps[2])
        self.avail_event = self._column(used + offset_of(ring_u, "avail_event"), steps[2])
        # (queue, part): where each part begins for the device, and how long it is.
        self._starts = np.array([[start for start, _ in one.parts] for one in rings], np.uint64)
        self._lengths = np.array([length for _, length in rings[0].parts], np.uint64)

    def _table(self, offset: int, step: int, count: int, kind: np.dtype[Any]) -> Table:
        """`count` items of each queue as one long array, with what lies between the queues."""
        length = ((self.count - 1) * step) // kind.itemsize + count
        return Table(np.ndarray((length,), kind, self.dma.bytes, offset), step // kind.itemsize)

    def _column(self, offset: int, step: int) -> npt.NDArray[np.uint16]:
        """(queues,) one word of each."""
        return np.ndarray((self.count,), u16, self.dma.bytes, offset, (step,))

    def chains(self, queue: Ints, heads: Ints, in_order: bool) -> Chains:
        """The chains of (n,) `heads`, each in its own `queue`, as long as the first of them is."""
        plain = heads < self.size
        now = np.where(plain, heads, 0)
        levels: list[Records] = []
        going = True
        while going and len(levels) < LEVELS:
            # The one read of each descriptor.
            level = self.table.items.take(self.table.places(queue, now), mode="clip")
            levels.append(level)
            rest = fields(level)[1]
            goes_on = (rest & NEXT << FLAGS) != 0
            going = bool(goes_on[0])
            plain &= (goes_on == going) & ((rest & INDIRECT << FLAGS) == 0)
            if going:
                now = self._step(now, rest >> FOLLOWING & all_ones(2), plain, in_order)
        # A chain that still goes on is too long for this, or a loop.
        plain &= not going
        return self._check(queue, np.stack(levels, axis=1), plain)

    def _step(self, now: Ints, following: Ints, plain: Bools, in_order: bool) -> Ints:
        """`next`, where it is one. In order it is the neighbour (2.7.5.2)."""
        plain &= following == (now + 1) % self.size if in_order else following < self.size
        return np.where(plain, following, 0)

    def _check(self, queue: Ints, records: Records, plain: Bools) -> Chains:
        """The rules of `check_buffers` and `check_memory`, as masks."""
        shape = records.shape
        addr, rest = (words.reshape(shape) for words in fields(records.ravel()))
        length = rest & all_ones(4)
        write = (rest & WRITE << FLAGS) != 0
        offset = self.dma.offset_many(addr.ravel(), length.ravel(), write.ravel())
        offset = offset.reshape(shape)
        right = (length > 0) & (offset >= 0)
        right[:, 1:] &= write[:, 1:] | ~write[:, :-1]
        plain &= right.all(1) & (length.sum(1) <= MAX_BYTES)
        if write.any():
            plain &= ~self._over(queue, addr, length, write)
        return Chains(addr, length, write, offset, plain)

    def _over(self, queue: Ints, addr: Ints, length: Ints, write: Bools) -> Bools:
        """(n,) whether the device would write over the chain's own queue."""
        first, size = addr.view(np.uint64), length.view(np.uint64)
        low, high = self._starts.min(), (self._starts + self._lengths).max()
        near = write & (first < high) & (first + size > low)
        found = np.zeros(len(queue), np.bool_)
        if not near.any():
            return found
        for starts, part in zip(self._starts.T, self._lengths, strict=True):
            start = starts[queue][:, None]
            found |= (write & (first < start + part) & (first + size > start)).any(1)
        return found


def _steps(parts: Ints) -> list[int]:
    """From each queue to the next, for each of the three parts. (queues, 3) offsets."""
    steps = np.diff(parts, axis=0)
    if not len(steps):
        return [DESC.itemsize, u16.itemsize, USED_ELEM.itemsize]
    if (steps != steps[0]).any() or (steps[0] <= 0).any():
        raise ValueError("the parts of fused queues follow each other at equal steps, upwards")
    return [int(step) for step in steps[0]]
