"""The network driver's commands, clause by clause: which it sends, when, and what it sends then."""

import struct

import pytest

from tests.virtio.net_rig import BROADCAST, GROUP, PEER, World, frame
from tests.virtio.rig import WORLDS
from tests.virtio.watched import Spy, watch
from virtlab.virtio.net import DEFAULT_MAC
from virtlab.virtio.net_layouts import NetFeature, Rx, controlq

OTHER = bytes.fromhex("020000000099")
LAYOUTS = pytest.mark.parametrize("layout", ["split", "packed"])


def spied(world):
    """The world, with every call of its transport noted."""
    world.rig.transport = Spy(world.rig.transport)
    return world


# -- commands (5.1.6.5)


@pytest.mark.parametrize(
    ("without", "ask"),
    [
        (NetFeature.CTRL_RX, lambda control: control.switch(Rx.PROMISC, True)),
        (NetFeature.CTRL_RX, lambda control: control.switch(Rx.ALLMULTI, True)),
        (NetFeature.CTRL_RX, lambda control: control.set_tables([], [])),
        (NetFeature.CTRL_RX, lambda control: control.set_mac(OTHER)),
        (NetFeature.CTRL_MAC_ADDR, lambda control: control.set_mac(OTHER)),
        (NetFeature.CTRL_RX_EXTRA, lambda control: control.switch(Rx.ALLUNI, True)),
        (NetFeature.CTRL_RX_EXTRA, lambda control: control.switch(Rx.NOMULTI, True)),
        (NetFeature.CTRL_RX_EXTRA, lambda control: control.switch(Rx.NOUNI, True)),
        (NetFeature.CTRL_RX_EXTRA, lambda control: control.switch(Rx.NOBCAST, True)),
        (NetFeature.CTRL_VLAN, lambda control: control.add_vlan(1)),
        (NetFeature.CTRL_VLAN, lambda control: control.remove_vlan(1)),
        (NetFeature.GUEST_ANNOUNCE, lambda control: control.acknowledge_announce()),
        (NetFeature.MQ, lambda control: control.use_pairs(1)),
    ],
)
def test_a_command_that_was_not_negotiated_is_not_sent(without, ask):
    """5.1.6.5.1.2, 5.1.6.5.2.2: of the MAC class none without CTRL_RX, whatever else is there."""
    world = World(device={"pairs": 2}, without={without})
    control = world.start().control
    seen = watch(world.device)
    with pytest.raises(ValueError, match=f"{without.name} was not negotiated"):
        ask(control)
    assert not seen
    world = World(device={"pairs": 2})
    ask(world.start().control)


@LAYOUTS
def test_the_tables_are_written_as_the_device_reads_them(layout):
    """5.1.6.5.2.2: a le32 and so many stations, a le32 and so many groups; the ack is alone."""
    world = World(layout=layout)
    control = world.start().control
    seen = watch(world.device)
    control.set_tables([OTHER, PEER], [GROUP])
    (command,) = seen
    table = struct.pack("<I", 2) + OTHER + PEER + struct.pack("<I", 1) + GROUP
    assert command.data == b"\1\0" + table
    assert command.writable == [1]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_an_announcement_is_acknowledged(transport, layout):
    """5.1.6.5.4.1: the driver sends its packets, and MUST send the command. Then it is over."""
    world = World(transport, layout)
    driver = world.start()
    hello = frame(60, BROADCAST, DEFAULT_MAC)
    assert not driver.answer_announce(hello)
    assert not world.heard
    world.device.announce()
    seen = watch(world.device)
    assert driver.answer_announce(hello)
    assert world.heard == [hello]
    assert seen[-1].index == controlq(driver.virtio.features, 1)
    assert (seen[-1].data, seen[-1].writable) == (b"\3\0", [1])
    assert not driver.answer_announce(hello)
    assert len(world.heard) == 1


# -- several pairs (5.1.6.5.6.1)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_queues_are_set_up_before_they_are_enabled(transport, layout):
    """And nothing is sent on one but the first before the command."""
    world = spied(World(transport, layout, device={"pairs": 4}))
    driver = world.start(pairs=3)
    log = world.rig.transport.log
    made = [index for index, _, _ in world.rig.transport.calls("set_queue")]
    assert made == [0, 1, 2, 3, 4, 5, 8]
    (bell,) = [at for at, (name, *more) in enumerate(log) if (name, more[:1]) == ("notify", [8])]
    assert max(at for at, (name, *_) in enumerate(log) if name == "set_queue") < bell
    before = {more[0] for name, *more in log[:bell] if name == "notify"}
    assert not before & {3, 5, 7}
    for pair in range(3):
        driver.send(frame(60, PEER), pair=pair)
    assert len(world.heard) == 3


@pytest.mark.parametrize("pairs", [0, 5, 0x10000, -1])
def test_a_number_of_pairs_that_cannot_be_is_not_asked_for(pairs):
    """Not 0, and no more than max_virtqueue_pairs."""
    world = World(device={"pairs": 4})
    control = world.start().control
    seen = watch(world.device)
    with pytest.raises(ValueError, match=f"1 to 4 pairs of queues, not {pairs}"):
        control.use_pairs(pairs)
    assert not seen


def test_nothing_is_sent_on_a_pair_that_is_not_in_use():
    """From the moment on at which the command is placed; a pair more is used once it is done."""
    world = World(device={"pairs": 4})
    driver = world.start(pairs=4)
    control, allowed = driver.control, []
    watch(world.device, lambda index: allowed.append(control.pairs))
    control.use_pairs(2)
    control.use_pairs(3)
    assert allowed == [2, 2]
    driver.send(frame(60, PEER), pair=2)
    for pair in (3, 4):
        with pytest.raises(ValueError, match=f"pair {pair} is not in use"):
            driver.send(frame(60, PEER), pair=pair)
    assert len(world.heard) == 1
    world = World(without=set(NetFeature))
    with pytest.raises(ValueError, match="pair 1 is not in use"):
        world.start().send(frame(60, PEER), pair=1)
