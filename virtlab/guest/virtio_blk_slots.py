"""Requests of a virtio block device in flight: where each lies in RAM, and when it is done.

    heads   slot 0   type  reserved  sector | status | unused      SLOT, 32 bytes each
            slot 1   ...
    data    slot 0   `chunk` bytes
            slot 1   ...

The idea: a request needs memory until the device has answered. So there is a fixed number of slots,
each with a head, a status and room for data. A slot is taken, filled, given to the device, and free
again when the answer has been read. Neighbouring slots are written and read in one string move.

The rule that keeps it simple: the status byte is set to something that no device says before the
request goes out. So an answer that was never written is seen.

`submit` and `finish` work on arrays: types, sectors, lengths, slots. Source: virtio 1.3 5.2.6,
2.7.4.2 and 2.8.17 (what is read comes before what is written). Left out: several queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.cpu import Cpu, string_length
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import Queue
from virtlab.guest.virtqueue_books import Free, Ints
from virtlab.virtio.blk_layouts import REQUEST, SECTOR, BlkType
from virtlab.virtio.layouts import offset_of
from virtlab.wire import u8

Bools = npt.NDArray[np.bool_]

SLOT = np.dtype(
    [
        ("head", REQUEST),  # what the device reads
        ("status", u8),  # what it writes
        ("unused", u8, (15,)),  # so that slots lie on borders of 32 bytes
    ]
)
"""The head and the status of one request."""

STATUS_AT = offset_of(SLOT, "status")

UNANSWERED = 0xFF
"""A status that no device says."""

FROM_DEVICE = (BlkType.IN, BlkType.GET_ID, BlkType.GET_LIFETIME)
"""Types whose data the device writes; that of all others it reads."""


class Finished(NamedTuple):
    """Requests that are done: (n,) `slots`, (n,) `status`, (n,) bytes that the device `wrote`."""

    slots: Ints
    status: Ints
    wrote: Ints


class RequestSlots:
    """`count` slots of `chunk` bytes for `queue`, in `room`.

    Data goes out in pieces of at most `piece` bytes, which a device may limit (SIZE_MAX).
    `ValueError` if a request with a full slot has more pieces than the queue has entries, or if
    all slots together are more than one string move can carry.
    """

    def __init__(
        self, cpu: Cpu, queue: Queue, room: Room, count: int, chunk: int, piece: int
    ) -> None:
        pieces = -(-chunk // piece) + 2
        if pieces > queue.rings.size:
            raise ValueError(f"a queue of {queue.rings.size} has no room for {pieces} pieces")
        string_length(count * chunk)
        self.cpu = cpu
        self.queue = queue
        self.count = count
        self.chunk = chunk
        self.heads = room.take(count * SLOT.itemsize, SLOT.itemsize)
        self.data = room.take(count * chunk, SECTOR)
        self._cuts = np.arange(0, chunk, piece)
        self._piece = piece
        self.free = Free(count)

    @property
    def in_flight(self) -> int:
        """How many slots the device has."""
        return self.count - len(self.free)

    # -- to the device

    def submit(self, types: npt.ArrayLike, sectors: npt.ArrayLike, lengths: npt.ArrayLike) -> Ints:
        """Place the first of (n,) requests, as many as there is room for: their (m,) slots.

        `lengths` are the bytes of data, 0 for none. The device sees nothing before `kick`, so the
        data that it shall read can be `put` after this. `ValueError` if one is too long.
        """
        type_, sector, length = np.broadcast_arrays(types, sectors, lengths)
        self.check(length)
        n = min(len(length), len(self.free))
        if not n:
            return np.zeros(0, np.int64)
        slots = self.free.take_many(n)
        gpas, sizes, writes = self._pieces(slots, type_[:n], length[:n])
        real = sizes > 0
        starts = np.append(0, np.cumsum(real.sum(1)))
        placed = self.queue.add_bufs(
            gpas[real], sizes[real], slots.tolist(), write=writes[real], starts=starts
        )
        self.free.give_many(slots[placed:])
        self._write_heads(slots[:placed], type_[:placed], sector[:placed])
        return slots[:placed]

    def check(self, lengths: npt.ArrayLike) -> None:
        """`ValueError` if one of these is more bytes than a slot has."""
        longest = np.asarray(lengths, np.int64).max(initial=0)
        if longest > self.chunk:
            raise ValueError(f"a request has at most {self.chunk} bytes, not {longest}")

    def _pieces(self, slots: Ints, types: Ints, lengths: Ints) -> tuple[Ints, Ints, Bools]:
        """Address, bytes and direction of head, data and status, (n, pieces); 0 bytes are none."""
        head = (self.heads + slots * SLOT.itemsize)[:, None]
        data = self.data + slots[:, None] * self.chunk + self._cuts
        parts = np.clip(lengths[:, None] - self._cuts, 0, self._piece)
        ends = np.ones_like(head)
        comes = np.isin(types, FROM_DEVICE)[:, None]
        gpas = np.hstack((head, data, head + STATUS_AT))
        sizes: Ints = np.hstack((ends * REQUEST.itemsize, parts, ends))
        writes = np.hstack((ends < 0, np.broadcast_to(comes, data.shape), ends > 0))
        return gpas, sizes, writes

    def _write_heads(self, slots: Ints, types: Ints, sectors: Ints) -> None:
        table = np.zeros(len(slots), SLOT)
        table["head"]["type"], table["head"]["sector"] = types, sectors
        table["status"] = UNANSWERED
        for begin, end in runs(slots):
            at = self.heads + int(slots[begin]) * SLOT.itemsize
            self.cpu.write(at, table[begin:end].tobytes())

    def put(self, slots: Ints, data: Sequence[bytes]) -> None:
        """Write the data of (n,) requests; an empty one is passed over."""
        some = np.array([bool(piece) for piece in data], np.bool_)
        wanted, pieces = slots[some], [piece for piece in data if piece]
        for begin, end in runs(wanted):
            whole = b"".join(piece.ljust(self.chunk, b"\0") for piece in pieces[begin : end - 1])
            self.cpu.write(self.data_at(int(wanted[begin])), whole + pieces[end - 1])

    def kick(self) -> None:
        """Show the device what was placed."""
        self.queue.kick()

    # -- from the device

    def finish(self) -> Finished:
        """What the device has answered since the last time, in its order. The slots stay taken."""
        tokens, wrote = self.queue.get_bufs()
        slots = np.array(tokens, np.int64)
        if not tokens:
            return Finished(slots, slots, wrote)
        low, high = int(slots.min()), int(slots.max()) + 1
        raw = self.cpu.read(self.heads + low * SLOT.itemsize, (high - low) * SLOT.itemsize)
        status = np.frombuffer(raw, SLOT)["status"][slots - low].astype(np.int64)
        return Finished(slots, status, wrote)

    def get(self, slots: Ints, lengths: Ints) -> list[bytes]:
        """The data of (n,) requests, of (n,) bytes."""
        found: list[bytes] = []
        for begin, end in runs(slots):
            length = (end - begin - 1) * self.chunk + int(lengths[end - 1])
            raw = self.cpu.read(self.data_at(int(slots[begin])), length) if length else b""
            for at, size in enumerate(lengths[begin:end].tolist()):
                found.append(raw[at * self.chunk : at * self.chunk + size])
        return found

    def release(self, slots: Ints) -> None:
        """These slots are free again."""
        self.free.give_many(slots)

    def data_at(self, slot: int) -> int:
        """Where the data of a slot is."""
        return self.data + slot * self.chunk


def runs(numbers: Ints) -> Iterator[tuple[int, int]]:
    """The stretches `(begin, end)` of an array in which each number is one more than the last.

    >>> list(runs(np.array([4, 5, 6, 1, 3, 4])))
    [(0, 3), (3, 4), (4, 6)]
    """
    if len(numbers):
        cuts = (np.flatnonzero(np.diff(numbers) != 1) + 1).tolist()
        yield from zip([0, *cuts], [*cuts, len(numbers)], strict=True)
