"""One message at a time: framing, forms, and who closes which descriptor."""

from __future__ import annotations

import array
import os
import socket
import struct

import pytest

from tests.descriptors import fd_count
from tests.virtio.vhost_user.front_end import memfd
from virtlab.virtio.vhost_user import layouts
from virtlab.virtio.vhost_user.channel import Channel, HungUp
from virtlab.virtio.vhost_user.layouts import (
    INFLIGHT,
    MAX_PAYLOAD,
    MEMORY,
    NEED_REPLY,
    REGION,
    REPLY,
    SINGLE_REGION,
    U64,
    VRING_ADDR,
    VRING_STATE,
    Request,
)
from virtlab.virtio.vhost_user.messages import (
    FORMS,
    ProtocolError,
    check_reply,
    pack,
    request_name,
)


@pytest.fixture
def pair():
    """A channel, and the bare socket at its other end."""
    mine, other = socket.socketpair()
    mine.setblocking(False)
    channel = Channel(mine)
    yield channel, other
    channel.close()
    other.close()


def send_fds(sock, data, fds):
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def header(request, size=0, flags=1):
    return struct.pack("<III", request, flags, size)


def test_the_layouts_are_those_of_the_text():
    assert layouts.HEADER.itemsize == 12
    assert MEMORY.itemsize == 8
    assert REGION.itemsize == 32
    assert SINGLE_REGION.itemsize == 40
    assert VRING_ADDR.itemsize == 40
    assert INFLIGHT.itemsize == 24
    assert MAX_PAYLOAD == 268
    # After the indices comes what QEMU's header calls descriptor, used, available: in that order.
    assert VRING_ADDR.names == ("index", "flags", "descriptor", "used", "available", "log")


def test_every_request_has_the_number_of_the_text():
    assert [Request.SET_MEM_TABLE, Request.GET_VRING_BASE, Request.SET_VRING_ENABLE] == [5, 11, 18]
    assert [Request.GET_CONFIG, Request.SET_INFLIGHT_FD, Request.GET_STATUS] == [24, 32, 40]
    assert sorted(Request) == list(range(1, 44))
    assert request_name(24) == "GET_CONFIG"
    assert request_name(99) == "request 99"
    assert set(FORMS) <= set(Request)


def test_a_message_arrives_with_its_descriptors(pair):
    channel, other = pair
    sender = Channel(other)
    before = fd_count()
    fd = memfd(4096)
    sender.send(Request.SET_VRING_KICK, pack(U64, 3), NEED_REPLY, [fd])
    os.close(fd)
    with channel.receive() as message:
        assert message.name == "SET_VRING_KICK"
        assert message.value == 3
        assert message.flags == NEED_REPLY | 1
        assert len(message.fds) == 1
        taken = message.fds.take()
    assert fd_count() == before + 1
    assert os.fstat(taken).st_size == 4096
    # It came with close-on-exec, so that no child of ours inherits a guest's memory.
    assert not os.get_inheritable(taken)
    os.close(taken)


def test_what_nobody_takes_is_closed(pair):
    channel, other = pair
    before = fd_count()
    fd = memfd(4096)
    Channel(other).send(Request.SET_VRING_CALL, pack(U64, 0), 0, [fd])
    os.close(fd)
    with channel.receive():
        assert fd_count() == before + 1
    assert fd_count() == before


def test_a_message_in_pieces(pair):
    """Half a message is nothing yet, and nobody waits for the other half."""
    channel, other = pair
    data = header(Request.SET_VRING_NUM, 8) + pack(VRING_STATE, 1, 256)
    for byte in data[:-1]:
        other.send(bytes([byte]))
        assert channel.receive() is None
    other.send(data[-1:])
    assert channel.receive().fields(VRING_STATE) == (1, 256)


def test_two_messages_at_once_keep_their_own_descriptors(pair):
    channel, other = pair
    first, second = memfd(4096), memfd(8192)
    send_fds(other, header(Request.SET_VRING_ERR, 8) + pack(U64, 0), [first])
    send_fds(other, header(Request.SET_VRING_ERR, 8) + pack(U64, 1), [second])
    for number, size in ((0, 4096), (1, 8192)):
        with channel.receive() as message:
            assert message.value == number
            (fd,) = message.fds.lent
            assert os.fstat(fd).st_size == size
    os.close(first)
    os.close(second)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (header(Request.SET_OWNER, flags=0), "SET_OWNER: version 0, not 1"),
        (header(Request.SET_OWNER, flags=2), "SET_OWNER: version 2, not 1"),
        (header(Request.SET_OWNER, MAX_PAYLOAD + 1), "a payload of 269 bytes, where 268"),
        (header(Request.SET_OWNER, 0xFFFFFFFF), "a payload of 4294967295 bytes"),
        (header(77), "request 77: not understood here"),
        (header(Request.IOTLB_MSG), "IOTLB_MSG: not understood here"),
        (header(Request.GET_FEATURES, flags=1 | REPLY), "a request with the reply flag"),
        (header(Request.SET_FEATURES), "a payload of 0 bytes, where 8 to 8 belong"),
        (header(Request.SET_FEATURES, 9) + bytes(9), "a payload of 9 bytes"),
        (header(Request.ADD_MEM_REG, 40) + bytes(40), "ADD_MEM_REG: 0 descriptors, not 1"),
    ],
)
def test_what_is_no_message_is_refused(pair, data, why):
    channel, other = pair
    other.send(data)
    with pytest.raises(ProtocolError, match=why):
        channel.receive()


