"""The rings of a session: what the front-end says of each, and when one starts, stops and breaks.

    SET_VRING_NUM, ADDR, BASE, KICK, CALL, ERR     one `Vring` keeps it
    SET_VRING_ENABLE                               may be served
    GET_VRING_BASE                                 stop

The idea: a ring starts when it is kicked, and from then on its queue is there. Whatever a driver
does wrong stops that ring and no other; the front-end hears of it by the `err` event.

The rule that keeps it simple: a ring that broke is not looked at until the front-end stops it.

Source: vhost-user.rst, "Ring states", SET_VRING_*, GET_VRING_BASE, VRING_KICK.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial

from virtlab.errors import GuestError
from virtlab.virtio.device import RequestDevice, VirtioDevice
from virtlab.virtio.status import Status
from virtlab.virtio.vhost_user.layouts import (
    INDEX_MASK,
    LOG_ALL,
    NOFD,
    PROTOCOL_FEATURES,
    VRING_ADDR,
    VRING_STATE,
    BackEndRequest,
    ProtocolFeature,
    Request,
)
from virtlab.virtio.vhost_user.ledger import Ledger
from virtlab.virtio.vhost_user.messages import Message, ProtocolError, pack
from virtlab.virtio.vhost_user.session import PROTOCOL, RING_FEATURES, Answer
from virtlab.virtio.vhost_user.sharing import Sharing
from virtlab.virtio.vhost_user.statistics import Event, Statistics, Watch
from virtlab.virtio.vhost_user.vring import Vring


class Rings(Sharing):
    """A session with rings. `watch` is told of every event of a ring.

    The other arguments are those of `Session`. Who serves the rings is a `BackEnd`.
    """

    def __init__(
        self,
        device: VirtioDevice,
        sock: socket.socket,
        ring: Iterable[int] = RING_FEATURES,
        protocol: Iterable[ProtocolFeature] = PROTOCOL,
        migration: bool = False,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(device, sock, ring, protocol, migration)
        self.statistics = Statistics()
        self.watch = watch
        self.rings = [
            Vring(size, self.memory, Ledger(index, self.memory, self.statistics))
            for index, size in enumerate(device.queue_sizes)
        ]
        for vring in self.rings:
            vring.ledger.watch = watch
            vring.answers = isinstance(device, RequestDevice)
            vring.on_call = partial(self._call, vring)
        self.handlers |= {
            Request.RESET_OWNER: self._reset_owner,
            Request.SET_VRING_NUM: self._set_vring_num,
            Request.SET_VRING_ADDR: self._set_vring_addr,
            Request.SET_VRING_BASE: self._set_vring_base,
            Request.GET_VRING_BASE: self._get_vring_base,
            Request.SET_VRING_KICK: self._set_vring_kick,
            Request.SET_VRING_CALL: self._set_vring_call,
            Request.SET_VRING_ERR: self._set_vring_err,
            Request.SET_VRING_ENABLE: self._set_vring_enable,
            Request.VRING_KICK: self._vring_kick,
        }
        device.reset()

    def notify(self, index: int) -> None:
        """Ring `index` shall be looked at."""
        raise NotImplementedError

    # -- the session, seen from the rings

    @property
    def running(self) -> bool:
        """Whether a ring runs."""
        return any(vring.queue is not None for vring in self.rings)

    def changed(self) -> None:
        """Features, memory or log are others now: a ring that was moved is broken."""
        for vring in self.rings:
            vring.ledger.log = self.log if LOG_ALL in self.accepted else None
            if vring.sound and vring.moved():
                self._break(vring, "the memory where it lies was taken away")

    def stop_all(self) -> None:
        """Stop every ring."""
        for vring in self.rings:
            self._stop(vring)

    def refused(self, why: str) -> None:
        """A request was answered with a failure."""
        if self.watch is not None:
            self.watch(Event("refused", 0, note=why))

    def close(self) -> None:
        """Hang up; the device is as at first, and nothing is shared any more."""
        super().close()
        for vring in self.rings:
            vring.forget()

    # -- what the front-end says of a ring

    def _ring(self, index: int) -> Vring:
        if index >= len(self.rings):
            raise ProtocolError(f"ring {index}, where there are {len(self.rings)}")
        return self.rings[index]

    def _reset_owner(self, message: Message) -> None:
        for vring in self.rings:
            vring.enabled = False

    def _set_vring_num(self, message: Message) -> None:
        index, size = message.fields(VRING_STATE)
        self._ring(index).resize(size)

    def _set_vring_addr(self, message: Message) -> None:
        index, flags, descriptor, used, available, log = message.fields(VRING_ADDR)
        self._ring(index).place((descriptor, available, used), flags, log)

    def _set_vring_base(self, message: Message) -> None:
        index, base = message.fields(VRING_STATE)
        self._ring(index).rebase(base)

    def _get_vring_base(self, message: Message) -> Answer:
        vring = self._ring(message.fields(VRING_STATE)[0])
        return Answer(pack(VRING_STATE, vring.index, self._stop(vring)))

    def _set_vring_enable(self, message: Message) -> None:
        index, enable = message.fields(VRING_STATE)
        vring = self._ring(index)
        if enable > 1:
            raise ProtocolError(f"ring {index} enabled with {enable}, not 0 or 1")
        vring.enabled = bool(enable)
        self._begin(vring)

    def _event_of(self, message: Message) -> tuple[Vring, int | None]:
        """Which ring a descriptor is for, and the descriptor, taken; None if there is none."""
        value = message.value
        vring = self._ring(value & INDEX_MASK)
        if bool(value & NOFD) == bool(len(message.fds)):
            raise ProtocolError(f"{len(message.fds)} descriptors, and the flag says otherwise")
        return vring, message.fds.take() if len(message.fds) else None

    def _set_vring_kick(self, message: Message) -> None:
        vring, fd = self._event_of(message)
        vring.kick.set(fd)
        vring.polled = fd is None
        if PROTOCOL_FEATURES not in self.accepted:
            vring.enabled = True
        # Without a doorbell the ring starts now. So it does with notes on chains in flight: who
        # was killed may have heard a doorbell that will not ring again.
        if vring.polled or self.inflight is not None:
            vring.kicked = True
            self._begin(vring)

    def _set_vring_call(self, message: Message) -> None:
        vring, fd = self._event_of(message)
        vring.call.set(fd)
        # One event too many is harmless. One may have been lost with the back-end before this one.
        if vring.queue is not None:
            vring.on_call()

    def _set_vring_err(self, message: Message) -> None:
        vring, fd = self._event_of(message)
        vring.err.set(fd)

    def _vring_kick(self, message: Message) -> None:
        index, _ = message.fields(VRING_STATE)
        self._kick(self._ring(index))

    # -- start, stop, break

    def _begin(self, vring: Vring) -> None:
        """Start a ring that was kicked and has a place, and look at it."""
        placed = vring.addresses is not None
        if vring.queue is None and vring.kicked and placed and not vring.broken:
            try:
                vring.start(self.features, self.inflight)
            except (ProtocolError, GuestError) as error:
                self._break(vring, str(error))
                return
            vring.ledger.tell("start", note=f"{vring.size} entries")
            if self.inflight is not None:
                # The driver may wait for an event that the back-end before this one owed it.
                vring.on_call()
        self.notify(vring.index)

    def _stop(self, vring: Vring) -> int:
        """Stop a ring: the device forgets what it had taken. Gives the base."""
        if vring.queue is not None:
            self.device.queue_reset(vring.index)
            vring.ledger.tell("stop")
        vring.broken = False
        return vring.stop()

    def _break(self, vring: Vring, why: str) -> None:
        """The driver broke a rule: the ring is not looked at any more (2.1.2)."""
        vring.broken = True
        self.statistics.errors += 1
        self.status |= Status.DEVICE_NEEDS_RESET
        vring.ledger.tell("error", note=why)
        if vring.err.fd is None and ProtocolFeature.INBAND_NOTIFICATIONS in self.protocol:
            self.ask(BackEndRequest.VRING_ERR, pack(VRING_STATE, vring.index, 0))
        vring.err.signal()

    # -- events

    def _kick(self, vring: Vring) -> None:
        self.statistics.kicks += 1
        vring.ledger.tell("kick")
        vring.kicked = True
        self._begin(vring)

    def _call(self, vring: Vring) -> None:
        """Tell the driver of used buffers."""
        self.statistics.calls += 1
        vring.ledger.tell("call")
        if vring.call.fd is None and ProtocolFeature.INBAND_NOTIFICATIONS in self.protocol:
            self.ask(BackEndRequest.VRING_CALL, pack(VRING_STATE, vring.index, 0))
        vring.call.signal()
