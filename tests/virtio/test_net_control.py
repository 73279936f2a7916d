"""The control queue of the network device, what it lets in, and several queues: 5.1.6.5."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.net_rig import BROADCAST, DATA, GROUP, PEER, WORLDS, World, frame
from virtlab.backends import Frames
from virtlab.guest.virtio_net_control import CommandFailed
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_filter import MAX_TABLE, Filter
from virtlab.virtio.net_layouts import (
    ANNOUNCE_ACK,
    CTRL_RX,
    MAC_ADDR_SET,
    MAC_TABLE_SET,
    VLAN_ADD,
    VLAN_DEL,
    VQ_PAIRS_SET,
    NetFeature,
    Rx,
    controlq,
)
from virtlab.virtio.net_steering import MAX_FLOWS, Steering, flow
from virtlab.virtio.status import Interrupt

OTHER = bytes.fromhex("020000000099")
OTHER_GROUP = bytes.fromhex("3333deadbeef")
ALL = {"own": DEFAULT_MAC, "other": OTHER, "group": GROUP, "group 2": OTHER_GROUP, "all": BROADCAST}


def let_in(world):
    """Which of ALL come in: one by one, and as a batch."""
    names = {to: name for name, to in ALL.items()}
    device = world.device
    wanted = [
        to for to in ALL.values() if device.filter.wants(frame(60, to), device.mac, device.spoken)
    ]
    for to in ALL.values():
        world.arrive(frame(60, to))
    single = [names[packet.frame[:6]] for packet in world.driver.receive()]
    assert single == [names[to] for to in wanted]
    world.link.b.send_many(Frames.of([frame(60, to) for to in ALL.values()]))
    assert [names[packet.frame[:6]] for packet in world.driver.receive()] == single
    return single


# -- which packets come in


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_modes_are_switched_by_commands(transport, layout):
    """5.1.6.5.1: and each off again."""
    world = World(transport, layout)
    control = world.start().control
    assert let_in(world) == ["own", "all"]
    expected = {
        Rx.PROMISC: list(ALL),
        Rx.ALLMULTI: ["own", "group", "group 2", "all"],
        Rx.ALLUNI: ["own", "other", "all"],
        Rx.NOMULTI: ["own", "all"],
        Rx.NOUNI: ["all"],
        Rx.NOBCAST: ["own"],
    }
    for mode, names in expected.items():
        control.switch(mode, True)
        assert let_in(world) == names
        control.switch(mode, False)
        assert let_in(world) == ["own", "all"]
    assert not world.broken


@pytest.mark.parametrize(
    ("modes", "names"),
    [
        ({Rx.ALLMULTI, Rx.NOMULTI}, ["own", "all"]),
        ({Rx.ALLUNI, Rx.NOUNI}, ["all"]),
        ({Rx.ALLMULTI, Rx.NOBCAST}, ["own", "group", "group 2"]),
        ({Rx.NOMULTI, Rx.NOUNI, Rx.NOBCAST}, []),
        ({Rx.NOMULTI, Rx.NOUNI, Rx.NOBCAST, Rx.PROMISC}, list(ALL)),
    ],
)
def test_which_mode_counts_more(modes, names):
    """5.1.6.5.1: the NO modes even if the ALL modes are on; PROMISC even if others are."""
    world = World()
    control = world.start().control
    for mode in modes:
        control.switch(mode, True)
    assert let_in(world) == names


def test_a_table_of_addresses_lets_them_in():
    """5.1.6.5.2: each command replaces the table; a reset empties it."""
    world = World()
    control = world.start().control
    control.set_tables([OTHER], [GROUP])
    assert let_in(world) == ["own", "other", "group", "all"]
    control.set_tables([], [OTHER_GROUP])
    assert let_in(world) == ["own", "group 2", "all"]
    world.start()
    assert let_in(world) == ["own", "all"]


def test_a_table_that_is_too_long_lets_all_in():
    """5.1.6.5.2: a device may switch to all when it is given too many."""
    world = World()
    control = world.start().control
    many = [b"\x02" + number.to_bytes(5, "big") for number in range(MAX_TABLE + 1)]
    control.set_tables(many, [GROUP])
    assert let_in(world) == ["own", "other", "group", "all"]
    control.set_tables(many[1:], [b"\x03" + each[1:] for each in many])
    assert let_in(world) == ["own", "group", "group 2", "all"]


def test_another_address_of_its_own():
    """5.1.6.5.2: the filter and the configuration follow; a reset brings the first one back."""
    world = World()
    driver = world.start()
    driver.control.set_mac(OTHER)
    driver.refresh()
    assert driver.address == OTHER
    assert let_in(world) == ["other", "all"]
    world.start()
    assert world.driver.address == DEFAULT_MAC


def vlan(number, to=DEFAULT_MAC):
    return frame(60, to, kind=b"\x81\x00" + (0x2000 | number).to_bytes(2, "big"))


def test_vlans():
    """5.1.6.5.3: the table is empty at first, and applies to tagged packets alone."""
    world = World()
    driver = world.start()

    def found():
        world.link.b.send_many(Frames.of([frame(60), vlan(5), vlan(6), vlan(6, OTHER)]))
        return [packet.frame for packet in driver.receive()]

    assert found() == [frame(60)]
    driver.control.add_vlan(6)
    assert found() == [frame(60), vlan(6)]
    driver.control.remove_vlan(6)
    driver.control.add_vlan(5)
    assert found() == [frame(60), vlan(5)]
    driver.control.switch(Rx.PROMISC, True)
    assert len(found()) == 4
    # Where it is not negotiated, the device MUST accept all.
    world = World(without={NetFeature.CTRL_VLAN})
    driver = world.start()
    assert len(found()) == 3


@given(
    modes=st.sets(st.sampled_from(Rx)),
    vlans=st.sets(st.integers(4, 6)),
    tables=st.sampled_from([([], []), ([OTHER], [GROUP]), (None, []), ([], None)]),
    features=st.sets(st.sampled_from([NetFeature.CTRL_RX, NetFeature.CTRL_VLAN])),
    made=st.lists(
        st.builds(
            lambda to, kind, length: frame(length, to, kind=kind),
            st.sampled_from(list(ALL.values())),
            st.sampled_from([b"\x88\xb5", b"\x81\x00\x20\x05", b"\x81\x00\x00\x07"]),
            st.sampled_from([14, 60]),
        ),
        max_size=8,
    ),
)
@settings(max_examples=200, deadline=None)
def test_a_filter_wants_of_many_what_it_wants_of_each(modes, vlans, tables, features, made):
    wanted = Filter()
    wanted.modes, wanted.vlans = modes, vlans
    wanted.stations, wanted.groups = (t if t is None else frozenset(t) for t in tables)
    each = [wanted.wants(one, DEFAULT_MAC, frozenset(features)) for one in made]
    assert wanted.wants_many(Frames.of(made), DEFAULT_MAC, frozenset(features)).tolist() == each


# -- announcing


def test_a_driver_can_be_asked_to_announce_itself():
    """5.1.6.5.4: a bit in the status, cleared before the ack is used."""
    world = World()
    driver = world.start()
    driver.virtio.causes()
    world.device.announce()
    assert driver.virtio.causes() == Interrupt.CONFIG
    driver.refresh()
    assert driver.asked_to_announce
    driver.control.acknowledge_announce()
    driver.refresh()
    assert not driver.asked_to_announce
    assert driver.link


# -- what is no command


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ((9, 0), b""),
        ((CTRL_RX, 6), b"\1"),
        ((CTRL_RX, Rx.PROMISC), b""),
        ((CTRL_RX, Rx.PROMISC), b"\2"),
        ((CTRL_RX, Rx.PROMISC), b"\1\1"),
        (MAC_TABLE_SET, b""),
        (MAC_TABLE_SET, bytes(7)),
        (MAC_TABLE_SET, bytes(9)),
        (MAC_TABLE_SET, b"\1\0\0\0" + OTHER),
        (MAC_TABLE_SET, b"\1\0\0\0" + GROUP + bytes(4)),
        (MAC_TABLE_SET, bytes(4) + b"\1\0\0\0" + OTHER),
        (MAC_TABLE_SET, b"\xff\xff\xff\xff" + bytes(100)),
        (MAC_ADDR_SET, OTHER[:5]),
        (MAC_ADDR_SET, GROUP),
        (MAC_ADDR_SET, OTHER + b"\0"),
        (VLAN_ADD, b"\5"),
        (VLAN_ADD, b"\0\x10"),
        (VLAN_DEL, b"\5\0\0"),
        (ANNOUNCE_ACK, b"\0"),
        (VQ_PAIRS_SET, b"\1\0"),  # MQ is not offered
    ],
)
def test_what_is_no_command_is_an_error_and_changes_nothing(command, data):
    world = World()
    control = world.start().control
    control.set_tables([OTHER], [])
    world.device.announce()
    before = dict(vars(world.device.filter)), world.device.config
    with pytest.raises(CommandFailed, match="ack 0x1"):
        control.command(command, data)
    assert (dict(vars(world.device.filter)), world.device.config) == before
    assert not world.broken


@pytest.mark.parametrize(
    ("feature", "command", "data"),
    [
        (NetFeature.CTRL_RX, (CTRL_RX, Rx.PROMISC), b"\1"),
        (NetFeature.CTRL_RX, (CTRL_RX, Rx.ALLMULTI), b"\1"),
        (NetFeature.CTRL_RX, MAC_TABLE_SET, bytes(8)),
        (NetFeature.CTRL_RX_EXTRA, (CTRL_RX, Rx.NOUNI), b"\1"),
        (NetFeature.CTRL_MAC_ADDR, MAC_ADDR_SET, OTHER),
        (NetFeature.CTRL_VLAN, VLAN_ADD, b"\1\0"),
        (NetFeature.GUEST_ANNOUNCE, ANNOUNCE_ACK, b""),
    ],
)
def test_a_command_needs_its_feature(feature, command, data):
    """5.1.6.5: the driver MUST NOT issue it without."""
    World().start().control.command(command, data)
    with pytest.raises(CommandFailed):
        World(without={feature}).start().control.command(command, data)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("out", "in_"), [([(DATA, 1)], [(DATA + 8, 1)]), ([(DATA, 3)], []), ([], [(DATA, 3)])]
)
def test_a_chain_that_is_no_command_breaks_the_device(layout, out, in_):
    world = World(layout=layout)
    control = world.by_hand()[2]
    control.add_buf(out, in_, "wrong")
    control.kick()
    assert "virtio 1.3 5.1.6.5" in world.broken[0]


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_the_framing_of_a_command_does_not_matter(layout):
    """2.7.4.1; the ack is the first byte to write, and all that is written."""
    world = World(layout=layout)
    control = world.by_hand()[2]
    world.ram.write(DATA, bytes(MAC_ADDR_SET) + OTHER)
    world.ram.write(DATA + 0x100, b"\xee" * 4)
    control.add_buf([(DATA + at, 1) for at in range(8)], [(DATA + 0x100, 1), (DATA + 0x102, 2)], 1)
    control.kick()
    assert control.get_buf() == (1, 1)
    assert world.ram.read(DATA + 0x100, 4) == b"\0\xee\xee\xee"
    assert world.device.mac == OTHER


# -- several queues


def udp(source, destination, ports, to=DEFAULT_MAC, from_=PEER):
    """A UDP packet over IPv4; addresses are their last bytes."""
    ip = bytes([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, destination])
    return to + from_ + b"\x08\x00" + ip + b"".join(p.to_bytes(2, "big") for p in ports) + bytes(12)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_flow_comes_in_where_it_went_out(transport, layout):
    """5.1.6.5.6: what goes out on transmitqX brings its answers to receiveqX."""
    world = World(transport, layout, device={"pairs": 4})
    driver = world.start(pairs=4, slots=16)
    assert (driver.pairs, driver.config["max_virtqueue_pairs"]) == (4, 4)
    for port in range(20):
        driver.send(udp(1, 2, (1000 + port, 53), PEER, DEFAULT_MAC), pair=port % 4)
    for port in range(20):
        world.arrive(udp(2, 1, (53, 1000 + port)))
        for pair in range(4):
            expected = [udp(2, 1, (53, 1000 + port))] if pair == port % 4 else []
            assert [packet.frame for packet in driver.receive(pair=pair)] == expected
    assert not world.broken


def test_batches_are_spread_over_the_queues_in_order():
    world = World(device={"pairs": 3})
    driver = world.start(pairs=3)
    driver.send(*[udp(1, 2, (port, 9), PEER, DEFAULT_MAC) for port in range(6)], pair=2)
    world.link.b.send_many(Frames.of([udp(2, 1, (9, port)) for port in range(8)]))
    found = [[packet.frame for packet in driver.receive(pair=pair)] for pair in range(3)]
    assert found[2][:6] == [udp(2, 1, (9, port)) for port in range(6)]
    assert sum(map(len, found)) == 8


@pytest.mark.parametrize("pairs", [0, 5, 0xFFFF])
def test_a_number_of_pairs_that_cannot_be_is_refused(pairs):
    """5.1.6.5.6: the driver MUST NOT ask for 0, nor for more than there are."""
    world = World(device={"pairs": 4})
    control = world.start().control
    with pytest.raises(CommandFailed):
        control.command(VQ_PAIRS_SET, pairs.to_bytes(2, "little"))
    assert world.device.active == 1


def test_only_the_first_pair_is_used_until_the_driver_says_so():
    """5.1.6.5.6: after a reset, and again when it asks for one pair."""
    world = World(device={"pairs": 2})
    control = world.start(pairs=2).control
    driver = world.driver
    control.use_pairs(1)
    ring = driver.sending[1]
    ring.send([frame(60, PEER)])
    assert not world.heard
    for number in range(40):
        world.arrive(udp(2, 1, (1, number)))
    assert len(driver.receive(pair=0)) == 40
    assert not driver.receive(pair=1)
    control.use_pairs(2)
    assert len(world.heard) == 1
    world.arrive(*[udp(2, 1, (1, number)) for number in range(40)])
    assert len(driver.receive(pair=0)) + len(driver.receive(pair=1)) == 40
    assert not world.broken


def test_after_a_reset_packets_come_in_on_receiveq1_alone():
    """5.1.6.5.6: MQ is negotiated, and nobody has asked for more pairs, or not again."""
    world = World(device={"pairs": 2})
    for before in (1, 2, 1):
        world.start(pairs=before)
        driver = world.start(pairs=1)
        assert NetFeature.MQ in driver.virtio.features
        world.arrive(*[udp(2, 1, (1, number)) for number in range(40)])
        assert len(driver.receive()) == 40


def test_frames_of_a_queue_that_is_no_longer_used_are_dropped():
    """5.1.6.5.6: none above virtqueue_pairs once the command is used. Its buffers stay."""
    world = World(device={"pairs": 2})
    driver = world.start(pairs=2, slots=4, slot=128)
    driver.send(udp(1, 2, (7, 8), PEER, DEFAULT_MAC), pair=1)
    for _ in range(6):
        world.arrive(udp(2, 1, (8, 7)))
    assert len(world.device.receivers[1]) == 2
    driver.control.use_pairs(1)
    assert len(world.device.receivers[1]) == 0
    driver.control.use_pairs(2)
    assert len(driver.receive(pair=1)) == 4
    world.arrive(udp(2, 1, (8, 7)))
    assert len(driver.receive(pair=1)) == 1
    assert not world.broken


def test_a_driver_without_mq_has_the_control_queue_third():
    """5.1.2: N is 1 without MQ."""
    world = World(device={"pairs": 4}, without={NetFeature.MQ})
    driver = world.start(pairs=4)
    assert driver.pairs == 1
    driver.control.switch(Rx.PROMISC, True)
    assert let_in(world) == list(ALL)
    assert [controlq({NetFeature.CTRL_VQ}, 4), controlq({NetFeature.MQ}, 4)] == [2, None]
    assert controlq({NetFeature.CTRL_VQ, NetFeature.MQ}, 4) == 8


def test_another_queue_takes_what_a_stopped_one_would_have():
    """5.1.6.5.6: if the destination is being reset, the device SHOULD select another."""
    world = World(device={"pairs": 2})
    driver = world.start(pairs=2)
    driver.send(udp(1, 2, (7, 8), PEER, DEFAULT_MAC), pair=1)
    driver.virtio.transport.reset_queue(2)
    world.arrive(udp(2, 1, (8, 7)))
    assert len(driver.receive(pair=0)) == 1


# -- flows


def test_what_a_flow_is():
    """The two ends of TCP or UDP; without ports the two stations."""
    out, back = udp(1, 2, (5, 6), PEER, DEFAULT_MAC), udp(2, 1, (6, 5))
    assert flow(out, True) == flow(back, False)
    assert flow(out, True) != flow(udp(1, 2, (5, 7), PEER, DEFAULT_MAC), True)
    fragment = back[:20] + b"\x20\x00" + back[22:]
    assert flow(fragment, False) == DEFAULT_MAC + PEER
    assert flow(back[:36], False) == DEFAULT_MAC + PEER
    assert flow(back[:30], False) == DEFAULT_MAC + PEER
    assert flow(frame(60), False) == DEFAULT_MAC + PEER
    six = DEFAULT_MAC + PEER + b"\x86\xdd" + bytes(6) + b"\x06\x40" + bytes(15) + b"\1"
    six += bytes(15) + b"\2" + b"\0\5\0\6" + bytes(16)
    assert flow(six, True) == b"\6" + six[22:38] + b"\0\5" + b"\6" + six[38:54] + b"\0\6"
    assert flow(six[:50], True) == PEER + DEFAULT_MAC


def test_flows_that_are_remembered_are_bounded():
    steering = Steering()
    for number in range(MAX_FLOWS + 10):
        out = udp(1, 2, (number, 1), PEER, DEFAULT_MAC)
        steering.sent(out, 3)
    assert len(steering.flows) == MAX_FLOWS
    assert steering.where(udp(2, 1, (1, 50)), 8) == 3
    # A pair that is no longer used is none.
    assert steering.where(udp(2, 1, (1, 50)), 3) < 3
