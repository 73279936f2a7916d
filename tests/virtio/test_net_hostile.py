"""A hostile guest of the network device: registers, rings, chains and commands of any kind.

Nothing raises, what is kept stays bounded, and a reset gives a device that works.
"""

import random
from contextlib import suppress

import pytest

from tests.virtio.net_rig import DATA, PEER, WORLDS, World, frame
from tests.virtio.test_transport_hostile import check, step
from virtlab.backends import Frames
from virtlab.guest.virtqueue import DeviceBroken, QueueFull
from virtlab.virtio.net_filter import MAX_TABLE
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.net_steering import MAX_FLOWS

LENGTHS = [0, 1, 2, 3, 9, 10, 11, 12, 13, 26, 72, 100, 1514, 5000, 0x10000, 0x1000000]


class Attack:
    """One guest, `seed` and a world; `step` is one thing that it does."""

    def __init__(self, transport, layout, seed):
        self.rng = random.Random(f"{transport} {layout} {seed}")
        merged = self.rng.random() < 0.5
        without = set() if merged else {NetFeature.MRG_RXBUF}
        self.world = World(transport, layout, device={"pairs": 2, "mtu": 1500}, without=without)
        self.begin()

    def begin(self):
        """A driver comes, and works: whatever was before."""
        world = self.world
        world.link.set_up(True)
        rig = world.rig
        if not rig.kind.startswith("mmio"):
            rig.transport.window = rig.kind == "pci-window"
            rig.access.write(rig.found.place, 0x98, 4, 0)
        rig.ram.write(0x100000, bytes(0x20000))
        world.heard.clear()
        driver = world.start(pairs=2, slots=4, slot=256)
        driver.send(frame(60, PEER), pair=1)
        assert world.heard == [frame(60, PEER)]
        driver.control.add_vlan(1)
        world.arrive(frame(300))
        assert [len(packet.frame) for packet in driver.receive() + driver.receive(pair=1)] == (
            [300] if NetFeature.MRG_RXBUF in driver.virtio.features else []
        )
        world.by_hand(size=16, queues=5, entries=4)

    def step(self):
        kinds = ["chain"] * 5 + ["ring"] * 2 + ["arrive"] * 3 + ["scribble", "registers", "cable"]
        getattr(self, self.rng.choice(kinds))()
        check(self.world.rig)
        self.bounded()

    def chain(self):
        queue = self.rng.choice(self.world.queues)
        with suppress(DeviceBroken):  # for it has scribbled over its own ring
            queue.get_bufs()
        for _ in range(self.rng.randrange(1, 8)):
            pieces = [
                (DATA + self.rng.randrange(0x4000), self.rng.choice(LENGTHS) or 1)
                for _ in range(self.rng.randrange(1, 5))
            ]
            cut = self.rng.randrange(len(pieces) + 1)
            try:
                queue.add_buf(pieces[:cut], pieces[cut:], "token")
            except QueueFull:
                break
        # What the device reads begins with a header, with a command, or with anything.
        head = self.rng.choice([bytes(12), bytes([self.rng.randrange(6), self.rng.randrange(6)])])
        self.world.ram.write(DATA + self.rng.randrange(0x4000), head)
        queue.kick()

    def ring(self):
        self.world.rig.core.notify(self.rng.randrange(6))

    def arrive(self):
        lengths = self.rng.choices([14, 60, 60, 700, 1514, 1600], k=self.rng.randrange(1, 40))
        made = [frame(length, fill=self.rng.randrange(256)) for length in lengths]
        self.world.link.b.send_many(Frames.of(made))

    def scribble(self):
        self.world.ram.store(0x100000 + self.rng.randrange(0x2000), 2, self.rng.randrange(0x10000))

    def registers(self):
        what = self.rng.choice(["read", "write", "config", "scribble", "ring"])
        word = self.rng.choice([self.rng.randrange(17), 0x0F, self.rng.getrandbits(32)])
        size = self.rng.choice([1, 2, 4])
        step(self.world.rig, what, self.rng.randrange(8), self.rng.randrange(0x4000), size, word)

    def cable(self):
        self.world.link.set_up(self.rng.random() < 0.7)

    def bounded(self):
        device = self.world.device
        for receiver in device.receivers:
            assert len(receiver) <= receiver.limit
            assert len(receiver.held) <= 256
        for table in (device.filter.stations, device.filter.groups):
            assert table is None or len(table) <= MAX_TABLE
        assert len(device.filter.vlans) <= 4096
        assert len(device.steering.flows) <= MAX_FLOWS


def walk(transport, layout, seed, steps):
    attack = Attack(transport, layout, seed)
    for number in range(steps):
        attack.step()
        if number % 40 == 39:
            attack.begin()


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_walk_of_a_hostile_guest(transport, layout):
    walk(transport, layout, 1, 400)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_long_walk_of_a_hostile_guest(transport, layout, seed):
    walk(transport, layout, seed, 2000)
