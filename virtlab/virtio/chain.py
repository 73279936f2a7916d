"""A chain of buffers: what a device gets out of a queue, and what it has to be before it gets it.

    head 3 -> [ read 16 ] -> [ read 4096 ] -> [ write 1 ]        Chain(3, three buffers, 3 slots)

The idea: both layouts end in the same thing, a list of buffers, first those to read and then those
to write. So the rules about buffers are here, once, in one order. What differs between the layouts
is how the list is found, and the number of the clause.

The rule that keeps it simple: a `Chain` is a copy. What the guest does to the descriptors
afterwards changes nothing, and only the contents of the buffers are still the guest's.

Source: virtio 1.3 2.7.4, 2.7.5, 2.7.13.1 (split), 2.8.6, 2.8.18 (packed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from virtlab.errors import DmaFault, GuestError
from virtlab.memory import PAGE, Dma, is_flat
from virtlab.virtio.layouts import MAX_BYTES

ADDRESSES = 1 << 64
"""Addresses that `addr` can name."""

MAX_MOVE = 16 << 20
"""Bytes that one `read` gathers: a guest must not make the host allocate by its numbers."""

BUFFER_ADDRESS = "virtio 1.3 2.7.5, 2.8.4"
"""Where it says what `addr` is, in both layouts."""

Span = tuple[int, int]
"""First address and bytes."""


class Buffer(NamedTuple):
    """`length` bytes at `addr` (iova), for the device to read, or with `write` to write."""

    addr: int
    length: int
    write: bool


class Clauses(NamedTuple):
    """Where a layout's chapter states each rule: `"virtio 1.3 2.7.4.2"`."""

    element: str  # a buffer has elements, and those have bytes
    order: str  # what is written comes behind what is read
    total: str  # bytes of a chain
    address: str  # `addr` is an address
    ring: str  # which side writes which part of the queue


class Chain(NamedTuple):
    """What one `pop` gives: the `buffers`, in order.

    `head` names it to the ring: the index of its first descriptor (split), or the buffer id
    (packed). `slots` are the descriptors of the ring itself that it takes: an indirect table
    takes one.
    """

    head: int
    buffers: tuple[Buffer, ...]
    slots: int

    @property
    def readable(self) -> int:
        """Bytes that the device may read."""
        return sum(buffer.length for buffer in self.buffers if not buffer.write)

    @property
    def writable(self) -> int:
        """Bytes that the device may write."""
        return sum(buffer.length for buffer in self.buffers if buffer.write)

    def read(self, dma: Dma, offset: int = 0, length: int = MAX_MOVE) -> bytes:
        """Up to `length` of the readable bytes from `offset`, gathered; fewer where they end.

        `GuestError` where the memory may not be read.
        """
        with guests_memory(BUFFER_ADDRESS):
            pieces = self.pieces(False, offset, min(length, MAX_MOVE))
            return b"".join(dma.read(addr, size) for addr, size in pieces)

    def write(self, dma: Dma, data: bytes, offset: int = 0) -> int:
        """Scatter `data` over the writable bytes from `offset`; what does not fit is dropped.

        Gives the bytes written. `GuestError` where the memory may not be written.
        """
        done = 0
        with guests_memory(BUFFER_ADDRESS):
            for addr, size in self.pieces(True, offset, len(data)):
                dma.write(addr, data[done : done + size])
                done += size
        return done

    def pieces(self, write: bool, offset: int = 0, length: int = MAX_BYTES) -> Iterator[Span]:
        """The `(addr, bytes)` of `length` readable or writable bytes from `offset` on."""
        if offset < 0 or length < 0:
            raise ValueError(f"offset and length are 0 or more, not {offset} and {length}")
        for buffer in self.buffers:
            if buffer.write != write:
                continue
            size = min(buffer.length - offset, length)
            if size > 0:
                yield buffer.addr + offset, size
                length -= size
            offset = max(0, offset - buffer.length)


