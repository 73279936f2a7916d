"""The bytes of a packed virtqueue: one ring of descriptors, and two words that ask for silence.

    descriptor ring            PACKED_DESC x size   written by both sides
    driver event suppression   EVENT                written by the driver
    device event suppression   EVENT                written by the device

Nobody keeps an index in memory. Each side walks round the ring, and has a *wrap counter* of one
bit, 1 at first, that it flips at the end of the ring. Two bits of a descriptor say whose it is:

    AVAIL = wrap, USED = not wrap     the driver has made it available in this lap
    AVAIL = wrap, USED = wrap         the device has used it in this lap
    anything else                     left over from the lap before, or zero from the beginning

The idea: an index and its wrap counter are *one* count, a `position` that runs free. Laps 0, 2, 4
have wrap counter 1, the others 0. So a step is an addition and a distance a subtraction, whatever
the size of the ring.

    position   0  1  2  3  4 | 5  6  7  8  9 | 10 11 ...       a ring of 5
    slot       0  1  2  3  4 | 0  1  2  3  4 | 0  1
    wrap       1  1  1  1  1 | 0  0  0  0  0 | 1  1

The rule that keeps it simple: here is the format, and no state. Both sides use it.

Source: virtio 1.3 2.8.1 (wrap counters), 2.8.10 (events), 2.8.13 and 2.8.14 (structures).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np

from virtlab.virtio.layouts import offset_of
from virtlab.wire import Bits, u16, u32, u64

# -- descriptors

PACKED_DESC = np.dtype(  # virtio 1.3 2.8.13; by the driver, and then by the device
    [
        ("addr", u64),  # where the element is, in the device's address space; unused in a used one
        ("len", u32),  # its bytes; in a used one, the bytes that the device wrote
        ("id", u16),  # the buffer id: in the last descriptor of a list, and in a used one
        ("flags", u16),  # NEXT, WRITE, INDIRECT, AVAIL, USED
    ]
)
"""A descriptor of a packed ring, and of its indirect tables.

In the split ring's `flags` comes before the last field. Here it is last: it decides.
"""

AVAIL, USED = 1 << 7, 1 << 15
"""Flags beside NEXT, WRITE and INDIRECT (2.8.1)."""

LEN_AT = offset_of(PACKED_DESC, "len")
"""From here to `flags`: what the device fills in before it marks a descriptor as used."""

USED_PART = PACKED_DESC[["len", "id"]]
"""And that is these two."""

FLAGS_AT = offset_of(PACKED_DESC, "flags")
"""The one field that is looked at before a descriptor is known to be written."""

# -- event suppression

EVENT = np.dtype(  # virtio 1.3 2.8.14; by the side that wants to hear less
    [
        ("desc", u16),  # with DESC: OFFSET and WRAP of one descriptor
        ("flags", u16),  # EVENT_FLAGS; the other bits are 0
    ]
)
"""What one side wants to hear of. It has 4 bytes, and is read and written in one access."""

OFFSET, WRAP = Bits(14, 0), Bits(15)
"""In `desc`: the descriptor's place in the ring, and the wrap counter there."""

EVENT_FLAGS = Bits(1, 0)
"""In `flags`: one of the next three; 3 is reserved."""

ENABLE, DISABLE, EVENT_DESC = 0, 1, 2
"""Every event; none; the event of one descriptor, which needs EVENT_IDX (2.8.10)."""


# -- positions


def wrap_at(position: int, size: int) -> int:
    """The wrap counter in the lap of `position`.

    >>> [wrap_at(position, 5) for position in (0, 4, 5, 9, 10)]
    [1, 1, 0, 0, 1]
    """
    return 1 - position // size % 2


def avail_bits(wrap: int) -> int:
    """AVAIL and USED as the driver sets them to give a descriptor away (2.8.1)."""
    return AVAIL if wrap else USED


def used_bits(wrap: int) -> int:
    """AVAIL and USED as the device sets them to give it back (2.8.1)."""
    return AVAIL | USED if wrap else 0


def is_avail(flags: int, wrap: int) -> bool:
    """Whether the driver has given this descriptor away in a lap of `wrap`."""
    return flags & (AVAIL | USED) == avail_bits(wrap)


