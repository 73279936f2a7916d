"""A disk in a file that others may look at too: a full medium is an error, and never the end of us.

    open_image(path)    the file takes all of its room     `WholeImage`   mapped, served in batches
                        it has holes                       `ThinImage`    pread, pwrite, and holes

The idea: a file that is mapped is the quickest disk. But a store into a hole asks the file system
for room, and where there is none the process gets a signal (SIGBUS) and dies. A `pwrite` gets
ENOSPC instead. So a file is mapped only if all its room is there, and then it is kept.

The rule that keeps it simple: which one it is, is decided once, when the file is opened. Either
locks its file (flock), so that two disks never write the same image.

`failed` is called with each error of the medium, before whoever wrote gets it. The room of a whole
image is certain where a file system writes in place; one that copies on write may still run out.

Source: POSIX pwrite, fdatasync; Linux lseek (SEEK_HOLE), madvise (MADV_REMOVE). Not on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from os import PathLike

from virtlab.backends.disk import SECTOR, SLAB, Disk, check_whole, pages_in, sectors_of
from virtlab.errors import FileError

Failed = Callable[[OSError], None]
"""Is told what the medium could not do."""

_BLOCK = 512  # of `st_blocks`, whatever the file system's blocks are


class WholeImage(Disk):
    """An image that takes all of its room, mapped. It never gives any of it up."""

    failed: Failed | None = None

    def flush(self) -> None:
        """See `Disk`."""
        with _told(self.failed):
            super().flush()

    def _punch(self, start: int, size: int) -> bool:
        # A page that was given up may be one that the file system cannot give back.
        return False


class ThinImage:
    """An image of `size` bytes with holes, open as `fd`, which it owns. A `ThinStorage`.

    What is not written takes no room. `OSError` where the medium has none, or fails.
    """

    def __init__(self, fd: int, size: int, read_only: bool, name: str) -> None:
        self._fd: int | None = fd
        self.sectors = size // SECTOR
        self.read_only = read_only
        self.name = name
        self.failed: Failed | None = None

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`. `ValueError` unless they are all on the disk."""
        fd, start, size = self._span(sector, count)
        with _told(self.failed):
            data = bytearray()
            while len(data) < size:
                piece = os.pread(fd, size - len(data), start + len(data))
                if not piece:
                    raise OSError(errno.EIO, "the image has become shorter", self.name)
                data += piece
        return bytes(data)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on. `ValueError` for a disk to read only."""
        fd, start, _ = self._span(sector, sectors_of(data), writes=True)
        with _told(self.failed):
            _write(fd, start, data)

    def discard(self, sector: int, count: int) -> None:
        """Give up `count` sectors from `sector`: they read as zeros. `ValueError` as `write`."""
        fd, start, size = self._span(sector, count, writes=True)
        first, last = pages_in(start, start + size)
        with _told(self.failed):
            if first < last and _punch(fd, first, last - first):
                _zero(fd, start, first)
                _zero(fd, last, start + size)
            else:
                _zero(fd, start, start + size)

    def flush(self) -> None:
        """Return when all that was written is on the medium."""
        if self._fd is not None and not self.read_only:
            with _told(self.failed):
                os.fdatasync(self._fd)

    def close(self) -> None:
        """Flush, and let the file go. Closing twice does nothing."""
        if self._fd is not None:
            try:
                self.flush()
            finally:
                os.close(self._fd)
                self._fd = None

    def __repr__(self) -> str:
        return f"ThinImage({self.name}, {self.sectors} sectors)"

    def _span(self, sector: int, count: int, writes: bool = False) -> tuple[int, int, int]:
        """The descriptor, the first byte, and how many."""
        if self._fd is None:
            raise ValueError(f"{self.name} is closed")
        if sector < 0 or count < 0 or sector + count > self.sectors:
            raise ValueError(
                f"{self.name}: {count} sectors from {sector} are not all among its {self.sectors}"
            )
        if writes and self.read_only:
            raise ValueError(f"{self.name}: the disk can only be read")
        return self._fd, sector * SECTOR, count * SECTOR


Image = WholeImage | ThinImage
"""A disk in a file, of either kind."""


def open_image(path: str | PathLike[str], read_only: bool = False) -> Image:
    """The disk in the file at `path`, locked. `FileError` where it is none, or is in use.

    `OSError` with its name where it cannot be opened.
    """
    flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(path, flags)
    try:
        size = _size_of(fd, path)
        _lock(fd, path, read_only)
        if not _is_whole(fd, size):
            return ThinImage(fd, size, read_only, os.fspath(path))
        access = mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE
        contents = mmap.mmap(fd, size, access=access)
    except BaseException:
        os.close(fd)
        raise
    # The mapping has a duplicate of the descriptor, and with it the lock.
    os.close(fd)
    return WholeImage(contents, read_only=read_only, name=os.fspath(path))


def _size_of(fd: int, path: str | PathLike[str]) -> int:
    """The bytes of the file. `FileError` if a disk cannot have so many."""
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise FileError(path, 0, "a disk image is a file with bytes of its own")
    check_whole(path, status.st_size)
    return status.st_size


def _lock(fd: int, path: str | PathLike[str], read_only: bool) -> None:
    """Any number may read, or one may write."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if read_only else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(path, 0, "it is in use as another disk") from None


def _is_whole(fd: int, size: int) -> bool:
    """Whether the file has room on its medium for each of its bytes."""
    # One of both may be wrong: not every file system knows its holes, and some count their tables.
    takes = os.fstat(fd).st_blocks * _BLOCK
    return takes >= size and os.lseek(fd, 0, os.SEEK_HOLE) == size


def _write(fd: int, start: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        done = os.pwrite(fd, rest, start)
        rest, start = rest[done:], start + done


def _zero(fd: int, start: int, end: int) -> None:
    """Bytes from `start` to `end` become zeros, no more than `SLAB` at once."""
    for at in range(start, end, SLAB):
        _write(fd, at, bytes(min(SLAB, end - at)))


def _punch(fd: int, start: int, size: int) -> bool:
    """Whether these pages are a hole now. No byte of the mapping is touched."""
    try:
        with mmap.mmap(fd, size, offset=start, access=mmap.ACCESS_WRITE) as window:
            window.madvise(mmap.MADV_REMOVE)
    except OSError:  # not every file system can
        return False
    return True


@contextlib.contextmanager
def _told(failed: Failed | None) -> Iterator[None]:
    """Tell `failed` of an error on its way out."""
    try:
        yield
    except OSError as error:
        if failed is not None:
            failed(error)
        raise
