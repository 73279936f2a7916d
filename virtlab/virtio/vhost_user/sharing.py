"""What a front-end shares by descriptors: the guest's RAM, notes on chains, a log of pages.

    SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG      RAM: files that both ends map
    GET_INFLIGHT_FD, SET_INFLIGHT_FD             notes that outlive this process
    SET_LOG_BASE                                 pages that are written, for a migration

The idea: a descriptor is a right to a piece of memory. It is mapped, and then it is not needed any
more: the mapping keeps the memory.

The rule that keeps it simple: no descriptor is kept here. The message that brought one closes it.

Source: vhost-user.rst, "Memory access", "Inflight I/O tracking", "Migration".
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.dirty_log import DirtyLog
from virtlab.virtio.vhost_user.inflight import Inflight, check_shape
from virtlab.virtio.vhost_user.layouts import (
    INFLIGHT,
    LOG,
    MEMORY,
    REGION,
    SINGLE_REGION,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.mapping import sealed_file
from virtlab.virtio.vhost_user.messages import Message, ProtocolError, pack, rows
from virtlab.virtio.vhost_user.session import (
    PROTOCOL,
    RING_FEATURES,
    Answer,
    Session,
    number,
)
from virtlab.virtio.vhost_user.shared_memory import SLOTS, Shape, SharedMemory


class Sharing(Session):
    """A session with memory. `inflight` and `log` are there once the front-end has sent them."""

    def __init__(
        self,
        device: VirtioDevice,
        sock: socket.socket,
        ring: Iterable[int] = RING_FEATURES,
        protocol: Iterable[ProtocolFeature] = PROTOCOL,
        migration: bool = False,
    ) -> None:
        super().__init__(device, sock, ring, protocol, migration)
        self.memory = SharedMemory()
        self.inflight: Inflight | None = None
        self.log: DirtyLog | None = None
        self.handlers |= {
            Request.SET_MEM_TABLE: self._set_mem_table,
            Request.GET_MAX_MEM_SLOTS: lambda _: number(SLOTS),
            Request.ADD_MEM_REG: self._add_mem_reg,
            Request.REM_MEM_REG: self._rem_mem_reg,
            Request.GET_INFLIGHT_FD: self._get_inflight_fd,
            Request.SET_INFLIGHT_FD: self._set_inflight_fd,
            Request.SET_LOG_BASE: self._set_log_base,
            Request.SET_LOG_FD: lambda _: None,
        }

    def close(self) -> None:
        """Hang up; the device is as at first, and nothing is shared any more."""
        super().close()
        self.inflight = self.log = None
        self.memory.close()

    # -- memory

    def _set_mem_table(self, message: Message) -> None:
        count, _ = message.fields(MEMORY)
        raw = message.payload[MEMORY.itemsize :]
        if count != len(message.fds) or len(raw) < count * REGION.itemsize:
            raise ProtocolError(f"{count} regions, {len(message.fds)} descriptors")
        shapes = [Shape(*row) for row in rows(REGION, raw[: count * REGION.itemsize])]
        self.memory.set_table(shapes, message.fds.lent)
        self.changed()

    def _add_mem_reg(self, message: Message) -> None:
        (fd,) = message.fds.lent
        self.memory.add(Shape(*message.fields(SINGLE_REGION)[1:]), fd)
        self.changed()

    def _rem_mem_reg(self, message: Message) -> None:
        self.memory.remove(Shape(*message.fields(SINGLE_REGION)[1:]))
        self.changed()

    # -- notes on chains in flight

    def _get_inflight_fd(self, message: Message) -> Answer:
        _, _, queues, size, _ = message.fields(INFLIGHT)
        self._check_queues(queues)
        length = check_shape(queues, size, self._packed)
        fd = sealed_file("virtlab-inflight", length)
        return Answer(pack(INFLIGHT, length, 0, queues, size, 0), [fd])

    def _set_inflight_fd(self, message: Message) -> None:
        length, offset, queues, size, _ = message.fields(INFLIGHT)
        if self.running:
            raise ProtocolError("other notes while a ring runs")
        self._check_queues(queues)
        (fd,) = message.fds.lent
        self.inflight = Inflight.attach(fd, length, offset, queues, size, self._packed)

    def _check_queues(self, queues: int) -> None:
        """`ProtocolError` for notes on more queues than the device has."""
        if queues > len(self.device.queue_sizes):
            raise ProtocolError(f"{queues} queues, where there are {len(self.device.queue_sizes)}")

    @property
    def _packed(self) -> bool:
        return Feature.RING_PACKED in self.accepted

    # -- a log of pages

    def _set_log_base(self, message: Message) -> Answer:
        (fd,) = message.fds.lent
        self.log = DirtyLog.attach(fd, *message.fields(LOG))
        self.changed()
        return number(0)
