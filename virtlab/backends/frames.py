"""Many Ethernet frames as one array: what a wire carries when it carries them in batches.

    data     [ frame 0 .. | frame 1 ...... | frame 2 . ]
    starts   [ 0,           60,              124,        184 ]

The idea: a frame as `bytes` is an object, and an object costs. A hundred frames as one array are
moved, sorted and looked up by a handful of NumPy calls.

The rule that keeps it simple: `Frames` is a list of frames, in order. Whoever does not understand
it takes it apart (`for frame in frames`), and sees what it would have seen one by one.

Source: 802.3 3.2 (destination first, then source).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DESTINATION, SOURCE = 0, 6
"""Where in a frame its two addresses are."""


@dataclass(slots=True, eq=False)
class Frames:
    """`n` frames: those bytes of frame k are `data[starts[k]:starts[k + 1]]`. Nobody writes it."""

    data: Bytes  # (total,)
    starts: Ints  # (n + 1,)
    size: int = 0  # the length of each, if that is known to be the same

    @classmethod
    def of(cls, frames: Iterable[bytes]) -> Self:
        """The same frames, side by side."""
        parts = list(frames)
        starts = np.append(0, np.cumsum([len(part) for part in parts], dtype=np.int64))
        return cls(np.frombuffer(b"".join(parts), np.uint8), starts.astype(np.int64))

    @classmethod
    def equal(cls, table: Bytes) -> Self:
        """(n, length) bytes: a frame a row, all of one length."""
        n, length = table.shape
        return cls(table.reshape(-1), np.arange(n + 1, dtype=np.int64) * length, length)

    def __len__(self) -> int:
        """How many frames there are: `n`."""
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[bytes]:
        """The frames one by one, as `bytes`."""
        raw = self.data.tobytes()
        return (raw[start:end] for start, end in pairwise(self.starts.tolist()))

    @property
    def lengths(self) -> Ints:
        """(n,) the bytes of each frame."""
        return np.full(len(self), self.size) if self.size else np.diff(self.starts)

    @property
    def table(self) -> Bytes | None:
        """(n, length) the frames as rows; None if they are not of one length."""
        n = len(self)
        length = self.size or (int(self.starts[1] - self.starts[0]) if n else 0)
        if not length or (not self.size and np.count_nonzero(np.diff(self.starts) != length)):
            return None
        return self.data[int(self.starts[0]) : int(self.starts[-1])].reshape(n, length)

    def cut(self, start: int, end: int) -> Frames:
        """Frames `start` to `end`, as a view."""
        return Frames(self.data, self.starts[start : end + 1], self.size)

    def take(self, mask: Bools) -> Frames:
        """Those that are marked in `mask`, (n,), in order; itself if all are."""
        if np.count_nonzero(mask) == len(self):
            return self
        table = self.table
        if table is not None:
            return Frames.equal(table[mask])
        pairs = zip(self.starts[:-1][mask].tolist(), self.starts[1:][mask].tolist(), strict=True)
        return Frames.of(self.data[start:end].tobytes() for start, end in pairs)

    def addresses(self, at: int) -> Ints:
        """(n,) the 48-bit address at `at` of each frame, as `int.from_bytes(..., "big")` has it.

        Each frame has at least 14 bytes.
        """
        table = self.table if self.size else None
        if table is not None:
            numbers = np.zeros((len(table), 8), np.uint8)
            numbers[:, 2:] = table[:, at : at + 6]
            return numbers.view(">i8")[:, 0].astype(np.int64)
        where = self.starts[:-1] + at
        found = np.zeros(len(where), np.int64)
        for byte in range(6):
            found = found << 8 | self.data[where + byte]
        return found
