"""The device's side of a split virtqueue: take a chain that is available, give it back used.

    avail ring   [ 3 ][ 0 ][ 5 ]  idx 3        pop(): the entry at last_avail, then its chain
                        ^ last_avail 1
    used ring    [ 3, 512 ]       idx 1        push(chain, 512): an element, then the index
                             ^ used 1

The idea: the queue is memory and four counts. The driver moves `avail.idx`, the device all others:
`last_avail` (chains taken), `used` (chains given back), `signalled` (of those, told to the driver).

The rule that keeps it simple: counts run free and are reduced where they meet memory. And a count
moves last: whatever is refused, by `GuestError`, has moved nothing.

    signalled <= used <= last_avail <= the driver's avail idx <= used + size

`reset` and `enable` are the queue's reset and its configuration (virtio 1.3 2.6.1); a queue that is
not `ready` has no chains and notifies nobody. Notifications are in `split_events`.

Source: virtio 1.3 2.7, 2.7.6, 2.7.8, 2.7.9, 2.7.13, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.batch import Batch, Written
from virtlab.virtio.chain import Chain, check_memory, guests_memory
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import (
    USED_ELEM,
    SplitRings,
    packer,
)
from virtlab.virtio.ordering import Barrier, Order, no_barrier
from virtlab.virtio.split_back import give_back
from virtlab.virtio.split_chain import CLAUSES, check_rings, walk
from virtlab.virtio.split_events import Events
from virtlab.virtio.split_many import SplitMany
from virtlab.wire import all_ones

_pack_used = packer(USED_ELEM).pack


class SplitQueue(Events):
    """A split virtqueue in the memory behind `dma`. It is not ready until `enable`.

    `interrupt` is called when the driver shall be told; `barrier` at each point of `Order`.
    """

    def __init__(
        self,
        dma: Dma,
        interrupt: Callable[[], None] | None = None,
        barrier: Barrier = no_barrier,
    ) -> None:
        super().__init__(dma, interrupt, barrier)
        self.reset()

    # -- configuration

    def reset(self) -> None:
        """Back to the default: not ready, all counts 0. Chains in flight are forgotten (2.6.1.1.1).

        The device must forget them too.
        """
        self.ready = False
        self.rings = SplitRings(0, 0, 0, 0)
        self.features: Features = frozenset()
        self.last_avail = self.used = self.signalled = 0
        self.listening = True
        self._order = np.zeros(0, np.uint16)
        self._room = np.zeros(0, np.int64)
        self._many: SplitMany | None = None

    def enable(self, rings: SplitRings, features: Features = frozenset(), base: int = 0) -> None:
        """Use the queue that lies at `rings`, from entry `base` on (0, or where another left off).

        `GuestError` if such a queue is not allowed; then it is as it was.
        """
        check_rings(rings)
        self.reset()
        self.rings, self.features = rings, features
        self.last_avail = self.used = self.signalled = base
        # In order, the heads that were taken and the bytes that each may be written, by position:
        # who is next to be given back, and whether it is complete.
        taken = rings.size if Feature.IN_ORDER in features else 0
        self._order, self._room = np.zeros(taken, np.uint16), np.zeros(taken, np.int64)
        self.ready = True

    @property
    def size(self) -> int:
        """Entries in the queue."""
        return self.rings.size

    @property
    def in_flight(self) -> int:
        """Chains that were taken and not given back."""
        return self.last_avail - self.used

    # -- available chains

    def available(self) -> int:
        """How many chains wait to be taken. `GuestError` if the index cannot be right."""
        if not self.ready:
            return 0
        waiting = (self._load(self.rings.avail_field("idx")) - self.last_avail) & 0xFFFF
        # `idx` only increases, and there are never more than Queue Size buffers in the queue: those
        # in flight count. So an index that ran backwards is one that ran much too far.
        if waiting + self.in_flight > self.size:
            why = f"avail idx jumped by {waiting}, with {self.in_flight} of {self.size} in flight"
            raise GuestError(why, "virtio 1.3 2.7.6.1")
        return waiting

    def pop(self) -> Chain | None:
        """Take the next chain; None if there is none. `GuestError` if it breaks a rule.

        In this order: the available index, the head, each descriptor, the buffers, their memory.
        """
        if not self.available():
            return None
        self.barrier(Order.AVAIL_IDX_THEN_ENTRY)
        chain = self.peek(self.last_avail)
        check_memory(self.dma, chain.buffers, CLAUSES)
        if self.listening and self._exact:
            self._listen(self.last_avail + 1)
        if len(self._order):
            self._order[self.last_avail % self.size] = chain.head
            self._room[self.last_avail % self.size] = chain.writable
        self.last_avail += 1
        return chain

    def pop_many(self, limit: int | None = None) -> Batch:
        """Take all chains, or up to `limit`: what so many `pop` would. It holds until the next.

        The batch ends before a chain that breaks a rule; if that is the first, `GuestError`. It may
        end behind 4 * `size` pieces: call until it is empty. `TypeError` if memory is no `Flat`.
        """
        return self._plural().pop(limit)

    def peek(self, position: int) -> Chain:
        """The chain whose entry is at `position`, without taking it or looking at its memory."""
        head = self._load(self.rings.avail_at(position))
        # Each entry is the head of a chain, so the index of a descriptor.
        if head >= self.size:
            raise GuestError(f"head {head} in a queue of {self.size}", "virtio 1.3 2.7.6")
        return walk(self.dma, self.rings, self.features, head)

    # -- used chains

    def push(self, chain: Chain, written: int = 0, count: int = 1) -> None:
        """Give `chain` back, with the first `written` of its writable bytes written.

        In order, `chain` may stand for itself and the `count` - 1 taken before it, which were
        written completely: one element for all, at the position of the first (2.7.9). `ValueError`
        for more chains than are in flight, or one that is not next in order; `GuestError` if the
        used ring is not memory.
        """
        self._check_push(chain, written, count)
        # The element is complete before the index says so.
        self._put(self.used, chain.head, written)
        self.barrier(Order.ELEMENT_THEN_USED_IDX)
        self._store(self.rings.used_field("idx"), self.used + count)
        self.used += count

    def push_many(self, heads: Batch | npt.ArrayLike, written: npt.ArrayLike | Written = 0) -> None:
        """Give back a batch, or (n,) heads of it, as so many `push` would; the index moves once.

        `written` is (n,) bytes, one number for all, or, of a batch, `WHOLE`. In order, an element
        stands for all up to the next chain that is not complete. `ValueError` as `push`, before
        anything is stored; for bare heads out of order, whose room is not known, only above
        2**32 - 1.
        """
        give_back(self._plural(), heads, written)

    def _put(self, position: int, head: int, written: int) -> None:
        # Its `len` may be less than was written.
        element = _pack_used(head, min(written, all_ones(4)))
        with guests_memory(CLAUSES.ring):
            self.dma.write(self.rings.used_at(position), element)

    def _check_push(self, chain: Chain, written: int, count: int) -> None:
        if not 1 <= count <= self.in_flight:
            raise ValueError(f"{self.in_flight} chains are in flight: cannot give {count} back")
        if not 0 <= written <= chain.writable:
            raise ValueError(f"the chain has {chain.writable} writable bytes, not {written}")
        if len(self._order):
            head = int(self._order[(self.used + count - 1) % self.size])
            if head != chain.head:
                raise ValueError(f"in order, chain {head} is next, not {chain.head}")
        elif count > 1:
            raise ValueError("only in order may one element stand for many")

    def _plural(self) -> SplitMany:
        if self._many is None:
            self._many = SplitMany(self)
        return self._many

    def _check(self) -> None:
        """What holds after every call, or it is a bug of ours."""
        assert 0 <= self.in_flight <= self.size
        assert self.signalled <= self.used
        assert self.ready or not self.in_flight
