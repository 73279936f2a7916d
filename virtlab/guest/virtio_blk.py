"""A driver for a virtio block device: sectors, over any transport and any ring.

    disk = BlkDriver(cpu, transport, Room(gpa, 1 << 20))
    disk.start()
    disk.write(0, b"..."); disk.flush(); disk.read(0, 1)

The idea: everything that makes this a *virtio* driver lies elsewhere: the steps in `VirtioDriver`,
the bus in the transport, the ring in the queue. What is left is what a disk is: a capacity, and
requests with a type, a sector and a status.

The rule that keeps it simple: there is one way to do something, `run`, with many requests in
flight. A read of one sector is a `run` of one request. Requests in flight have no order among
themselves; whoever needs one waits in between (5.2.6).

With `interrupts` the driver sleeps until the device calls. Without, it looks again and again.

A device may have several request queues (MQ); requests are dealt out to `queues` of them in turn.

Source: virtio 1.3 5.2.2, 5.2.5, 5.2.6. Left out: lifetime, secure erase, zones.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.cpu import Cpu
from virtlab.guest.calls import BlocksFailed
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk_queue import Answer, Request, RequestQueues
from virtlab.guest.virtio_blk_slots import RequestSlots
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_transport import Transport
from virtlab.virtio.blk_layouts import (
    CONFIG,
    GUARD,
    ID_BYTES,
    SECTOR,
    SEGMENT,
    UNMAP,
    BlkFeature,
    BlkStatus,
    BlkType,
    config_field,
)
from virtlab.virtio.features import Features
from virtlab.virtio.layouts import packer
from virtlab.virtio.status import DeviceId

BLK_FEATURES: Features = frozenset(
    {
        BlkFeature.SIZE_MAX,
        BlkFeature.SEG_MAX,
        BlkFeature.GEOMETRY,
        BlkFeature.RO,
        BlkFeature.BLK_SIZE,
        BlkFeature.FLUSH,
        BlkFeature.TOPOLOGY,
        BlkFeature.CONFIG_WCE,
        BlkFeature.MQ,
        BlkFeature.DISCARD,
        BlkFeature.WRITE_ZEROES,
    }
)
"""What this driver understands of a block device."""

SLOTS, CHUNK = 64, 4096
"""Requests in flight, and bytes of each, if nobody says otherwise."""

ENDS = 2
"""Pieces of a request beside its data: head and status."""

_segment = packer(SEGMENT).pack


class BlkDriver:
    """The disk behind `transport`; rings and buffers lie in `room`.

    `understood` are the features to accept if offered. As many of `queues` are used as the device
    has, each with `size` entries, the largest size if None. In each, `slots` requests of `chunk`
    bytes are in flight at most, their data in pieces of `piece` bytes. `vectors` are those of MSI-X
    for configuration and queues, if that is switched on.
    What the device refuses is `BlocksFailed`; what it cannot be asked is `ValueError`.
    """

    def __init__(
        self,
        cpu: Cpu,
        transport: Transport,
        room: Room,
        *,
        understood: Features = RING_FEATURES | BLK_FEATURES,
        size: int | None = None,
        queues: int = 1,
        slots: int = SLOTS,
        chunk: int = CHUNK,
        piece: int | None = None,
        interrupts: bool = False,
        vectors: tuple[int, int] | None = None,
    ) -> None:
        if chunk % SECTOR or chunk <= 0 or slots <= 0:
            raise ValueError(f"slots of whole sectors, not {slots} of {chunk} bytes")
        if queues <= 0:
            raise ValueError(f"one request queue, or more, not {queues}")
        self.cpu = cpu
        self.virtio = VirtioDriver(cpu, transport, room)
        self.understood = understood
        self.size, self.wanted = size, queues
        self.slots, self.chunk, self.piece = slots, chunk, piece or chunk
        self.interrupts, self.vectors = interrupts, vectors
        self.config: dict[str, int] = {}
        self.requests: RequestQueues | None = None

    # -- beginning (5.2.5)

    def start(self) -> None:
        """The eight steps. `VirtioFailed` if it is no block device, or does not want to be ours."""
        self.virtio.begin()
        if self.virtio.transport.device_id != DeviceId.BLOCK:
            self.virtio.fail(f"no block device, but type {self.virtio.transport.device_id}")
        self.virtio.negotiate(self.understood)
        self.refresh()
        piece = min(self.piece, self.config.get("size_max") or self.piece)
        pieces = -(-self.chunk // piece)
        if pieces > (self.config.get("seg_max") or pieces):
            self.virtio.fail(f"the device takes no request of {pieces} pieces")
        if self.vectors:
            self.virtio.transport.set_config_vector(self.vectors[0])
        # Without MQ there is one queue (5.2.2).
        count = min(self.wanted, self.config.get("num_queues", 1))
        slots = [self._add_queue(index, pieces, piece) for index in range(count)]
        self.requests = RequestQueues(slots, self._acknowledge if self.interrupts else None)
        self.virtio.ready()

    def _add_queue(self, index: int, pieces: int, piece: int) -> RequestSlots:
        """Queue `index`, for requests of so many `pieces` of data, and its slots."""
        vector = self.vectors[1] if self.vectors else None
        queue = self.virtio.add_queue(index, self.size, pieces + ENDS, vector)
        return RequestSlots(self.cpu, queue, self.virtio.room, self.slots, self.chunk, piece)

    def _acknowledge(self) -> None:
        """Learn why the device called. With MSI-X the vector has said it (4.1.4.5.2)."""
        if not self.vectors:
            self.virtio.causes()

    def refresh(self) -> dict[str, int]:
        """Read the configuration again: the fields that the negotiated features vouch for."""
        known = [name for name in CONFIG.fields or () if self._has(name)]
        values = self.virtio.config([config_field(name) for name in known])
        self.config = dict(zip(known, values, strict=True))
        return self.config

    def _has(self, field: str) -> bool:
        """Whether a field exists: the driver must check that before it reads it (2.5.1)."""
        return field == "capacity" or GUARD.get(field) in self.virtio.features

    @property
    def capacity(self) -> int:
        """Sectors of the disk; 0 before `start`."""
        return self.config.get("capacity", 0)

    @property
    def read_only(self) -> bool:
        """Whether every write will fail (5.2.5)."""
        return BlkFeature.RO in self.virtio.features

    # -- what a disk does

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        self._check(sector, count)
        wanted = [
            Request(BlkType.IN, sector + at // SECTOR, length=min(self.chunk, count * SECTOR - at))
            for at in range(0, count * SECTOR, self.chunk)
        ]
        return b"".join(answer.data for answer in self.done(wanted))

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""
        if len(data) % SECTOR:
            raise ValueError(f"data is whole sectors of {SECTOR} bytes, not {len(data)} bytes")
        self._check(sector, len(data) // SECTOR)
        self.done(
            Request(BlkType.OUT, sector + at // SECTOR, data[at : at + self.chunk])
            for at in range(0, len(data), self.chunk)
        )

    def flush(self) -> None:
        """Return when all that was written before is on the medium.

        Without FLUSH there is nothing to ask: then every write is, as soon as it is done (5.2.6.2).
        """
        if BlkFeature.FLUSH in self.virtio.features:
            self.done([Request(BlkType.FLUSH)])

    def get_id(self) -> str:
        """What the device calls itself: 20 ASCII characters at most."""
        (answer,) = self.done([Request(BlkType.GET_ID, length=ID_BYTES)])
        return answer.data.partition(b"\0")[0].decode("ascii", "replace")

    def discard(self, sector: int, count: int) -> None:
        """Give sectors up: what they then read as, nobody knows. `ValueError` without DISCARD."""
        self._segments(BlkType.DISCARD, BlkFeature.DISCARD, sector, count, 0)

    def write_zeroes(self, sector: int, count: int, unmap: bool = False) -> None:
        """Let sectors read as zeros; with `unmap` they may be given up. Needs WRITE_ZEROES."""
        flags = UNMAP if unmap else 0
        self._segments(BlkType.WRITE_ZEROES, BlkFeature.WRITE_ZEROES, sector, count, flags)

    def _segments(
        self, kind: int, feature: BlkFeature, sector: int, count: int, flags: int
    ) -> None:
        if feature not in self.virtio.features:
            raise ValueError(f"{feature.name} was not negotiated")
        self._check(sector, count)
        self.done([Request(kind, 0, _segment(sector, count, flags))])

    def _check(self, sector: int, count: int) -> None:
        """A driver must not ask for what is past the end (5.2.6.1)."""
        if not 0 <= sector <= sector + count <= self.capacity:
            raise ValueError(f"the disk has {self.capacity} sectors, not {sector} to +{count}")

    # -- requests

    def run(self, requests: Iterable[Request]) -> list[Answer]:
        """Any requests, as many as possible in flight; the answers in the order of `requests`."""
        if self.requests is None:
            raise ValueError("the driver has not been started")
        return self.requests.run(list(requests))

    def done(self, requests: Iterable[Request]) -> list[Answer]:
        """`run`, where all must succeed. `BlocksFailed` says which did not."""
        asked = list(requests)
        answers = self.run(asked)
        for request, answer in zip(asked, answers, strict=True):
            if answer.status != BlkStatus.OK:
                what = f"{BlkType(request.type).name} of sector {request.sector}"
                raise BlocksFailed(f"{what}: the device answered {_name(answer.status)}")
        return answers


def _name(status: int) -> str:
    return BlkStatus(status).name if status in set(BlkStatus) else hex(status)
