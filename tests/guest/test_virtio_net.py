"""The network driver: what it does on our device, and what it does not believe of another."""

import random

import numpy as np
import pytest

from tests.guest.paper_virtio import PaperTransport, RamCpu
from tests.virtio.net_rig import BROADCAST, PEER, WORLDS, World, frame
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_net_control import NetControl
from virtlab.guest.virtio_net_rings import Offload, Packet, ReceiveRing, TransmitRing
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.guest.virtqueue import DeviceBroken
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import NetFeature, NetStatus
from virtlab.virtio.split import SplitQueue
from virtlab.virtio.status import Interrupt, Status

V = frozenset({Feature.VERSION_1})
ALL = frozenset(NetFeature)

# -- beginning


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_it_goes_live_with_full_rings(transport, layout):
    """5.1.5: address, status, receive buffers, all before the first packet."""
    world = World(transport, layout)
    driver = world.start(slots=16)
    assert driver.address == DEFAULT_MAC
    assert driver.config == {"status": NetStatus.LINK_UP}
    assert driver.link
    assert not driver.asked_to_announce
    for number in range(16):
        world.arrive(frame(60, fill=number))
    assert len(driver.receive()) == 16
    assert driver.receive() == []


def test_only_a_network_device_is_driven():
    paper = PaperTransport(device_id=2)
    driver = NetDriver(RamCpu(GuestMemory(4096)), paper, Room(0, 4096))
    with pytest.raises(VirtioFailed, match="no network device, but type 2"):
        driver.start()
    assert paper.now & Status.FAILED


def test_a_minimal_driver_reads_nothing_that_it_does_not_know():
    """2.5.1; without STATUS it assumes that the link is up (5.1.4.2)."""
    world = World(without=set(NetFeature))
    driver = world.start()
    assert (driver.address, driver.config, driver.link) == (b"", {}, True)
    assert driver.control is None
    driver.send(frame(60, PEER))
    assert len(world.heard) == 1


def test_a_driver_uses_as_many_pairs_as_there_are():
    world = World(device={"pairs": 2})
    driver = world.start(pairs=8, slots=8)
    assert driver.pairs == 2
    assert world.device.active == 2


# -- sending


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_more_frames_than_slots_are_sent_in_rounds(transport, layout):
    world = World(transport, layout)
    driver = world.start(slots=4, slot=128)
    made = [frame(60 + n % 50, PEER, fill=n) for n in range(50)]
    driver.send(*made)
    assert world.heard == made
    driver.send()
    assert len(world.heard) == 50


def test_a_frame_that_no_slot_holds_is_not_sent():
    driver = World().start(slot=128)
    with pytest.raises(ValueError, match="at most 116 bytes, not 117"):
        driver.send(frame(117))
    with pytest.raises(ValueError, match="slots of more than 12 bytes"):
        World().start(slot=12)


def test_checksums_need_their_feature():
    driver = World(without={NetFeature.CSUM}).start()
    with pytest.raises(ValueError, match="CSUM was not negotiated"):
        driver.send(frame(60), offload=Offload(34, 6))


def test_a_device_that_stops_sending_is_noticed():
    world = World()
    driver = world.start(slots=2)
    world.rig.core.status |= Status.DEVICE_NEEDS_RESET
    for _ in range(3):
        with pytest.raises(VirtioFailed, match="does not send"):
            driver.send(frame(60))


# -- receiving


def test_a_packet_wakes_who_sleeps():
    world = World()
    driver = world.start()
    driver.virtio.causes()
    world.rig.cpu.wait = lambda timeout: world.arrive(frame(60))
    assert driver.receive_asleep() == [Packet(frame(60))]
    assert driver.virtio.causes() == 0
    world.arrive(frame(61))
    # One that came before is seen without sleeping.
    world.rig.cpu.wait = None
    assert driver.receive_asleep() == [Packet(frame(61))]


def test_it_looks_again_while_it_has_time():
    world = World()
    driver = world.start()
    looks = []

    def wait(timeout):
        looks.append(timeout)
        if len(looks) == 3:
            world.arrive(frame(60))

    world.rig.cpu.wait = wait
    assert driver.receive(timeout=10_000_000) == [Packet(frame(60))]
    assert len(looks) == 3
    assert driver.receive(timeout=2_000_000) == []


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_msi_x_vectors_are_set(layout):
    world = World("pci", layout)
    world.rig.card.core.vectors = 3
    asked = []
    transport = world.rig.transport
    transport.set_config_vector = lambda vector: asked.append(("config", vector))
    transport.set_queue_vector = lambda index, vector: asked.append((index, vector))
    driver = world.start(vectors=(0, 1))
    assert asked == [("config", 0), (0, 1), (1, 1)]
    transport.interrupts = None  # with MSI-X there is nothing to ask
    world.arrive(frame(60))
    assert driver.receive_asleep() == [Packet(frame(60))]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_two_machines_talk(transport, layout):
    """The frames of one driver are those of the other, whatever the sizes of their slots."""
    one = World(transport, layout)
    other = World("mmio", layout, device={"mac": PEER}, wire=one.link.b)
    one.start()
    other.start(slot=300)
    rng = random.Random(1)
    for _ in range(4):
        out = [frame(rng.randrange(60, 1515), PEER, DEFAULT_MAC, fill=n) for n in range(10)]
        one.driver.send(*out)
        assert [packet.frame for packet in other.driver.receive()] == out
        back = [frame(rng.randrange(60, 280), BROADCAST, PEER, fill=n) for n in range(20)]
        other.driver.send(*back)
        assert [packet.frame for packet in one.driver.receive()] == back
    assert not one.broken + other.broken


