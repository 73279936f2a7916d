"""The network driver, clause by clause: what it says, what it believes, what it never asks."""

import numpy as np
import pytest

from tests.virtio.net_rig import BROADCAST, GROUP, PEER, World, frame
from tests.virtio.rig import LEGACY, MODERN, WORLDS
from tests.virtio.test_rules_net import OTHER_FEATURES
from tests.virtio.watched import Spy, watch
from virtlab.guest.virtio_net import NET_FEATURES
from virtlab.guest.virtio_net_rings import Offload, ReceiveRing, TransmitRing
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.virtio import net_receive
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import (
    HEADER,
    HeaderFlag,
    NetFeature,
    Rx,
    header_bytes,
)
from virtlab.virtio.status import Status

OTHER = bytes.fromhex("020000000099")
LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


def spied(world):
    """The world, with every call of its transport noted."""
    world.rig.transport = Spy(world.rig.transport)
    return world


def heads(seen, size):
    """The headers of these packets, as numbers; a field that is not there is 0."""
    packets = [each.data[:size].ljust(HEADER.itemsize, b"\0") for each in seen]
    return [np.frombuffer(packet, HEADER)[0].item() for packet in packets]


# -- what it accepts


def test_it_accepts_nothing_that_it_cannot_do():
    """Whatever is said of these features is about other drivers than this one."""
    assert not NET_FEATURES & set(OTHER_FEATURES.values())
    world = spied(World())
    world.rig.core.offered |= set(OTHER_FEATURES.values())
    assert not world.start().virtio.features & set(OTHER_FEATURES.values())


# -- the configuration (5.1.4.2)


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_it_writes_no_field_of_the_configuration(transport):
    """Not even where it chooses an address: for that it has a command."""
    world = spied(World(transport, device={"pairs": 2, "mtu": 1500}))
    driver = world.start(pairs=2)
    driver.send(frame(60, PEER), pair=1)
    driver.set_mac(OTHER)
    driver.control.set_tables([OTHER], [])
    driver.control.add_vlan(3)
    world.device.announce()
    driver.answer_announce(frame(60, BROADCAST))
    assert not world.rig.transport.calls("config_write")


@pytest.mark.parametrize("mac", [DEFAULT_MAC, OTHER])
def test_its_address_is_the_devices(mac):
    """If it negotiates MAC, it MUST take that; a command changes it at the device first."""
    world = World(device={"mac": mac})
    assert world.start().address == mac
    world.driver.set_mac(PEER)
    assert world.driver.address == world.device.mac == PEER


@pytest.mark.parametrize("transport", MODERN)
def test_an_address_that_cannot_be_set_is_not(transport):
    world = World(transport, without={NetFeature.CTRL_MAC_ADDR})
    driver = world.start()
    with pytest.raises(ValueError, match="no way to take another address"):
        driver.set_mac(OTHER)
    with pytest.raises(ValueError, match="6 bytes, bit 0 clear"):
        driver.set_mac(GROUP)
    with pytest.raises(ValueError, match="6 bytes, bit 0 clear"):
        driver.set_mac(OTHER[:5])


@LAYOUTS
@pytest.mark.parametrize(
    ("without", "slots", "slot", "enough"),
    [
        (set(), 1, 1530, True),
        (set(), 1, 1529, False),
        (set(), 4, 383, True),
        (set(), 4, 382, False),
        ({NetFeature.MRG_RXBUF}, 4, 1530, True),
        ({NetFeature.MRG_RXBUF}, 4, 1529, False),
        ({NetFeature.MTU}, 4, 100, True),
    ],
)
def test_its_receive_buffers_hold_a_packet_of_the_mtu(layout, without, slots, slot, enough):
    """If MTU is negotiated: 1500 bytes, the Ethernet header, a tag, the header of 12."""
    world = World(layout=layout, without=without, device={"mtu": 1500})
    if not enough:
        with pytest.raises(VirtioFailed, match="an MTU of 1500 bytes"):
            world.start(slots=slots, slot=slot)
        assert world.rig.core.status & Status.FAILED
        return
    driver = world.start(slots=slots, slot=slot)
    if NetFeature.MTU not in without:
        for longest in (frame(1514, fill=1), frame(1518, kind=b"\x81\x00\x00\x05")):
            driver.control.switch(Rx.PROMISC, True)
            world.arrive(longest)
            assert [packet.frame for packet in driver.receive()] == [longest]


