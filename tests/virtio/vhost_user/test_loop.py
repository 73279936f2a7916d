"""Several back-ends in one process: nobody waits for anybody, and nobody ends anybody else."""

from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

from tests.descriptors import fd_count
from tests.virtio.devices import Echo
from tests.virtio.vhost_user.front_end import DATA, FrontEnd
from tests.virtio.vhost_user.world import World
from virtlab.virtio.features import from_bits
from virtlab.virtio.vhost_user import loop as loop_module
from virtlab.virtio.vhost_user.back_end import BackEnd
from virtlab.virtio.vhost_user.channel import Channel, HungUp
from virtlab.virtio.vhost_user.layouts import NOFD, PROTOCOL_FEATURES, U64, Request
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.messages import check_reply, pack


class Host:
    """Devices behind listeners, served by a loop in a thread."""

    def __init__(self, tmp_path, count=2, **options):
        self.ended = []
        self.loop = Loop(ended=lambda back_end, error: self.ended.append(error), **options)
        self.paths, self.services = [], []
        for number in range(count):
            path = tmp_path / f"socket{number}"
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            device = Echo()
            self.services.append(
                self.loop.listen(listener, lambda sock, device=device: BackEnd(device, sock))
            )
            self.paths.append(path)
        self.thread = threading.Thread(target=self.loop.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.loop.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.loop.close()

    def connect(self, number=0):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(self.paths[number]))
        return Channel(sock, check_reply)


def features(channel):
    channel.send(Request.GET_FEATURES)
    return from_bits(channel.receive().value)


def test_devices_are_served_side_by_side(tmp_path):
    with Host(tmp_path) as host:
        channels = [host.connect(number) for number in range(2)]
        for channel in channels * 3:
            assert PROTOCOL_FEATURES in features(channel)
        for channel in channels:
            channel.close()


