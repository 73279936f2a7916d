"""Rules over many buffers at once, for both layouts: each is a mask, and its first mark counts.

    write     [ F   T   F | T   T ]      starts [ 0, 3, 5 ]
    misplaced [ F   F   T | F   F ]      first: 2, chain_of: 0, so no chain is right before it

The idea: where one list of buffers is checked in a loop, many are checked by one mask a rule. A
batch ends before the chain that has the first mark in any of them.

The rule that keeps it simple: nothing is refused here, and nothing is said about why. The scalar
`pop` looks again at what is not surely right, and has the words.

A descriptor moves as one element of 16 bytes, a `RECORD`: one gather moves it whole.
Source: virtio 1.3 2.7.4.2, 2.8.17 (order), 2.7, 2.8 (the queue's own parts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from virtlab.memory import Bytes
from virtlab.virtio.batch import Bools, Ints
from virtlab.virtio.chain import Span

Records = npt.NDArray[np.complex128]

RECORD = np.dtype(np.complex128)
"""A descriptor of either layout as NumPy moves it fastest. Nobody reads it as a number."""


def fields(records: Records) -> tuple[Ints, Ints]:
    """The two words of each record, (n,) int64, views: the address, and all behind it."""
    words = records.view(np.int64)
    return words[0::2], words[1::2]


def gather(memory: Bytes, offsets: Ints) -> Records:
    """A copy of the record at each of `offsets`, all of which are inside of `memory`."""
    size = RECORD.itemsize
    if not np.count_nonzero(offsets & (size - 1)):
        whole: Records = memory[: len(memory) // size * size].view(RECORD)
        return whole.take(offsets >> 4, mode="clip")
    # A table may lie anywhere: here a record begins at each byte.
    anywhere = np.ndarray((len(memory) - size + 1,), "V16", memory, strides=(1,))
    return anywhere[offsets].view(RECORD)


def evenly(memory: Bytes, offsets: Ints, kind: np.dtype[Any]) -> npt.NDArray[Any] | None:
    """The records of this `kind` at `offsets`, (n,), if they lie in even steps: a view of `memory`.

    None if they do not, or if two have a byte in common. All of them are inside.
    """
    n, begin = len(offsets), int(offsets[0])
    step = int(offsets[1]) - begin if n > 1 else kind.itemsize
    if step < kind.itemsize or np.count_nonzero(offsets[1:] - offsets[:-1] != step):
        return None
    return np.ndarray((n,), kind, memory, begin, (step,))


def first(mask: Bools) -> int:
    """The index of the first mark; where there is none, as many as there are.

    >>> first(np.array([False, True, True])), first(np.array([False, False]))
    (1, 2)
    """
    if not len(mask):
        return 0
    index = int(mask.argmax())
    return index if mask[index] else len(mask)


def chain_of(piece: int, starts: Ints) -> int:
    """The chain that has this piece; behind the last piece, as many as there are."""
    return int(np.searchsorted(starts[1:], piece, "right"))


def misplaced(write: Bools, starts: Ints) -> Bools:
    """(m,) what is readable behind something writable in its chain."""
    wrong = np.zeros(len(write), np.bool_)
    np.logical_and(write[:-1], ~write[1:], out=wrong[1:])
    wrong[starts[:-1]] = False
    return wrong


def over(parts: Sequence[Span], addr: Ints, length: Ints) -> Bools:
    """(m,) what has a byte in common with one of `parts`. It counts only for what is memory."""
    found = np.zeros(len(addr), np.bool_)
    for start, size in parts:
        found |= (addr < start + size) & (addr + length > start)
    return found
