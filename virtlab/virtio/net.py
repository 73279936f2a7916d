"""The network device: a card whose packets are chains, at one end of a wire.

    queue 0, 2, ...   receiveq    buffers of the driver    <- frames from the wire
    queue 1, 3, ...   transmitq   packets of the driver    -> frames to the wire
    the last          controlq    commands: addresses, modes, VLANs, how many pairs

The idea: each kind of queue is a module of its own, and this one ties them to the wire. What comes
from the wire is let in or not, gets a pair, waits, and `arrived` brings it into the queue.

The rule that keeps it simple: frames travel in batches, `Frames`, and a single one is a batch of
one. Nothing comes in before the driver has filled or rung any queue after a reset.

Source: virtio 1.3 5.1. Offered are CSUM, MTU, MAC, MRG_RXBUF, STATUS, MQ, CTRL_VQ and what needs
it, and IN_ORDER: buffers are filled, sent and answered first come, first served. Left out is what
a wire of bytes has no use for: segmentation and sums left to the receiver (GUEST_*, HOST_*), for
each frame here is whole; hashes and RSS, for which steering by flow (5.1.6.5.6) stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from virtlab.backends.frames import Bools, Frames
from virtlab.backends.network import LinkEnd
from virtlab.memory import is_flat
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.net_control import Control
from virtlab.virtio.net_filter import Filter, vlan
from virtlab.virtio.net_layouts import (
    ETH_HEADER,
    REQUIRES,
    VLAN_TAG,
    NetFeature,
    controlq,
    receiveq,
    transmitq,
)
from virtlab.virtio.net_receive import Receiver
from virtlab.virtio.net_session import NetSession
from virtlab.virtio.net_steering import Steering
from virtlab.virtio.net_transmit import send_many_waiting, send_waiting
from virtlab.virtio.status import DeviceId

DEFAULT_MAC = bytes.fromhex("525400123456")
"""An address if nobody says otherwise: locally administered."""

CONTROL_SIZE, BACKLOG = 64, 256
"""Entries of the control queue; frames that wait for buffers, at least."""

CONTROLLED: Features = frozenset(
    {
        NetFeature.CTRL_VQ,
        NetFeature.CTRL_RX,
        NetFeature.CTRL_VLAN,
        NetFeature.CTRL_RX_EXTRA,
        NetFeature.GUEST_ANNOUNCE,
        NetFeature.CTRL_MAC_ADDR,
    }
)
"""What the control queue is for, but for MQ."""

OFFERED: Features = CONTROLLED | {
    NetFeature.CSUM,
    NetFeature.MAC,
    NetFeature.MRG_RXBUF,
    NetFeature.STATUS,
    Feature.IN_ORDER,
}
"""What is offered if nobody says otherwise; MTU and MQ come with `mtu` and `pairs`."""


class VirtioNet(NetSession):
    """A network device at `wire`, with `pairs` of queues.

    `mtu` is told to the driver, if given. `offered` are features out of `OFFERED`. `counts` has
    `received`, `filtered`, and why frames were `dropped: ...`.
    """

    device_id: ClassVar[int] = DeviceId.NETWORK
    requires = REQUIRES

    def __init__(
        self,
        wire: LinkEnd,
        mac: bytes = DEFAULT_MAC,
        mtu: int | None = None,
        pairs: int = 1,
        queue_size: int = 256,
        offered: Iterable[int] = OFFERED,
    ) -> None:
        features = set(offered)
        features |= ({NetFeature.MTU} if mtu else set()) | ({NetFeature.MQ} if pairs > 1 else set())
        if not features <= OFFERED | {NetFeature.MTU, NetFeature.MQ}:
            raise ValueError(f"features this device does not have: {sorted(features - OFFERED)}")
        control = [CONTROL_SIZE] if NetFeature.CTRL_VQ in features else []
        sizes = [queue_size] * 2 * pairs + control
        super().__init__(wire, mac, mtu, pairs, sizes, features)
        self.counts: Counter[str] = Counter()
        self.receivers = [Receiver(max(BACKLOG, queue_size), self.counts) for _ in range(pairs)]
        self.control = Control(self)
        self.reset()
        wire.listener = self._arrive
        wire.many_listener = self._arrive_many

    # -- the session

    def reset(self) -> None:
        """As at first: its own address, no filter, one pair, nothing under way."""
        super().reset()
        self.spoken: Features | None = None
        self.filter, self.steering = Filter(), Steering()
        self.active = 1
        for receiver in self.receivers:
            receiver.clear()

    def queue_reset(self, index: int) -> None:
        """Forget the buffers of a receive queue."""
        for pair, receiver in enumerate(self.receivers):
            if receiveq(pair) == index:
                receiver.stop()

    def handle(self, index: int, queue: Queue) -> None:
        """Take or fill what is in the queue, if the driver uses it now."""
        self.spoken = queue.features
        pair, sends = divmod(index, 2)
        if index == controlq(queue.features, self.pairs):
            self.control.handle(queue)
        # A driver MUST NOT use queues above `virtqueue_pairs`: what is in those waits.
        elif pair < self.active:
            if not sends:
                self.receivers[pair].handle(queue)
            elif is_flat(queue.dma):
                send_many_waiting(self, pair, queue)
            else:
                send_waiting(self, pair, queue)

    # -- to the wire

    def send(self, frame: bytes, pair: int) -> None:
        """Put a frame on the wire."""
        if self.active > 1:
            self.steering.sent(frame, pair)
        self.wire.send(frame)

    def send_many(self, frames: Frames, pair: int) -> None:
        """Put many there."""
        if self.active > 1:
            for frame in frames:
                self.steering.sent(frame, pair)
        self.wire.send_many(frames)

    # -- from the wire

    def _arrive(self, frame: bytes) -> None:
        self._arrive_many(Frames.of([frame]))

    def _arrive_many(self, frames: Frames) -> None:
        # Until the driver has begun, nobody knows what it agreed to.
        if self.spoken is None:
            self.counts["dropped: not ready"] += len(frames)
            return
        wanted = frames.take(self.filter.wants_many(frames, self.mac, self.spoken))
        self.counts["filtered"] += len(frames) - len(wanted)
        fits = wanted.take(self._fits(wanted, self.spoken))
        self.counts["dropped: above the MTU"] += len(wanted) - len(fits)
        for pair, part in self._spread(fits):
            if pair is None:
                self.counts["dropped: queue reset"] += len(part)
                continue
            self.receivers[pair].add(part)
            self.arrived(receiveq(pair))
            self.receivers[pair].trim()

    def _fits(self, frames: Frames, features: Features) -> Bools:
        """(n,) whether it is not above the MTU. A tag does not count."""
        # The device MUST NOT pass received packets that exceed `mtu` after MTU was negotiated.
        if self.mtu is None or NetFeature.MTU not in features:
            return np.ones(len(frames), np.bool_)
        most = self.mtu + ETH_HEADER
        long = frames.lengths > most
        for number in np.flatnonzero(long).tolist():
            (frame,) = frames.cut(number, number + 1)
            long[number] = vlan(frame) is None or len(frame) > most + VLAN_TAG
        return ~long

    def _spread(self, frames: Frames) -> list[tuple[int | None, Frames]]:
        """The frames by the pair that gets them, in order; None for those that have none."""
        if not len(frames):
            return []
        live = [pair for pair in range(self.active) if not self.receivers[pair].stopped]
        if self.active == 1 or not live:
            return [(live[0] if live else None, frames)]
        found: list[tuple[int | None, Frames]] = []
        for frame in frames:
            pair = self.steering.where(frame, self.active)
            # A queue that is being reset: the device SHOULD select another.
            pair = pair if pair in live else live[0]
            found.append((pair, Frames.of([frame])))
        return found

    # -- how many queues

    def use_pairs(self, count: int) -> None:
        """The driver uses `count` pairs of queues from now on (5.1.6.5.6)."""
        before, self.active = self.active, count
        for pair in range(count, self.pairs):
            # The device MUST NOT queue packets on receive queues above these.
            self.receivers[pair].waiting.clear()
        for pair in range(before, count):
            self.arrived(receiveq(pair))
            self.arrived(transmitq(pair))
