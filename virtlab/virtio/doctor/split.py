"""The doctor for a split ring: what its three parts say of each other.

Three counts say where a queue is. They run free in 16 bits, and can only stand in one order:

    used_idx  <=  last_avail_idx  <=  avail.idx  <=  used_idx + size
          in flight          waiting

What is *pending* is harder. A device may use chains in another order than they became available,
and then the pending ones do not stand together in the available ring. The rings still tell, as long
as they hold the history: of the heads that became available, those that the used ring does not
have. Where the two do not fit together, history has been overwritten, and the entries from
`used_idx` on are taken instead. In order, those are always the ones.

Source: virtio 1.3 2.7, and the clause beside each check.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from functools import partial

import numpy as np

from virtlab.virtio.doctor.chains import Enough, Rules, follow
from virtlab.virtio.doctor.records import (
    Area,
    Notes,
    Pending,
    Report,
    Ring,
    read_areas,
)
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import (
    DESC,
    NO_INTERRUPT,
    NO_NOTIFY,
    SPLIT_PARTS,
    SplitRings,
    avail_ring,
    need_event,
    used_ring,
)
from virtlab.virtio.split_chain import CLAUSES, walk

_TURN = 0xFFFF

Entry = tuple[int, int]
"""Where a chain became available, free-running, and its head."""


def examine_split(notes: Notes, ring: Ring) -> Report:
    """What is wrong with a split ring, and what is pending in it."""
    rings = SplitRings(ring.size, ring.desc, ring.driver, ring.device)
    # Queue Size is a power of 2.
    if ring.size & (ring.size - 1):
        notes.add("driver", "size", ring.desc, f"{ring.size} is no power of 2", "virtio 1.3 2.7")
    areas = [
        Area(name, *span, align)
        for (name, align), span in zip(SPLIT_PARTS, rings.parts, strict=True)
    ]
    _, avail, used = read_areas(notes, areas, "virtio 1.3 2.7", "virtio 1.3 2.7.1")
    if avail is None or used is None:
        return Report(ring, (), 0, 0, tuple(notes.findings), ())
    return _Split(notes, ring, rings, avail, used).report()


class _Split:
    """One examination: the two rings, read once, and the counts."""

    def __init__(
        self, notes: Notes, ring: Ring, rings: SplitRings, avail: bytes, used: bytes
    ) -> None:
        self.notes = notes
        self.ring = ring
        self.rings = rings
        self.size = ring.size
        parts = (
            np.frombuffer(avail, avail_ring(ring.size)),
            np.frombuffer(used, used_ring(ring.size)),
        )
        self.avail, self.used = (part[0] for part in parts)
        self.heads: list[int] = self.avail["ring"].tolist()
        self.ids: list[int] = self.used["ring"]["id"].tolist()
        self.idx = int(self.avail["idx"])
        self.waiting = (self.idx - ring.last_avail_idx) & _TURN
        self.in_flight = (ring.last_avail_idx - ring.used_idx) & _TURN
        self.guessed = False  # whether history may be missing that tells which are in flight

    def report(self) -> Report:
        self._check_layout()
        self._check_flags()
        self._check_counts()
        self._check_used()
        pending = tuple(self._chains())
        findings = tuple(self.notes.findings)
        return Report(
            self.ring, pending, self.waiting, self.in_flight, findings, tuple(self._signals())
        )

    def _has(self, feature: Feature) -> bool:
        return feature in self.ring.features

    # -- the parts

    def _check_layout(self) -> None:
        """Without VERSION_1 the parts lie together, at the places that the frame number gives."""
        due = SplitRings.legacy(self.rings.desc >> 12, self.size)
        if not self._has(Feature.VERSION_1) and self.rings != due:
            why = f"the legacy layout has it at {due.used:#x}, behind an available ring at "
            why += f"{due.avail:#x}, if the alignment is 4096"
            spec = "virtio 1.3 2.7.2"
            self.notes.add("driver", "used ring", self.rings.used, why, spec, warning=True)

    def _check_flags(self) -> None:
        """`flags` are 0 or 1; with EVENT_IDX the thresholds speak, and `flags` are 0."""
        most = 0 if self._has(Feature.RING_EVENT_IDX) else 1
        flags, at = int(self.avail["flags"]), self.rings.avail_field("flags")
        if flags > most:
            why = f"{flags:#x} where {most} is the most"
            self.notes.add("driver", "avail.flags", at, why, "virtio 1.3 2.7.7.1")
        flags, at = int(self.used["flags"]), self.rings.used_field("flags")
        if flags > most:
            why = f"{flags:#x} where {most} is the most"
            self.notes.add("device", "used.flags", at, why, "virtio 1.3 2.7.10.2")

    def _check_counts(self) -> None:
        """The counts stand in their order, and the device's own is the one in memory."""
        at = self.rings.used_field("idx")
        used, memory = self.ring.used_idx, int(self.used["idx"])
        # A device uses what it has taken.
        if self.in_flight > self.size:
            why = f"{used} chains used, {self.ring.last_avail_idx} taken, in a queue of {self.size}"
            self.notes.add("device", "used_idx", at, why, "virtio 1.3 2.7.8")
        # `idx` only increases, and a queue holds at most Queue Size buffers, those in flight too.
        elif self.waiting + self.in_flight > self.size:
            why = (
                f"{self.idx}: {self.waiting} wait and {self.in_flight} are in flight, "
                f"in a queue of {self.size}"
            )
            at = self.rings.avail_field("idx")
            self.notes.add("driver", "avail.idx", at, why, "virtio 1.3 2.7.6.1")
        # `idx` is where the device puts the next element. It lags while a batch is written.
        if memory != used:
            why = f"{memory}: the device itself is at {used}"
            at = self.rings.used_field("idx")
            self.notes.add("device", "used.idx", at, why, "virtio 1.3 2.7.8", warning=True)

    def _check_used(self) -> None:
        """Each element that was written has the head of a chain."""
        used = self.ring.used_idx
        for position in range(max(used - self.size, 0), used):
            ident = self.ids[position % self.size]
            if ident >= self.size:
                where, why = f"used.ring[{position % self.size}].id", f"{ident} is no descriptor"
                at = self.rings.used_at(position)
                self.notes.add("device", where, at, why, "virtio 1.3 2.7.8")

    # -- what is pending

    def _entries(self) -> list[Entry]:
        """The pending entries, in the order in which they became available."""
        first, total = self.ring.used_idx, self.in_flight + self.waiting
        if self.in_flight > self.size:
            return []
        # An index that jumped says nothing of what waits.
        total = total if total <= self.size else self.in_flight
        together = [(at, self.heads[at % self.size]) for at in range(first, first + total)]
        if self._has(Feature.IN_ORDER) or not self.in_flight:
            return together
        # Until the counts come to 65536 for the first time, there is nothing before entry 0.
        end = first + total
        for start in (max(end - self.size, 0), end - self.size):
            apart = self._not_used(start, end)
            if len(apart) == total:
                self.guessed = start != 0
                return apart
        self.guessed = True
        return together

    def _not_used(self, start: int, end: int) -> list[Entry]:
        """Of the heads that became available from `start` to `end`, those not used since `start`.

        They are too many, if the used ring has a head that these do not have.
        """
        first, taken = self.ring.used_idx, self.ring.used_idx + self.in_flight
        entries = [(at, self.heads[at % self.size]) for at in range(start, end)]
        places: defaultdict[int, deque[int]] = defaultdict(deque)
        for at, head in entries[: taken - start]:
            places[head].append(at)
        used = set()
        for at in range(start, first):
            if found := places[self.ids[at % self.size]]:
                used.add(found.popleft())
        return [(at, head) for at, head in entries if at not in used]

    def _chains(self) -> Iterator[Pending]:
        """Each pending chain, followed; descriptors that two of them have are a finding."""
        owners: dict[int, int] = {}
        taken = self.ring.used_idx + self.in_flight
        rules = Rules(DESC, CLAUSES, self.rings.parts, self.rings.desc)
        for at, head in self._entries():
            where, address = f"avail.ring[{at % self.size}]", self.rings.avail_at(at)
            # Each entry is the index of a descriptor.
            if head >= self.size:
                why = f"head {head} in a queue of {self.size}"
                self.notes.add("driver", where, address, why, "virtio 1.3 2.7.6")
                yield Pending(head, (), at & _TURN, at < taken)
                continue
            chain = partial(walk, rings=self.rings, features=self.ring.features, head=head)
            try:
                found = follow(self.notes, rules, chain)
            except Enough:
                self.notes.tired(where, address)
                return
            self._check_shared(where, address, found.slots, owners)
            owners.update(dict.fromkeys(found.slots, head))
            yield Pending(head, found.buffers, at & _TURN, at < taken)

    def _check_shared(
        self, where: str, address: int, slots: frozenset[int], owners: dict[int, int]
    ) -> None:
        """A buffer goes into free descriptors: what is pending is not free."""
        shared = sorted(slots & owners.keys())
        if shared:
            why = f"desc[{shared[0]}] is in the pending chain of head {owners[shared[0]]} as well"
            # Where the entry of a chain in flight was overwritten, one of the two may not be one.
            warning = self.guessed
            why += ", or the entry of another chain in flight has been overwritten" * warning
            self.notes.add("driver", where, address, why, "virtio 1.3 2.7.13.1", warning=warning)

    # -- who wants to hear of what

    def _signals(self) -> Iterator[str]:
        """One sentence for interrupts, one for kicks."""
        last, idx, used = self.ring.last_avail_idx, self.idx, self.ring.used_idx
        if self._has(Feature.RING_EVENT_IDX):
            event = int(self.avail["used_event"])
            yield f"the driver wants an interrupt for used entry {event}; the next is {used}"
            event = int(self.used["avail_event"])
            due = need_event(event, idx, last)
            text = f"the device wants a kick for available entry {event}; the next is {idx}"
        else:
            quiet = int(self.avail["flags"]) & NO_INTERRUPT
            yield f"the driver wants {'no interrupts' if quiet else 'an interrupt for each chain'}"
            due = not int(self.used["flags"]) & NO_NOTIFY
            text = f"the device wants {'a kick for each chain' if due else 'no kicks'}"
        if not self.waiting:
            yield text
        elif due:
            yield f"{text}: a kick is due, {self.waiting} wait"
        else:
            yield f"{text}: no kick is due for the {self.waiting} that wait"
