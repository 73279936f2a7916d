"""What two processes share: memory, a disk's file, the mailbox, the bell."""

import gc
import os

import pytest

from tests.vmm.service.rig import open_files
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.service.shared import (
    MAILBOX,
    Bell,
    CountedDma,
    DiskFile,
    Mailbox,
    SharedMemory,
    disk_of,
    nameless_file,
)


def test_two_mappings_of_one_memory_are_one_memory():
    here = SharedMemory(0x10000, 4 * PAGE)
    there = SharedMemory(0x10000, 4 * PAGE, here.fd)
    here.write(0x12345, b"seen")
    assert there.read(0x12345, 4) == b"seen"
    there.store(0x10000, 4, 7)
    assert here.load(0x10000, 4) == 7
    with pytest.raises(DmaFault):
        here.read(0xFFFF, 2)


@pytest.mark.parametrize(("start", "size"), [(1, PAGE), (0, 0), (0, PAGE + 1), (0, -PAGE)])
def test_memory_is_whole_pages(start, size):
    with pytest.raises(ValueError, match="whole pages"):
        SharedMemory(start, size)


def test_without_memfd_a_file_with_no_name_serves(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    memory = SharedMemory(0, PAGE)
    assert SharedMemory(0, PAGE, memory.fd).read(0, 4) == bytes(4)
    assert os.fstat(memory.fd).st_nlink == 0


def test_descriptors_go_with_their_objects():
    gc.collect()
    before = open_files()
    made = [SharedMemory(0, PAGE), DiskFile(bytes(512)), Mailbox()]
    assert open_files() > before
    del made
    gc.collect()
    assert open_files() == before


def test_a_disk_file_is_one_disk_in_every_mapping():
    file = DiskFile(b"A" * 512 + b"B" * 512)
    assert file.disk.read(1) == b"B" * 512
    disk_of(file.fd, file.size).write(0, b"C" * 512)
    assert file.disk.read(0) == b"C" * 512


def test_a_disk_file_can_have_a_name(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1024))
    file = DiskFile(path)
    file.disk.write(1, b"D" * 512)
    file.disk.flush()
    assert path.read_bytes() == bytes(512) + b"D" * 512


@pytest.mark.parametrize("size", [0, 511, 513])
def test_a_disk_has_whole_sectors(size, tmp_path):
    with pytest.raises(ValueError, match="whole sectors"):
        DiskFile(bytes(size))
    path = tmp_path / "odd.img"
    path.write_bytes(bytes(size))
    with pytest.raises(ValueError, match="whole sectors"):
        DiskFile(path)


def test_the_mailbox_counts_for_both_sides():
    here = Mailbox()
    there = Mailbox(here.fd)
    assert (here.changes, here.bytes_moved) == (0, (0, 0))
    there.change()
    there.moved(512, False)
    there.moved(8, True)
    there.moved(8, True)
    assert (here.changes, here.bytes_moved) == (1, (512, 16))
    assert MAILBOX.itemsize == 24


def test_the_mailbox_wraps():
    mailbox = Mailbox()
    mailbox._record["changes"] = 0xFFFF_FFFF
    mailbox.change()
    assert mailbox.changes == 0


@pytest.mark.parametrize("with_eventfd", [True, False])
def test_a_bell_is_heard_once_and_never_blocks(with_eventfd, monkeypatch):
    if not with_eventfd:
        monkeypatch.delattr(os, "eventfd", raising=False)
    with Bell.new() as bell:
        assert not bell.heard()
        bell.ring()
        bell.ring()
        assert bell.heard()
        assert not bell.heard()
        for _ in range(20_000):
            bell.ring()
        assert bell.heard()
    assert (bell.read_fd == bell.write_fd) == (with_eventfd and hasattr(os, "eventfd"))


def test_a_full_bell_has_been_rung():
    """An eventfd that counts to its end would block the writer; it is left as it is."""
    bell = Bell.new()
    os.write(bell.write_fd, (2**64 - 2).to_bytes(8, "little"))
    bell.ring()
    assert bell.heard()


def test_a_bell_closes_its_own_descriptors_only():
    gc.collect()
    before = open_files()
    bell = Bell.new()
    Bell(bell.read_fd, bell.write_fd).close()
    bell.ring()
    bell.close()
    bell.close()
    assert open_files() == before
    forgotten = Bell.new()
    del forgotten
    assert open_files() == before


def test_dma_is_counted_as_it_is_made():
    moved = []
    dma = CountedDma(GuestMemory(PAGE), lambda length, written: moved.append((length, written)))
    dma.write(0x10, b"abcd")
    assert dma.read(0x10, 3) == b"abc"
    assert bytes(dma.view(0x10, 2)) == b"ab"
    with pytest.raises(DmaFault):
        dma.read(PAGE, 1)
    with pytest.raises(DmaFault):
        dma.write(PAGE - 1, b"ab")
    assert moved == [(4, True), (3, False)]


def test_a_file_has_no_name_and_the_size_that_was_asked():
    fd = nameless_file(3 * PAGE)
    try:
        assert os.fstat(fd).st_size == 3 * PAGE
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)
