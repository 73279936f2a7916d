"""A disk: sectors of 512 bytes, in memory or in a file.

    Disk(1 << 20)               2048 sectors of zeros, in memory
    Disk.of(image)              a copy of `image`
    Disk.open("linux.img")      the file itself, mapped: what is written is in the file
    Partition(disk, 63, 100)    100 sectors of a disk, from its sector 63

The rule that keeps it simple: every piece is a whole number of sectors, and lies inside the disk.
Whoever serves a guest checks the guest's numbers first; here a wrong one is a `ValueError`.

A write may stay in the operating system's memory. After `flush` has returned it is on the medium
(POSIX msync, MS_SYNC), and a crash does not take it away: `CrashDisk` shows what it could take. A
file that somebody makes shorter while it is mapped ends the process: give a disk a file of its own.
"""

from __future__ import annotations

import mmap
import os
from os import PathLike
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from virtlab.errors import FileError

Bytes = npt.NDArray[np.uint8]

SECTOR = 512
"""Bytes in a sector."""

SLAB = 1 << 18
"""Bytes that are zeroed at once."""

_PAGE = mmap.PAGESIZE


class Storage(Protocol):
    """What a disk controller needs: `Disk` is one, and so is a `Partition` of it."""

    @property
    def sectors(self) -> int:
        """How many sectors there are."""

    @property
    def read_only(self) -> bool:
        """Whether a write is refused."""

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""

    def flush(self) -> None:
        """Return when all that was written is on the medium."""


@runtime_checkable
class ThinStorage(Storage, Protocol):
    """A `Storage` that can give sectors up, so that they take no room on the host."""

    def discard(self, sector: int, count: int) -> None:
        """Give up `count` sectors from `sector`. They read as zeros from now on."""


@runtime_checkable
class FlatStorage(Storage, Protocol):
    """A `Storage` whose bytes lie in one array: many sectors move in one step."""

    def array(self) -> Bytes:
        """All its bytes, (sectors * SECTOR,) uint8, no copy. Nobody keeps it: a file may close."""


