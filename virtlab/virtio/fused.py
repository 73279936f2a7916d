"""Many split queues served at once: small batches of each make one large batch of all.

    queue 0  [ a b ]           batch   a b c d e f g
    queue 1  [ c ]      ->     queue   0 0 1 3 3 3 3        whose chain it is
    queue 3  [ d e f g ]

The idea: a batch costs a fixed price, whoever its chains belong to. A device with 64 queues that
have 4 chains each pays it once, and not 64 times. Where each has hundreds, it is quicker to serve
them alone. What makes it possible is how the queues lie: see `fused_views`.

The rule that keeps it simple: each queue stays a `SplitQueue`, with its own counts, its barrier and
its interrupt, and may be served alone in between. Whoever has something that is not plain is served
by its own `pop_many`; so one queue that breaks a rule is refused alone, and stops nobody else.

A queue that was reset or enabled again is served alone from then on. Make another `FusedSplit`.

Source: virtio 1.3 2.7.6 to 2.7.9, 2.7.13, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.errors import DmaFault, GuestError
from virtlab.memory import flat
from virtlab.virtio.batch import Batch, Bools, Ints
from virtlab.virtio.features import Feature
from virtlab.virtio.fused_back import Back, Runs, spread
from virtlab.virtio.fused_views import Chains, FusedViews
from virtlab.virtio.layouts import NO_INTERRUPT
from virtlab.virtio.ordering import Order
from virtlab.virtio.split import SplitQueue


class Popped(NamedTuple):
    """What one `pop_many` gives. The chains of one queue stand in the order of its ring."""

    batch: Batch
    queue: Ints  # (n,) the number of the queue whose chain it is
    refused: tuple[tuple[int, GuestError], ...]
    """The queues that gave nothing because their next chain breaks a rule, each with what `pop`
    raises. Nothing has moved there."""


class FusedSplit:
    """`queues` of one size and one set of features, in one memory, whose parts lie at equal steps.

    `ValueError` for others, or what is not ready; `TypeError` if the memory is no `Flat`.
    """

    def __init__(self, queues: Sequence[SplitQueue]) -> None:
        if not queues:
            raise ValueError("there are no queues to fuse")
        one = queues[0]
        self.dma = flat(one.dma)
        for queue in queues:
            if not queue.ready or queue.dma is not one.dma:
                raise ValueError("fused queues are ready, and in one memory")
            if queue.size != one.size or queue.features != one.features:
                raise ValueError("fused queues have one size, and one set of features")
        self.queues = tuple(queues)
        self.size = one.size
        self._exact = Feature.RING_EVENT_IDX in one.features
        self._in_order = Feature.IN_ORDER in one.features
        self._rings = [queue.rings for queue in queues]
        self._views: FusedViews | None = FusedViews(self.dma, self._rings)
        self._share_books()

    def _share_books(self) -> None:
        """What the queues note in order, by position, becomes rows of two tables."""
        self._order = np.stack([queue._order for queue in self.queues])
        self._room = np.stack([queue._room for queue in self.queues])
        for queue, order, room in zip(self.queues, self._order, self._room, strict=True):
            queue._order, queue._room = order, room
        # Whoever is reset or enabled gets books of its own.
        self._books = [queue._order for queue in self.queues]

    def _column(self, name: str) -> Ints:
        """(queues,) one count of each."""
        return np.array([getattr(queue, name) for queue in self.queues], np.int64)

    def _look(self) -> Bools:
        """(queues,) which can be served together. Those that were set up anew cannot."""
        if self._views is None or self._views.generation != self.dma.generation:
            self._bind()
        if self._views is None:
            return np.zeros(len(self.queues), np.bool_)
        pairs = zip(self.queues, self._books, strict=True)
        return np.array([queue._order is book for queue, book in pairs], np.bool_)

    def _bind(self) -> None:
        """Memory is mapped otherwise: the steps may be others, or none."""
        try:
            self._views = FusedViews(self.dma, self._rings)
        except (DmaFault, ValueError):
            self._views = None

    # -- available chains

    def pop_many(self, limit_per_queue: int | None = None) -> Popped:
        """Take what is available, up to that many chains of each queue.

        What each queue's own `pop_many` would take, and all is left as that leaves it. The batch
        holds until the next call.
        """
        if limit_per_queue is not None and limit_per_queue < 0:
            raise ValueError(f"a limit is 0 or more, not {limit_per_queue}")
        together = self._look()
        batches, numbers = [_NOTHING], [_NOTHING.heads]
        refused: list[tuple[int, GuestError]] = []
        if together.any():
            batch, queue = self._pop_together(together, limit_per_queue)
            batches.append(batch)
            numbers.append(queue)
        for number in np.flatnonzero(~together).tolist():
            try:
                batch = self.queues[number].pop_many(limit_per_queue)
            except GuestError as error:
                refused.append((number, error))
                continue
            batches.append(batch)
            numbers.append(np.full(len(batch), number))
        whole = Batch.joined(batches) if len(batches) > 2 else batches[-1]
        return Popped(whole, np.concatenate(numbers), tuple(refused))

    def _pop_together(self, together: Bools, limit: int | None) -> tuple[Batch, Ints]:
        """The chains of those queues that have plain ones only; others lose their `together`."""
        views = self._views
        assert views is not None
        last, used = self._column("last_avail"), self._column("used")
        waiting = (views.avail_idx - last) & 0xFFFF
        together &= waiting + last - used <= self.size
        counts = np.where(together, waiting if limit is None else np.minimum(waiting, limit), 0)
        for number in np.flatnonzero(counts).tolist():
            self.queues[number].barrier(Order.AVAIL_IDX_THEN_ENTRY)
        queue, rank = spread(counts)
        if not len(queue):
            return _NOTHING, queue
        entry = (last[queue] + rank) & self.size - 1
        places = views.entries.places(queue, entry)
        heads = views.entries.items.take(places, mode="clip").astype(np.int64)
        chains = views.chains(queue, heads, self._in_order)
        if not chains.plain.all():
            together[queue[~chains.plain]] = False
            counts = np.where(together, counts, 0)
            keep = together[queue]
            queue, entry, heads = queue[keep], entry[keep], heads[keep]
            chains = chains.only(keep)
        self._take(queue, entry, heads, chains, last, counts)
        return _batch(heads, chains), queue

    def _take(
        self, queue: Ints, entry: Ints, heads: Ints, chains: Chains, last: Ints, counts: Ints
    ) -> None:
        """All of it is taken: the thresholds, the books, and the counts."""
        views = self._views
        assert views is not None
        if self._in_order:
            self._order[queue, entry] = heads
            self._room[queue, entry] = (chains.length * chains.write).sum(1)
        taking = np.flatnonzero(counts).tolist()
        for number in taking:
            self.queues[number].last_avail += int(counts[number])
        asking = [number for number in taking if self._exact and self.queues[number].listening]
        views.avail_event[asking] = (last + counts)[asking] & 0xFFFF
        for number in asking:
            self.queues[number].barrier(Order.AVAIL_EVENT_THEN_IDX)

    # -- used chains

    def push_many(
        self, queue: npt.ArrayLike, heads: npt.ArrayLike, written: npt.ArrayLike = 0
    ) -> None:
        """Give (n,) chains back, each to its `queue`: `heads` as `Popped.batch` has them.

        For each queue what its own `push_many` leaves, in the order given here. `written` is (n,)
        bytes, or one number for all. `ValueError` as there, before anything is given back.
        """
        used = self._column("used")
        back = Back.of(queue, heads, written, len(self.queues), self.size)
        back.check(self._column("last_avail") - used)
        together = self._look()
        mine = back.only(together[back.queue])
        runs = mine.runs(used, self._order, self._room) if self._in_order else mine.each(used)
        for number in np.flatnonzero(~together & (back.counts > 0)).tolist():
            alone = back.only(back.queue == number)
            self.queues[number].push_many(alone.heads, alone.written)
        if len(runs.queue):
            self._put(runs, used, mine.counts)

    def _put(self, runs: Runs, used: Ints, counts: Ints) -> None:
        """The elements, and then the index of each queue that has one."""
        views = self._views
        assert views is not None
        items, places = views.elements.items, views.elements.places(runs.queue, 2 * runs.slot)
        items[places], items[places + 1] = runs.head, runs.written
        giving = np.flatnonzero(counts).tolist()
        for number in giving:
            self.queues[number].barrier(Order.ELEMENT_THEN_USED_IDX)
        views.used_idx[giving] = (used + counts)[giving] & 0xFFFF
        for number in giving:
            self.queues[number].used += int(counts[number])

    # -- notifications

    def notify_many(self) -> Bools:
        """(queues,) whether each interrupted its driver, as its own `notify` does."""
        together = self._look()
        used, signalled = self._column("used"), self._column("signalled")
        asking = together & (used > signalled)
        wanted = np.zeros(len(self.queues), np.bool_)
        for number in np.flatnonzero(asking).tolist():
            self.queues[number].barrier(Order.USED_IDX_THEN_EVENT)
            self.queues[number].signalled = int(used[number])
        if asking.any():
            wanted = asking & self._wanted(used, signalled)
        for number in np.flatnonzero(wanted).tolist():
            self.queues[number].interrupt()
        for number in np.flatnonzero(~together).tolist():
            wanted[number] = self.queues[number].notify()
        return wanted

    def _wanted(self, used: Ints, signalled: Ints) -> Bools:
        """(queues,) whether each driver asks to hear of what came after `signalled`."""
        views = self._views
        assert views is not None
        if not self._exact:
            silent: Bools = (views.avail_flags & NO_INTERRUPT) != 0
            return ~silent
        # `need_event` for all. Counts run free, so one that went all the way round has passed it.
        wanted: Bools = (used - views.used_event - 1) & 0xFFFF < used - signalled
        return wanted


def _batch(heads: Ints, chains: Chains) -> Batch:
    """Chains that are plain, of one length, as a batch."""
    each = chains.length.shape[1]
    return Batch(
        heads,
        np.full(len(heads), each),
        np.arange(len(heads) + 1) * each,
        chains.offset.ravel(),
        chains.length.ravel(),
        chains.write.ravel(),
    )


_NO = np.zeros(0, np.int64)
_NOTHING = Batch(_NO, _NO, np.zeros(1, np.int64), _NO, _NO, _NO != 0)
