"""The plural calls of a packed queue: `pop_many` and `push_many`, for `PackedQueue`.

    pop_many    the run that lay here a lap ago, if it is here again      one compare of bytes
                else: the same but for its addresses                      six NumPy calls
                else: how many are available, a private copy, `parse`     some twenty NumPy calls
                else: `pop`, one by one                                   few lists; whatever is odd
    push_many   all used descriptors but the first, then the first        one store of many words

The idea: a batch is what so many `pop` would take, and leaves what so many `push` would leave. A
list that breaks a rule ends the batch before it. If it is the first, `pop` refuses it: no refusal
is worded twice.

The rule that keeps it simple: a run is neighbours in the ring, also round its end. Until it is
whole and right, nothing has moved.

What a batch took need not be noted id by id if it is given back as it came, which is what devices
do. So the last batch is noted late: `PackedQueue._settle`, before anything else is done.

Source: virtio 1.3 2.8.1, 2.8.6, 2.8.8, 2.8.21; the barriers are those of `PackedOrder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import flat
from virtlab.virtio.batch import Batch, Ints, Written
from virtlab.virtio.batch_checks import fields, first
from virtlab.virtio.chain import Chain
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed_back import give_back, give_run
from virtlab.virtio.packed_layouts import PackedOrder, avail_bits, is_avail
from virtlab.virtio.packed_parse import Place, parse
from virtlab.virtio.packed_shadow import Run, Runs, frozen
from virtlab.virtio.packed_views import Ring, around, windows

if TYPE_CHECKING:
    from virtlab.virtio.packed import PackedQueue

FEW = 5
"""Below so many slots the scalar calls are quicker."""

VAIN = 8
"""After tables that were others than remembered, so many batches less one are not remembered."""

SCAN = 64
"""Slots that are looked at first, to see how many are available; then twice as many."""

MOST = 1 << 16
"""Buffers of a batch, at least; four times the queue's size if that is more. Behind so many it
ends: by indirect tables a guest could name the square of the size."""


class Many:
    """The plural calls of `queue`, from one `enable` to the next."""

    def __init__(self, queue: PackedQueue) -> None:
        self.queue = queue
        self.dma = flat(queue.dma)
        self.size = queue.size
        self.most = max(4 * queue.size, MOST)
        self._exact, self.in_order = queue._exact, bool(len(queue._order))
        self.stamps = np.zeros(1 << 16, np.uint16)
        self.ramp = np.arange(queue.size, dtype=np.uint16)
        self._nothing = Batch.of((), self.dma)
        self._bind()

    def _bind(self) -> None:
        """Look where the ring lies, and forget the runs: memory is mapped otherwise now."""
        self.generation = self.dma.generation
        self.windows = windows(self.dma, self.queue.rings)
        self._runs = Runs(4 * self.queue.size)
        self._last = self._vain = 0
        self.run: Run | None = None
        # Not ready, or not in one piece: then list by list.
        self.ring = Ring.find(self.dma, self.queue.rings) if self.queue.ready else None

    # -- pop

    def pop(self, limit: int | None) -> Batch:
        """See `PackedQueue.pop_many`."""
        queue = self.queue
        left = queue.rings.size if limit is None else limit
        if left < 0:
            raise ValueError(f"a limit is 0 or more, not {limit}")
        if self.dma.generation != self.generation:
            self._bind()
        if self.ring is not None and not self._more() and queue.last_avail - queue.used < self.size:
            return self._nothing
        batch = self._take_again(left) if self._runs else None
        if batch is not None and (len(batch.heads) == left or not self._more()):
            return batch
        return self._take_parts(batch, left)

    def _take_parts(self, batch: Batch | None, left: int) -> Batch:
        """A batch of several runs, `batch` the first of them; where there is none, of any lists."""
        queue, parts = self.queue, [batch] if batch else []
        left -= len(batch or ())
        room = self.most - queue.size - len(batch.offset if batch else ())
        one_by_one = queue.last_avail
        while left > 0 and room >= 0:
            batch = None
            if queue.last_avail >= one_by_one:
                batch = self._take_again(left) if self._runs else None
                if batch is None:
                    batch, one_by_one = self._take_new(left, room + queue.size)
            if batch is None:
                batch = self._take_singly(left, one_by_one, room, quiet=bool(parts))
            if batch is None:
                break
            parts.append(batch)
            left -= len(batch)
            room -= len(batch.offset)
            if left and not self._more():
                break
        return Batch.joined(parts) if len(parts) > 1 else (parts or [Batch.of([], self.dma)])[0]

    def _more(self) -> bool:
        """Whether the next descriptor, if the device does not hold it already, is available."""
        queue, ring = self.queue, self.ring
        position, size = queue.last_avail, queue.rings.size
        if ring is None:
            return True  # `pop` has to look
        if position - queue.used >= size:
            return False
        lap, slot = divmod(position, size)
        return is_avail(ring.halves[8 * slot + 7], 1 - lap % 2)

    def _take_singly(self, left: int, until: int, room: int, quiet: bool) -> Batch | None:
        """Up to `left` lists by `pop`, until position `until` or more than `room` buffers.

        None if there is none. A refusal is raised only where nothing was taken before it.
        """
        chains: list[Chain] = []
        while len(chains) < left and room >= 0:
            try:
                chain = self.queue.pop()
            except GuestError:
                if chains or quiet:
                    break
                raise
            if chain is None:
                break
            chains.append(chain)
            room -= len(chain.buffers)
            if self.queue.last_avail >= until:
                break
        return Batch.of(chains, self.dma) if chains else None

    def _take_again(self, left: int) -> Batch | None:
        """The same run as a lap ago, or the same but for its addresses."""
        queue = self.queue
        position, size = queue.last_avail, queue.rings.size
        lap, slot = divmod(position, size)
        run = self._runs.get(slot)
        if run is None or run.lists > left or run.slots > size - position + queue.used:
            return None
        wrap = 1 - lap % 2
        # A barrier that does something means that the driver runs while we look.
        batch = run.again(wrap) if queue.barrier is no_barrier else None
        if batch is None:
            batch = run.moved(wrap, self._then)
        if batch is None and run.inside:
            self._vain = VAIN
        if batch is None or (queue.taken != queue.returned and not self._ids_free(batch.heads)):
            return None  # within one batch they differ: that was seen when it was kept
        self._commit(batch, run.slots)
        self.run = run
        return batch

    def _take_new(self, left: int, most: int) -> tuple[Batch | None, int]:
        """Up to `left` lists that are here for the first time, or None.

        And the position up to which there is no more to be taken at once.
        """
        queue, ring = self.queue, self.ring
        position = queue.last_avail
        lap, slot = divmod(position, queue.size)
        room = queue.size - (position - queue.used)
        if ring is None or left < FEW or room < FEW:
            return None, position + FEW
        bits = avail_bits(1 - lap % 2)
        # A list may have many slots; but who wants few lists need not look at the whole ring.
        count = ring.available(slot, bits, min(room, 4 * left + SCAN), max(SCAN, self._last))
        self._last = count
        if count < FEW:
            return None, position + FEW
        self._then()
        records = ring.copy(slot, count)
        place = Place(self.dma, queue.rings, queue.features)
        parsed = parse(place, records, bits, left, most)
        batch = self._without_doubles(parsed.batch)
        if batch is None:
            return None, position + count
        slots = int(batch.slots.sum())
        self._commit(frozen(batch), slots)
        self._vain -= self._vain > 0
        if parsed.direct or (parsed.inside and batch is parsed.batch and not self._vain):
            window = around(int(fields(records)[0][0]), self.windows)
            self.run = Run(ring, slot, records[:slots], batch, window, parsed.inside)
            self._runs.keep(slot, self.run)
        return batch, position + count if slots < count and len(batch) < left else position

    def _then(self) -> None:
        """Flags were read. What they vouch for comes next."""
        self.queue.barrier(PackedOrder.FLAGS_THEN_REST)

    def _ids_free(self, heads: Ints) -> bool:
        """Whether no list in flight has one of these ids."""
        queue = self.queue
        queue._settle()
        return not np.count_nonzero(queue._slots.take(heads, mode="clip"))

    def _without_doubles(self, batch: Batch | None) -> Batch | None:
        """The lists before the first whose id is in flight, or that of a list before it."""
        if batch is None:
            return None
        self.queue._settle()
        heads, ramp = batch.heads, self.ramp[: len(batch)]
        # Written from behind, each id keeps the number of the first list that has it.
        self.stamps[heads[::-1]] = ramp[::-1]
        double = self.stamps[heads] != ramp
        right = first(double | (self.queue._slots[heads] != 0))
        if right == len(batch):
            return batch
        return batch.first(right) if right else None

    def _commit(self, batch: Batch, slots: int) -> None:
        """The batch is taken; the one before was noted when the ids were compared with it.

        Nothing has moved if the device's event cannot be written.
        """
        queue = self.queue
        if self._exact and queue.listening:
            queue._ask_for(queue.last_avail + slots)
        queue._batch, self.run = batch, None
        queue.last_avail += slots
        queue.taken += len(batch.heads)

    # -- push

    def push(self, heads: Batch | Ints, written: Ints | int | Written) -> None:
        """See `PackedQueue.push_many`."""
        queue, run = self.queue, self.run
        if self.dma.generation != self.generation:
            self._bind()
            run = None
        batch = queue._batch
        # Given back as it was taken: then its ids were checked, and nobody has noted them yet.
        whole = batch is not None and heads is batch and queue.in_flight == len(batch.heads)
        if not whole or run is None or not give_run(self, run, written):
            give_back(self, heads, written, whole)
