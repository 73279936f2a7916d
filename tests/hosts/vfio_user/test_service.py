"""A function at a socket: one client after the other, in real time."""

from __future__ import annotations

import errno
import select
import time

import pytest

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import Card
from tests.hosts.vfio_user.world import connect, elsewhere, listen
from virtlab.clock import MILLISECOND, SECOND
from virtlab.devices.edu import EduFunction
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.real_clock import RealClock
from virtlab.hosts.vfio_user.service import Service
from virtlab.hosts.vfio_user.slot import Slot
from virtlab.virtio.vhost_user.loop import Loop
from virtlab.virtio.vhost_user.stream import HungUp


def soon(condition, seconds=10):
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def test_one_client_after_the_other(path):
    with elsewhere(Card(), path) as there:
        first = Client(connect(path))
        first.write(0, 0, b"\x55")
        waiting = connect(path)  # it waits to be accepted
        first.close()
        second = Client(waiting)
        assert second.read(0, 0, 1) == b"\x55"
        second.close()
        soon(lambda: len(there.ended) == 2)
        assert all(isinstance(error, HungUp) for error in there.ended)
        assert there.services[0].sessions == 2


def test_what_makes_no_sense_ends_one_session(path):
    with elsewhere(Card(), path) as there:
        sock = connect(path)
        sock.send(b"GET / HTTP/1.1\r\n")
        assert sock.recv(1) == b""
        client = Client(connect(path))
        assert client.read(7, 0, 2) == b"\xf4\x1a"
        client.close()
        sock.close()
        soon(lambda: len(there.ended) == 2)
        assert "neither a command nor a reply" in there.ended[0].why


def test_a_turn_is_bounded_and_the_next_follows(path):
    """Commands that came while bytes were waited for are done, though nothing comes any more."""
    card = Card()
    with elsewhere(card, path) as there:
        client = Client(connect(path))
        for number in range(200):
            client.write(0, number, b"\x01", posted=True)
        assert client.read(0, 0, 8) == b"\x01" * 8
        soon(lambda: sum(card.scratch.data) == 200)
        client.close()
        assert there.refused == []


def test_a_device_goes_on_by_itself(path):
    """Nobody asks: its own timer lets it finish."""
    clock = RealClock()
    function = EduFunction(clock)
    function.edu.dma_time = 5 * MILLISECOND
    with elsewhere(function, path, clock):
        client = Client(connect(path))
        client.write(0, 0x98, (1).to_bytes(8, "little"))
        assert function.edu.moving
        soon(lambda: not function.edu.moving)
        client.close()


def test_it_closes_with_a_client_and_without(path):
    loop = Loop()
    service = Service(loop, listen(path), Slot(Card()))
    sock = connect(path)
    loop.turn(5)
    assert service.server is not None
    late = service.server
    service.close()
    service._ready(late)  # what was asked for it, is asked for nobody
    loop.close()
    assert sock.recv(1) == b""
    sock.close()
    with pytest.raises(OSError):
        connect(path)


@pytest.mark.parametrize("with_client", [True, False])
def test_it_closes_after_its_loop_too(path, with_client):
    before = fd_count()
    loop = Loop()
    service = Service(loop, listen(path), Slot(Card()))
    if with_client:
        sock = connect(path)
        loop.turn(5)
        sock.close()
    loop.close()
    service.close()
    assert fd_count() == before


def test_a_client_that_has_gone_again(path):
    loop = Loop()
    listener = listen(path)
    service = Service(loop, listener, Slot(Card()))
    service._accept()
    assert service.server is None
    service.close()
    loop.close()


# -- its clock


class Real:
    """Real time, as the test says."""

    def __init__(self):
        self.now = 1000

    def __call__(self):
        return self.now


@pytest.fixture
def real():
    return Real()


@pytest.fixture
def clock(real):
    clock = RealClock(real)
    yield clock
    clock.close()


def test_time_moves_when_it_rings(clock, real):
    rang = []
    real.now += 50
    clock.after(100, lambda: rang.append(clock.now))
    real.now += 99
    clock.ring()
    assert (rang, clock.now) == ([], 149)
    real.now += 1
    clock.ring()
    assert (rang, clock.now) == ([150], 150)


def test_a_process_that_was_stopped_has_not_lived_through_the_time(clock, real):
    real.now += 100 * SECOND
    clock.ring()
    assert clock.now == SECOND
    real.now -= 5
    clock.ring()
    assert clock.now == SECOND


