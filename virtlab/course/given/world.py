"""What stands round a back-end of problem set 7: a ring's record, files that are memory, constants.

    files     [ file 0 ........ ][ file 1 ]       a front-end has sent them, both ends map them
    Mapped    read, write, load, store by gpa     where a gpa lies is asked of the student's `place`
    Ring      the record of problem set 4, and notes on the chains in flight

The idea: a student's back-end decides, and this is what it decides about. Nothing here knows what
is right.

The rule that keeps it simple: a file is anything that has bytes and a length: a mapped file of a
real front-end, or a bytearray of a case.

Source: vhost-user.rst, "Memory access"; virtio 1.3 2.7.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from virtlab.backends.disk import Storage
from virtlab.course.given.rings import DeviceSide, Written
from virtlab.errors import DmaFault, GuestError
from virtlab.memory import Dma
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split_chain import walk as library_walk
from virtlab.virtio.vhost_user.layouts import PROTOCOL_FEATURES, ProtocolFeature, Request
from virtlab.virtio.vhost_user.messages import FORMS

REQUESTS = {int(request): request.name for request in Request}
"""What each request of a front-end is called."""

ANSWERED = frozenset(int(request) for request, form in FORMS.items() if form.answered)
"""Requests that ask for something: their answer is due, whether it is asked for or not."""

OFFERED = frozenset(
    {
        *(Feature.VERSION_1, Feature.RING_EVENT_IDX, Feature.RING_INDIRECT_DESC),
        *(BlkFeature.FLUSH, BlkFeature.SEG_MAX, BlkFeature.BLK_SIZE, PROTOCOL_FEATURES),
    }
)
"""Bits that the back-end of task 5 offers."""

FEATURES = to_bits(OFFERED)
"""The same as a number: what GET_FEATURES answers."""

PROTOCOL = to_bits({ProtocolFeature.CONFIG, ProtocolFeature.REPLY_ACK})
"""What GET_PROTOCOL_FEATURES answers."""

QUEUE_SIZE = 128
"""Entries of its ring, at most."""

Region = tuple[int, int, int, int]
"""A row of a memory table: `guest, size, user, offset`."""

Piece = tuple[int, int, int]
"""A piece of memory: the number of a file, where in it, bytes."""

Place = Callable[[list[Region], int, int], list[Piece] | None]
"""The student's `place(regions, gpa, length)`."""


class Bytes(Protocol):
    """The bytes of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> Any: ...

    def __setitem__(self, index: slice, value: Any, /) -> None: ...


Files = Sequence[Bytes]
"""Files in the order of the table's rows."""


class Mapped:
    """Guest memory in `files`, one for each of `regions`; `place` says where a gpa lies."""

    def __init__(self, regions: list[Region], files: Files, place: Place) -> None:
        self.regions, self.files, self.place = regions, files, place

    def holds(self, gpa: int, length: int) -> bool:
        """Whether all of these bytes are memory."""
        return self.place(self.regions, gpa, length) is not None

    def read(self, gpa: int, length: int) -> bytes:
        """A copy of `length` bytes. `DmaFault` if they are not all memory."""
        pieces = self._pieces(gpa, length)
        return b"".join(bytes(self.files[n][at : at + size]) for n, at, size in pieces)

    def write(self, gpa: int, data: bytes) -> None:
        """Put `data` there. `DmaFault` as `read`."""
        done = 0
        for n, at, size in self._pieces(gpa, len(data)):
            self.files[n][at : at + size] = data[done : done + size]
            done += size

    def load(self, gpa: int, size: int) -> int:
        """The little-endian number of `size` bytes."""
        return int.from_bytes(self.read(gpa, size), "little")

    def store(self, gpa: int, size: int, value: int) -> None:
        """Put the low `size` bytes of `value` there."""
        self.write(gpa, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _pieces(self, gpa: int, length: int) -> list[Piece]:
        pieces = self.place(self.regions, gpa, length)
        if pieces is None:
            raise DmaFault("no memory there", gpa, length)
        if sum(size for _, _, size in pieces) != length:
            raise ValueError(f"place gives {pieces} for {length} bytes at {gpa:#x}")
        return pieces


@dataclass
class Ring(DeviceSide):
    """A device's end of a split queue, with notes on its chains.

    `notes` has `load(offset, size)` and `store(offset, size, value)`, or is None. `clock` is the
    number that the next chain gets in them.
    """

    notes: Any = None
    clock: int = 0


def ring_at(
    memory: Mapped, size: int, desc: int, avail: int, used: int, event_idx: bool = False
) -> Ring:
    """The record of a ring whose three parts are at these gpas, with its `walk`.

    A chain that breaks a rule is `"chain"`, one that is not all memory is `"memory"`.
    """
    rings = SplitRings(size, desc, avail, used)
    features = frozenset({int(Feature.VERSION_1), int(Feature.RING_INDIRECT_DESC)})

    def walk(head: int) -> list[Written] | str:
        try:
            chain = library_walk(cast(Dma, memory), rings, features, head)
        except GuestError:
            return "chain"
        if not all(memory.holds(buffer.addr, buffer.length) for buffer in chain.buffers):
            return "memory"
        return [(addr, length, write) for addr, length, write in chain.buffers]

    return Ring(desc, avail, used, size, event_idx, memory, walk)


def disk_config(disk: Storage) -> bytes:
    """The configuration of a block device for `disk`, as the driver reads it."""
    every = VirtioBlk(disk, queue_size=QUEUE_SIZE).features
    return VirtioBlk(disk, queue_size=QUEUE_SIZE, without=every - OFFERED).config
