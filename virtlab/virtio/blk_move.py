r"""Moving many pieces between a disk and a guest's buffers, both arrays of bytes.

    disk      [ .. c .. ][ .. a .. ][ .. b .. ]     at any sectors
                  \          |        /
    memory    [ .. a .. ][ .. b .. ][ .. c .. ]     mostly side by side, else anywhere

The idea: a piece is one element, a void of so many bytes. One `take` moves a whole batch as quickly
as a loop of memcpy, where a loop over slices pays for each piece.

The rule that keeps it simple: the pieces of a move are of one size. Those of several lengths are
cut into their greatest common one, which is a sector at least.

Where neither side is in a row, the bytes go by a buffer in between, so few at once that they stay
in the processor's cache.
"""

from __future__ import annotations

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Ints

ROUND = 4 << 20
"""Bytes that are cut into pieces at once: what a guest asks for in one batch has no other bound."""

SLAB = 1 << 18
"""Bytes that wait in between at once."""

FEWER = 8
"""Runs are moved one by one if there are so many times fewer of them than pieces."""


def move(to: Bytes, to_at: Ints, source: Bytes, source_at: Ints, length: Ints) -> None:
    """Copy (m,) pieces of `length` bytes, each from `source_at` to `to_at`.

    All are inside, and pieces of `to` have no byte in common; the lengths are not 0.
    """
    n = len(length)
    if not n:
        return
    size = int(length[0])
    alike = not np.count_nonzero(length != size)
    if alike and n * size <= ROUND:
        _move_alike(to, to_at, source, source_at, size)
        return
    ends, begin = np.cumsum(length), 0
    while begin < n:
        done = int(ends[begin] - length[begin])
        end = max(begin + 1, int(np.searchsorted(ends, done + ROUND, "right")))
        part = slice(begin, end)
        _move_round(to, to_at[part], source, source_at[part], length[part])
        begin = end


def _move_round(to: Bytes, to_at: Ints, source: Bytes, source_at: Ints, length: Ints) -> None:
    """The same, in pieces of the greatest size that all lengths have in common."""
    size = int(np.gcd.reduce(length))
    counts = length // size
    if len(counts) < counts.sum():
        within = size * (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts))
        to_at = np.repeat(to_at, counts) + within
        source_at = np.repeat(source_at, counts) + within
    _move_alike(to, to_at, source, source_at, size)


def _move_alike(to: Bytes, to_at: Ints, source: Bytes, source_at: Ints, size: int) -> None:
    """Pieces of `size` bytes: straight, where one side is in a row, or nearly so."""
    cuts = _cuts(to_at, size)
    if len(cuts) * FEWER <= len(to_at):
        for begin, end in _runs(cuts, len(to_at)):
            start = int(to_at[begin])
            row = to[start : start + (end - begin) * size]
            _gather(row, source, source_at[begin:end], size)
        return
    cuts = _cuts(source_at, size)
    if len(cuts) * FEWER <= len(source_at):
        for begin, end in _runs(cuts, len(source_at)):
            start = int(source_at[begin])
            row = source[start : start + (end - begin) * size]
            _scatter(to, to_at[begin:end], row, size)
        return
    step = max(1, SLAB // size)
    between = np.empty(min(step, len(to_at)) * size, np.uint8)
    for begin in range(0, len(to_at), step):
        part = slice(begin, begin + step)
        row = between[: len(to_at[part]) * size]
        _gather(row, source, source_at[part], size)
        _scatter(to, to_at[part], row, size)


def _cuts(at: Ints, size: int) -> Ints:
    """Behind which pieces the next does not follow at once."""
    return np.flatnonzero(at[1:] - at[:-1] != size)


def _runs(cuts: Ints, n: int) -> list[tuple[int, int]]:
    ends = [*(cuts + 1).tolist(), n]
    return list(zip([0, *ends], ends, strict=False))


def _gather(row: Bytes, source: Bytes, at: Ints, size: int) -> None:
    """Fill `row` with the pieces at `at`."""
    record = np.dtype((np.void, size))
    index = _whole(at, size)
    if index is not None:
        pieces = source[: len(source) // size * size].view(record)
        pieces.take(index, 0, row.view(record), "clip")
    else:
        row.view(record)[:] = _anywhere(source, record)[at]


def _scatter(to: Bytes, at: Ints, row: Bytes, size: int) -> None:
    """Put the pieces in `row` to `at`."""
    record = np.dtype((np.void, size))
    index = _whole(at, size)
    if index is not None:
        to[: len(to) // size * size].view(record)[index] = row.view(record)
    else:
        _anywhere(to, record)[at] = row.view(record)


def _whole(at: Ints, size: int) -> Ints | None:
    """Which pieces of an array of pieces these are; None if one begins in between."""
    if size & (size - 1):
        return None if np.count_nonzero(at % size) else at // size
    # A shift takes a tenth of a division.
    if int(np.bitwise_or.reduce(at)) & (size - 1):
        return None
    index: Ints = at >> size.bit_length() - 1
    return index


def _anywhere(array: Bytes, record: np.dtype[np.void]) -> np.ndarray:
    """A piece that begins at each byte: views of the same memory."""
    shape = (len(array) - record.itemsize + 1,)
    return np.ndarray(shape, record, array, strides=(1,))
