"""The packets of a network driver in memory: buffers that go out, and buffers that are filled.

    transmit   slot 0  [ header | frame ..... ]     out, and free again when the device has it
               slot 1  [ header | frame .. ]
    receive    slot 0  [ header | frame ....... ]   always with the device, but while it is read
               slot 1  [ ... the rest of it ]       with MRG_RXBUF

The idea: each direction has a fixed number of slots of one size, side by side. So many packets are
one string move, and a packet is one buffer of the ring.

The rule that keeps it simple: what comes in is copied out, and its slot goes back at once, in the
order in which it came. A device finds buffers as long as anybody looks.

Source: virtio 1.3 5.1.6.2, 5.1.6.3, 5.1.6.4. Left out: packets that take several slots on their way
out; segments that are left to the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from virtlab.cpu import Cpu, string_length
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk_slots import runs
from virtlab.guest.virtio_device import Queue
from virtlab.guest.virtqueue import DeviceBroken
from virtlab.guest.virtqueue_books import Free, Ints
from virtlab.virtio.net_layouts import HEADER, NUM_BUFFERS_AT, HeaderFlag

ALIGN = 64
"""Slots begin on such borders."""


ALONE = b"\x01\x00"
"""`num_buffers` of a packet that is in one buffer."""


class Offload(NamedTuple):
    """What the device shall do to a frame: sum from `start` on, put it `offset` behind (CSUM)."""

    start: int
    offset: int


class Packet(NamedTuple):
    """A frame that came in, and `flags` and `gso_type` of its header."""

    frame: bytes
    flags: int = 0
    gso_type: int = 0


class _Slots:
    """`count` slots of `size` bytes in `room`, for `queue`, each packet behind a `header`."""

    def __init__(
        self, cpu: Cpu, queue: Queue, room: Room, count: int, size: int, header: int
    ) -> None:
        if count <= 0 or size <= header:
            raise ValueError(f"slots of more than {header} bytes, not {count} of {size}")
        string_length(count * size)
        self.cpu, self.queue = cpu, queue
        self.count, self.size, self.header = count, size, header
        self.base = room.take(count * size, ALIGN)
        self.free = Free(count)

    def at(self, slots: Ints) -> Ints:
        """(n,) where these slots are."""
        return self.base + slots * self.size


class TransmitRing(_Slots):
    """Slots whose packets go out."""

    def reclaim(self) -> int:
        """Take back what the device has sent: how many slots are free now."""
        while True:
            tokens, _ = self.queue.get_bufs()
            if not tokens:
                return len(self.free)
            self.free.give_many(np.array(tokens, np.int64))

    def send(self, frames: Sequence[bytes], offload: Offload | None = None) -> int:
        """Give the first of `frames` to the device, as many as there is room for: how many.

        `offload` is the same for all. `ValueError` for a frame that a slot cannot hold.
        """
        longest = max(map(len, frames), default=0)
        if longest > self.size - self.header:
            raise ValueError(f"a frame has at most {self.size - self.header} bytes, not {longest}")
        n = min(len(frames), self.reclaim())
        if not n:
            return 0
        slots = self.free.take_many(n)
        lengths = np.array([self.header + len(frame) for frame in frames[:n]], np.int64)
        placed = self.queue.add_bufs(self.at(slots), lengths, slots.tolist())
        self.free.give_many(slots[placed:])
        self._write(slots[:placed], frames[:placed], self._head(offload))
        self.queue.kick()
        return placed

    def _head(self, offload: Offload | None) -> bytes:
        head = np.zeros((), HEADER)
        if offload is not None:
            head["flags"] = HeaderFlag.NEEDS_CSUM
            head["csum_start"], head["csum_offset"] = offload
        return head.tobytes()[: self.header]

    def _write(self, slots: Ints, frames: Sequence[bytes], head: bytes) -> None:
        for begin, end in runs(slots):
            packets = [head + frame for frame in frames[begin:end]]
            filled = [packet.ljust(self.size, b"\0") for packet in packets[:-1]]
            self.cpu.write(int(self.at(slots[begin])), b"".join([*filled, packets[-1]]))


class ReceiveRing(_Slots):
    """Slots that are filled. With `merge` a packet may lie in several."""

    def __init__(
        self, cpu: Cpu, queue: Queue, room: Room, count: int, size: int, header: int, merge: bool
    ) -> None:
        super().__init__(cpu, queue, room, count, size, header)
        self.merge = merge
        self._parts: list[bytes] = []
        self._wanted = 0

    def fill(self) -> int:
        """Give all free slots to the device: how many."""
        n = len(self.free)
        if not n:
            return 0
        slots = self.free.take_many(n)
        placed = self._add(slots)
        self.free.give_many(slots[placed:])
        return placed

    def _add(self, slots: Ints) -> int:
        lengths = np.full(len(slots), self.size)
        placed = self.queue.add_bufs(self.at(slots), lengths, slots.tolist(), write=True)
        self.queue.kick()
        return placed

    def receive(self) -> list[Packet]:
        """The packets that came since the last time, in order. Their slots go back.

        `DeviceBroken` for a packet without a header, or of a number of buffers that cannot be.
        """
        tokens, written = self.queue.get_bufs()
        if not tokens:
            return []
        slots = np.array(tokens, np.int64)
        pieces = self._read(slots, written)
        placed = self._add(slots)
        self.free.give_many(slots[placed:])
        if not self._parts and all(map(self._alone, pieces)):
            return [Packet(piece[self.header :], piece[0], piece[1]) for piece in pieces]
        found = [self._packet(piece) for piece in pieces]
        return [packet for packet in found if packet is not None]

    def _alone(self, piece: bytes) -> bool:
        """Whether it is a whole packet."""
        count = piece[NUM_BUFFERS_AT : HEADER.itemsize]
        return len(piece) >= self.header and (not self.merge or count == ALONE)

    def _read(self, slots: Ints, written: Ints) -> list[bytes]:
        """What was written to each of these slots."""
        found: list[bytes] = []
        for begin, end in runs(slots):
            length = (end - begin - 1) * self.size + int(written[end - 1])
            raw = self.cpu.read(int(self.at(slots[begin])), length) if length else b""
            for at, size in enumerate(written[begin:end].tolist()):
                found.append(raw[at * self.size : at * self.size + size])
        return found

    def _packet(self, piece: bytes) -> Packet | None:
        """The packet that ends with this piece; None if more belongs to it."""
        if not self._parts:
            self._wanted = self._buffers(piece)
        self._parts.append(piece)
        if len(self._parts) < self._wanted:
            return None
        whole = b"".join(self._parts)
        self._parts.clear()
        return Packet(whole[self.header :], whole[0], whole[1])

    def _buffers(self, piece: bytes) -> int:
        """How many buffers the packet is in that begins with `piece`."""
        if len(piece) < self.header:
            raise DeviceBroken(f"a packet of {len(piece)} bytes: no header")
        if not self.merge:
            return 1
        count = int.from_bytes(piece[NUM_BUFFERS_AT : self.header], "little")
        if not 1 <= count <= self.count:
            raise DeviceBroken(f"a packet in {count} of {self.count} buffers")
        return count
