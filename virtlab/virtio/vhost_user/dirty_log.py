"""Which pages a back-end has written, for a front-end that moves the machine elsewhere.

    gpa 0x0 ... 0xfff   bit 0 of byte 0          set: copy this page once more
    gpa 0x8000 ...      bit 0 of byte 1

The idea: while a machine moves, its memory is copied page by page, and goes on changing. The
front-end knows what its processors write; only the back-end knows what it writes itself.

The rule that keeps it simple: a page is marked after it is written. Marked too often is harmless,
so whole buffers are marked, whatever was written to them.

A bit is set by reading a byte and writing it back. What the front-end takes away in between comes
back, which is harmless. But two processes that share one log may lose a bit to each other: Python
has no atomic operation on shared memory. So a back-end offers the log only where it is asked to.

Source: vhost-user.rst, "Migration", SET_LOG_BASE.
"""

from __future__ import annotations

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Ints
from virtlab.virtio.vhost_user.layouts import LOG_PAGE
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS, map_part
from virtlab.virtio.vhost_user.messages import ProtocolError

MAX_LOG = 1 << 26
"""Bytes of the largest log: for 2 TiB of addresses."""


class DirtyLog:
    """The log in `bits`, (bytes,) uint8. What lies beyond its end is not marked."""

    def __init__(self, bits: Bytes) -> None:
        self.bits = bits

    @classmethod
    def attach(cls, fd: int, size: int, offset: int) -> DirtyLog:
        """Map `size` bytes of the file `fd`, which stays the caller's. `ProtocolError` if not."""
        if not 0 < size <= MAX_LOG or offset >= MAX_ADDRESS:
            raise ProtocolError(f"a log of {size} bytes, where {MAX_LOG} are the most")
        return cls(map_part(fd, offset, size, "a log"))

    def mark(self, gpa: int, length: int) -> None:
        """The `length` bytes at `gpa` were written."""
        if length > 0:
            self._set(np.arange(gpa // LOG_PAGE, (gpa + length - 1) // LOG_PAGE + 1))

    def mark_many(self, gpas: Ints, lengths: Ints) -> None:
        """The same for many, (n,) each, with lengths above 0."""
        first, last = gpas // LOG_PAGE, (gpas + lengths - 1) // LOG_PAGE
        for step in range(int((last - first).max(initial=-1)) + 1):
            self._set(np.minimum(first + step, last))

    def _set(self, pages: Ints) -> None:
        pages = pages[(pages >= 0) & (pages < 8 * len(self.bits))]
        np.bitwise_or.at(self.bits, pages >> 3, (1 << (pages & 7)).astype(np.uint8))
