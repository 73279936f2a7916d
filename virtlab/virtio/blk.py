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

Source: virtio 1.3 5.2.3 to 5.2.6.2, 2.7.8.2. Here are read, write, flush and get-id. Left out:
discard, write zeroes, topology, a cache that can be switched, several queues.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from virtlab.backends import Storage
from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.blk_layouts import (
    CONFIG,
    ID_BYTES,
    REQUEST,
    SECTOR,
    BlkFeature,
    BlkStatus,
    BlkType,
)
from virtlab.virtio.chain import Chain
from virtlab.virtio.device import Queue, RequestDevice
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import DeviceId

SLAB = 1 << 18
"""Bytes that move at once: whole sectors, and no more of the host's memory than this."""

_HEAD = packer(REQUEST)
_STATUS_BYTES = 1


class VirtioBlk(RequestDevice):
    """A block device in front of `disk`. `name` is what GET_ID gives, up to 20 bytes of ASCII."""

    device_id: ClassVar[int] = DeviceId.BLOCK

    def __init__(self, disk: Storage, name: str = "virtlab", queue_size: int = 256) -> None:
        features = {BlkFeature.FLUSH, BlkFeature.BLK_SIZE}
        super().__init__([queue_size], features | ({BlkFeature.RO} if disk.read_only else set()))
        self.disk = disk
        self.name = name.encode("ascii")
        if len(self.name) > ID_BYTES:
            raise ValueError(f"a disk's name has at most {ID_BYTES} bytes, not {len(self.name)}")
        self.config = _config(disk)

    def serve(self, chain: Chain, queue: Queue) -> int:
        """Do one request, and write how it went. `GuestError` if it is none."""
        # A request has a head to read, and a status to write.
        if chain.readable < _HEAD.size or chain.writable < _STATUS_BYTES:
            why = f"a request of {chain.readable} bytes to read, {chain.writable} to write"
            raise GuestError(why, "virtio 1.3 5.2.6")
        kind, _, sector = _HEAD.unpack(chain.read(queue.dma, 0, _HEAD.size))
        try:
            status, written = self._do(chain, queue, kind, sector)
        except OSError:  # the host's medium failed, which is no fault of the guest
            status, written = BlkStatus.IOERR, 0
        return _finish(chain, queue.dma, status, written)

    def _do(self, chain: Chain, queue: Queue, kind: int, sector: int) -> tuple[BlkStatus, int]:
        """How it went, and how many of the bytes before the status are written."""
        match kind:
            case BlkType.IN:
                return self._read(chain, queue.dma, sector)
            case BlkType.OUT:
                return self._write(chain, queue, sector), 0
            case BlkType.FLUSH:
                self.disk.flush()
                return BlkStatus.OK, 0
            case BlkType.GET_ID:
                room = chain.writable - _STATUS_BYTES
                name = self.name.ljust(ID_BYTES, b"\0")[:room]
                return BlkStatus.OK, chain.write(queue.dma, name)
        return BlkStatus.UNSUPP, 0

    def _read(self, chain: Chain, dma: Dma, sector: int) -> tuple[BlkStatus, int]:
        length = chain.writable - _STATUS_BYTES
        if not self._holds(sector, length):
            return BlkStatus.IOERR, 0
        for offset, size in _slabs(length):
            data = self.disk.read(sector + offset // SECTOR, size // SECTOR)
            chain.write(dma, data, offset)
        return BlkStatus.OK, length

    def _write(self, chain: Chain, queue: Queue, sector: int) -> BlkStatus:
        length = chain.readable - _HEAD.size
        # A device that offers RO MUST answer IOERR to a write, and MUST NOT write any data.
        if self.disk.read_only or not self._holds(sector, length):
            return BlkStatus.IOERR
        for offset, size in _slabs(length):
            data = chain.read(queue.dma, _HEAD.size + offset, size)
            self.disk.write(sector + offset // SECTOR, data)
        # If FLUSH was not negotiated, a write MUST be on the medium once it is completed.
        if BlkFeature.FLUSH not in queue.features:
            self.disk.flush()
        return BlkStatus.OK

    def _holds(self, sector: int, length: int) -> bool:
        """Whether `length` bytes are whole sectors, and all on the disk from `sector` on."""
        return length % SECTOR == 0 and sector + length // SECTOR <= self.disk.sectors


def _config(disk: Storage) -> bytes:
    """The configuration of a device for `disk`."""
    config = np.zeros((), CONFIG)
    config["capacity"] = disk.sectors
    config["blk_size"] = SECTOR
    return config.tobytes()


def _slabs(length: int) -> Iterator[tuple[int, int]]:
    """`length` bytes as `(offset, bytes)` of at most `SLAB`."""
    return ((offset, min(SLAB, length - offset)) for offset in range(0, length, SLAB))


def _finish(chain: Chain, dma: Dma, status: BlkStatus, written: int) -> int:
    """Write the status; gives the bytes that are written without a gap from the first on."""
    last = chain.writable - _STATUS_BYTES
    chain.write(dma, bytes([status]), last)
    return chain.writable if written == last else written
