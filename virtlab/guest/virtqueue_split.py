"""The driver's side of a split virtqueue: the five calls that a device driver is written with.

    add_buf    descriptors from the free list, a head in the next entry      nothing to see yet
    kick       avail.idx: now it can be seen; ring, if the device listens
    get_buf    the next used element, if used.idx says that there is one
    disable_cb, enable_cb      whether an interrupt shall come

The idea: a buffer is free, added, exposed or used, and a count says where each state ends. Free
descriptors wait in a queue, first freed first taken. A device that uses in order gives them back in
that order, so they are taken in ring order, as IN_ORDER demands, and nothing more has to be done.

The rule that keeps it simple: what the device writes is checked before it is used as an index.

    last_used <= the device's used idx <= exposed <= added <= last_used + size

Source: virtio 1.3 2.7.13, 2.7.14 (the steps), 2.7.7.1, 2.7.10.1 (suppression), 2.7.9 (in order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from virtlab.cpu import Cpu
from virtlab.guest import virtqueue_split_many as many
from virtlab.guest.virtqueue import (
    DeviceBroken,
    Element,
    Piece,
    QueueFull,
    Tables,
    Used,
    elements,
)
from virtlab.guest.virtqueue_books import Free, Held, Ints
from virtlab.guest.virtqueue_driver import VirtqueueDriver
from virtlab.guest.virtqueue_pieces import Pieces
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import (
    DESC,
    INDIRECT,
    NEXT,
    NO_INTERRUPT,
    NO_NOTIFY,
    USED_ELEM,
    WRITE,
    SplitRings,
    need_event,
    packer,
)
from virtlab.virtio.ordering import Barrier, Order, no_barrier

_pack = packer(DESC).pack
_unpack_used = packer(USED_ELEM).unpack


class SplitDriver(VirtqueueDriver):
    """The driver's end of the queue at `rings`, through `cpu`. It clears that memory first.

    `ring_bell` is called to notify the device; `barrier` at each point of `Order`. With `tables`
    and RING_INDIRECT_DESC a buffer of many pieces goes into a table, and takes one descriptor.
    """

    def __init__(
        self,
        cpu: Cpu,
        rings: SplitRings,
        features: Features = frozenset(),
        ring_bell: Callable[[], None] | None = None,
        tables: Tables | None = None,
        barrier: Barrier = no_barrier,
    ) -> None:
        super().__init__(cpu, rings.size, features, ring_bell, tables, barrier)
        self.rings = rings
        self.reset()

    def reset(self) -> list[Any]:
        """Begin anew, after the device was told to reset the queue: the tokens that it had.

        Both flags become 0, as 2.7.10.1 demands of the used ring's.
        """
        lost = self.outstanding.clear()
        for gpa, length in self.rings.parts:
            self.cpu.write(gpa, bytes(length))
        self._free = Free(self.size)
        # Which descriptor follows, as it was written: the device may write over the table.
        self._next: Ints = np.zeros(self.size, np.int64)
        self.added = self.exposed = self.last_used = 0
        self._batch_end = self._batch_head = self._batch_written = 0
        self.callbacks = True
        return lost

    @property
    def free(self) -> int:
        """Descriptors of the ring that are the driver's."""
        return len(self._free)

    # -- to the device

    def add_buf(self, out: Iterable[Piece], in_: Iterable[Piece], token: Any) -> None:
        """Place one buffer: pieces that the device reads, then pieces that it writes.

        The device sees it after the next `kick`. `token` is whatever `get_buf` shall give back.
        `QueueFull` if there are not enough free descriptors; `ValueError` for no buffer at all.
        """
        pieces = elements(out, in_, self.size)
        table = self._table_for(pieces)
        count = 1 if table else len(pieces)
        if count > self.free:
            raise QueueFull(f"{count} descriptors are needed, {self.free} are free")
        slots = [self._free.take() for _ in range(count)]
        if table:
            gpa = table.at(slots[0])
            self._write_chain(gpa, range(len(pieces)), pieces)
            whole = Element(gpa, len(pieces) * DESC.itemsize, INDIRECT)
            self._write_chain(self.rings.desc, slots, [whole])
        else:
            self._write_chain(self.rings.desc, slots, pieces)
        self._next[slots[:-1]] = slots[1:]
        room = sum(piece.length for piece in pieces if piece.flags & WRITE)
        self.outstanding.add(slots[0], self.added, Held(token, count, room))
        self.cpu.store(self.rings.avail_at(self.added), slots[0], 2)
        self.added += 1

    def kick(self) -> bool:
        """Expose what was added, and ring the bell if the device listens. Gives whether it rang."""
        if self.added == self.exposed:
            return False
        before, self.exposed = self.exposed, self.added
        # Everything is in place before the index says so (2.7.13.3.1).
        self.barrier(Order.ENTRY_THEN_AVAIL_IDX)
        self.cpu.store(self.rings.avail_field("idx"), self.added & 0xFFFF, 2)
        # Index first, then the question: else the device stops listening in between (2.7.13.4.1).
        self.barrier(Order.AVAIL_IDX_THEN_EVENT)
        wanted = self._device_listens(before)
        if wanted:
            self.ring_bell()
        return wanted

    def _device_listens(self, before: int) -> bool:
        """Whether it wants to hear of the entries from `before` on."""
        if self._exact:
            event = self.cpu.load(self.rings.used_field("avail_event"), 2)
            return need_event(event, self.exposed, before)
        return not self.cpu.load(self.rings.used_field("flags"), 2) & NO_NOTIFY

    def _write_chain(self, table: int, slots: Sequence[int], pieces: Sequence[Element]) -> None:
        """One descriptor a piece, each but the last with NEXT and the slot that follows."""
        for slot, following, piece in zip(slots, [*slots[1:], None], pieces, strict=True):
            flags = piece.flags | (0 if following is None else NEXT)
            raw = _pack(piece.gpa, piece.length, flags, following or 0)
            self.cpu.write(table + slot * DESC.itemsize, raw)

    def _add_many(self, pieces: Pieces, tokens: Sequence[Any]) -> int:
        return many.add_bufs(self, pieces, tokens)

    # -- from the device

    def get_buf(self) -> Used | None:
        """The next buffer that the device has used; None if there is none.

        `DeviceBroken` if it gives back what it does not have. It is not believed to have written
        more bytes than it was given.
        """
        if self.last_used == self._batch_end and not self._next_batch():
            return None
        head = self.outstanding.at(self.last_used) if self._in_order else self._batch_head
        held = self.outstanding.pop(head)
        for slot in self._slots_of(head, held.slots):
            self._free.give(slot)
        self.last_used += 1
        if self.callbacks and self._exact:
            self._listen()
        # In order, what stands before the last of a batch was written completely (2.7.9).
        written = held.room if self.last_used < self._batch_end else self._batch_written
        return Used(held.token, min(written, held.room))

    def _get_many(self, most: int) -> tuple[list[Any], Ints]:
        return many.get_bufs(self, most)

    def _next_batch(self) -> bool:
        """Read the next used element. In order it may stand for many buffers, else for one."""
        new = (self._used_idx() - self.last_used) & 0xFFFF
        if not new:
            return False
        # The index first, then the element that it speaks of.
        self.barrier(Order.USED_IDX_THEN_ELEMENT)
        raw = self.cpu.read(self.rings.used_at(self.last_used), USED_ELEM.itemsize)
        head, written = _unpack_used(raw)
        exposed = self.exposed - self.last_used
        known = head in self.outstanding and self.outstanding.age(head) < self.exposed
        count = self._count_until(head) if known and self._in_order else 1
        if not known or not count <= new <= exposed:
            raise DeviceBroken(f"used {head}, {new} new elements, with {exposed} buffers exposed")
        self._batch_end = self.last_used + count
        self._batch_head, self._batch_written = head, written
        return True

    def _count_until(self, head: int) -> int:
        """How many outstanding buffers there are up to `head`, oldest first."""
        return self.outstanding.age(head) - self.last_used + 1

    def _slots_of(self, head: int, count: int) -> list[int]:
        """The `count` descriptors of a chain, in its order."""
        slots = [head]
        for _ in range(count - 1):
            slots.append(int(self._next[slots[-1]]))
        return slots

    # -- callbacks: whether an interrupt shall come

    def disable_cb(self) -> None:
        """Ask the device not to interrupt. It is a hint: one may still come."""
        self.callbacks = False
        if self._exact:
            # The element just passed comes again last of all.
            self._ask_for(self.last_used - 1)
        else:
            self.cpu.store(self.rings.avail_field("flags"), NO_INTERRUPT, 2)

    def enable_cb(self) -> bool:
        """Ask for an interrupt again. False if buffers were used meanwhile: get them first."""
        self.callbacks = True
        self._listen()
        return self._used_idx() == self.last_used & 0xFFFF

    def _listen(self) -> None:
        """Ask for an interrupt when the next element is used."""
        if self._exact:
            self._ask_for(self.last_used)
        else:
            self.cpu.store(self.rings.avail_field("flags"), 0, 2)
        # The wish first, then one more look: else a buffer used in between tells nobody (2.7.14).
        self.barrier(Order.USED_EVENT_THEN_IDX)

    def _ask_for(self, position: int) -> None:
        """With EVENT_IDX: ask for an interrupt when the element at `position` is used."""
        self.cpu.store(self.rings.avail_field("used_event"), position & 0xFFFF, 2)

    # -- small things

    def _used_idx(self) -> int:
        return self.cpu.load(self.rings.used_field("idx"), 2)

    def _check(self) -> None:
        """What holds after every call, or it is a bug of ours."""
        heads = self.outstanding.by_age()
        counts = self.outstanding.slots[heads].tolist()
        taken = [s for pair in zip(heads, counts, strict=True) for s in self._slots_of(*pair)]
        assert sorted([*taken, *self._free.numbers()]) == list(range(self.size))
        assert self.last_used <= self.exposed <= self.added
        assert self.last_used <= self._batch_end <= self.exposed
        assert self.added - self.last_used == len(self.outstanding)
