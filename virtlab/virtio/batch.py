"""A batch of chains: what the plural calls give and take, as a structure of arrays.

    heads    [   3 |        0        |   5 ]      starts  [ 0, 1, 3, 4 ]
    offset   [ 4096 | 8192    9216 | 512 ]
    length   [   16 |  512       1 | 512 ]        chain 1 has the buffers 1 and 2
    write    [    F |    F       T |   T ]

The idea: a hundred chains are six arrays, not a hundred objects. A device that moves their bytes
does it with a handful of NumPy calls, for any number of chains.

The rule that keeps it simple: a buffer is where its bytes are, an `offset` in the flat memory
behind the `Dma`. A buffer that a remapper keeps in several places is several pieces here.

The arrays may be the queue's own scratch memory: they hold until its next `pop_many`. `copy` keeps
them. Where a driver offers the very same again it is the same object, with its `note`; the queue
clears that as soon as anything is otherwise.

Source: virtio 1.3 2.7.4, 2.8.6; what makes it fast is told in `docs/architecture.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from virtlab.memory import PAGE, Flat
from virtlab.virtio.chain import Buffer, Chain

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Written(Enum):
    """What stands for the bytes that were written to each chain of a batch."""

    WHOLE = "all that the device may write"


WHOLE: Final = Written.WHOLE


class Noted:
    """Something that may come again as the same object, with a `note` of whoever made use of it."""

    note: object = None


@dataclass(slots=True, eq=False)
class Batch(Noted):
    """`n` chains with `m` pieces: those of chain k are `starts[k]:starts[k + 1]`, in order."""

    heads: Ints  # (n,) the head of each chain: its descriptor (split), or its buffer id (packed)
    slots: Ints  # (n,) descriptors of the ring that it takes
    starts: Ints  # (n + 1,) where its pieces begin
    offset: Ints  # (m,) where in `dma.bytes` a piece begins
    length: Ints  # (m,) its bytes
    write: Bools  # (m,) whether it is for the device to write

    def __len__(self) -> int:
        """How many chains there are: `n`."""
        return len(self.heads)

    @classmethod
    def of(cls, chains: Iterable[Chain], dma: Flat) -> Self:
        """The batch that says the same as `chains`, which are memory behind `dma`."""
        heads: list[int] = []
        slots: list[int] = []
        starts = [0]
        pieces: list[tuple[int, int, bool]] = []
        for chain in chains:
            for buffer in chain.buffers:
                found = _pieces(dma, buffer)
                pieces += [(offset, length, buffer.write) for offset, length in found]
            heads.append(chain.head)
            slots.append(chain.slots)
            starts.append(len(pieces))
        table = np.array(pieces, np.int64).reshape(-1, 3)
        return cls(
            np.array(heads, np.int64),
            np.array(slots, np.int64),
            np.array(starts, np.int64),
            table[:, 0].copy(),
            table[:, 1].copy(),
            table[:, 2] != 0,
        )

    def copy(self) -> Self:
        """The same, in arrays of its own."""
        return type(self)(
            self.heads.copy(),
            self.slots.copy(),
            self.starts.copy(),
            self.offset.copy(),
            self.length.copy(),
            self.write.copy(),
        )

    def first(self, n: int) -> Self:
        """The first `n` chains of it: views of the same arrays."""
        m = int(self.starts[n])
        return type(self)(
            self.heads[:n],
            self.slots[:n],
            self.starts[: n + 1],
            self.offset[:m],
            self.length[:m],
            self.write[:m],
        )

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Self:
        """The chains of `batches`, which is not empty, one behind the other: copies."""
        ends = [0, *accumulate(len(batch.offset) for batch in batches)]
        shifted = [batch.starts[1:] + end for batch, end in zip(batches, ends, strict=False)]
        return cls(
            np.concatenate([batch.heads for batch in batches]),
            np.concatenate([batch.slots for batch in batches]),
            np.concatenate([batches[0].starts[:1], *shifted]),
            np.concatenate([batch.offset for batch in batches]),
            np.concatenate([batch.length for batch in batches]),
            np.concatenate([batch.write for batch in batches]),
        )

    def writable(self) -> Ints:
        """(n,) the bytes of each chain that the device may write."""
        return self._sums(self.length * self.write)

    def readable(self) -> Ints:
        """(n,) the bytes of each chain that the device may read."""
        return self._sums(self.length * ~self.write)

    def _sums(self, numbers: Ints) -> Ints:
        """The sum over each chain's pieces. A chain has at least one."""
        if len(numbers) == len(self):
            return numbers
        return np.add.reduceat(numbers, self.starts[:-1])


def _pieces(dma: Flat, buffer: Buffer) -> list[tuple[int, int]]:
    """The `(offset, bytes)` of a buffer: one, or one for each run of neighbouring pages."""
    found: list[tuple[int, int]] = []
    iova, end = buffer.addr, buffer.addr + buffer.length
    while iova < end:
        size = min(end - iova, PAGE - iova % PAGE)
        offset = dma.offset(iova, size, buffer.write)
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((offset, size))
        iova += size
    return found
