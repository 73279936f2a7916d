"""The C twin of the split queue, `split_twin.c`, as an object: the arrays that it fills.

The idea: the twin works on the memory of the very queue that it is compared with. Its counts are
handed in and out, so that either side may do the next batch.
"""

from __future__ import annotations

import ctypes

import numpy as np

from benchmarks import compiler
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import SplitRings

SOURCE = "split_twin.c"
_P, _U = ctypes.c_void_p, ctypes.c_uint64


class Queue(ctypes.Structure):
    """`Queue` of the C file, field by field."""

    _fields_ = [
        ("memory", _P),
        ("regions", _P),
        ("region_count", _U),
        ("parts", _U * 6),
        ("desc", _U),
        ("avail", _U),
        ("used", _U),
        ("size", _U),
        ("features", _U),
        ("last_avail", _U),
        ("used_count", _U),
        *((name, _P) for name in ("heads", "slots", "starts", "offset", "length", "write")),
        ("room", _U),
        ("order", _P),
        ("writable", _P),
        ("written", _P),
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
        self.arrays = {
            "heads": np.zeros(rings.size, np.int64),
            "slots": np.zeros(rings.size, np.int64),
            "starts": np.zeros(rings.size + 1, np.int64),
            "offset": np.zeros(pieces, np.int64),
            "length": np.zeros(pieces, np.int64),
            "write": np.zeros(pieces, np.bool_),
        }
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
        bits = (Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.IN_ORDER)
        queue.features = sum(1 << i for i, bit in enumerate(bits) if bit in features)
        for name, array in self.arrays.items():
            setattr(queue, name, array.ctypes.data)
        queue.order, queue.writable = self.order.ctypes.data, self.writable.ctypes.data
        return queue

    def at(self, last_avail: int, used: int) -> None:
        """Go on from these counts."""
        self.queue.last_avail, self.queue.used_count = last_avail, used

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
        a = self.arrays
        m = int(a["starts"][n])
        return Batch(
            a["heads"][:n].copy(),
            a["slots"][:n].copy(),
            a["starts"][: n + 1].copy(),
            a["offset"][:m].copy(),
            a["length"][:m].copy(),
            a["write"][:m].copy(),
        )
