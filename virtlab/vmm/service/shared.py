"""What the VMM and the service share without a message: memory, a page of counters, a bell.

    SharedMemory   RAM that both processes map, by a descriptor: DMA goes straight to it
    Mailbox        one page: changes of the device's line, the bytes of its DMA
    Bell           "look at the mailbox": an eventfd, or a pipe where the system has none

The idea: a device acts on its own in two ways only. It moves bytes, and it drives its interrupt
line. Neither needs an answer, so neither is a message.

The rule that keeps it simple: only the service writes the mailbox, and only counters. The line's
counter goes up at each change of its level, which is its lowest bit. So a pulse that came and went
is still seen.

Sources: Linux memfd_create(2), eventfd(2); KVM_IRQFD in the KVM API is the same bell, heard by the
kernel itself. Elsewhere a file without a name serves, and a pipe.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable
from os import PathLike
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from virtlab.backends.disk import SECTOR, Disk
from virtlab.memory import PAGE, Bytes, Dma, GuestMemory
from virtlab.wire import u32, u64

MAILBOX = np.dtype([("changes", u32), ("reserved", u32), ("dma_read", u64), ("dma_written", u64)])
"""The mailbox: level changes of the line; bytes that DMA has read from memory, and written."""

WRAP = 1 << 32
"""What `changes` counts up to."""


def nameless_file(size: int) -> int:
    """A descriptor of `size` bytes of zeros that have no name, and last as long as it is open."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("virtlab")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


def map_file(fd: int, size: int) -> npt.NDArray[np.uint8]:
    """The file's bytes, (size,) uint8, shared with whoever maps it too."""
    return np.frombuffer(mmap.mmap(fd, size), np.uint8)


class SharedMemory(GuestMemory):
    """`size` bytes of RAM at host-physical `start`, in the file `fd`: a new one, if not given.

    The descriptor is closed with the memory, unless it was given.
    """

    def __init__(self, start: int, size: int, fd: int | None = None) -> None:
        if start % PAGE or size <= 0 or size % PAGE:
            raise ValueError(f"memory is whole pages at a page border, not {size} at {start:#x}")
        self.fd = nameless_file(size) if fd is None else fd
        if fd is None:
            weakref.finalize(self, os.close, self.fd)
        super().__init__([(start, size)], map_file(self.fd, size))


class CountedDma:
    """A `Dma` that tells `moved(length, written)` of each transfer through it."""

    def __init__(self, dma: Dma, moved: Callable[[int, bool], None]) -> None:
        self.dma = dma
        self.moved = moved

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        data = self.dma.read(iova, length)
        self.moved(length, False)
        return data

    def write(self, iova: int, data: bytes) -> None:
        """Put `data` at `iova`."""
        self.dma.write(iova, data)
        self.moved(len(data), True)

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves; what is done with them is not counted."""
        return self.dma.view(iova, length, write)


class DiskFile:
    """A disk's sectors in a file, which outlives any process: the one at `image`, or a copy.

    `ValueError` unless that is whole sectors, one or more. `disk` is this process's view of it.
    """

    def __init__(self, image: bytes | str | PathLike[str]) -> None:
        if isinstance(image, bytes):
            self.fd, self.size = nameless_file(len(image)), len(image)
        else:
            self.fd = os.open(image, os.O_RDWR)
            self.size = os.fstat(self.fd).st_size
        weakref.finalize(self, os.close, self.fd)
        if not self.size or self.size % SECTOR:
            raise ValueError(f"a disk has whole sectors of {SECTOR} bytes, not {self.size} bytes")
        self.disk = disk_of(self.fd, self.size)
        if isinstance(image, bytes):
            self.disk.write(0, image)


def disk_of(fd: int, size: int) -> Disk:
    """The `size` bytes in the file `fd` as a disk: what is written is in the file's own pages."""
    return Disk(mmap.mmap(fd, size), name="disk")


class Mailbox:
    """The page of counters in the file `fd`: a new one, if not given."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = nameless_file(PAGE) if fd is None else fd
        if fd is None:
            weakref.finalize(self, os.close, self.fd)
        self._record = map_file(self.fd, PAGE)[: MAILBOX.itemsize].view(MAILBOX)

    # -- the service writes

    def change(self) -> None:
        """The line has changed its level."""
        self._record["changes"] += 1

    def moved(self, length: int, written: bool) -> None:
        """DMA has moved `length` bytes: `written` to memory, or read from it."""
        self._record["dma_written" if written else "dma_read"] += length

    # -- the VMM reads

    @property
    def changes(self) -> int:
        """How often the line has changed, modulo `WRAP`."""
        return int(self._record["changes"][0])

    @property
    def bytes_moved(self) -> tuple[int, int]:
        """Bytes that DMA has read from memory, and written to it."""
        return int(self._record["dma_read"][0]), int(self._record["dma_written"][0])


class Bell:
    """Something to ring, and to hear: `read_fd` and `write_fd`, which an eventfd has in one.

    `ring` and `heard` never block. Many rings before one look are one. Descriptors that were given
    stay open; those of a `new` one are closed with it, or by `close`.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self._end: Callable[[], Any] = lambda: None

    @classmethod
    def new(cls) -> Self:
        """An eventfd, or a pipe."""
        if hasattr(os, "eventfd"):
            ends = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),) * 2
        else:
            ends = os.pipe()
        for fd in ends:
            os.set_blocking(fd, False)
        bell = cls(*ends)
        bell._end = weakref.finalize(bell, _close_all, set(ends))
        return bell

    def ring(self) -> None:
        """Ring it. A bell that is full has been rung already."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.write_fd, (1).to_bytes(8, "little"))

    def heard(self) -> bool:
        """Whether it was rung since the last time."""
        try:
            return bool(os.read(self.read_fd, PAGE))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Let the descriptors go. Closing twice does nothing."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _close_all(fds: set[int]) -> None:
    for fd in fds:
        os.close(fd)
