"""The block device: a disk whose requests are chains.

    readable   [ type, reserved, sector ][ data of a write ............ ]
    writable                              [ data of a read ..... ][ status ]
                16 bytes                   whole sectors            1 byte

The idea: one chain says all of it. The device reads the head, moves the data straight between
the disk and the guest's buffers, and writes one byte at the very end: how it went.

The rule that keeps it simple: what is wrong with a *request* is answered in its status, and the
device goes on. Only a chain that is no request at all, with no room for head or status, breaks it.

The used length counts what is written without a gap from the first byte on. After a read that
failed that is nothing, though the status is there: 2.7.8.2 prefers too small a number to a lie.

`answer` serves one request. `blk_many` serves a batch of them, if the disk is one array.
Source: virtio 1.3 5.2.2 to 5.2.6.3, 2.7.8.2. Left out: LIFETIME, SECURE_ERASE, ZONED, SCSI.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple, cast

import numpy as np

from virtlab.backends.disk import FlatStorage, Storage, ThinStorage
from virtlab.errors import GuestError
from virtlab.memory import Bytes, Dma, Flat, GuestMemory, is_flat
from virtlab.virtio.batch import WHOLE, Batch
from virtlab.virtio.blk_config import BlkShape
from virtlab.virtio.blk_few import few
from virtlab.virtio.blk_layouts import (
    FLUSH_OUT,
    ID_BYTES,
    REQUEST,
    SECTOR,
    SEGMENT,
    UNMAP,
    BlkFeature,
    BlkStatus,
    BlkType,
)
from virtlab.virtio.blk_many import FEW, Requests, Shape, Target, answer_many
from virtlab.virtio.blk_move import SLAB
from virtlab.virtio.blk_plan import Plan
from virtlab.virtio.blk_segments import Limits, discard, write_zeroes
from virtlab.virtio.blk_session import BlkSession
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import DeviceId

_HEAD = packer(REQUEST)
_STATUS_BYTES = 1


class Agreed(NamedTuple):
    """What serving a request depends on: where its buffers are, and what was negotiated."""

    dma: Dma
    features: Features


class VirtioBlk(BlkSession):
    """A block device in front of `disk`. `name` is what GET_ID gives, up to 20 bytes of ASCII.

    `queues` request queues of `queue_size` at most; `shape` is what it says of itself; features in
    `without` are not offered. `ValueError` for what may not be offered so.
    """

    device_id: ClassVar[int] = DeviceId.BLOCK

    def __init__(
        self,
        disk: Storage,
        name: str = "virtlab",
        queue_size: int = 256,
        *,
        queues: int = 1,
        shape: BlkShape | None = None,
        without: Iterable[int] = (),
    ) -> None:
        super().__init__(disk, shape or BlkShape(), [queue_size] * queues, without)
        self.name = name.encode("ascii")
        if len(self.name) > ID_BYTES:
            raise ValueError(f"a disk's name has at most {ID_BYTES} bytes, not {len(self.name)}")
        self._flat = isinstance(disk, FlatStorage)
        self._alone = True  # whether it may be that few wait
        self._shape: Shape | None = None
        self._offsets: GuestMemory | None = None

    # -- queues

    def handle(self, index: int, queue: Queue) -> None:
        """Answer what waits, in order; many of them as a batch, if memory and disk are arrays.

        `GuestError` for a chain that is no request, behind the answers of all before it.
        """
        # There is one queue if MQ is not negotiated. An empty one more does no harm.
        if index and BlkFeature.MQ not in queue.features and queue.available():
            raise GuestError(f"request queue {index} without MQ", "virtio 1.3 5.2.2")
        dma = queue.dma
        if not self._flat or not is_flat(dma):
            super().handle(index, queue)
            return
        left = queue.size
        while left > 0 and self._alone and few(queue):
            chain = queue.pop()
            if chain is None:
                return
            queue.push(chain, self.serve(chain, queue))
            left -= 1
        while left > 0 and len(batch := queue.pop_many(left)):
            self._serve_many(batch, queue, dma)
            left -= len(batch)
            # Who gets many does not ask again, until a batch was a small one.
            self._alone = len(batch) < FEW

    def _serve_many(self, batch: Batch, queue: Queue, dma: Flat) -> None:
        plan, words = batch.note, None
        if isinstance(plan, Plan):
            if self._again(plan, queue):
                queue.push_many(batch, WHOLE)
                return
            words = plan.words
        target, shape = self._target(queue.features, dma.bytes), self._shape
        requests = Requests.of(batch, target, shape, words)
        if shape is None or requests.plain is not shape.all:
            self._shape = requests.shape() or shape
        written, done = np.zeros(len(batch), np.int64), 0
        try:
            for number in answer_many(requests, target, written):
                done = number
        except GuestError:
            queue.push_many(batch.first(done), written[:done])
            raise
        queue.push_many(batch, written)
        if words is None:
            batch.note = self if plan is None else Plan.of(requests, target.memory) or self

    def _again(self, plan: Plan, queue: Queue) -> bool:
        """Serve the requests of a batch that is known; False if one is otherwise now."""
        disk = cast(FlatStorage, self.disk)
        there = disk.array()
        index = plan.read(there)
        if index is None or (plan.writes and disk.read_only):
            return False
        plan.move(there, index)
        plan.say(self._settle(queue.features) if plan.writes else BlkStatus.OK)
        return True

    def _target(self, features: Features, memory: Bytes) -> Target:
        """Both arrays. For what is served alone the offsets of a batch are addresses."""
        if self._offsets is None or self._offsets.bytes is not memory:
            self._offsets = GuestMemory(len(memory), memory)
        agreed = Agreed(self._offsets, features)
        return Target(
            memory,
            cast(FlatStorage, self.disk).array(),
            not self.disk.read_only,
            lambda: self._settle(features),
            lambda chain: self.answer(chain, agreed),
        )

    # -- requests

    def serve(self, chain: Chain, queue: Queue) -> int:
        """Do one request, and write how it went. `GuestError` if it is none."""
        return self.answer(chain, Agreed(queue.dma, queue.features))

    def answer(self, chain: Chain, agreed: Agreed) -> int:
        """The same, for a chain of no queue; gives the bytes that are written."""
        # A request has a head to read, and a status to write.
        if chain.readable < _HEAD.size or chain.writable < _STATUS_BYTES:
            why = f"a request of {chain.readable} bytes to read, {chain.writable} to write"
            raise GuestError(why, "virtio 1.3 5.2.6")
        kind, _, sector = _HEAD.unpack(chain.read(agreed.dma, 0, _HEAD.size))
        try:
            status, written = self._do(chain, agreed, kind, sector)
        except OSError:  # the host's medium failed, which is no fault of the guest
            status, written = BlkStatus.IOERR, 0
        return _finish(chain, agreed.dma, status, written)

    def _do(self, chain: Chain, agreed: Agreed, kind: int, sector: int) -> tuple[BlkStatus, int]:
        """How it went, and how many of the bytes before the status are written."""
        match kind:
            case BlkType.IN:
                return self._read(chain, agreed.dma, sector)
            case BlkType.OUT:
                return self._write(chain, agreed, sector), 0
            case BlkType.FLUSH:
                return self._flush(), 0
            case _ if kind == FLUSH_OUT and Feature.VERSION_1 not in agreed.features:
                return self._flush(), 0
            case BlkType.GET_ID:
                room = chain.writable - _STATUS_BYTES
                name = self.name.ljust(ID_BYTES, b"\0")[:room]
                return BlkStatus.OK, chain.write(agreed.dma, name)
            case BlkType.DISCARD if BlkFeature.DISCARD in agreed.features:
                return self._discard(chain, agreed.dma), 0
            case BlkType.WRITE_ZEROES if BlkFeature.WRITE_ZEROES in agreed.features:
                return self._write_zeroes(chain, agreed), 0
        return BlkStatus.UNSUPP, 0

    def _read(self, chain: Chain, dma: Dma, sector: int) -> tuple[BlkStatus, int]:
        length = chain.writable - _STATUS_BYTES
        if not self._holds(sector, length):
            return BlkStatus.IOERR, 0
        for offset, size in _slabs(length):
            data = self.disk.read(sector + offset // SECTOR, size // SECTOR)
            chain.write(dma, data, offset)
        return BlkStatus.OK, length

    def _write(self, chain: Chain, agreed: Agreed, sector: int) -> BlkStatus:
        length = chain.readable - _HEAD.size
        # A device that offers RO MUST answer IOERR to a write, and MUST NOT write any data.
        if self.disk.read_only or not self._holds(sector, length):
            return BlkStatus.IOERR
        for offset, size in _slabs(length):
            data = chain.read(agreed.dma, _HEAD.size + offset, size)
            self.disk.write(sector + offset // SECTOR, data)
        return self._settle(agreed.features)

    def _flush(self) -> BlkStatus:
        self.disk.flush()
        return BlkStatus.OK

    def _settle(self, features: Features) -> BlkStatus:
        """Before writes are completed: a stable one MUST be on the medium by then (5.2.6.2)."""
        if not self._volatile(features):
            try:
                self.disk.flush()
            except OSError:
                return BlkStatus.IOERR
        return BlkStatus.OK

    def _discard(self, chain: Chain, dma: Dma) -> BlkStatus:
        shape = self.shape
        limits = Limits(shape.max_discard_seg, shape.max_discard_sectors, 0)
        return discard(cast(ThinStorage, self.disk), _segments(chain, dma, limits), limits)

    def _write_zeroes(self, chain: Chain, agreed: Agreed) -> BlkStatus:
        shape = self.shape
        limits = Limits(shape.max_write_zeroes_seg, shape.max_write_zeroes_sectors, UNMAP)
        status = write_zeroes(self.disk, _segments(chain, agreed.dma, limits), limits)
        return self._settle(agreed.features) if status == BlkStatus.OK else status

    def _holds(self, sector: int, length: int) -> bool:
        """Whether `length` bytes are whole sectors, and all on the disk from `sector` on."""
        return length % SECTOR == 0 and sector + length // SECTOR <= self.disk.sectors


def _segments(chain: Chain, dma: Dma, limits: Limits) -> bytes:
    """The data of a discard or write zeroes, and no more of it than shows that it is too long."""
    return chain.read(dma, _HEAD.size, limits.segments * SEGMENT.itemsize + 1)


def _slabs(length: int) -> Iterator[tuple[int, int]]:
    """`length` bytes as `(offset, bytes)` of at most `SLAB`."""
    return ((offset, min(SLAB, length - offset)) for offset in range(0, length, SLAB))


def _finish(chain: Chain, dma: Dma, status: BlkStatus, written: int) -> int:
    """Write the status; gives the bytes that are written without a gap from the first on."""
    last = chain.writable - _STATUS_BYTES
    chain.write(dma, bytes([status]), last)
    return chain.writable if written == last else written
