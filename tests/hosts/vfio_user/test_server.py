"""The server, command by command: what it says of the function, and what it refuses."""

from __future__ import annotations

import errno
import os

import pytest

from tests.descriptors import fd_count
from tests.hosts.vfio_user.bench import access, dma_map, read, text, write
from virtlab.hosts.vfio_user.layouts import (
    COMMAND,
    DEVICE_INFO,
    DMA_MAP,
    IO_FDS,
    IRQ_INFO,
    NO_REPLY,
    ONE_WRITE,
    REGION_ACCESS,
    REGION_INFO,
    VERSION,
    WRITES,
    Command,
    RegionIndex,
)
from virtlab.hosts.vfio_user.messages import MAX_TRANSFER, pack, unpack
from virtlab.pci.config import Header
from virtlab.virtio.vhost_user.messages import ProtocolError

CONFIG = RegionIndex.CONFIG
MASTER = Header.COMMAND.BUS_MASTER.mask


# -- the beginning


def test_version_comes_first(make):
    with pytest.raises(ProtocolError, match="DEVICE_GET_INFO before VERSION"):
        make(agreed=False).ask(Command.DEVICE_GET_INFO, pack(DEVICE_INFO, 16, 0, 0, 0))


def test_version_comes_once(bench):
    assert bench.error(Command.VERSION, pack(VERSION, 0, 0) + text({})) == errno.EINVAL


def test_another_major_version_ends_the_connection(make):
    with pytest.raises(ProtocolError, match=r"1\.0, and 0\.0 is spoken here"):
        make(agreed=False).ask(Command.VERSION, pack(VERSION, 1, 0) + text({}))


# -- the device


def test_it_is_a_pci_device_that_can_be_reset(bench):
    reply = bench.ask(Command.DEVICE_GET_INFO, pack(DEVICE_INFO, 16, 0, 0, 0))
    assert unpack(DEVICE_INFO, reply.payload) == (16, 3, 9, 5)


@pytest.mark.parametrize(
    ("index", "flags", "size"),
    [
        (0, 3, 0x1000),
        (1, 3, 0x1000),
        (2, 3, 0x40),
        (3, 0, 0),
        (6, 1, 0x800),
        (7, 3, 256),
        (8, 0, 0),
    ],
)
def test_regions(bench, index, flags, size):
    reply = bench.ask(Command.DEVICE_GET_REGION_INFO, pack(REGION_INFO, 32, 0, index, 0, 0, 0))
    assert unpack(REGION_INFO, reply.payload) == (32, flags, index, 0, size, 0)


@pytest.mark.parametrize(
    ("index", "flags", "count"), [(0, 7, 1), (1, 3, 4), (2, 3, 3), (3, 8, 0), (4, 8, 0)]
)
def test_interrupts(bench, index, flags, count):
    reply = bench.ask(Command.DEVICE_GET_IRQ_INFO, pack(IRQ_INFO, 16, 0, index, 0))
    assert unpack(IRQ_INFO, reply.payload) == (16, flags, index, count)


def test_what_no_pci_device_has(bench):
    for index in (9, 0xFFFF_FFFF):
        info = pack(REGION_INFO, 32, 0, index, 0, 0, 0)
        assert bench.error(Command.DEVICE_GET_REGION_INFO, info) == errno.EINVAL
        assert bench.error(Command.REGION_READ, access(0, index, 4)) == errno.EINVAL
    for index in (5, 0xFFFF_FFFF):
        info = pack(IRQ_INFO, 16, 0, index, 0)
        assert bench.error(Command.DEVICE_GET_IRQ_INFO, info) == errno.EINVAL


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (Command.DEVICE_GET_REGION_IO_FDS, pack(IO_FDS, 16, 0, 0, 0)),
        (Command.DEVICE_FEATURE, bytes(8)),
        (Command.MIG_DATA_READ, bytes(8)),
        (Command.MIG_DATA_WRITE, bytes(8)),
        (Command.DMA_READ, bytes(16)),
        (14, b""),
        (99, b""),
    ],
)
def test_what_is_not_offered_is_refused_and_the_session_goes_on(bench, command, payload):
    assert bench.error(command, payload) == errno.ENOTSUP
    assert len(bench.refused) == 1
    assert read(bench, CONFIG, 0, 2) == b"\xf4\x1a"


@pytest.mark.parametrize("command", [Command.DEVICE_GET_INFO, Command.DMA_MAP, Command.REGION_READ])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_payload_of_another_length_is_refused(bench, command, more):
    right = {2: DMA_MAP, 4: DEVICE_INFO, 9: REGION_ACCESS}[command].itemsize
    assert bench.error(command, bytes(right + more)) == errno.EINVAL


def test_descriptors_that_do_not_belong_are_closed(bench):
    before = fd_count()
    fds = [os.open("/dev/null", os.O_RDWR) for _ in range(2)]
    info = pack(DEVICE_INFO, 16, 0, 0, 0)
    assert bench.error(Command.DEVICE_GET_INFO, info, fds) == errno.EINVAL
    assert bench.error(Command.DMA_MAP, dma_map(0, 4096), fds) == errno.EINVAL
    for fd in fds:
        os.close(fd)
    assert fd_count() == before


