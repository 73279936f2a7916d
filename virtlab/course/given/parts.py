"""Parts of problem sets 4 and 5, from the library: for who would rather not bring their own.

    pop, push, should_interrupt     problem set 4, on a record `q`     the library's `SplitQueue`
    answer                          problem set 5, task 5              the library's `VirtioBlk`

The idea: problem set 7 builds on earlier answers. Whoever has none builds on the library, through
the same functions: a record goes in, its counts move.

The rule that keeps it simple: nothing is decided here. The library's queue is put where the record
says, does its work, and its counts go back.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import cast

from virtlab.backends.disk import Storage
from virtlab.course.given.rings import DeviceSide, Written
from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.blk import Agreed, VirtioBlk
from virtlab.virtio.blk_layouts import BlkFeature
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

WORDS = {"virtio 1.3 2.7.6.1": "idx", "virtio 1.3 2.7.6": "head"}
"""What a pop is refused for, by the clause that says so."""

AGREED = frozenset({int(Feature.VERSION_1), int(BlkFeature.FLUSH)})


class _Refused(Exception):
    """A walk gave a word."""


class _Queue(SplitQueue):
    """The library's queue where the record `q` says, as far as that is."""

    def __init__(self, q: DeviceSide) -> None:
        super().__init__(q.memory)
        features = frozenset({int(Feature.RING_EVENT_IDX)} if q.event_idx else ())
        self.enable(SplitRings(q.size, q.desc, q.avail, q.used), features)
        self.q = q
        self.last_avail, self.used, self.signalled = q.last_avail, q.pushed, q.pushed
        self.listening = False  # the doorbell is the student's business

    def peek(self, position: int) -> Chain:
        """What the record's `walk` makes of the entry at `position`."""
        head = self._load(self.rings.avail_at(position))
        if head >= self.size:
            raise GuestError(f"head {head} in a queue of {self.size}", "virtio 1.3 2.7.6")
        found = self.q.walk(head) if self.q.walk else []
        if isinstance(found, str):
            raise _Refused(found)
        return Chain(head, tuple(Buffer(*one) for one in found), 1)


def pop(q: DeviceSide) -> tuple[int, list[Written]] | str | None:
    """Take the next chain; None if there is none, a word if it is refused (ps4.q4)."""
    try:
        queue = _Queue(q)
        if not queue.available():
            return None
        chain = queue.peek(q.last_avail)
    except GuestError as error:
        return WORDS.get(error.spec, "ring")
    except _Refused as refused:
        return str(refused)
    q.last_avail += 1
    q.in_flight += 1
    return chain.head, [(addr, length, write) for addr, length, write in chain.buffers]


def push(q: DeviceSide, head: int, written: int) -> None:
    """Give a chain back to the driver (ps4.q5)."""
    room = Buffer(0, written, True)
    _Queue(q).push(Chain(head, (room,), 1), written)
    q.pushed += 1
    q.in_flight -= 1


def should_interrupt(q: DeviceSide, old: int) -> bool:
    """Whether the driver is told, after the index went on from `old` (ps4.q6)."""
    if q.pushed == old:
        return False
    queue = _Queue(q)
    queue.signalled = old
    return queue.should_notify()


def answer(buffers: list[Written], memory: Dma, disk: Storage, name: bytes) -> int | str:
    """Do what a request asks for: how many bytes are written, or `"broken"` (ps5.q5)."""
    chain = Chain(0, tuple(Buffer(*one) for one in buffers), 1)
    device = _device(cast(Hashable, disk), name)
    try:
        return device.answer(chain, Agreed(memory, AGREED))
    except GuestError:
        return "broken"


@lru_cache(maxsize=1)
def _device(disk: Hashable, name: bytes) -> VirtioBlk:
    """The device in front of a disk: made once, and not for each request."""
    return VirtioBlk(cast(Storage, disk), name.decode("ascii"))
