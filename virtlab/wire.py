"""Bits, bytes and byte order: how a specification's layout becomes numbers.

The idea: a layout is declared once, and everyone reads that declaration. A field of a
register is `Bits(hi, lo)`, numbered as the data sheets number them, bit 0 the lowest. A
structure in memory is a NumPy dtype built of the little-endian types below.

The rule that keeps it simple: nothing here knows a device. `Bits` works on a Python int
and on an integer array alike.

    >>> DIVISOR = Bits(11, 4)
    >>> hex(DIVISOR.get(0xABC0)), hex(DIVISOR.put(0xF00F, 0xAB))
    ('0xbc', '0xfabf')
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

u8 = np.dtype("u1")
u16 = np.dtype("<u2")
u32 = np.dtype("<u4")
u64 = np.dtype("<u8")


def all_ones(size: int) -> int:
    """The largest value of `size` bytes: what a read gives where nothing answers.

    >>> hex(all_ones(2))
    '0xffff'
    """
    return (1 << 8 * size) - 1


class _Span(NamedTuple):
    hi: int
    lo: int


class Bits(_Span):
    """The field from bit `hi` down to bit `lo`, both included; `Bits(5)` is bit 5 alone.

    `get` and `put` work on ints and on integer arrays. `put` keeps the other bits and
    drops whatever of the value does not fit.
    """

    __slots__ = ()

    def __new__(cls, hi: int, lo: int | None = None) -> Self:
        """Check that the field is written high bit first, as the data sheets do."""
        low = hi if lo is None else lo
        if not 0 <= low <= hi:
            raise ValueError(f"Bits({hi}, {low}): give the high bit first, both 0 or more")
        return super().__new__(cls, hi, low)

    @property
    def width(self) -> int:
        """Number of bits in the field."""
        return self.hi - self.lo + 1

    @property
    def mask(self) -> int:
        """The field's bits set, in place: `Bits(5).mask` is 0x20."""
        hi, lo = self
        return (1 << hi + 1) - (1 << lo)

    def get(self, word: int) -> int:
        """The field's value, moved down to bit 0."""
        hi, lo = self  # not by the properties: this runs millions of times
        return (word & (1 << hi + 1) - (1 << lo)) >> lo

    def put(self, word: int, value: int) -> int:
        """`word` with the field replaced by `value`."""
        hi, lo = self
        mask = (1 << hi + 1) - (1 << lo)
        return (word & ~mask) | ((value << lo) & mask)

    def __str__(self) -> str:
        return f"{self.hi}" if self.hi == self.lo else f"{self.hi}:{self.lo}"
