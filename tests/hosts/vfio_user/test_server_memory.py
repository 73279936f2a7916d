"""The client's memory as the function reaches it through the server: mapped, or asked for."""

from __future__ import annotations

import errno
import os

import pytest

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import Bench, Card, access, dma_map, read, write
from virtlab.errors import DmaFault
from virtlab.hosts.vfio_user import conversation
from virtlab.hosts.vfio_user.layouts import (
    DMA_ACCESS,
    DMA_UNMAP,
    ERROR,
    REPLY,
    UNMAP_ALL,
    Command,
    RegionIndex,
)
from virtlab.hosts.vfio_user.messages import pack
from virtlab.hosts.vfio_user.slot import NOTHING
from virtlab.pci.config import Header
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.stream import HungUp

CONFIG = RegionIndex.CONFIG
MASTER = Header.COMMAND.BUS_MASTER.mask


def test_the_function_reaches_what_is_mapped(bench):
    fd = bench.file(8192)
    assert bench.error(Command.DMA_MAP, dma_map(0x10000, 4096, offset=4096), [fd]) == 0
    os.pwrite(fd, b"hello", 4096 + 16)
    with pytest.raises(DmaFault, match="Bus Master Enable"):
        bench.function.dma.read(0x10010, 5)
    write(bench, CONFIG, 4, bytes([MASTER, 0]))
    assert bench.function.dma.read(0x10010, 5) == b"hello"
    bench.function.dma.write(0x10FFF, b"!")
    assert os.pread(fd, 1, 8191) == b"!"
    unmap = pack(DMA_UNMAP, DMA_UNMAP.itemsize, 0, 0x10000, 4096)
    assert bench.ask(Command.DMA_UNMAP, unmap).payload == unmap
    with pytest.raises(DmaFault, match="no memory there"):
        bench.function.dma.read(0x10010, 5)


def test_all_windows_at_once(bench):
    for address in (0, 0x1000):
        assert bench.error(Command.DMA_MAP, dma_map(address, 4096), [bench.file(4096)]) == 0
    bench.ask(Command.DMA_UNMAP, pack(DMA_UNMAP, 24, UNMAP_ALL, 0, 0))
    assert bench.server.memory.windows == []
    assert bench.error(Command.DMA_UNMAP, pack(DMA_UNMAP, 24, 1, 0, 0)) == errno.EINVAL


def asked_for(make, **options):
    """A bench whose client has a window that is not mapped; the function may request."""
    bench = make(**options)
    assert bench.error(Command.DMA_MAP, dma_map(0x8000, 1 << 20)) == 0
    write(bench, CONFIG, 4, bytes([MASTER, 0]))
    return bench


def answer(bench, number, command, address, data, count=None):
    size = len(data) if count is None else count
    bench.wire.send(number, command, pack(DMA_ACCESS, address, size) + data, REPLY)


def test_what_is_not_mapped_is_asked_for(make):
    bench = asked_for(make)
    answer(bench, 1, Command.DMA_READ, 0x8010, b"hello")
    assert bench.function.dma.read(0x8010, 5) == b"hello"
    asked = bench.wire.receive()
    assert (asked.id, asked.command) == (1, Command.DMA_READ)
    assert asked.payload == pack(DMA_ACCESS, 0x8010, 5)
    answer(bench, 2, Command.DMA_WRITE, 0x9000, b"", 3)
    bench.function.dma.write(0x9000, b"abc")
    assert bench.wire.receive().payload == pack(DMA_ACCESS, 0x9000, 3) + b"abc"


def test_no_more_than_the_client_takes_is_asked_for_at_once(make):
    said = {"capabilities": {"max_data_xfer_size": 4}}
    bench = asked_for(make, said=said)
    for number, piece in enumerate((b"0123", b"4567", b"89"), 1):
        answer(bench, number, Command.DMA_READ, 0x8000, piece)
    assert bench.function.dma.read(0x8000, 10) == b"0123456789"
    assert [bench.wire.receive().fields(DMA_ACCESS)[1] for _ in range(3)] == [4, 4, 2]


def test_commands_that_come_meanwhile_wait_their_turn(make):
    bench = asked_for(make)
    bench.send(Command.REGION_WRITE, access(0, 0, 1, b"\x55"))
    answer(bench, 1, Command.DMA_READ, 0x8000, b"x")
    assert bench.function.dma.read(0x8000, 1) == b"x"
    assert bench.function.scratch.log == []
    assert bench.server.pending
    assert bench.woken == [True]  # whoever runs the server is told that there is more to do
    assert bench.server.receive()
    assert bench.function.scratch.log == [("write", 0, 1, 0x55)]
    assert not bench.server.pending


