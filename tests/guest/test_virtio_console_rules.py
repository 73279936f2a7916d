"""The console driver, clause by clause: its buffers, and what it says about ports."""

import pytest

from tests.guest.test_virtio_console import World
from tests.virtio.rig import WORLDS
from tests.virtio.watched import watch
from virtlab.backends import Terminal
from virtlab.virtio.console_layouts import (
    CONTROL,
    CONTROL_RECEIVEQ,
    CONTROL_TRANSMITQ,
    ConsoleEvent,
)
from virtlab.virtio.console_port import Port
from virtlab.virtio.layouts import packer


def said(seen):
    """The driver's messages: `(port, event, value)`."""
    unpack = packer(CONTROL).unpack
    return [unpack(each.data) for each in seen if each.index == CONTROL_TRANSMITQ]


def busy(world):
    """Ports in use in both directions, a port that comes, one that goes; all that was taken."""
    seen = watch(world.device)
    world.started()
    for number, port in world.driver.ports.items():
        port.open()
        port.write(b"to port %d" % number)
        world.terminals[number].type("typed")
        assert port.read() == b"typed"
    if world.driver.multiport:
        world.device.plug(3, Port(Terminal(), "new", console=True))
        world.driver.service()
        world.driver.service()
        world.device.unplug(3)
        world.driver.service()
    return seen


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("most", [None, 4])
def test_receive_queues_have_writable_buffers_and_transmit_queues_readable_ones(
    transport, layout, most
):
    """5.3.6.1: for ports and for messages alike."""
    seen = busy(World(transport, layout, most))
    queues = {each.index for each in seen}
    assert queues >= ({0, 1} if most is None else set(range(8)))
    for each in seen:
        wrong = each.readable if each.index % 2 == 0 else each.writable
        assert not wrong, f"queue {each.index}: {each.pieces}"


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_message_is_one_descriptor(transport, layout):
    """5.3.6.4: in both control queues; so it is right without ANY_LAYOUT too."""
    seen = busy(World(transport, layout))
    control = [each for each in seen if each.index in (CONTROL_RECEIVEQ, CONTROL_TRANSMITQ)]
    assert {each.index for each in control} == {CONTROL_RECEIVEQ, CONTROL_TRANSMITQ}
    assert all(len(each.pieces) == 1 for each in control)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_it_says_that_it_is_ready(transport, layout):
    """5.3.6.2.2: DEVICE_READY, first of all, if MULTIPORT is negotiated; and else nothing."""
    assert said(busy(World(transport, layout)))[0] == (0, ConsoleEvent.DEVICE_READY, 1)
    assert not said(busy(World(transport, layout, None)))


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_console_port_is_opened(transport, layout):
    """5.3.6.2.2: CONSOLE_PORT is answered by PORT_OPEN, of that port, with value 1."""
    world = World(transport, layout)
    seen = watch(world.device)
    world.started()
    assert [message for message in said(seen) if message[1] == ConsoleEvent.PORT_OPEN] == [
        (0, ConsoleEvent.PORT_OPEN, 1)
    ]
    assert world.driver.ports[0].console
    seen.clear()
    world.device.plug(3, Port(Terminal(), console=True))
    world.driver.service()
    world.driver.service()
    assert said(seen) == [(3, ConsoleEvent.PORT_READY, 1), (3, ConsoleEvent.PORT_OPEN, 1)]
