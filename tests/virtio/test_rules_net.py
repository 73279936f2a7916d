"""The network device, clause by clause: what no other test of it says in so many words."""

import random

import numpy as np
import pytest

from tests.virtio.net_rig import GROUP, PEER, World, frame
from tests.virtio.rig import DATA, LEGACY, WORLDS
from tests.virtio.watched import watch
from virtlab.backends import Link
from virtlab.backends.frames import Frames
from virtlab.virtio.features import Feature
from virtlab.virtio.net import DEFAULT_MAC, OFFERED, VirtioNet
from virtlab.virtio.net_layouts import (
    CONFIG,
    CTRL_RX,
    HEADER,
    MAX_PAIRS,
    NetFeature,
    Rx,
    controlq,
)

OTHER = bytes.fromhex("020000000099")
LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])
BOTH = pytest.mark.parametrize("scalar", [False, True])


def told(device, field):
    """What a field of the configuration says."""
    return np.frombuffer(device.config, CONFIG)[0][field].item()


def tagged(number, length=60):
    return frame(length, kind=b"\x81\x00" + number.to_bytes(2, "big"))


# -- what is offered (5.1.3)

OTHER_FEATURES = {
    "CTRL_GUEST_OFFLOADS": 2,
    "GUEST_CSUM": 1,
    "GUEST_TSO4": 7,
    "GUEST_TSO6": 8,
    "GUEST_ECN": 9,
    "GUEST_UFO": 10,
    "HOST_TSO4": 11,
    "HOST_TSO6": 12,
    "HOST_ECN": 13,
    "HOST_UFO": 14,
    "HASH_TUNNEL": 51,
    "VQ_NOTF_COAL": 52,
    "NOTF_COAL": 53,
    "GUEST_USO4": 54,
    "GUEST_USO6": 55,
    "HOST_USO": 56,
    "HASH_REPORT": 57,
    "GUEST_HDRLEN": 59,
    "RSS": 60,
    "RSC_EXT": 61,
    "STANDBY": 62,
    "SPEED_DUPLEX": 63,
}
"""What stands in 5.1.3 and is not for this device."""


@pytest.mark.parametrize("transport", ["mmio", "pci", *LEGACY])
def test_what_is_left_out_is_not_offered_and_cannot_be(transport):
    """Whatever is said of these features is about other devices than this one."""
    device = VirtioNet(Link().a, pairs=4, mtu=1500)
    assert not device.features & set(OTHER_FEATURES.values())
    assert not World(transport, device={"pairs": 4, "mtu": 1500}).start().virtio.offered & set(
        OTHER_FEATURES.values()
    )
    for bit in OTHER_FEATURES.values():
        with pytest.raises(ValueError, match="does not have"):
            VirtioNet(Link().a, offered=OFFERED | {bit})


# -- the configuration (5.1.4.1)


@pytest.mark.parametrize("pairs", [2, 3, MAX_PAIRS])
def test_max_virtqueue_pairs_is_1_to_0x8000(pairs):
    """5.1.4.1: and the device has so many."""
    device = VirtioNet(Link().a, pairs=pairs)
    assert NetFeature.MQ in device.features
    assert 1 <= told(device, "max_virtqueue_pairs") == pairs <= 0x8000
    assert len(device.queue_sizes) == 2 * pairs + 1


@pytest.mark.parametrize("pairs", [-1, 0, MAX_PAIRS + 1])
def test_another_number_of_pairs_cannot_be(pairs):
    with pytest.raises(ValueError, match="pairs of queues"):
        VirtioNet(Link().a, pairs=pairs)


@pytest.mark.parametrize("mtu", [68, 1500, 9000])
def test_mtu_is_68_to_65535_and_stays(mtu):
    """5.1.4.1: whatever else changes, a reset included."""
    device = VirtioNet((link := Link()).a, mtu=mtu)
    assert 68 <= told(device, "mtu") == mtu <= 65535
    for change in (
        device.announce,
        device.announced,
        lambda: device.set_mac(OTHER),
        lambda: setattr(link, "up", False),
        device.reset,
    ):
        change()
        assert told(device, "mtu") == mtu
    assert not any(device.write_config(at, b"\1") for at in range(CONFIG.itemsize))


@BOTH
@LAYOUTS
def test_a_packet_of_the_mtu_is_sent_whole(layout, scalar):
    """5.1.4.1: the device MUST forward it, and without fragmentation; a tag is no payload."""
    world = World(layout=layout, scalar=scalar, device={"mtu": 1000})
    made = [frame(length, PEER, fill=length & 0xFF) for length in (1012, 1013, 1014)]
    made += [tagged(5, 1018)] * 3
    world.start().send(*made)
    assert world.heard == made


# -- packets


@BOTH
@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_header_of_what_comes_in_asks_for_nothing(transport, layout, scalar):
    """5.1.6.4.1: flags 0, gso_type NONE; what no flag makes valid is 0 too. num_buffers is true."""
    world = World(transport, layout, scalar)
    queue = world.by_hand()[0]
    for number in range(8):
        world.ram.write(DATA + 0x800 * number, b"\xee" * 0x800)
        queue.add_buf([], [(DATA + 0x800 * number, 512)], number)
    queue.kick()
    world.link.b.send_many(Frames.of([frame(60)] * 5))
    world.arrive(frame(1000))
    used = list(iter(queue.get_buf, None))
    assert len(used) == 7
    for token, buffers in ((0, 1), (4, 1), (5, 2)):
        head = np.frombuffer(world.ram.read(DATA + 0x800 * token, HEADER.itemsize), HEADER)[0]
        assert head.item() == (0, 0, 0, 0, 0, 0, buffers)


