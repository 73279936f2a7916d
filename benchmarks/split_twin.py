"""The C twin of the split queue, `split_twin.c`, as an object: the arrays that it fills.

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
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

SOURCE = "split_twin.c"


class Queue(ctypes.Structure):
    """`Queue` of the C file, field by field."""

    _fields_ = [
        ("memory", POINTER),
        ("regions", POINTER),
        ("region_count", NUMBER),
        ("parts", NUMBER * 6),
        ("desc", NUMBER),
        ("avail", NUMBER),
        ("used", NUMBER),
        ("size", NUMBER),
        ("features", NUMBER),
        ("last_avail", NUMBER),
        ("used_count", NUMBER),
        *((name, POINTER) for name in ARRAYS),
        ("room", NUMBER),
        ("order", POINTER),
        ("writable", POINTER),
        ("written", POINTER),
    ]


class SplitTwin:
    """The twin for the queue at `rings` in `memory`, with arrays for `pieces` pieces."""

    def __init__(
        self,
        memory: GuestMemory,
        rings: SplitRings,
        features: Features,
        flags: tuple[str, ...] = compiler.FLAGS,
        pieces: int = 0,
    ) -> None:
        pieces = pieces or rings.size
        self.library = compiler.library(SOURCE, flags)
        self.library.split_batch.restype = ctypes.c_int64
        self.library.pop_batch.restype = ctypes.c_int64
        self.library.push_batch.restype = ctypes.c_int64
        self.memory = memory
        self.regions = np.array(memory.regions, np.uint64)
        self.arrays = arrays(rings.size, pieces)
        self.order = np.zeros(rings.size, np.uint16)
        self.writable = np.zeros(rings.size, np.int64)
        self.queue = self._queue(rings, features, pieces)
        self._by_reference = ctypes.byref(self.queue)

    def _queue(self, rings: SplitRings, features: Features, pieces: int) -> Queue:
        queue = Queue()
        queue.memory, queue.regions = self.memory.bytes.ctypes.data, self.regions.ctypes.data
        queue.region_count = len(self.regions)
        queue.parts[:] = [number for part in rings.parts for number in part]
        queue.desc, queue.avail, queue.used = (
            self.memory.offset(start, length) for start, length in rings.parts
        )
        queue.size, queue.room = rings.size, pieces
        queue.features = feature_bits(features)
        for name, array in self.arrays.items():
            setattr(queue, name, array.ctypes.data)
        queue.order, queue.writable = self.order.ctypes.data, self.writable.ctypes.data
        return queue

    def at(self, last_avail: int, used: int) -> None:
        """Go on from these counts."""
        self.queue.last_avail, self.queue.used_count = last_avail, used

    def follow(self, queue: SplitQueue) -> None:
        """Go on where `queue` is, with nothing in flight."""
        self.at(queue.last_avail, queue.used)

    def lead(self, queue: SplitQueue) -> None:
        """Let `queue` go on where the twin is, with nothing in flight."""
        queue.last_avail, queue.used = int(self.queue.last_avail), int(self.queue.used_count)

    def batch(self, n: int) -> int:
        """Pop a batch of `n` and push it: its nanoseconds. `AssertionError` if it is not `n`."""
        spent = int(self.library.split_batch(self._by_reference, ctypes.c_uint64(n)))
        assert spent >= 0, f"the twin did not find {n} chains"
        return spent

    def pop(self, limit: int) -> Batch:
        """Pop up to `limit` chains, without a clock; copies of the arrays."""
        n = int(self.library.pop_batch(self._by_reference, ctypes.c_uint64(limit)))
        assert n >= 0, "the available index jumped"
        return self.result(n)

    def push(self, n: int) -> None:
        """Push the last `n`, without a clock."""
        assert self.library.push_batch(self._by_reference, ctypes.c_uint64(n)) == 0

    def result(self, n: int) -> Batch:
        """The last batch, of `n` chains: copies."""
        return batch_of(self.arrays, n)
