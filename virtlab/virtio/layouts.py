"""The bytes of a split virtqueue: descriptors, two rings and two thresholds, each declared once.

    descriptor table   DESC x size                      written by the driver
    available ring     flags  idx  ring[]  used_event   written by the driver
    used ring          flags  idx  ring[]  avail_event  written by the device

The idea: device, guest driver, ring doctor and pictures read these declarations, so that an offset
is never written by hand. `avail_event` follows the used ring, `used_event` the available ring: each
side keeps its threshold beside the ring that it writes.

The rule that keeps it simple: every field is little-endian. For a legacy device the order is the
guest's own (virtio 1.3 2.7.3), which on a PC is the same.

Source: virtio 1.3 2.7 to 2.7.10, and the header in its appendix (`virtio_ring.h`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple, Self

import numpy as np

from virtlab.memory import PAGE
from virtlab.wire import u16, u32, u64

DType = np.dtype[Any]

# -- descriptors

DESC = np.dtype(  # virtio 1.3 2.7.5; all by the driver
    [
        ("addr", u64),  # where the buffer is, in the device's address space
        ("len", u32),  # its bytes
        ("flags", u16),  # NEXT, WRITE, INDIRECT
        ("next", u16),  # the descriptor that goes on, if NEXT
    ]
)
"""A descriptor of a split ring, and of its indirect tables."""

NEXT, WRITE, INDIRECT = 1, 2, 4
"""Flags: the chain goes on; the device writes here; here is a table of descriptors. A packed ring
has the same three."""

# -- the split ring's two rings

NO_INTERRUPT, NO_NOTIFY = 1, 1
"""The only flag of the available ring, by the driver; of the used ring, by the device."""

USED_ELEM = np.dtype(  # virtio 1.3 2.7.8; all by the device
    [
        ("id", u32),  # the head of the chain that was used
        ("len", u32),  # bytes written to it
    ]
)
"""An element of the used ring."""

MAX_SIZE = 32768
"""Entries of the largest queue: 2.7 (split, powers of two only) and 2.8 (packed, any)."""


@lru_cache
def avail_ring(size: int) -> DType:
    """The available ring of a queue of `size` (virtio 1.3 2.7.6); all by the driver."""
    return np.dtype(
        [
            ("flags", u16),  # NO_INTERRUPT
            ("idx", u16),  # where the next entry goes, free-running
            ("ring", u16, (size,)),  # heads of chains
            ("used_event", u16),  # with EVENT_IDX: interrupt when this entry is used
        ]
    )


@lru_cache
def used_ring(size: int) -> DType:
    """The used ring of a queue of `size` (virtio 1.3 2.7.8); all by the device."""
    return np.dtype(
        [
            ("flags", u16),  # NO_NOTIFY
            ("idx", u16),  # where the next element goes, free-running
            ("ring", USED_ELEM, (size,)),
            ("avail_event", u16),  # with EVENT_IDX: ring the bell when this entry is available
        ]
    )


MAX_BYTES = 1 << 32
"""Bytes that a whole chain may have (virtio 1.3 2.7.5.2)."""

# -- reading them


def offset_of(layout: DType, field: str) -> int:
    """Bytes from the start of `layout` to `field`."""
    assert layout.fields is not None
    return int(layout.fields[field][1])


@lru_cache
def _in_ring(ring: Callable[[int], DType], size: int, field: str) -> int:
    """Bytes from the start of a ring to `field`: each request asks for some of them again."""
    return offset_of(ring(size), field)


def need_event(event: int, new: int, old: int) -> bool:
    """Whether an index that went from `old` to `new` passed entry `event`: all modulo 65536.

    The other side asked to hear of entry `event`, which is the one that takes the index to
    `event` + 1 (virtio 1.3 2.7.7.2, 2.7.10.1). At most 65535 steps lie between `old` and `new`.

    >>> need_event(event=4, new=5, old=4), need_event(event=5, new=5, old=4)
    (True, False)
    """
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF


def packer(layout: DType) -> Struct:
    """`layout` as a `Struct`, which turns 16 bytes into Python ints in 0.1 us.

    >>> packer(DESC).format
    '<QIHH'
    """
    assert layout.fields is not None
    kinds = {2: "H", 4: "I", 8: "Q"}
    return Struct("<" + "".join(kinds[field[0].itemsize] for field in layout.fields.values()))


# -- where they lie


SPLIT_PARTS = (("descriptor table", 16), ("available ring", 2), ("used ring", 4))
"""What the parts are called, in the order of `SplitRings.parts`, and their alignments (2.7.1)."""

SPLIT_WRITES = (False, False, True)
"""Whether the device writes each part; it reads the others (2.7)."""


class SplitRings(NamedTuple):
    """Where a split queue lies: `size` entries, and the addresses of its three parts.

    The addresses are the device's (`iova`); for a driver without an IOMMU they are `gpa`s.
    """

    size: int
    desc: int
    avail: int
    used: int

    @classmethod
    def placed(cls, base: int, size: int, align: int = 16) -> Self:
        """The three parts one behind the other from `base`; the used ring begins at `align`.

        16 is enough for a modern device (virtio 1.3 2.7).
        """
        avail = base + size * DESC.itemsize
        end = avail + avail_ring(size).itemsize
        return cls(size, base, avail, -(-end // align) * align)

    @classmethod
    def legacy(cls, frame: int, size: int, align: int = PAGE) -> Self:
        """The layout that one page frame number `frame` names to a legacy device (2.7.2)."""
        return cls.placed(frame * PAGE, size, align)

    @property
    def end(self) -> int:
        """The first address behind the used ring."""
        return self.used + used_ring(self.size).itemsize

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """The `(address, bytes)` of descriptor table, available ring and used ring."""
        return (
            (self.desc, self.size * DESC.itemsize),
            (self.avail, avail_ring(self.size).itemsize),
            (self.used, used_ring(self.size).itemsize),
        )

    def desc_at(self, index: int) -> int:
        """The address of a descriptor."""
        return self.desc + index * DESC.itemsize

    def avail_field(self, field: str) -> int:
        """The address of a field of the available ring: `flags`, `idx`, `ring`, `used_event`."""
        return self.avail + _in_ring(avail_ring, self.size, field)

    def used_field(self, field: str) -> int:
        """The address of a field of the used ring: `flags`, `idx`, `ring`, `avail_event`."""
        return self.used + _in_ring(used_ring, self.size, field)

    def avail_at(self, position: int) -> int:
        """The address of the entry at `position`, which runs free and is reduced here."""
        return self.avail_field("ring") + position % self.size * u16.itemsize

    def used_at(self, position: int) -> int:
        """The address of the used element at `position`, which runs free and is reduced here."""
        return self.used_field("ring") + position % self.size * USED_ELEM.itemsize
