"""A virtio network device on a wire: with our driver, and with chains by hand."""

from __future__ import annotations

from tests.virtio.rig import DATA, RAM, ROOM, WORLDS, Rig
from virtlab.backends import Link
from virtlab.guest.virtio_device import RING_FEATURES, Room
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC, VirtioNet
from virtlab.virtio.net_layouts import NetFeature, header_bytes

__all__ = ["DATA", "RAM", "ROOM", "WORLDS"]

PEER = bytes.fromhex("02aabbccddee")
BROADCAST, GROUP = b"\xff" * 6, bytes.fromhex("01005e000001")
RINGS = {"split": {Feature.VERSION_1}, "packed": {Feature.VERSION_1, Feature.RING_PACKED}}


def frame(length=60, to=DEFAULT_MAC, source=PEER, fill=0, kind=b"\x88\xb5"):
    """A frame of `length` bytes."""
    return (to + source + kind).ljust(length, bytes([fill]))


class Plain:
    """Memory that is no `Flat`: a device over it has only its scalar path."""

    def __init__(self, ram):
        self.read, self.write, self.view = ram.read, ram.write, ram.view


class World:
    """A device behind a transport, its `heard` frames, and a driver in `driver` if it `starts`.

    It hangs on `wire`, or on a `link` of its own. With `scalar` the device has memory that is no
    single array.
    """

    def __init__(
        self,
        transport="mmio",
        layout="split",
        scalar=False,
        device=None,
        without=(),
        wire=None,
    ):
        self.link = Link("cable")
        self.heard = []
        self.link.b.listener = self.heard.append
        self.device = VirtioNet(wire or self.link.a, **(device or {}))
        self.rig = Rig(self.device, transport)
        self.rig.trace.on = True
        self.ram = self.rig.ram
        if scalar:
            for setup in self.rig.core.queues:
                setup.dma = Plain(self.ram)
        self.layout, self.without = layout, set(without)

    @property
    def features(self):
        known = (RING_FEATURES | NET_FEATURES) - self.without
        return known - ({Feature.RING_PACKED} if self.layout == "split" else set())

    def start(self, **how):
        """Our driver, at work."""
        room = Room(ROOM, RAM - ROOM)
        self.driver = NetDriver(
            self.rig.cpu, self.rig.transport, room, understood=self.features, **how
        )
        self.driver.start()
        return self.driver

    def by_hand(self, size=16, queues=3, entries=0):
        """The queues alone, for a test to fill."""
        # Of a device without a control queue there are two.
        queues = min(queues, len(self.device.queue_sizes))
        self.rig.start(self.layout, self.features, self.without, size, entries, queues)
        self.queues = [self.rig.guest.queues[index] for index in range(queues)]
        return self.queues

    def arrive(self, *frames):
        """Frames come along the wire."""
        for each in frames:
            assert self.link.b.send(each)

    @property
    def header(self):
        """Bytes of a header between these two."""
        return header_bytes(self.rig.core.features)

    @property
    def broken(self):
        """What the guest did wrong, or nothing."""
        return self.rig.notes("guest error")


MERGE, CTRL = NetFeature.MRG_RXBUF, NetFeature.CTRL_VQ
