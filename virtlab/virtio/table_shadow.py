"""Indirect tables that were read: whether all of them say the same again.

    ring     [ refers ][ refers ]          compared where it lies
                 |         |
    tables   [ . . . ] [ . . . ]           gathered into one copy, and that is compared

The idea: a table may change while the descriptor that refers to it does not. So a batch is the same
only if its tables are, and one gather and one compare tell that.

The rule that keeps it simple: this is asked behind the ring. If the descriptors in the ring are the
same, the tables lie where they lay.

Source: virtio 1.3 2.7.5.3 (split), 2.8.7 (packed).
"""

from __future__ import annotations

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Ints
from virtlab.virtio.batch_checks import RECORD, Records, gather

_SHIFT = RECORD.itemsize.bit_length() - 1


class Inside:
    """The `records` that were read at `places`, (m,) offsets in `memory`."""

    def __init__(self, memory: Bytes, places: Ints, records: Records) -> None:
        self._memory, self._places = memory, places.copy()
        self._said = records.tobytes()
        # Mostly tables lie on borders of 16 bytes. Then a descriptor moves as one element.
        self._index = None if np.count_nonzero(places & RECORD.itemsize - 1) else places >> _SHIFT
        size = len(memory) // RECORD.itemsize * RECORD.itemsize
        self._whole: Records = memory[:size].view(RECORD)
        self._copy = np.empty(len(places), RECORD)
        self._copied = self._copy.data.cast("B")

    def again(self) -> bool:
        """Whether they are the same."""
        if self._index is None:
            self._copy[:] = gather(self._memory, self._places)
        else:
            self._whole.take(self._index, 0, self._copy, "clip")
        return self._said.startswith(self._copied)
