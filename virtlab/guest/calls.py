"""System calls: their numbers, their registers, and what the calls on files mean.

    RAX      RDI         RSI        RDX
    number   descriptor  buffer     bytes          read, write
    number   name        flags      mode           open
    number   descriptor                            close

The idea: a call is a number and three words. What they mean is the business of whoever serves them:
the guest's kernel, or a VMM that has taken the call away from it. `FileCalls` is written once, and
both use it, each with its own memory, its own volume and its own table of descriptors.

The rule that keeps it simple: `serve` gives an answer to any registers at all. A wrong descriptor,
a pointer that is not the application's, a name without an end: each is an error number, negative.

Source: System V ABI, AMD64 supplement, A.2.1 (registers; -4095 to -1 are errors); the numbers are
Linux's for x86-64. Left out: `open` makes no files, and there is no `lseek`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from virtlab.guest.files import NAME_LENGTH, FlatFiles
from virtlab.wire import all_ones


class Call(IntEnum):
    """The calls on files."""

    READ = 0
    WRITE = 1
    OPEN = 2
    CLOSE = 3


GETPID = 39
"""A call that has nothing to do with files."""


class Errno(IntEnum):
    """What can be wrong. The call's result is this, negative."""

    ENOENT = 2
    EIO = 5
    EBADF = 9
    EFAULT = 14
    EMFILE = 24
    ENOSPC = 28
    ENAMETOOLONG = 36
    ENOSYS = 38


FIRST_DESCRIPTOR, MAX_DESCRIPTORS = 3, 16
"""0, 1 and 2 are the terminal's, which this kernel has not."""

CHUNK = 64 << 10
"""Bytes that a call moves at a time: a guest cannot make its server allocate more."""


@dataclass(slots=True)
class Registers:
    """The registers of a call, 64 bits each. The result comes back in RAX."""

    rax: int = 0
    rdi: int = 0
    rsi: int = 0
    rdx: int = 0

    @property
    def result(self) -> int:
        """RAX as a signed number: an error is negative.

        >>> Registers(rax=0xFFFF_FFFF_FFFF_FFF7).result
        -9
        """
        return self.rax - (self.rax >> 63 << 64)

    def answer(self, result: int) -> None:
        """Put `result`, perhaps negative, into RAX."""
        self.rax = result & all_ones(8)


class UserMemory(Protocol):
    """The application's memory, as whoever serves its calls reaches it."""

    def read(self, gpa: int, length: int) -> bytes | None:
        """`length` bytes, or None if they are not all the application's."""

    def write(self, gpa: int, data: bytes) -> bool:
        """Put `data` there; False if that is not all the application's."""


class Span(NamedTuple):
    """The application's part of memory: `size` bytes from `start` (gpa)."""

    start: int
    size: int

    def has(self, gpa: int, length: int) -> bool:
        """Whether all of `length` bytes at `gpa` are in it."""
        return self.start <= gpa and gpa + length <= self.start + self.size


class BlocksFailed(Exception):
    """The sectors could not be moved: the call gives EIO."""


class Opened(NamedTuple):
    """An open file: which one, and the byte that comes next."""

    file: int
    position: int


class FileCalls:
    """The calls on the files of a volume, for one application.

    `mount` gives the volume, when the first file is opened. `copied(n)` is called for each block
    of `n` bytes that the server first takes into a memory of its own.
    """

    def __init__(
        self,
        mount: Callable[[], FlatFiles],
        memory: UserMemory,
        copied: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.memory = memory
        self.copied = copied
        self.opened: dict[int, Opened] = {}
        self._mount = mount
        self._files: FlatFiles | None = None

    @property
    def files(self) -> FlatFiles:
        """The volume."""
        if self._files is None:
            self._files = self._mount()
        return self._files

    def serve(self, registers: Registers) -> int:
        """The result of the call in `registers`: 0 or more, or a negative error number.

        Where sectors cannot be moved it is EIO, whatever was written before.
        """
        first, second, third = registers.rdi, registers.rsi, registers.rdx
        try:
            match registers.rax:
                case Call.READ:
                    return self._read(first, second, third)
                case Call.WRITE:
                    return self._write(first, second, third)
                case Call.OPEN:
                    return self._open(first)
                case Call.CLOSE:
                    return self._close(first)
        except BlocksFailed:
            return -Errno.EIO
        return -Errno.ENOSYS

    def _open(self, gpa: int) -> int:
        name = bytearray()
        while len(name) <= NAME_LENGTH:
            byte = self.memory.read(gpa + len(name), 1)
            if byte is None:
                return -Errno.EFAULT
            if byte == b"\0":
                return self._opened(bytes(name))
            name += byte
        return -Errno.ENAMETOOLONG

    def _opened(self, name: bytes) -> int:
        index = self.files.find(name)
        if index is None:
            return -Errno.ENOENT
        free = set(range(FIRST_DESCRIPTOR, MAX_DESCRIPTORS)) - self.opened.keys()
        if not free:
            return -Errno.EMFILE
        self.opened[min(free)] = Opened(index, 0)
        return min(free)

    def _close(self, descriptor: int) -> int:
        return 0 if self.opened.pop(descriptor, None) else -Errno.EBADF

    def _write(self, descriptor: int, gpa: int, length: int) -> int:
        """Chunk by chunk. What was written before something went wrong counts."""
        file, done = self.opened.get(descriptor), 0
        if file is None:
            return -Errno.EBADF
        while done < length:
            data = self.memory.read(gpa + done, min(CHUNK, length - done))
            if data is None:
                return done or -Errno.EFAULT
            self.copied(len(data))
            written = self.files.write(file.file, file.position, data)
            file = self._advance(descriptor, file, written)
            done += written
            if written < len(data):
                return done or -Errno.ENOSPC
        return done

    def _read(self, descriptor: int, gpa: int, length: int) -> int:
        """Chunk by chunk, to the end of the file."""
        file, done = self.opened.get(descriptor), 0
        if file is None:
            return -Errno.EBADF
        while done < length:
            data = self.files.read(file.file, file.position, min(CHUNK, length - done))
            if not data:
                break
            if not self.memory.write(gpa + done, data):
                return done or -Errno.EFAULT
            self.copied(len(data))
            file = self._advance(descriptor, file, len(data))
            done += len(data)
        return done

    def _advance(self, descriptor: int, file: Opened, count: int) -> Opened:
        self.opened[descriptor] = file._replace(position=file.position + count)
        return self.opened[descriptor]
