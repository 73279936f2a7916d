"""Chains in flight, noted in memory that outlives this process: the buffer of INFLIGHT.

    file    [ queue 0: region ][ queue 1: region ] ...        the front-end keeps it open
    region  [ header ][ state of descriptor 0 ][ 1 ][ 2 ] ...

The idea: a back-end that is killed forgets which chains it had taken. The rings do not tell: what
was taken and not given back may be written over. So it is noted here before a chain is served, and
crossed out after it is given back. The back-end that comes next reads it and serves them again.

The rule that keeps it simple: what is read here is no more to be trusted than a ring. Indices are
checked, lists are bounded, and every chain that is served again is walked like a new one.

Regions begin at multiples of 64 bytes. The text does not say so; libvhost-user and DPDK do it, and
one back-end may take over from another.

Source: vhost-user.rst, "Inflight I/O tracking", GET_INFLIGHT_FD, SET_INFLIGHT_FD.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from virtlab.memory import PAGE, Bytes
from virtlab.virtio.batch import Ints
from virtlab.virtio.layouts import MAX_SIZE, DType, offset_of
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS, map_part
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.wire import u8, u16, u32, u64

# -- layouts

SPLIT_REGION = np.dtype(
    [
        ("features", u64),  # 0
        ("version", u16),  # INFLIGHT_VERSION; 0 if nobody has used it yet
        ("desc_num", u16),  # states that follow
        ("last_batch_head", u16),  # the chain that was given back last, of a list
        ("used_idx", u16),  # the used ring's `idx` after it
    ]
)
"""The header of a split queue's region."""

SPLIT_STATE = np.dtype(
    [
        ("inflight", u8),  # 1: taken, and not given back
        ("padding", u8, (5,)),
        ("next", u16),  # the chain that was given back before this one
        ("counter", u64),  # rises from chain to chain: in which order they were taken
    ]
)
"""What is noted of the chain whose head has this index."""

PACKED_REGION = np.dtype(
    [
        ("features", u64),
        ("version", u16),
        ("desc_num", u16),
        ("free_head", u16),  # the first state that is free
        ("old_free_head", u16),  # the same, when all was settled
        ("used_idx", u16),  # the slot of the next used descriptor
        ("old_used_idx", u16),
        ("used_wrap_counter", u8),
        ("old_used_wrap_counter", u8),
        ("padding", u8, (10,)),
    ]
)
"""The header of a packed queue's region."""

PACKED_STATE = np.dtype(
    [
        ("inflight", u8),  # 1 in the first state of a list
        ("padding", u8),
        ("next", u16),  # the next state, of a list or of the free ones
        ("last", u16),  # in the first one: the last one of the list,
        ("num", u16),  # how many there are,
        ("counter", u64),  # and when the list was taken
        ("id", u16),  # the descriptor itself
        ("flags", u16),
        ("len", u32),
        ("addr", u64),
    ]
)
"""What is noted of one descriptor of a list."""

INFLIGHT_VERSION = 1
ALIGN = 64
"""Where regions begin, in bytes."""


def region_bytes(queue_size: int, packed: bool) -> int:
    """Bytes of one queue's region."""
    header, state = (PACKED_REGION, PACKED_STATE) if packed else (SPLIT_REGION, SPLIT_STATE)
    return -(-(header.itemsize + queue_size * state.itemsize) // ALIGN) * ALIGN


# -- the buffer


Heads = Ints | list[int]
"""n numbers, one for each chain: an array, or, of few, a list."""


class Tracker(Protocol):
    """What notes the chains of one queue."""

    def take(self, heads: Heads, slots: Heads, descriptors: bytes) -> None:
        """These were taken: n heads, n slots of the ring each, and those as they lie."""

    def giving(self, heads: Heads, used: int) -> None:
        """These are about to be given back; then the used position is `used`."""

    def gave(self, heads: Heads, used: int) -> None:
        """They were."""


class Taken(NamedTuple):
    """A chain that was in flight: its head, and for a packed ring its descriptors."""

    head: int
    descriptors: bytes = b""


class Inflight:
    """The buffer, mapped. `regions` has one queue after another, (bytes,) uint8 each."""

    def __init__(self, memory: Bytes, num_queues: int, queue_size: int, packed: bool) -> None:
        self.memory = memory
        self.queue_size, self.packed = queue_size, packed
        step = region_bytes(queue_size, packed)
        self.regions = [memory[n * step : (n + 1) * step] for n in range(num_queues)]

    @classmethod
    def attach(
        cls, fd: int, size: int, offset: int, num_queues: int, queue_size: int, packed: bool
    ) -> Inflight:
        """Map what lies in `fd`, which stays the caller's. `ProtocolError` if it cannot be it."""
        needed = check_shape(num_queues, queue_size, packed)
        if size < needed:
            raise ProtocolError(f"{size} bytes for chains in flight, where {needed} are needed")
        if offset % PAGE or offset >= MAX_ADDRESS:
            raise ProtocolError(f"an inflight buffer at {offset:#x}, which is no page border")
        memory = map_part(fd, offset, needed, "an inflight buffer")
        return cls(memory, num_queues, queue_size, packed)


def check_shape(num_queues: int, queue_size: int, packed: bool) -> int:
    """Bytes of a buffer for such queues. `ProtocolError` for queues that cannot be."""
    if not num_queues or not 0 < queue_size <= MAX_SIZE:
        raise ProtocolError(f"chains in flight of {num_queues} queues of {queue_size}")
    return num_queues * region_bytes(queue_size, packed)


def clock_after(counters: Iterable[int]) -> int:
    """The first number after all `counters`; after what cannot be one, there is room to go on."""
    return (max(counters, default=-1) + 1) & (1 << 62) - 1


def header_of(region: Bytes, layout: DType) -> np.ndarray[tuple[int], DType]:
    """The header of a region, as an array of one: what is stored there is noted."""
    return region[: layout.itemsize].view(layout)


def open_notes(header: np.ndarray[tuple[int], DType], count: int, size: int, what: str) -> bool:
    """Whether nobody has used a region before; then its `header` is written now.

    It has `count` states, for a ring of `size` entries; `what` they are notes on is for the error.
    `ProtocolError` if that is too few, or if the version is not known here.
    """
    if size > count:
        raise ProtocolError(f"a ring of {size}, and notes for {what} of {count}")
    version = int(header["version"][0])
    if version not in (0, INFLIGHT_VERSION):
        raise ProtocolError(f"notes on {what} in flight of version {version}")
    if not version:
        header["desc_num"] = count
        header["version"] = INFLIGHT_VERSION
    return not version


def states_of(
    region: Bytes, header: DType, layout: DType, count: int
) -> np.ndarray[tuple[int], DType]:
    """The (count,) states of a region."""
    begin = header.itemsize
    return region[begin : begin + count * layout.itemsize].view(layout)


def column_of(region: Bytes, begin: int, layout: DType, field: str) -> memoryview:
    """One field of the `layout`s that follow each other from `begin` on, to store numbers in.

    A store takes 50 ns here, and 200 ns in a structured array.
    """
    width = layout[field].itemsize
    at, step = offset_of(layout, field) // width, layout.itemsize // width
    numbers: memoryview = region[begin:].view(f"u{width}").data
    return numbers[at::step]
