"""The network device over every transport and layout: virtio 1.3 5.1, packets and link."""

import itertools
import random

import numpy as np
import pytest

from tests.virtio.net_rig import DATA, GROUP, MERGE, PEER, WORLDS, World, frame
from virtlab.backends import Frames, Link
from virtlab.backends.network import MAX_FRAME, MIN_FRAME
from virtlab.guest.virtio_net_rings import Offload
from virtlab.virtio.net import DEFAULT_MAC, OFFERED, VirtioNet
from virtlab.virtio.net_layouts import (
    CONFIG,
    HEADER,
    Gso,
    HeaderFlag,
    NetFeature,
    config_field,
)
from virtlab.virtio.status import Interrupt

BOTH = pytest.mark.parametrize("scalar", [False, True], ids=["batches", "one-by-one"])
LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


def frames(rng, count, most=1514, to=DEFAULT_MAC):
    return [frame(rng.randrange(MIN_FRAME, most), to, fill=n % 256) for n in range(count)]


# -- both directions, through our driver


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@BOTH
def test_frames_go_out_and_come_in(transport, layout, scalar):
    """5.1.6.2, 5.1.6.4: whole, in order, any length."""
    rng = random.Random(4)
    world = World(transport, layout, scalar)
    driver = world.start()
    out = frames(rng, 150, to=PEER)
    driver.send(*out)
    assert world.heard == out
    found = []
    for number in range(0, 150, 30):
        world.arrive(*frames(rng, 30))
        found += driver.receive()
        assert len(found) == number + 30
    rng = random.Random(4)
    assert out == frames(rng, 150, to=PEER)
    assert [each.frame for each in found] == [each for _ in range(5) for each in frames(rng, 30)]
    assert not world.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("slot", [64, 100, 2048])
@BOTH
def test_a_long_frame_comes_in_several_buffers(transport, layout, slot, scalar):
    """5.1.6.4.1: all but the last are full, and num_buffers says how many there are."""
    world = World(transport, layout, scalar)
    driver = world.start(slot=slot)
    rng = random.Random(slot)
    sent = [*frames(rng, 20, most=min(1514, 60 * slot)), frame(1514)]
    for each in sent:
        world.arrive(each)
        assert [packet.frame for packet in driver.receive()] == [each]
    assert not world.broken


@pytest.mark.parametrize("without", [{MERGE}, set()], ids=["single", "merged"])
@pytest.mark.parametrize(
    ("transport", "layout"), [("mmio", "split"), ("mmio", "packed"), ("mmio-legacy", "split")]
)
def test_how_long_the_header_is(transport, layout, without):
    """5.1.6.1: 12 bytes, but 10 for a legacy driver without MRG_RXBUF; num_buffers is 1."""
    world = World(transport, layout, without=without)
    receive, _, _ = world.by_hand(size=None)
    header = 10 if without and transport == "mmio-legacy" else 12
    receive.add_buf([], [(DATA, 2000)], "it")
    receive.kick()
    world.ram.write(DATA, b"\xee" * 100)
    world.arrive(frame(60, fill=7))
    assert receive.get_buf() == ("it", header + 60)
    expected = bytes(10) + (b"\x01\x00" if header == 12 else b"") + frame(60, fill=7)
    assert world.ram.read(DATA, header + 60) == expected
    assert world.ram.load(DATA + header + 60, 1) == 0xEE


# -- transmit


@LAYOUTS
@BOTH
def test_the_framing_of_a_packet_does_not_matter(layout, scalar):
    """2.7.4.1: a header may be cut at any byte, and so may the frame behind it."""
    world = World(layout=layout, scalar=scalar)
    transmit = world.by_hand(size=64)[1]
    packet = bytes(world.header) + frame(40, PEER, fill=3)
    world.ram.write(DATA, packet)
    for cut in range(1, len(packet)):
        for other in (cut, (cut + 7) % len(packet)):
            ends = sorted({0, cut, other, len(packet)})
            pieces = [(DATA + a, b - a) for a, b in itertools.pairwise(ends)]
            transmit.add_buf(pieces, [], cut)
            transmit.kick()
            assert transmit.get_buf() == (cut, 0)
    assert set(world.heard) == {packet[world.header :]}
    assert not world.broken


