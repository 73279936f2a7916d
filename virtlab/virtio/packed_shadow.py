"""What a packed ring said a lap ago: runs of descriptors that were checked, with what came of them.

    slot      16 ......... 271                      one batch, in the ring's memory
    want      the same 4096 bytes, as they must be in the next lap, for both wrap counters
    batch     heads, slots, starts, offset, length, write

The idea: drivers use the same buffers again. If the bytes are those that were checked in the lap
before, the lists are the same lists, and are right for the same reasons. A lap changes AVAIL and
USED, so each run is kept for both wrap counters. Then one compare of bytes says at once that all of
it is available, and that nothing has to be looked at again.

The rule that keeps it simple: what is used is always the private copy, never what was compared. A
run stands for itself, whatever the ring became since, and is forgotten when memory is mapped
otherwise: `Dma`'s generation.

Only lists without an indirect table are kept: a table may change while its descriptor does not.
Source: virtio 1.3 2.8.1, 2.8.6; what it gains is in `benchmarks/packed_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.memory import Flat, GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.batch_checks import RECORD, Records, first
from virtlab.virtio.packed_layouts import (
    AVAIL,
    PACKED_DESC,
    USED,
    PackedRings,
    avail_bits,
    used_bits,
)

Words = npt.NDArray[np.uint64]

SIZE = PACKED_DESC.itemsize
ID, FLAGS = 32, 48
"""A descriptor is two words: its address, and `len` with `id` and `flags` above it, from these
bits on. The second is what a device writes too, and one store moves all three."""

LAP = np.uint64((AVAIL | USED) << FLAGS)
"""The bits that another lap changes."""

RELEARN = 16
"""One in so many laps with new addresses, and the first of them, is learned by heart: a driver that
has other ones each time need not pay for it."""


class Ring:
    """The descriptors of a queue where they lie: views of `dma.bytes`, in several widths."""

    def __init__(self, dma: Flat, rings: PackedRings) -> None:
        start = dma.offset(rings.desc, rings.size * SIZE)
        raw = dma.bytes[start : start + rings.size * SIZE]
        self.bytes = raw.data
        self.halves = raw.data.cast("H")  # a Python int from or to here takes 40 ns, by NumPy 150
        self.lens = raw.data.cast("I")
        self.records: Records = raw.view(RECORD)
        words = raw.view(np.uint64)
        self.addrs, self.words = words[0::2], words[1::2]
        self.flags = raw.view(np.uint16)[7::8]

    def available(self, slot: int, bits: int, room: int, step: int) -> int:
        """How many neighbours from `slot` on have these `bits` AVAIL and USED: `room` at most.

        It looks at `step` of them first, and at twice as many as long as all of them have.
        """
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


def window(dma: Flat, rings: PackedRings) -> Window:
    """The largest one. Only `GuestMemory` says where its regions are; else there is none."""
    low = min(start for start, _ in rings.parts)
    high = max(start + size for start, size in rings.parts)
    found = [NOWHERE]
    for region in dma.regions if isinstance(dma, GuestMemory) else []:
        end = region.start + region.size
        spans = [(region.start, min(low, end)), (max(high, region.start), end)]
        found += [
            Window(start, stop - start, region.offset + start - region.start)
            for start, stop in spans
            if start < stop
        ]
    return max(found, key=lambda one: one.size)


class Run:
    """Whole lists of direct descriptors, from `slot` on, that were checked: `batch`.

    `records` is the private copy of the descriptors that `batch` was made of.
    """

    def __init__(
        self, ring: Ring, slot: int, records: Records, batch: Batch, window: Window
    ) -> None:
        self.slots, self.lists = len(records), len(batch)
        self.batch = batch
        self.writes = bool(np.count_nonzero(batch.write))
        self.first, self.last = int(batch.heads[0]), int(batch.heads[-1])
        # Where it lies.
        self.ring, stop = ring, slot + self.slots
        self._bytes = ring.bytes[slot * SIZE : stop * SIZE]
        self._addrs, self._words = ring.addrs[slot:stop], ring.words[slot:stop]
        # What is expected there, for wrap counter 0 and for 1.
        words = records.view(np.uint64)[1::2] & ~LAP
        self._both = [words | np.uint64(avail_bits(wrap) << FLAGS) for wrap in (0, 1)]
        self._want_words = [words.tobytes() for words in self._both]
        self._want: list[bytes] = []  # with the addresses: see `_learn`
        # What giving it back writes, if nothing was written: the words of all lists but the first.
        ids = batch.heads[1:].view(np.uint64) << np.uint64(ID)
        self.used = [ids | np.uint64(used_bits(wrap) << FLAGS) for wrap in (0, 1)]
        single = self.lists == self.slots
        self.rest = self._words[1:] if single else self._words
        self.places = slice(None) if single else batch.starts[1:-1]
        self._window, self._fresh = window, 0

    def _prepare(self) -> None:
        """For other addresses with the same `len`, `id` and `flags`: arrays, made once."""
        batch, window = self.batch, self._window
        # Where in the window each may begin, at most; if they are short enough to be in it at all.
        last = window.size - batch.length
        self._short = int(last[last.argmin()]) >= 0
        self._last = last.view(np.uint64)
        # 0-d arrays: a ufunc takes them as they are, where a Python int costs it a microsecond.
        self._start, self._base = np.array(window.start, np.uint64), np.array(window.offset)
        self._inside, self._far = np.empty(self.slots, np.uint64), np.empty(self.slots, np.bool_)
        self._signed = self._inside.view(np.int64)
        self._moved = frozen(replace(batch, offset=self._signed[:]))

    def again(self, wrap: int) -> Batch | None:
        """The batch, if this lap's bytes are the same.

        One compare reads flags and addresses in no certain order. So this is for where the driver
        cannot run meanwhile; elsewhere there is `moved`.
        """
        same = self._want and self._want[wrap].startswith(self._bytes)
        return self.batch if same else None

    def moved(self, wrap: int, then: Callable[[], None]) -> Batch | None:
        """The batch with new addresses, if all else is the same and they are in the window.

        First the words with the flags, each in one piece; `then`; and the addresses behind that.
        """
        if self._words.tobytes() != self._want_words[wrap]:
            return None
        if not self._fresh:
            self._prepare()
        self._fresh += 1
        if not self._short:
            return None
        then()
        # Unsigned: what lies below the window is as far away as what lies above.
        np.subtract(self._addrs, self._start, out=self._inside)
        np.greater(self._inside, self._last, out=self._far)
        if np.count_nonzero(self._far):
            return None
        if self._fresh % RELEARN == 1:
            self._learn()
        np.add(self._signed, self._base, out=self._signed)
        return self._moved

    def _learn(self) -> None:
        """These addresses may come again: `again` looks for them from now on."""
        addrs = self._inside + self._start
        self._want = [_interleaved(addrs, words) for words in self._both]
        self.batch = frozen(replace(self.batch, offset=self._signed + self._base))


class Runs(dict[int, Run]):
    """Runs by the slot where they begin, of `most` slots together."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.slots = most, 0

    def keep(self, slot: int, run: Run) -> None:
        """Remember a run, and forget all others if they would have become too long."""
        old = self.pop(slot, None)
        self.slots += run.slots - (old.slots if old else 0)
        if self.slots > self.most:
            self.clear()
            self.slots = run.slots
        self[slot] = run


def _interleaved(addrs: Words, words: Words) -> bytes:
    pairs = np.empty((len(words), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = addrs, words
    return pairs.tobytes()


def frozen(batch: Batch) -> Batch:
    """The same, which nobody can write any more: it is given out again, lap after lap."""
    for array in (batch.heads, batch.slots, batch.starts, batch.offset, batch.length):
        array.flags.writeable = False
    batch.write.flags.writeable = False
    return batch
