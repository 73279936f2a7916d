"""Guest memory by descriptors: two addresses for a byte, and nothing beyond a region."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.descriptors import fd_count
from tests.virtio.vhost_user.front_end import memfd
from virtlab.errors import DmaFault
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS, Reservation, keep_size, page_of
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.shared_memory import Shape, SharedMemory

USER = 0x7F00_0000_0000
K = 1024


@pytest.fixture
def file():
    fd = memfd(1024 * K)
    yield fd
    os.close(fd)


@pytest.fixture
def memory():
    return SharedMemory(limit=16 << 20)


PC = [Shape(0, 640 * K, USER, 0), Shape(1024 * K, 384 * K, USER + 640 * K, 640 * K)]
"""A machine of 1 MiB with the hole of a PC."""


def access_of(address):
    """What the kernel lets this process do at `address`: `rw-s`, `---p`, or nothing."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            low, high = (int(end, 16) for end in span.split("-"))
            if low <= address < high:
                return rights
    return ""


def test_both_addresses_lead_to_the_same_byte(memory, file):
    memory.set_table(PC, [file, file])
    memory.write(1024 * K, b"high")
    assert os.pread(file, 4, 640 * K) == b"high"
    assert memory.gpa_of(USER + 640 * K + 2, 2) == 1024 * K + 2
    os.pwrite(file, b"low", 100)
    assert memory.read(100, 3) == b"low"
    assert memory.size == 1024 * K


def test_it_is_one_array(memory, file):
    memory.set_table(PC, [file, file])
    gpas = np.array([0, 1024 * K, 1024 * K + 4096])
    offsets = memory.offset_many(gpas, np.full(3, 4096))
    assert list(offsets) == [memory.offset(gpa, 4096) for gpa in gpas.tolist()]
    memory.write(1024 * K + 4096, b"x")
    assert memory.bytes[offsets[2]] == ord("x")
    assert list(memory.gpas_of(offsets)) == list(gpas)


@pytest.mark.parametrize("gpa", [640 * K - 1, 640 * K, 1024 * K - 1, 1408 * K - 1, 1 << 63])
def test_an_access_lies_inside_one_region(memory, file, gpa):
    memory.set_table(PC, [file, file])
    with pytest.raises(DmaFault):
        memory.read(gpa, 2)


@pytest.mark.parametrize("user", [USER - 1, USER + 1024 * K - 1, 0, (1 << 64) - 1])
def test_a_user_address_lies_in_one_region(memory, file, user):
    memory.set_table(PC, [file, file])
    with pytest.raises(ProtocolError, match="in no region"):
        memory.gpa_of(user, 2)


def test_regions_that_are_neighbours_in_both_ways_are_one_to_a_buffer(memory, file):
    halves = [Shape(0, 512 * K, USER, 0), Shape(512 * K, 512 * K, USER + (1 << 30), 512 * K)]
    memory.set_table(halves, [file, file])
    memory.write(512 * K - 2, b"over")
    assert os.pread(file, 4, 512 * K - 2) == b"over"
    # A ring lies in one mapping of the front-end, so in one region.
    with pytest.raises(ProtocolError):
        memory.gpa_of(USER + 512 * K - 2, 4)


