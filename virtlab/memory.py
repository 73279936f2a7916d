"""Guest memory: regions with gaps between them, over one array of bytes.

A PC's memory has holes: RAM stops at 640 KiB for the video memory and the ROMs, and goes on
at 1 MiB. `GuestMemory` keeps all its regions, one after another, in a single `uint8` array.
So a view of guest memory is a slice with no copy, and a batch of addresses is one gather.

    gpa        0 ........ 0xA0000     0x100000 ............ 0x1000000
               [ region 0 ]  (a gap)  [        region 1            ]
    bytes      [ region 0 ][        region 1            ]

The rule that keeps it simple: an access lies inside one region or it is a `DmaFault`. Scalars
come back as Python ints, never as NumPy scalars.

`Dma` is memory as a *device* sees it: the same verbs, at an `iova`, for one source id. Here it
is plain; a remapping unit is another object with the same verbs, and pages with rights. So who asks
where bytes are says what for: `write`.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from virtlab.errors import DmaFault
from virtlab.wire import all_ones

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
PAGE = 4096
"""Bytes in a page."""


class Region(NamedTuple):
    """`size` bytes of memory at guest-physical `start`, kept from `offset` in the array."""

    start: int
    size: int
    offset: int


class GuestMemory:
    """RAM of a machine.

    `regions` is a size in bytes (one region from 0), or pairs `(start, size)`, which may not
    overlap. `buffer`, where given, is the `uint8` array to live in, of exactly the total size.

    >>> ram = GuestMemory([(0, 0xA0000), (0x100000, 0x100000)])
    >>> ram.store(0x100000, 4, 0x12345678); ram.read(0x100000, 2).hex()
    '7856'
    """

    def __init__(self, regions: int | Iterable[tuple[int, int]], buffer: Bytes | None = None):
        pairs = [(0, regions)] if isinstance(regions, int) else sorted(regions)
        self.regions = _lay_out(pairs)
        self._starts = [region.start for region in self.regions]
        total = sum(region.size for region in self.regions)
        self.bytes: Bytes = _pages(total) if buffer is None else buffer
        if self.bytes.dtype != np.uint8 or self.bytes.shape != (total,):
            raise ValueError(
                f"the buffer must be uint8 of shape ({total},), not {self.bytes.shape}"
            )
        self._view = self.bytes.data
        self.generation = 0

    @property
    def size(self) -> int:
        """Bytes of memory in all regions together."""
        return len(self.bytes)

    def offset(self, gpa: int, length: int = 1, write: bool = False) -> int:
        """Where in `bytes` the `length` bytes at `gpa` begin; `DmaFault` if not in one region.

        All of it may be read and written, whatever `write` says.
        """
        index = bisect_right(self._starts, gpa) - 1
        if index >= 0 and length >= 0:
            region = self.regions[index]
            inside = gpa - region.start
            if inside + length <= region.size:
                return region.offset + inside
        raise DmaFault("no memory there", gpa, length)

    def offset_many(self, gpas: Numbers, lengths: Numbers, write: Rights = None) -> Numbers:
        """The same for many, (n,) int64 all: -1 where the bytes are not in one region.

        A `gpa` at or above 2**63 is negative in int64; no region is there. A length is 0 or more.
        """
        whole = self._hull(gpas, lengths) if len(gpas) else None
        if whole is not None:
            return gpas + (whole.offset - whole.start)
        found = np.full(len(gpas), -1, np.int64)
        for region in self.regions:
            inside = gpas - region.start
            here = (gpas >= 0) & (inside >= 0) & (lengths <= region.size - inside)
            np.copyto(found, inside + region.offset, where=here)
        return found

    def _hull(self, gpas: Numbers, lengths: Numbers) -> Region | None:
        """The region that has all from the lowest `gpa` to the highest, and the longest length.

        What holds for this hull holds for each: three searches, where the test of each takes eight
        passes. None if there is no such region; each one may still be memory.
        """
        low, high = int(gpas[gpas.argmin()]), int(gpas[gpas.argmax()])
        region = self.regions[bisect_right(self._starts, low) - 1] if self.regions else None
        if region is None or low < region.start:
            return None
        end = high + int(lengths[lengths.argmax()])
        return region if end <= region.start + region.size else None

    def view(self, gpa: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, (length,) uint8, no copy: what you write, the guest has."""
        start = self.offset(gpa, length, write)
        return self.bytes[start : start + length]

    def read(self, gpa: int, length: int) -> bytes:
        """A copy of `length` bytes at `gpa`."""
        start = self.offset(gpa, length)
        return self._view[start : start + length].tobytes()

    def write(self, gpa: int, data: bytes | bytearray | memoryview) -> None:
        """Put `data` at `gpa`."""
        start = self.offset(gpa, len(data))
        self._view[start : start + len(data)] = bytes(data)

    def load(self, gpa: int, size: int) -> int:
        """The little-endian number of `size` bytes at `gpa`, as a Python int."""
        start = self.offset(gpa, size)
        return int.from_bytes(self._view[start : start + size], "little")

    def store(self, gpa: int, size: int, value: int) -> None:
        """Put the low `size` bytes of `value` at `gpa`, little-endian."""
        start = self.offset(gpa, size)
        data = (value & all_ones(size)).to_bytes(size, "little")
        self._view[start : start + size] = data

    def __repr__(self) -> str:
        spans = ", ".join(f"{r.start:#x}+{r.size:#x}" for r in self.regions)
        return f"GuestMemory({spans})"


