"""Files in one stretch of addresses: a reservation, over which files are mapped at chosen places.

    reservation   [ nothing ][ file A ][ file B ][ nothing ............ ]     one uint8 array
                   no access   shared    shared    no access

The idea: addresses cost nothing until they are used. So a stretch large enough for all that may
ever come is reserved once, and every file has its place in it. Whoever has the array has all files,
and a place in it never moves.

The rule that keeps it simple: the reservation stays as long as the array. Where a file leaves,
pages of zeros take its place: a view that somebody kept reads zeros, and writes where nobody looks.

`mmap` with MAP_FIXED is not in Python's own `mmap` module, so it is called in the C library.
Linux only. Source: mmap(2), mprotect(2), fcntl(2) on file seals.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import mmap
import os
import stat

import numpy as np

from virtlab.memory import PAGE, Bytes
from virtlab.virtio.vhost_user.messages import ProtocolError

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_int64),
)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

# Of Linux's <sys/mman.h>, which Python's module does not have.
_FIXED, _NO_RESERVE, _PROT_NONE = 0x10, 0x4000, 0
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
_FAILED = ctypes.c_void_p(-1).value

MAX_ADDRESS = 1 << 62
"""Addresses, and places in a file, lie below: more than any machine has."""


def _checked(result: int | None, what: str) -> None:
    if result in (_FAILED, -1):
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


class Reservation:
    """`size` bytes of addresses, as the array `bytes`. Nothing is there at first: do not touch it.

    `OSError` if the machine has not so many addresses.
    """

    def __init__(self, size: int) -> None:
        self._area = _reserve(size)
        self.bytes: Bytes = np.frombuffer(self._area, np.uint8)
        self.address = self.bytes.ctypes.data
        _checked(_libc.mprotect(self.address, size, _PROT_NONE), "mprotect")

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.bytes)

    def map(self, at: int, size: int, fd: int, offset: int) -> None:
        """Put `size` bytes of the file `fd`, from `offset` on, at `at`: pages, all three.

        `OSError` if the file cannot be mapped; the place is empty then.
        """
        self._check(at, size)
        flags = mmap.MAP_SHARED | _FIXED
        found = _libc.mmap(self.address + at, size, _READ_WRITE, flags, fd, offset)
        if found == _FAILED:
            code = ctypes.get_errno()
            self.clear(at, size)
            raise OSError(code, os.strerror(code))

    def clear(self, at: int, size: int) -> None:
        """Take away what is mapped there, and leave zeros."""
        self._check(at, size)
        found = _libc.mmap(self.address + at, size, _READ_WRITE, _PRIVATE | _FIXED, -1, 0)
        _checked(found, "mmap")

    def _check(self, at: int, size: int) -> None:
        """MAP_FIXED replaces whatever is there, so it must be ours."""
        if at % PAGE or size % PAGE or not 0 <= at < at + size <= self.size:
            raise ValueError(f"no pages of the reservation: {size} bytes at {at}")


def _reserve(size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size, _PRIVATE, _READ_WRITE)
    except OSError:
        # What nobody uses any more may not have been given back yet.
        gc.collect()
        return mmap.mmap(-1, size, _PRIVATE, _READ_WRITE)


def map_part(fd: int, offset: int, size: int, what: str) -> Bytes:
    """(size,) uint8: the bytes of the file `fd` from `offset` on, shared. `fd` stays the caller's.

    `ProtocolError` if it has not so many, or cannot be mapped. `what` says what they should be.
    """
    keep_size(fd, offset + size)
    lead = offset % PAGE
    pages = Reservation(-(-(lead + size) // PAGE) * PAGE)
    try:
        pages.map(0, pages.size, fd, offset - lead)
    except OSError as error:
        raise ProtocolError(f"{what} that cannot be mapped: {error}") from None
    return pages.bytes[lead : lead + size]


def sealed_file(name: str, size: int) -> int:
    """A new file of `size` zero bytes, a memfd that keeps its size; the caller closes it.

    Who has mapped a file is killed if it touches what was cut off. `name` is for who looks.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def page_of(fd: int) -> int:
    """Bytes of the pages in which the file can be mapped: more than usual for huge pages."""
    size = os.fstat(fd).st_blksize
    return size if size >= mmap.PAGESIZE << 9 and not size & size - 1 else PAGE


def keep_size(fd: int, end: int) -> None:
    """`ProtocolError` unless the file has `end` bytes, and sees to it that it keeps them.

    A page beyond the end of a file kills who touches it (SIGBUS). So the file is sealed against
    shrinking, if it is one that can be: a memfd. Of any other the other end must not cut off a
    piece, as with every back-end.
    """
    try:
        info = os.fstat(fd)
        if stat.S_ISREG(info.st_mode):
            _seal(fd)
            info = os.fstat(fd)
    except OSError as error:
        raise ProtocolError(f"a descriptor that cannot be used: {error.strerror}") from None
    if not stat.S_ISREG(info.st_mode):
        raise ProtocolError("a descriptor that is no file")
    if end > info.st_size:
        raise ProtocolError(f"bytes up to {end:#x} of a file that has {info.st_size:#x}")


def _seal(fd: int) -> None:
    """Nobody may shrink it any more. A file that knows no seals stays as it is."""
    try:
        if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
