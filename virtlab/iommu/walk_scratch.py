"""What a batch of walks needs of memory: its words of eight bytes, and arrays to work in.

    bytes of memory   [ word 0 ][ word 1 ] ...      an entry of a table is one word

The idea: tables are aligned, so memory is looked at as words, and an entry is one index. That holds
where a region begins at a word of the array. Where it does not, entries are put together of bytes.

The rule that keeps it simple: nothing here trusts an address. A table is `None`, an entry is not
`there`, or it is inside of memory as a whole.

Source: `memory.GuestMemory`.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from virtlab.iommu.layouts import LEVEL_BITS, SECOND_LEVEL
from virtlab.memory import PAGE, GuestMemory, Numbers

WORD = SECOND_LEVEL.size
SIZES = 4
"""Sizes of batches whose arrays are kept."""


class Words:
    """The words of `memory`. `all` is one region's part of them; see `table`."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.all: Numbers = np.zeros(0, np.int64)
        self.before = 0  # a table's word, gpa / 8, less its index in `all`
        self._start = self._end = 0
        self._of: object = None
        self._viewed: object = None
        self._view = self.all

    def table(self, gpa: int) -> Numbers | None:
        """The entries of the table at `gpa`, (512,) int64, and its region chosen; None if it is not
        one whole piece of aligned words.
        """
        known = self._of is self.memory.bytes and self._start <= gpa <= self._end - PAGE
        if not known and not self._choose(gpa):
            return None
        first = gpa // WORD - self.before
        return self.all[first : first + (1 << LEVEL_BITS)]

    def _choose(self, gpa: int) -> bool:
        """Let `all` be such that the region of `gpa` is indices of it."""
        memory = self.memory
        regions = memory.regions
        index = bisect_right([region.start for region in regions], gpa) - 1
        if index < 0 or gpa + PAGE > regions[index].start + regions[index].size:
            return False
        region, data = regions[index], memory.bytes
        if region.start % WORD or region.offset % WORD or not self._whole():
            return False
        self._of, self._start, self._end = data, region.start, region.start + region.size
        self.before = (region.start - region.offset) // WORD
        self.all = self._view
        return True

    def has_tables(self, bits: int, entries: Numbers) -> bool:
        """Whether the tables that `entries` name are in the region of the last `table`.

        `bits` are all address bits that any of them has. No entry has a bit above its address.
        """
        if self._start == 0 and bits + PAGE <= self._end:
            return True
        flat = entries.reshape(-1)
        low, high = int(flat.item(flat.argmin())), int(flat.item(flat.argmax()))
        return self._start <= low & -PAGE and (high & -PAGE) + PAGE <= self._end

    def load(self, gpas: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """The word at each of `gpas`, (n,) int64, 0 where it is not there; and where it is."""
        offsets = self.memory.offset_many(gpas, np.full(len(gpas), WORD))
        there = offsets >= 0
        if not np.count_nonzero(offsets[there] & WORD - 1) and self._whole():
            words = self._view.take(offsets >> 3, mode="clip")
        elif there.any():
            places = np.where(there, offsets, 0)[:, None] + np.arange(WORD)
            words = self.memory.bytes[places].view(np.int64).reshape(-1)
        else:
            words = offsets
        return np.where(there, words, 0), there

    def _whole(self) -> bool:
        """Whether memory is an array of aligned words; then `_view` is that array."""
        data = self.memory.bytes
        if self._viewed is not data:
            self._viewed = data
            self._view = data[: len(data) // WORD * WORD].view(np.int64)
        return self._view.flags.aligned and len(self._view) > 0


class Scratch:
    """Arrays to work in, by size of batch. The oldest size goes first."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[Numbers, Numbers, Numbers]] = {}

    def of(self, n: int, levels: int) -> tuple[Numbers, Numbers, Numbers]:
        """Arrays of int64: (levels, n), (n,) and (n,). They hold until the next call."""
        kept = self._kept.get((n, levels))
        if kept is None:
            if len(self._kept) >= SIZES:
                del self._kept[next(iter(self._kept))]
            kept = np.empty((levels, n), np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
            self._kept[n, levels] = kept
        return kept