@LAYOUTS
@BOTH
def test_a_buffer_to_write_in_the_transmit_queue_is_not_written(layout, scalar):
    world = World(layout=layout, scalar=scalar)
    transmit = world.by_hand()[1]
    world.ram.write(DATA, bytes(12) + frame(40, PEER))
    world.ram.write(DATA + 0x100, b"\xee" * 8)
    for number in range(8):
        transmit.add_buf([(DATA, 52)], [(DATA + 0x100, 8)], number)
    transmit.kick()
    assert [transmit.get_buf() for _ in range(8)] == [(number, 0) for number in range(8)]
    assert world.heard == [frame(40, PEER)] * 8
    assert world.ram.read(DATA + 0x100, 8) == b"\xee" * 8


@LAYOUTS
@BOTH
@pytest.mark.parametrize("before", [0, 9])
@pytest.mark.parametrize("length", [1, 11])
def test_a_packet_without_a_header_breaks_the_device(layout, scalar, before, length):
    """5.1.6: what was placed before it is sent all the same."""
    world = World(layout=layout, scalar=scalar)
    transmit = world.by_hand()[1]
    world.ram.write(DATA, bytes(12) + frame(40, PEER))
    for number in range(before):
        transmit.add_buf([(DATA, 52)], [], number)
    transmit.add_buf([(DATA, length)], [], "wrong")
    transmit.add_buf([(DATA, 52)], [], "behind it")
    transmit.kick()
    assert len(world.heard) == before
    assert "virtio 1.3 5.1.6" in world.broken[0]
    assert [transmit.get_buf() for _ in range(before)] == [(n, 0) for n in range(before)]
    assert transmit.get_buf() is None


@LAYOUTS
@BOTH
def test_a_packet_that_is_only_there_to_be_written_is_none(layout, scalar):
    world = World(layout=layout, scalar=scalar)
    transmit = world.by_hand()[1]
    world.ram.write(DATA, bytes(12) + frame(40, PEER))
    for number in range(8):
        transmit.add_buf([], [(DATA, 52)], number)
    transmit.kick()
    assert "a packet of 0 bytes" in world.broken[0]
    assert not world.heard


@LAYOUTS
@BOTH
def test_a_packet_that_no_wire_carries_is_dropped_and_used(layout, scalar):
    """Empty, too short, too long: counted, and the ring goes on."""
    world = World(layout=layout, scalar=scalar)
    transmit = world.by_hand()[1]
    lengths = [0, MIN_FRAME - 1, MAX_FRAME + 1, 1 << 20, MIN_FRAME, MAX_FRAME]
    for length in lengths:
        transmit.add_buf([(DATA, 12 + length)], [], length)
    transmit.kick()
    assert [transmit.get_buf() for _ in lengths] == [(length, 0) for length in lengths]
    assert [len(each) for each in world.heard] == [MIN_FRAME, MAX_FRAME]
    assert world.link.a.counts["dropped: size"] == 4
    assert not world.broken


@LAYOUTS
@BOTH
def test_a_device_fills_checksums_in(layout, scalar):
    """5.1.6.2: the sum from csum_start to the end, inverted, csum_offset behind it."""
    world = World(layout=layout, scalar=scalar)
    driver = world.start()
    packet = bytearray(frame(14, PEER) + bytes(range(1, 8)))
    packet[16:18] = b"\x12\x34"  # as if it were the sum of a pseudo header
    driver.send(bytes(packet), offload=Offload(14, 2))
    (found,) = world.heard
    total = sum(int.from_bytes(packet[at : at + 2].ljust(2, b"\0"), "big") for at in (14, 16, 18))
    total += 7 << 8
    assert int.from_bytes(found[16:18], "big") == ~(total % 0xFFFF) & 0xFFFF
    assert found[:16] + found[18:] == packet[:16] + packet[18:]