def test_a_region_that_begins_inside_a_page(memory, file):
    memory.add(Shape(0x1000, 100, USER, 0x1234), file)
    memory.write(0x1000, b"here")
    assert os.pread(file, 4, 0x1234) == b"here"
    with pytest.raises(DmaFault):
        memory.read(0x1000 + 99, 2)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (Shape(0, 0, USER, 0), "a region of no bytes"),
        (Shape(0, 1025 * K, USER, 0), "of a file that has"),
        (Shape(0, 4096, USER, 1024 * K), "of a file that has"),
        (Shape(0, 4096, USER, (1 << 64) - 4096), "passes the last address"),
        (Shape((1 << 64) - 4096, 4096, USER, 0), "passes the last address"),
        (Shape(0, 4096, (1 << 64) - 1, 0), "passes the last address"),
        (Shape(MAX_ADDRESS - 4095, 4096, USER, 0), "passes the last address"),
        (Shape(0, (1 << 64) - 1, 0, 0), "passes the last address"),
        (Shape(0, 17 << 20, USER, 0), "are the most"),
    ],
)
def test_a_region_that_cannot_be(memory, file, shape, why):
    memory.add(Shape(1 << 40, 4096, USER - (1 << 40), 0), file)
    before = memory.generation, memory.shapes, memory.regions
    for change in (lambda: memory.add(shape, file), lambda: memory.set_table([shape], [file])):
        with pytest.raises(ProtocolError, match=why):
            change()
        assert (memory.generation, memory.shapes, memory.regions) == before
    assert memory.read(1 << 40, 4) == bytes(4)


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        (Shape(0, 8192, USER, 0), Shape(4096, 4096, 0, 0), "guest"),
        (Shape(0, 8192, USER, 0), Shape(0, 4096, 0, 0), "guest"),
        (Shape(0, 8192, USER, 0), Shape(1 << 30, 4096, USER + 4096, 0), "user"),
    ],
)
def test_regions_do_not_overlap(memory, file, one, other, field):
    with pytest.raises(ProtocolError, match=f"overlap at the {field} address"):
        memory.set_table([one, other], [file, file])
    memory.add(other, file)
    with pytest.raises(ProtocolError, match=f"overlap at the {field} address"):
        memory.add(one, file)
    assert memory.shapes == [other]


def test_there_are_so_many_slots(file):
    memory = SharedMemory(limit=1 << 20, slots=3)
    for number in range(3):
        memory.add(Shape(number << 20, 4096, number << 20, 0), file)
    with pytest.raises(ProtocolError, match="4 regions, where 3"):
        memory.add(Shape(3 << 20, 4096, 3 << 20, 0), file)


def test_a_region_that_leaves_shows_zeros_and_hides_what_is_written(memory, file):
    memory.set_table(PC, [file, file])
    memory.write(0, b"secret")
    view = memory.view(0, 6)
    memory.remove(PC[0]._replace(offset=99))
    assert bytes(view) == bytes(6)
    view[:] = 7
    assert os.pread(file, 6, 0) == b"secret"
    with pytest.raises(DmaFault):
        memory.read(0, 1)
    assert memory.read(1024 * K, 1) == b"\0"


def test_a_region_that_is_not_there_cannot_leave(memory, file):
    memory.set_table(PC, [file, file])
    for wrong in (PC[0]._replace(size=1), PC[0]._replace(user=1), PC[0]._replace(guest=1)):
        with pytest.raises(ProtocolError, match="no region"):
            memory.remove(wrong)


def test_every_change_counts(memory, file):
    seen = [memory.generation]
    memory.set_table(PC, [file, file])
    seen.append(memory.generation)
    memory.remove(PC[0])
    seen.append(memory.generation)
    memory.add(PC[0], file)
    seen.append(memory.generation)
    memory.close()
    seen.append(memory.generation)
    assert len(set(seen)) == 5


def test_beyond_the_regions_the_machine_itself_forbids_access(memory, file):
    """An access that went past a region by a mistake of ours would be noticed."""
    memory.add(Shape(0, 1024 * K, USER, 0), file)
    base = memory.bytes.ctypes.data
    place = memory.offset(0)
    assert access_of(base + place) == "rw-s"
    assert access_of(base + place + 1024 * K) == "---p"


def test_no_descriptor_is_kept(memory, file):
    before = fd_count()
    memory.set_table(PC, [file, file])
    assert fd_count() == before


def test_the_file_of_a_region_cannot_shrink_any_more(memory, file):
    """A page beyond the end of its file would kill the process that touches it."""
    memory.add(Shape(0, 4096, USER, 0), file)
    with pytest.raises(PermissionError):
        os.ftruncate(file, 0)


def test_a_file_that_knows_no_seals(memory, tmp_path):
    path = tmp_path / "ram"
    path.write_bytes(bytes(8192))
    with path.open("r+b") as plain:
        memory.add(Shape(0, 8192, USER, 0), plain.fileno())
        memory.write(4096, b"disk")
    assert path.read_bytes()[4096:4100] == b"disk"