def test_half_a_message_keeps_nobody_waiting(tmp_path):
    with Host(tmp_path) as host:
        slow, quick = host.connect(0), host.connect(1)
        slow.sock.send(b"\x01\x00")
        assert features(quick)
        slow.sock.send(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
        assert slow.receive().request == Request.GET_FEATURES
        slow.close()
        quick.close()


def test_a_front_end_ends_its_own_session_only(tmp_path):
    with Host(tmp_path) as host:
        bad, good = host.connect(0), host.connect(1)
        bad.sock.send(b"\xff" * 12)
        assert bad.sock.recv(1) == b""
        assert features(good)
        # Its device waits for the next front-end.
        again = host.connect(0)
        assert features(again)
        for channel in (bad, good, again):
            channel.close()
    assert "version" in host.ended[0].why


def test_a_device_has_one_front_end_at_a_time(tmp_path):
    with Host(tmp_path, 1) as host:
        first, second = host.connect(), host.connect()
        assert features(first)
        second.sock.settimeout(0.05)
        second.send(Request.GET_FEATURES)
        assert second.receive() is None
        first.close()
        second.sock.settimeout(10)
        assert second.receive() is not None
        second.close()
    assert isinstance(host.ended[0], HungUp)


def test_it_ends_cleanly_with_sessions_and_listeners(tmp_path):
    before = fd_count()
    with Host(tmp_path) as host:
        channel = host.connect()
        assert features(channel)
    assert channel.sock.recv(1) == b""
    channel.close()
    assert all(service.listener.fileno() == -1 for service in host.services)
    assert fd_count() == before


def test_a_front_end_that_has_gone_before_it_was_accepted(monkeypatch, tmp_path):
    host = Host(tmp_path, 1)

    class Gone:
        def accept(self):
            raise ConnectionAbortedError

    host.services[0].listener, listener = Gone(), host.services[0].listener
    host.loop._accept(host.services[0])
    assert host.services[0].back_end is None
    listener.close()
    host.services.clear()
    host.loop._services.clear()
    host.loop.close()


# -- looking instead of waiting


@pytest.fixture
def world():
    made = World(poll_us=2000)
    yield made
    made.front.close()


def test_while_it_looks_the_driver_need_not_ring(world):
    """The doorbell is asked for again before the loop sleeps: nothing is lost."""
    back_end = world.back_end
    world.say()
    assert world.heard() == b"hello"
    back_end.hush()
    rings = world.driver.queues[0].rings
    event = world.front.ram.load(rings.used_field("avail_event"), 2)
    assert event == 0
    world.say(b"quiet", kick=False)
    assert back_end.look() is True
    assert world.heard() == b"quiet"
    assert back_end.look() is False
    world.say(b"late", kick=False)
    back_end.listen()
    assert world.heard() == b"late"
    assert world.front.ram.load(rings.used_field("avail_event"), 2) == 3
    assert back_end.statistics.polled == 1


def test_the_loop_looks_on_for_a_while(world, monkeypatch):
    """A chain that comes without a doorbell, just after another, is found by looking."""
    looked = []
    look = BackEnd.look

    def watch(self):
        if not looked:
            world.say(b"again", kick=False)
        looked.append(look(self))
        return looked[-1]

    monkeypatch.setattr(BackEnd, "look", watch)
    world.say(b"first")
    assert True in looked
    assert looked[-1] is False
    assert world.back_end.statistics.polled == 1
    assert world.heard() == b"again"
    assert world.heard() is not None


@pytest.mark.parametrize("call", ["hush", "listen", "look"])
def test_a_drivers_mistake_is_found_while_looking(world, call):
    world.say()
    rings = world.driver.queues[0].rings
    if call == "hush":
        world.back_end.rings[0].queue.dma = _Nothing()
    else:
        world.front.ram.store(rings.avail_field("idx"), 2, 900)
    getattr(world.back_end, call)()
    assert world.back_end.rings[0].broken
    assert world.back_end.statistics.errors == 1


class _Nothing:
    """Memory where nothing is."""

    def read(self, iova, length):
        from virtlab.errors import DmaFault

        raise DmaFault("nothing", iova, length)

    write = read


def test_more_than_one_turns_work_is_not_forgotten():
    """A driver that adds while the device takes: the ring is looked at again."""
    world = World()
    front, queue = world.front, world.driver.queues[0]
    added = []

    def interfere():
        if len(added) < 40 and queue.free > 2:
            added.append(1)
            world.say(b"more", kick=False)
        while queue.get_buf():
            continue

    world.device.interfere = interfere
    world.say(b"first")
    front.pump()
    assert len(added) == 40
    assert world.device.served == 41
    assert not world.back_end.pending
    front.close()


def test_rings_without_doorbells_are_looked_at_in_each_turn():
    world = World()
    front = world.front
    for index in range(2):
        front.tell(Request.SET_VRING_KICK, pack(U64, index | NOFD))
    world.say(b"one", 0, kick=False)
    assert world.back_end.polled
    front.loop.turn()
    assert world.heard() == b"one"
    front.loop.turn(0.5)
    front.close()


def test_a_loop_of_a_ring_of_its_own_making(world):
    """A guest that rings for ever gets a bounded turn each time."""
    rings = world.driver.queues[0].rings
    world.say()
    front = world.front
    before = world.device.served

    def interfere():
        idx = front.ram.load(rings.avail_field("idx"), 2)
        front.ram.store(rings.avail_field("idx"), 2, idx + 1 & 0xFFFF)

    world.device.interfere = interfere
    os.eventfd_write(front.rings[0].kick, 1)
    world.say(kick=False)
    world.back_end.notify(0)
    assert world.device.served - before <= 2 * len(world.back_end.rings) * 8


def test_the_front_end_of_these_tests_pumps():
    front = FrontEnd(Echo())
    assert front.ask(Request.GET_QUEUE_NUM).value == 2
    assert front.ram.read(DATA, 4) == bytes(4)
    front.close()


def test_the_far_end_of_a_wire_is_waited_for_too():
    """What comes from outside goes through the device into the ring, in the same loop."""
    reader, writer = os.pipe()
    loop, got = Loop(), []
    loop.also(reader, lambda: got.append(os.read(reader, 100)))
    os.write(writer, b"frame")
    loop.turn(5)
    assert got == [b"frame"]
    loop.no_more(reader)
    os.write(writer, b"frame")
    loop.turn(0)
    assert got == [b"frame"]
    os.close(reader)
    os.close(writer)
    loop.close()


def test_another_thread_may_have_something_done_in_the_loop(tmp_path):
    with Host(tmp_path, 1) as host:
        done, where = threading.Event(), []
        host.loop.call(lambda: (where.append(threading.current_thread()), done.set()))
        assert done.wait(10)
        assert where == [host.thread]


class Hours:
    """A clock that stands, and goes on by as long as somebody waits."""

    def __init__(self, monkeypatch):
        self.now, self.waited = 1000.0, []
        monkeypatch.setattr(loop_module.time, "monotonic", lambda: self.now)

    def stands_in(self, loop):
        """Waiting takes no time here; where nothing ends it, nobody waits."""

        def select(timeout):
            self.waited.append(timeout)
            self.now += timeout or 0
            return []

        loop._selector.select = select


def test_things_are_done_at_their_time_and_once(monkeypatch):
    hours, loop, done = Hours(monkeypatch), Loop(), []
    hours.stands_in(loop)
    loop.after(3, lambda: done.append("late"))
    loop.after(1, lambda: done.append("early"))
    loop.after(1, lambda: done.append("second"))
    loop.turn(0.5)
    assert (hours.waited.pop(), done) == (0.5, [])
    loop.turn()
    assert (hours.waited.pop(), done) == (0.5, ["early", "second"])
    loop.turn()
    assert (hours.waited.pop(), done) == (2.0, ["early", "second", "late"])
    loop.turn()
    assert hours.waited.pop() is None
    assert len(done) == 3
    loop.close()


def test_what_is_overdue_keeps_nobody_waiting_and_may_ask_for_more(monkeypatch):
    hours, loop, done = Hours(monkeypatch), Loop(), []
    hours.stands_in(loop)

    def again():
        done.append(hours.now)
        loop.after(2, again)

    loop.after(2, again)
    hours.now += 10
    for _ in range(3):
        loop.turn()
    assert hours.waited == [0.0, 2.0, 2.0]
    assert done == [1010.0, 1012.0, 1014.0]
    loop.close()


def test_a_time_does_not_wait_for_a_descriptor_nor_one_for_it():
    reader, writer = os.pipe()
    loop, done = Loop(), []
    loop.also(reader, lambda: done.append(os.read(reader, 100)))
    loop.after(60, lambda: done.append("time"))
    os.write(writer, b"now")
    loop.turn(60)
    assert done == [b"now"]
    loop.after(0.001, lambda: done.append("soon"))
    loop.turn(60)
    assert done == [b"now", "soon"]
    os.close(reader)
    os.close(writer)
    loop.close()


def test_it_may_be_woken_more_often_than_it_hears():
    loop, done = Loop(), []
    for number in range(5000):
        loop.call(lambda number=number: done.append(number))
    loop.turn(1)
    assert done == list(range(5000))
    loop.stop()
    loop.run()
    loop.close()


class Full:
    """A listener where somebody waits, in a process without a free descriptor; then with one."""

    def __init__(self, listener, tries=1):
        self.listener, self.tries, self.asked = listener, tries, 0

    def fileno(self):
        return self.listener.fileno()

    def accept(self):
        self.asked += 1
        if self.asked <= self.tries:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.listener.accept()

    def setblocking(self, on):
        self.listener.setblocking(on)

    def close(self):
        self.listener.close()


def test_without_a_free_descriptor_nobody_is_let_in_and_the_loop_does_not_spin(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(loop_module, "LATER", 0.01)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    full, loop = Full(listener), Loop()
    service = loop.listen(full, lambda sock: BackEnd(Echo(), sock))
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(tmp_path / "socket"))
        loop.turn(10)
        assert (full.asked, service.back_end) == (1, None)
        loop.turn(10)  # the time comes, and nothing else
        assert full.asked == 1
        loop.turn(10)
        assert full.asked == 2
        assert service.back_end is not None
    loop.close()


def test_a_machine_without_room_for_one_more_session(tmp_path):
    """The front-end is refused, and the next one may come."""
    with Host(tmp_path, 1) as host:
        service, make = host.services[0], host.services[0].make
        refused = threading.Event()

        def no_room(sock):
            service.make = make
            refused.set()
            raise OSError(12, "Cannot allocate memory")

        service.make = no_room
        first = host.connect()
        assert first.sock.recv(1) == b""
        assert refused.is_set()
        second = host.connect()
        assert features(second)
        first.close()
        second.close()
