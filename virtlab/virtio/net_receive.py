"""A network device's receive queue: from a frame on the wire to the driver's buffers.

    without MRG_RXBUF   [ header, frame .................. ]            one buffer, large enough
    with it             [ header, frame .. ][ .......... ][ ..... ]     as many as it takes

The idea: frames come when they come, and buffers lie there when the driver gets to it. So frames
wait here, in order and bounded. A buffer that was taken but does not suffice yet is held, and is
the first to be used later.

The rule that keeps it simple: a frame is put into buffers whole, or not at all. All its buffers are
given back together, each but the last one full (5.1.6.4.1).

`_put` is the reference. `_put_many` moves a batch of frames of which each fits into one buffer of
one piece; the first that is not so ends it.
Source: virtio 1.3 5.1.6.3, 5.1.6.4, 2.7.4.1. Left out: hashes, checksums left to the driver.
"""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from virtlab.backends.frames import Bytes, Frames
from virtlab.errors import GuestError
from virtlab.memory import GuestMemory
from virtlab.virtio.batch import Batch
from virtlab.virtio.batch_checks import first
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Features
from virtlab.virtio.net_layouts import HEADER, NetFeature, header_bytes
from virtlab.virtio.net_places import Places

FEW = 5
"""Below so many frames they go one by one."""


class Receiver:
    """The frames that wait for one receive queue, at most `limit`; `counts` has what is dropped."""

    def __init__(self, limit: int, counts: Counter[str]) -> None:
        self.limit = limit
        self.counts = counts
        self.waiting: deque[Frames] = deque()
        self.held: deque[Chain] = deque()
        self.stopped = False

    def clear(self) -> None:
        """Forget everything: the device was reset."""
        self.waiting.clear()
        self.held.clear()
        self.stopped = False

    def stop(self) -> None:
        """The queue was reset: forget its buffers. What waits is lost with it."""
        self.waiting.clear()
        self.held.clear()
        self.stopped = True

    # -- frames

    def __len__(self) -> int:
        """How many frames wait."""
        return sum(map(len, self.waiting))

    def add(self, frames: Frames) -> None:
        """These came in behind all others. Call `trim` when the queue has had its turn."""
        self.waiting.append(frames)

    def trim(self) -> None:
        """Drop the last frames that came, as many as are too many."""
        excess = len(self) - self.limit
        if excess > 0:
            self.counts["dropped: no buffer"] += excess
        while excess > 0:
            last = self.waiting.pop()
            if len(last) > excess:
                self.waiting.append(last.cut(0, len(last) - excess))
            excess -= len(last)

    def _passed(self, count: int) -> None:
        """The first `count` frames of the first batch are done."""
        frames = self.waiting.popleft()
        if count < len(frames):
            self.waiting.appendleft(frames.cut(count, len(frames)))

    # -- buffers

    def handle(self, queue: Queue) -> None:
        """Put frames into buffers while there are both. `GuestError` for what is no buffer."""
        self.stopped = False
        while self.waiting:
            frames, count = self.waiting[0], 0
            many = len(frames) >= FEW and not self.held
            if many and isinstance(queue.dma, GuestMemory):
                count = self._put_many(queue, queue.dma, frames)
            if (not count and not self.held) or self.held:
                count += self._put(queue, next(iter(frames.cut(count, count + 1))))
            if not count:
                return
            self._passed(count)

    def _put(self, queue: Queue, frame: bytes) -> int:
        """Put one frame into buffers: 1 if it is done with, 0 if it has to wait."""
        size = header_bytes(queue.features)
        merge = NetFeature.MRG_RXBUF in queue.features
        count = self._gather(queue, size + len(frame), merge)
        if count is None:
            return 0
        room = sum(chain.writable for chain in list(self.held)[:count])
        if room < size + len(frame):
            self.counts["dropped: too long"] += 1
            return 1
        data = header_of(queue.features, count) + frame
        chains = [self.held.popleft() for _ in range(count)]
        written = []
        for chain in chains:
            written.append(chain.write(queue.dma, data))
            data = data[written[-1] :]
        _give_back(queue, chains, written)
        self.counts["received"] += 1
        return 1

    def _gather(self, queue: Queue, total: int, merge: bool) -> int | None:
        """Hold buffers until `total` bytes fit, or one without `merge`: how many are needed.

        None if the driver has to add more first. Where it cannot, since all of the queue is held,
        what there is has to be enough.
        """
        count = room = 0
        while not count or (merge and room < total):
            if count == len(self.held):
                chain = queue.pop()
                if chain is None:
                    full = sum(held.slots for held in self.held) >= queue.size
                    return count if full else None
                self.held.append(chain)
            room += self._checked(self.held[count], queue.features)
            count += 1
        return count

    def _checked(self, chain: Chain, features: Features) -> int:
        """The bytes that it has room for."""
        # Each buffer MUST be at least the size of the header.
        if chain.writable < header_bytes(features):
            why = f"a receive buffer of {chain.writable} bytes"
            raise GuestError(why, "virtio 1.3 5.1.6.3.1")
        return chain.writable

    # -- many

    def _put_many(self, queue: Queue, memory: GuestMemory, frames: Frames) -> int:
        """Put the first of `frames` into one buffer each: how many. Buffers left over are held."""
        batch = queue.pop_many(len(frames))
        size, n = header_bytes(queue.features), len(batch)
        if n and frames.size and _put_alike(batch, memory, frames, header_of(queue.features, 1)):
            queue.push_many(batch, np.full(n, size + frames.size))
            self.counts["received"] += n
            return n
        lengths = frames.cut(0, n).lengths + size
        good = n
        if len(batch.offset) != n:
            good = first(np.diff(batch.starts) != 1)
        head = batch.first(good)
        good = first(~head.write | (head.length < lengths[:good]))
        if good:
            ready = frames.cut(0, good)
            _scatter(memory.bytes, batch, ready, header_of(queue.features, 1))
        rest = [chain_at(batch, number, memory) for number in range(good, n)]
        if good:
            queue.push_many(batch if good == n else batch.first(good), lengths[:good])
            self.counts["received"] += good
        self.held.extend(rest)
        return good


