"""The network device: a card whose packets are chains, at one end of a wire.

    queue 0, 2, ...   receiveq    buffers of the driver    <- frames from the wire
    queue 1, 3, ...   transmitq   packets of the driver    -> frames to the wire
    the last          controlq    commands: addresses, modes, VLANs, how many pairs

The idea: each kind of queue is a module of its own, and this one ties them to the wire. What comes
from the wire is let in or not, gets a pair, waits, and `arrived` brings it into the queue.

The rule that keeps it simple: frames travel in batches, `Frames`, and a single one is a batch of
one. Nothing comes in before the driver has filled or rung any queue after a reset.

Source: virtio 1.3 5.1. Offered are CSUM, MTU, MAC, MRG_RXBUF, STATUS, MQ, CTRL_VQ and what needs
it. IN_ORDER is not: what comes in seldom fills its buffer, and then it saves nothing. Left out:
segmentation, what is left to the driver (GUEST_*), RSS, and a legacy driver that writes `mac`
(5.1.4.3): no device is told which interface its driver uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from virtlab.backends.frames import Bools, Frames
from virtlab.backends.network import MAX_FRAME, LinkEnd, is_group
from virtlab.memory import is_flat
from virtlab.virtio.device import Queue, VirtioDevice
from virtlab.virtio.features import Features
from virtlab.virtio.net_control import Control
from virtlab.virtio.net_filter import Filter, vlan
from virtlab.virtio.net_layouts import (
    CONFIG,
    ETH_HEADER,
    MAC_BYTES,
    MAX_PAIRS,
    MIN_MTU,
    REQUIRES,
    VLAN_TAG,
    NetFeature,
    NetStatus,
    controlq,
    receiveq,
    transmitq,
)
from virtlab.virtio.net_receive import Receiver
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
}
"""What is offered if nobody says otherwise; MTU and MQ come with `mtu` and `pairs`."""


class VirtioNet(VirtioDevice):
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
        _check(mac, mtu, pairs)
        features = set(offered)
        features |= ({NetFeature.MTU} if mtu else set()) | ({NetFeature.MQ} if pairs > 1 else set())
        if not features <= OFFERED | {NetFeature.MTU, NetFeature.MQ}:
            raise ValueError(f"features this device does not have: {sorted(features - OFFERED)}")
        control = [CONTROL_SIZE] if NetFeature.CTRL_VQ in features else []
        super().__init__([queue_size] * 2 * pairs + control, features)
        self.wire, self.pairs, self.mtu = wire, pairs, mtu
        self.permanent_mac = mac
        self.counts: Counter[str] = Counter()
        self.receivers = [Receiver(max(BACKLOG, queue_size), self.counts) for _ in range(pairs)]
        self.control = Control(self)
        self.reset()
        wire.listener = self._arrive
        wire.many_listener = self._arrive_many
        wire.link_listener = self._plugged

    # -- the session

    def reset(self) -> None:
        """As at first: its own address, no filter, one pair, nothing under way."""
        self.spoken: Features | None = None
        self.mac = self.permanent_mac
        self.filter, self.steering = Filter(), Steering()
        self.active = 1
        self.announcing = False
        for receiver in self.receivers:
            receiver.clear()
        self.config = self._config()

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

    # -- what is told to the driver

    def _plugged(self, up: bool) -> None:
        self.configure(self._config())

    def announce(self) -> None:
        """Ask the driver to tell its neighbours where it is now, as after a migration."""
        self.announcing = True
        self.configure(self._config())

    def announced(self) -> None:
        """The driver has seen that: the bit is cleared before the command is used (5.1.6.5.4)."""
        self.announcing = False
        self.configure(self._config())

    def set_mac(self, mac: bytes) -> None:
        """The driver chose an address; `mac` says so before the command is used (5.1.6.5.2)."""
        self.mac = mac
        self.configure(self._config())

    def use_pairs(self, count: int) -> None:
        """The driver uses `count` pairs of queues from now on (5.1.6.5.6)."""
        before, self.active = self.active, count
        for pair in range(count, self.pairs):
            # The device MUST NOT queue packets on receive queues above these.
            self.receivers[pair].waiting.clear()
        for pair in range(before, count):
            self.arrived(receiveq(pair))
            self.arrived(transmitq(pair))

    def _config(self) -> bytes:
        config = np.zeros((), CONFIG)
        config["mac"] = np.frombuffer(self.mac, np.uint8)
        announce = NetStatus.ANNOUNCE if self.announcing else 0
        config["status"] = (NetStatus.LINK_UP if self.wire.up else 0) | announce
        config["max_virtqueue_pairs"] = self.pairs
        config["mtu"] = self.mtu or 0
        return config.tobytes()


def _check(mac: bytes, mtu: int | None, pairs: int) -> None:
    if len(mac) != MAC_BYTES or is_group(mac):
        raise ValueError(f"a station's address has {MAC_BYTES} bytes, bit 0 clear, not {mac.hex()}")
    if not 1 <= pairs <= MAX_PAIRS:
        raise ValueError(f"a device has 1 to {MAX_PAIRS} pairs of queues, not {pairs}")
    most = MAX_FRAME - ETH_HEADER - VLAN_TAG
    if mtu is not None and not MIN_MTU <= mtu <= most:
        raise ValueError(f"an MTU is {MIN_MTU} to {most} here, not {mtu}")