def test_it_sends_nothing_above_the_mtu():
    """If MTU is negotiated it MUST NOT; a tag is no payload. The others of a call stay too."""
    world = World(device={"mtu": 500})
    driver = world.start()
    tag = b"\x81\x00\x00\x05"
    longest = [frame(514, PEER), frame(518, PEER, kind=tag)]
    driver.send(*longest)
    assert world.heard == longest
    for wrong in (frame(515, PEER), frame(519, PEER, kind=tag)):
        with pytest.raises(ValueError, match="above the MTU of 500"):
            driver.send(frame(60, PEER), wrong)
    assert world.heard == longest
    world = World(device={"mtu": 500}, without={NetFeature.MTU})
    world.start().send(frame(515, PEER))
    assert len(world.heard) == 1


# -- packets out (5.1.6.2.1)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_the_header_of_a_packet_asks_for_nothing(transport, layout):
    """flags and num_buffers are 0, gso_type is NONE: no segments, none of the receiver's bits."""
    for without in (set(), {NetFeature.CSUM}, set(NetFeature)):
        world = World(transport, layout, without=without)
        driver = world.start()
        seen = watch(world.device)
        driver.send(*[frame(60 + number, PEER) for number in range(5)])
        size = header_bytes(driver.virtio.features)
        assert heads(seen, size) == [(0,) * 7] * 5
        assert [each.data[size:] for each in seen] == world.heard


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_checksum_is_asked_for_and_nothing_else(transport, layout):
    """NEEDS_CSUM with its two numbers; never DATA_VALID, RSC_INFO, or a kind of segment."""
    world = World(transport, layout)
    driver = world.start()
    seen = watch(world.device)
    driver.send(frame(80, PEER), offload=Offload(34, 6))
    size = header_bytes(driver.virtio.features)
    assert heads(seen, size) == [(HeaderFlag.NEEDS_CSUM, 0, 0, 0, 34, 6, 0)]


def test_without_csum_it_asks_for_no_checksum():
    world = World(without={NetFeature.CSUM})
    driver = world.start()
    with pytest.raises(ValueError, match="CSUM was not negotiated"):
        driver.send(frame(80, PEER), offload=Offload(34, 6))
    assert not world.heard


# -- packets in (5.1.6.3.1, 5.1.6.4.2)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_each_buffer_has_room_for_a_header(transport, layout):
    """5.1.6.3.1, with MRG_RXBUF: as long as the header, or longer. All of it is for writing."""
    for slot in (13, 64):
        world = World(transport, layout)
        seen = watch(world.device)
        driver = world.start(slots=16, slot=slot)
        world.arrive(frame(16 * slot - 12))
        assert len(driver.receive()) == 1
        received = [each for each in seen if each.index == 0]
        assert len(received) == 16
        assert all(sum(each.writable) >= 12 and not each.readable for each in received)


@pytest.mark.parametrize("kind", [ReceiveRing, TransmitRing])
def test_a_buffer_smaller_than_a_header_is_not_made(kind):
    more = [True] if kind is ReceiveRing else []
    with pytest.raises(ValueError, match="slots of more than 12 bytes"):
        kind(None, None, None, 4, 12, 12, *more)


ODD_HEADERS = [
    {"flags": 0xF8},
    {"flags": 0xFA, "hdr_len": 9999},
    {"hdr_len": 3, "csum_start": 0xFFFF, "csum_offset": 0xFFFF},
    {"flags": HeaderFlag.RSC_INFO, "csum_start": 2, "csum_offset": 1},
]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_what_a_header_says_and_nobody_agreed_on_changes_no_packet(transport, layout, monkeypatch):
    """5.1.6.4.2: unknown flags, hdr_len, csum_start without NEEDS_CSUM, a sum that is wrong."""
    fields = {}

    def header_of(features, buffers):
        made = np.zeros((), HEADER)
        for name, value in fields.items():
            made[name] = value
        made["num_buffers"] = buffers
        return made.tobytes()[: header_bytes(features)]

    monkeypatch.setattr(net_receive, "header_of", header_of)
    world = World(transport, layout)
    driver = world.start(slot=200)
    made = [frame(length, kind=b"\x08\x00", fill=7) for length in (60, 150, 900, 61)]
    for odd in ODD_HEADERS:
        fields.clear()
        fields.update(odd)
        world.arrive(*made)
        packets = driver.receive()
        for each in made:
            world.arrive(each)
            packets += driver.receive()
        assert [packet.frame for packet in packets] == made * 2
        assert {packet.flags for packet in packets} == {odd.get("flags", 0)}


# -- the legacy interface (5.1.6.6)


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_device_that_minds_the_framing_is_given_up(transport):
    """Without ANY_LAYOUT each header MUST be in a descriptor of its own, which is not done here."""
    world = World(transport)
    offered = world.rig.transport.device_features
    world.rig.transport.device_features = lambda: offered() & ~(1 << ANY_LAYOUT)
    with pytest.raises(VirtioFailed, match="each header in a buffer of its own"):
        world.start()
    assert world.rig.core.status & Status.FAILED
    assert not world.rig.core.live
