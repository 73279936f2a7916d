"""The doctor for a packed ring: where the driver is, told by the descriptors themselves.

Nobody keeps an index in memory. But whoever writes a descriptor, driver or device, sets its AVAIL
bit to the wrap counter of this lap. So the bits show where the driver is, and in which lap:

    AVAIL    1 1 1 1 1 0 0 0       the driver writes slot 5 next, with wrap counter 1
                       ^
    AVAIL    0 0 0 0 0 0 0 0       slot 0 next: wrap counter 1, as no slot has it yet

From the device's own place on, the pending lists stand one behind the other, up to the driver's.
What the bits cannot tell: a device that uses lists out of order overwrites the first of those that
it still has. Then its list is gone from the ring, and one that was used may stand for it. The
*number* of descriptors in flight is right in any case.

Source: virtio 1.3 2.8, 2.8.1, 2.8.10, and the clause beside each check.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from virtlab.virtio.doctor.chains import Enough, Followed, Rules, follow
from virtlab.virtio.doctor.records import (
    Area,
    Notes,
    Pending,
    Report,
    Ring,
    Who,
    read_areas,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import offset_of
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed_chain import CLAUSES, walk
from virtlab.virtio.packed_layouts import (
    AVAIL,
    DISABLE,
    EVENT,
    EVENT_DESC,
    EVENT_FLAGS,
    OFFSET,
    PACKED_DESC,
    PACKED_PARTS,
    WRAP,
    PackedRings,
    is_avail,
    is_used,
    wants_event,
    wrap_at,
)

_NAMES = ("descriptor ring", "driver event", "device event")
"""What the areas are called here, where findings name their fields too."""


def examine_packed(notes: Notes, ring: Ring) -> Report:
    """What is wrong with a packed ring, and what is pending in it."""
    rings = PackedRings(ring.size, ring.desc, ring.driver, ring.device)
    areas = [
        Area(name, *span, align)
        for name, (_, align), span in zip(_NAMES, PACKED_PARTS, rings.parts, strict=True)
    ]
    table, driver, device = read_areas(notes, areas, "virtio 1.3 2.8", "virtio 1.3 2.8.11")
    _check_event(notes, ring, "driver", rings.driver, driver)
    _check_event(notes, ring, "device", rings.device, device)
    # The device's own places are slots of the ring.
    places = {"last_avail_idx": ring.last_avail_idx, "used_idx": ring.used_idx}
    for name, word in places.items():
        if OFFSET.get(word) >= ring.size:
            why = f"slot {OFFSET.get(word)} of a ring of {ring.size}"
            notes.add("device", name, rings.desc, why, "virtio 1.3 2.8")
            table = None
    if table is None:
        return Report(ring, (), 0, 0, tuple(notes.findings), ())
    return _Packed(notes, ring, rings, table).report(_event(driver), _event(device))


class _Packed:
    """One examination: the ring's flags, read once, and the places of both sides.

    A place is a position as `packed_layouts` has it; `used` lies in the first two laps.
    """

    def __init__(self, notes: Notes, ring: Ring, rings: PackedRings, table: bytes) -> None:
        self.notes = notes
        self.ring = ring
        self.rings = rings
        self.size = ring.size
        self.flags: list[int] = np.frombuffer(table, PACKED_DESC)["flags"].tolist()
        slot = OFFSET.get(ring.used_idx)
        self.pending, wrap = self._made_available(slot)
        self.used = slot if wrap else slot + self.size
        self.in_flight = (OFFSET.get(ring.last_avail_idx) - slot) % self.size
        self.waiting = max(self.pending - self.in_flight, 0)

    def _made_available(self, used: int) -> tuple[int, int]:
        """How many descriptors from slot `used` on are the device's, and the wrap counter there.

        The slot before was written in the lap of `used`, so it tells the counter; unless all slots
        are the driver's again, and that one was written in the next lap. So the other counter is
        tried too. With the right one, no slot is marked as used before its time.
        """
        before = self.flags[used - 1] & AVAIL != 0
        likely = int(before if used else not before)
        fits = [wrap for wrap in (likely, 1 - likely) if self._used_ahead(used, wrap) is None]
        counts = [(self._available_from(used, wrap), wrap) for wrap in fits or [likely]]
        return next((found for found in counts if found[0]), counts[0])

    def _available_from(self, used: int, wrap: int) -> int:
        """How many descriptors from slot `used` on, in the lap of `wrap`, are available."""
        start = used if wrap else used + self.size
        unavailable = (at for at in range(start, start + self.size) if not self._available(at))
        return next(unavailable, start + self.size) - start

    def _used_ahead(self, used: int, wrap: int) -> int | None:
        """The first position from slot `used` on, in one lap, that is marked as used already."""
        start = used if wrap else used + self.size
        for at in range(start, start + self.size):
            if is_used(self.flags[at % self.size], wrap_at(at, self.size)):
                return at
        return None

    def _available(self, position: int) -> bool:
        return is_avail(self.flags[position % self.size], wrap_at(position, self.size))

    def report(self, driver: int, device: int) -> Report:
        self._check_places()
        pending = tuple(self._lists())
        findings, signals = tuple(self.notes.findings), tuple(self._signals(driver, device))
        return Report(self.ring, pending, self.waiting, self.in_flight, findings, signals)

    def _check_places(self) -> None:
        """A device takes what is available, and what it has not used is not marked as used."""
        if self.in_flight > self.pending:
            why = f"{self.in_flight} descriptors taken, where {self.pending} were available"
            at = self.rings.desc_at(self.used)
            self.notes.add("device", "last_avail_idx", at, why, "virtio 1.3 2.8.15")
        ahead = self._used_ahead(self.used % self.size, wrap_at(self.used, self.size))
        # A device writes used descriptors in the order of the ring.
        if ahead is not None:
            slot, at = ahead % self.size, self.rings.desc_at(ahead)
            why = f"it is marked as used, and the device uses slot {self.used % self.size} next"
            self.notes.add("device", f"desc[{slot}].flags", at, why, "virtio 1.3 2.8.12")
        else:
            self._check_bits(self.used + self.pending)

    def _check_bits(self, end: int) -> None:
        """AVAIL changes where the driver is, and nowhere else."""
        wrap = wrap_at(end, self.size)
        for slot, flags in enumerate(self.flags):
            if (flags & AVAIL != 0) != bool(wrap if slot < end % self.size else not wrap):
                # All others of a list are made available before its first descriptor is. So this
                # may be seen for a moment.
                why = f"AVAIL is of another lap, and the driver makes slot {end % self.size} "
                why += "available next: is it about to?"
                where, at = f"desc[{slot}].flags", self.rings.desc_at(slot)
                self.notes.add("driver", where, at, why, "virtio 1.3 2.8.17", warning=True)
                return

    # -- what is pending

    def _lists(self) -> Iterator[Pending]:
        """Each pending list, followed; an id that two of them have is a finding."""
        position, taken = self.used, self.used + self.in_flight
        ids: dict[int, bool] = {}
        rules = Rules(PACKED_DESC, CLAUSES, self.rings.parts, self.rings.desc)
        while position < self.used + self.pending:
            room = self.size - (position - self.used)
            lists = partial(
                walk,
                rings=self.rings,
                features=self.ring.features,
                position=position,
                room=room,
                barrier=no_barrier,
            )
            try:
                found = follow(self.notes, rules, lists)
            except Enough:
                self.notes.tired(f"desc[{position % self.size}]", self.rings.desc_at(position))
                return
            self._check_id(position, found, taken, ids)
            yield Pending(found.ident, found.buffers, position % self.size, position < taken)
            position += max(len(found.slots), 1)

    def _check_id(self, position: int, found: Followed, taken: int, ids: dict[int, bool]) -> None:
        """Each buffer gets a free id. And a device takes whole lists."""
        last, end = position + len(found.slots) - 1, position + len(found.slots)
        where, at = f"desc[{last % self.size}].id", self.rings.desc_at(last)
        at += offset_of(PACKED_DESC, "id")
        if found.ident in ids and ids[found.ident] and Feature.IN_ORDER not in self.ring.features:
            why = f"id {found.ident} stands here twice: the first was used, out of order, in place"
            why += " of a list that is in flight and can no longer be seen"
            self.notes.add("device", where, at, why, "virtio 1.3 2.8", warning=True)
        elif found.ident in ids:
            why = f"buffer id {found.ident} is pending already"
            self.notes.add("driver", where, at, why, "virtio 1.3 2.8.21.1")
        ids[found.ident] = position < taken
        if position < taken < end:
            why = f"the device has taken the list up to slot {taken % self.size}, not all of it"
            self.notes.add("device", "last_avail_idx", at, why, "virtio 1.3 2.8.6")

    # -- who wants to hear of what

    def _signals(self, driver: int, device: int) -> Iterator[str]:
        """One sentence for interrupts, one for kicks."""
        exact = Feature.RING_EVENT_IDX in self.ring.features
        next_used, end = self.used % self.size, (self.used + self.pending) % self.size
        yield f"the driver wants {_wants('an interrupt', driver, exact)}; the next is {next_used}"
        text = f"the device wants {_wants('a kick', device, exact)}; the next is {end}"
        if not self.waiting:
            yield text
        elif wants_event(device, exact, self.used + self.pending, self.waiting, self.size):
            yield f"{text}: a kick is due, {self.waiting} wait"
        else:
            yield f"{text}: no kick is due for the {self.waiting} that wait"


def _event(raw: bytes | None) -> int:
    return int.from_bytes(raw or b"", "little")


def _wants(what: str, event: int, exact: bool) -> str:
    mode, desc = EVENT_FLAGS.get(event >> 16), event & 0xFFFF
    if mode == DISABLE:
        return f"no {what.split()[-1]}"
    if mode == EVENT_DESC and exact:
        return f"{what} for slot {OFFSET.get(desc)} with wrap counter {WRAP.get(desc)}"
    return f"{what} for each list"


def _check_event(notes: Notes, ring: Ring, who: Who, address: int, raw: bytes | None) -> None:
    """Two bits of flags have three values; the offset is one of the ring's."""
    event = _event(raw)
    flags, desc = event >> 16, event & 0xFFFF
    mode = EVENT_FLAGS.get(flags)
    at = address + offset_of(EVENT, "flags")
    # "Reserved, set to 0"
    if flags != mode:
        why = f"{flags:#x} has reserved bits set"
        notes.add(who, f"{who} event.flags", at, why, "virtio 1.3 2.8.14")
    if mode > EVENT_DESC:
        notes.add(who, f"{who} event.flags", at, "3 is reserved", "virtio 1.3 2.8.10")
    if mode != EVENT_DESC:
        return
    if Feature.RING_EVENT_IDX not in ring.features:
        why = "DESC without the feature RING_EVENT_IDX"
        notes.add(who, f"{who} event.flags", at, why, "virtio 1.3 2.8.10")
    if OFFSET.get(desc) >= ring.size:
        why = f"slot {OFFSET.get(desc)} of a ring of {ring.size}"
        notes.add(who, f"{who} event.desc", address, why, "virtio 1.3 2.8.10")
