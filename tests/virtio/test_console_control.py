"""The console's ports and what is said about them: virtio 1.3 5.3.6.2."""

import random

import pytest

from tests.virtio.console_rig import FEATURES, SAY, Console
from tests.virtio.rig import WORLDS
from virtlab.backends import Terminal
from virtlab.virtio.console_layouts import (
    CONTROL,
    CONTROL_RECEIVEQ,
    CONTROL_TRANSMITQ,
    ConsoleEvent,
    ConsoleFeature,
    receiveq,
    transmitq,
)
from virtlab.virtio.console_port import Port
from virtlab.virtio.layouts import packer

READY, ADD, REMOVE, PORT_READY, CONSOLE, RESIZE, OPEN, NAME = ConsoleEvent
SIZE_80_25 = bytes((80, 0, 25, 0))

ADDED = [(ADD, number, 0, b"") for number in range(3)]
DESCRIBED = [
    [(CONSOLE, 0, 1, b""), (RESIZE, 0, 0, SIZE_80_25), (OPEN, 0, 1, b"")],
    [(NAME, 1, 1, b"org.virtlab.agent"), (OPEN, 1, 1, b"")],
    [(OPEN, 2, 1, b"")],
]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_ports_are_announced_and_described(transport, layout):
    console = Console(transport, layout)
    console.listen()
    console.say(READY)
    assert console.heard() == ADDED
    for number in range(3):
        console.say(PORT_READY, number)
        assert console.heard() == DESCRIBED[number]
    console.say(OPEN, 1)
    console.terminals[1].type("to the agent")
    console.offer(receiveq(1), [100])
    assert console.received(receiveq(1)) == [b"to the agent"]
    assert console.transmit(transmitq(2), b"from port 2").written == 0
    assert console.terminals[2].text == "from port 2"
    assert not console.rig.broken


def test_messages_wait_for_buffers_and_keep_their_order():
    console = Console()
    console.say(READY)
    for number in range(3):
        console.say(PORT_READY, number)
    expected = [*ADDED, *DESCRIBED[0], *DESCRIBED[1], *DESCRIBED[2]]
    console.listen(2)
    assert console.heard() == expected[:2]
    console.listen(20)
    assert console.heard() == expected[2:]


def test_a_port_is_announced_once():
    """5.3.6.2.1: the device must not specify a port which exists in a DEVICE_ADD message."""
    console = Console()
    console.listen()
    for _ in range(3):
        console.say(READY)
    assert console.heard() == ADDED


def test_a_driver_that_failed_hears_nothing():
    console = Console()
    console.listen()
    console.say(READY, value=0)
    assert console.heard() == []
    console.say(READY)
    console.heard()
    console.say(PORT_READY, 1, value=0)
    assert console.heard() == []


def test_however_often_it_asks_what_is_due_does_not_grow():
    """A guest that never gives a buffer cannot fill the host."""
    console = Console()
    rng = random.Random(1)
    for _ in range(300):
        event = rng.choice([READY, PORT_READY, OPEN, ConsoleEvent.RESIZE, ADD])
        console.say(event, rng.randrange(5), rng.randrange(3))
    assert len(console.device.control._due) <= 3 * 5
    console.listen(20)
    assert console.heard()[:3] == ADDED


@pytest.mark.parametrize("event", [*ConsoleEvent, 8, 0xFFFF])
@pytest.mark.parametrize("number", [3, 4, 0xFFFFFFFF])
def test_what_is_of_no_port_or_no_event_means_nothing(event, number):
    console = Console()
    console.begin()
    if event != READY:
        console.say(event, number)
    console.say(8, 0)
    assert console.heard() == []
    assert not console.rig.broken


def test_before_its_port_is_known_a_driver_cannot_open_it():
    console = Console()
    console.listen()
    console.say(OPEN, 1)
    console.say(PORT_READY, 1)
    assert console.heard() == []
    assert not console.ports[1].guest_open


# -- open and closed


def test_bytes_wait_until_the_guest_opens_its_end():
    console = Console()
    console.begin()
    console.offer(receiveq(1), [100, 100])
    console.terminals[1].type("early")
    assert console.received(receiveq(1)) == []
    console.say(OPEN, 1, 1)
    assert console.received(receiveq(1)) == [b"early"]
    console.say(OPEN, 1, 0)
    console.terminals[1].type("late")
    assert console.received(receiveq(1)) == []


