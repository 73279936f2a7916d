"""The flat IOTLB of one requester: a table by page number of what to add to an address.

    iova      [ page 5 | 0x123 ]  shift --> 5 --> deltas[5]          take
    offset  =   iova + deltas[5]                                     add

The idea: a page is moved as a whole, so one number says where all its bytes are. A batch of
addresses is then a shift, a gather and an addition, whatever the tables of the domain look like.

The rules that keep it simple:

1. The first and the last entry of the table are never known. An index is clipped, so an address
   outside of the window ends at one of them, and needs no test of its own. The price: the first
   page of a window, which few drivers use, is a miss each time.
2. It is a cache as `caches` are: what is in it is believed until it is cleared.
3. Its size is the library's choice. A window has at most `WINDOW` pages, of 4 KiB each, whatever
   size the tables give a page.

Source: VT-d 3.0, 6.2. `remapped_many` fills it.
"""

from __future__ import annotations

import numpy as np

from virtlab.iommu.layouts import PAGE_BITS
from virtlab.memory import Numbers

WINDOW = 1 << 20
"""Pages of the largest window: 4 GiB of addresses, and 8 MiB of table."""

SMALLEST = 1 << 10
"""Pages of the smallest."""

UNKNOWN = -(1 << 62)
"""The delta of a page that is not known: lower than that of any page."""

_PAGES = np.array(PAGE_BITS)
_shift = np.right_shift


class FlatIotlb:
    """Deltas of the pages behind number `first`. `window` is the largest window, in pages.

    `misses` counts batches. `ValueError` unless the window is a power of two, and not 1.
    """

    def __init__(self, window: int = WINDOW) -> None:
        if window < 2 or window & window - 1:
            raise ValueError(f"a window is a power of two of pages, not {window}")
        self.window = window
        self.first = self.misses = 0
        self._learned: list[Numbers] = []
        self._use(np.full(1, UNKNOWN))
        self._fit(0)

    def look_up(self, iovas: Numbers) -> Numbers | None:
        """Where all of `iovas`, (n,) int64 and not empty, lead; None if one page is not known."""
        if len(iovas) != self._n:
            self._fit(len(iovas))
        index, found = self._index, self._found
        _shift(iovas, _PAGES, index)
        if self.first:
            np.bitwise_xor(index, self.first, index)
        self._take(index, 0, found, "clip")
        if found.item(found.argmin()) == UNKNOWN:
            self.misses += 1
            return None
        moved: Numbers = found + iovas
        return moved

    def deltas(self, pages: Numbers) -> Numbers:
        """The delta of each page number, (n,) int64 of 0 or more; `UNKNOWN` where it is not known.

        The window begins at a multiple of its size, so outside of it the index is too large.
        """
        return self._deltas.take(pages ^ self.first, mode="clip")

    def learn(self, pages: Numbers, deltas: Numbers) -> None:
        """Keep the deltas of page numbers, none of them negative; none if they are too far apart.

        The window grows as far as it may. Then it moves, and what was known is forgotten.
        """
        if len(pages) and self._reach(int(pages.min()), int(pages.max())):
            index = pages ^ self.first
            self._deltas[index] = deltas
            self._deltas[0] = UNKNOWN
            self._learned.append(index)

    def clear(self) -> None:
        """Forget everything."""
        for index in self._learned:
            self._deltas[index] = UNKNOWN
        self._learned.clear()

    def _reach(self, low: int, high: int) -> bool:
        """Let the window have these pages. False if they do not fit in one."""
        if high // self.window != low // self.window:
            return False
        first = low // self.window * self.window
        size = min(1 << max(high - first, SMALLEST - 1).bit_length(), self.window)
        if first != self.first or size >= len(self._deltas):
            old = self._deltas
            self._use(np.full(size + 1, UNKNOWN))
            if first == self.first:
                self._deltas[: len(old)] = old
            else:
                self.first = first
                self._learned.clear()
        return True

    def _use(self, deltas: Numbers) -> None:
        """Another table."""
        self._deltas, self._take = deltas, deltas.take

    def _fit(self, n: int) -> None:
        """Arrays to work in, for batches of `n`."""
        self._n = n
        self._index, self._found = np.empty(n, np.int64), np.empty(n, np.int64)
