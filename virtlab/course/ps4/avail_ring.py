"""Task 4 of problem set 4: an available ring that a case writes by hand, and a pop from it.

    ring.offer(3, 5)     entries and idx       ring.pop()    the student's pop, and what it left
    ring.right()         what it must give

The idea: `right` answers the questions in the order in which the task asks them. A test holds it
against the library's `SplitQueue`. With `strike` the guest changes an entry and idx as soon as they
have been read, and what was read first must count.

Source: virtio 1.3 2.7.6, 2.7.6.1.
"""

from __future__ import annotations

from virtlab.course.answers import Answer
from virtlab.course.given.rings import DeviceSide, Written
from virtlab.course.ps3.machines import whole
from virtlab.course.ps4.machines import BASE, Flipping, changed, empty_ram, pieces_text
from virtlab.course.tasks import Difference, same, shown
from virtlab.virtio.layouts import SplitRings

LOOK_EMPTY = "idx is where the driver puts the next entry: equal means none (virtio 1.3 2.7.6)"
LOOK_ENTRY = "entry last_avail % size, 2 bytes, behind flags and idx (virtio 1.3 2.7.6)"
LOOK_IDX = "idx only grows, by at most `size` with those in flight (virtio 1.3 2.7.6.1)"
LOOK_HEAD = "a head is the index of a descriptor (virtio 1.3 2.7.6)"
LOOK_CHAIN = "what walk refuses, pop refuses with the same word"
LOOK_STATE = "a chain taken is one more in flight; what is refused moves nothing"
LOOK_ORDER = "an entry is read after idx says that it is there (virtio 1.3 2.7.13)"
LOOK_ONCE = "a guest may change what it wrote: read idx and entry once"
LOOK_WRITE = "pop only reads"

Result = tuple[int, list[Written]] | str | None
Chains = dict[int, list[Written] | str]


def buffers_of(head: int) -> list[Written]:
    """What the chain at `head` is in these cases."""
    return [(0x4000 + 0x100 * head, 16, False), (0x4010 + 0x100 * head, 1 + head % 512, True)]


class Ring:
    """A device's end of a queue whose available ring a case writes by hand."""

    def __init__(self, answer: Answer, size: int, start: int = 0, in_flight: int = 0) -> None:
        self.answer = answer
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings)
        self.bad: dict[int, str] = {}
        self.walked: list[int] = []
        self.expected = {"last_avail": start, "pushed": start - in_flight, "in_flight": in_flight}
        parts = self.rings.desc, self.rings.avail, self.rings.used
        self.memory = Flipping(self.ram)
        counts = start, start - in_flight, in_flight
        self.q = DeviceSide(*parts, size, False, self.memory, self._walk, *counts)
        self.idx = start
        self._set_idx(start)

    def _walk(self, head: object) -> list[Written] | str:
        number = whole(head)
        self.walked.append(number)
        return self.bad.get(number) or buffers_of(number)

    def _set_idx(self, value: int) -> None:
        self.ram.store(self.rings.avail_field("idx"), 2, value)
        self.idx = value & 0xFFFF

    def offer(self, *heads: int, by: int | None = None) -> None:
        """Put entries behind the last; move idx by as many, or `by`."""
        for number, head in enumerate(heads):
            self.ram.store(self.rings.avail_at(self.idx + number), 2, head)
        self._set_idx(self.idx + (len(heads) if by is None else by))

    def put(self, position: int, head: int) -> None:
        """Write one entry."""
        self.ram.store(self.rings.avail_at(position), 2, head)

    def right(self) -> Result:
        """What a pop gives now; the expected record moves."""
        at, size = self.expected["last_avail"], self.rings.size
        waiting = (self.idx - at) & 0xFFFF
        if not waiting:
            return None
        if waiting + self.expected["in_flight"] > size:
            return "idx"
        head = self.ram.load(self.rings.avail_at(at), 2)
        if head >= size:
            return "head"
        if head in self.bad:
            return self.bad[head]
        self.expected["last_avail"] += 1
        self.expected["in_flight"] += 1
        return head, buffers_of(head)

    def pop(self, strike: bool = False) -> Difference | None:
        """One pop, and all that it may have done. With `strike` the guest changes what is read."""
        at, size = self.expected["last_avail"], self.rings.size
        entry = self.rings.avail_at(at)
        self.answer.given = (
            f"pop(q), size {size}, idx {self.idx}, q.last_avail {at}, "
            f"q.in_flight {self.expected['in_flight']}, entry {at % size}: "
            f"{self.ram.load(entry, 2)}" + (self._told() if self.bad else "")
        )
        right, before = self.right(), self.ram.bytes.copy()
        if strike:
            self.memory.watched = [(self.rings.avail_field("idx"), 2), (entry, 2)]
        self.walked.clear()
        begin = len(self.memory.accesses)
        yours = self.answer.call("pop", self.q)
        self.memory.watched = []
        if strike:
            self.ram.bytes[:] = before
        found = _result(right, yours, LOOK_ONCE if strike else _look(right))
        found = found or changed(self.q, dict(self.expected), LOOK_STATE) or self._order(begin)
        if not found and (self.ram.bytes != before).any():
            found = Difference("memory as it was", "something was written", LOOK_WRITE)
        return found

    def _told(self) -> str:
        return f"; walk({next(iter(self.bad))}) gives {next(iter(self.bad.values()))!r}"

    def _order(self, begin: int) -> Difference | None:
        """Whether an entry was read before idx, or a chain walked that is out of range."""
        for head in self.walked:
            if head >= self.rings.size:
                return Difference("no walk of such a head", f"walk({head})", LOOK_HEAD)
        idx = self.rings.avail_field("idx")
        for access in self.memory.accesses[begin:]:
            if access.address <= idx < access.address + access.length:
                return None
            low = self.rings.avail_field("ring")
            if low <= access.address < low + 2 * self.rings.size:
                return Difference("idx is read first", "the entry is read first", LOOK_ORDER)
        return None


def _look(right: Result) -> str:
    if right is None:
        return LOOK_EMPTY
    if isinstance(right, str):
        return {"idx": LOOK_IDX, "head": LOOK_HEAD}.get(right, LOOK_CHAIN)
    return LOOK_ENTRY


def _result(right: Result, yours: object, look: str) -> Difference | None:
    if same(right, yours):
        return None
    return Difference(_text(right), _text(yours), look)


def _text(result: object) -> str:
    if type(result) is tuple and len(result) == 2 and type(result[1]) is list:
        return f"head {shown(result[0])}: {pieces_text(result[1])}"
    return shown(result)
