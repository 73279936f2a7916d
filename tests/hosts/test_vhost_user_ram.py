"""RAM that another process may map, and the processor that has it."""

import mmap
import os
import threading

import pytest

from tests.descriptors import fd_count
from tests.hosts.vhost_user_threads import PC, new_cpu
from virtlab.cpu import Cpu
from virtlab.hosts.vhost_user_ram import FileRam, RamCpu
from virtlab.memory import PAGE


def test_a_back_end_is_told_where_each_region_lies():
    """Guest address, size, user address, place in the file (vhost-user.rst)."""
    ram = FileRam(PC)
    base = ram.bytes.ctypes.data
    assert ram.shapes == [
        (0, 0xA0000, base, 0),
        (0x10_0000, 8 << 20, base + 0xA0000, 0xA0000),
    ]
    assert ram.user_of(0x10_0000 + 5, 4) == base + 0xA0000 + 5


@pytest.mark.parametrize(("gpa", "length"), [(0xA0000, 1), (0x9FFFF, 2), (-1, 1), (9 << 20, 1)])
def test_what_is_no_ram_has_no_user_address(gpa, length):
    with pytest.raises(ValueError, match="not in one region of RAM"):
        FileRam(PC).user_of(gpa, length)


def test_who_maps_the_file_has_the_same_bytes():
    ram = FileRam(PC)
    theirs = mmap.mmap(ram.fd, ram.size)
    ram.write(0x10_0000, b"from here")
    assert theirs[0xA0000 : 0xA0000 + 9] == b"from here"
    theirs[0:10] = b"from there"
    assert ram.read(0, 10) == b"from there"


def test_nobody_can_cut_it_off():
    ram = FileRam(PAGE)
    for size in (0, 2 * PAGE):
        with pytest.raises(PermissionError):
            os.ftruncate(ram.fd, size)


def test_the_file_is_closed_with_the_ram():
    before = fd_count()
    ram = FileRam(PAGE)
    assert fd_count() > before
    del ram
    assert fd_count() == before


@pytest.mark.parametrize(
    "regions", [[], 0, 100, [(0, PAGE + 1)], [(1, PAGE)], [(n << 20, PAGE) for n in range(9)]]
)
def test_regions_are_whole_pages_and_few(regions):
    with pytest.raises(ValueError, match="region"):
        FileRam(regions)


# -- the processor


def test_it_is_a_cpu():
    cpu: Cpu = new_cpu()
    cpu.store(0x1000, 0x1122334455667788, 8)
    assert [cpu.load(0x1000, size) for size in (1, 2, 4, 8)] == [
        0x88,
        0x7788,
        0x55667788,
        0x1122334455667788,
    ]
    for size in (1, 2, 4, 8):
        cpu.store(0x10_0000, 0xFFEEDDCCBBAA9988_7766, size)  # what is too wide is lost
        assert cpu.load(0x10_0000, size) == 0xDDCCBBAA99887766 % (1 << 8 * size)
    cpu.write(0x2000, b"string")
    assert cpu.read(0x2000, 6) == b"string"


def test_an_address_that_is_no_multiple_of_the_size():
    cpu = new_cpu()
    cpu.store(0x1001, 0x11223344, 4)
    assert cpu.load(0x1001, 4) == 0x11223344
    assert cpu.load(0x1000, 8) == 0x1122334400


def test_outside_ram_nobody_answers():
    cpu = new_cpu()
    for gpa in (0xA0000, 0x9FFFF, 1 << 40):
        cpu.store(gpa, 0x55AA, 2)
        cpu.write(gpa, b"ab")
        assert cpu.load(gpa, 2) == 0xFFFF
        assert cpu.read(gpa, 2) == b"\xff\xff"
    assert cpu.load(0x9FFFF, 1) == 0
    cpu.out(0x80, 1)
    assert cpu.inp(0x80) == 0xFF
    assert cpu.inp(0x80, 4) == 0xFFFF_FFFF
    with pytest.raises(ValueError, match="string move"):
        cpu.read(0, -1)
    with pytest.raises(ValueError, match="string move"):
        cpu.write(0, bytes((16 << 20) + 1))


# -- waiting


def line(cpu, vector):
    """An eventfd whose event is interrupt `vector`."""
    fd = os.eventfd(0, os.EFD_NONBLOCK)

    def heard():
        os.eventfd_read(fd)
        return vector

    cpu.listen(fd, heard)
    return fd


def test_an_event_is_an_interrupt():
    cpu = RamCpu(FileRam(PAGE))
    one, other = line(cpu, 7), line(cpu, 0)
    assert cpu.wait(0) is None
    assert cpu.wait(1000) is None
    os.eventfd_write(one, 1)
    os.eventfd_write(other, 3)
    assert {cpu.wait(0), cpu.wait(0)} == {0, 7}
    assert cpu.wait(0) is None
    cpu.ignore(one)
    os.eventfd_write(one, 1)
    assert cpu.wait(0) is None
    cpu.ignore(one)  # nobody listened
    for fd in (one, other):
        os.close(fd)


def test_it_sleeps_until_the_event():
    """A wait of ten minutes ends as soon as somebody calls."""
    cpu = RamCpu(FileRam(PAGE))
    fd = line(cpu, 3)
    threading.Timer(0.02, os.eventfd_write, (fd, 1)).start()
    assert cpu.wait(600 * 10**9) == 3
    cpu.ignore(fd)
    os.close(fd)


def test_what_a_device_finds_out_is_raised():
    cpu = RamCpu(FileRam(PAGE))
    fd = os.eventfd(1)

    def heard():
        raise ConnectionError("gone")

    cpu.listen(fd, heard)
    with pytest.raises(ConnectionError, match="gone"):
        cpu.wait()
    cpu.ignore(fd)
    os.close(fd)
