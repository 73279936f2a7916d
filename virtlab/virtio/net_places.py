"""Where the packets of a batch lie, if each is one piece: reading and writing all of them at once.

    buffers   [ header | frame ... ]   [ header | frame ... ]   [ header | frame ... ]
                ^ at 0   ^ at 12         in even steps: one view with a stride, else an index

The idea: a driver has its packets in slots of one size. Then a field of all of them is one view,
and a copy of it is one move. What is learned of a batch is its `note`: where the same batch comes
again nothing is computed anew.

The rule that keeps it simple: what is read here is a copy, and of each byte there is one read.

Source: virtio 1.3 5.1.6.2, 5.1.6.3. What it gains is in `benchmarks/net_rows.py`.
"""

from __future__ import annotations

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Batch
from virtlab.virtio.batch_checks import evenly

_BYTE = np.dtype(np.uint8)


class Places:
    """The pieces of `batch`, which is not empty, in `memory`.

    `alone`: each chain is one. `readable`, `writable`: all of them are. `least` and `most` bytes.
    """

    def __init__(self, batch: Batch, memory: Bytes) -> None:
        writable = int(np.count_nonzero(batch.write))
        self.alone = len(batch.offset) == len(batch)
        self.readable, self.writable = not writable, writable == len(batch.write)
        length = batch.length
        self.least, self.most = int(length[length.argmin()]), int(length[length.argmax()])
        self._memory, self._offset = memory, batch.offset
        self._begin = int(batch.offset[0])
        even = evenly(memory, batch.offset, _BYTE)
        self._steps = even.strides if even is not None else ()

    @classmethod
    def of(cls, batch: Batch, memory: Bytes) -> Places:
        """Those of `batch`, as they were learned before if it is the same."""
        note = batch.note
        if not isinstance(note, Places):
            batch.note = note = cls(batch, memory)
        return note

    def read(self, at: int, size: int) -> Bytes:
        """(n, size) a copy of the `size` bytes behind the first `at` of each. All have as many."""
        kind = np.dtype((np.void, size))
        if self._steps:
            copy = self._view(at, kind).copy()
        else:
            # Not `take`: of an array that overlaps itself it makes a copy first, of all memory.
            copy = self._anywhere(kind)[self._offset + at]
        return copy.view(np.uint8).reshape(-1, size)

    def write(self, at: int, data: Bytes) -> None:
        """Put (n, size) or (1, size) `data` there: a row to each, or one to all."""
        kind = np.dtype((np.void, data.shape[1]))
        rows = data.view(kind)[:, 0]
        if self._steps:
            self._view(at, kind)[:] = rows
        else:
            self._anywhere(kind)[self._offset + at] = rows

    def _view(self, at: int, kind: np.dtype[np.void]) -> np.ndarray:
        shape = (len(self._offset),)
        return np.ndarray(shape, kind, self._memory, self._begin + at, self._steps)

    def _anywhere(self, kind: np.dtype[np.void]) -> np.ndarray:
        """What begins at each byte of memory."""
        shape = (len(self._memory) - kind.itemsize + 1,)
        return np.ndarray(shape, kind, self._memory, strides=(1,))
