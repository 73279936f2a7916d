"""A virtio device whose other half is another process: vhost-user, from the driver's side.

    cpu = RamCpu(FileRam(64 << 20))
    with VhostUserDevice("/tmp/disk.sock", cpu, DeviceId.BLOCK) as device:
        disk = BlkDriver(cpu, device, Room(0x10_0000, 16 << 20))
        disk.start()

The idea: this is one more `Transport`. QEMU turns a guest's registers into messages; here the
registers are left out. So any driver of ours drives any back-end: QEMU's, DPDK's, our own.

The rule that keeps it simple: a back-end is told by `Told`, and asked here. Doorbells and
interrupts are events, so no message goes out while requests fly.

With `reconnects` a back-end may be killed and come back. What it had taken stands in the notes on
chains in flight. Without these (INFLIGHT_SHMFD) nobody knows, so its end is an error.

Source: vhost-user.rst. Left out: RING_RESET, memory that comes and goes, a remapping unit,
migration, doorbells by message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Self

from virtlab.guest.virtio_transport import Areas, VirtioFailed
from virtlab.hosts.vhost_user_connection import Connection
from virtlab.hosts.vhost_user_link import Refused
from virtlab.hosts.vhost_user_ram import RamCpu
from virtlab.hosts.vhost_user_rings import Place, Ring
from virtlab.hosts.vhost_user_session import NOT_HERE, OURS, PROTOCOL, Session
from virtlab.virtio.features import Feature, Features, to_bits
from virtlab.virtio.status import Interrupt, Status
from virtlab.virtio.vhost_user.layouts import CONFIG, MAX_CONFIG, ProtocolFeature, Request
from virtlab.virtio.vhost_user.messages import pack
from virtlab.wire import all_ones

PATIENCE = 10.0
"""Seconds that a back-end gets for an answer, and to come back."""

QUEUE_SIZE = 256
"""The largest size of a queue, if nobody says otherwise: no request asks a back-end for it."""


class VhostUserDevice(Connection):
    """The device of type `device_id` behind the socket at `path`, for drivers on `cpu`.

    `queues` is how many it has; None: as many as it says (MQ), or one. `config` is the
    configuration if the back-end has none (CONFIG). `protocol` are the extensions to use if both
    know them. Interrupts have the vectors `vector` for the configuration, then one for each queue.
    With `reconnects` a back-end that is lost may return within `patience` seconds. `lost` counts.

    `ConnectionError` names the request on which the connection was lost; `Refused` is one of them.
    """

    legacy = False

    def __init__(
        self,
        path: str,
        cpu: RamCpu,
        device_id: int,
        *,
        queues: int | None = None,
        queue_size: int = QUEUE_SIZE,
        config: bytes = b"",
        protocol: Iterable[ProtocolFeature] = PROTOCOL,
        patience: float = PATIENCE,
        reconnects: bool = False,
        vector: int = 0,
    ) -> None:
        super().__init__(Session(path, patience, protocol), cpu, reconnects)
        self.device_id = device_id
        self.queues, self.queue_size = queues, queue_size
        self.fixed_config = config
        self.vector = vector
        self.open()

    def close(self) -> None:
        """Stop what runs, and hang up. Closing twice does nothing."""
        with contextlib.suppress(ConnectionError):
            self.told.stop()
        self._forget()
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def spoken_to(self) -> int:
        """The back-end has something to tell, or was lost: the driver should look."""
        super().spoken_to()
        return self.vector

    # -- the whole device

    def status(self) -> int:
        """The device status; with STATUS the back-end's own."""
        word = self.told.status
        if ProtocolFeature.STATUS in self.session.protocol:
            word = self.last(lambda: self.session.number(Request.GET_STATUS)) & 0xFF
        if any(ring.failed for ring in self.told.rings.values()):
            word |= Status.DEVICE_NEEDS_RESET
        return word

    def set_status(self, status: int) -> None:
        """Write it; 0 resets. At FEATURES_OK and DRIVER_OK the back-end hears of it all."""
        new = status & ~self.told.status
        if not status:
            self._reset()
            return
        if new & Status.FEATURES_OK:
            try:
                self.last(self.told.features)
            except Refused:
                # It does not agree, which is no failure of the connection (2.2.2).
                status &= ~Status.FEATURES_OK
        if new & Status.DRIVER_OK:
            self.last(self.told.go)
        self.told.status = status
        self.last(self.told.how_far)

    def _reset(self) -> None:
        try:
            self.told.stop()
        except Refused:
            raise
        except ConnectionError as lost:
            # Who is gone has nothing of ours any more.
            self._forget()
            self.again(lost)
        self._forget()

    def _forget(self) -> None:
        for ring in self.told.rings.values():
            self.cpu.ignore(ring.call.read_fd)
            self.cpu.ignore(ring.err.read_fd)
        self.told.forget()
        self.causes = 0

    def device_features(self) -> int:
        """The features offered, as a word, but for those that this transport does not carry."""
        return to_bits(self.session.offered - OURS - NOT_HERE)

    def accept(self, features: Features) -> None:
        """Remember which features the driver accepts, until FEATURES_OK."""
        self.told.accepted = frozenset(features)

    def interrupts(self) -> int:
        """Why it interrupts, acknowledged. An event means that the driver should look, no more."""
        self.hear()
        for ring in self.told.rings.values():
            if ring.call.heard():
                self.causes |= Interrupt.QUEUE
        causes, self.causes = self.causes, 0
        return causes

    def set_config_vector(self, vector: int) -> None:
        """`ValueError`: the vectors are chosen when the device is made."""
        raise ValueError("vectors belong to the device here, and are not set by a driver")

    def set_queue_vector(self, index: int, vector: int) -> None:
        """`ValueError`, too."""
        self.set_config_vector(vector)

    # -- configuration

    def generation(self) -> int:
        """How often it has changed, as far as we were told."""
        self.hear()
        return self.session.changes + self.lost

    def config_read(self, offset: int, size: int) -> int:
        """`size` bytes of it. `VirtioFailed` if the back-end has not so many.

        Some back-ends know no offset. So all up to the end of the field is asked for.
        """
        end = offset + size
        if ProtocolFeature.CONFIG not in self.session.protocol:
            return int.from_bytes(self.fixed_config[offset:end].ljust(size, b"\0"), "little")
        if end > MAX_CONFIG:
            raise ValueError(f"a configuration has at most {MAX_CONFIG} bytes, not {end}")
        request = pack(CONFIG, 0, end, 0) + bytes(end)
        with self.last(lambda: self.session.ask(Request.GET_CONFIG, request)) as answer:
            data = answer.payload[CONFIG.itemsize :]
        if len(data) != end:
            raise VirtioFailed(f"the back-end has no configuration of {end} bytes")
        return int.from_bytes(data[offset:end], "little")

    def config_write(self, offset: int, size: int, value: int) -> None:
        """The same, written; where the back-end has no configuration, nobody hears it."""
        if ProtocolFeature.CONFIG in self.session.protocol:
            data = (value & all_ones(size)).to_bytes(size, "little")
            request = pack(CONFIG, offset, size, 0) + data
            self.last(lambda: self.session.tell(Request.SET_CONFIG, request))

    # -- a queue

    def queue_max(self, index: int) -> int:
        """The largest size of queue `index`; 0 if there is none, or it is in use."""
        count = self.queues or self.session.queues or 1
        return self.queue_size if 0 <= index < count and index not in self.told.rings else 0

    def set_queue(self, index: int, size: int, areas: Areas) -> None:
        """Remember where it lies, until DRIVER_OK."""
        if self.told.live or not self.queue_max(index):
            raise ValueError(f"queue {index} cannot be set up now")
        packed = Feature.RING_PACKED in self.told.accepted
        ring = Ring(index, Place(self.cpu.ram, size, areas, packed))
        self.told.rings[index] = ring
        self.cpu.listen(ring.call.read_fd, partial(self._called, ring))
        self.cpu.listen(ring.err.read_fd, partial(self._failed, ring))

    def _called(self, ring: Ring) -> int:
        ring.call.heard()
        self.causes |= Interrupt.QUEUE
        return self.vector + 1 + ring.index

    def _failed(self, ring: Ring) -> int:
        if ring.failed:
            self.causes |= Interrupt.CONFIG
        return self.vector

    def reset_queue(self, index: int) -> None:
        """`ValueError`: the protocol can stop a ring, but not take its buffers back."""
        raise ValueError("RING_RESET is not offered here")

    def notify(self, index: int, following: int) -> None:
        """Ring the doorbell of queue `index`."""
        self.told.rings[index].kick.ring()
