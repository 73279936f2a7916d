"""A hostile guest of the network device: headers, commands, frames from outside, a cable pulled."""

from __future__ import annotations

from tests.virtio.hostile import Attack
from tests.virtio.net_rig import PEER, World, frame
from virtlab.backends import Frames
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES
from virtlab.virtio.net_filter import MAX_TABLE
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.net_steering import MAX_FLOWS


class NetAttack(Attack):
    """Against a card of two pairs of queues; half of the guests do without merged buffers."""

    more = ("arrive",) * 3 + ("cable",)
    queues = 5

    def make(self):
        without = set() if self.rng.random() < 0.5 else {NetFeature.MRG_RXBUF}
        self.understood = (RING_FEATURES | NET_FEATURES) - without
        device = {"pairs": 2, "mtu": 1500}
        self.world = World(self.transport, self.layout, device=device, without=without)
        self.world.rig.trace.on = False
        return self.world.rig

    def serve(self):
        world = self.world
        world.link.set_up(True)
        world.heard.clear()
        merged = NetFeature.MRG_RXBUF in self.understood
        driver = world.start(pairs=2, slots=8, slot=256 if merged else 1600)
        driver.send(frame(60, PEER), pair=1)
        assert world.heard == [frame(60, PEER)]
        driver.control.add_vlan(1)
        world.arrive(frame(300))
        packets = driver.receive() + driver.receive(pair=1)
        assert [len(packet.frame) for packet in packets] == [300]

    def cut(self, index, count):
        if self.rng.random() < 0.2:
            return super().cut(index, count)
        return count if index % 2 or index == 4 else 0

    def head(self):
        return self.rng.choice([bytes(12), bytes([self.rng.randrange(6), self.rng.randrange(6)])])

    def bounded(self):
        device = self.world.device
        for receiver in device.receivers:
            assert len(receiver) <= receiver.limit
            assert len(receiver.held) <= 256
        for table in (device.filter.stations, device.filter.groups):
            assert table is None or len(table) <= MAX_TABLE
        assert len(device.filter.vlans) <= 4096
        assert len(device.steering.flows) <= MAX_FLOWS

    def arrive(self):
        lengths = self.rng.choices([14, 60, 60, 700, 1514, 1600], k=self.rng.randrange(1, 40))
        made = [frame(length, fill=self.rng.randrange(256)) for length in lengths]
        self.world.link.b.send_many(Frames.of(made))

    def cable(self):
        self.world.link.set_up(self.rng.random() < 0.7)
