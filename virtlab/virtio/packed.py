"""The device's side of a packed virtqueue: take a list that is available, give it back used.

    [ used ][ in flight ][ in flight ][ avail ][ avail ][ ... ]
             ^ used                    ^ last_avail

    pop()               the list that begins at `last_avail`
    push(chain, 512)    one descriptor at `used`, wherever the list itself was

The idea: there is one ring, and both sides write it. A used descriptor goes where the *oldest* slot
in flight is, even if another list is done first: it has a buffer id to say which. Then the device
skips as many slots as that list had, and so does the driver, who remembers how many.

The rule that keeps it simple: positions run free and are reduced, to slot and wrap counter, where
they meet memory. And a position moves last: what is refused, by `GuestError`, has moved nothing.

    signalled <= used <= last_avail <= used + size

`reset` and `enable` are the queue's reset and its configuration (virtio 1.3 2.6.1); a queue that is
not `ready` has no lists and notifies nobody.

Source: virtio 1.3 2.8, in particular 2.8.1, 2.8.6, 2.8.8, 2.8.10, 2.8.21, 2.8.22.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.batch import Batch, Ints, Written
from virtlab.virtio.chain import Chain, check_memory, guests_memory
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import WRITE, packer
from virtlab.virtio.ordering import Barrier, no_barrier
from virtlab.virtio.packed_chain import CLAUSES, check_rings, flags_at, walk
from virtlab.virtio.packed_events import Events
from virtlab.virtio.packed_layouts import (
    FLAGS_AT,
    LEN_AT,
    USED_PART,
    PackedOrder,
    PackedRings,
    is_avail,
    used_bits,
    wrap_at,
)
from virtlab.virtio.packed_many import Many

IDS = 1 << 16
"""Buffer ids that there are. A driver may choose any."""

_pack_used = packer(USED_PART).pack


class PackedQueue(Events):
    """A packed virtqueue in the memory behind `dma`. It is not ready until `enable`.

    `interrupt` is called when the driver shall be told; `barrier` at each point of `PackedOrder`.
    """

    def __init__(
        self,
        dma: Dma,
        interrupt: Callable[[], None] | None = None,
        barrier: Barrier = no_barrier,
    ) -> None:
        super().__init__(dma, interrupt, barrier)
        self._slots = np.zeros(IDS, np.uint16)
        self.reset()

    # -- configuration

    def reset(self) -> None:
        """Back to the default: not ready, all positions 0 (2.6.1.1.1).

        Lists in flight are forgotten; the device must forget them too.
        """
        self.ready = False
        self.rings = PackedRings(0, 0, 0, 0)
        self.features: Features = frozenset()
        self.last_avail = self.used = self.signalled = 0
        self.taken = self.returned = 0
        self.listening = True
        # By buffer id: the slots of the list in flight that has it, or 0.
        self._slots.fill(0)
        self._order, self._room = np.zeros(0, np.uint16), np.zeros(0, np.int64)
        # The last batch, as long as these two do not have its lists yet.
        self._batch: Batch | None = None
        self._many: Many | None = None

    def enable(self, rings: PackedRings, features: Features = frozenset(), base: int = 0) -> None:
        """Use the queue that lies at `rings`, from position `base` on.

        `base` is 0, or where another left off (`from_word` reads it from a word with a wrap
        counter). `GuestError` if such a queue is not allowed; then it is as it was.
        """
        check_rings(rings)
        self.reset()
        self.rings, self.features = rings, features
        self.last_avail = self.used = self.signalled = base
        # In order, by number: the ids that were taken, so who is next to be given back; and the
        # bytes that each may be written, so whether it is complete.
        taken = rings.size if Feature.IN_ORDER in features else 0
        self._order, self._room = np.zeros(taken, np.uint16), np.zeros(taken, np.int64)
        self.ready = True

    @property
    def size(self) -> int:
        """Descriptors in the ring."""
        return self.rings.size

    @property
    def in_flight(self) -> int:
        """Lists that were taken and not given back."""
        return self.taken - self.returned

    # -- available lists

    def available(self) -> bool:
        """Whether a list waits to be taken. How many there are only walking would tell."""
        if not self.ready:
            return False
        flags = flags_at(self.dma, self.rings, self.last_avail)
        return is_avail(flags, wrap_at(self.last_avail, self.size))

    def pop(self) -> Chain | None:
        """Take the next list; None if there is none. `GuestError` if it breaks a rule.

        In this order: each descriptor, the indirect table, the buffers, the id, their memory.
        """
        if not self.ready:
            return None
        chain = self.peek(self.last_avail)
        if chain is None:
            return None
        self._settle()
        # A buffer gets the next *free* id: two in flight with one id could not be told apart.
        if self._slots[chain.head]:
            why = f"buffer id {chain.head} is in flight already"
            raise GuestError(why, "virtio 1.3 2.8.21.1")
        check_memory(self.dma, chain.buffers, CLAUSES)
        if self.listening:
            self._ask_for(self.last_avail + chain.slots)
        if len(self._order):
            number = self.taken % self.size
            self._order[number], self._room[number] = chain.head, chain.writable
        self._slots[chain.head] = chain.slots
        self.last_avail += chain.slots
        self.taken += 1
        return chain

    def pop_many(self, limit: int | None = None) -> Batch:
        """All lists that are available, or `limit` of them: what so many `pop` would take.

        If one breaks a rule, the batch ends before it; if it is the first, `GuestError`, as by
        `pop`. A batch may also end after `packed_many.MOST` buffers. `TypeError` if `dma` is not
        `Flat`. With EVENT_IDX the device's event is written once a run of neighbours.
        """
        return (self._many or self._plural()).pop(limit)

    def peek(self, position: int) -> Chain | None:
        """The list at `position`, not taken, its memory not looked at; None if none is there.

        From `used` on, those in flight can be seen too, as far as no used descriptor lies on them.
        """
        room = self.size - (position - self.used)
        return walk(self.dma, self.rings, self.features, position, room, self.barrier)

    # -- used lists

    def push(self, chain: Chain, written: int = 0, count: int = 1) -> None:
        """Give `chain` back, with the first `written` of its writable bytes written.

        In order, `chain` may stand for itself and the `count` - 1 taken before it, which were
        written completely: one descriptor for all, where the first of them began (2.8.8).
        `ValueError` for a chain that is not in flight, or not next in order; `GuestError` if the
        ring is not memory.
        """
        heads = self._check_push(chain, written, count)
        slots = sum(int(self._slots[head]) for head in heads)
        self._use(self.used, chain.head, min(written, 0xFFFF_FFFF))
        self._slots[heads] = 0
        self.used += slots
        self.returned += count

    def push_many(self, heads: Batch | Ints, written: Ints | int | Written = 0) -> None:
        """Give lists back, as so many `push` would: `written` bytes of each, (n,) or one number.

        `heads` is what `pop_many` gave, or (n,) ids out of it. `WHOLE`, of a batch, is all that may
        be written. In order, one used descriptor stands
        for all up to the next list that was not written completely. `ValueError` as `push`, before
        anything is given back. Ids alone, out of order, say nothing of their room: there `written`
        is only compared with 2**32.
        """
        (self._many or self._plural()).push(heads, written)

    def _use(self, position: int, ident: int, written: int) -> None:
        """One used descriptor. It is complete before its flags say so: then it is the driver's."""
        at = self.rings.desc_at(position)
        flags = used_bits(wrap_at(position, self.size)) | (WRITE if written else 0)
        with guests_memory(CLAUSES.ring):
            self.dma.write(at + LEN_AT, _pack_used(written, ident))
            self.barrier(PackedOrder.REST_THEN_USED_FLAGS)
            self.dma.write(at + FLAGS_AT, flags.to_bytes(2, "little"))

    def _plural(self) -> Many:
        """The plural calls, from their first use on."""
        self._many = self._many or Many(self)
        return self._many

    def _settle(self) -> None:
        """Note the lists of the last batch, id by id. Most are given back before anybody asks."""
        batch, self._batch = self._batch, None
        if batch is None:
            return
        self._slots[batch.heads] = batch.slots
        if len(self._order):
            numbers = np.arange(self.taken - len(batch), self.taken) % self.size
            self._order[numbers], self._room[numbers] = batch.heads, batch.writable()

    def _check_push(self, chain: Chain, written: int, count: int) -> list[int]:
        """The ids that are given back by it, oldest first."""
        self._settle()
        if not 1 <= count <= self.in_flight:
            raise ValueError(f"{self.in_flight} lists are in flight: cannot give {count} back")
        if not 0 <= written <= chain.writable:
            raise ValueError(f"the list has {chain.writable} writable bytes, not {written}")
        if self._slots[chain.head] != chain.slots:
            raise ValueError(f"no list of {chain.slots} with id {chain.head} is in flight")
        if not len(self._order):
            if count > 1:
                raise ValueError("only in order may one descriptor stand for many lists")
            return [chain.head]
        numbers = range(self.returned, self.returned + count)
        heads = [int(self._order[number % self.size]) for number in numbers]
        if heads[-1] != chain.head:
            raise ValueError(f"in order, list {heads[-1]} is next, not {chain.head}")
        return heads

    # -- checks

    def _check(self) -> None:
        """What holds after every call, or it is a bug of ours."""
        self._settle()
        assert self.signalled <= self.used <= self.last_avail <= self.used + self.size
        assert int(self._slots.sum(dtype=np.int64)) == self.last_avail - self.used
        assert np.count_nonzero(self._slots) == self.in_flight
        assert self.ready or not self.in_flight
