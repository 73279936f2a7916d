"""A packed ring where it lies: its descriptors as views of the one array that is the memory.

    slot      0    1    2    3   ...   size - 1
    bytes     [addr len id flags][addr len id flags] ...       to compare
    addrs, words, flags                                        every second, or eighth, number

The idea: where the ring begins in `Dma.bytes` is asked once. From then on a run of descriptors is a
slice of each of these views.

The rule that keeps it simple: a run may go round the end of the ring, and then it is two slices,
its `spans`. Behind the end the wrap counter is the other one, so AVAIL and USED are turned round.

Source: virtio 1.3 2.8.1, 2.8.6, 2.8.13.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from virtlab.memory import Bytes, Flat, GuestMemory
from virtlab.virtio.batch_checks import RECORD, Records, first
from virtlab.virtio.packed_layouts import AVAIL, PACKED_DESC, USED, PackedRings

Words = npt.NDArray[np.uint64]

SIZE = PACKED_DESC.itemsize
ID, FLAGS = 32, 48
"""A descriptor is two words: its address, and `len` with `id` and `flags` above it, from these
bits on. The second is what a device writes too, and one store moves all three."""

LAP = np.uint64((AVAIL | USED) << FLAGS)
"""The bits that another lap changes."""


class Ring:
    """The `size` descriptors of a queue where they lie: views of `dma.bytes`, in several widths."""

    def __init__(self, raw: Bytes) -> None:
        self.size = len(raw) // SIZE
        self.bytes = raw.data
        self.halves = raw.data.cast("H")  # a Python int from or to here takes 40 ns, by NumPy 150
        self.lens = raw.data.cast("I")
        self.records: Records = raw.view(RECORD)
        words = raw.view(np.uint64)
        self.addrs, self.words = words[0::2], words[1::2]
        self.flags = raw.view(np.uint16)[7::8]

    @classmethod
    def find(cls, dma: Flat, rings: PackedRings) -> Self | None:
        """Where the ring is; None if it is not memory in one piece.

        It is asked by `offset_many`, which says no without a fault that a guest could see.
        """
        length = rings.size * SIZE
        if rings.desc >= 1 << 63:
            return None
        start = int(dma.offset_many(np.array([rings.desc]), np.array([length]))[0])
        return None if start < 0 else cls(dma.bytes[start : start + length])

    def spans(self, slot: int, count: int) -> list[tuple[int, slice]]:
        """Where `count` descriptors from `slot` on lie: slices, and how many come before each."""
        split = self.size - slot
        if count <= split:
            return [(0, slice(slot, slot + count))]
        return [(0, slice(slot, self.size)), (split, slice(0, count - split))]

    def copy(self, slot: int, count: int) -> Records:
        """A private copy of them. Behind the ring's end AVAIL and USED are turned round."""
        spans = self.spans(slot, count)
        if len(spans) == 1:
            return self.records[spans[0][1]].copy()
        both = np.concatenate([self.records[span] for _, span in spans])
        both.view(np.uint64)[1 + 2 * spans[1][0] :: 2] ^= LAP
        return both

    def available(self, slot: int, bits: int, room: int, step: int) -> int:
        """How many neighbours from `slot` on have these `bits` AVAIL and USED: `room` at most.

        It looks at `step` of them first, and at twice as many as long as all of them have.
        """
        before = self.size - slot
        done = self._available(slot, bits, min(room, before), step)
        if done == before < room:
            done += self._available(0, bits ^ (AVAIL | USED), room - before, max(step, done))
        return done

    def _available(self, slot: int, bits: int, room: int, step: int) -> int:
        """The same, before the end of the ring."""
        done = 0
        while done < room:
            step = min(room - done, max(step, done))
            flags = self.flags[slot + done : slot + done + step]
            found = first(flags & np.uint16(AVAIL | USED) != bits)
            done += found
            if found < step:
                break
        return done


class Window(NamedTuple):
    """Addresses in one region of memory where no part of the queue lies: `size` from `start` on.

    A buffer inside breaks no rule about addresses, and one unsigned compare says that it is there.
    """

    start: int
    size: int
    offset: int  # where in `dma.bytes` it begins


NOWHERE = Window(0, 0, 0)


def windows(dma: Flat, rings: PackedRings) -> list[Window]:
    """All of them. Only `GuestMemory` says where its regions are; else there are none."""
    low = min(start for start, _ in rings.parts)
    high = max(start + size for start, size in rings.parts)
    found = []
    for region in dma.regions if isinstance(dma, GuestMemory) else []:
        end = region.start + region.size
        spans = [(region.start, min(low, end)), (max(high, region.start), end)]
        found += [
            Window(start, stop - start, region.offset + start - region.start)
            for start, stop in spans
            if start < stop
        ]
    return found


def around(addr: int, found: list[Window]) -> Window:
    """The window that has this address, or `NOWHERE`."""
    return next((one for one in found if one.start <= addr < one.start + one.size), NOWHERE)