@BOTH
def test_a_full_ring_of_long_sums(scalar):
    """Their carries are added in: with the checksum in it, every packet sums to all ones."""
    world = World(scalar=scalar)
    transmit = world.by_hand()[1]
    rng = random.Random(2)
    for number in range(16):
        packet = header(flags=1, csum_start=14, csum_offset=6) + frame(14, PEER)
        data = rng.randbytes(6) + bytes(2) + rng.randbytes(1391 + number)
        world.ram.write(DATA + 0x800 * number, packet + data)
        transmit.add_buf([(DATA + 0x800 * number, len(packet) + len(data))], [], number)
    transmit.kick()
    assert len(world.heard) == 16
    for sent in world.heard:
        words = sent[14:] + bytes(len(sent) % 2)
        total = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
        assert total % 0xFFFF == 0


def test_a_checksum_of_zero_is_sent_as_all_ones():
    """RFC 768."""
    world = World()
    driver = world.start()
    driver.send(frame(14, PEER) + b"\xff\xff\x00\x00", offload=Offload(14, 2))
    assert world.heard[0][16:18] == b"\xff\xff"


def header(**fields):
    made = np.zeros((), HEADER)
    for name, value in fields.items():
        made[name] = value
    return made.tobytes()


@LAYOUTS
@BOTH
@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"gso_type": Gso.TCPV4, "flags": 1, "gso_size": 100}, set()),
        ({"gso_type": 0x80}, set()),
        ({"gso_type": 2}, {NetFeature.CSUM}),
        ({"flags": 1, "csum_start": 59}, set()),
        ({"flags": 1, "csum_start": 50, "csum_offset": 9}, set()),
        ({"flags": 1, "csum_start": 0xFFFF, "csum_offset": 0xFFFF}, set()),
    ],
)
def test_what_was_not_negotiated_or_cannot_be_breaks_the_device(layout, scalar, fields, without):
    """5.1.6.2.1: the driver MUST NOT ask for segments, nor for a sum outside of the packet."""
    world = World(layout=layout, scalar=scalar, without=without)
    transmit = world.by_hand()[1]
    world.ram.write(DATA, header(**fields) + frame(60, PEER))
    transmit.add_buf([(DATA, 72)], [], "wrong")
    transmit.kick()
    assert "5.1.6.2.1" in world.broken[0]
    assert not world.heard


@LAYOUTS
@BOTH
@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"flags": HeaderFlag.NEEDS_CSUM, "csum_start": 9999}, {NetFeature.CSUM}),
        ({"flags": 0xFE}, set()),
        ({"hdr_len": 9999, "gso_size": 7, "num_buffers": 3, "csum_start": 9999}, set()),
    ],
)
def test_what_means_nothing_is_ignored(layout, scalar, fields, without):
    """5.1.6.2.2: flags that it does not recognize, fields that no flag makes valid."""
    world = World(layout=layout, scalar=scalar, without=without)
    transmit = world.by_hand()[1]
    world.ram.write(DATA, header(**fields) + frame(60, PEER))
    for number in range(7):
        transmit.add_buf([(DATA, 72)], [], number)
    transmit.kick()
    assert world.heard == [frame(60, PEER)] * 7
    assert not world.broken


# -- receive


@LAYOUTS
@BOTH
def test_frames_wait_for_buffers_but_not_all_of_them(layout, scalar):
    """A bounded number waits, in order; those behind them are dropped and counted."""
    world = World(layout=layout, scalar=scalar)
    receive = world.by_hand()[0]
    receive.add_buf([], [(DATA, 100)], "first")
    receive.kick()
    sent = [frame(60, fill=n) for n in range(256)]
    world.arrive(frame(60, fill=255), *sent, frame(60), frame(60))
    assert world.device.counts["dropped: no buffer"] == 2
    assert receive.get_buf() == ("first", 72)
    found = []
    while len(found) < 256:
        for number in range(8):
            receive.add_buf([], [(DATA + 0x100 * number, 100)], number)
        receive.kick()
        found += [world.ram.read(DATA + 0x100 * n + 12, 60) for n in range(8)]
        assert [receive.get_buf() for _ in range(9)] == [(n, 72) for n in range(8)] + [None]
    assert found == sent


