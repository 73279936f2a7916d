"""The driver's side of a packed virtqueue: the same five calls, one ring, no index in memory.

    add_buf    descriptors at `added`, all but the flags of the first      nothing to see yet
    kick       those flags: with one store the whole batch can be seen; ring, if the device listens
    get_buf    the descriptor at `last_used`, if its flags say that it is used
    disable_cb, enable_cb      whether an interrupt shall come

The idea: the device reads the ring in order, so whatever lies behind one descriptor that is not
available is not available either. The first flags of a batch are held back, and open it at once.

The rule that keeps it simple: a used descriptor says *which* buffer, by its id. How many slots to
skip the driver has to remember. And what the device writes is checked before it is used.

    last_used <= exposed <= added <= last_used + size

Source: virtio 1.3 2.8.21 and 2.8.22 (the steps), 2.8.10 (suppression), 2.8.8 (in order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from virtlab.cpu import Cpu
from virtlab.guest import virtqueue_packed_many as many
from virtlab.guest.virtqueue import DeviceBroken, Element, Piece, QueueFull, Tables, Used, elements
from virtlab.guest.virtqueue_books import Free, Held, Ints
from virtlab.guest.virtqueue_driver import VirtqueueDriver
from virtlab.guest.virtqueue_pieces import Pieces
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE, packer
from virtlab.virtio.ordering import Barrier, no_barrier
from virtlab.virtio.packed_layouts import (
    DISABLE,
    ENABLE,
    EVENT_DESC,
    FLAGS_AT,
    LEN_AT,
    PACKED_DESC,
    USED_PART,
    PackedOrder,
    PackedRings,
    avail_bits,
    event_word,
    is_used,
    to_word,
    wants_event,
    wrap_at,
)

_pack = packer(PACKED_DESC).pack
_used = packer(USED_PART)


class PackedDriver(VirtqueueDriver):
    """The driver's end of the queue at `rings`, through `cpu`. It clears that memory first.

    `ring_bell` is called to notify the device; `barrier` at each point of `PackedOrder`. With
    `tables` and RING_INDIRECT_DESC a buffer of many pieces goes into a table, and takes one slot.
    """

    def __init__(
        self,
        cpu: Cpu,
        rings: PackedRings,
        features: Features = frozenset(),
        ring_bell: Callable[[], None] | None = None,
        tables: Tables | None = None,
        barrier: Barrier = no_barrier,
    ) -> None:
        super().__init__(cpu, rings.size, features, ring_bell, tables, barrier)
        self.rings = rings
        self.reset()

    def reset(self) -> list[Any]:
        """Begin anew, after the device was told to reset the queue: the tokens that it had."""
        lost = self.outstanding.clear()
        for gpa, length in self.rings.parts:
            self.cpu.write(gpa, bytes(length))
        self._free = Free(self.size)
        self.added = self.exposed = self.last_used = 0
        # The same three in buffers, of which each has one descriptor or more.
        self._given = self._shown = self._returned = 0
        self._first_flags = 0
        self._batch_end = self._batch_id = self._batch_written = 0
        self._stretch = many.STRETCH
        self.callbacks = True
        return lost

    @property
    def free(self) -> int:
        """Slots of the ring that are the driver's."""
        return self.size - (self.added - self.last_used)

    # -- to the device

    def add_buf(self, out: Iterable[Piece], in_: Iterable[Piece], token: Any) -> None:
        """Place one buffer: pieces that the device reads, then pieces that it writes.

        The device sees it after the next `kick`. `token` is whatever `get_buf` shall give back.
        `QueueFull` if there are not enough free slots; `ValueError` for no buffer at all.
        """
        pieces = elements(out, in_, self.size)
        table = self._table_for(pieces)
        slots = 1 if table else len(pieces)
        # There is space for the whole list before its first descriptor is made available (2.8.17).
        if slots > self.free:
            raise QueueFull(f"{slots} slots are needed, {self.free} are free")
        ident = self._free.take()
        if table:
            self._place(ident, [self._write_table(table.at(ident), pieces)])
        else:
            self._place(ident, pieces)
        room = sum(piece.length for piece in pieces if piece.flags & WRITE)
        self.outstanding.add(ident, self._given, Held(token, slots, room))
        self._given += 1

    def _place(self, ident: int, pieces: Sequence[Element]) -> None:
        """A descriptor a piece, from `added` on, each but the last with NEXT."""
        for number, piece in enumerate(pieces, 1):
            flags = piece.flags | avail_bits(wrap_at(self.added, self.size))
            if number < len(pieces):
                flags |= NEXT
            raw = _pack(piece.gpa, piece.length, ident, flags)
            if self.added == self.exposed:
                self._first_flags, raw = flags, raw[:FLAGS_AT]
            self.cpu.write(self.rings.desc_at(self.added), raw)
            self.added += 1

    def _add_many(self, pieces: Pieces, tokens: Sequence[Any]) -> int:
        return many.add_bufs(self, pieces, tokens)

    def kick(self) -> bool:
        """Expose what was added, and ring the bell if the device listens. Gives whether it rang."""
        count = self.added - self.exposed
        if not count:
            return False
        # Everything is in place before the flags say so (2.8.21.1.1).
        self.barrier(PackedOrder.LIST_THEN_FIRST_FLAGS)
        self.cpu.store(self.rings.desc_at(self.exposed) + FLAGS_AT, self._first_flags, 2)
        self.exposed, self._shown = self.added, self._given
        # Flags first, then the question, or the device stops listening in between (2.8.21.3.1).
        self.barrier(PackedOrder.FLAGS_THEN_DEVICE_EVENT)
        event = self.cpu.load(self.rings.device, 4)
        wanted = wants_event(event, self._exact, self.added, count, self.size)
        if wanted:
            self.ring_bell()
        return wanted

    @property
    def next_word(self) -> int:
        """Where the next descriptor will be made available, as NOTIFICATION_DATA says it (2.9)."""
        return to_word(self.exposed, self.size)

    def _write_table(self, gpa: int, pieces: Sequence[Element]) -> Element:
        """Put an indirect table at `gpa`; the element that refers to it. WRITE is its only flag."""
        raw = b"".join(_pack(piece.gpa, piece.length, 0, piece.flags) for piece in pieces)
        self.cpu.write(gpa, raw)
        return Element(gpa, len(raw), INDIRECT)

    # -- from the device

    def get_buf(self) -> Used | None:
        """The next buffer that the device has used; None if there is none.

        `DeviceBroken` if it gives back what it does not have. It is not believed to have written
        more bytes than it was given.
        """
        if self._returned == self._batch_end and not self._next_batch():
            return None
        ident = self.outstanding.at(self._returned) if self._in_order else self._batch_id
        held = self.outstanding.pop(ident)
        self._free.give(ident)
        self.last_used += held.slots
        self._returned += 1
        if self.callbacks and self._exact:
            self._listen()
        # In order, what stands before the last of a batch was written completely (2.8.8).
        written = held.room if self._returned < self._batch_end else self._batch_written
        return Used(held.token, min(written, held.room))

    def _get_many(self, most: int) -> tuple[list[Any], Ints]:
        return many.get_bufs(self, most)

    def _next_batch(self) -> bool:
        """Read the next used descriptor. In order it may stand for many buffers, else for one."""
        if not self._is_used_at(self.last_used):
            return False
        # The flags first, then what they vouch for.
        self.barrier(PackedOrder.USED_FLAGS_THEN_REST)
        raw = self.cpu.read(self.rings.desc_at(self.last_used) + LEN_AT, _used.size)
        written, ident = _used.unpack(raw)
        if ident not in self.outstanding or self.outstanding.age(ident) >= self._shown:
            raise DeviceBroken(f"used id {ident}, which the device does not have")
        # `len` is kept even without WRITE among the flags, which 2.8.4 tells drivers to ignore it
        # by: QEMU never sets that flag. What bounds it is the buffer's own room.
        last = self.outstanding.age(ident) if self._in_order else self._returned
        self._batch_end, self._batch_id, self._batch_written = last + 1, ident, written
        return True

    def _is_used_at(self, position: int) -> bool:
        """Whether the descriptor at `position` has been used in this lap."""
        flags = self.cpu.load(self.rings.desc_at(position) + FLAGS_AT, 2)
        return is_used(flags, wrap_at(position, self.size))

    # -- callbacks: whether an interrupt shall come

    def disable_cb(self) -> None:
        """Ask the device not to interrupt. It is a hint: one may still come."""
        self.callbacks = False
        self._say(event_word(DISABLE))

    def enable_cb(self) -> bool:
        """Ask for an interrupt again. False if buffers were used meanwhile: get them first."""
        self.callbacks = True
        self._listen()
        return self._returned == self._batch_end and not self._is_used_at(self.last_used)

    def _listen(self) -> None:
        """Ask for an interrupt when the next descriptor is used."""
        desc = to_word(self.last_used, self.size)
        self._say(event_word(EVENT_DESC, desc) if self._exact else event_word(ENABLE))
        # The wish first, then one more look: else a buffer used in between tells nobody (2.8.22).
        self.barrier(PackedOrder.DRIVER_EVENT_THEN_FLAGS)

    def _say(self, event: int) -> None:
        """Both words in one store, so that the device never sees one without the other."""
        self.cpu.store(self.rings.driver, event, 4)

    def _check(self) -> None:
        """What holds after every call, or it is a bug of ours."""
        assert self.last_used <= self.exposed <= self.added <= self.last_used + self.size
        keys = sorted([*self.outstanding.by_age(), *self._free.numbers()])
        assert keys == list(range(self.size))
        assert int(self.outstanding.slots.sum()) == self.added - self.last_used
        assert self._returned <= self._batch_end <= self._shown <= self._given
        assert self._given - self._returned == len(self.outstanding)
