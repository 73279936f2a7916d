"""The client's windows: what is mapped, what is asked for, and who may do what where."""

from __future__ import annotations

import errno
import functools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.errors import DmaFault
from virtlab.hosts.vfio_user.memory import MOST_ASKED, WINDOWS, ClientMemory, Window
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.memory import is_flat
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS

PAGE = 4096


class Client:
    """Who is asked: it has zeros, and notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def dma_read(self, address, count):
        self.asked.append(("read", address, count))
        return bytes(count)

    def dma_write(self, address, data):
        self.asked.append(("write", address, data))


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def memory(client):
    memory = ClientMemory(client, limit=1 << 24)
    yield memory
    memory.close()


@pytest.fixture
def fd():
    fd = os.memfd_create("ram", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 16 * PAGE)
    yield fd
    os.close(fd)


def test_a_file_is_mapped_where_it_says(memory, fd):
    memory.map(Window(0x10000, 2 * PAGE), fd, PAGE)
    memory.write(0x10000, b"first")
    assert os.pread(fd, 5, PAGE) == b"first"
    os.pwrite(fd, b"last", 3 * PAGE - 4)
    assert memory.read(0x10000 + 2 * PAGE - 4, 4) == b"last"
    assert bytes(memory.view(0x10000, 5)) == b"first"
    assert is_flat(memory)


def test_a_window_without_a_file_is_asked_for(memory, client):
    memory.map(Window(0x10000, PAGE))
    assert memory.read(0x10010, 3) == bytes(3)
    memory.write(0x10020, bytearray(b"xy"))
    assert client.asked == [("read", 0x10010, 3), ("write", 0x10020, b"xy")]
    with pytest.raises(DmaFault):
        memory.view(0x10000, 1)


@pytest.mark.parametrize("start", [0x10000 - 1, 0x10000 + PAGE - 1, 0x20000])
@pytest.mark.parametrize("mapped", [True, False])
def test_an_access_lies_in_one_window(memory, client, fd, mapped, start):
    memory.map(Window(0x10000, PAGE), fd if mapped else None)
    for access in (lambda: memory.read(start, 2), lambda: memory.write(start, b"12")):
        with pytest.raises(DmaFault, match="no memory there"):
            access()
    assert client.asked == []


def test_nobody_asks_for_more_than_a_mebibyte(memory, client):
    memory.map(Window(0, 1 << 40))
    assert len(memory.read(0, MOST_ASKED)) == MOST_ASKED
    with pytest.raises(DmaFault):
        memory.read(0, MOST_ASKED + 1)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize(("readable", "writable"), [(True, False), (False, True), (False, False)])
def test_rights(memory, client, fd, mapped, readable, writable):
    memory.map(Window(0x10000, PAGE, readable, writable), fd if mapped else None)
    accesses = {
        lambda: memory.read(0x10000, 4): readable,
        lambda: memory.write(0x10000, b"1234"): writable,
    }
    if mapped:
        accesses[lambda: memory.offset(0x10000, 4, False)] = readable
        accesses[lambda: memory.view(0x10000, 4, True)] = writable
    for access, allowed in accesses.items():
        if allowed:
            access()
        else:
            with pytest.raises(DmaFault, match="the client lets nobody"):
                access()
    assert bool(client.asked) == ((readable or writable) and not mapped)


def test_a_file_that_may_only_be_read_is_asked_for(memory, client, tmp_path):
    path = tmp_path / "rom"
    path.write_bytes(bytes(PAGE))
    with path.open("rb") as file:
        memory.map(Window(0x10000, PAGE, True, False), file.fileno())
        assert memory.read(0x10000, 2) == bytes(2)
        assert client.asked == [("read", 0x10000, 2)]
        with pytest.raises(Refused, match="cannot be mapped"):
            memory.map(Window(0x20000, PAGE), file.fileno())


@pytest.mark.parametrize(
    ("window", "code"),
    [
        (Window(0x10000, PAGE), errno.EEXIST),
        (Window(0x10800, 1), errno.EEXIST),
        (Window(0xF000, PAGE + 1), errno.EEXIST),
        (Window(0, 1 << 40), errno.EEXIST),
        (Window(0x20000, 0), errno.EINVAL),
        (Window(MAX_ADDRESS, 1), errno.EINVAL),
        (Window(1, (1 << 64) - 1), errno.EINVAL),
    ],
)
def test_a_window_that_cannot_be(memory, window, code):
    memory.map(Window(0x10000, PAGE))
    with pytest.raises(Refused) as caught:
        memory.map(window)
    assert caught.value.code == code
    assert memory.windows == [Window(0x10000, PAGE)]


def test_neighbours_are_no_overlap(memory, fd):
    for address in (0x10000, 0x11000, 0xF000):
        memory.map(Window(address, PAGE), fd, address - 0xF000)
    assert [window.address for window in memory.windows] == [0xF000, 0x10000, 0x11000]


def test_a_file_that_is_too_short(memory, fd):
    with pytest.raises(Refused, match="EINVAL"):
        memory.map(Window(0, 17 * PAGE), fd)
    assert memory.windows == []


def test_so_many_windows_and_no_more(memory):
    for number in range(WINDOWS):
        memory.map(Window(number * PAGE, PAGE))
    with pytest.raises(Refused, match="ENOSPC"):
        memory.map(Window(WINDOWS * PAGE, PAGE))


@pytest.mark.parametrize(("address", "size"), [(0x10000, PAGE), (0x10001, 2 * PAGE), (0, 1)])
def test_what_is_unmapped_must_match_exactly(memory, fd, address, size):
    memory.map(Window(0x10000, 2 * PAGE), fd)
    with pytest.raises(Refused, match="ENOENT"):
        memory.unmap(address, size)
    assert memory.read(0x10000, 1) == b"\0"


def test_an_unmapped_window_is_no_memory(memory, client, fd):
    memory.map(Window(0x10000, PAGE), fd)
    memory.map(Window(0x20000, PAGE, True, False), fd)
    memory.map(Window(0x30000, PAGE))
    generation = memory.generation
    memory.unmap(0x20000, PAGE)
    assert memory.generation > generation
    memory.map(Window(0x20000, PAGE), fd)
    memory.write(0x20000, b"now it may be written")
    memory.unmap_all()
    for address in (0x10000, 0x20000, 0x30000):
        with pytest.raises(DmaFault):
            memory.read(address, 1)
    assert client.asked == []


SPANS = st.lists(st.tuples(st.integers(0xE000, 0x15000), st.integers(0, 3 * PAGE)), max_size=8)


@functools.cache
def four_windows():
    """Side by side in one file; the second may be read only, the third written only."""
    memory = ClientMemory(Client(), limit=1 << 24)
    fd = os.memfd_create("ram", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 16 * PAGE)
    for number, rights in enumerate([(True, True), (True, False), (False, True), (True, True)]):
        memory.map(Window(0x10000 + number * PAGE, PAGE, *rights), fd, number * PAGE)
    os.close(fd)
    return memory


@given(SPANS, st.data())
def test_many_are_as_one_by_one(spans, data):
    """The vector agrees with the scalar on each buffer: places, rights and refusals."""
    memory = four_windows()
    writes = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))

    def one(span, write):
        try:
            return memory.offset(*span, write)
        except DmaFault:
            return -1

    iovas = np.array([iova for iova, _ in spans], np.int64)
    lengths = np.array([length for _, length in spans], np.int64)
    for rights in (np.array(writes, bool), True, False):
        each = writes if isinstance(rights, np.ndarray) else [rights] * len(spans)
        expected = [one(span, write) for span, write in zip(spans, each, strict=True)]
        assert memory.offset_many(iovas, lengths, rights).tolist() == expected
    both = [one(span, True) if one(span, False) >= 0 else -1 for span in spans]
    assert memory.offset_many(iovas, lengths).tolist() == both