def _pages(total: int) -> Bytes:
    """`total` bytes of zeros from a page border on: memory that a real processor may be given."""
    return np.frombuffer(mmap.mmap(-1, total), np.uint8) if total else np.zeros(0, np.uint8)


def _lay_out(pairs: list[tuple[int, int]]) -> list[Region]:
    """Place sorted `(start, size)` pairs one after another, refusing overlaps."""
    regions: list[Region] = []
    end = offset = 0
    for start, size in pairs:
        if start < 0 or size <= 0:
            raise ValueError(f"a region has a start of 0 or more and a size, not ({start}, {size})")
        if start < end:
            raise ValueError(f"the region at {start:#x} overlaps the one that ends at {end:#x}")
        regions.append(Region(start, size, offset))
        end, offset = start + size, offset + size
    return regions


class InPieces(DmaFault):
    """Bytes that a device may reach, but that are no neighbours in memory: there is no one view.

    No request was refused by it. Page by page there are views.
    """


Rights = Bools | bool | None
"""What many buffers are for: by (n,) bool, or one for all, whether the device writes them.

False: it reads, and needs that right alone. None: it may do both, and needs both rights.
"""


class Dma(Protocol):
    """Memory as a device reaches it: by `iova`, with `DmaFault` for what it may not touch.

    To read and to write are two rights. Bytes may have both, one, or none.
    """

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes."""

    def write(self, iova: int, data: bytes) -> None:
        """Put `data` at `iova`."""

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, (length,) uint8, no copy: to read, or with `write` to write.

        It asks for that right, as `read` and `write` do. A view to read may be a read-only array.
        """


class Flat(Dma, Protocol):
    """A `Dma` whose memory is one array: a batch of buffers is a batch of offsets in `bytes`.

    `generation` is another number whenever an answer of `offset` may be another one, or `bytes`
    another array: whoever keeps answers compares it. Memory that is one array only at times says so
    by an attribute more, `one_array`.
    """

    @property
    def bytes(self) -> Bytes:
        """All of it, uint8."""

    @property
    def generation(self) -> int:
        """How often it was mapped otherwise."""

    def offset(self, iova: int, length: int = 1, write: bool = False) -> int:
        """Where in `bytes` they begin; `DmaFault` where `view` would raise, with the same right."""

    def offset_many(self, iovas: Numbers, lengths: Numbers, write: Rights = None) -> Numbers:
        """The same for many, (n,) int64 all; -1 where `offset` would raise, and perhaps elsewhere.

        Who names no right gets only what may be read and written.
        """


def is_flat(dma: Dma) -> TypeGuard[Flat]:
    """Whether this memory is one array now: whether batches can be taken from it."""
    return hasattr(dma, "offset_many") and bool(getattr(dma, "one_array", True))


def flat(dma: Dma) -> Flat:
    """The same memory, which must be one array: `TypeError` if it is not."""
    if not is_flat(dma):
        raise TypeError("a batch needs memory that is one array: a `Flat`, not any `Dma`")
    return dma
