"""Batches of chains as streams of bytes: what they hold, gathered; what is for them, scattered.

    chains    [ ab ][ c | def ]           gathered    abcdef
    pieces      0     1    2              scattered   the same way back

The idea: to a console and to an entropy device the chains of a batch are one stream, cut somewhere.
So a batch moves as one string: a slice where the pieces lie side by side, one element a piece where
they have one length, and slice by slice where they are long or odd.

The rule that keeps it simple: the numbers were checked when the batch was taken. What is bounded
here is how much moves at once, `SLAB`, and how much of one chain counts, which the device says.

Source: virtio 1.3 2.6, 2.7.4.1 (no assumption about framing); PERFORMANCE: payload as void records.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from virtlab.errors import GuestError
from virtlab.memory import Bytes
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.batch_checks import first
from virtlab.virtio.device import Queue

SLAB = 1 << 20
"""Bytes that are gathered or scattered at once, unless a single chain has more."""

SMALL = 128
"""Bytes up to which a piece is gathered as one element. Longer ones are quicker as slices."""


def batches(queue: Queue) -> Iterator[Batch]:
    """Take what waits in `queue`, batch by batch: the plural of `waiting`.

    At most as many chains as it has entries. A batch holds until the next one is asked for.
    """
    left = queue.size
    while left:
        batch = queue.pop_many(left)
        if not len(batch):
            return
        left -= len(batch)
        yield batch


def split_off(batch: Batch, wrong: Ints) -> tuple[Batch, bool]:
    """The chains before the first with a number in (n,) `wrong`, and whether there is such one."""
    good = first(wrong > 0)
    return (batch, False) if good == len(batch) else (batch.first(good), True)


def check_all(refused: bool, why: str, spec: str) -> None:
    """`GuestError` if a chain was split off: what came before it has been answered."""
    if refused:
        raise GuestError(why, spec)


# -- how much of it


def shortened(batch: Batch, most: int) -> Ints:
    """(m,) the bytes of each piece that count, if the first `most` of each chain do."""
    length = batch.length
    if len(length) == len(batch):
        few: Ints = np.minimum(length, most)
        return few
    ends = np.cumsum(length)
    before = (ends - length)[batch.starts[:-1]]
    inside = ends - length - np.repeat(before, np.diff(batch.starts))
    some: Ints = np.minimum(length, np.maximum(most - inside, 0))
    return some


def slabs(length: Ints) -> Iterator[tuple[int, int]]:
    """(m,) pieces as stretches `(begin, end)` of at most `SLAB` bytes, or of one piece.

    >>> list(slabs(np.array([SLAB // 2, SLAB // 2, 7, 2 * SLAB, 1])))
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    ends, begin = np.cumsum(length), 0
    while begin < len(length):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + SLAB, "right")))
        yield begin, end
        begin = end


# -- moving


def gather(memory: Bytes, offset: Ints, length: Ints) -> bytes:
    """The bytes of (m,) pieces, one behind the other."""
    if _side_by_side(offset, length):
        return memory[offset[0] : offset[-1] + length[-1]].tobytes()
    size = _one_size(length)
    if 0 < size <= SMALL:
        return _records(memory, size)[offset].tobytes()
    view = memory.data
    pieces = zip(offset.tolist(), length.tolist(), strict=True)
    return b"".join([view[at : at + size] for at, size in pieces])


def scatter(memory: Bytes, offset: Ints, length: Ints, data: bytes) -> None:
    """Put `data`, as long as all of (m,) `length`, into the pieces, one behind the other."""
    source = np.frombuffer(data, np.uint8)
    size = _one_size(length)
    if _side_by_side(offset, length):
        memory[offset[0] : offset[0] + len(source)] = source
    elif size:
        _records(memory, size)[offset] = source.view(f"V{size}")
    else:
        view, done = memory.data, 0
        for at, size in zip(offset.tolist(), length.tolist(), strict=True):
            view[at : at + size] = data[done : done + size]
            done += size


def _side_by_side(offset: Ints, length: Ints) -> bool:
    """Whether each piece begins where the last one ends."""
    return len(offset) > 0 and bool((offset[:-1] + length[:-1] == offset[1:]).all())


def _one_size(length: Ints) -> int:
    """The bytes of each piece if all have as many, and some; else 0."""
    return int(length[0]) if len(length) and bool((length == length[0]).all()) else 0


def _records(memory: Bytes, size: int) -> npt.NDArray[np.void]:
    """`memory` as records of `size` bytes, one for each place where one can begin."""
    count = len(memory) - size + 1
    return np.ndarray((count,), f"V{size}", memory.data, strides=(1,))
