"""A block device that keeps each request, and the way to make a kept one again.

    Linux --> ring --> NotedBlk --> the same request, in memory of its own --> VirtioBlk
                          |
                          `--> note(ChainNote)

The idea: a guest may change a buffer while the device works. So a request is copied out once, done
on the copy, and its answer copied back. What is noted is then what was done, to the byte, and
`again` does the very same with a note from a tape.

The rule that keeps it simple: this device is for watching. It is right, and slower than
`VirtioBlk`, whose own path it leaves alone.

Source: virtio 1.3 5.2.6. Left out of the notes: requests larger than any that Linux makes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from virtlab.backends.disk import Disk
from virtlab.errors import GuestError
from virtlab.hosts.tape_moments import NOTED, ChainNote
from virtlab.memory import GuestMemory, flat
from virtlab.virtio.batch import Batch
from virtlab.virtio.blk import Agreed, VirtioBlk
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features


class Answer(NamedTuple):
    """What a device did with a request: all its writable bytes, and how many it says it wrote."""

    data: bytes
    written: int

    @property
    def status(self) -> int:
        """How it went: the last byte."""
        return self.data[-1]

    @property
    def checksum(self) -> int:
        """What a note has of it."""
        return zlib.crc32(self.data)


class Differs(Exception):
    """A request from a tape got another answer than it did then."""


def ask(device: VirtioBlk, data: bytes, writable: int, features: Features) -> Answer:
    """Let `device` do a request of `data`, with room for `writable` bytes, in memory of its own.

    `GuestError` if it is none.
    """
    size = max(1, len(data) + writable)
    memory = GuestMemory(size, np.zeros(size, np.uint8))
    memory.write(0, data)
    pieces = [Buffer(0, len(data), False), Buffer(len(data), writable, True)]
    chain = Chain(0, tuple(piece for piece in pieces if piece.length), 1)
    written = device.answer(chain, Agreed(memory, features))
    return Answer(memory.read(len(data), writable), written)


def again(device: VirtioBlk, note: ChainNote) -> Answer:
    """Make a noted request again, with every feature that `device` offers.

    `Differs` if the answer is another one.
    """
    answer = ask(device, note.data, note.writable, device.features | {Feature.VERSION_1})
    check(note, answer)
    return answer


def check(note: ChainNote, answer: Answer) -> None:
    """`Differs` unless `answer` is the one that was noted."""
    was, now = (note.status, note.written), (answer.status, answer.written)
    if was != now:
        raise Differs(f"status and bytes written are {now}, and were {was}: {_named(note)}")
    if note.answer != answer.checksum:
        raise Differs(f"other bytes came back: {_named(note)}")


def _named(note: ChainNote) -> str:
    sizes = " ".join(f"{length}{'w' if write else 'r'}" for length, write in note.pieces)
    return f"the request of head {note.head}, {sizes}, {note.data[:16].hex()}"


class NotedBlk(VirtioBlk):
    """A `VirtioBlk` that calls `note` for each request. `unnoted` counts those that are too large.

    It takes what waits as one batch.
    """

    def __init__(
        self, disk: Disk, note: Callable[[ChainNote], None], queue_size: int = 256
    ) -> None:
        super().__init__(disk, queue_size=queue_size)
        self.note = note
        self.unnoted = 0

    def handle(self, index: int, queue: Queue) -> None:
        """See `VirtioBlk`: the same answers, and each is noted."""
        left = queue.size
        while left > 0 and len(batch := queue.pop_many(left)):
            left -= len(batch)
            self._answer_all(index, batch, queue)

    def _answer_all(self, index: int, batch: Batch, queue: Queue) -> None:
        memory = flat(queue.dma).bytes
        agreed = Agreed(GuestMemory(len(memory), memory), queue.features)
        written: list[int] = []
        try:
            for chain in chains_of(batch):
                written.append(self._noted(index, chain, agreed))
        except GuestError:
            queue.push_many(batch.first(len(written)), np.array(written, np.int64))
            raise
        queue.push_many(batch, np.array(written, np.int64))

    def _noted(self, index: int, chain: Chain, agreed: Agreed) -> int:
        if chain.readable + chain.writable > NOTED:
            self.unnoted += 1
            return self.answer(chain, agreed)
        data = chain.read(agreed.dma)
        answer = ask(self, data, chain.writable, agreed.features)
        chain.write(agreed.dma, answer.data[: answer.written])
        chain.write(agreed.dma, answer.data[-1:], chain.writable - 1)
        pieces = tuple((buffer.length, buffer.write) for buffer in chain.buffers)
        facts = answer.written, answer.status, answer.checksum
        self.note(ChainNote(index, chain.head, pieces, data, *facts))
        return answer.written


def chains_of(batch: Batch) -> Iterator[Chain]:
    """The chains of `batch`, with offsets where else addresses are."""
    columns: Sequence[list[int]] = [
        column.tolist() for column in (batch.offset, batch.length, batch.write)
    ]
    buffers = [Buffer(offset, length, bool(w)) for offset, length, w in zip(*columns, strict=True)]
    starts = batch.starts.tolist()
    for number, head in enumerate(batch.heads.tolist()):
        inside = buffers[starts[number] : starts[number + 1]]
        yield Chain(head, tuple(inside), int(batch.slots[number]))