def test_no_reply_where_none_is_wanted(bench):
    bench.send(Command.DEVICE_RESET, flags=COMMAND | NO_REPLY)
    bench.send(Command.REGION_READ, access(0, 99, 1), flags=COMMAND | NO_REPLY)
    assert bench.server.receive()
    assert bench.server.receive()
    assert bench.function.resets == 1
    assert len(bench.refused) == 1
    assert read(bench, CONFIG, 0, 2) == b"\xf4\x1a"  # the next reply is this one's


# -- regions


def test_configuration_space_is_the_functions_byte_for_byte(bench):
    assert read(bench, CONFIG, 0, 256) == bench.function.config.dump()
    write(bench, CONFIG, 0x10, b"\xff\xff\xff\xff")
    assert read(bench, CONFIG, 0x10, 4) == bytes.fromhex("00f0ffff")
    write(bench, CONFIG, 0x3C, b"\x0b")
    assert bench.function.header.INTERRUPT_LINE == 11


@pytest.mark.parametrize(
    ("offset", "count", "log"),
    [
        (8, 8, [(8, 8)]),
        (8, 4, [(8, 4)]),
        (6, 2, [(6, 2)]),
        (5, 1, [(5, 1)]),
        (4, 8, [(4, 4), (8, 4)]),
        (0, 12, [(0, 4), (4, 4), (8, 4)]),
        (3, 4, [(3, 1), (4, 2), (6, 1)]),
    ],
)
def test_an_access_is_one_access_where_it_can_be(bench, offset, count, log):
    data = bytes(range(1, count + 1))
    write(bench, 0, offset, data)
    assert read(bench, 0, offset, count) == data
    seen = bench.function.scratch.log
    assert [entry[1:3] for entry in seen if entry[0] == "write"] == log
    assert [entry[1:3] for entry in seen if entry[0] == "read"] == log


@pytest.mark.parametrize(
    ("region", "offset", "count"),
    [(0, 0x1000, 1), (0, 0xFFF, 2), (0, (1 << 64) - 1, 1), (0, 0, 0), (3, 0, 1), (7, 255, 2)],
)
def test_outside_a_region_nothing_is_touched(bench, region, offset, count):
    assert bench.error(Command.REGION_READ, access(offset, region, count)) == errno.EINVAL
    payload = access(offset, region, count, bytes(count))
    assert bench.error(Command.REGION_WRITE, payload) == errno.EINVAL
    assert bench.function.scratch.log == []


def test_a_rom_is_not_written(bench):
    assert read(bench, 6, 0, 4) == bytes(4)
    assert bench.error(Command.REGION_WRITE, access(0, 6, 4, bytes(4))) == errno.EPERM


def test_more_than_max_data_xfer_size_is_refused(bench):
    count = MAX_TRANSFER + 1
    assert bench.error(Command.REGION_READ, access(0, 0, count)) == errno.EINVAL


@pytest.mark.parametrize("count", [3, 5, 0xFFFF_FFFF])
def test_a_write_has_as_many_bytes_as_it_says(bench, count):
    payload = access(0, 0, count, b"1234")
    assert bench.error(Command.REGION_WRITE, payload) == errno.EINVAL


def test_a_function_that_sleeps_answers_configuration_requests_only(bench):
    write(bench, 0, 0, b"\x12")
    write(bench, CONFIG, 0x74, b"\x03\x00")
    assert read(bench, 0, 0, 2) == b"\xff\xff"
    write(bench, 0, 0, b"\x34")
    write(bench, CONFIG, 0x74, b"\x00\x00")
    assert read(bench, 0, 0, 1) == b"\x12"


def test_the_table_of_messages_is_not_the_clients(bench):
    write(bench, 1, 0, b"\x34\x12\x00\x00")
    assert read(bench, 1, 0, 48) == b"\xff" * 48
    assert bench.function.table.entries[0].ADDRESS == 0
    bench.function.table.set_mask(False)
    bench.function.table.notify(1)
    assert read(bench, 1, bench.function.table.pba_offset, 1) == b"\x02"


def test_several_writes_in_one_message(bench):
    one = pack(ONE_WRITE, 4, 0, 2, 0x1234) + pack(ONE_WRITE, 8, 0, 8, (1 << 64) - 1)
    reply = bench.ask(Command.REGION_WRITE_MULTI, pack(WRITES, 2) + one)
    assert reply.payload == pack(WRITES, 2)
    assert read(bench, 0, 0, 16).hex() == "0000000034120000ffffffffffffffff"


@pytest.mark.parametrize(
    ("count", "writes"),
    [(1, b""), (2, pack(ONE_WRITE, 0, 0, 4, 1)), (1, pack(ONE_WRITE, 0, 0, 9, 1))],
)
def test_several_writes_that_are_none(bench, count, writes):
    assert bench.error(Command.REGION_WRITE_MULTI, pack(WRITES, count) + writes) == errno.EINVAL


def test_reset(bench):
    write(bench, CONFIG, 4, b"\x07\x00")
    assert bench.ask(Command.DEVICE_RESET).payload == b""
    assert read(bench, CONFIG, 4, 2) == b"\x00\x00"
    assert bench.function.resets == 1
