"""Task 4 of problem set 7: a back-end's life with its chains, which may end at any store.

    life.take(3)                       the chain is noted before it is served
    life.give(3, 513)                  noted, pushed, crossed out
    life.die(2)                        the next call ends before its store number 2
    life.begin(base)                   the back-end that comes next

The idea: after a crash there are two memories, the rings and the notes, and nothing else. What is
in flight is a fact: chains that were noted and that the used ring does not have.

The rule that keeps it simple: rings and notes count their stores together. So one number is a
moment.

Source: vhost-user.rst, "Inflight I/O tracking", split virtqueue; SET_VRING_BASE, GET_VRING_BASE.
"""

from __future__ import annotations

import numpy as np

from virtlab.course.answers import Answer, Trouble
from virtlab.course.given.world import Ring
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps4.machines import BASE, empty_ram
from virtlab.course.ps7.notes import Notes, bytes_of, right_start
from virtlab.course.tasks import Difference, compare, same, shown
from virtlab.memory import Bytes, GuestMemory
from virtlab.virtio.layouts import USED_ELEM, SplitRings, packer

LOOK_BASE = "the base is how many were given back, in 16 bits: what is in flight is taken again"
LOOK_NO_NOTES = "without notes the base is all there is: both counts go on from it"
LOOK_COUNTS = "pushed is the used ring's idx; those in flight were taken, and not pushed"
LOOK_ORDER = "the oldest first: the counter says in which order they were taken"
LOOK_BEHIND = "the used ring is ahead of the notes by chains that were not crossed out"
LOOK_FRESH = "version 0: nobody has used the notes; write version, desc_num and used_idx"
LOOK_OTHER = "more than `size` ahead: the notes are on another ring; nothing is in flight"
LOOK_BROKEN = "another version, or a list that names no chain: such notes are of no use"
LOOK_MENDED = "afterwards the notes say what is so: crossed out, and used_idx as in the ring"
LOOK_LAST = "used_idx is stored last: until then the next start must find what this one found"
LOOK_CLOCK = "the next chain is younger than all that are in flight"
LOOK_TAKEN = "taken: the counter first, then inflight; then the clock goes on"
LOOK_GIVEN = "give_back: the list, then push, then inflight 0, and used_idx last"
LOOK_TWICE = "it is in the used ring already, and would be served again"
LOOK_LOST = "it was taken, the driver never gets it back, and no note says so"
LOOK_RING = "push puts head and length into the used ring, as in problem set 4"
LOOK_ALONE = "of the notes, a chain changes its own state and the header's two fields"

SMALL = 1 << 14
"""Bytes of memory: a check leads very many lives."""

_element = packer(USED_ELEM)


class Crash(BaseException):
    """The process is killed. Nobody catches it."""


class Mortal(Memory):
    """Memory of a process that may be killed: each store is one step of its `life`."""

    life: Life

    def write(self, address: int, data: bytes) -> None:
        """A write, if it is still alive."""
        self.life.step()
        super().write(address, data)

    def store(self, address: int, size: int, value: int) -> None:
        """A store, if it is still alive."""
        self.life.step()
        super().store(address, size, value)


