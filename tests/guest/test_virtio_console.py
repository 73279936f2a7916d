"""The console driver over every transport and ring, and what it makes of a strange device."""

import random

import pytest

from tests.guest.paper_virtio import PaperTransport, RamCpu
from tests.virtio.rig import RAM, ROOM, WORLDS, Rig
from virtlab.backends import Terminal
from virtlab.guest.room import Room
from virtlab.guest.virtio_console import CONSOLE_FEATURES, ConsoleDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.memory import GuestMemory
from virtlab.virtio.console import VirtioConsole
from virtlab.virtio.console_layouts import CONTROL, ConsoleEvent, ConsoleFeature
from virtlab.virtio.console_port import Port
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import packer
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.status import Status


class World:
    """Our driver and our device: three ports of up to four."""

    def __init__(self, transport="mmio", layout="split", most=4, without=(), **how):
        self.terminals = [Terminal() for _ in range(3 if most else 1)]
        ports = [
            Port(self.terminals[0], "tty", console=True, size=(80, 25)),
            *(Port(terminal, f"org.virtlab.{n}") for n, terminal in enumerate(self.terminals[1:])),
        ]
        self.device = VirtioConsole(ports, most, 64)
        self.rig = Rig(self.device, transport)
        features = (RING_FEATURES | CONSOLE_FEATURES) - set(without)
        features -= {Feature.RING_PACKED} if layout == "split" else set()
        room = Room(ROOM, RAM - ROOM)
        self.driver = ConsoleDriver(
            self.rig.cpu, self.rig.transport, room, understood=features, **how
        )

    def started(self):
        self.driver.start()
        return self


def both_ways(port, terminal, seed):
    """Random bytes in both directions, more and less than a buffer or all of them."""
    rng = random.Random(seed)
    before = len(terminal.output)
    sent = typed = found = b""
    for length in (1, 33, 500):
        data = rng.randbytes(length)
        port.write(data)
        sent += data
        data = rng.randbytes(length)
        terminal.type(data)
        typed += data
        found += port.read()
    assert terminal.output[before:] == sent
    assert found == typed


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_every_port_carries_bytes_both_ways(transport, layout):
    world = World(transport, layout, buffers=7, chunk=32).started()
    ports = world.driver.ports
    assert [ports[number].name for number in range(3)] == ["tty", "org.virtlab.0", "org.virtlab.1"]
    assert [ports[number].console for number in range(3)] == [True, False, False]
    assert ports[0].size == world.driver.window == (80, 25)
    assert world.driver.config["max_nr_ports"] == 4
    # 5.3.6.2.2: the driver must answer CONSOLE_PORT by PORT_OPEN; other ports are opened by users.
    assert [world.device.ports[number].guest_open for number in range(3)] == [True, False, False]
    assert all(port.host_open for port in ports.values())
    for number in range(3):
        if number:
            ports[number].open()
        both_ways(ports[number], world.terminals[number], number)
    assert not world.rig.broken


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
@pytest.mark.parametrize("most", [None, 4])
def test_without_multiport_there_is_one_port(transport, layout, most):
    world = World(transport, layout, most, without={ConsoleFeature.MULTIPORT}).started()
    port = world.driver.ports[0]
    assert list(world.driver.ports) == [0]
    assert (port.console, port.host_open, port.is_open) == (True, True, True)
    both_ways(port, world.terminals[0], 5)
    port.close()
    assert world.driver.service() == []
    assert not world.rig.broken


def test_ports_open_and_close_at_both_ends():
    world = World().started()
    port = world.driver.ports[1]
    world.device.set_open(1, False)
    assert world.driver.service() == [(ConsoleEvent.PORT_OPEN, 1, 0)]
    assert not port.host_open
    port.open()
    assert world.device.ports[1].guest_open
    port.close()
    assert not world.device.ports[1].guest_open
    world.terminals[1].type("waits")
    assert port.read() == b""
    port.open()
    assert port.read() == b"waits"


def test_a_port_is_plugged_in_and_taken_away():
    world = World().started()
    terminal = Terminal()
    world.device.plug(3, Port(terminal, "späte"))
    world.driver.service()
    world.driver.service()
    port = world.driver.ports[3]
    assert port.name == "späte"
    port.open()
    both_ways(port, terminal, 7)
    terminal.type("unread")
    again = world.device.unplug(3)
    world.driver.service()
    assert 3 not in world.driver.ports
    world.device.plug(3, again)
    world.driver.service()
    world.driver.service()
    port = world.driver.ports[3]
    port.open()
    both_ways(port, terminal, 8)


def test_a_size_that_changes_is_told():
    world = World().started()
    world.device.resize(132, 43)
    assert world.driver.service() == [(ConsoleEvent.RESIZE, 0, 0)]
    assert world.driver.ports[0].size == (132, 43)
    assert world.driver.window == (80, 25)
    world.driver.refresh()
    assert world.driver.window == (132, 43)