class Disk:
    """A disk of `contents`: a size in bytes, or the bytes themselves, which are then used in place.

    `ValueError` unless that is one sector or more, and whole sectors. `name` is for messages.
    """

    def __init__(
        self,
        contents: int | bytearray | mmap.mmap,
        *,
        read_only: bool = False,
        name: str = "the disk",
    ) -> None:
        size = contents if isinstance(contents, int) else len(contents)
        if size <= 0 or size % SECTOR:
            raise ValueError(f"a disk has whole sectors of {SECTOR} bytes, not {size} bytes")
        self._bytes = bytearray(contents) if isinstance(contents, int) else contents
        self.sectors = size // SECTOR
        self.read_only = read_only
        self.name = name

    @classmethod
    def of(cls, data: bytes, *, read_only: bool = False) -> Self:
        """A disk in memory with a copy of `data`."""
        return cls(bytearray(data), read_only=read_only)

    @classmethod
    def open(cls, path: str | PathLike[str], read_only: bool = False) -> Self:
        """The file at `path`, mapped into memory. `FileError` where it is no whole disk."""
        access = mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE
        try:
            with open(path, "rb" if read_only else "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                check_whole(path, size)
                contents = mmap.mmap(file.fileno(), size, access=access)
        except OSError as error:
            raise FileError(path, 0, error.strerror or str(error)) from None
        return cls(contents, read_only=read_only, name=os.fspath(path))

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`. `ValueError` unless they are all on the disk."""
        start, end = self._span(sector, count)
        return bytes(self._bytes[start:end])

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on. `ValueError` for a disk to read only."""
        start, end = self._span(sector, sectors_of(data))
        self._check_writable(start)
        self._bytes[start:end] = data

    def array(self) -> Bytes:
        """The bytes themselves, no copy; of a disk to read only they cannot be written.

        While somebody has them, a file cannot be closed. Who overrides `read` or `write` to see
        each move sees none of these: wrap the disk instead.
        """
        array: Bytes = np.frombuffer(self._bytes, np.uint8)
        if self.read_only:
            array.flags.writeable = False
        return array

    def discard(self, sector: int, count: int) -> None:
        """Give up `count` sectors from `sector`: they read as zeros. `ValueError` as `write`.

        The whole pages among them give their place in the file back, where the system can do that.
        """
        start, end = self._span(sector, count)
        self._check_writable(start)
        first, last = pages_in(start, end)
        if first < last and self._punch(first, last - first):
            _zero(self._bytes, start, first)
            _zero(self._bytes, last, end)
        else:
            _zero(self._bytes, start, end)

    def _punch(self, start: int, size: int) -> bool:
        """Whether these pages of a file are a hole now."""
        remove = getattr(mmap, "MADV_REMOVE", None)
        if remove is None or not isinstance(self._bytes, mmap.mmap):
            return False
        try:
            self._bytes.madvise(remove, start, size)
        except OSError:  # not every file system can
            return False
        return True

    def flush(self) -> None:
        """Return when all that was written is in the file. In memory there is nothing to do."""
        if isinstance(self._bytes, mmap.mmap) and not self.read_only:
            self._bytes.flush()

    def close(self) -> None:
        """Flush, and let the file go. Closing twice does nothing; a disk in memory stays."""
        if isinstance(self._bytes, mmap.mmap) and not self._bytes.closed:
            self.flush()
            self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Disk({self.name}, {self.sectors} sectors)"

    def _check_writable(self, start: int) -> None:
        if self.read_only:
            raise ValueError(f"{self.name}: byte {start}: the disk can only be read")

    def _span(self, sector: int, count: int) -> tuple[int, int]:
        """The bytes that sectors have: first, and first after."""
        if sector < 0 or count < 0 or sector + count > self.sectors:
            raise ValueError(
                f"{self.name}: byte {sector * SECTOR}: {count} sectors from {sector} are not all"
                f" among its {self.sectors}"
            )
        return sector * SECTOR, (sector + count) * SECTOR


class Partition:
    """`count` sectors of `disk` from its sector `start`, as a disk of its own.

    `ValueError` unless they are all on the disk.
    """

    def __init__(self, disk: Storage, start: int, count: int) -> None:
        if start < 0 or count <= 0 or start + count > disk.sectors:
            raise ValueError(f"sectors {start} to {start + count - 1} are not on {disk}")
        self.disk = disk
        self.start = start
        self.sectors = count

    @property
    def read_only(self) -> bool:
        """As the disk is."""
        return self.disk.read_only

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector` of the partition."""
        return self.disk.read(self._inside(sector, count), count)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data` from `sector` of the partition on."""
        self.disk.write(self._inside(sector, sectors_of(data)), data)

    def flush(self) -> None:
        """Flush the whole disk."""
        self.disk.flush()

    def __repr__(self) -> str:
        return f"Partition({self.disk}, {self.start}, {self.sectors})"

    def _inside(self, sector: int, count: int) -> int:
        if sector < 0 or count < 0 or sector + count > self.sectors:
            raise ValueError(
                f"{count} sectors from {sector} are not all among {self.sectors} of the partition"
            )
        return self.start + sector


def _zero(contents: bytearray | mmap.mmap, start: int, end: int) -> None:
    """Bytes from `start` to `end` become zeros, no more than `SLAB` at once."""
    for at in range(start, end, SLAB):
        size = min(SLAB, end - at)
        contents[at : at + size] = bytes(size)


def check_whole(path: str | PathLike[str], size: int) -> None:
    """`FileError` unless the file at `path`, of `size` bytes, has whole sectors, one or more."""
    if size == 0 or size % SECTOR:
        why = f"a disk ends with a whole sector of {SECTOR} bytes, not after {size}"
        raise FileError(path, size - size % SECTOR, why)


def pages_in(start: int, end: int) -> tuple[int, int]:
    """Where the whole pages of a file begin and end that lie in the bytes from `start` to `end`.

    There is none if the first number is not below the second.
    """
    return -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE


def sectors_of(data: bytes) -> int:
    """How many sectors `data` is. `ValueError` if it is not whole sectors.

    >>> sectors_of(bytes(1024))
    2
    """
    if len(data) % SECTOR:
        raise ValueError(f"a disk takes whole sectors of {SECTOR} bytes, not {len(data)} bytes")
    return len(data) // SECTOR