def check_buffers(buffers: Sequence[Buffer], rings: Sequence[Span], clauses: Clauses) -> None:
    """`GuestError` for the first buffer that breaks a rule. `rings` are the queue's own parts.

    In the order of the chain, and for each buffer in this order: it has bytes; they do not pass
    the last address; it is not readable behind a writable one; the device would not write over
    the queue; the chain is not too long so far.
    """
    total, writing = 0, False
    for buffer in buffers:
        # The elements of a buffer are memory, so each has at least one byte. No MUST says it;
        # QEMU refuses an empty one too.
        if buffer.length == 0:
            raise GuestError("a buffer of 0 bytes", clauses.element)
        # `addr` is a physical address, and so is that of the last byte.
        if buffer.addr + buffer.length > ADDRESSES:
            where = f"{buffer.addr:#x} + {buffer.length:#x}"
            raise GuestError(f"a buffer that passes the last address: {where}", clauses.address)
        # The driver places what the device writes behind all that it reads.
        if writing and not buffer.write:
            raise GuestError("a readable buffer behind a writable one", clauses.order)
        writing = buffer.write
        # A part of the queue is written by driver or device, as its part says, and by no other way.
        if writing and _meets(buffer, rings):
            raise GuestError(f"a writable buffer over the queue: {buffer.addr:#x}", clauses.ring)
        # All buffers of a chain together have at most 2**32 bytes.
        total += buffer.length
        if total > MAX_BYTES:
            raise GuestError(f"a chain of {total:#x} bytes or more", clauses.total)


def check_parts(
    parts: Sequence[Span], named: Sequence[tuple[str, int]], spec: str, align_spec: str
) -> None:
    """`GuestError` unless a queue's three `parts` may lie so. `named`: name and alignment of each.

    In this order: each begins at a multiple of its alignment and does not pass the last address;
    then, no two have a byte in common.
    """
    for (name, align), (start, length) in zip(named, parts, strict=True):
        # The first byte of each part is at a multiple of its alignment.
        if start % align:
            why = f"the {name} is at {start:#x}, not at a multiple of {align}"
            raise GuestError(why, align_spec)
        if start + length > ADDRESSES:
            raise GuestError(f"the {name} passes the last address", spec)
    # Each part is written by the side that it belongs to, so no two share a byte.
    one, two, three = parts
    if overlap(one, two) or overlap(one, three) or overlap(two, three):
        raise GuestError("two parts of the queue overlap", spec)


def check_memory(dma: Dma, buffers: Sequence[Buffer], clauses: Clauses) -> None:
    """`GuestError` for the first buffer that is not memory from its first byte to its last.

    What the device shall read must be memory that it may read, and so with what it shall write.
    """
    # Both say the same; of an array no view need be made.
    find = dma.offset if is_flat(dma) else dma.view
    for buffer in buffers:
        try:
            find(buffer.addr, buffer.length, buffer.write)
        except DmaFault as fault:
            with guests_memory(clauses.address):
                _view_pages(dma, buffer, fault)


class guests_memory:  # noqa: N801 - it is used as a function is
    """What the guest's addresses make fault inside becomes the guest's mistake, against `spec`.

    A class, and no generator: it stands round each access of a request, and so takes a third of
    the time.
    """

    __slots__ = ("spec",)

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def __enter__(self) -> None:
        """Nothing happens yet."""

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, DmaFault):
            raise GuestError(str(fault), self.spec) from fault


def _view_pages(dma: Dma, buffer: Buffer, fault: DmaFault) -> None:
    """Behind a remapper a buffer may lie in many places: look at it page by page.

    `fault` is what all of it gave. One with a code is a record of a unit, which none repeats.
    """
    if fault.code:
        raise fault
    addr, end = buffer.addr, buffer.addr + buffer.length
    while addr < end:
        size = min(end - addr, PAGE - addr % PAGE)
        dma.view(addr, size, buffer.write)
        addr += size


def _meets(buffer: Buffer, spans: Sequence[Span]) -> bool:
    """Whether it has a byte in common with any of them; this is asked of every buffer."""
    start, end = buffer.addr, buffer.addr + buffer.length
    for first, length in spans:  # noqa: SIM110 - any() takes three times as long
        if first < end and start < first + length:
            return True
    return False


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans have a byte in common."""
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1]