# -- a device that cannot be believed


class Pair:
    """A ring of the driver, and the device's end of it, which a test holds itself."""

    def __init__(self, kind=ReceiveRing, count=4, size=64, merge=True):
        self.ram = GuestMemory(0x10000)
        rings = SplitRings.placed(0x1000, 8)
        self.queue = SplitQueue(self.ram)
        self.queue.enable(rings, V)
        driver = SplitDriver(RamCpu(self.ram), rings, V)
        more = [merge] if kind is ReceiveRing else []
        where = (RamCpu(self.ram), driver, Room(0x4000, 0x4000))
        self.ring = kind(*where, count, size, 12, *more)

    def give(self, *pieces):
        """Fill the next buffers with these bytes."""
        for piece in pieces:
            chain = self.queue.pop()
            self.queue.push(chain, chain.write(self.ram, piece))


def head(buffers):
    return bytes(10) + buffers.to_bytes(2, "little")


def test_a_packet_is_put_together_from_its_buffers():
    """Also if they come at different times."""
    pair = Pair()
    assert pair.ring.fill() == 4
    assert pair.ring.fill() == 0
    pair.give(head(3) + b"a" * 52, b"b" * 64)
    assert pair.ring.receive() == []
    pair.give(b"c" * 9, b"\1\5" + head(1)[2:] + b"d")
    expected = [Packet(b"a" * 52 + b"b" * 64 + b"c" * 9), Packet(b"d", 1, 5)]
    assert pair.ring.receive() == expected
    pair.give(head(1) + b"e")
    assert pair.ring.receive() == [Packet(b"e")]


@pytest.mark.parametrize(
    ("piece", "merge", "why"),
    [
        (bytes(11), True, "of 11 bytes: no header"),
        (b"", False, "of 0 bytes: no header"),
        (head(0), True, "in 0 of 4 buffers"),
        (head(5), True, "in 5 of 4 buffers"),
        (head(257), True, "in 257 of 4 buffers"),
    ],
)
def test_what_is_no_packet_is_not_believed(piece, merge, why):
    pair = Pair(merge=merge)
    pair.ring.fill()
    pair.give(piece)
    with pytest.raises(DeviceBroken, match=why):
        pair.ring.receive()


def test_a_whole_packet_before_it_is_one():
    pair = Pair(merge=False)
    pair.ring.fill()
    pair.give(head(1) + b"x", b"y")
    with pytest.raises(DeviceBroken, match="of 1 bytes"):
        pair.ring.receive()


def test_without_merging_the_number_of_buffers_does_not_count():
    """A legacy header has none, and of 10 bytes there is none to read."""
    pair = Pair(merge=False)
    pair.ring.fill()
    pair.give(head(7) + b"x")
    assert pair.ring.receive() == [Packet(b"x")]


def test_a_small_ring_takes_what_it_has_room_for():
    pair = Pair(TransmitRing, count=16)
    assert pair.ring.send([b"frame %d" % n for n in range(16)]) == 8
    assert pair.ring.reclaim() == 8
    assert pair.ring.send([b"next"]) == 0
    pair.give(*[b""] * 8)
    assert pair.ring.reclaim() == 16
    assert pair.ring.send([]) == 0
    pair = Pair(count=16)
    assert pair.ring.fill() == 8


def test_a_command_that_is_never_answered_is_noticed():
    pair = Pair()
    control = NetControl(RamCpu(pair.ram), pair.ring.queue, Room(0x8000, 0x4000), ALL)
    with pytest.raises(VirtioFailed, match="does not answer"):
        control.add_vlan(5)
    with pytest.raises(ValueError, match="at most 4095 bytes"):
        control.command((1, 0), bytes(4094))


def test_slots_are_side_by_side():
    pair = Pair()
    assert pair.ring.at(np.array([0, 3])).tolist() == [0x4000, 0x4000 + 3 * 64]


def test_interrupts_are_asked_for_only_while_asleep():
    world = World()
    driver = world.start()
    driver.virtio.causes()
    world.arrive(frame(60))
    driver.send(frame(60, PEER))
    assert driver.virtio.causes() & Interrupt.QUEUE == 0