def is_used(flags: int, wrap: int) -> bool:
    """Whether the device has given this descriptor back in a lap of `wrap`."""
    return flags & (AVAIL | USED) == used_bits(wrap)


def to_word(position: int, size: int) -> int:
    """A position as `desc` has it, in 16 bits: OFFSET, and WRAP above it.

    >>> hex(to_word(2, 5)), hex(to_word(7, 5))
    ('0x8002', '0x2')
    """
    return position % size | wrap_at(position, size) << WRAP.lo


def from_word(word: int, size: int) -> int | None:
    """The first position that `word` stands for; None if the ring is not so long.

    >>> from_word(0x8002, 5), from_word(0x0002, 5), from_word(0x0005, 5)
    (2, 7, None)
    """
    offset = OFFSET.get(word)
    if offset >= size:
        return None
    return offset if WRAP.get(word) else offset + size


def event_word(flags: int, desc: int = 0) -> int:
    """An `EVENT` as one number of 32 bits."""
    return desc | flags << 8 * offset_of(EVENT, "flags")


def wants_event(event: int, exact: bool, end: int, count: int, size: int) -> bool:
    """Whether `event` asks to hear of `count` descriptors, the last of them before position `end`.

    `event` has 32 bits, as the other side wrote it. DESC means nothing unless `exact`, which is
    EVENT_IDX. A value that means nothing asks for all: one event too many is harmless, one too few
    may stop the other side for ever.

    >>> slot_2 = event_word(EVENT_DESC, to_word(2, 5))
    >>> [wants_event(slot_2, True, end, 1, 5) for end in (2, 3, 4, 8, 13)]
    [False, True, False, False, True]
    """
    mode = EVENT_FLAGS.get(event >> 8 * offset_of(EVENT, "flags"))
    at = from_word(event & 0xFFFF, size)
    if mode != EVENT_DESC or not exact or at is None:
        return mode != DISABLE
    # Two laps are all the positions that there are: who went further has passed every one.
    return (at - (end - count)) % (2 * size) < count


# -- where they lie


PACKED_PARTS = (
    ("descriptor ring", 16),
    ("driver's event suppression", 4),
    ("device's event suppression", 4),
)
"""What the parts are called, in the order of `PackedRings.parts`, and their alignments (2.8.11)."""


class PackedRings(NamedTuple):
    """Where a packed queue lies: `size` descriptors, and the addresses of its three parts.

    The addresses are the device's (`iova`); for a driver without an IOMMU they are `gpa`s.
    """

    size: int
    desc: int
    driver: int
    device: int

    @classmethod
    def placed(cls, base: int, size: int) -> Self:
        """The three parts one behind the other from `base`, a multiple of 16."""
        driver = base + size * PACKED_DESC.itemsize
        return cls(size, base, driver, driver + EVENT.itemsize)

    @property
    def end(self) -> int:
        """The first address behind the device's part."""
        return self.device + EVENT.itemsize

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """The `(address, bytes)` of descriptors, driver's and device's event suppression."""
        return (
            (self.desc, self.size * PACKED_DESC.itemsize),
            (self.driver, EVENT.itemsize),
            (self.device, EVENT.itemsize),
        )

    def desc_at(self, position: int) -> int:
        """The address of the descriptor at `position`, which runs free and is reduced here."""
        return self.desc + position % self.size * PACKED_DESC.itemsize


# -- order


class PackedOrder(StrEnum):
    """The points where memory order matters, by what comes before what (`ordering` explains)."""

    LIST_THEN_FIRST_FLAGS = "descriptors before flags of the first"  # driver, store to store
    FLAGS_THEN_DEVICE_EVENT = "flags before device event"  # driver, store to load
    USED_FLAGS_THEN_REST = "used flags before len and id"  # driver, load to load
    DRIVER_EVENT_THEN_FLAGS = "driver event before used flags"  # driver, store to load

    FLAGS_THEN_REST = "flags before the rest of the list"  # device, load to load
    REST_THEN_USED_FLAGS = "len and id before used flags"  # device, store to store
    USED_FLAGS_THEN_DRIVER_EVENT = "used flags before driver event"  # device, store to load
    DEVICE_EVENT_THEN_FLAGS = "device event before flags"  # device, store to load