@BOTH
@LAYOUTS
def test_a_wrong_checksum_is_the_drivers_business(layout, scalar):
    """5.1.6.2.2: without NEEDS_CSUM the device does not rely on it, and changes no byte."""
    world = World(layout=layout, scalar=scalar)
    wrong = frame(14, PEER, kind=b"\x08\x00") + b"\x45" + random.Random(1).randbytes(60)
    world.start().send(wrong, wrong, wrong)
    assert world.heard == [wrong] * 3
    world.arrive(DEFAULT_MAC + wrong[6:])
    assert world.driver.receive()[0].frame[12:] == wrong[12:]


def arrive(world, made, together):
    """The frames come along the wire, one by one or as a batch."""
    if together:
        world.link.b.send_many(Frames.of(made))
    else:
        world.arrive(*made)


def received(driver):
    """All that is there, also what waited for the buffers of what was read."""
    found = []
    while more := driver.receive():
        found += [packet.frame for packet in more]
    return found


@LAYOUTS
@BOTH
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("slot", [96, 2048])
def test_buffers_come_back_in_order(layout, scalar, order, slot):
    """2.7.9, 2.8.21: frames of any length, in one buffer or in many, some of them waiting."""
    without = set() if order else {Feature.IN_ORDER}
    world = World(layout=layout, scalar=scalar, without=without)
    driver = world.start(slots=32, slot=slot)
    assert (Feature.IN_ORDER in driver.virtio.features) == order
    rng = random.Random(8)
    for _ in range(30):
        lengths = [rng.choice([60, 84, 85, rng.randrange(60, 1500)]) for _ in range(30)]
        made = [frame(length, fill=number) for number, length in enumerate(lengths)]
        made = made[: rng.randrange(1, 31)]
        arrive(world, made, together=rng.random() < 0.5)
        assert received(driver) == made
        out = [frame(rng.randrange(60, slot - 12), PEER, fill=n) for n in range(40)]
        driver.send(*out)
        assert world.heard == out
        world.heard.clear()
        driver.control.switch(Rx.ALLMULTI, True)
    assert not world.broken


# -- commands


@LAYOUTS
def test_what_a_command_changes_is_changed_before_it_is_used(layout):
    """5.1.6.5.2.1 (the tables; mac), 5.1.6.5.4.2 (the announce bit)."""
    world = World(layout=layout)
    driver, device = world.start(), world.device
    now = []
    control = controlq(driver.virtio.features, 1)

    def look(index):
        if index == control:
            now.append((device.filter.stations, device.config[:6], told(device, "status")))

    watch(device, look)
    driver.control.set_tables([OTHER], [GROUP])
    assert now.pop() == ({OTHER}, DEFAULT_MAC, 1)
    driver.control.set_mac(OTHER)
    assert now.pop()[1] == OTHER
    device.announce()
    assert told(device, "status") == 3
    driver.control.acknowledge_announce()
    assert now.pop()[2] == 1


@LAYOUTS
def test_the_tables_are_empty_after_a_reset(layout):
    """5.1.6.5.2.1: so are the modes and the VLANs."""
    world = World(layout=layout)
    control = world.start().control
    control.set_tables([OTHER], [GROUP])
    control.switch(Rx.ALLUNI, True)
    control.add_vlan(7)
    world.start()
    world.arrive(frame(60, OTHER), frame(60, GROUP), tagged(7), frame(60))
    assert [packet.frame for packet in world.driver.receive()] == [frame(60)]


@BOTH
@LAYOUTS
@pytest.mark.parametrize("number", [0, 1, 4095])
def test_without_ctrl_vlan_every_tag_comes_in(layout, scalar, number):
    """5.1.6.5.3.1; with it those in the table do, and no others."""
    world = World(layout=layout, scalar=scalar, without={NetFeature.CTRL_VLAN})
    world.start()
    world.arrive(tagged(number))
    assert [packet.frame for packet in world.driver.receive()] == [tagged(number)]
    world = World(layout=layout, scalar=scalar)
    world.start()
    world.arrive(tagged(number))
    assert world.driver.receive() == []
    world.driver.control.add_vlan(number)
    world.arrive(tagged(number))
    assert [packet.frame for packet in world.driver.receive()] == [tagged(number)]


def test_every_receive_mode_is_known_with_its_feature_alone():
    """5.1.6.5.1.1: the commands of CTRL_RX need no CTRL_RX_EXTRA, and the other way round."""
    basic, extra = {Rx.PROMISC, Rx.ALLMULTI}, {Rx.ALLUNI, Rx.NOMULTI, Rx.NOUNI, Rx.NOBCAST}
    for modes, other in ((basic, NetFeature.CTRL_RX_EXTRA), (extra, NetFeature.CTRL_RX)):
        world = World(without={other})
        control = world.start().control
        for mode in modes:
            control.command((CTRL_RX, mode), b"\1")
            assert world.device.filter.modes == {mode}
            control.command((CTRL_RX, mode), b"\0")
            assert not world.device.filter.modes
