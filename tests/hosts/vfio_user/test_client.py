"""The client's side of each command, against a server on paper that may say anything."""

from __future__ import annotations

import errno
import socket

import pytest

from virtlab.hosts.vfio_user import version
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.layouts import (
    DMA_ACCESS,
    ERROR,
    IRQ_SET,
    NO_REPLY,
    REGION_ACCESS,
    REPLY,
    UNMAP_ALL,
    VERSION,
    WRITES,
    Command,
    IrqIndex,
)
from virtlab.hosts.vfio_user.messages import MAX_TRANSFER, Refused, pack
from virtlab.hosts.vfio_user.wire import Wire
from virtlab.memory import GuestMemory


class Paper:
    """A server whose replies are laid out before they are asked for: ids count from 1."""

    def __init__(self, dma=None, said=None):
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        self.wire = Wire(theirs)
        self.id = 0
        self.reply(Command.VERSION, said or pack(VERSION, 0, 0) + version._text(version.OURS))
        self.client = Client(ours, dma, patience=0.5)
        assert self.wire.receive().command == Command.VERSION

    def reply(self, command, payload=b"", flags=REPLY, error=0, number=None):
        """Lay out the reply to the next command."""
        self.id += 1
        self.wire._send(self.id if number is None else number, command, flags, error, payload)

    def close(self):
        self.client.close()
        self.wire.close()


@pytest.fixture
def ram():
    return GuestMemory(1 << 20)


@pytest.fixture
def paper(ram):
    paper = Paper(ram)
    yield paper
    paper.close()


def test_a_write_that_nobody_waits_for(paper):
    paper.client.write(0, 8, b"\x01", posted=True)
    sent = paper.wire.receive()
    assert (sent.command, sent.flags) == (Command.REGION_WRITE, NO_REPLY)
    assert sent.payload == pack(REGION_ACCESS, 8, 0, 1) + b"\x01"


def test_several_writes(paper):
    paper.reply(Command.REGION_WRITE_MULTI, pack(WRITES, 2))
    assert paper.client.write_many([(0, 4, b"\x12"), (1, 8, b"12345678")]) == 2
    assert len(paper.wire.receive().payload) == 8 + 2 * 24


def test_windows(paper):
    paper.reply(Command.DMA_MAP)
    paper.client.map(0, 4096)
    paper.reply(Command.DMA_UNMAP)
    paper.client.unmap(0, 0, UNMAP_ALL)
    assert [paper.wire.receive().name for _ in range(2)] == ["DMA_MAP", "DMA_UNMAP"]


def test_as_many_eventfds_at_once_as_the_server_takes(paper):
    for _ in range(3):
        paper.reply(Command.DEVICE_SET_IRQS)
    paper.client.listen_to(IrqIndex.MSIX, 0, [0] * 20)
    sent = [paper.wire.receive() for _ in range(3)]
    assert [(each.fields(IRQ_SET)[3:], len(each.fds)) for each in sent] == [
        *(((0, 8), 8), ((8, 8), 8), ((16, 4), 4))
    ]
    for each in sent:
        each.fds.close()


def test_masks(paper):
    for _ in range(3):
        paper.reply(Command.DEVICE_SET_IRQS)
    paper.client.mask(IrqIndex.MSIX, 2)
    paper.client.unmask(IrqIndex.MSIX, 2)
    paper.client.ignore(IrqIndex.MSIX)
    sent = [paper.wire.receive().fields(IRQ_SET)[1:] for _ in range(3)]
    assert sent == [(0x09, 2, 2, 1), (0x11, 2, 2, 1), (0x21, 2, 0, 0)]