def _put_alike(batch: Batch, memory: GuestMemory, frames: Frames, header: bytes) -> bool:
    """Put frames of one length into all of `batch`. False, and nothing done, if one does not fit.

    Each buffer is one piece.
    """
    places, table = Places.of(batch, memory.bytes), frames.cut(0, len(batch)).table
    if table is None or not (places.alone and places.writable):
        return False
    if places.least < len(header) + frames.size:
        return False
    places.write(0, np.frombuffer(header, np.uint8)[None])
    places.write(len(header), table)
    return True


def header_of(features: Features, buffers: int) -> bytes:
    """The header before a frame that is all there, in so many buffers."""
    header = np.zeros((), HEADER)
    header["num_buffers"] = buffers
    return header.tobytes()[: header_bytes(features)]


def _give_back(queue: Queue, chains: list[Chain], written: list[int]) -> None:
    """All buffers of a packet at once, so that the driver sees them together."""
    if len(chains) > 1 and isinstance(queue.dma, GuestMemory):
        heads = np.array([chain.head for chain in chains], np.int64)
        queue.push_many(heads, np.array(written, np.int64))
    else:
        for chain, length in zip(chains, written, strict=True):
            queue.push(chain, length)


def _scatter(memory: Bytes, batch: Batch, frames: Frames, header: bytes) -> None:
    """Write `header` and a frame to the first buffers of `batch`, each of one piece."""
    n, size = len(frames), len(header)
    table = frames.table
    if table is None:
        view = memory.data
        for offset, frame in zip(batch.offset[:n].tolist(), frames, strict=True):
            view[offset : offset + size + len(frame)] = header + frame
        return
    length = size + table.shape[1]
    packets = np.empty((n, length), np.uint8)
    packets[:, :size] = np.frombuffer(header, np.uint8)
    packets[:, size:] = table
    kind = np.dtype(f"V{length}")
    anywhere = np.ndarray((len(memory) - length + 1,), kind, memory, strides=(1,))
    anywhere[batch.offset[:n]] = packets.view(kind)[:, 0]


def chain_at(batch: Batch, number: int, memory: GuestMemory) -> Chain:
    """Chain `number` of a batch as a `Chain`: its buffers by address again."""
    pieces = slice(int(batch.starts[number]), int(batch.starts[number + 1]))
    buffers = tuple(
        Buffer(_gpa(memory, offset), length, write)
        for offset, length, write in zip(
            batch.offset[pieces].tolist(),
            batch.length[pieces].tolist(),
            batch.write[pieces].tolist(),
            strict=True,
        )
    )
    return Chain(int(batch.heads[number]), buffers, int(batch.slots[number]))


def _gpa(memory: GuestMemory, offset: int) -> int:
    """The address of what lies at `offset` in `memory.bytes`."""
    region = next(each for each in reversed(memory.regions) if each.offset <= offset)
    return region.start + offset - region.offset
