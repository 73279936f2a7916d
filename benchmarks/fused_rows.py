"""Many queues with a few chains each: served as one batch, against a loop over the queues.

    queue 0   [ table ][ avail ][ used ]      each has 16 entries, and 4 chains of one descriptor
    queue 1   [ table ][ avail ][ used ]      the batch is 64 times 4

The idea: no queue has enough for a batch of its own. `FusedSplit` makes one of all of them; the
other side asks each queue in turn, by the same plural calls, which take so few one by one.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks.harness import Row
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.fused import FusedSplit
from virtlab.virtio.layouts import DESC, SplitRings
from virtlab.virtio.split import SplitQueue

BASE, BUFFER = 0x1000, 512
QUEUES, CHAINS, SIZE = 64, 4, 16
STEP = 0x400
"""Bytes from one queue to the next."""

NOTES = (
    f"fused: {QUEUES} queues of {SIZE} entries, {CHAINS} chains in each, taken and given back",
    "the other side is pop_many and push_many of each queue; ratio: its time in units of the batch",
)


class FusedDuel:
    """`QUEUES` queues side by side, with other addresses each time."""

    def __init__(self, features: Features) -> None:
        self.data = BASE + QUEUES * STEP
        self.memory = GuestMemory(self.data + 2 * QUEUES * SIZE * BUFFER)
        self.queues: list[SplitQueue] = []
        self.tables: list[np.ndarray] = []
        for number in range(QUEUES):
            rings = SplitRings.placed(BASE + number * STEP, SIZE)
            queue = SplitQueue(self.memory)
            queue.enable(rings, features)
            self.queues.append(queue)
            self.tables.append(self.memory.view(rings.desc, SIZE * DESC.itemsize).view(DESC))
            entries = self.memory.view(rings.avail_field("ring"), 2 * SIZE).view(np.uint16)
            entries[:] = np.arange(SIZE)
        self.fused = FusedSplit(self.queues)
        self.random = np.random.default_rng(0)

    def prepare(self) -> None:
        """The drivers: other addresses, and four more chains in each queue."""
        places = self.data + self.random.permutation(2 * QUEUES * SIZE) * BUFFER
        for queue, table, addr in zip(
            self.queues, self.tables, places.reshape(-1, SIZE), strict=False
        ):
            table["addr"], table["len"] = addr, BUFFER
            idx = queue.last_avail + CHAINS & 0xFFFF
            self.memory.store(queue.rings.avail_field("idx"), 2, idx)

    def python(self) -> int:
        """One batch of all."""
        start = perf_counter_ns()
        popped = self.fused.pop_many()
        self.fused.push_many(popped.queue, popped.batch.heads)
        return perf_counter_ns() - start

    def twin(self) -> int:
        """A loop over the queues."""
        start = perf_counter_ns()
        for queue in self.queues:
            queue.push_many(queue.pop_many())
        return perf_counter_ns() - start

    def check(self) -> None:
        """Both take the same chains, and leave the same used rings."""
        for _ in range(9):
            self.prepare()
            before = self.memory.bytes.copy()
            counts = [(queue.last_avail, queue.used) for queue in self.queues]
            popped = self.fused.pop_many()
            found = popped.batch.copy()
            self.fused.push_many(popped.queue, found.heads)
            ours = self.memory.bytes.copy()
            self.memory.bytes[:] = before
            for queue, (last_avail, used) in zip(self.queues, counts, strict=True):
                queue.last_avail, queue.used = last_avail, used
            batches = [queue.pop_many().copy() for queue in self.queues]
            for queue, batch in zip(self.queues, batches, strict=True):
                queue.push_many(batch)
            same(found, Batch.joined(batches))
            numbers = np.repeat(np.arange(QUEUES), CHAINS)
            assert np.array_equal(popped.queue, numbers), "the queues differ"
            assert np.array_equal(self.memory.bytes, ours), "the used rings differ"


def same(one: Batch, other: Batch) -> None:
    """`AssertionError` unless all arrays of two batches are equal."""
    for name in ("heads", "slots", "starts", "offset", "length", "write"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert np.array_equal(mine, theirs), f"{name} differs"


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows; there is no twin in C, so `flags` are not looked at."""
    kinds = {
        "fused, fresh addresses": frozenset(),
        "fused, in order": frozenset({Feature.IN_ORDER}),
    }
    return [
        Row(name, QUEUES * CHAINS, partial(FusedDuel, features), least=True, against="a loop")
        for name, features in kinds.items()
    ]
