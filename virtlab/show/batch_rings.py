"""Rings that are full of chains, of each kind that costs something else.

    single     one descriptor a chain, in the order of the ring
    shuffled   one descriptor a chain, the heads in any order
    three      a disk's request: what to do, the data, and how it went; all of them neighbours
    mixed      1, 2, 3, 2, 1, ... descriptors, the chains in any order
    indirect   one descriptor a chain, which refers to a table of three

The idea: what a batch costs depends on how regular it is. Here is a driver that offers the same
batch again and again, or with other buffers each time.

The rule that keeps it simple: the driver writes slices of bytes, and costs next to nothing. So
whoever measures here measures the device.

Source: virtio 1.3 2.7.5, 2.7.6, 2.7.13.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.batch import Ints
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings
from virtlab.virtio.split import SplitQueue

KINDS = {
    "single": "one descriptor a chain",
    "shuffled": "one descriptor, heads in any order",
    "three": "three neighbours a chain",
    "mixed": "1 to 3 descriptors, in any order",
    "indirect": "an indirect table of three",
}
"""The kinds of batches, in words."""

LAPS = {
    "first": "the device has seen none before",
    "other": "other buffers than a lap ago",
    "same": "the same buffers as a lap ago",
}
"""What the device knows of a batch, in words."""

LENGTHS = {"three": (3,), "mixed": (1, 2, 3, 2)}
"""Descriptors a chain, again from the front; of the others each has one."""

BUFFER, BASE, TABLE = 512, 0x1000, 3
"""Bytes of a buffer, where the ring begins, and descriptors in a table."""


class BatchRing:
    """A queue, and a driver that fills it with `n` chains of one `kind` at a time.

    `ValueError` for a kind that is none of `KINDS`, or for chains that are more than a ring holds.
    """

    def __init__(self, kind: str, n: int) -> None:
        if kind not in KINDS:
            raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {kind!r}")
        self.kind, self.n = kind, n
        each = np.resize(LENGTHS.get(kind, (1,)), max(n, 0))
        # A power of two, and no less than a chain has descriptors: also those in a table count.
        size = 1 << max(TABLE, int(each.sum()) - 1).bit_length()
        if not n >= 1 or size > 1 << 15:
            raise ValueError(f"a ring does not hold {n} such chains")
        self.rings = SplitRings.placed(BASE, size)
        self.tables = -(-self.rings.end // PAGE) * PAGE
        self.buffers = self.tables + TABLE * size * DESC.itemsize
        # Two places for each buffer.
        self.ram = GuestMemory(self.buffers + 2 * size * TABLE * BUFFER)
        self.features: Features = frozenset({Feature.VERSION_1, Feature.RING_INDIRECT_DESC})
        self.queue = SplitQueue(self.ram)
        self.queue.enable(self.rings, self.features)
        self._ends = np.cumsum(each)
        self._begin()

    @property
    def laps(self) -> int:
        """Batches until the ring is at the same entry again, for a batch of a power of two."""
        return self.rings.size // self.n

    def _begin(self) -> None:
        """The descriptors, but for the addresses, and the heads."""
        size = self.rings.size
        table = self._table(self.rings.desc, size)
        heads = self._ends - np.diff(self._ends, prepend=0)
        if self.kind == "indirect":
            self._fill(table, np.arange(1, size + 1))
            inside = self._table(self.tables, TABLE * size)
            self._fill(inside, np.arange(TABLE, TABLE * size + 1, TABLE), TABLE)
            table["addr"] = self.tables + TABLE * DESC.itemsize * np.arange(size)
            table["len"], table["flags"] = TABLE * DESC.itemsize, INDIRECT
            self._addr = inside["addr"]
        else:
            self._fill(table, self._ends)
            self._addr = table["addr"]
        if self.kind in ("shuffled", "mixed"):
            heads = np.random.default_rng(1).permutation(heads)
        self.heads: Ints = heads
        self._places = self.buffers + BUFFER * np.arange(len(self._addr))
        self.move(0)

    def _table(self, gpa: int, count: int) -> npt.NDArray[np.void]:
        return self.ram.view(gpa, count * DESC.itemsize).view(DESC)

    def _fill(self, table: npt.NDArray[np.void], ends: Ints, modulus: int = 1 << 16) -> None:
        """Chains that end before each of `ends`; what is written is the last of a longer one."""
        count = int(ends[-1])
        flags = np.full(count, NEXT)
        flags[ends - 1] = np.where(np.diff(ends, prepend=0) > 1, WRITE, 0)
        table["len"], table["flags"][:count] = BUFFER, flags
        following = np.arange(1, count + 1) % modulus
        table["next"][:count] = np.where(flags & NEXT, following, 0)

    def move(self, place: int) -> None:
        """Let all buffers be at their place 0, or 1."""
        self._addr[:] = self._places + place * BUFFER * len(self._places)

    def offer(self) -> None:
        """The driver makes its `n` chains available."""
        queue, size = self.queue, self.rings.size
        entries = self.ram.view(self.rings.avail_field("ring"), 2 * size).view(np.uint16)
        start = queue.last_avail % size
        split = min(self.n, size - start)
        entries[start : start + split] = self.heads[:split]
        entries[: self.n - split] = self.heads[split:]
        self.ram.store(self.rings.avail_field("idx"), 2, (queue.last_avail + self.n) & 0xFFFF)

    def warm(self, lap: str) -> None:
        """Let the device see what it shall know before `lap`, one of `LAPS`; then offer the batch.

        Before `first` that is an empty ring, before the others two laps.
        """
        if lap not in LAPS:
            raise ValueError(f"a lap is one of {', '.join(LAPS)}, not {lap!r}")
        if lap == "first":
            self.queue.pop_many()
        for turn in range(0 if lap == "first" else 2 * self.laps):
            # So a lap before the batch they are at place 0.
            self.move((turn + self.laps) % 2 if lap == "other" else 0)
            self.offer()
            self.queue.push_many(self.queue.pop_many())
        self.move(int(lap == "other"))
        self.offer()
