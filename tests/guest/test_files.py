"""The flat file system: a byte of a file is a byte of one sector, and of no other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends import SECTOR, Disk
from virtlab.guest.files import ENTRIES, ENTRY, FlatFiles

FIRST, SECTORS = 3, 40


class Log:
    """A disk that remembers what was asked of it."""

    def __init__(self, sectors=64):
        self.disk = Disk.of(bytes([0xEE]) * sectors * SECTOR)
        self.moves = []

    def read(self, sector, count=1):
        self.moves.append(("read", sector, count))
        return self.disk.read(sector, count)

    def write(self, sector, data):
        self.moves.append(("write", sector, len(data) // SECTOR))
        self.disk.write(sector, data)


def volume(**files):
    """A volume with files by name: `(sectors, length)`."""
    blocks = Log()
    made = FlatFiles.format(blocks, FIRST, SECTORS)
    for name, (sectors, length) in files.items():
        made.create(name.encode(), sectors, length)
    blocks.moves.clear()
    return blocks, made


def test_an_entry_has_32_bytes_so_a_sector_has_16():
    assert (ENTRY.itemsize, ENTRIES) == (32, 16)


def test_files_lie_one_after_another_behind_the_directory():
    blocks, files = volume(a=(2, 1024), b=(4, 0))
    assert files.sector(files.find(b"a"), 0) == FIRST + 1
    assert files.sector(files.find(b"a"), 1023) == FIRST + 2
    assert files.sector(files.find(b"b"), 0) == FIRST + 3
    assert files.find(b"c") is None
    assert files.find(b"") is None
    assert FlatFiles(blocks, FIRST, SECTORS).directory.tolist() == files.directory.tolist()


def test_whole_sectors_are_written_without_a_read():
    blocks, files = volume(a=(8, 8 * SECTOR))
    assert files.write(0, 0, bytes(8 * SECTOR)) == 8 * SECTOR
    assert blocks.moves == [("write", FIRST + 1, 8)]


def test_a_part_of_a_sector_costs_a_read_before():
    blocks, files = volume(a=(8, 8 * SECTOR))
    files.write(0, 100, b"x")
    assert blocks.moves == [("read", FIRST + 1, 1), ("read", FIRST + 1, 1), ("write", FIRST + 1, 1)]
    assert blocks.disk.read(FIRST + 1)[99:102] == b"\xeex\xee"


def test_a_longer_file_is_a_new_directory():
    blocks, files = volume(a=(2, 0))
    files.write(0, 0, bytes(SECTOR))
    assert blocks.moves == [("write", FIRST + 1, 1), ("write", FIRST, 1)]
    assert FlatFiles(blocks, FIRST, SECTORS).length(0) == SECTOR


def test_a_file_ends_at_its_length_and_grows_to_its_room():
    _, files = volume(a=(2, 10), b=(1, SECTOR))
    assert files.read(0, 0, 100) == b"\xee" * 10
    assert files.read(0, 10, 1) == b""
    assert files.write(0, 1000, b"y" * 100) == 24
    assert files.write(0, 1024, b"y") == 0
    assert files.length(0) == files.room(0) == 1024
    assert files.read(1, 0, SECTOR) == b"\xee" * SECTOR


@given(st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=1500)), max_size=8))
def test_a_file_is_an_array_of_bytes_whatever_is_written(writes):
    blocks, files = volume(before=(1, 0), a=(5, 5 * SECTOR), after=(1, 0))
    model = bytearray(b"\xee" * 5 * SECTOR)
    outside = blocks.disk.read(0, FIRST + 2), blocks.disk.read(FIRST + 7, 50)
    for offset, data in writes:
        kept = data[: max(0, len(model) - offset)]
        assert files.write(1, offset, data) == len(kept)
        model[offset : offset + len(kept)] = kept
        assert files.read(1, offset, len(data)) == model[offset : offset + len(data)]
    assert files.read(1, 0, 9999) == model
    assert (blocks.disk.read(0, FIRST + 2), blocks.disk.read(FIRST + 7, 50)) == outside


@given(st.binary(min_size=SECTOR, max_size=SECTOR))
def test_a_volume_that_somebody_else_made_stays_in_its_place(sector):
    blocks = Log()
    blocks.write(FIRST, sector)
    files = FlatFiles(blocks, FIRST, SECTORS)
    for entry in files.directory:
        index = files.find(entry["name"].item())
        if index is not None:
            files.write(index, 0, bytes(3 * SECTOR))
            files.read(index, 0, 1 << 40)
    assert all(FIRST <= at and at + count <= FIRST + SECTORS for _, at, count in blocks.moves)


@pytest.mark.parametrize(
    ("start", "sectors", "found"),
    [
        (1, 39, True),
        (1, 40, False),
        (40, 1, False),
        (0, 1, False),
        (39, 1, True),
        (2**32 - 1, 1, 0),
    ],
)
def test_an_entry_that_leaves_the_volume_is_no_file(start, sectors, found):
    blocks = Log()
    directory = np.zeros(ENTRIES, ENTRY)
    directory[5] = (b"a", start, sectors, 10**9, 0)
    blocks.write(FIRST, directory.tobytes())
    files = FlatFiles(blocks, FIRST, SECTORS)
    assert (files.find(b"a") == 5) == bool(found)
    if found:
        assert files.length(5) == sectors * SECTOR
        assert files.create(b"b", 1) if start == 1 and sectors < 38 else True


def test_a_new_file_takes_what_is_free():
    _, files = volume(a=(2, 0))
    for wrong in (b"", b"n" * 17, b"a\0b", b"a"):
        with pytest.raises(ValueError, match="new name"):
            files.create(wrong, 1)
    for sectors, length in ((0, 0), (1, 513), (1, -1)):
        with pytest.raises(ValueError, match="are no file"):
            files.create(b"b", sectors, length)
    with pytest.raises(ValueError, match="no room"):
        files.create(b"b", SECTORS - 2)
    assert files.create(b"n" * 16, SECTORS - 3) == 1
    _, small = volume(**{f"f{n}": (1, 0) for n in range(ENTRIES)})
    with pytest.raises(ValueError, match="no room"):
        small.create(b"b", 1)


@pytest.mark.parametrize(("first", "sectors"), [(-1, 10), (0, 1)])
def test_a_volume_has_a_place_and_room(first, sectors):
    with pytest.raises(ValueError, match="2 sectors or more"):
        FlatFiles(Log(), first, sectors)
