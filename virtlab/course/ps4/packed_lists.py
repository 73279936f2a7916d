"""A packed ring for task 7, written by a driver that a case directs; and what a pop of it gives.

    driver.offer([(addr, len, flags), ...], id)     a list, available from its first slot on
    driver.next()                                   what a device gets: (id, buffers), or a word

The idea: like the library, this driver counts positions that run on, and reduces them where they
meet memory. An answer keeps slot and wrap counter, so that the two ways check each other.

The rule that keeps it simple: `next` reads the ring in the order in which the task states its
rules. A test holds it against `virtlab.virtio.packed`, which refuses the same lists.

Source: virtio 1.3 2.8.1, 2.8.5, 2.8.6, 2.8.13, 2.8.16, 2.8.17.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.course.given.rings import Written
from virtlab.course.ps4.machines import BASE
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE, packer
from virtlab.virtio.packed_layouts import (
    PACKED_DESC,
    PackedRings,
    avail_bits,
    is_avail,
    used_bits,
    wrap_at,
)

Piece = tuple[int, int, int]
"""`addr`, `len`, and flags besides NEXT."""

Result = tuple[int, list[Written], int] | str | None

_struct = packer(PACKED_DESC)


class PackedGuest:
    """The driver's end of a packed ring of `size`, and the positions of a device on it."""

    def __init__(self, ram: GuestMemory, size: int, start: int = 0) -> None:
        self.ram = ram
        self.rings = PackedRings.placed(BASE, size)
        self.offered = self.position = start
        self.in_flight: dict[int, int] = {}
        for slot in range(size):
            self.mark_used(start + slot - size)

    @property
    def slot(self) -> int:
        """Where the device looks next."""
        return self.position % self.rings.size

    @property
    def wrap(self) -> int:
        """The device's wrap counter."""
        return wrap_at(self.position, self.rings.size)

    @property
    def room(self) -> int:
        """Slots that the device does not hold."""
        return self.rings.size - sum(self.in_flight.values())

    def put(self, position: int, addr: int, length: int, ident: int, flags: int) -> None:
        """Write one descriptor, whatever it is."""
        self.ram.write(self.rings.desc_at(position), _struct.pack(addr, length, ident, flags))

    def mark_used(self, position: int) -> None:
        """A descriptor as the device leaves it, in the lap of `position`; zeros in the first."""
        flags = used_bits(wrap_at(position, self.rings.size)) if position >= 0 else 0
        self.put(position, 0, 0, 0, flags)

    def offer(self, pieces: Sequence[Piece], ident: int, others: int = 0x7777) -> None:
        """Make one list available; ids other than the last descriptor's are `others`."""
        for number, (addr, length, flags) in enumerate(pieces):
            last = number == len(pieces) - 1
            bits = avail_bits(wrap_at(self.offered, self.rings.size)) | flags
            self.put(
                self.offered, addr, length, ident if last else others, bits | (0 if last else NEXT)
            )
            self.offered += 1

    def next(self) -> Result:
        """What a pop gives now. The positions move if it gives a list."""
        buffers: list[Written] = []
        position, flags = self.position, NEXT
        while flags & NEXT:
            entry = _struct.unpack(self.ram.read(self.rings.desc_at(position), _struct.size))
            addr, length, ident, flags = entry
            available = is_avail(flags, wrap_at(position, self.rings.size))
            if not buffers and not available:
                return None
            if len(buffers) == self.room:
                return "room"
            if not available:
                return "gap"
            if flags & INDIRECT:
                return "indirect"
            buffers.append((addr, length, bool(flags & WRITE)))
            position += 1
        word = self._refused(buffers, ident)
        if word:
            return word
        self.in_flight[ident] = len(buffers)
        self.position = position
        return ident, buffers, len(buffers)

    def _refused(self, buffers: list[Written], ident: int) -> str:
        """Why this list is not taken, or an empty text."""
        writing = False
        for _, length, write in buffers:
            if not length:
                return "empty"
            if writing and not write:
                return "order"
            writing = write
        return "id" if ident in self.in_flight else ""

    def give_back(self, ident: int) -> None:
        """The device is done with a list. (Where it says so, no case here looks.)"""
        del self.in_flight[ident]
