"""Doorbells and calls: eventfds, pipes, messages, and none at all."""

from __future__ import annotations

import os
import socket
import time

from tests.descriptors import fd_count
from tests.virtio.vhost_user.front_end import memfd
from tests.virtio.vhost_user.world import state
from virtlab.virtio.features import Feature
from virtlab.virtio.vhost_user.channel import Channel
from virtlab.virtio.vhost_user.layouts import (
    NOFD,
    U64,
    VRING_STATE,
    BackEndRequest,
    Request,
)
from virtlab.virtio.vhost_user.messages import pack


def test_calls_are_suppressed_as_the_driver_asks(make):
    world = make({Feature.RING_PACKED, Feature.RING_EVENT_IDX})
    world.front.ram.store(world.driver.queues[0].rings.avail, 2, 1)
    world.say()
    assert world.heard() == b"hello"
    assert world.front.interrupts() == 0
    counts = world.back_end.statistics
    assert (counts.calls, counts.quiet, counts.saved) == (0, 1, 1)
    assert world.kinds[-1] == "quiet"


def test_another_call_descriptor_on_the_fly(make):
    world = make()
    world.say()
    assert world.front.interrupts() == 1
    other = os.eventfd(0, os.EFD_NONBLOCK)
    world.front.tell(Request.SET_VRING_CALL, pack(U64, 0), [other])
    # One event may have been on its way to the old one: the new one gets one too many.
    assert os.eventfd_read(other) == 1
    world.heard()
    world.say()
    assert os.eventfd_read(other) == 1
    world.front.tell(Request.SET_VRING_CALL, pack(U64, NOFD))
    world.heard()
    world.say()
    assert world.heard() == b"hello"
    os.close(other)


def test_an_event_counter_that_is_full_makes_nobody_wait(make):
    world = make()
    # Also one that its maker left blocking.
    full = os.eventfd(0)
    world.front.tell(Request.SET_VRING_CALL, pack(U64, 0), [full])
    assert not os.get_blocking(full)
    os.eventfd_write(full, 0xFFFF_FFFF_FFFF_FFFE)
    world.say()
    assert world.heard() == b"hello"
    os.close(full)


def test_a_doorbell_that_is_no_eventfd(make, tmp_path):
    """A pipe will do. What is always ready, or nobody can wait for, will not."""
    world = make()
    path = tmp_path / "file"
    path.write_bytes(b"x")
    for name in (path, "/dev/zero", tmp_path):
        fd = os.open(name, os.O_RDONLY)
        note = world.fails(Request.SET_VRING_KICK, pack(U64, 0), [fd])
        assert "no eventfd" in note
        os.close(fd)
    reader, writer = os.pipe()
    world.front.tell(Request.SET_VRING_KICK, pack(U64, 0), [reader])
    world.say(kick=False)
    os.write(writer, bytes(8))
    world.front.pump()
    assert world.heard() == b"hello"
    # The other end of the pipe is gone: nobody can ring any more, and nobody waits.
    os.close(writer)
    world.front.pump()
    assert list(world.back_end.kick_fds()) == [(f, i) for f, i in world.back_end.kick_fds() if i]
    os.close(reader)


def test_a_place_in_a_folder_is_neither_doorbell_nor_channel(make, tmp_path):
    """O_PATH gives a descriptor that looks like a pipe or a socket, and can do nothing."""
    world = make()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(str(tmp_path / "socket"))
    pipe, sock = (os.open(tmp_path / name, os.O_PATH) for name in ("pipe", "socket"))
    before = fd_count()
    for fd in (pipe, sock):
        assert "no eventfd" in world.fails(Request.SET_VRING_KICK, pack(U64, 0), [fd])
    assert "no socket" in world.fails(Request.SET_BACKEND_REQ_FD, b"", [sock])
    assert fd_count() == before - 1  # that of the first doorbell
    for fd in (pipe, sock):
        os.close(fd)


def test_a_doorbell_that_cannot_be_read(make):
    import select

    world = make()
    poll = select.epoll()
    event = os.eventfd(1)
    poll.register(event, select.EPOLLIN)
    world.front.tell(Request.SET_VRING_KICK, pack(U64, 0), [poll.fileno()])
    world.front.pump()
    assert world.back_end.rings[0].kick.fd is None
    poll.close()
    os.close(event)


def test_a_spurious_doorbell_is_none(make):
    world = make()
    world.back_end.kicked(0)
    assert world.kinds == []
    world.back_end.rings[1].kick.close()
    world.back_end.kicked(1)
    assert world.kinds == []


def test_notifications_in_band(make):
    world = make()
    mine, theirs = socket.socketpair()
    world.front.tell(Request.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
    theirs.close()
    mine.setblocking(False)
    asked = Channel(mine, lambda message: None)
    for request in (Request.SET_VRING_CALL, Request.SET_VRING_ERR):
        world.front.tell(request, pack(U64, NOFD))
    world.say(kick=False)
    world.front.tell(Request.VRING_KICK, state(0, 0))
    assert world.heard() == b"hello"
    message = asked.receive()
    assert (message.request, message.fields(VRING_STATE)) == (BackEndRequest.VRING_CALL, (0, 0))
    world.device.configure(bytes(12))
    assert asked.receive().request == BackEndRequest.CONFIG_CHANGE_MSG
    world.front.ram.store(world.driver.queues[0].rings.avail + 2, 2, 500)
    world.front.tell(Request.VRING_KICK, state(0, 0))
    assert asked.receive().request == BackEndRequest.VRING_ERR
    # A second socket replaces the first, and one that is gone is no reason to fail.
    other, second = socket.socketpair()
    world.front.tell(Request.SET_BACKEND_REQ_FD, b"", [second.fileno()])
    second.close()
    other.close()
    world.device.configure(bytes(12))
    assert world.kinds[-1] == "refused"
    asked.close()


def test_only_a_socket_is_a_channel(make):
    world = make(start=False)
    fd = memfd(4096)
    assert "no socket" in world.fails(Request.SET_BACKEND_REQ_FD, b"", [fd])
    os.close(fd)
    world.device.configure(bytes(12))


def test_an_old_doorbell_does_not_ring_any_more(make):
    """The front-end still has it, and `epoll` would go on waking the loop for it, for ever."""
    world = make()
    other = os.eventfd(0, os.EFD_NONBLOCK)
    world.front.tell(Request.SET_VRING_KICK, pack(U64, 0), [other])
    os.eventfd_write(world.front.rings[0].kick, 1)
    begin = time.monotonic()
    world.front.loop.turn(0.1)
    assert time.monotonic() - begin > 0.09
    assert "kick" not in world.kinds
    os.close(other)