@pytest.mark.parametrize(
    ("error", "code"), [(errno.EINVAL, errno.EINVAL), (0, errno.EIO), (99999, errno.EIO)]
)
def test_a_refusal_has_the_servers_errno(paper, error, code):
    paper.reply(Command.DEVICE_RESET, flags=REPLY | ERROR, error=error)
    with pytest.raises(Refused) as caught:
        paper.client.reset()
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"command": Command.REGION_READ, "payload": bytes(16) + b"x"}, "1 bytes, 2 asked for"),
        ({"command": Command.REGION_WRITE}, "a reply to nothing"),
        ({"command": Command.REGION_READ, "number": 77}, "a reply to nothing"),
        ({"command": Command.REGION_READ, "flags": 5}, "neither a command nor a reply"),
    ],
)
def test_a_reply_that_is_none(paper, reply, why):
    paper.reply(**reply)
    with pytest.raises(ConnectionError, match=why):
        paper.client.read(0, 0, 2)
    with pytest.raises(ConnectionError):
        paper.client.reset()


def test_a_reply_of_another_length(paper):
    paper.reply(Command.DEVICE_GET_INFO, bytes(4))
    with pytest.raises(ConnectionError, match="a reply of 4 bytes"):
        paper.client.device_info()


def test_a_server_that_says_nothing(paper):
    with pytest.raises(ConnectionError, match="no reply in time"):
        paper.client.reset()


def test_a_server_that_hangs_up(paper):
    paper.wire.close()
    with pytest.raises(ConnectionError, match="the server is gone"):
        paper.client.reset()


def test_a_server_of_another_version():
    with pytest.raises(ConnectionError, match=r"0\.9"):
        Paper(said=pack(VERSION, 0, 9))


# -- what the server asks


def ask(paper, command, address, count, data=b""):
    """The server asks while the client waits for something else."""
    paper.wire.send(500, command, pack(DMA_ACCESS, address, count) + data)
    paper.reply(Command.DEVICE_RESET)
    paper.client.reset()
    assert paper.wire.receive().command == Command.DEVICE_RESET
    return paper.wire.receive()


def test_it_reads_and_writes_memory(paper, ram):
    ram.write(0x100, b"hello")
    reply = ask(paper, Command.DMA_READ, 0x100, 5)
    assert reply.payload == pack(DMA_ACCESS, 0x100, 5) + b"hello"
    assert ask(paper, Command.DMA_WRITE, 0x200, 3, b"abc").payload == pack(DMA_ACCESS, 0x200, 3)
    assert ram.read(0x200, 3) == b"abc"


def test_it_asks_while_nobody_waits(paper):
    paper.client.listen()  # nothing has come
    paper.wire.send(500, Command.DMA_READ, pack(DMA_ACCESS, 0, 2))
    paper.client.listen()
    assert paper.wire.receive().payload == pack(DMA_ACCESS, 0, 2) + bytes(2)
    paper.reply(Command.DEVICE_RESET)
    with pytest.raises(ConnectionError, match="a reply to nothing"):
        paper.client.listen()


@pytest.mark.parametrize(
    ("command", "address", "count", "data", "code"),
    [
        (Command.DMA_READ, 1 << 20, 1, b"", errno.EFAULT),
        (Command.DMA_WRITE, (1 << 64) - 1, 1, b"x", errno.EFAULT),
        (Command.DMA_READ, 0, MAX_TRANSFER + 1, b"", errno.E2BIG),
        (Command.DMA_READ, 0, (1 << 64) - 1, b"", errno.E2BIG),
        (Command.DMA_WRITE, 0, 2, b"x", errno.EINVAL),
        (Command.DEVICE_RESET, 0, 0, b"", errno.ENOTSUP),
    ],
)
def test_what_it_may_not_ask(paper, command, address, count, data, code):
    reply = ask(paper, command, address, count, data)
    assert (reply.error, reply.payload) == (code, b"")


def test_half_a_question(paper):
    paper.wire.send(500, Command.DMA_READ, bytes(15))
    paper.client.listen()
    assert paper.wire.receive().error == errno.EINVAL


def test_a_client_without_memory():
    paper = Paper()
    assert ask(paper, Command.DMA_READ, 0, 1).error == errno.E2BIG
    paper.close()
