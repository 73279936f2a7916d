"""Addresses that are one piece of memory: for many buffers at once, one sum instead of a search.

    iova     [ 0x5000 ......... 0x9000 )      window   low, high: offsets
    offset   [ 0x1000 ......... 0x5000 )      shift    -0x4000, for each address in it

The idea: what holds for the hull of many buffers, from the lowest address to the highest end, holds
for each. If the hull is memory in one piece, all of them are, and one shift takes each to its
offset.

The rule that keeps it simple: addresses are unsigned. What lies below a window is far above it.
Source: virtio 1.3 2.7.5 (`addr` is a guest-physical address, or an iova).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Ints
from virtlab.virtio.chain import Span


class Window(NamedTuple):
    """Offsets from `low` to `high` that are one piece of memory, `shift` behind their iovas."""

    low: int
    high: int
    shift: int

    @property
    def span(self) -> Span:
        """The same, as iovas."""
        return self.low - self.shift, self.high - self.low


def hull(addr: Ints, longest: int) -> Span:
    """From the lowest of many addresses to the highest, and `longest` bytes behind it."""
    unsigned = addr.view(np.uint64)
    low, high = int(unsigned[unsigned.argmin()]), int(unsigned[unsigned.argmax()])
    return low, high - low + longest


def one_shift(dma: Flat, span: Span) -> int | None:
    """What to add to an iova in `span` for its offset; None if the span is not in one piece."""
    start, size = span
    if start + size > 1 << 63:
        return None
    # Not `offset`: that there is no such piece is no fault, and none shall be recorded.
    offset = int(dma.offset_many(np.array([start]), np.array([size]))[0])
    return None if offset < 0 else offset - start


def union(one: Span, other: Span) -> Span:
    """The span of both and all between; an empty one counts for nothing."""
    if not other[1]:
        return one
    low = min(one[0], other[0])
    return low, max(sum(one), sum(other)) - low