def test_more_ports_than_it_wants_are_refused():
    """PORT_READY with value 0 says that a port cannot be used."""
    world = World(most=40)
    world.driver.most = 2
    told, tell = [], world.device._told
    world.device._told = lambda *message: told.append(message) or tell(*message)
    world.started()
    ready = [message for message in told if message[1] == ConsoleEvent.PORT_READY]
    assert ready == [(0, 3, 1), (1, 3, 1), (2, 3, 0)]
    assert sorted(world.driver.ports) == [0, 1]
    assert len(world.driver.virtio.queues) == 6
    assert not world.rig.broken


def test_a_small_queue_has_fewer_buffers():
    world = World(size=4, buffers=100, chunk=128).started()
    world.driver.ports[1].open()
    both_ways(world.driver.ports[1], world.terminals[1], 9)
    assert world.driver.virtio.queues[0].size == 4


def test_what_never_ends_does_not_keep_a_reader():
    world = World(most=None, buffers=4, chunk=16).started()
    port = world.device.ports[0]
    take = port.take

    def endless(most):
        port.arrive(b"x" * most)
        return take(most)

    port.take = endless
    world.terminals[0].type("go")
    assert 0 < len(world.driver.ports[0].read()) <= 2 * 4 * 4 * 16


def test_characters_go_out_before_anything_else():
    world = World(most=None)
    world.driver.emergency(b"early")
    assert world.terminals[0].text == "early"
    assert world.rig.status == 0


def test_characters_need_a_device_that_takes_them():
    driver = ConsoleDriver(RamCpu(GuestMemory(RAM)), PaperTransport(), Room(ROOM, RAM - ROOM))
    with pytest.raises(VirtioFailed, match="does not offer EMERG_WRITE"):
        driver.emergency(b"x")


def test_without_size_there_is_no_window():
    world = World(without={ConsoleFeature.SIZE}).started()
    assert world.driver.window is None
    assert world.driver.config == {"max_nr_ports": 4}


def test_a_strange_message_changes_nothing():
    """What the device says of ports that are not there, in events that are none, or too short."""
    world = World().started()
    control, tell = world.device.control, packer(CONTROL).pack
    world.driver.service()
    before = {number: vars(port).copy() for number, port in world.driver.ports.items()}
    strange = [tell(9, event, 1) for event in range(2, 9)] + [tell(0, 77, 1), b"", b"short"]
    strange += [tell(0, ConsoleEvent.RESIZE, 0) + b"\1\0"]
    for message in strange:
        control._message = lambda *key, message=message: message
        control.say(0, ConsoleEvent.PORT_OPEN)
        world.device.arrived(2)
        world.driver.service()
    assert {number: vars(port) for number, port in world.driver.ports.items()} == before


def test_a_port_that_is_added_twice_is_one():
    world = World().started()
    port = world.driver.ports[1]
    world.device.control.say(1, ConsoleEvent.DEVICE_ADD)
    world.device.arrived(2)
    world.driver.service()
    assert world.driver.ports[1] is port


def test_a_device_that_never_stops_talking_does_not_keep_start():
    world = World()
    control = world.device.control
    world.driver._hear = lambda *heard: control.say(0, ConsoleEvent.PORT_OPEN)
    arrived, take = world.device.arrived, world.driver.service

    def service():
        heard = take()
        arrived(2)
        return heard

    world.driver.service = service
    world.driver.start()


def test_a_device_that_does_not_take_what_is_sent_is_given_up(monkeypatch):
    monkeypatch.setattr("virtlab.guest.virtio_transport.POLLS", 70)
    world = World(most=None).started()
    world.device._transmit = lambda port, queue: None
    with pytest.raises(VirtioFailed, match="does not take what is sent"):
        world.driver.ports[0].write(b"x")


def test_another_device_is_told_that_it_failed():
    rig = Rig(VirtioRng(seeded(1)))
    driver = ConsoleDriver(rig.cpu, rig.transport, Room(ROOM, RAM - ROOM))
    with pytest.raises(VirtioFailed, match="no console, but type 4"):
        driver.start()
    assert rig.status & Status.FAILED


@pytest.mark.parametrize("how", [{"buffers": 0}, {"chunk": 0}, {"most": 0}])
def test_misuse_is_said_plainly(how):
    with pytest.raises(ValueError, match="one port, one buffer of one byte, or more"):
        ConsoleDriver(None, None, None, **how)


def test_it_starts_again_after_a_reset():
    world = World().started()
    world.driver.start()
    world.driver.ports[2].open()
    both_ways(world.driver.ports[2], world.terminals[2], 3)


def test_a_full_house_is_announced_without_a_gap():
    """31 ports: each announcement and description finds a buffer of the driver."""
    ports = [Port(Terminal(), f"port {number}", console=True) for number in range(31)]
    rig = Rig(VirtioConsole(ports, 31, 32))
    driver = ConsoleDriver(rig.cpu, rig.transport, Room(ROOM, RAM - ROOM), chunk=16)
    driver.start()
    assert [port.name for port in driver.ports.values()] == [f"port {n}" for n in range(31)]
    assert all(port.guest_open for port in ports)
