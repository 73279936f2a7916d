"""What was seen at a place of the ring: bytes that were checked, and the batch that came of them.

    entries      guest [ 0  1  2  3 ]      private copy [ 0  1  2  3 ]      the same bytes?
    descriptors  guest [ ........... ]     private copy [ ........... ]     the same bytes?
                 then it is the batch of the lap before, and nothing has to be checked again

The idea: drivers use the same buffers again. One compare of bytes takes 0.4 ns a descriptor, and
says more than any check: what the driver says now is what was found right before.

The rule that keeps it simple: the guest's bytes are only compared, and never used. What is used was
made from the private copy. So nothing is read twice. A guest that writes meanwhile gets the chains
that it had offered before, or a new look.

Source: virtio 1.3 2.7.5, 2.7.6; what each step costs is in `benchmarks/split_rows.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Ints
from virtlab.virtio.chain import Span
from virtlab.wire import all_ones

PAUSE = 7
"""After bytes that had changed, so many laps are not compared."""

NEVER = -1 << 16
"""A count that is a lap away from no other."""

Piece = tuple[bytearray, memoryview, int]
"""A private copy, where the guest has a piece of it, and where in the copy that piece begins."""


class Mirror:
    """A private `copy` of `n` records of `width` bytes, and where in guest memory they are."""

    def __init__(self, n: int, width: int) -> None:
        self.n, self.width = n, width
        self.copy = bytearray(n * width)
        self.pieces: list[Piece] = []
        self.moves: list[tuple[memoryview, memoryview]] = []

    def aim(self, ring: memoryview, start: int) -> None:
        """At the records of `ring` from `start` on: one piece, or two round the end of the ring."""
        private, at = memoryview(self.copy), start * self.width
        split = min(len(private), len(ring) - at)
        self.pieces = [(self.copy, ring[at : at + split], 0)]
        self.moves = [(private[:split], ring[at : at + split])]
        if split < len(private):
            behind = ring[: len(private) - split]
            self.pieces.append((self.copy, behind, split))
            self.moves.append((private[split:], behind))

    def take(self) -> None:
        """Copy them: the one read."""
        for private, live in self.moves:
            private[:] = live


class Seen:
    """A `batch` that was found right, and the `pieces` of all that it was made of.

    It has `n` chains of `size` buffers. `valid` says that a compare of the pieces can tell;
    `raw_heads` are the bytes of the heads.
    """

    def __init__(self, batch: Batch, pieces: Sequence[Piece] = ()) -> None:
        self.n, self.size = len(batch), len(batch.offset)
        self.batch = batch
        self.start = 0  # where its entries are, if it can `move`
        self.pieces = pieces
        self.valid = bool(pieces)
        self._set_heads(batch.heads)
        self.last_avail = NEVER  # where it was taken last, since it was read
        self._room: tuple[Ints, int] | None = None
        self._whole: memoryview | None = None
        self._pause = 0

    def _set_heads(self, heads: Ints) -> None:
        self.batch.heads, self.raw_heads = heads, heads.data.cast("B")

    def writable(self) -> tuple[Ints, int]:
        """(n,) the bytes of each chain that may be written, and the largest of them."""
        if self._room is None:
            room = self.batch.writable()
            self._room = room, int(room[room.argmax()])
        return self._room

    def whole(self) -> memoryview:
        """The bytes of the used elements of all, if all that may be written was written."""
        if self._whole is None:
            # Their `len` may be less than was written.
            length = np.minimum(self.writable()[0], all_ones(4))
            self._whole = (length << 32 | self.batch.heads).data.cast("B")
        return self._whole

    def read(self, dma: Flat, parts: Sequence[Span]) -> bool:
        """Look anew, in the same way as then. False: for this kind of batch there is none."""
        return False

    def move(self, start: int) -> bool:
        """Belong to the entries from `start` on, if the same heads are there. False: it stays."""
        return False

    def again(self) -> bool:
        """Whether the driver says the same as then. False may also mean: not looked at.

        A driver that has other addresses each time need not pay for the compare.
        """
        if self._pause:
            self._pause -= 1
            return False
        if not self.valid:
            return False
        # `startswith` is the cheapest compare there is: 0.1 us, and 40 bytes a nanosecond.
        for copy, live, at in self.pieces:
            if not copy.startswith(live, at):
                self._pause = PAUSE
                return False
        return True
