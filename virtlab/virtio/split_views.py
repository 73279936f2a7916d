"""A split queue where it lies: its parts as views of the one array that is the memory.

    entries   (size,) uint16   the available ring's       avail, used   words of 2 bytes, to load
    table     (size,) records  the descriptors            elements      the used ring's bytes

The idea: where a part of the queue begins in `Dma.bytes` is asked once. From then on a load is an
index into a `memoryview`, which takes 40 ns, and a batch of entries is a slice.

The rule that keeps it simple: views hold as long as `Dma.generation` stays the same. Then they are
made anew, and with them all that was learned through them.

Source: virtio 1.3 2.7.5, 2.7.6, 2.7.8.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch_checks import RECORD
from virtlab.virtio.layouts import (
    DESC,
    SPLIT_WRITES,
    USED_ELEM,
    SplitRings,
    avail_ring,
    offset_of,
    used_ring,
)
from virtlab.wire import u16

IDX = 1
"""The word of either ring that is `idx`."""


class SplitViews:
    """Views of the queue at `rings`, whose three parts begin at these offsets: see `find`."""

    def __init__(self, dma: Flat, rings: SplitRings, desc: int, avail: int, used: int) -> None:
        size, memory = rings.size, dma.bytes.data
        self.desc = desc
        self.avail = memory[avail : avail + avail_ring(size).itemsize].cast("H")
        self.used = memory[used : used + used_ring(size).itemsize].cast("H")
        self.avail_event = offset_of(used_ring(size), "avail_event") // u16.itemsize
        entries = avail + offset_of(avail_ring(size), "ring")
        self.entry_bytes = memory[entries : entries + size * u16.itemsize]
        self.entries = np.frombuffer(self.entry_bytes, np.uint16)
        self.table_bytes = memory[desc : desc + size * DESC.itemsize]
        self.table = np.frombuffer(self.table_bytes, RECORD)
        elements = used + offset_of(used_ring(size), "ring")
        self.elements = memory[elements : elements + size * USED_ELEM.itemsize]
        self.hull = _hull(rings)
        # Heads that follow each other, twice round: where a run of heads begins, it is a slice.
        self.ramp = np.arange(2 * size + 1, dtype=np.int64) % size
        self.ramp.flags.writeable = False
        self.ramp_bytes = self.ramp.astype(np.uint16).tobytes()
        self.numbers = np.arange(size + 1, dtype=np.int64)
        self.numbers.flags.writeable = False
        self.ones = np.ones(size, np.int64)
        self.ones.flags.writeable = False

    @classmethod
    def find(cls, dma: Flat, rings: SplitRings) -> Self | None:
        """Where the queue is; None if a part of it is not memory in one piece.

        It is asked by `offset_many`, which says no without a fault that a guest could see.
        """
        if max(start for start, _ in rings.parts) >= 1 << 63:
            return None
        starts, lengths = np.array(rings.parts, np.int64).T
        offsets = dma.offset_many(starts, lengths, np.array(SPLIT_WRITES))
        return None if np.any(offsets < 0) else cls(dma, rings, *offsets.tolist())


def _hull(rings: SplitRings) -> tuple[int, int]:
    """The span from the first part of the queue to the end of the last."""
    low = min(start for start, _ in rings.parts)
    return low, max(start + length for start, length in rings.parts) - low