def test_the_descriptor_is_ready_when_a_call_is_due():
    clock, rang = RealClock(), []
    poll = select.poll()
    poll.register(clock.fd, select.POLLIN)
    assert poll.poll(0) == []
    clock.after(MILLISECOND, lambda: rang.append(1))
    assert poll.poll(5000)
    clock.ring()
    assert rang == [1]
    assert poll.poll(0) == []
    clock.close()


def test_a_machine_without_timers(monkeypatch):
    from virtlab.hosts.vfio_user import real_clock

    class NoTimers:
        @staticmethod
        def timerfd_create(*_):
            return -1

    monkeypatch.setattr(real_clock, "_libc", NoTimers)
    with pytest.raises(OSError, match="timerfd_create"):
        RealClock()


def test_descriptors_are_given_back(path):
    before = fd_count()
    with elsewhere(Card(), path):
        client = Client(connect(path))
        client.close()
    assert fd_count() == before


# -- what a client or a poor machine can do to it


def counted(monkeypatch, what, name):
    """Count the calls of a method: a list, one entry each."""
    calls, real = [], getattr(what, name)
    monkeypatch.setattr(what, name, lambda *arguments: (calls.append(1), real(*arguments))[1])
    return calls


@pytest.fixture
def served(path):
    loop = Loop()
    service = Service(loop, listen(path), Slot(Card()))
    yield service
    service.close()
    loop.close()


def test_one_turn_more_is_one_however_often_it_is_asked_for(path, served, monkeypatch):
    """Else each turn of a busy device would leave more turns behind than it was."""
    sock = connect(path)
    served.loop.turn(5)
    turns = counted(monkeypatch, served, "_ready")
    for _ in range(50):
        served.server.wake()
    time.sleep(0.001)
    served.loop.turn(5)
    assert len(turns) == 1
    sock.close()


def test_a_turn_that_was_asked_for_by_who_is_gone(path, served):
    sock = connect(path)
    served.loop.turn(5)
    served.server.wake()
    served._hang_up(served.server)
    time.sleep(0.001)
    served.clock.ring()
    assert served.server is None
    sock.close()
    client = connect(path)  # and the next one may ask for turns again
    served.loop.turn(5)
    served.server.wake()
    assert served.clock.next_event() is not None
    client.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_without_a_free_descriptor_it_waits_and_does_not_spin(path, served, monkeypatch, code):
    class Poor:
        """The listener, while this process has no descriptor left."""

        def __init__(self, sock):
            self.fileno, self.close = sock.fileno, sock.close
            self.calls = 0

        def accept(self):
            self.calls += 1
            raise OSError(code, "none is left")

    real, served.listener = served.listener, Poor(served.listener)
    monkeypatch.setattr("virtlab.virtio.vhost_user.loop.LATER", 0.05)
    sock = connect(path)
    served.loop.turn(5)
    assert served.listener.calls == 1
    served.loop.turn(0)
    assert served.listener.calls == 1
    served.listener = real
    while served.server is None:  # later it looks again
        served.loop.turn(5)
    assert served.sessions == 1
    sock.close()


def test_it_may_be_closed_while_it_waits_for_a_descriptor(path, monkeypatch):
    monkeypatch.setattr("virtlab.virtio.vhost_user.loop.LATER", 0)
    loop = Loop()
    service = Service(loop, listen(path), Slot(Card()))
    loop.no_more(service.listener.fileno())
    loop.after(0, service._await)
    service.close()
    loop.turn(0)
    loop.close()


def test_a_machine_without_room_for_a_client(path, served, monkeypatch):
    """Its addresses are used up: this client is hung up on, and the next one is served."""
    before, seen = fd_count(), []

    def no_room(slot, sock, *_):
        seen.append(sock)
        raise OSError(errno.ENOMEM, "no addresses")

    with monkeypatch.context() as poor:
        poor.setattr("virtlab.hosts.vfio_user.service.Server", no_room)
        sock = connect(path)
        served.loop.turn(5)
    sock.settimeout(5)
    assert sock.recv(1) == b""
    assert (served.server, served.sessions, len(seen)) == (None, 0, 1)
    sock.close()
    assert fd_count() == before
    sock = connect(path)
    served.loop.turn(5)
    assert served.sessions == 1
    sock.close()


def test_a_device_that_goes_on_by_itself_may_ask_again(path, served):
    sock = connect(path)
    served.loop.turn(5)
    served.server._left = -1.0
    served.clock.after(0, lambda: None)
    served.loop.turn(5)
    assert served.server._left == served.server.patience
    sock.close()
