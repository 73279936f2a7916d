"""The console, clause by clause: what no other test of it says in so many words."""

import pytest

from tests.virtio.console_rig import Console
from tests.virtio.rig import LEGACY, WORLDS, Rig
from virtlab.backends import Terminal
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_layouts import ConsoleEvent, config_field, receiveq, transmitq
from virtlab.virtio.console_port import Port
from virtlab.virtio.status import Status

EMERG = config_field("emerg_wr")


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_emerg_wr_can_be_written_at_any_time(transport, layout):
    """5.3.5.1: in every state of the device, from before ACKNOWLEDGE to after FAILED."""
    terminal = Terminal()
    rig = Rig(VirtioConsole([Port(terminal, console=True)]), transport)
    shown = b""
    for status in (0, 1, 3, 11, 15, 0x8F, 0):
        rig.transport.set_status(status)
        rig.transport.config_write(*EMERG, 0x41 + len(shown))
        shown += bytes([0x41 + len(shown)])
        assert terminal.output == shown
    rig.start(layout)
    rig.transport.config_write(*EMERG, 0x5A)
    assert terminal.output == shown + b"Z"
    assert rig.core.status & Status.DRIVER_OK


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_port_is_added_once_and_below_the_largest(transport, layout):
    """5.3.6.2.1: also if the driver says again and again that it is ready."""
    console = Console(transport, layout, most=4)
    console.begin()
    for _ in range(3):
        console.say(ConsoleEvent.DEVICE_READY)
    assert not console.heard()
    with pytest.raises(ValueError, match="a free number below 4"):
        console.device.plug(2, Port(Terminal()))
    with pytest.raises(ValueError, match="a free number below 4"):
        console.device.plug(4, Port(Terminal()))
    console.device.plug(3, Port(Terminal()))
    assert [message[:2] for message in console.heard()] == [(ConsoleEvent.DEVICE_ADD, 3)]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_only_a_port_that_was_added_is_removed(transport, layout):
    """5.3.6.2.1: not one of which the driver has not heard yet."""
    console = Console(transport, layout)
    console.device.unplug(1)
    console.listen()
    console.say(ConsoleEvent.DEVICE_READY)
    events = [(event, port) for event, port, _, _ in console.heard()]
    assert events == [(ConsoleEvent.DEVICE_ADD, 0), (ConsoleEvent.DEVICE_ADD, 2)]
    console.listen()
    console.device.unplug(2)
    assert [message[:2] for message in console.heard()] == [(ConsoleEvent.DEVICE_REMOVE, 2)]


@pytest.mark.parametrize("transport", LEGACY)
def test_numbers_are_in_the_order_of_the_legacy_guest(transport):
    """5.3.4.1, 5.3.6.3: a PC's guest is little-endian; the size, ports, events, values."""
    ports = [Port(Terminal(), console=True, size=(0x150, 0x30))]
    rig = Rig(VirtioConsole(ports, 0x105), transport)
    config = [rig.transport.config_read(at, 1) for at in range(8)]
    assert config == [0x50, 1, 0x30, 0, 5, 1, 0, 0]
    console = Console(transport, ports=ports)
    console.listen()
    console.say(ConsoleEvent.DEVICE_READY)
    assert console.received(2) == [bytes.fromhex("00000000 0100 0000")]
    console.say(ConsoleEvent.PORT_READY, 0)
    found = console.received(2)
    assert bytes.fromhex("00000000 0500 0000 5001 3000") in found
    assert bytes.fromhex("00000000 0400 0100") in found


WRONG = [
    (receiveq(0), [(0x40000, 8)], []),
    (receiveq(0), [(0x40000, 8)], [(0x40100, 8)]),
    (transmitq(0), [], [(0x40000, 8)]),
    (transmitq(0), [(0x40000, 8)], [(0x40100, 8)]),
]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_buffer_of_the_wrong_direction_is_a_mistake(transport, layout):
    """5.3.6.1: the driver MUST NOT; the device believes nothing of it and needs a reset."""
    for index, out, in_ in WRONG:
        console = Console(transport, layout)
        console.say(ConsoleEvent.DEVICE_READY)
        console.say(ConsoleEvent.PORT_OPEN, 0)
        console.terminals[0].type("typed")
        console.queues[index].add_buf(out, in_, "wrong")
        console.queues[index].kick()
        assert "5.3.6.1" in console.rig.notes("guest error")[0]
        assert bytes(console.terminals[0].output) == b""
