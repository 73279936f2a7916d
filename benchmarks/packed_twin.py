"""The C twin of the packed queue, `packed_twin.c`, as an object: the arrays that it fills.

The idea: the twin works on the memory of the very queue that it is compared with. Its counts are
handed in and out, so that either side may do the next batch.
"""

from __future__ import annotations

import ctypes

import numpy as np

from benchmarks import compiler
from benchmarks.twin_arrays import ARRAYS, NUMBER, POINTER, arrays, batch_of, feature_bits
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.features import Features
from virtlab.virtio.packed import IDS, PackedQueue
from virtlab.virtio.packed_layouts import PackedRings

SOURCE = "packed_twin.c"
COUNTS = ("last_avail", "used", "taken", "returned")
"""What both sides keep, by the same names."""


class Queue(ctypes.Structure):
    """`Queue` of the C file, field by field."""

    _fields_ = [
        ("memory", POINTER),
        ("regions", POINTER),
        ("region_count", NUMBER),
        ("parts", NUMBER * 6),
        ("desc", NUMBER),
        ("device", NUMBER),
        ("size", NUMBER),
        ("features", NUMBER),
        *((name, NUMBER) for name in COUNTS),
        *((name, POINTER) for name in ARRAYS),
        ("room", NUMBER),
        ("in_flight", POINTER),
        ("order", POINTER),
        ("writable", POINTER),
    ]


class PackedTwin:
    """The twin for the queue at `rings` in `memory`, with arrays for `pieces` pieces."""

    def __init__(
        self,
        memory: GuestMemory,
        rings: PackedRings,
        features: Features,
        flags: tuple[str, ...] = compiler.FLAGS,
        pieces: int = 0,
    ) -> None:
        pieces = pieces or rings.size
        self.library = compiler.library(SOURCE, flags)
        for name in ("packed_batch", "pop_batch", "push_batch"):
            getattr(self.library, name).restype = ctypes.c_int64
        self.memory = memory
        self.regions = np.array(memory.regions, np.uint64)
        self.arrays = arrays(rings.size, pieces)
        self.notes = {
            "in_flight": np.zeros(IDS, np.uint16),
            "order": np.zeros(rings.size, np.uint16),
            "writable": np.zeros(rings.size, np.int64),
        }
        self.queue = self._queue(rings, features, pieces)
        self._by_reference = ctypes.byref(self.queue)

    def _queue(self, rings: PackedRings, features: Features, pieces: int) -> Queue:
        queue = Queue()
        queue.memory, queue.regions = self.memory.bytes.ctypes.data, self.regions.ctypes.data
        queue.region_count = len(self.regions)
        queue.parts[:] = [number for part in rings.parts for number in part]
        queue.desc = self.memory.offset(*rings.parts[0])
        queue.device = self.memory.offset(*rings.parts[2])
        queue.size, queue.room = rings.size, pieces
        queue.features = feature_bits(features)
        for name, array in [*self.arrays.items(), *self.notes.items()]:
            setattr(queue, name, array.ctypes.data)
        return queue

    def follow(self, queue: PackedQueue) -> None:
        """Go on where `queue` is, with nothing in flight."""
        for name in COUNTS:
            setattr(self.queue, name, getattr(queue, name))

    def lead(self, queue: PackedQueue) -> None:
        """Let `queue` go on where the twin is, with nothing in flight."""
        for name in COUNTS:
            setattr(queue, name, getattr(self.queue, name))

    def batch(self, n: int) -> int:
        """Pop a batch of `n` and push it: its nanoseconds. `AssertionError` if it is not `n`."""
        spent = int(self.library.packed_batch(self._by_reference, ctypes.c_uint64(n)))
        assert spent >= 0, f"the twin did not find {n} lists"
        return spent

    def pop(self, limit: int) -> Batch:
        """Pop up to `limit` lists, without a clock; copies of the arrays."""
        return self.result(int(self.library.pop_batch(self._by_reference, ctypes.c_uint64(limit))))

    def push(self, n: int) -> None:
        """Push the last `n`, without a clock."""
        assert self.library.push_batch(self._by_reference, ctypes.c_uint64(n)) == 0

    def result(self, n: int) -> Batch:
        """The last batch, of `n` lists: copies."""
        return batch_of(self.arrays, n)
