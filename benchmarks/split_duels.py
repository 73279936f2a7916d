"""What the rows of the split ring measure: a driver makes a batch available, a device takes it.

    row        the driver's work, which is not measured
    fresh      heads 0, 1, 2, ... ; every buffer at another address than in the batch before
    in order   the same chains again and again, one used element a batch (VIRTIO_F_IN_ORDER)
    random     the heads in another random order each time, and fresh addresses
    same       as fresh, but the addresses are the same again: what a hit of the shadow saves
    mixed      chains of 1 to 4, their descriptors in ring order: the shadow knows all but addresses
    walked     the same, and buffers of other lengths each time: what a miss costs longer chains
    indirect   each chain a table of three

The idea: the queue has as many entries as the batch, and is always filled and emptied whole. A
batch is one `pop_many` and one `push_many`. Buffers are 512 bytes, for the device to read.
"""

from __future__ import annotations

from time import perf_counter_ns

import numpy as np

from benchmarks.split_twin import SplitTwin
from benchmarks.twin_arrays import same
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.split_views import IDX

BASE, BUFFER = 0x1000, 512
VARIANTS = 4
"""Different contents that the driver has ready: what it writes is another one each time."""


Variant = tuple[np.ndarray, np.ndarray]


class SplitDuel:
    """One queue of `size`, which both sides serve in turn. A subclass says what the driver does."""

    features: Features = frozenset()
    variants_count = VARIANTS

    def __init__(self, size: int, flags: tuple[str, ...]) -> None:
        self.size = size
        self.rings = SplitRings.placed(BASE, size)
        self.tables = (self.rings.end + 4095) // 4096 * 4096
        self.data = self.tables + 3 * size * DESC.itemsize
        self.memory = GuestMemory(self.data + 4 * size * BUFFER)
        self.queue = SplitQueue(self.memory)
        self.queue.enable(self.rings, self.features)
        self.twin_side = SplitTwin(self.memory, self.rings, self.features, flags, size * 4)
        self.random = np.random.default_rng(size)
        self.desc, avail, used = (self.memory.view(*part).data for part in self.rings.parts)
        self.avail, self.entries, self.used = avail.cast("H"), avail[4:-2], used[4:]
        variants = [self.variant() for _ in range(self.variants_count)]
        self.images = [(table.tobytes(), heads.tobytes()) for table, heads in variants]
        self.turn = 0
        self.chains = self.count()
        self.done = self.written()
        if isinstance(self.done, np.ndarray):
            self.twin_side.queue.written = self.done.ctypes.data

    def count(self) -> int:
        """Chains in a batch."""
        return self.size

    def written(self) -> np.ndarray | int:
        """Bytes written to each chain."""
        return 0

    def places(self) -> np.ndarray:
        """Another place for each buffer."""
        return self.data + self.random.permutation(4 * self.size)[: self.size] * BUFFER

    def variant(self) -> Variant:
        """The descriptor table and the heads of one batch."""
        table = np.zeros(self.size, DESC)
        table["addr"], table["len"] = self.places(), BUFFER
        return table, np.arange(self.size, dtype=np.uint16)

    def prepare(self) -> None:
        """The driver: descriptors, entries, and the index: slices of bytes."""
        self.turn += 1
        table, heads = self.images[self.turn % len(self.images)]
        self.desc[:] = table
        at = self.queue.last_avail % self.size * 2
        split = len(self.entries) - at
        self.entries[at : at + len(heads)] = heads[:split]
        self.entries[: max(0, len(heads) - split)] = heads[split:]
        self.avail[IDX] = self.queue.last_avail + self.chains & 0xFFFF

    def python(self) -> int:
        """One batch by the library."""
        queue = self.queue
        start = perf_counter_ns()
        queue.push_many(queue.pop_many(), self.done)
        return perf_counter_ns() - start

    def twin(self) -> int:
        """The same by the twin; the queue then goes on behind it."""
        queue = self.queue
        self.twin_side.at(queue.last_avail, queue.used)
        spent = self.twin_side.batch(self.chains)
        queue.last_avail += self.chains
        queue.used += self.chains
        return spent

    def check(self) -> None:
        """Both do the same batch: the same arrays, and the same used ring."""
        for _ in range(2 * VARIANTS + 1):
            self.prepare()
            self.used[:] = bytes(len(self.used))
            queue, counts = self.queue, (self.queue.last_avail, self.queue.used)
            batch = queue.pop_many().copy()
            queue.push_many(batch, self.done)
            ours = self.used.tobytes()
            self.used[:] = bytes(len(self.used))
            self.twin_side.at(*counts)
            self.twin_side.batch(self.chains)
            assert self.used.tobytes() == ours, "the used rings differ"
            same(batch, self.twin_side.result(self.chains))


