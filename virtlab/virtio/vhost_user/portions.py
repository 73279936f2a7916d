"""How many requests are answered before the driver hears of the first of them.

    32 wait    take 16, answer, tell    the driver goes on with these ...
               take 16, answer, tell    ... while these are served
    256 wait   16, 32, 64, 128, 16

The idea: a batch is quick, but its driver waits for the whole of it, and then we wait for the
driver. In portions both work at the same time. A portion begins small and doubles while there is
more, for each batch has a price of its own.

The rule that keeps it simple: how much data the next requests move is what the last ones did. A
portion is no more than `DATA` of it, and a wrong guess costs time and nothing else.

Only for devices that answer: who sends packets waits for nobody.
"""

from __future__ import annotations

from virtlab.virtio.batch import Batch
from virtlab.virtio.layouts import MAX_SIZE

FIRST = 16
"""Chains of the first portion."""

DATA = 1 << 20
"""Bytes of a portion, at most, or one chain."""


class Portions:
    """The portions of one queue."""

    def __init__(self) -> None:
        self._chains, self._fit = FIRST, MAX_SIZE

    def limit(self, limit: int | None) -> int:
        """How many chains to take at once, where `limit` are asked for (None: all)."""
        most = min(self._chains, self._fit)
        return most if limit is None else min(limit, most)

    def took(self, batch: Batch) -> None:
        """A batch was taken; an empty one is the end."""
        if not len(batch):
            self.end()
            return
        self._chains = min(2 * self._chains, MAX_SIZE)
        moved = int(batch.length.sum())
        self._fit = max(1, DATA * len(batch) // moved) if moved else MAX_SIZE

    def end(self) -> None:
        """Nothing waits any more: the next portion is a first one."""
        self._chains = FIRST
