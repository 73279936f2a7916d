"""The disk backend: sectors in memory or in a file, and a part of it as a disk of its own."""

import mmap
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends.disk import (
    SECTOR,
    SLAB,
    Disk,
    FlatStorage,
    Partition,
    Storage,
    ThinStorage,
    sectors_of,
)
from virtlab.errors import FileError

ONE, TWO = b"1" * SECTOR, b"2" * SECTOR


def numbered(count):
    """A disk whose sector n is full of the byte n."""
    return Disk.of(b"".join(bytes([n]) * SECTOR for n in range(count)))


def test_a_new_disk_is_zeros():
    disk = Disk(4 * SECTOR)
    assert disk.sectors == 4
    assert disk.read(0, 4) == bytes(4 * SECTOR)


def test_what_is_written_is_read_and_nothing_else_changes():
    disk = numbered(4)
    disk.write(1, ONE + TWO)
    assert disk.read(0, 4) == bytes(SECTOR) + ONE + TWO + b"\x03" * SECTOR


def test_bytes_are_copied_and_a_bytearray_is_used_in_place():
    contents = bytearray(SECTOR)
    Disk.of(contents).write(0, ONE)
    assert contents == bytes(SECTOR)
    Disk(contents).write(0, ONE)
    assert contents == ONE


@pytest.mark.parametrize("size", [0, -SECTOR, 1, SECTOR + 1])
def test_a_disk_has_whole_sectors(size):
    with pytest.raises(ValueError, match="whole sectors"):
        Disk(size)


@pytest.mark.parametrize(("sector", "count"), [(-1, 1), (4, 1), (3, 2), (0, 5), (0, -1)])
def test_every_piece_is_on_the_disk(sector, count):
    with pytest.raises(ValueError, match="not all among"):
        numbered(4).read(sector, count)


def test_a_write_that_runs_off_the_end_writes_nothing():
    disk = numbered(2)
    with pytest.raises(ValueError, match="not all among"):
        disk.write(1, ONE + TWO)
    assert disk.read(1) == b"\x01" * SECTOR


def test_a_write_is_whole_sectors():
    with pytest.raises(ValueError, match="whole sectors"):
        numbered(2).write(0, b"short")
    assert sectors_of(b"") == 0


def test_a_disk_to_read_only_says_which_byte():
    disk = Disk.of(bytes(4 * SECTOR), read_only=True)
    with pytest.raises(ValueError, match="byte 1024: the disk can only be read"):
        disk.write(2, ONE)


def test_a_file_is_written_in_place(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(3 * SECTOR))
    with Disk.open(path) as disk:
        disk.write(1, ONE)
        disk.flush()
        assert path.read_bytes() == bytes(SECTOR) + ONE + bytes(SECTOR)
        disk.write(2, TWO)
    assert path.read_bytes()[2 * SECTOR :] == TWO
    disk.close()


def test_a_file_to_read_only_may_be_protected(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(ONE)
    os.chmod(path, stat.S_IRUSR)
    with Disk.open(path, read_only=True) as disk:
        assert disk.read(0) == ONE
        disk.flush()
        with pytest.raises(ValueError, match="only be read"):
            disk.write(0, TWO)


@pytest.mark.parametrize("size", [0, SECTOR + 3])
def test_a_file_that_is_no_whole_disk_is_refused_with_the_byte(tmp_path, size):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(size))
    with pytest.raises(FileError, match="whole sector") as caught:
        Disk.open(path)
    assert caught.value.byte == size - size % SECTOR


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(FileError, match="No such file") as caught:
        Disk.open(tmp_path / "none.img")
    assert "\n" not in str(caught.value)


def test_a_disk_in_memory_stays_when_it_is_closed():
    with numbered(2) as disk:
        disk.flush()
    assert disk.read(1) == b"\x01" * SECTOR
    assert repr(disk) == "Disk(the disk, 2 sectors)"


def test_a_partition_is_a_disk_of_its_own():
    disk = numbered(10)
    part = Partition(disk, 3, 4)
    assert (part.sectors, part.read_only) == (4, False)
    assert part.read(0, 2) == b"\x03" * SECTOR + b"\x04" * SECTOR
    part.write(3, ONE)
    assert disk.read(6) == ONE
    part.flush()
    inner = Partition(part, 1, 2)
    assert inner.read(1) == b"\x05" * SECTOR
    assert repr(inner).count("Partition") == 2


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, 0), (9, 2), (10, 1), (0, 11)])
def test_a_partition_lies_on_its_disk(start, count):
    with pytest.raises(ValueError, match="are not on"):
        Partition(numbered(10), start, count)


