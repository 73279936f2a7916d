"""Chains of many queues on their way back: sorted by queue, checked, made into used elements.

    given   queue 2 0 2 0      sorted  0 0 2 2      slot  used[0], used[0] + 1, used[2], ...
            head  7 3 1 4              3 4 7 1

The idea: the elements of one queue stand behind each other from its `used` on. Sorted by queue, the
place of each is a count inside its group.

The rule that keeps it simple: all is checked before anything is written, here, in one place.

Source: virtio 1.3 2.7.8, 2.7.9 (in order, one element for many).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.virtio.batch import Bools, Ints


class Runs(NamedTuple):
    """(n,) used elements: what each says, and where it goes."""

    queue: Ints
    slot: Ints  # in that queue's used ring
    head: Ints
    written: Ints


class Back(NamedTuple):
    """(n,) chains to be given back, the queues in rising order; and (queues,) how many of each."""

    queue: Ints
    heads: Ints
    written: Ints
    counts: Ints
    size: int

    @classmethod
    def of(
        cls,
        queue: npt.ArrayLike,
        heads: npt.ArrayLike,
        written: npt.ArrayLike,
        queues: int,
        size: int,
    ) -> Back:
        """Sorted. `ValueError` for what are no numbers of queues, heads of a queue, or lengths."""
        which, ids = _row("queues", queue, queues), _row("heads", heads, size)
        length = np.asarray(written)
        if len(ids) != len(which) or length.shape not in ((), ids.shape):
            raise ValueError("queue, heads and written are of one length")
        length = _row("written", np.broadcast_to(length, ids.shape), 1 << 32)
        order = np.argsort(which, kind="stable")
        counts = np.bincount(which, minlength=queues)
        return cls(which[order], ids[order], length[order], counts, size)

    def check(self, flying: Ints) -> None:
        """`ValueError` for more chains than (queues,) `flying`."""
        if (self.counts > flying).any():
            wrong = int((self.counts > flying).argmax())
            raise ValueError(
                f"{flying[wrong]} chains of queue {wrong} are in flight: "
                f"cannot give {self.counts[wrong]} back"
            )

    def only(self, some: Bools) -> Back:
        """Those for which (n,) `some` is True."""
        queue = self.queue[some]
        counts = np.bincount(queue, minlength=len(self.counts))
        return Back(queue, self.heads[some], self.written[some], counts, self.size)

    def _slots(self, used: Ints) -> Ints:
        return (used[self.queue] + spread(self.counts)[1]) & self.size - 1

    def each(self, used: Ints) -> Runs:
        """An element a chain, from (queues,) `used` on."""
        return Runs(self.queue, self._slots(used), self.heads, self.written)

    def runs(self, used: Ints, order: npt.NDArray[np.uint16], room: Ints) -> Runs:
        """In order: one for each run of chains of which all but the last are complete.

        `order` and `room` are (queues, size): the heads that were taken, and their bytes to write.
        `ValueError` for a chain that is not next, or has less room.
        """
        slots = self._slots(used)
        expected, most = order[self.queue, slots], room[self.queue, slots]
        if (expected != self.heads).any():
            wrong = int((expected != self.heads).argmax())
            raise ValueError(
                f"in order, chain {expected[wrong]} of queue {self.queue[wrong]} is next, "
                f"not {self.heads[wrong]}"
            )
        if (self.written > most).any():
            wrong = int((self.written > most).argmax())
            raise ValueError(
                f"the chain has {most[wrong]} writable bytes, not {self.written[wrong]}"
            )
        last = self.written != most
        last[:-1] |= self.queue[1:] != self.queue[:-1]
        last[-1:] = True
        ends = np.flatnonzero(last)
        begins = np.append(0, ends + 1)[:-1]
        return Runs(self.queue[begins], slots[begins], self.heads[ends], self.written[ends])


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """For each of many groups its number, as often as it has members, and theirs inside of it.

    >>> [column.tolist() for column in spread(np.array([2, 0, 3]))]
    [[0, 0, 2, 2, 2], [0, 1, 0, 1, 2]]
    """
    group = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    return group, np.arange(len(group)) - firsts[group]


def _row(name: str, numbers: npt.ArrayLike, below: int) -> Ints:
    """(n,) int64. `ValueError` for what are no whole numbers from 0 to `below` - 1."""
    found = np.asarray(numbers)
    if found.shape == (0,):
        return found.astype(np.int64)
    whole = found.ndim == 1 and found.dtype.kind in "iu"
    if not whole or not 0 <= found.min() <= found.max() < below:
        raise ValueError(f"{name} are whole numbers from 0 to {below - 1}, in one row")
    return found.astype(np.int64)
