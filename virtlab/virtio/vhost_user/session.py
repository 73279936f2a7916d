"""What a front-end and a back-end have come to: features, status, configuration. No memory yet.

    GET_FEATURES              -> what device and queues can do, and PROTOCOL_FEATURES
    SET_PROTOCOL_FEATURES     <- which extensions both know
    GET_CONFIG                -> the device's own configuration
    SET_STATUS                <- how far the driver is

The idea: each request is a method, and `handlers` says which. Before it is called the message has
the right form; after it the answer goes out, if one is due.

The rule that keeps it simple: a `ProtocolError` changes nothing. It is told to who asked for an
answer (REPLY_ACK), and ends the connection with everybody else.

Source: vhost-user.rst, "Front-end message types", REPLY_ACK. Left out: RARP, MTU, IOMMU, postcopy.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature, Features, from_bits, names, to_bits
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    CONFIG,
    CONFIG_MIGRATION,
    LOG_ALL,
    MAX_CONFIG,
    NEED_REPLY,
    PROTOCOL_FEATURES,
    U64,
    BackEndRequest,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.messages import FORMS, Message, ProtocolError, pack

RING_FEATURES: Features = frozenset(
    {Feature.RING_INDIRECT_DESC, Feature.RING_EVENT_IDX, Feature.RING_PACKED}
)
"""What our queues can do here: a doorbell is an eventfd, so it carries no data."""

_F = ProtocolFeature
PROTOCOL: frozenset[ProtocolFeature] = frozenset(
    {
        *(_F.MQ, _F.REPLY_ACK, _F.BACKEND_REQ, _F.CONFIG, _F.INFLIGHT_SHMFD),
        *(_F.RESET_DEVICE, _F.INBAND_NOTIFICATIONS, _F.CONFIGURE_MEM_SLOTS, _F.STATUS),
    }
)
"""The extensions that a back-end of ours knows; LOG_SHMFD only where it is asked for."""


class Answer(NamedTuple):
    """What goes back: a payload, and descriptors that are closed when they are sent."""

    payload: bytes
    fds: Sequence[int] = ()


Handler = Callable[[Message], Answer | None]


class Session:
    """A connection on `sock` to a front-end that drives `device`.

    `ring` are the queue features that are offered, `protocol` the extensions. With `migration` the
    pages that are written can be logged.
    """

    def __init__(
        self,
        device: VirtioDevice,
        sock: socket.socket,
        ring: Iterable[int] = RING_FEATURES,
        protocol: Iterable[ProtocolFeature] = PROTOCOL,
        migration: bool = False,
    ) -> None:
        sock.setblocking(False)
        self.device = device
        self.channel = Channel(sock)
        log = {LOG_ALL} if migration else set()
        self.device_offer: Features = device.features | {Feature.VERSION_1, *ring}
        self.offered: Features = self.device_offer | {PROTOCOL_FEATURES, *log}
        self.protocol_offered = frozenset(protocol) | ({_F.LOG_SHMFD} if migration else set())
        self.accepted: Features = frozenset()
        self.protocol: frozenset[int] = frozenset()
        self.status = 0
        self.asking: Channel | None = None  # where the back-end asks: BACKEND_REQ
        self.handlers: dict[int, Handler] = {
            Request.GET_FEATURES: lambda _: number(to_bits(self.offered)),
            Request.SET_FEATURES: self._set_features,
            Request.SET_OWNER: lambda _: None,
            Request.GET_PROTOCOL_FEATURES: lambda _: number(to_bits(self.protocol_offered)),
            Request.SET_PROTOCOL_FEATURES: self._set_protocol_features,
            Request.GET_QUEUE_NUM: lambda _: number(len(self.device.queue_sizes)),
            Request.SET_BACKEND_REQ_FD: self._set_backend_req_fd,
            Request.GET_CONFIG: self._get_config,
            Request.SET_CONFIG: self._set_config,
            Request.SET_STATUS: self._set_status,
            Request.GET_STATUS: lambda _: number(self.status),
            Request.RESET_DEVICE: self._reset_device,
        }

    # -- what the rings do about it

    def changed(self) -> None:
        """Features, memory or log are others now."""

    def stop_all(self) -> None:
        """Stop every ring."""

    @property
    def running(self) -> bool:
        """Whether a ring runs."""
        return False

    # -- messages

    def receive(self) -> bool:
        """Handle one message, if one has come: whether there was one.

        `ProtocolError` where the connection cannot go on, `HungUp` where it has ended.
        """
        message = self.channel.receive()
        if message is None:
            return False
        with message:
            self._handle(message)
        return True

    def _handle(self, message: Message) -> None:
        form = FORMS[message.request]
        wants_reply = message.flags & NEED_REPLY and _F.REPLY_ACK in self.protocol
        answer: Answer | None = None
        try:
            if form.feature is not None and form.feature not in self.protocol:
                raise ProtocolError(f"{form.feature.name} was not agreed on")
            answer = self.handlers[message.request](message)
        except ProtocolError as error:
            if form.answered or not wants_reply:
                raise ProtocolError(f"{message.name}: {error.why}") from None
            self.refused(f"{message.name}: {error.why}")
            answer = number(1)
        if answer is None and wants_reply:
            answer = number(0)
        if answer is not None:
            try:
                self.channel.reply(message.request, *answer)
            finally:
                for fd in answer.fds:
                    os.close(fd)

    def refused(self, why: str) -> None:
        """A request was answered with a failure."""

    def close(self) -> None:
        """Hang up; the device is as at first, and nothing is shared any more."""
        self.stop_all()
        self.channel.close()
        if self.asking is not None:
            self.asking.close()
        self.device.reset()

    # -- features

    @property
    def features(self) -> Features:
        """The features of device and queues that were agreed on."""
        return self.accepted - {PROTOCOL_FEATURES, LOG_ALL}

    @property
    def legacy(self) -> bool:
        """Whether the driver uses the legacy interface."""
        return Feature.VERSION_1 not in self.accepted

    def _set_features(self, message: Message) -> None:
        accepted = from_bits(message.value)
        beyond = accepted - self.offered
        if beyond:
            raise ProtocolError(f"never offered: {', '.join(names(beyond))}")
        # What one feature needs of another is not looked at: the front-end may serve a part of it
        # itself, as QEMU does the control queue of a network device.
        if self.running and (accepted ^ self.accepted) - {LOG_ALL, PROTOCOL_FEATURES}:
            raise ProtocolError("other features while a ring runs")
        fresh = accepted - {LOG_ALL} != self.accepted - {LOG_ALL}
        self.accepted = accepted
        if fresh:
            self.device.agreed(self.features)
        self.changed()

    def _set_protocol_features(self, message: Message) -> None:
        protocol = from_bits(message.value)
        if protocol - self.protocol_offered:
            raise ProtocolError(f"never offered: bits {sorted(protocol - self.protocol_offered)}")
        if _F.INBAND_NOTIFICATIONS in protocol and not {_F.BACKEND_REQ, _F.REPLY_ACK} <= protocol:
            raise ProtocolError("INBAND_NOTIFICATIONS without BACKEND_REQ and REPLY_ACK")
        self.protocol = protocol

    # -- configuration

    def _get_config(self, message: Message) -> Answer:
        offset, size, _ = message.fields(CONFIG)
        # A payload of no bytes says that there is nothing to read.
        if size > MAX_CONFIG or len(message.payload) != CONFIG.itemsize + size:
            return Answer(b"")
        data = self.device.config[offset : offset + size].ljust(size, b"\0")
        return Answer(pack(CONFIG, offset, size, 0) + data)

    def _set_config(self, message: Message) -> None:
        offset, size, flags = message.fields(CONFIG)
        data = message.payload[CONFIG.itemsize :]
        if size != len(data) or offset + size > len(self.device.config):
            raise ProtocolError(f"{size} bytes at {offset}, beyond the configuration")
        # Most fields are for reading only; a migration may restore them, and finds them right.
        if not self.device.write_config(offset, data) and not flags & CONFIG_MIGRATION:
            self.refused(f"SET_CONFIG: {size} bytes at {offset} are for reading only")

    def config_changed(self) -> None:
        """The device has another configuration: the front-end is told, if it can be."""
        self.ask(BackEndRequest.CONFIG_CHANGE_MSG)

    # -- what the back-end asks

    def _set_backend_req_fd(self, message: Message) -> None:
        (fd,) = message.fds.lent
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            raise ProtocolError("a descriptor that is no socket") from None
        message.fds.take()  # it is the socket's now
        sock.setblocking(False)
        if self.asking is not None:
            self.asking.close()
        self.asking = Channel(sock)

    def ask(self, request: BackEndRequest, payload: bytes = b"") -> None:
        """Tell the front-end something, without waiting for an answer."""
        if self.asking is None:
            return
        try:
            self.asking.send(request, payload)
        except ProtocolError as error:
            self.refused(error.why)

    # -- status

    def _set_status(self, message: Message) -> None:
        if message.value == 0:
            self._reset()
        # NEEDS_RESET is the device's own bit: it goes away by a reset alone (2.1.2).
        kept = self.status & Status.DEVICE_NEEDS_RESET if message.value else 0
        self.status = message.value & 0xFF | kept

    def _reset_device(self, message: Message) -> None:
        self._reset()

    def _reset(self) -> None:
        self.stop_all()
        self.device.reset()
        self.status = 0


def number(value: int) -> Answer:
    """An answer that is one number."""
    return Answer(pack(U64, value))