@given(st.integers(-3, 12), st.integers(-3, 12))
def test_nothing_outside_a_partition_can_be_touched(sector, count):
    disk = numbered(12)
    part = Partition(disk, 4, 4)
    inside = 0 <= sector and 0 <= count and sector + count <= 4
    data = ONE * max(count, 0)
    try:
        assert part.read(sector, count) == disk.read(4 + sector, count)
        part.write(sector, data)
    except ValueError:
        assert not inside
    assert disk.read(0, 4) == numbered(12).read(0, 4)
    assert disk.read(8, 4) == numbered(12).read(8, 4)


# -- one array, sectors given up


def test_the_bytes_of_a_disk_are_one_array():
    disk = numbered(4)
    array = disk.array()
    assert array.tobytes() == disk.read(0, 4)
    array[SECTOR] = 0x77
    assert disk.read(1) == b"\x77" + b"\x01" * (SECTOR - 1)


def test_the_array_of_a_disk_to_read_only_cannot_be_written(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(ONE)
    with Disk.open(path, read_only=True) as disk, pytest.raises(ValueError, match="read-only"):
        disk.array()[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        Disk.of(ONE, read_only=True).array()[0] = 1


def test_sectors_that_are_given_up_read_as_zeros():
    disk = numbered(8)
    disk.discard(2, 3)
    assert disk.read(0, 8) == numbered(8).read(0, 2) + bytes(3 * SECTOR) + numbered(8).read(5, 3)
    disk.discard(8, 0)
    with pytest.raises(ValueError, match="not all among"):
        disk.discard(7, 2)
    with pytest.raises(ValueError, match="only be read"):
        Disk.of(ONE, read_only=True).discard(0, 1)


def test_a_long_stretch_is_zeroed():
    disk = Disk.of(b"\xff" * (3 * SLAB))
    disk.discard(1, 2 * SLAB // SECTOR + 1)
    zeroed = 2 * SLAB + SECTOR
    expected = b"\xff" * SECTOR + bytes(zeroed)
    assert disk.read(0, disk.sectors) == expected.ljust(3 * SLAB, b"\xff")


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize(("first", "count"), [(0, 64), (3, 50), (9, 6), (8, 8), (1, 1), (15, 2)])
def test_a_file_gives_whole_pages_back(tmp_path, monkeypatch, able, first, count):
    """Zeros are read, whether the file system can make a hole or not."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"\xee" * (64 * SECTOR))
    if not able:
        monkeypatch.delattr(mmap, "MADV_REMOVE", raising=False)
    with Disk.open(path) as disk:
        disk.discard(first, count)
        expected = bytearray(b"\xee" * (64 * SECTOR))
        expected[first * SECTOR : (first + count) * SECTOR] = bytes(count * SECTOR)
        assert disk.read(0, 64) == expected
        disk.flush()
    assert path.read_bytes() == expected


def test_a_file_system_that_can_make_no_hole_gets_zeros(tmp_path):
    class Stubborn(mmap.mmap):
        def madvise(self, *_):
            raise OSError("not here")

    path = tmp_path / "disk.img"
    path.write_bytes(b"\xee" * (64 * SECTOR))
    with open(path, "r+b") as file:
        disk = Disk(Stubborn(file.fileno(), 64 * SECTOR))
    disk.discard(0, 64)
    assert disk.read(0, 64) == bytes(64 * SECTOR)


def test_a_flush_is_one_of_the_whole_mapping_and_its_failure_is_told(tmp_path):
    """POSIX msync with MS_SYNC, from the first byte: what `mmap.flush` does without arguments."""

    class Noted(mmap.mmap):
        asked = ()

        def flush(self, *where):
            self.asked += (where,)
            if len(self.asked) > 1:
                raise OSError("the medium is gone")

    path = tmp_path / "disk.img"
    path.write_bytes(ONE)
    with open(path, "r+b") as file:
        contents = Noted(file.fileno(), SECTOR)
    disk = Disk(contents)
    disk.write(0, TWO)
    assert contents.asked == ()
    disk.flush()
    assert contents.asked == ((),)
    with pytest.raises(OSError, match="gone"):
        disk.flush()


@pytest.mark.parametrize(("kind", "able"), [(Storage, True), (ThinStorage, False)])
def test_a_partition_is_a_storage_and_no_more(kind, able):
    part = Partition(numbered(4), 0, 4)
    assert not isinstance(part, FlatStorage)
    assert kind is Storage or isinstance(part, kind) == able
