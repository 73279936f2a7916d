"""A driver for a virtio network device: frames, over any transport and any ring.

    card = NetDriver(cpu, transport, Room(gpa, 1 << 20))
    card.start()
    card.send(frame, frame); card.receive()

The idea: as with a disk, all that makes this a *virtio* driver lies elsewhere. What is left is what
a card is: an address, a link, frames out and frames in. `control` has the commands.

The rule that keeps it simple: the receive rings are full from `start` on, and what was read goes
back at once. `send` returns when the device has taken all frames.

With `vectors` those of MSI-X are used: one for the configuration, one for all queues.

Source: virtio 1.3 5.1.4.2, 5.1.5, 5.1.6. Left out: segmentation, checksums that the device leaves
to us, and legacy devices without ANY_LAYOUT, which want each header in a buffer of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.backends.network import is_group
from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_net_control import NetControl
from virtlab.guest.virtio_net_rings import Offload, Packet, ReceiveRing, TransmitRing
from virtlab.guest.virtio_transport import NAP, Transport, VirtioFailed, poll
from virtlab.virtio.features import Features
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.net_filter import vlan
from virtlab.virtio.net_layouts import (
    ETH_HEADER,
    GUARD,
    MAC_BYTES,
    REQUIRES,
    VLAN_TAG,
    NetFeature,
    NetStatus,
    config_field,
    controlq,
    header_bytes,
    receiveq,
    transmitq,
)
from virtlab.virtio.status import DeviceId

NET_FEATURES: Features = frozenset(
    {
        NetFeature.CSUM,
        NetFeature.MTU,
        NetFeature.MAC,
        NetFeature.MRG_RXBUF,
        NetFeature.STATUS,
        NetFeature.CTRL_VQ,
        NetFeature.CTRL_RX,
        NetFeature.CTRL_VLAN,
        NetFeature.CTRL_RX_EXTRA,
        NetFeature.GUEST_ANNOUNCE,
        NetFeature.MQ,
        NetFeature.CTRL_MAC_ADDR,
    }
)
"""What this driver understands of a network device."""

SLOTS, SLOT = 64, 2048
"""Buffers of each ring, and bytes of each, if nobody says otherwise."""


class NetDriver:
    """The card behind `transport`; rings and buffers lie in `room`.

    `understood` are the features to accept if offered. `size` is that of the rings, the largest if
    None; each has `slots` buffers of `slot` bytes. `pairs` of queues are used, if there are any.
    `vectors` are those of MSI-X for configuration and queues, if that is switched on.
    """

    def __init__(
        self,
        cpu: Cpu,
        transport: Transport,
        room: Room,
        *,
        understood: Features = RING_FEATURES | NET_FEATURES,
        size: int | None = None,
        slots: int = SLOTS,
        slot: int = SLOT,
        pairs: int = 1,
        vectors: tuple[int, int] | None = None,
    ) -> None:
        self.cpu = cpu
        self.virtio = VirtioDriver(cpu, transport, room)
        self.understood = understood
        self.size, self.slots, self.slot = size, slots, slot
        self.wanted, self.vectors = pairs, vectors
        self.pairs = 0
        self.address = b""
        self.config: dict[str, int] = {}
        self.sending: list[TransmitRing] = []
        self.receiving: list[ReceiveRing] = []
        self.control: NetControl | None = None

    # -- beginning (5.1.5)

    def start(self) -> None:
        """The eight steps, and full receive rings. `VirtioFailed` if it is no network device."""
        virtio = self.virtio
        virtio.begin()
        if virtio.transport.device_id != DeviceId.NETWORK:
            virtio.fail(f"no network device, but type {virtio.transport.device_id}")
        virtio.negotiate(self.understood, REQUIRES)
        # Without ANY_LAYOUT, drivers MUST use a single descriptor for the header (5.1.6.6).
        if virtio.transport.legacy and ANY_LAYOUT not in virtio.features:
            virtio.fail("a legacy device that wants each header in a buffer of its own")
        self.refresh()
        most = self.config.get("max_virtqueue_pairs", 1)
        self.pairs = min(self.wanted, most)
        if self.vectors:
            virtio.transport.set_config_vector(self.vectors[0])
        self.sending, self.receiving, self.control = [], [], None
        for pair in range(self.pairs):
            self._add_pair(pair)
        index = controlq(virtio.features, most)
        if index is not None:
            queue = virtio.add_queue(index)
            self.control = NetControl(self.cpu, queue, virtio.room, virtio.features, most)
        virtio.ready()
        for ring in self.receiving:
            ring.fill()
        if self.pairs > 1 and self.control is not None:
            self.control.use_pairs(self.pairs)

    def _add_pair(self, pair: int) -> None:
        virtio, features = self.virtio, self.virtio.features
        vector = self.vectors[1] if self.vectors else None
        queues = [
            virtio.add_queue(index, self.size, 0, vector)
            for index in (receiveq(pair), transmitq(pair))
        ]
        for queue in queues:
            queue.disable_cb()
        counts = [min(self.slots, queue.rings.size) for queue in queues]
        header = header_bytes(features)
        merge = NetFeature.MRG_RXBUF in features
        self._check_room(header, (counts[0] if merge else 1) * self.slot)
        where = (self.cpu, queues[0], virtio.room)
        self.receiving.append(ReceiveRing(*where, counts[0], self.slot, header, merge))
        where = (self.cpu, queues[1], virtio.room)
        self.sending.append(TransmitRing(*where, counts[1], self.slot, header))

    def _check_room(self, header: int, room: int) -> None:
        """Give up if the receive buffers of a packet, `room` bytes, cannot hold the MTU."""
        # With MTU, it MUST supply enough buffers for a packet of that size (5.1.4.2).
        mtu = self.config.get("mtu")
        if mtu is not None and room < header + ETH_HEADER + VLAN_TAG + mtu:
            self.virtio.fail(f"an MTU of {mtu} bytes, and {room} bytes of receive buffers")

    def refresh(self) -> dict[str, int]:
        """Read the configuration again: the fields that the negotiated features vouch for."""
        features = self.virtio.features
        names = [name for name, bit in GUARD.items() if bit in features and name != "mac"]
        # An address is six fields of a byte, and is read so (4.1.3.1, 4.2.2.2).
        mac = [(at, 1) for at in range(MAC_BYTES)] if NetFeature.MAC in features else []
        values = self.virtio.config([*mac, *(config_field(name) for name in names)])
        self.address = bytes(values[: len(mac)])
        self.config = dict(zip(names, values[len(mac) :], strict=True))
        return self.config

    @property
    def link(self) -> bool:
        """Whether the link is up, as last read; without STATUS it is taken to be (5.1.4.2)."""
        return bool(self.config.get("status", NetStatus.LINK_UP) & NetStatus.LINK_UP)

    @property
    def asked_to_announce(self) -> bool:
        """Whether the device asks us to tell our neighbours where we are, as last read."""
        return bool(self.config.get("status", 0) & NetStatus.ANNOUNCE)

    def set_mac(self, mac: bytes) -> None:
        """Another address of our own: by a command, or at a legacy device in the configuration.

        `ValueError` for what is no address of a station, and where there is neither way (5.1.4.3).
        """
        if len(mac) != MAC_BYTES or is_group(mac):
            raise ValueError(f"a station's address has {MAC_BYTES} bytes, bit 0 clear")
        features = self.virtio.features
        if self.control is not None and NetFeature.CTRL_MAC_ADDR in features:
            self.control.set_mac(mac)
        elif self.virtio.transport.legacy and NetFeature.MAC in features:
            for at, byte in enumerate(mac):
                self.virtio.transport.config_write(at, 1, byte)
        else:
            raise ValueError("this device has no way to take another address")
        self.refresh()

    def answer_announce(self, *frames: bytes) -> bool:
        """Look whether the device asks us to announce ourselves. If so, send `frames` and tell it.

        They are what tells the neighbours where we are. Gives whether it asked (5.1.6.5.4).
        """
        self.refresh()
        asked = self.asked_to_announce
        if asked and self.control is not None:
            self.send(*frames)
            # The driver MUST send this command.
            self.control.acknowledge_announce()
        return asked

    # -- frames

    def send(self, *frames: bytes, offload: Offload | None = None, pair: int = 0) -> None:
        """Send `frames`, in order; return when the device has taken them all.

        With `offload` it fills a checksum in; see `virtio_net_offload`. `ValueError` for that
        without CSUM, for a pair that is not in use, and for a frame above the MTU. `VirtioFailed`
        if the device takes nothing any more.
        """
        if offload is not None and NetFeature.CSUM not in self.virtio.features:
            raise ValueError("CSUM was not negotiated: the driver makes its checksums")
        # The driver MUST NOT send on queues above those that it said it uses (5.1.6.5.6.1).
        if pair >= (self.control.pairs if self.control is not None else 1):
            raise ValueError(f"pair {pair} is not in use")
        self._check_mtu(frames)
        ring = self.sending[pair]
        left = list(frames)
        while left:
            if not poll(self.cpu, lambda: ring.reclaim() > 0):
                raise VirtioFailed("the device does not send")
            del left[: ring.send(left, offload)]
        if not poll(self.cpu, lambda: ring.reclaim() == ring.count):
            raise VirtioFailed("the device does not send")

    def _check_mtu(self, frames: Sequence[bytes]) -> None:
        """With MTU, the driver MUST NOT send what is longer (5.1.4.2). A tag does not count."""
        mtu = self.config.get("mtu")
        if mtu is None:
            return
        for frame in frames:
            tag = VLAN_TAG if vlan(frame) is not None else 0
            if len(frame) > mtu + ETH_HEADER + tag:
                raise ValueError(f"a frame of {len(frame)} bytes is above the MTU of {mtu}")

    def receive(self, timeout: int = 0, pair: int = 0) -> list[Packet]:
        """All packets that came. If there are none, look again for `timeout` ns of its time."""
        for _ in range(timeout // NAP + 1):
            found = self.receiving[pair].receive()
            if found:
                return found
            if timeout:
                self.cpu.wait(NAP)
        return []

    def receive_asleep(self, timeout: int = 1_000_000_000, pair: int = 0) -> list[Packet]:
        """The same, asleep until the device interrupts."""
        ring = self.receiving[pair]
        if ring.queue.enable_cb():
            self.cpu.wait(timeout)
        ring.queue.disable_cb()
        if not self.vectors:
            self.virtio.causes()
        return ring.receive()
