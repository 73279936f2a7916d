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
from virtlab.virtio.chain import Chain, check_memory, guests_memory
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import WRITE, packer
from virtlab.virtio.ordering import Barrier, no_barrier
from virtlab.virtio.packed_chain import CLAUSES, check_rings, flags_at, walk
from virtlab.virtio.packed_layouts import (
    DISABLE,
    ENABLE,
    EVENT,
    EVENT_DESC,
    FLAGS_AT,
    LEN_AT,
    USED_PART,
    PackedOrder,
    PackedRings,
    event_word,
    is_avail,
    to_word,
    used_bits,
    wants_event,
    wrap_at,
)

IDS = 1 << 16
"""Buffer ids that there are. A driver may choose any."""

_pack_used = packer(USED_PART).pack


class PackedQueue:
    """A packed virtqueue in the memory behind `dma`. It is not ready until `enable`.

    `interrupt` is called when the driver shall be told; `barrier` at each point of `PackedOrder`.
    """

    def __init__(
        self,
        dma: Dma,
        interrupt: Callable[[], None] | None = None,
        barrier: Barrier = no_barrier,
    ) -> None:
        self.dma = dma
        self.interrupt = interrupt or _nobody
        self.barrier = barrier
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
        self._order = np.zeros(0, np.uint16)

    def enable(self, rings: PackedRings, features: Features = frozenset(), base: int = 0) -> None:
        """Use the queue that lies at `rings`, from position `base` on.

        `base` is 0, or where another left off (`from_word` reads it from a word with a wrap
        counter). `GuestError` if such a queue is not allowed; then it is as it was.
        """
        check_rings(rings)
        self.reset()
        self.rings, self.features = rings, features
        self.last_avail = self.used = self.signalled = base
        # In order, the ids that were taken, by number: who is next to be given back.
        self._order = np.zeros(rings.size if Feature.IN_ORDER in features else 0, np.uint16)
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
        # A buffer gets the next *free* id: two in flight with one id could not be told apart.
        if self._slots[chain.head]:
            why = f"buffer id {chain.head} is in flight already"
            raise GuestError(why, "virtio 1.3 2.8.21.1")
        check_memory(self.dma, chain.buffers, CLAUSES)
        if self.listening:
            self._ask_for(self.last_avail + chain.slots)
        if len(self._order):
            self._order[self.taken % self.size] = chain.head
        self._slots[chain.head] = chain.slots
        self.last_avail += chain.slots
        self.taken += 1
        return chain

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
        at = self.rings.desc_at(self.used)
        flags = used_bits(wrap_at(self.used, self.size)) | (WRITE if written else 0)
        # The descriptor is complete before its flags say so. After them it is the driver's.
        with guests_memory(CLAUSES.address):
            self.dma.write(at + LEN_AT, _pack_used(min(written, 0xFFFF_FFFF), chain.head))
            self.barrier(PackedOrder.REST_THEN_USED_FLAGS)
            self.dma.write(at + FLAGS_AT, flags.to_bytes(2, "little"))
        self._slots[heads] = 0
        self.used += slots
        self.returned += count

    def _check_push(self, chain: Chain, written: int, count: int) -> list[int]:
        """The ids that are given back by it, oldest first."""
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

    # -- notifications: to the driver

    def should_notify(self) -> bool:
        """Whether the driver asked to hear of what was pushed since this was last asked."""
        pushed = self.used - self.signalled
        if not pushed:
            return False
        # Flags first, then the question: else the driver may go to sleep in between.
        self.barrier(PackedOrder.USED_FLAGS_THEN_DRIVER_EVENT)
        with guests_memory(CLAUSES.address):
            raw = self.dma.read(self.rings.driver, EVENT.itemsize)
        event = int.from_bytes(raw, "little")
        wanted = wants_event(event, self._exact, self.used, pushed, self.size)
        self.signalled = self.used
        return wanted

    def notify(self) -> bool:
        """Interrupt the driver if it asked for that. Gives whether it did."""
        wanted = self.should_notify()
        if wanted:
            self.interrupt()
        return wanted

    # -- notifications: from the driver

    def disable_notify(self) -> None:
        """Ask the driver not to ring. It is a hint: a ring may still come."""
        if self.ready:
            self._say(event_word(DISABLE))
        self.listening = False

    def enable_notify(self) -> bool:
        """Ask the driver to ring again. False if a list came in the meantime: look once more."""
        if self.ready and self._exact:
            self._ask_for(self.last_avail)
        elif self.ready:
            self._say(event_word(ENABLE))
        self.listening = True
        self.barrier(PackedOrder.DEVICE_EVENT_THEN_FLAGS)
        return not self.available()

    @property
    def _exact(self) -> bool:
        return Feature.RING_EVENT_IDX in self.features

    def _ask_for(self, position: int) -> None:
        """With EVENT_IDX: ask for a ring when the descriptor at `position` is available."""
        if self._exact:
            self._say(event_word(EVENT_DESC, to_word(position, self.size)))

    def _say(self, event: int) -> None:
        """Both words in one write, so that the driver never sees one without the other."""
        with guests_memory(CLAUSES.address):
            self.dma.write(self.rings.device, event.to_bytes(EVENT.itemsize, "little"))

    def _check(self) -> None:
        """What holds after every call, or it is a bug of ours."""
        assert self.signalled <= self.used <= self.last_avail <= self.used + self.size
        assert int(self._slots.sum(dtype=np.int64)) == self.last_avail - self.used
        assert np.count_nonzero(self._slots) == self.in_flight
        assert self.ready or not self.in_flight


def _nobody() -> None:
    """Nobody is to be told."""
