"""A disk whose history is kept: what a crash may leave, and what it must."""

from random import Random

import pytest

from virtlab.backends.crash import ENTRY, CrashDisk
from virtlab.backends.disk import SECTOR, Disk

A, B, C = (letter * SECTOR for letter in (b"a", b"b", b"c"))
ZERO = bytes(SECTOR)


def media(disk, cut, tries=60):
    """All that was seen after so many crashes."""
    return {disk.after(cut, Random(seed)) for seed in range(tries)}


def test_it_is_a_disk_like_the_one_behind_it():
    disk = CrashDisk(Disk(4 * SECTOR))
    disk.write(1, A)
    assert disk.read(0, 4) == ZERO + A + 2 * ZERO
    assert (disk.sectors, disk.read_only) == (4, False)
    assert disk.disk.read(1) == A
    assert repr(disk) == "CrashDisk(Disk(the disk, 4 sectors), 1 entries)"


def test_a_write_that_was_not_flushed_may_be_there_or_not():
    disk = CrashDisk(Disk.of(A))
    disk.write(0, B)
    assert media(disk, 0) == {A}
    assert media(disk, 1) == {A, B}


def test_one_that_was_flushed_is_there():
    disk = CrashDisk(Disk.of(A))
    disk.write(0, B)
    disk.flush()
    disk.write(0, C)
    assert [disk.flushed(cut) for cut in range(4)] == [0, 0, 2, 2]
    assert media(disk, 2) == {B}
    assert media(disk, 3) == {B, C}


def test_the_sectors_of_one_write_come_one_by_one_in_any_order():
    disk = CrashDisk(Disk(2 * SECTOR))
    disk.write(0, A + B)
    assert media(disk, 1) == {2 * ZERO, A + ZERO, ZERO + B, A + B}


def test_an_earlier_write_may_be_the_one_that_stays():
    disk = CrashDisk(Disk(SECTOR))
    disk.write(0, A)
    disk.write(0, B)
    assert media(disk, 2) == {ZERO, A, B}


def test_one_random_gives_one_medium():
    disk = CrashDisk(Disk(8 * SECTOR))
    for sector in range(8):
        disk.write(sector, A)
    assert disk.after(8, Random(3)) == disk.after(8, Random(3))


def test_a_crash_is_behind_an_entry_of_the_log():
    disk = CrashDisk(Disk(SECTOR))
    for cut in (-1, 1):
        with pytest.raises(ValueError, match="has 0 entries"):
            disk.after(cut, Random(1))


def test_a_full_log_is_a_full_medium():
    """A guest that never stops to write cannot fill the host."""
    disk = CrashDisk(Disk(SECTOR), limit=2 * (SECTOR + ENTRY))
    disk.write(0, A)
    disk.write(0, B)
    with pytest.raises(OSError, match="no room for 512 bytes"):
        disk.write(0, C)
    with pytest.raises(OSError, match="no room"):
        disk.flush()
    assert disk.read(0) == B


def test_a_flush_that_failed_has_made_nothing_stable():
    class Failing(Disk):
        def flush(self):
            raise OSError("gone")

    disk = CrashDisk(Failing(SECTOR))
    disk.write(0, A)
    with pytest.raises(OSError, match="gone"):
        disk.flush()
    assert disk.flushed(len(disk.log)) == 0
