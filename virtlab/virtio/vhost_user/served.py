"""Virtqueues that tell what they do: our queues, with a ledger beside them.

    pop, pop_many      took               then the device serves
    push, push_many    giving             then the used ring
                       gave

The idea: the device behind a back-end is any device of ours, and it knows only a queue. So what a
back-end must note about chains is noted by the queue itself, round the calls that every device
makes. The chains that a killed back-end had left are the first that `pop` gives.

The rule that keeps it simple: a chain that is served again is a chain like any other. `peek` finds
it elsewhere, and everything after that is checked and counted as always.

Source: vhost-user.rst, "Inflight I/O tracking"; virtio 1.3 2.7, 2.8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from virtlab.errors import GuestError
from virtlab.memory import Dma, flat
from virtlab.virtio.batch import Batch, Ints, Written
from virtlab.virtio.chain import Chain, guests_memory
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_chain import CLAUSES
from virtlab.virtio.packed_layouts import PACKED_DESC
from virtlab.virtio.queue_events import QueueEvents
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.split_chain import walk
from virtlab.virtio.vhost_user.inflight import Heads, Taken
from virtlab.virtio.vhost_user.ledger import Ledger
from virtlab.virtio.vhost_user.noted_list import walk_noted
from virtlab.virtio.vhost_user.portions import Portions

_SIZE = PACKED_DESC.itemsize


class _Telling(QueueEvents):
    """What both layouts have: a `ledger`, and the chains that are left from before.

    With `portions` the driver is told of each batch at once.
    """

    def __init__(self, dma: Dma, call: Callable[[], None], ledger: Ledger) -> None:
        super().__init__(dma, call, no_barrier)
        self.ledger = ledger
        self.left: deque[Taken] = deque()
        self._hushed = False
        self.portions: Portions | None = None

    def resume(self, left: Iterable[Taken]) -> None:
        """Give these chains first: they were in flight when the queue was last in use."""
        self.left = deque(left)

    def _hush(self, take: Callable[[int | None], Batch], limit: int | None) -> Batch:
        """What `take` gives. The chains that it takes singly are told of as a batch, once."""
        portions = self.portions
        self._hushed = True
        try:
            batch = take(limit if portions is None else portions.limit(limit))
        finally:
            self._hushed = False
        if portions is not None:
            portions.took(batch)
        return batch

    def _took_one(self, chain: Chain | None, descriptors: bytes) -> None:
        """`pop` has taken a chain, or found none."""
        if self._hushed:
            return
        if chain is not None:
            again = bool(self.left)
            if again:
                self.left.popleft()
            self.ledger.took_one(chain, descriptors, again)
        elif self.portions is not None:
            self.portions.end()

    def _gave_many(self) -> None:
        """A batch was given back."""
        if self.portions is not None and not self.notify():
            self.ledger.quiet()


class ServedSplit(_Telling, SplitQueue):
    """A split queue with a `ledger`. `call` tells the driver of used buffers."""

    def peek(self, position: int) -> Chain:
        """See `SplitQueue`. What is left from before comes first."""
        if self.left and position == self.last_avail:
            return walk(self.dma, self.rings, self.features, self.left[0].head)
        return super().peek(position)

    def pop(self) -> Chain | None:
        """See `SplitQueue`."""
        chain = super().pop()
        self._took_one(chain, b"")
        return chain

    def pop_many(self, limit: int | None = None) -> Batch:
        """See `SplitQueue`."""
        if self.left:
            return _left_over(self, limit)
        batch = self._hush(super().pop_many, limit)
        if len(batch):
            self.ledger.took(batch, b"")
        return batch

    def push(self, chain: Chain, written: int = 0, count: int = 1) -> None:
        """See `SplitQueue`."""
        heads: Heads = [chain.head]
        if count > 1:
            numbers = np.arange(self.used, self.used + count) % self.size
            heads = self._order[numbers].astype(np.int64)
        used = self.used + count
        self.ledger.giving(heads, used)
        super().push(chain, written, count)
        self.ledger.gave(chain if count == 1 else None, heads, used, written)

    def push_many(self, heads: Batch | npt.ArrayLike, written: npt.ArrayLike | Written = 0) -> None:
        """See `SplitQueue`."""
        ids = _ids(heads)
        if not len(ids):
            return
        used = self.used + len(ids)
        self.ledger.giving(ids, used)
        super().push_many(heads, written)
        self.ledger.gave(heads if isinstance(heads, Batch) else None, ids, used, written)
        self._gave_many()


class ServedPacked(_Telling, PackedQueue):
    """A packed queue with a `ledger`. `call` tells the driver of used buffers."""

    def available(self) -> bool:
        """See `PackedQueue`. What is left from before waits too."""
        return bool(self.left) or super().available()

    def peek(self, position: int) -> Chain | None:
        """See `PackedQueue`. What is left from before comes first."""
        if not self.left or position != self.last_avail:
            return super().peek(position)
        room = self.size - (position - self.used)
        return walk_noted(self.dma, self.rings, self.features, position, room, self.left[0])

    def pop(self) -> Chain | None:
        """See `PackedQueue`."""
        position = self.last_avail
        chain = super().pop()
        self._took_one(chain, b"" if chain is None or self._hushed else self._noted(position))
        return chain

    def pop_many(self, limit: int | None = None) -> Batch:
        """See `PackedQueue`."""
        if self.left:
            return _left_over(self, limit)
        position = self.last_avail
        batch = self._hush(super().pop_many, limit)
        if len(batch):
            self.ledger.took(batch, self._noted(position))
        return batch

    def push(self, chain: Chain, written: int = 0, count: int = 1) -> None:
        """See `PackedQueue`."""
        heads: Heads = [chain.head]
        slots = chain.slots
        if count > 1:
            self._settle()
            numbers = np.arange(self.returned, self.returned + count) % self.size
            heads = self._order[numbers].astype(np.int64)
            slots = int(self._slots[heads].sum())
        used = self.used + slots
        self.ledger.giving(heads, used)
        super().push(chain, written, count)
        self.ledger.gave(chain if count == 1 else None, heads, used, written)

    def push_many(self, heads: Batch | Ints, written: Ints | int | Written = 0) -> None:
        """See `PackedQueue`."""
        ids = _ids(heads)
        if not len(ids):
            return
        batch = heads if isinstance(heads, Batch) else None
        if batch is None:
            self._settle()
        slots = self._slots[ids] if batch is None else batch.slots
        used = self.used + int(slots.sum())
        self.ledger.giving(ids, used)
        super().push_many(heads, written)
        self.ledger.gave(batch, ids, used, written)
        self._gave_many()

    def _noted(self, position: int) -> bytes:
        """The descriptors from `position` to where the queue is now, if anybody notes them."""
        if self.ledger.tracker is None:
            return b""
        slots = range(position, self.last_avail)
        with guests_memory(CLAUSES.ring):
            return b"".join(self.dma.read(self.rings.desc_at(slot), _SIZE) for slot in slots)


Served = ServedSplit | ServedPacked
"""A queue of either layout."""


def _left_over(queue: Served, limit: int | None) -> Batch:
    """Up to `limit` of the chains that are left from before, one by one."""
    chains: list[Chain] = []
    most = len(queue.left) if limit is None else min(limit, len(queue.left))
    while len(chains) < most:
        try:
            chain = queue.pop()
        except GuestError:
            if not chains:
                raise
            break
        if chain is None:
            break
        chains.append(chain)
    return Batch.of(chains, flat(queue.dma))


def _ids(heads: Batch | npt.ArrayLike) -> Ints:
    """(n,) heads."""
    if isinstance(heads, Batch):
        return heads.heads
    return np.asarray(heads, np.int64).reshape(-1)