def test_a_descriptor_that_is_no_memory(memory, tmp_path):
    reader, writer = os.pipe()
    event = os.eventfd(0)
    for fd in (reader, writer, event):
        with pytest.raises(ProtocolError, match="no file"):
            memory.add(Shape(0, 4096, USER, 0), fd)
        os.close(fd)
    with pytest.raises(ProtocolError, match="cannot be used"):
        memory.add(Shape(0, 4096, USER, 0), reader)
    path = tmp_path / "ram"
    path.write_bytes(bytes(8192))
    with path.open("rb") as only, pytest.raises(ProtocolError, match="cannot be mapped"):
        memory.add(Shape(0, 8192, USER, 0), only.fileno())


def test_a_table_of_which_one_cannot_be_mapped_changes_nothing(memory, file, tmp_path):
    memory.set_table(PC, [file, file])
    memory.write(0, b"old")
    path = tmp_path / "ram"
    path.write_bytes(bytes(1 << 20))
    new = [PC[0], PC[1]._replace(offset=0)]
    with path.open("rb") as only, pytest.raises(ProtocolError):
        memory.set_table(new, [file, only.fileno()])
    assert memory.read(0, 3) == b"old"
    assert memory.shapes == PC


def test_places_are_used_again(memory, file):
    for _ in range(500):
        memory.set_table(PC, [file, file])
        memory.remove(PC[0])
        memory.add(PC[0], file)
    assert memory.size == 1024 * K


def test_there_may_be_no_place(file, monkeypatch):
    memory = SharedMemory(limit=1 << 20)
    memory.limit = 64 << 20
    fd = memfd(4 << 20)
    with pytest.raises(ProtocolError, match="no place"):
        memory.add(Shape(0, 4 << 20, USER, 0), fd)
    os.close(fd)


def test_huge_pages_begin_at_their_border(memory, file, monkeypatch):
    """A file on hugetlbfs can be mapped in its own pages only."""
    monkeypatch.setattr("virtlab.virtio.vhost_user.shared_memory.page_of", lambda fd: 2 << 20)
    big = memfd(8 << 20)
    memory.add(Shape(0, 4096, USER, 0), file)
    memory.add(Shape(1 << 20, 1 << 20, USER + (1 << 20), (2 << 20) + 4096), big)
    place = memory.bytes.ctypes.data + memory.offset(1 << 20)
    assert place % (2 << 20) == 4096
    memory.write(1 << 20, b"huge")
    assert os.pread(big, 4, (2 << 20) + 4096) == b"huge"
    os.close(big)


def test_only_pages_of_the_reservation_are_mapped(file):
    pages = Reservation(16384)
    assert page_of(file) == 4096
    for at, size in ((-4096, 4096), (1, 4096), (0, 1), (0, 0), (16384, 4096), (12288, 8192)):
        with pytest.raises(ValueError):
            pages.map(at, size, file, 0)
    keep_size(file, 0)


def test_addresses_that_nobody_uses_are_collected_first(monkeypatch):
    """A session that ended may not have been collected yet, and addresses are finite."""
    import mmap as real

    from virtlab.virtio.vhost_user import mapping

    tries, collected = [], []

    class Scarce:
        def __getattr__(self, name):
            return getattr(real, name)

        def mmap(self, *arguments):
            tries.append(arguments)
            if len(tries) == 1:
                raise OSError(12, "Cannot allocate memory")
            return real.mmap(*arguments)

    monkeypatch.setattr(mapping, "mmap", Scarce())
    monkeypatch.setattr(mapping.gc, "collect", lambda: collected.append(1))
    assert Reservation(4096).size == 4096
    assert len(tries) == 2
    assert collected == [1]


def test_what_the_machine_refuses_is_an_error(monkeypatch):
    from virtlab.virtio.vhost_user import mapping

    pages = Reservation(4096)
    monkeypatch.setattr(mapping, "_PRIVATE", 0)
    with pytest.raises(OSError, match="mmap"):
        pages.clear(0, 4096)


def test_a_seal_that_fails_in_another_way(monkeypatch, file):
    import fcntl as real

    from virtlab.virtio.vhost_user import mapping

    class Broken:
        def __getattr__(self, name):
            return getattr(real, name)

        def fcntl(self, *arguments):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(mapping, "fcntl", Broken())
    with pytest.raises(ProtocolError, match="cannot be used: Input/output error"):
        keep_size(file, 4096)