def test_of_a_batch_too_the_first_ones_wait():
    world = World()
    receive = world.by_hand()[0]
    world.rig.core.notify(0)
    made = [frame(60, fill=n % 256) for n in range(300)]
    world.link.b.send_many(Frames.of(made[:20]))
    world.link.b.send_many(Frames.of(made[20:]))
    assert world.device.counts["dropped: no buffer"] == 44
    found = []
    for _ in range(16):
        for number in range(16):
            receive.add_buf([], [(DATA + 0x100 * number, 100)], number)
        receive.kick()
        assert [receive.get_buf() for _ in range(16)] == [(n, 72) for n in range(16)]
        found += [world.ram.read(DATA + 0x100 * n + 12, 60) for n in range(16)]
    assert found == made[:256]
    assert len(world.device.receivers[0]) == 0


@LAYOUTS
@BOTH
def test_without_merging_a_frame_has_one_buffer_or_none(layout, scalar):
    """5.1.6.3.2: only a single one; a frame that is too long for it is dropped, and it stays."""
    world = World(layout=layout, scalar=scalar, without={MERGE})
    receive = world.by_hand()[0]
    for number in range(6):
        receive.add_buf([], [(DATA + 0x100 * number, 20), (DATA + 0x100 * number + 20, 52)], number)
    receive.kick()
    for at in range(4):
        world.arrive(frame(61), frame(1000), frame(60, fill=at))
        assert receive.get_buf() == (at, 72)
        assert receive.get_buf() is None
        assert world.ram.read(DATA + 0x100 * at + 10, 62) == b"\x01\0" + frame(60, fill=at)
    assert world.device.counts["dropped: too long"] == 8
    world.link.b.send_many(Frames.of([frame(60), frame(61), frame(59), frame(9000), frame(60)]))
    assert [receive.get_buf() for _ in range(3)] == [(4, 72), (5, 71), None]
    assert world.device.counts["dropped: too long"] == 9


@LAYOUTS
@BOTH
@pytest.mark.parametrize("without", [set(), {MERGE}])
@pytest.mark.parametrize("good", [0, 3])
@pytest.mark.parametrize(
    "wrong",
    [([(DATA, 100)], [(DATA, 11)]), ([], [(DATA, 11)]), ([(DATA, 100)], [])],
    ids=["small behind", "small", "to read"],
)
def test_a_buffer_without_room_for_a_header_breaks_the_device(layout, scalar, without, good, wrong):
    """5.1.6.3.1: each buffer MUST be at least size of struct virtio_net_hdr."""
    world = World(layout=layout, scalar=scalar, without=without)
    receive = world.by_hand()[0]
    for number in range(good):
        receive.add_buf([], [(DATA, 100)], number)
    for _ in range(5):
        receive.add_buf(*wrong, "wrong")
    receive.kick()
    world.link.b.send_many(Frames.of([frame(60)] * 6))
    assert "5.1.6.3.1" in world.broken[0]
    assert [receive.get_buf() for _ in range(good)] == [(n, 72) for n in range(good)]
    assert receive.get_buf() is None


@LAYOUTS
@BOTH
def test_a_frame_longer_than_the_whole_ring_is_dropped(layout, scalar):
    """It could never fit; those behind it come in."""
    world = World(layout=layout, scalar=scalar)
    receive = world.by_hand(size=4)[0]
    for number in range(4):
        receive.add_buf([], [(DATA + 0x100 * number, 100)], number)
    receive.kick()
    world.arrive(frame(400), frame(388, fill=1))
    assert world.device.counts["dropped: too long"] == 1
    assert [receive.get_buf() for _ in range(4)] == [(n, 100) for n in range(4)]
    whole = b"".join(world.ram.read(DATA + 0x100 * n, 100) for n in range(4))
    assert whole == bytes(10) + b"\x04\0" + frame(388, fill=1)


@LAYOUTS
def test_a_frame_waits_until_all_of_its_buffers_are_there(layout):
    world = World(layout=layout)
    receive = world.by_hand()[0]
    for number in range(3):
        receive.add_buf([], [(DATA + 0x100 * number, 100)], number)
        receive.kick()
        if not number:
            world.arrive(frame(280))
        assert number == 2 or receive.get_buf() is None
    assert [receive.get_buf() for _ in range(4)] == [(0, 100), (1, 100), (2, 92), None]


