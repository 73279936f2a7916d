"""Notes on the chains of a split queue that are in flight, and what is left of them after a crash.

    take      counter[head] = 7, 8, 9 ...;  inflight[head] = 1              then a chain is served
    giving    next[head] = last_batch_head; last_batch_head = head          a list, newest first
              ... the used ring's `idx` moves ...
    gave      inflight[head] = 0;  used_idx = idx

The idea: chains are used, notes are crossed out, and a crash may come between the two. The used
ring's `idx` decides. It is ahead of `used_idx` by those chains that were used and not crossed out,
and the list says which they are.

The rule that keeps it simple: a batch is noted by a handful of array stores, in the order above.

Source: vhost-user.rst, "Inflight I/O tracking", split virtqueue.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.vhost_user.inflight import (
    SPLIT_REGION,
    SPLIT_STATE,
    Heads,
    Taken,
    clock_after,
    column_of,
    header_of,
    open_notes,
    states_of,
)
from virtlab.virtio.vhost_user.messages import ProtocolError


class SplitTracker:
    """The notes in `region`, for a ring of `size` entries.

    `count` is how many states there are. `ProtocolError` if there are too few, or if the region is
    no such one.
    """

    def __init__(self, region: Bytes, count: int, size: int) -> None:
        self.header = header_of(region, SPLIT_REGION)
        states = states_of(region, SPLIT_REGION, SPLIT_STATE, count)
        self.inflight, self.counter = states["inflight"], states["counter"]
        self.next = states["next"]
        # The same, for one chain.
        column = partial(column_of, region, SPLIT_REGION.itemsize, SPLIT_STATE)
        self._inflight, self._counter = column("inflight"), column("counter")
        self._next = column("next")
        self._last = column_of(region, 0, SPLIT_REGION, "last_batch_head")
        self._used = column_of(region, 0, SPLIT_REGION, "used_idx")
        self.size = size
        self.fresh = open_notes(self.header, count, size, "chains")
        self.clock = 0

    def recover(self, used_idx: int) -> list[Taken]:
        """What is in flight, oldest first. `used_idx` is what the used ring says.

        `ProtocolError` if the notes contradict each other.
        """
        behind = (used_idx - int(self.header["used_idx"][0])) & 0xFFFF
        if self.fresh or behind > self.size:
            # No notes yet, or notes on another ring, from before the driver set this one up.
            self.begin(used_idx)
            return []
        head = int(self.header["last_batch_head"][0])
        for _ in range(behind):
            if head >= self.size:
                raise ProtocolError(f"a note on chain {head}, in a ring of {self.size}")
            self.inflight[head] = 0
            head = int(self.next[head])
        self.header["used_idx"] = used_idx
        left = np.flatnonzero(self.inflight)
        if len(left) and int(left[-1]) >= self.size:
            raise ProtocolError(f"a note on chain {left[-1]}, in a ring of {self.size}")
        counters = self.counter[left]
        self.clock = clock_after(counters.tolist())
        return [Taken(int(head)) for head in left[np.argsort(counters, kind="stable")]]

    def begin(self, used_idx: int) -> None:
        """Nothing is in flight, and the used ring is at `used_idx`."""
        self.inflight[:] = 0
        self.header["used_idx"] = used_idx & 0xFFFF

    def take(self, heads: Heads, slots: Heads, descriptors: bytes) -> None:
        """See `Tracker`."""
        n = len(heads)
        if n == 1:
            self._counter[heads[0]] = self.clock
            self._inflight[heads[0]] = 1
        else:
            self.counter[heads] = np.arange(self.clock, self.clock + n)
            self.inflight[heads] = 1
        self.clock += n

    def giving(self, heads: Heads, used: int) -> None:
        """See `Tracker`."""
        self._next[heads[0]] = self._last[0]
        if len(heads) > 1:
            self.next[heads[1:]] = heads[:-1]
        self._last[0] = heads[-1]

    def gave(self, heads: Heads, used: int) -> None:
        """See `Tracker`."""
        if len(heads) == 1:
            self._inflight[heads[0]] = 0
        else:
            self.inflight[heads] = 0
        self._used[0] = used & 0xFFFF