def test_the_far_end_opens_and_closes():
    """5.3.6.2: PORT_OPEN is sent by both. What is sent to a closed end is dropped."""
    console = Console()
    console.begin()
    console.device.set_open(1, False)
    assert console.heard() == [(OPEN, 1, 0, b"")]
    console.transmit(transmitq(1), b"lost")
    console.device.set_open(1, True)
    console.transmit(transmitq(1), b"found")
    assert console.heard() == [(OPEN, 1, 1, b"")]
    assert console.terminals[1].text == "found"


def test_a_message_says_how_it_is_when_it_is_sent():
    console = Console()
    console.listen(3)
    console.say(READY)
    console.say(PORT_READY, 2)
    console.device.set_open(2, False)
    console.device.set_open(2, True)
    console.device.set_open(2, False)
    assert console.heard() == ADDED
    console.listen()
    assert console.heard() == [(OPEN, 2, 0, b"")]


def test_a_port_that_is_closed_from_the_beginning_is_not_called_open():
    console = Console()
    console.device.set_open(2, False)
    assert console.begin() == [*ADDED, *DESCRIBED[0], *DESCRIBED[1]]


# -- plugged and unplugged


def test_a_port_is_plugged_in_and_taken_away():
    console = Console()
    console.begin()
    terminal = Terminal()
    console.device.plug(3, Port(terminal, "late"))
    assert console.heard() == [(ADD, 3, 0, b"")]
    console.say(PORT_READY, 3)
    assert console.heard() == [(NAME, 3, 1, b"late"), (OPEN, 3, 1, b"")]
    console.transmit(transmitq(3), b"here")
    port = console.device.unplug(3)
    assert console.heard() == [(REMOVE, 3, 0, b"")]
    assert console.transmit(transmitq(3), b"nowhere").written == 0
    terminal.type("nobody")
    console.offer(receiveq(3), [10])
    assert console.received(receiveq(3)) == []
    assert terminal.text == "here"
    console.device.plug(3, port)
    assert console.heard() == [(ADD, 3, 0, b"")]


def test_only_what_was_added_is_removed():
    """5.3.6.2.1: not a port which has not been created with a previous DEVICE_ADD."""
    console = Console()
    console.listen(2)
    console.device.unplug(1)
    console.say(READY)
    assert console.heard() == [(ADD, 0, 0, b""), (ADD, 2, 0, b"")]
    console.say(PORT_READY, 2)
    console.device.plug(1, Port(Terminal()))
    console.device.unplug(1)
    console.device.unplug(2)
    console.listen()
    assert console.heard() == [(REMOVE, 2, 0, b"")]


def test_a_port_that_goes_and_comes_and_goes_is_gone():
    console = Console()
    console.begin()
    port = console.device.unplug(2)
    console.device.plug(2, port)
    console.device.unplug(2)
    assert console.heard() == [(REMOVE, 2, 0, b""), (ADD, 2, 0, b""), (REMOVE, 2, 0, b"")]
    console = Console()
    console.listen(3)
    console.say(READY)
    port = console.device.unplug(2)
    console.device.plug(2, port)
    console.device.unplug(2)
    assert console.heard() == ADDED
    console.listen()
    assert console.heard() == [(REMOVE, 2, 0, b"")]


def test_a_number_is_free_and_below_the_largest():
    """5.3.6.2.1: nor a port which is equal or greater than max_nr_ports."""
    console = Console()
    for number in (0, 4, -1):
        with pytest.raises(ValueError, match=f"a free number below 4, not {number}"):
            console.device.plug(number, Port(Terminal()))
    console.device.plug(3, Port(Terminal()))
    with pytest.raises(KeyError):
        console.device.unplug(9)


def test_port_0_in_the_configuration_follows_the_port():
    console = Console()
    console.begin()
    console.rig.guest.causes()
    console.device.unplug(0)
    assert console.device.config[:4] == bytes(4)
    console.device.plug(0, Port(Terminal(), size=(40, 12)))
    assert console.device.config[:4] == bytes((40, 0, 12, 0))
    assert console.rig.guest.causes() & 2


