"""Task 3 of problem set 4: a bench for a student's driver, with a device at its other end.

    add_buf   ->  result, record, stores;  the device peeks at the entry      idx has not moved
    kick      ->  idx, and the order of its accesses;  the device pops

The idea: what is right is told by what a device finds, not by which bytes were written how. Only
the stores are bounded: descriptors that were free, the next entry, idx.

The library's `SplitQueue` is the device. Source: virtio 1.3 2.7.13.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.course.answers import Answer
from virtlab.course.given.rings import DriverSide
from virtlab.course.ps4.machines import BASE, Stepped, budgeted, buffers_text, changed, empty_ram
from virtlab.course.tasks import Difference, compare
from virtlab.errors import GuestError
from virtlab.trace import Access
from virtlab.virtio.chain import Chain
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.split import SplitQueue

LOOK_CHAIN = "16 bytes: addr 8, len 4, flags 2, next 2; NEXT on all but the last (virtio 1.3 2.7.5)"
LOOK_ENTRY = "entry added % size of the available ring has the head (virtio 1.3 2.7.6, 2.7.13)"
LOOK_FULL = "too few free descriptors: False, and nothing has happened"
LOOK_STATE = "descriptors come from the front of q.free; the first is the head"
LOOK_STRAY = "a driver writes its free descriptors, the next entry, and idx (virtio 1.3 2.7)"
LOOK_SEEN = "the device sees it when idx moves: in kick, not before (virtio 1.3 2.7.13)"
LOOK_IDX = "idx counts all that was added, in 16 bits (virtio 1.3 2.7.6)"
LOOK_FLAG = "flags of the used ring, bit 0: the device does not want to hear (virtio 1.3 2.7.10.1)"
LOOK_LATE = "first idx, then the question, or a chain is missed (virtio 1.3 2.7.13.4.1)"

Piece = tuple[int, int]


class Bench:
    """A student's driver on an empty queue, a device that looks at it, and what is right."""

    def __init__(
        self, answer: Answer, size: int, start: int = 0, free: list[int] | None = None
    ) -> None:
        self.answer = answer
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings)
        for field in (self.rings.avail_field("idx"), self.rings.used_field("idx")):
            self.ram.store(field, 2, start)
        self.cpu = budgeted(Stepped(self.ram))
        self.device = SplitQueue(self.ram)
        self.device.enable(self.rings, base=start)
        self.free = list(range(size)) if free is None else list(free)
        self.chains: dict[int, tuple[str, list[int], int]] = {}
        self.added = self.exposed = start
        self.last_used = start
        parts = self.rings.desc, self.rings.avail, self.rings.used
        self.q = DriverSide(*parts, size, False, self.cpu, list(self.free), {}, *(start,) * 3)
        self.said: list[str] = []
        self.popped: dict[int, Chain] = {}

    def _say(self, call: str) -> int:
        """What happens now, for the report; the number of the next access."""
        told = f"a queue of {self.rings.size} at {BASE:#x}, added {self.added}, free {self.free}"
        self.said.append(call)
        self.answer.given = f"{told}; {', '.join(self.said[-4:])}"
        return len(self.cpu.accesses)

    def add(self, out: list[Piece], in_: list[Piece], token: str) -> Difference | None:
        """One add_buf: its result, the record, the accesses, then the chain itself."""
        begin = self._say(f"add_buf(q, {_pieces(out)}, {_pieces(in_)}, {token!r})")
        count = len(out) + len(in_)
        fits = count <= len(self.free)
        slots = self.free[:count] if fits else []
        idx = self.ram.load(self.rings.avail_field("idx"), 2)
        yours = self.answer.call("add_buf", self.q, list(out), list(in_), token)
        accesses = self.cpu.accesses[begin:]
        if self.ram.load(self.rings.avail_field("idx"), 2) != idx:
            return Difference(f"idx {idx}, until kick", self._idx(), LOOK_SEEN)
        if fits:
            self.chains[slots[0]] = (token, slots, sum(length for _, length in in_))
            self.free, self.added = self.free[count:], self.added + 1
        look = LOOK_STATE if fits else LOOK_FULL
        self.answer.note_cost("accesses to the queue", len(accesses), count + 1 if fits else 0)
        return (
            compare(fits, yours, look)
            or self._stray(accesses, slots)
            or (self._chain(slots[0], out, in_) if fits else None)
            or self.record(look)
        )

    def record(self, look: str) -> Difference | None:
        """The fields of the record."""
        right: dict[str, object] = {
            "free": self.free,
            "chains": self.chains,
            "added": self.added,
            "exposed": self.exposed,
            "last_used": self.last_used,
        }
        return changed(self.q, right, look)

    def _stray(self, accesses: Iterable[Access], slots: list[int]) -> Difference | None:
        """The first store to what is not this call's to write."""
        allowed = [(self.rings.desc_at(slot), 16) for slot in slots]
        allowed += [(self.rings.avail_at(self.added - 1), 2)] if slots else []
        return stray(accesses, allowed)

    def _chain(self, head: int, out: list[Piece], in_: list[Piece]) -> Difference | None:
        """What a device will see at the new entry."""
        entry = self.ram.load(self.rings.avail_at(self.added - 1), 2)
        if entry != head:
            return Difference(f"head {head} in the entry", f"{entry}", LOOK_ENTRY)
        right = [(gpa, length, False) for gpa, length in out]
        right += [(gpa, length, True) for gpa, length in in_]
        try:
            chain = self.device.peek(self.added - 1)
        except GuestError as error:
            said = f"the device refuses the chain: {error}"
            return Difference(buffers_text(right), said, LOOK_CHAIN)
        seen = [tuple(buffer) for buffer in chain.buffers]
        if seen != right:
            return Difference(buffers_text(right), buffers_text(seen), LOOK_CHAIN)
        return None

    def kick(self, silent: bool = False) -> Difference | None:
        """One kick, of a device that listens or does not."""
        self.ram.store(self.rings.used_field("flags"), 2, int(silent))
        begin = self._say(f"kick(q){', while the device is not listening' if silent else ''}")
        news, self.exposed = self.added > self.exposed, self.added
        yours = self.answer.call("kick", self.q)
        accesses = self.cpu.accesses[begin:]
        self.answer.note_cost("accesses to the queue", len(accesses), 2 if news else 0)
        self.answer.note_cost("kicks", int(yours is True), int(news and not silent))
        if self.ram.load(self.rings.avail_field("idx"), 2) != self.added & 0xFFFF:
            return Difference(f"idx {self.added & 0xFFFF}", self._idx(), LOOK_IDX)
        found = stray(accesses, [(self.rings.avail_field("idx"), 2)])
        if found := found or (self._late(accesses) if news and not silent else None):
            return found
        while chain := self.device.pop():
            self.popped[chain.head] = chain
        look = LOOK_FLAG if news else "nothing was added since the last kick: nothing to ring for"
        return compare(news and not silent, yours, look) or self.record(LOOK_IDX)

    def _late(self, accesses: Iterable[Access]) -> Difference | None:
        """Whether the device was asked before idx was stored."""
        idx, flags = self.rings.avail_field("idx"), self.rings.used_field("flags")
        stores = [one.seq for one in accesses if one.write and one.address == idx]
        loads = [one.seq for one in accesses if not one.write and one.address == flags]
        if stores and loads and max(loads) < max(stores):
            return Difference(
                "idx is stored before flags is read", "flags is read first", LOOK_LATE
            )
        return None

    def _idx(self) -> str:
        return f"idx {self.ram.load(self.rings.avail_field('idx'), 2)}"

    def give_back(self, head: int) -> None:
        """The library gets a buffer back: its descriptors go behind the free ones."""
        slots = self.chains.pop(head)[1]
        self.free += slots
        self.last_used += 1
        self.q.free, self.q.last_used = list(self.free), self.last_used
        self.q.chains.pop(head)
        self.device.push(self.popped.pop(head))


def stray(accesses: Iterable[Access], allowed: list[tuple[int, int]]) -> Difference | None:
    """The first store that is not within one of the `allowed` spans."""
    for access in accesses:
        end = access.address + access.size
        inside = any(start <= access.address and end <= start + n for start, n in allowed)
        if access.write and not inside:
            what = f"store {access.address:#x}/{access.size} <- {access.value:#x}"
            return Difference("no other store", what, LOOK_STRAY)
    return None


def _pieces(pieces: list[Piece]) -> str:
    return "[" + ", ".join(f"({gpa:#x}, {length})" for gpa, length in pieces) + "]"