# -- the link


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_pulled_cable_is_told(transport, layout):
    """5.1.4: the bottom bit of status, and a configuration interrupt."""
    world = World(transport, layout)
    driver = world.start()
    driver.virtio.causes()
    assert driver.link
    world.link.set_up(False)
    assert driver.virtio.causes() == Interrupt.CONFIG
    driver.refresh()
    assert not driver.link
    driver.send(frame(60, PEER))
    assert not world.heard
    world.link.set_up(True)
    driver.refresh()
    assert driver.link
    driver.send(frame(60, PEER))
    assert len(world.heard) == 1


def test_nothing_comes_in_before_the_driver_is_there_nor_after_a_reset():
    world = World()
    world.arrive(frame())
    driver = world.start()
    assert driver.receive() == []
    world.arrive(frame())
    assert len(driver.receive()) == 1
    driver.virtio.reset()
    world.arrive(frame())
    world.start()
    assert world.driver.receive() == []
    assert world.device.counts["dropped: not ready"] == 2


@LAYOUTS
def test_a_queue_that_is_reset_forgets_its_buffers_and_frames(layout):
    """2.6.1, 5.1.6.5.6: if all receive queues are being reset, packets are dropped."""
    world = World(layout=layout)
    receive = world.by_hand()[0]
    receive.add_buf([], [(DATA, 100)], "held")
    receive.kick()
    world.arrive(frame(200))
    assert world.rig.guest.reset_queue(0) == ["held"]
    world.arrive(frame(60, fill=9))
    assert world.device.counts["dropped: queue reset"] == 1
    receive.add_buf([], [(DATA + 0x100, 100)], "new")
    receive.kick()
    assert receive.get_buf() is None
    world.arrive(frame(60, fill=1))
    assert receive.get_buf() == ("new", 72)
    assert world.ram.read(DATA + 0x10C, 60) == frame(60, fill=1)


def test_a_frame_above_the_mtu_does_not_come_in():
    """5.1.4.1: mtu plus the Ethernet header, once MTU is negotiated. A tag is no payload."""
    tagged = frame(1018, kind=b"\x81\x00")
    for understood, expected in ((True, [1014, 1018]), (False, [1014, 1015, 1018, 1019])):
        without = {NetFeature.CTRL_VLAN} | (set() if understood else {NetFeature.MTU})
        world = World(device={"mtu": 1000}, without=without)
        driver = world.start()
        world.arrive(frame(1014), frame(1015), tagged, tagged + b"!")
        assert [len(packet.frame) for packet in driver.receive()] == expected
    assert "mtu" not in driver.config
    assert World(device={"mtu": 1000}).start().config["mtu"] == 1000


# -- what it is


def test_its_configuration():
    """5.1.4: address, status; the features that vouch for the rest are not offered."""
    device = VirtioNet(Link().a)
    assert len(device.config) == CONFIG.itemsize
    assert device.config[:6] == DEFAULT_MAC
    assert device.features == OFFERED
    assert device.queue_sizes == (256, 256, 64)
    assert config_field("max_virtqueue_pairs") == (8, 2)
    with pytest.raises(ValueError, match="no field 'nothing'"):
        config_field("nothing")
    assert VirtioNet(Link().a, offered={NetFeature.MAC}).queue_sizes == (256, 256)
    assert not device.write_config(0, b"\x02")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"mac": b"\x01\0\0\0\0\0"}, "bit 0 clear"),
        ({"mac": b"\x02"}, "6 bytes"),
        ({"pairs": 0}, "pairs of queues"),
        ({"mtu": 67}, "an MTU is"),
        ({"mtu": 65535}, "an MTU is"),
        ({"offered": {NetFeature.HOST_TSO4}}, "does not have"),
    ],
)
def test_what_it_cannot_be(how, why):
    with pytest.raises(ValueError, match=why):
        VirtioNet(Link().a, **how)


def test_a_group_is_received_by_who_asked_for_nothing():
    """Without CTRL_RX nobody could ask."""
    world = World(without={NetFeature.CTRL_RX, NetFeature.CTRL_RX_EXTRA})
    driver = world.start()
    world.arrive(frame(60, GROUP), frame(60, PEER))
    assert len(driver.receive()) == 2
