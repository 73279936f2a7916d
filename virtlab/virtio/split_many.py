"""Taking many chains of a split queue at once: `pop_many`, for `SplitQueue`.

    pop_many    the batch that was here a lap ago, if it is here again     two compares of bytes
                else that batch, but for its addresses                     a dozen NumPy calls
                else one descriptor a chain, all right                     the same
                else any chains, up to the first that may be wrong         more, for each step
                else `pop`, one by one                                     few chains; what is odd
    push_many   all elements, a barrier, the index                         see `split_back`

The idea: a batch is what so many `pop` would take. Each way is tried in turn, and a way that is not
sure of all that it sees leaves it to the next. So the fast ways need no words for what is wrong:
`pop` has them.

The rule that keeps it simple: nothing has moved until a batch is whole. Then `_take` moves it all.

Source: virtio 1.3 2.7.6 to 2.7.9, 2.7.13, 2.7.14; the barriers are those of `Order`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import flat
from virtlab.virtio.batch import Batch
from virtlab.virtio.batch_checks import first
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.ordering import Order
from virtlab.virtio.split_longer import Straight, Tables, remembered
from virtlab.virtio.split_shadow import Seen
from virtlab.virtio.split_single import Single
from virtlab.virtio.split_views import IDX, SplitViews
from virtlab.virtio.split_walk import Place, walk_many

# A member of an enumeration takes 0.1 us to look up.
_AVAIL_IDX_THEN_ENTRY = Order.AVAIL_IDX_THEN_ENTRY
_AVAIL_EVENT_THEN_IDX = Order.AVAIL_EVENT_THEN_IDX

if TYPE_CHECKING:
    from virtlab.virtio.split import SplitQueue

FEW = 5
"""Below so many chains the scalar calls are quicker."""

MOST = 4
"""Pieces of a batch, in sizes of the queue. A guest could name the square of its size."""

VAIN = 7
"""After longer chains that were others than remembered, so many walks are not remembered: a driver
whose chains are others each time need not pay for it."""


class SplitMany:
    """What the plural calls of `queue` keep, from one `enable` to the next."""

    def __init__(self, queue: SplitQueue) -> None:
        self.queue = queue
        self.dma = flat(queue.dma)
        self.size = queue.size
        self.events = Feature.RING_EVENT_IDX in queue.features
        self.in_order = Feature.IN_ORDER in queue.features
        self.parts = queue.rings.parts
        self._nothing = Batch.of((), self.dma)
        self._bind()

    def follow_map(self) -> None:
        """Look again where memory is, if it is mapped otherwise now."""
        if self.dma.generation != self.generation:
            self._bind()

    def _bind(self) -> None:
        """Look where the rings are, and forget what was seen: memory may be mapped otherwise."""
        self.generation = self.dma.generation
        self.seen: dict[int, Seen] = {}
        self._kept = 0  # pieces of all of them
        self._vain = 0  # walks that are not remembered
        self._last: Seen | None = None  # the last batch of them that was taken
        # Where there are none, all goes one by one.
        ready = self.queue.ready
        self.views = SplitViews.find(self.dma, self.queue.rings) if ready else None

    # -- pop

    def pop(self, limit: int | None) -> Batch:
        """See `SplitQueue.pop_many`."""
        if limit is not None and limit < 0:
            raise ValueError(f"a limit is 0 or more, not {limit}")
        self.follow_map()
        queue, views = self.queue, self.views
        if views is None:
            return self._singly(limit)
        n = (views.avail[IDX] - queue.last_avail) & 0xFFFF
        if not n:
            return self._nothing
        if n + queue.last_avail - queue.used > self.size or n < FEW:
            return self._singly(limit)
        if limit is not None and limit < n:
            if limit < FEW:
                return self._singly(limit)
            n = limit
        queue.barrier(_AVAIL_IDX_THEN_ENTRY)
        start = queue.last_avail & self.size - 1
        seen = self.seen.get(start)
        if seen is None or seen.n != n or not seen.again():
            known = self._known(views, seen, start, n)
            if known is None:
                return self._walk(views, start, n)
            seen = known
        self._take(seen)
        return seen.batch

    def _known(self, views: SplitViews, seen: Seen | None, start: int, n: int) -> Seen | None:
        """The `n` chains at `start`, if they are as in the lap before, or of one descriptor each.

        All of them must be right. Of what was `seen` there, other addresses may be left.
        """
        if seen is None or seen.n != n:
            seen = self._moved(start, n)
            if seen is not None and seen.again():
                return seen
        if seen is not None and seen.read(self.dma, self.parts):
            return seen
        if isinstance(seen, Straight | Tables):
            self._vain = VAIN
        # Where the last batch had longer chains, so may this one.
        last = self._last
        if isinstance(seen, Single) or (last is not None and last.size > last.n):
            return None
        single = Single(views, start, n)
        self._keep(start, single)
        return single if single.read(self.dma, self.parts) else None

    def _moved(self, start: int, n: int) -> Seen | None:
        """The last batch, if nobody holds it, and the same heads are at `start` now.

        Where `n` divides the size of the queue it stays: then its own place comes again each lap.
        """
        last = self._last
        if last is None or last.n != n or not self.size % n or self.queue.in_flight:
            return None
        before = last.start
        if not last.move(start):
            return None
        self._forget(before)
        self._keep(start, last)
        return last

    def _walk(self, views: SplitViews, start: int, n: int) -> Batch:
        """The `n` chains at `start`, whatever they are, up to the first that may be wrong."""
        heads = views.entries.take(views.ramp[start : start + n], mode="clip").astype(np.int64)
        good = first(heads >= self.size)
        if not good:
            return self._singly(n)
        most = MOST * self.size
        place = Place(self.dma, self.queue.rings, self.queue.features, views, most)
        found, asked = walk_many(place, heads[:good])
        batch = found.batch
        if len(batch):
            seen = Seen(batch) if self._vain else remembered(place, start, found)
            self._vain = max(0, self._vain - 1)
            self._take(self._keep(start, seen))
            batch = seen.batch
        if len(batch) == n or len(batch) == asked < good:
            return batch
        return self._go_on(batch, n - len(batch), most - len(batch.offset))

    def _go_on(self, batch: Batch, n: int, room: int) -> Batch:
        """Behind `batch` is a chain that may be wrong. `pop` decides, and takes what it can."""
        if not len(batch):
            return self._singly(n, room)
        try:
            return Batch.joined([batch, self._singly(n, room)])
        except GuestError:
            return batch

    def _singly(self, limit: int | None, room: int | None = None) -> Batch:
        """Up to `limit` chains by `pop`, until they have `room` pieces: the reference."""
        queue = self.queue
        chains: list[Chain] = []
        n = self.size if limit is None else limit
        room = MOST * self.size if room is None else room
        while len(chains) < n and room > 0:
            try:
                chain = queue.pop()
            except GuestError:
                if not chains:
                    raise
                break
            if chain is None:
                break
            chains.append(chain)
            room -= len(chain.buffers)
        return Batch.of(chains, self.dma)

    def _take(self, seen: Seen) -> None:
        """All of it is taken: the thresholds, the books, and last the count."""
        queue, views, n = self.queue, self.views, seen.n
        assert views is not None
        position = queue.last_avail
        if self.events and queue.listening:
            views.used[views.avail_event] = (position + n) & 0xFFFF
            queue.barrier(_AVAIL_EVENT_THEN_IDX)
        # Positions are taken one after another. So what was noted a lap ago is still noted.
        if self.in_order and seen.last_avail + self.size != position:
            at = views.ramp[position & self.size - 1 :][:n]
            queue._order[at] = seen.batch.heads
            queue._room[at] = seen.writable()[0]
        seen.last_avail, self._last = position, seen
        queue.last_avail = position + n

    def _keep(self, start: int, seen: Seen) -> Seen:
        """Remember it, unless all together would have become too much."""
        self._forget(start)
        self._kept += seen.size
        if self._kept > MOST * self.size:
            self.seen.clear()
            self._kept = seen.size
        self.seen[start] = seen
        return seen

    def _forget(self, start: int) -> None:
        old = self.seen.pop(start, None)
        self._kept -= old.size if old is not None else 0
