"""The rows of the packed ring: a driver makes a batch available, a device pops and pushes it.

    row        the driver's work, which is not measured
    fresh      ids 0, 1, 2, ... ; every buffer at another address than in the batches before
    in order   the same lists again and again, one used descriptor a batch (VIRTIO_F_IN_ORDER)
    same       as fresh, but the addresses are the same again: what a hit of the shadow saves
    random     the ids in another random order each time, and fresh addresses: the shadow misses
    mixed      lists of 1 to 4 descriptors, addresses fresh; indirect: each list a table of three

The idea: the queue has as many descriptors as the batch has slots, and is always filled and emptied
whole. A batch is one `pop_many` and one `push_many`. Buffers are 512 bytes, for the device to read.
"""

from __future__ import annotations

from time import perf_counter_ns

import numpy as np

from benchmarks.harness import Row
from benchmarks.packed_twin import PackedTwin
from benchmarks.twin_arrays import same
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PACKED_DESC, PackedRings, avail_bits, wrap_at

BASE, BUFFER = 0x1000, 512
VARIANTS = 4
"""Different contents that the driver has ready: what it writes is another one each time."""
SHIFTS = 509
"""Addresses are moved by another number of bytes each time: the same come after so many batches."""

NOTES = (
    "packed, fresh: the shadow knows lengths, ids and flags, and each address is checked anew",
    "packed, random: nothing is as it was, so all is parsed again: the cost of a miss",
)


class PackedDuel:
    """One queue of `size`, which both sides serve in turn. A subclass says what the driver does."""

    features: Features = frozenset()
    variants = VARIANTS
    shifts = SHIFTS

    def __init__(self, size: int, flags: tuple[str, ...]) -> None:
        self.size = size
        self.rings = PackedRings.placed(BASE, size)
        self.tables = (self.rings.end + 4095) // 4096 * 4096
        self.data = self.tables + 3 * size * PACKED_DESC.itemsize
        self.memory = GuestMemory(self.data + 4 * size * BUFFER + SHIFTS)
        self.queue = PackedQueue(self.memory)
        self.queue.enable(self.rings, self.features)
        self.twin_side = PackedTwin(self.memory, self.rings, self.features, flags, size * 4)
        self.random = np.random.default_rng(size)
        view = self.memory.view
        self.desc = view(self.rings.desc, size * PACKED_DESC.itemsize).view(PACKED_DESC)
        self.ready = [self.variant() for _ in range(self.variants)]
        self.turn = 0
        self.lists = int((self.ready[0]["flags"] & NEXT == 0).sum())

    def places(self) -> np.ndarray:
        """Another place for each buffer."""
        return self.data + self.random.permutation(4 * self.size)[: self.size] * BUFFER

    def variant(self) -> np.ndarray:
        """The ring of one batch, without AVAIL and USED."""
        ring = np.zeros(self.size, PACKED_DESC)
        ring["addr"], ring["len"] = self.places(), BUFFER
        ring["id"] = np.arange(self.size)
        return ring

    def prepare(self) -> None:
        """The driver: the descriptors, for the lap in which the device is."""
        self.turn += 1
        self.desc[:] = self.ready[self.turn % len(self.ready)]
        self.desc["addr"] += self.turn % self.shifts
        self.desc["flags"] |= avail_bits(wrap_at(self.queue.last_avail, self.size))

    def python(self) -> int:
        """One batch by the library."""
        queue = self.queue
        start = perf_counter_ns()
        queue.push_many(queue.pop_many(), 0)
        return perf_counter_ns() - start

    def twin(self) -> int:
        """The same by the twin; the queue then goes on behind it."""
        self.twin_side.follow(self.queue)
        spent = self.twin_side.batch(self.lists)
        self.twin_side.lead(self.queue)
        return spent

    def check(self) -> None:
        """Both do the same batch: the same arrays, and the same ring."""
        for _ in range(2 * len(self.ready) + 1):
            self.prepare()
            before, queue = self.desc.copy(), self.queue
            self.twin_side.follow(queue)
            batch = queue.pop_many()
            kept = batch.copy()
            queue.push_many(batch, 0)
            ours = self.desc.tobytes()
            self.desc[:] = before
            self.twin_side.batch(self.lists)
            assert self.desc.tobytes() == ours, "the rings differ"
            same(kept, self.twin_side.result(self.lists))


class Same(PackedDuel):
    """The same addresses again."""

    variants = shifts = 1


class InOrder(Same):
    """The same, and in order."""

    features = frozenset({Feature.IN_ORDER})


class RandomIds(PackedDuel):
    """The ids in another order each time: a driver whose free ids are a stack, say."""

    def variant(self) -> np.ndarray:
        ring = super().variant()
        ring["id"] = self.random.permutation(self.size)
        return ring


class Mixed(PackedDuel):
    """Lists of 1 to 4 descriptors, the last of the longer ones for the device to write."""

    def variant(self) -> np.ndarray:
        ring = super().variant()
        lengths = np.resize([1, 2, 3, 4], self.size)
        ends = np.cumsum(lengths)
        ends = np.append(ends[ends < self.size], self.size) - 1
        ring["flags"] = NEXT
        ring["flags"][ends] = WRITE * (np.diff(ends, prepend=-1) > 1)
        return ring


class Indirect(PackedDuel):
    """Each list a table of three, at another place each time; all tables filled once."""

    features = frozenset({Feature.RING_INDIRECT_DESC})
    shifts = 1

    def variant(self) -> np.ndarray:
        ring = super().variant()
        count = 3 * self.size
        table = np.zeros(count, PACKED_DESC)
        table["addr"] = self.data + self.random.permutation(4 * self.size)[:count] * BUFFER
        table["len"] = BUFFER
        table["flags"] = np.resize([0, 0, WRITE], count)
        length = 3 * PACKED_DESC.itemsize
        self.memory.write(self.tables, table.tobytes())
        ring["addr"] = self.tables + self.random.permutation(self.size) * length
        ring["len"], ring["flags"] = length, INDIRECT
        return ring


class AgainstScalar(PackedDuel):
    """The other side is `pop` and `push`, list by list, in Python."""

    def twin(self) -> int:
        queue = self.queue
        start = perf_counter_ns()
        for chain in [queue.pop() for _ in range(self.lists)]:
            queue.push(chain, 0)
        return perf_counter_ns() - start


GOALS: tuple[tuple[str, type[PackedDuel], dict[int, tuple[float | None, bool]]], ...] = (
    ("fresh", PackedDuel, {256: (4.5, False), 1024: (1.4, True), 4096: (0.75, True)}),
    ("in order", InOrder, {256: (1.2, False), 1024: (0.4, True), 4096: (0.18, True)}),
    ("same", Same, {1024: (None, False), 4096: (None, False)}),
    ("random ids", RandomIds, {256: (None, False), 1024: (None, False), 4096: (None, False)}),
    ("mixed", Mixed, {1024: (None, False), 4096: (None, False)}),
    ("indirect", Indirect, {1024: (None, False), 4096: (None, False)}),
)


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, with a twin compiled with `flags`."""
    found = [
        Row(f"packed, {name}", batch, lambda duel=duel, batch=batch: duel(batch, flags), goal, gate)
        for name, duel, goals in GOALS
        for batch, (goal, gate) in goals.items()
    ]
    scalar = Row(
        "packed, fresh", 1024, lambda: AgainstScalar(1024, flags), 200, True, True, "scalar Python"
    )
    return [*found, scalar]
