"""Task 5 of problem set 4: the two ends of a used ring, each with what is right beside it.

    Pusher   a student's device end: an element, then idx, and nothing else is written
    Getter   a student's driver end, on a used ring that a case writes by hand

The idea: the used ring is small enough to be compared byte by byte. What is read and written is
noted, so that an index that comes too early is seen, though no other side is there to be fooled.

Source: virtio 1.3 2.7.8, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.given.rings import DeviceSide, DriverSide
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps4.driver_bench import stray
from virtlab.course.ps4.machines import BASE, Stepped, budgeted, changed, empty_ram
from virtlab.course.tasks import Difference, compare, same
from virtlab.virtio.layouts import USED_ELEM, SplitRings, packer

LOOK_ELEMENT = "element pushed % size: id and len, 4 bytes each (virtio 1.3 2.7.8)"
LOOK_INDEX = "idx counts all that was pushed, in 16 bits (virtio 1.3 2.7.8)"
LOOK_FIRST = "the element is complete before idx says so (virtio 1.3 2.7.8.2)"
LOOK_ALONE = "a device writes the used ring, and of it one element and idx (virtio 1.3 2.7)"
LOOK_DEVICE = "one more pushed, one less in flight"
LOOK_NEW = "idx is where the device puts its next element: equal means none (virtio 1.3 2.7.14)"
LOOK_TOKEN = "the element's id names the chain (virtio 1.3 2.7.8)"
LOOK_LEN = "len bytes were written, but never more than there was room for (virtio 1.3 2.7.8)"
LOOK_BROKEN = "an id without a chain, or more elements than exposed buffers: believe nothing"
LOOK_DRIVER = "all slots of the chain go to the end of q.free; one more is used up"
LOOK_READ = "idx first, then the element that it speaks of (virtio 1.3 2.7.14)"

_element = packer(USED_ELEM)
Chains = dict[int, tuple[Any, list[int], int]]


class Pusher:
    """A student's device end, that has chains in flight."""

    def __init__(self, answer: Answer, size: int, start: int, in_flight: int) -> None:
        self.answer = answer
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings)
        self.ram.store(self.rings.used_field("idx"), 2, start)
        self.memory = Memory(self.ram)
        self.expected = {"pushed": start, "in_flight": in_flight, "last_avail": start + in_flight}
        parts = self.rings.desc, self.rings.avail, self.rings.used
        counts = start + in_flight, start, in_flight
        self.q = DeviceSide(*parts, size, False, self.memory, None, *counts)

    def push(self, head: int, written: int) -> Difference | None:
        """One push, and what it left."""
        position = self.expected["pushed"]
        self.answer.given = (
            f"push(q, {head}, {written}), size {self.rings.size}, used ring at "
            f"{self.rings.used:#x}, q.pushed {position}"
        )
        right = self.ram.bytes.copy()
        element, idx = self.rings.used_at(position), self.rings.used_field("idx")
        begin = len(self.memory.accesses)
        self.answer.call("push", self.q, head, written)
        self.expected["pushed"] += 1
        self.expected["in_flight"] -= 1
        mine = self.ram.read(element, 8), self.ram.load(idx, 2)
        if mine[0] != _element.pack(head, written):
            return Difference(
                f"id {head}, len {written} at {element:#x}", _said(mine[0]), LOOK_ELEMENT
            )
        if mine[1] != (position + 1) & 0xFFFF:
            return Difference(f"idx {(position + 1) & 0xFFFF}", f"idx {mine[1]}", LOOK_INDEX)
        right[element : element + 8] = self.ram.bytes[element : element + 8]
        right[idx : idx + 2] = self.ram.bytes[idx : idx + 2]
        wrong = (self.ram.bytes != right).nonzero()[0]
        if len(wrong):
            return Difference("nothing else written", f"a byte at {int(wrong[0]):#x}", LOOK_ALONE)
        return self._order(begin, element, idx) or changed(self.q, dict(self.expected), LOOK_DEVICE)

    def _order(self, begin: int, element: int, idx: int) -> Difference | None:
        """Whether any part of the element was written after idx."""
        late = False
        for access in self.memory.accesses[begin:]:
            if access.verb not in ("write", "store"):
                continue
            end = access.address + access.length
            if late and access.address < element + 8 and element < end:
                return Difference("the element, then idx", "idx, then the element", LOOK_FIRST)
            late = late or (access.address < idx + 2 and idx < end)
        return None


