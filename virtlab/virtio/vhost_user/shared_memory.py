"""Guest memory that a front-end shares: files, mapped into one reservation, addressed in two ways.

    region       guest 0x0, user 0x7f10..., 640 KiB of file A     place 0x0
    region       guest 0x10_0000, user 0x7f10..., 511 MiB of A    place 0xa_0000

    a buffer     has a guest address (gpa)     offset, view, read, write: `GuestMemory`
    a ring       has a user address            gpa_of

The idea: what the guest writes into a descriptor is its own address, and what the front-end writes
into a message is where the front-end has the same byte. Both lead to a place in one array, so
everything that works on `GuestMemory` works here, whole batches as well.

The rule that keeps it simple: a region is checked before anything is mapped. A change is all
of what was asked or nothing. It counts `generation` up, so who has kept an answer asks again. A
view of a region that left shows zeros (see `mapping`).

Source: vhost-user.rst, "Memory access", SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG. Left out: IOMMU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from virtlab.memory import PAGE, GuestMemory, Numbers, Region
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS, Reservation, keep_size, page_of
from virtlab.virtio.vhost_user.messages import ProtocolError

MAX_BYTES = 64 << 30
"""Bytes of guest memory, if nobody says otherwise."""

SLOTS = 32
"""Regions at once: what GET_MAX_MEM_SLOTS answers."""


class Shape(NamedTuple):
    """A region as a front-end describes it; the fields of `layouts.REGION`."""

    guest: int
    size: int
    user: int
    offset: int


class Slot(NamedTuple):
    """A region that is mapped: its bytes begin at `place`; `pages` is all that was mapped."""

    shape: Shape
    place: int
    pages: range


class SharedMemory(GuestMemory):
    """The regions of one front-end; `size` is what they have together. At first there are none.

    At most `slots` regions, of at most `limit` bytes together.
    """

    def __init__(self, limit: int = MAX_BYTES, slots: int = SLOTS) -> None:
        super().__init__([])
        # Once more, for what goes to the borders of huge pages.
        self._reservation = Reservation(2 * limit)
        self.bytes = self._reservation.bytes
        self._view = self.bytes.data
        self.limit, self.slots = limit, slots
        self._mapped: list[Slot] = []

    @property
    def size(self) -> int:
        """Bytes of memory in all regions together."""
        return sum(slot.shape.size for slot in self._mapped)

    @property
    def shapes(self) -> list[Shape]:
        """The regions, by guest address."""
        return [slot.shape for slot in self._mapped]

    # -- changing it

    def set_table(self, shapes: Sequence[Shape], fds: Sequence[int]) -> None:
        """Have these regions instead of all others, each from its descriptor.

        The descriptors stay the caller's. `ProtocolError` if they cannot be had; then all is as it
        was.
        """
        self._check(shapes)
        for shape, fd in zip(shapes, fds, strict=True):
            keep_size(fd, shape.offset + shape.size)
        before = self._mapped
        # The new ones beside the old ones: these stay until all of those are there.
        new: list[Slot] = []
        try:
            for shape, fd in sorted(zip(shapes, fds, strict=True)):
                new.append(self._map(shape, fd, [*before, *new]))
        except ProtocolError:
            self._unmap(new)
            raise
        self._unmap(before)
        self._settle(new)

    def add(self, shape: Shape, fd: int) -> None:
        """Have one region more. `ProtocolError` if that cannot be; then all is as it was."""
        self._check([*self.shapes, shape])
        keep_size(fd, shape.offset + shape.size)
        self._settle([*self._mapped, self._map(shape, fd, self._mapped)])

    def remove(self, shape: Shape) -> None:
        """Have one region less, whatever its `offset`. `ProtocolError` if there is no such one."""
        gone = [slot for slot in self._mapped if slot.shape[:3] == shape[:3]]
        if not gone:
            raise ProtocolError(f"no region of {shape.size:#x} bytes at {shape.guest:#x}")
        self._unmap(gone)
        self._settle([slot for slot in self._mapped if slot not in gone])

    def close(self) -> None:
        """No memory for ever: the front-end is gone, and its addresses may be used again."""
        self._unmap(self._mapped)
        self._settle([])
        self._reservation = Reservation(PAGE)
        self.bytes = self._reservation.bytes
        self._view = self.bytes.data

    def gpa_of(self, user: int, length: int) -> int:
        """The gpa of what the front-end has at `user`.

        `ProtocolError` if it is not all in one region.
        """
        for slot in self._mapped:
            inside = user - slot.shape.user
            if 0 <= inside <= inside + length <= slot.shape.size:
                return slot.shape.guest + inside
        raise ProtocolError(f"{length} bytes at the user address {user:#x} are in no region")

    def gpas_of(self, places: Numbers) -> Numbers:
        """The gpas of places in `bytes`, (n,) int64 both, each of them in a region."""
        found = np.zeros(len(places), np.int64)
        for region in self.regions:
            inside = places - region.offset
            here = (inside >= 0) & (inside < region.size)
            np.copyto(found, inside + region.start, where=here)
        return found

    # -- how that is done

    def _check(self, shapes: Sequence[Shape]) -> None:
        """`ProtocolError` unless these may be regions at the same time."""
        if len(shapes) > self.slots:
            raise ProtocolError(f"{len(shapes)} regions, where {self.slots} are the most")
        for shape in shapes:
            if not shape.size:
                raise ProtocolError(f"a region of no bytes at {shape.guest:#x}")
            if max(shape.guest, shape.user, shape.offset) + shape.size > MAX_ADDRESS:
                raise ProtocolError(f"a region that passes the last address: {_words(shape)}")
        total = sum(shape.size for shape in shapes)
        if total > self.limit:
            raise ProtocolError(f"{total:#x} bytes of memory, where {self.limit:#x} are the most")
        for field in ("guest", "user"):
            spans = sorted((getattr(shape, field), shape.size) for shape in shapes)
            for (start, size), (following, _) in pairwise(spans):
                if start + size > following:
                    raise ProtocolError(
                        f"two regions overlap at the {field} address {following:#x}"
                    )

    def _map(self, shape: Shape, fd: int, others: Sequence[Slot]) -> Slot:
        page = page_of(fd)
        lead = shape.offset % page
        length = -(-(lead + shape.size) // page) * page
        at = self._free(length, page, others)
        try:
            self._reservation.map(at, length, fd, shape.offset - lead)
        except OSError as error:
            raise ProtocolError(f"cannot be mapped: {error.strerror} ({_words(shape)})") from None
        return Slot(shape, at + lead, range(at, at + length))

    def _free(self, length: int, page: int, others: Sequence[Slot]) -> int:
        """The first place where so many bytes are free, on a border of `page`."""
        base, at = self._reservation.address, 0
        for slot in sorted(others, key=lambda slot: slot.pages.start):
            at = -(-(base + at) // page) * page - base
            if at + length <= slot.pages.start:
                return at
            at = max(at, slot.pages.stop)
        at = -(-(base + at) // page) * page - base
        if at + length > self._reservation.size:
            raise ProtocolError(f"no place for {length:#x} bytes more")
        return at

    def _unmap(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._reservation.clear(slot.pages.start, len(slot.pages))

    def _settle(self, slots: Sequence[Slot]) -> None:
        """These are the regions from now on; neighbours in both ways are one to the guest."""
        self._mapped = sorted(slots, key=lambda slot: slot.shape.guest)
        self.regions = []
        for slot in self._mapped:
            start, size, offset = slot.shape.guest, slot.shape.size, slot.place
            last = self.regions[-1] if self.regions else None
            if last and (start, offset) == (last.start + last.size, last.offset + last.size):
                self.regions[-1] = last._replace(size=last.size + size)
            else:
                self.regions.append(Region(start, size, offset))
        self._starts = [region.start for region in self.regions]
        self.generation += 1


def _words(shape: Shape) -> str:
    return f"{shape.size:#x} bytes at gpa {shape.guest:#x}, user {shape.user:#x}"