class InOrder(SplitDuel):
    """The same chains again and again; one used element a batch."""

    features = frozenset({Feature.IN_ORDER})
    variants_count = 1


class Same(SplitDuel):
    """The same chains again, used one by one."""

    variants_count = 1


class Missed(Same):
    """All but the last address is the same again: the compare goes to the end, and in vain."""

    variants_count = 2

    def variant(self) -> Variant:
        self.random = np.random.default_rng(0)
        table, heads = super().variant()
        self.odd = not getattr(self, "odd", False)
        table["addr"][-1] += self.odd
        return table, heads

    def python(self) -> int:
        """One batch, and the compare is not put off."""
        for seen in self.queue._many.seen.values() if self.queue._many else ():
            seen._pause = 0
        return super().python()


class Lengths(SplitDuel):
    """Not only the addresses change, but the lengths too."""

    def variant(self) -> Variant:
        table, heads = super().variant()
        table["len"] = self.random.integers(1, BUFFER, self.size)
        return table, heads


class RandomHeads(SplitDuel):
    """The heads in another order each time."""

    def variant(self) -> Variant:
        table, heads = super().variant()
        return table, self.random.permutation(heads)


class Received(SplitDuel):
    """Buffers that are written, completely."""

    def variant(self) -> Variant:
        table, heads = super().variant()
        table["flags"] = WRITE
        return table, heads

    def written(self) -> np.ndarray:
        return np.full(self.chains, BUFFER)


class Mixed(SplitDuel):
    """Chains of 1, 2, 3, 4, 1, ... descriptors, side by side in the table."""

    lengths = np.array([1, 2, 3, 4])

    def count(self) -> int:
        return len(self.bounds()) - 1

    def bounds(self) -> np.ndarray:
        """Where each chain begins, and the end of the last."""
        starts = np.concatenate(([0], np.cumsum(np.resize(self.lengths, self.size))))
        return starts[starts <= self.size]

    def variant(self) -> Variant:
        table, heads = super().variant()
        bounds = self.bounds()
        table["flags"], table["next"] = NEXT, np.arange(1, self.size + 1)
        table["flags"][bounds[1:] - 1] = 0
        return table, heads[bounds[:-1]]


class Walked(Mixed):
    """The same chains, but each buffer is of another length each time."""

    def variant(self) -> Variant:
        table, heads = super().variant()
        table["len"] = self.random.integers(1, BUFFER, self.size)
        return table, heads


class Requests(Mixed):
    """Chains of three, as a disk's: what to do, the data, and how it went. Heads at random."""

    lengths = np.array([3])

    def variant(self) -> Variant:
        table, heads = super().variant()
        table["flags"][2::3] |= WRITE
        return table, self.random.permutation(heads)


class Indirect(SplitDuel):
    """Each chain is one descriptor that refers to a table of three, elsewhere."""

    features = frozenset({Feature.RING_INDIRECT_DESC})

    def variant(self) -> Variant:
        table, heads = super().variant()
        inside = self.memory.view(self.tables, 3 * self.size * DESC.itemsize).view(DESC)
        inside["addr"] = np.resize(self.places(), 3 * self.size)
        inside["len"] = BUFFER
        inside["flags"] = np.resize([NEXT, NEXT, WRITE], 3 * self.size)
        inside["next"] = np.resize([1, 2, 0], 3 * self.size)
        table["addr"] = self.tables + self.random.permutation(self.size) * 3 * DESC.itemsize
        table["len"], table["flags"] = 3 * DESC.itemsize, INDIRECT
        return table, heads


class AgainstScalar(SplitDuel):
    """The other side is `pop` and `push`, chain by chain."""

    def twin(self) -> int:
        queue = self.queue
        start = perf_counter_ns()
        while (chain := queue.pop()) is not None:
            queue.push(chain)
        return perf_counter_ns() - start