def _said(raw: bytes) -> str:
    head, written = _element.unpack(raw)
    return f"id {head:#x}, len {written:#x}" if head > 0xFFFF else f"id {head}, len {written}"


class Getter:
    """A student's driver end with these `chains` exposed, and a used ring written by hand."""

    def __init__(self, answer: Answer, size: int, start: int, chains: Chains) -> None:
        self.answer = answer
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings)
        self.cpu = budgeted(Stepped(self.ram))
        taken = [slot for _, slots, _ in chains.values() for slot in slots]
        self.free = [slot for slot in range(size) if slot not in taken]
        self.chains, self.last_used = dict(chains), start
        self.exposed = start + len(chains)
        self.idx = start & 0xFFFF
        self.ram.store(self.rings.used_field("idx"), 2, self.idx)
        parts = self.rings.desc, self.rings.avail, self.rings.used
        mine = dict(chains)
        counts = self.exposed, self.exposed, start
        self.q = DriverSide(*parts, size, False, self.cpu, list(self.free), mine, *counts)

    def uses(self, *elements: tuple[int, int], by: int | None = None) -> None:
        """The device puts elements there, and moves idx by as many, or `by`."""
        for number, (head, written) in enumerate(elements):
            at = self.rings.used_at(self.idx + number)
            self.ram.write(at, _element.pack(head, written))
        self.idx = (self.idx + (len(elements) if by is None else by)) & 0xFFFF
        self.ram.store(self.rings.used_field("idx"), 2, self.idx)

    def get(self) -> Difference | None:
        """One get_buf, and what it left."""
        element = self.ram.read(self.rings.used_at(self.last_used), 8)
        self.answer.given = (
            f"get_buf(q), size {self.rings.size}, idx {self.idx}, q.last_used {self.last_used}, "
            f"q.exposed {self.exposed}, next element {_said(element)}, "
            f"chains {_chains(self.chains)}"
        )
        right, look = self._right(*_element.unpack(element))
        begin = len(self.cpu.accesses)
        yours = self.answer.call("get_buf", self.q)
        accesses = self.cpu.accesses[begin:]
        record: dict[str, object] = {"chains": self.chains, "free": self.free}
        record |= {"last_used": self.last_used, "exposed": self.exposed, "added": self.exposed}
        if right is None and yours is None:
            return stray(accesses, []) or changed(self.q, record, LOOK_DRIVER)
        return (
            _compare(right, yours, look)
            or stray(accesses, [])
            or self._order(accesses)
            or changed(self.q, record, LOOK_DRIVER)
        )

    def _right(self, head: int, written: int) -> tuple[tuple[Any, int] | str | None, str]:
        """What comes out now, and where to look; the expected record moves."""
        new = (self.idx - self.last_used) & 0xFFFF
        if not new:
            return None, LOOK_NEW
        if head not in self.chains or new > self.exposed - self.last_used:
            return "broken", LOOK_BROKEN
        token, slots, writable = self.chains.pop(head)
        self.free = self.free + slots
        self.last_used += 1
        return (token, min(written, writable)), LOOK_LEN if written > writable else LOOK_TOKEN

    def _order(self, accesses: Iterable[Any]) -> Difference | None:
        """Whether an element was read before idx."""
        idx, low = self.rings.used_field("idx"), self.rings.used_field("ring")
        for access in accesses:
            if access.address <= idx < access.address + access.size:
                return None
            if low <= access.address < low + 8 * self.rings.size:
                return Difference("idx is read first", "the element is read first", LOOK_READ)
        return None


def _compare(right: object, yours: object, look: str) -> Difference | None:
    if same(right, yours):
        return None
    plain = type(yours) is tuple and all(type(one) in (int, str) for one in yours)
    if plain and str(yours) != str(right):
        return Difference(str(right), str(yours)[:80], look)
    return compare(right, yours, look)


def _chains(chains: Chains) -> str:
    texts = [f"{head}: {token!r} {slots}, {n}" for head, (token, slots, n) in chains.items()]
    return "{" + ", ".join(texts[:5]) + "}"