# -- size


def test_a_console_s_size_is_told_by_a_message_too():
    console = Console()
    console.begin()
    console.device.resize(132, 43)
    console.device.resize(100, 30, 2)
    expected = [(RESIZE, 0, 0, bytes((132, 0, 43, 0))), (RESIZE, 2, 0, bytes((100, 0, 30, 0)))]
    assert console.heard() == expected
    assert console.device.config[:4] == bytes((132, 0, 43, 0))


# -- without MULTIPORT, and after a reset


def test_without_multiport_only_port_0_is_there():
    """5.3.2: other queues only exist if MULTIPORT is set. Port 0 needs no message."""
    console = Console(understood=FEATURES - {ConsoleFeature.MULTIPORT})
    console.offer(0, [20])
    console.terminals[0].type("plain")
    assert console.received(0) == [b"plain"]
    assert console.transmit(1, b"output").written == 0
    assert console.terminals[0].text == "output"
    console.listen()
    assert console.transmit(CONTROL_TRANSMITQ, packer(CONTROL).pack(0, READY, 1)) is None
    assert console.transmit(transmitq(1), b"output") is None
    assert console.heard() == []
    console.device.set_open(1, False)
    assert not console.rig.broken


def test_after_a_reset_all_is_announced_again():
    console = Console()
    console.begin()
    console.say(OPEN, 1)
    console.device.set_open(2, False)
    console.rig.start(understood=FEATURES, queues=10)
    console.queues = console.rig.guest.queues
    assert not console.ports[1].guest_open
    console.listen()
    console.say(READY)
    assert console.heard() == ADDED


# -- mistakes


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize(
    ("index", "out", "in_", "clause"),
    [
        (CONTROL_TRANSMITQ, [(SAY, 7)], [], "a control message of 7 bytes"),
        (CONTROL_TRANSMITQ, [(SAY, 8)], [(SAY + 16, 1)], "5.3.6.1"),
        (CONTROL_TRANSMITQ, [], [(SAY, 8)], "5.3.6.1"),
        (CONTROL_RECEIVEQ, [(SAY, 8)], [(SAY, 96)], "5.3.6.1"),
        (CONTROL_RECEIVEQ, [], [(SAY, 7)], "a buffer of 7 bytes for a message of 8"),
        (receiveq(1), [(SAY, 8)], [], "5.3.6.1"),
        (transmitq(1), [], [(SAY, 8)], "5.3.6.1"),
    ],
)
def test_a_wrong_buffer_breaks_the_device(layout, index, out, in_, clause):
    console = Console(layout=layout)
    console.say(READY)
    console.say(OPEN, 1)
    console.terminals[1].type("x")
    console.queues[index].add_buf(out, in_, "wrong")
    console.queues[index].kick()
    assert console.rig.broken
    assert clause in console.rig.notes("guest error")[0]
    assert console.queues[index].get_buf() is None


def test_a_message_in_eight_pieces_is_one():
    """2.7.4.1: no assumption about framing; and what is behind the message is not looked at."""
    console = Console()
    console.listen()
    console.transmit(CONTROL_TRANSMITQ, packer(CONTROL).pack(9, READY, 1), cuts=range(1, 8))
    assert console.heard() == ADDED
    console.listen()
    message = packer(CONTROL).pack(2, PORT_READY, 1) + b"and more"
    console.transmit(CONTROL_TRANSMITQ, message, cuts=(3, 9))
    assert console.heard() == DESCRIBED[2]


def test_a_message_is_scattered_over_a_buffer_s_pieces():
    console = Console(ports=[Port(Terminal(), "näme")])
    console.say(READY)
    console.queues[CONTROL_RECEIVEQ].add_buf([], [(SAY + at, 1) for at in range(0, 16, 2)], "m")
    console.queues[CONTROL_RECEIVEQ].kick()
    assert console.queues[CONTROL_RECEIVEQ].get_buf() == ("m", 8)
    assert console.rig.ram.read(SAY, 16)[::2] == packer(CONTROL).pack(0, ADD, 0)
    console.listen()
    console.say(PORT_READY, 0)
    assert console.heard()[0] == (NAME, 0, 1, "näme".encode())