class Life:
    """A ring of `size`, its notes, and one back-end after the other."""

    def __init__(self, answer: Answer, size: int = 8, start: int = 0, notes: bool = True) -> None:
        self.answer, self.size = answer, size
        self.rings = SplitRings.placed(BASE, size)
        self.ram = empty_ram(self.rings, max(SMALL, self.rings.end))
        self.ram.store(self.rings.used_field("idx"), 2, start)
        self.pages = GuestMemory(bytes_of(size))
        self.notes = Notes(self.pages.bytes)
        self.with_notes = notes
        self.flight: list[int] = []  # what must be in flight, oldest first
        self.steps, self.end = 0, -1
        self.q = self._ring()

    def _ring(self) -> Ring:
        """A new process: the memories are the same."""
        parts = self.rings.desc, self.rings.avail, self.rings.used
        memory, notes = Mortal(self.ram), Mortal(self.pages)
        memory.life = notes.life = self
        kept = notes if self.with_notes else None
        return Ring(*parts, self.size, False, memory, None, 0, 0, 0, kept, 0)

    def step(self) -> None:
        """One store is about to be made."""
        if self.steps == self.end:
            raise Crash
        self.steps += 1

    def die(self, step: int) -> None:
        """The next call ends before its store number `step`."""
        self.steps, self.end = 0, step

    @property
    def used(self) -> int:
        """What the used ring says."""
        return self.ram.load(self.rings.used_field("idx"), 2)

    def tells(self, call: str) -> None:
        """What a report says of the state before `call`."""
        header = self.notes.header
        counters, following = self.notes.states["counter"], self.notes.states["next"]
        flight = [
            f"{head} (counter {counters[head]}, next {following[head]})"
            for head in self.notes.flight()
        ]
        told = ""
        if self.with_notes:
            told = (
                f"; notes: version {header['version'][0]}, last_batch_head "
                f"{header['last_batch_head'][0]}, used_idx {header['used_idx'][0]}, in flight "
                f"{', '.join(flight[:6]) or 'none'}"
            )
        self.answer.given = f"{call}, size {self.size}, the used ring's idx {self.used}{told}"

    # -- the four calls

    def stop(self, last_avail: int, pushed: int) -> Difference | None:
        """The base that is told when the ring is stopped."""
        self.q.last_avail, self.q.pushed, self.q.in_flight = last_avail, pushed, last_avail - pushed
        self.answer.given = (
            f"stop(q), q.last_avail {last_avail}, q.pushed {pushed}, q.in_flight "
            f"{last_avail - pushed}"
        )
        return compare(pushed & 0xFFFF, self.answer.call("stop", self.q), LOOK_BASE)

    def begin(self, base: int, look: str = "") -> Difference | None:
        """The next process starts the ring: what it serves again, and what it leaves."""
        self.q, self.end = self._ring(), -1
        self.tells(f"start(q, {base})" + ("" if self.with_notes else ", no notes"))
        expected, used = self.pages.bytes.copy(), self.used
        heads: list[int] | str = []
        at = base
        if self.with_notes:
            heads, at = right_start(Notes(expected), used, self.size), used
        yours = self.answer.call("start", self.q, base)
        if not same(heads, yours):
            return Difference(_heads(heads), _heads(yours), look or self._why(heads, yours))
        if isinstance(heads, str):
            return None
        counts = {"pushed": at, "last_avail": at + len(heads), "in_flight": len(heads)}
        for name, right in counts.items():
            if not same(right, getattr(self.q, name)):
                said = f"q.{name} {shown(getattr(self.q, name))}"
                where = LOOK_COUNTS if self.with_notes else LOOK_NO_NOTES
                return Difference(f"q.{name} {right}", said, where)
        self.flight = list(heads)
        return self._same_notes(Notes(expected), look or LOOK_MENDED) if self.with_notes else None

    def die_at_start(self, step: int) -> tuple[bool, Difference | None]:
        """A start killed before store number `step`: True if it has no such; what comes of it."""
        right = right_start(Notes(self.pages.bytes.copy()), self.used, self.size)
        assert isinstance(right, list), "notes that say something"
        self.tells("start(q, 0)")
        self.die(step)
        if not self._ended("start", 0):
            return True, None
        found = self._after(right)
        return False, found and Difference(found.expected, found.yours, LOOK_LAST)

    def _why(self, heads: list[int] | str, yours: object) -> str:
        if not self.with_notes:
            return LOOK_NO_NOTES
        if isinstance(heads, str):
            return LOOK_BROKEN
        if type(yours) is list and all(type(one) is int for one in yours):
            return LOOK_ORDER if sorted(yours) == sorted(heads) else LOOK_BEHIND
        return LOOK_BEHIND

    def _same_notes(self, right: Notes, look: str) -> Difference | None:
        for name in ("version", "desc_num", "used_idx"):
            due, said = int(right.header[name][0]), int(self.notes.header[name][0])
            if due != said:
                return Difference(f"{name} {due} in the notes", f"{name} {said}", look)
        return compare(right.flight(), self.notes.flight(), look)

    def take(self, head: int) -> Difference | None:
        """A chain was taken from the ring, and is noted."""
        self.q.last_avail += 1
        self.q.in_flight += 1
        self.tells(f"taken(q, {head}), q.clock {self.q.clock}")
        before, clock = self.pages.bytes.copy(), self.q.clock
        if self._ended("taken", head):
            return self._after([*self.flight, head], self.flight)
        right = Notes(before)
        right.states["counter"][head], right.states["inflight"][head] = clock, 1
        self.flight.append(head)
        return self._exact(before, LOOK_TAKEN) or (compare(clock + 1, self.q.clock, LOOK_TAKEN))

    def give(self, head: int, written: int) -> Difference | None:
        """A chain was served, and goes back."""
        pushed, in_flight = self.q.pushed, self.q.in_flight
        self.tells(f"give_back(q, {head}, {written}), q.pushed {pushed}")
        before, used = self.pages.bytes.copy(), self.used
        if self._ended("give_back", head, written):
            done = self.used != used
            return self._after([one for one in self.flight if one != head or not done])
        right = Notes(before)
        right.states["next"][head] = right.header["last_batch_head"][0]
        right.states["inflight"][head] = 0
        right.header["last_batch_head"], right.header["used_idx"] = head, (pushed + 1) & 0xFFFF
        self.flight.remove(head)
        raw = self.ram.read(self.rings.used_at(pushed), _element.size)
        if (raw, self.used) != (_element.pack(head, written), (pushed + 1) & 0xFFFF):
            said = "id {}, len {}, idx {}".format(*_element.unpack(raw), self.used)
            return Difference(
                f"id {head}, len {written}, idx {(pushed + 1) & 0xFFFF}", said, LOOK_RING
            )
        counts = self.q.pushed, self.q.in_flight
        return self._exact(before, LOOK_GIVEN) or compare(
            (pushed + 1, in_flight - 1), counts, LOOK_RING
        )

    def _exact(self, right: Bytes, look: str) -> Difference | None:
        """The notes, byte by byte but for the padding."""
        due, mine = Notes(right), self.notes
        for name in ("version", "desc_num", "last_batch_head", "used_idx", "features"):
            a, b = int(due.header[name][0]), int(mine.header[name][0])
            if a != b:
                return Difference(f"{name} {a} in the header", f"{name} {b}", look)
        for name in ("inflight", "counter", "next"):
            for head in np.flatnonzero(due.states[name] != mine.states[name]).tolist()[:1]:
                a, b = int(due.states[name][head]), int(mine.states[name][head])
                return Difference(f"{name} {a} in the state of chain {head}", f"{name} {b}", look)
        return None

    # -- the end

    def _ended(self, name: str, *arguments: int) -> bool:
        """Call it; whether the process was killed in it."""
        try:
            self.answer.call(name, self.q, *arguments)
        except Trouble as trouble:
            if isinstance(trouble.__cause__, Crash):
                return True
            raise
        return False

    def _after(self, *allowed: list[int]) -> Difference | None:
        """What the next process finds: neither lost nor twice, in the order in which they came."""
        self.answer.given += f"; the process is killed before its store number {self.end}"
        found = right_start(Notes(self.pages.bytes.copy()), self.used, self.size)
        if found in allowed:
            self.flight = list(found)
            return None
        due, look = allowed[0], LOOK_ORDER
        if len(found) != len(due):
            look = LOOK_TWICE if len(found) > len(due) else LOOK_LOST
        return Difference(f"the next one serves again {_heads(due)}", _heads(found), look)


def _heads(value: object) -> str:
    if type(value) is list and all(type(one) is int for one in value):
        return f"{value[:12]}"
    return shown(value) + (": is there a return?" if value is None else "")