def test_descriptors_that_do_not_belong_there_are_closed(pair):
    channel, other = pair
    before, fd = fd_count(), memfd(4096)
    send_fds(other, header(Request.SET_OWNER), [fd, fd])
    with pytest.raises(ProtocolError, match="SET_OWNER: 2 descriptors, not 0"):
        channel.receive()
    os.close(fd)
    assert fd_count() == before


@pytest.mark.parametrize("count", [9, 64, 253])
def test_more_descriptors_than_a_message_may_have(pair, count):
    channel, other = pair
    before, fd = fd_count(), memfd(4096)
    send_fds(other, header(Request.SET_MEM_TABLE, 8), [fd] * count)
    with pytest.raises(ProtocolError, match="more than 8 descriptors"):
        channel.receive()
    os.close(fd)
    assert fd_count() == before


def test_descriptors_in_several_pieces_of_one_message_are_counted_together(pair):
    channel, other = pair
    before, fd = fd_count(), memfd(4096)
    data = header(Request.SET_MEM_TABLE, 8) + bytes(8)
    for byte in data[:12]:
        send_fds(other, bytes([byte]), [fd])
    # All of the header is there to be read at once: twelve descriptors with it.
    with pytest.raises(ProtocolError, match="more than 8 descriptors"):
        channel.receive()
    os.close(fd)
    assert fd_count() == before


def test_a_hang_up_closes_half_a_message(pair):
    channel, other = pair
    before, fd = fd_count(), memfd(4096)
    send_fds(other, header(Request.SET_VRING_KICK, 8), [fd])
    assert channel.receive() is None
    assert fd_count() == before + 2
    other.close()
    with pytest.raises(HungUp, match="in the middle of a message"):
        channel.receive()
    os.close(fd)
    assert fd_count() == before - 1


def test_a_hang_up_between_messages(pair):
    channel, other = pair
    other.close()
    with pytest.raises(HungUp, match="between two messages"):
        channel.receive()


def test_closing_closes_half_a_message():
    before = fd_count()
    mine, other = socket.socketpair()
    mine.setblocking(False)
    channel, fd = Channel(mine), memfd(4096)
    send_fds(other, header(Request.SET_VRING_KICK, 8), [fd])
    assert channel.receive() is None
    channel.close()
    other.close()
    os.close(fd)
    assert fd_count() == before


def test_nobody_waits_for_who_does_not_read(pair):
    channel, _ = pair

    def answer_again_and_again():
        for _ in range(100_000):
            channel.reply(Request.GET_FEATURES, pack(U64, 0))

    with pytest.raises(ProtocolError, match="GET_FEATURES: the other end does not read"):
        answer_again_and_again()


def test_sending_to_who_is_gone(pair):
    channel, other = pair
    other.close()
    with pytest.raises(HungUp, match="GET_FEATURES"):
        channel.reply(Request.GET_FEATURES, pack(U64, 0))


def test_a_connection_that_breaks(pair):
    channel, _ = pair
    channel.sock.close()
    with pytest.raises(HungUp, match="the connection broke"):
        channel.receive()


def test_what_may_be_an_answer(pair):
    channel, other = pair
    channel.check = check_reply
    fd = memfd(4096)
    other.send(header(Request.GET_FEATURES))
    with pytest.raises(ProtocolError, match="without the reply flag"):
        channel.receive()
    send_fds(other, header(Request.GET_FEATURES, flags=1 | REPLY), [fd])
    with pytest.raises(ProtocolError, match="an answer with 1 descriptors"):
        channel.receive()
    send_fds(other, header(Request.GET_INFLIGHT_FD, flags=1 | REPLY), [fd])
    with channel.receive() as message:
        assert len(message.fds) == 1
    os.close(fd)


def test_credentials_are_no_descriptors(pair):
    """Other things may come beside the bytes: they are left alone."""
    channel, other = pair
    channel.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    other.send(header(Request.SET_OWNER))
    with channel.receive() as message:
        assert message.name == "SET_OWNER"


def test_a_blocking_socket_sends_all_of_a_message():
    class Slow:
        """It takes five bytes at first."""

        data = b""

        def sendmsg(self, buffers, beside, flags):
            self.data += buffers[0][:5]
            return 5

        def sendall(self, rest):
            self.data += rest

    slow = Slow()
    Channel(slow).send(Request.SET_FEATURES, pack(U64, 7))
    assert slow.data == header(Request.SET_FEATURES, 8) + pack(U64, 7)
