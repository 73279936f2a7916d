"""Messages on a socket: the header, what may not be in it, and what ends a connection."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from tests.descriptors import fd_count
from virtlab.hosts.vfio_user.layouts import ERROR, NO_REPLY, REPLY, Command
from virtlab.hosts.vfio_user.messages import (
    FORMS,
    LONGEST,
    MAX_FDS,
    Message,
    Refused,
    check_command,
    command_name,
)
from virtlab.hosts.vfio_user.wire import Wire
from virtlab.virtio.vhost_user.messages import Descriptors, ProtocolError
from virtlab.virtio.vhost_user.stream import HungUp, Stream


@pytest.fixture
def wires():
    ends = [Wire(sock) for sock in socket.socketpair()]
    ends[1].sock.settimeout(0)
    yield ends
    for end in ends:
        end.close()


def header(number=1, command=4, size=16, flags=0, error=0):
    return struct.pack("<HHIII", number, command, size, flags, error)


def test_a_command_as_the_specification_lays_it_out(wires):
    wires[0].send(7, Command.REGION_READ, b"0123456789abcdef", NO_REPLY)
    assert wires[1].sock.recv(100) == bytes.fromhex("0700 0900 20000000 10000000 00000000") + (
        b"0123456789abcdef"
    )


def test_a_reply_has_the_id_of_its_command(wires):
    wires[0].send(0xABCD, Command.DEVICE_RESET)
    with wires[1].receive() as message:
        assert (message.id, message.name, message.answered) == (0xABCD, "DEVICE_RESET", True)
        wires[1].reply(message, b"yes")
    reply = wires[0].receive()
    assert (reply.id, reply.flags, reply.payload, reply.failed) == (0xABCD, REPLY, b"yes", "")


def test_an_error_reply_is_a_header_with_an_errno(wires):
    wires[1].refuse(Message(3, 4, 0, 0, b"", Descriptors()), 22)
    assert wires[0].sock.recv(100) == header(3, 4, 16, REPLY | ERROR, 22)


@pytest.mark.parametrize(("error", "words"), [(22, "Invalid argument"), (0, "no reason given")])
def test_an_error_in_words(error, words):
    assert Message(1, 4, REPLY | ERROR, error, b"", Descriptors()).failed == words


@pytest.mark.parametrize("size", [0, 15, LONGEST + 1, 0xFFFF_FFFF])
def test_a_size_that_cannot_be(wires, size):
    wires[0].sock.send(header(size=size))
    with pytest.raises(ProtocolError, match=f"a message of {size} bytes"):
        wires[1].receive()


def test_the_longest_message(wires):
    wires[0].sock.settimeout(5)
    wires[0].send(1, Command.REGION_WRITE, bytes(LONGEST - 16))
    assert len(wires[1].receive().payload) == LONGEST - 16


@pytest.mark.parametrize("kind", [2, 15])
def test_neither_a_command_nor_a_reply(wires, kind):
    wires[0].sock.send(header(flags=kind))
    with pytest.raises(ProtocolError, match="neither a command nor a reply"):
        wires[1].receive()


def test_a_message_that_comes_in_pieces(wires):
    for byte in header(size=18) + b"xy":
        assert wires[1].receive() is None
        wires[0].sock.send(bytes([byte]))
    assert wires[1].receive().payload == b"xy"
    assert wires[1].receive() is None


def test_descriptors_of_half_a_message_are_closed(wires):
    before = fd_count()
    fd = os.open("/dev/null", os.O_RDWR)
    socket.send_fds(wires[0].sock, [header(size=20)], [fd])
    os.close(fd)
    assert wires[1].receive() is None
    wires[0].close()
    with pytest.raises(HungUp, match="in the middle of a message"):
        wires[1].receive()
    assert fd_count() == before - 1


@pytest.mark.parametrize("count", [MAX_FDS + 1, 60])
def test_too_many_descriptors(wires, count):
    before = fd_count()
    socket.send_fds(wires[0].sock, [header()], [0] * count)
    with pytest.raises(ProtocolError, match="more than 8 descriptors"):
        wires[1].receive()
    assert fd_count() == before


def test_an_end_that_does_not_read(wires):
    wires[1].sock.setblocking(False)
    message = Message(1, 9, 0, 0, b"", Descriptors())

    def flood():
        for _ in range(1000):
            wires[1].reply(message, bytes(60000))

    with pytest.raises(ProtocolError, match="REGION_READ: the other end does not read"):
        flood()


def test_a_stream_has_no_messages_of_its_own():
    with socket.socket() as sock:
        stream = Stream(sock, 1)
        with pytest.raises(NotImplementedError):
            stream.wanted(bytearray())
        with pytest.raises(NotImplementedError):
            stream.whole(b"", Descriptors())


def test_each_form_has_its_borders():
    for command, form in FORMS.items():
        least = form.payload.itemsize if form.payload else 0
        for size in (least, least + form.more):
            check_command(Message(1, command, 0, 0, bytes(size), Descriptors()))
        for size in (least - 1, least + form.more + 1):
            if size >= 0:
                with pytest.raises(Refused, match="EINVAL"):
                    check_command(Message(1, command, 0, 0, bytes(size), Descriptors()))


def test_a_command_that_nobody_knows():
    assert command_name(99) == "command 99"
