"""Task 5 of problem set 5: a request as a driver lays it into memory, and the disk it is for.

    Request(OUT, 3, data, cut_out=(4, 16))     head in two pieces, data, status

The idea: a case says what a request is, and where it is cut. Where the pieces lie is chosen here:
never one behind the other, and with bytes of nobody's between them.

The rule that keeps it simple: nothing here is right or wrong. What is no request can be made too.

Source: virtio 1.3 5.2.6, 2.7.4.1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from virtlab.backends.disk import Disk
from virtlab.course.given.rings import Written
from virtlab.course.ps3.machines import whole
from virtlab.memory import GuestMemory
from virtlab.virtio.blk_layouts import REQUEST, BlkType
from virtlab.virtio.layouts import packer

FIRST, GAP = 0x1000, 16
"""Where the first piece can lie, and bytes between two."""

_head = packer(REQUEST)

HEAD = _head.size
"""Bytes of a request's head."""


class Medium:
    """The disk as an answer gets it: `fails` are the verbs that end in an OSError."""

    def __init__(self, contents: bytes, read_only: bool = False, fails: Iterable[str] = ()) -> None:
        self._disk = Disk.of(contents, read_only=read_only)
        self._fails = frozenset(fails)
        self.sectors, self.read_only = self._disk.sectors, read_only
        self.settled = True

    @property
    def contents(self) -> bytes:
        """All its bytes."""
        return self._disk.array().tobytes()

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        self._may("read", count > 0)
        return self._disk.read(whole(sector), whole(count))

    def write(self, sector: int, data: bytes) -> None:
        """Put `data`, whole sectors, from `sector` on."""
        self._may("write", len(data) > 0)
        self._disk.write(whole(sector), data)
        self.settled = self.settled and not data

    def flush(self) -> None:
        """Return when all that was written is on the medium."""
        self._may("flush")
        self.settled = True

    def _may(self, verb: str, anything: bool = True) -> None:
        if anything and verb in self._fails:
            raise OSError(errno.EIO, f"the medium failed, in {verb}")


@dataclass
class Request:
    """One request. `room` are its writable bytes before the status.

    `cut_out` and `cut_in` say where the readable and the writable bytes are cut. `bytes_out` and
    `bytes_in`, where given, are how many there are at all, for what is no request.
    """

    kind: int
    sector: int = 0
    data: bytes = b""
    room: int = 0
    cut_out: Iterable[int] = (16,)
    cut_in: Iterable[int] | None = None
    reserved: int = 0
    bytes_out: int | None = None
    bytes_in: int | None = None

    def readable(self) -> bytes:
        """What the device can read."""
        data = _head.pack(self.kind, self.reserved, self.sector) + self.data
        return data[: self.bytes_out]

    def writable(self) -> int:
        """How many bytes it can write."""
        return self.room + 1 if self.bytes_in is None else self.bytes_in

    def lay(self, ram: GuestMemory) -> list[Written]:
        """Put it into memory: its buffers."""
        data, count = self.readable(), self.writable()
        cut_in = [self.room] if self.cut_in is None else self.cut_in
        out, into = lengths(len(data), self.cut_out), lengths(count, cut_in)
        buffers = placed([(size, False) for size in out] + [(size, True) for size in into])
        for addr, size, write in buffers:
            if not write:
                ram.write(addr, data[:size])
                data = data[size:]
        return buffers

    def __str__(self) -> str:
        names = {int(kind): kind.name for kind in BlkType}
        kind = names.get(self.kind, f"type {self.kind:#x}")
        data = f", {len(self.data)} bytes of data" if self.data else ""
        sector = self.sector if self.sector < 1 << 20 else f"{self.sector:#x}"
        return f"{kind}, sector {sector}{data}"


def lengths(total: int, cuts: Iterable[int]) -> list[int]:
    """The lengths of `total` bytes that are cut at `cuts`.

    >>> lengths(20, [16, 5, 20])
    [5, 11, 4]
    """
    ends = [*sorted({cut for cut in cuts if 0 < cut < total}), total]
    return [end - start for start, end in zip([0, *ends], ends, strict=False) if end > start]


def placed(sizes: list[tuple[int, bool]]) -> list[Written]:
    """Buffers of these sizes, the later ones lower in memory."""
    gpa, buffers = FIRST, []
    for size, write in reversed(sizes):
        buffers.append((gpa, size, write))
        gpa += size + GAP
    return buffers[::-1]