def test_a_client_that_does_not_answer_is_no_memory(make):
    bench = asked_for(make)
    with pytest.raises(DmaFault, match="does not answer"):
        bench.function.dma.read(0x8000, 1)
    # Once a command: a hundred accesses of a device do not wait a hundred times.
    with pytest.raises(DmaFault, match="does not answer"):
        bench.function.dma.read(0x8000, 1)
    first = bench.wire.receive()
    answer(bench, first.id, Command.DMA_READ, 0x8000, b"x")
    assert bench.server.receive()  # it comes too late, and harms nobody
    assert read(bench, CONFIG, 0, 2) == b"\xf4\x1a"
    answer(bench, first.id + 1, Command.DMA_READ, 0x8000, b"y")
    assert bench.function.dma.read(0x8000, 1) == b"y"


def test_a_client_that_answers_each_byte_late_is_no_memory_in_the_end(make, monkeypatch):
    """It takes a byte at a time, each well before its time is over: together that is an hour."""
    bench = asked_for(make, said={"capabilities": {"max_data_xfer_size": 1}})
    for number in range(1, 31):
        answer(bench, number, Command.DMA_READ, 0x8000 + number - 1, b"x")
    now = iter(range(1000))
    monkeypatch.setattr(conversation.time, "monotonic", lambda: 0.02 * next(now))  # 50 ms at most
    with pytest.raises(DmaFault, match="too slowly"):
        bench.function.dma.read(0x8000, 30)
    with pytest.raises(DmaFault, match="does not answer"):
        bench.function.dma.read(0x8000, 1)
    # Three were asked for: who begins before the end is waited for to the end.
    for number in range(1, 4):
        assert bench.wire.receive().id == number
    bench.wire.sock.settimeout(0)
    assert bench.wire.receive() is None


def test_each_command_is_a_new_beginning(make):
    bench = asked_for(make)
    bench.server._left = -1.0
    with pytest.raises(DmaFault, match="too slowly"):
        bench.function.dma.read(0x8000, 1)
    assert read(bench, CONFIG, 0, 2) == b"\xf4\x1a"
    answer(bench, 1, Command.DMA_READ, 0x8000, b"y")
    assert bench.function.dma.read(0x8000, 1) == b"y"


def test_a_late_reply_may_come_while_the_next_is_waited_for(make):
    bench = asked_for(make)
    with pytest.raises(DmaFault):
        bench.function.dma.read(0x8000, 1)
    late = bench.wire.receive().id
    assert read(bench, CONFIG, 0, 2) == b"\xf4\x1a"
    answer(bench, late, Command.DMA_READ, 0x8000, b"x")
    answer(bench, late + 1, Command.DMA_READ, 0x8000, b"y")
    assert bench.function.dma.read(0x8000, 1) == b"y"


def test_a_client_that_refuses(make):
    bench = asked_for(make)
    bench.wire._send(1, Command.DMA_READ, REPLY | ERROR, errno.EFAULT, b"")
    with pytest.raises(DmaFault, match="refused: Bad address"):
        bench.function.dma.read(0x8000, 1)


def test_an_answer_of_another_length(make):
    bench = asked_for(make)
    answer(bench, 1, Command.DMA_READ, 0x8000, b"xy")
    with pytest.raises(DmaFault, match="sent 2 bytes"):
        bench.function.dma.read(0x8000, 1)


def test_a_connection_that_breaks_meanwhile(make):
    bench = asked_for(make)
    bench.wire.close()
    with pytest.raises(DmaFault, match="broke"):
        bench.function.dma.read(0x8000, 1)
    with pytest.raises(DmaFault, match="does not answer"):
        bench.function.dma.read(0x8000, 1)
    assert bench.server.pending
    assert bench.woken == [True]
    with pytest.raises(HungUp):
        bench.server.receive()


def test_a_flood_while_bytes_are_waited_for(make):
    bench = asked_for(make)
    for _ in range(65):
        bench.send(Command.DEVICE_RESET)
    with pytest.raises(DmaFault, match="broke"):
        bench.function.dma.read(0x8000, 1)
    for _ in range(64):
        assert bench.server.receive()
    with pytest.raises(ProtocolError, match="64 commands"):
        bench.server.receive()


def test_a_reply_to_nothing_ends_the_connection(bench):
    answer(bench, 7, Command.DMA_READ, 0, b"")
    with pytest.raises(ProtocolError, match="a reply to nothing"):
        bench.server.receive()


def test_a_client_that_is_gone_leaves_nothing_behind():
    before = fd_count()
    bench = asked_for(Bench)
    assert bench.error(Command.DMA_MAP, dma_map(0, 4096), [bench.file(4096)]) == 0
    bench.send(Command.DMA_MAP, dma_map(0x4000, 4096), [bench.fds[0]])
    with pytest.raises(DmaFault):
        bench.function.dma.read(0x8000, 1)  # a command came meanwhile, and is never carried out
    assert bench.server.pending
    bench.close()
    assert bench.slot.reach is NOTHING
    with pytest.raises(DmaFault, match="no memory there"):
        bench.function.dma.read(0, 1)
    assert fd_count() == before


def test_the_function_stays_as_it_is_for_the_next_client(make):
    card = Card()
    first = make(card)
    write(first, 0, 0, b"\x55")
    first.server.close()
    assert read(make(card), 0, 0, 1) == b"\x55"
