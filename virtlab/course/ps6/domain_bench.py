"""Task 2 of problem set 6: a domain's record, and what an answer may do to it at each moment.

    stands     leads to its page, all the time          coming    nowhere, or to its page
    going      to its old page, or nowhere              no other  nowhere

The idea: while `map_pages` or `unmap_pages` is at work, each address is in one of these four
states. After each step of the answer the devices try them, and the first that comes where it must
not is kept in `wrong`. A page that was freed belongs to somebody else: nobody may come there.

The rule that keeps it simple: afterwards the tables are listed. They hold what was mapped, and
nothing else in memory has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from virtlab.course.answers import Answer, Trouble
from virtlab.course.ps3.machines import whole
from virtlab.course.ps6.probed_unit import POOL, SECRET, TABLE, ProbedUnit, Watched
from virtlab.course.tasks import Difference, compare
from virtlab.iommu.layouts import index_bits
from virtlab.memory import PAGE

LOOK_BIT = "an entry that gives a right leads to its own page at once: one store does (VT-d 9.8)"
LOOK_NEW = "a page for a table has old contents: they count as soon as an entry names it"
LOOK_KEEP = "what is mapped beside it stays as it is"
LOOK_STALE = "it stands there, or the unit still believes it: when is a page nobody's? (VT-d 6.2)"
LOOK_TWICE = "each page that was mapped in the range is freed once, and no other"
LOOK_CACHING = "in caching mode the unit also remembers what was not there (VT-d 6.1)"
LOOK_WALK = "which bits of the iova choose the entry at which level (VT-d 3.7, 9.8)"
LOOK_RIGHTS = "rights are taken from all entries on the way: R is 1, W is 2 (VT-d 9.8)"
LOOK_ROOM = "tables of so many levels have so many bits of iova (VT-d 3.7)"
LOOK_ALLOWED = "the range is inside the tables' addresses, and nothing is mapped in it"
LOOK_CLASH = "where a page of the range is mapped already, nothing is done"
LOOK_TAKE = "a page is taken only where a table is missing"
LOOK_STAY = "tables stay where they are: the unit keeps what it has read of them"
LOOK_OUTSIDE = "only the domain's tables are written to"
LOOK_COST = "an invalidation is waited for, and in a guest it exits: none that is not needed"


@dataclass
class DomainRecord:
    """What an answer gets: where the domain's tables are, and what it may call."""

    table: int
    levels: int
    number: int
    caching_mode: bool
    memory: Any
    take_page: Callable[[], int]
    invalidate: Callable[[int, int, int], None]
    free: Callable[[int], None]


_RIGHTS = ("", "r", "w", "rw")

Mapped = dict[int, tuple[int, int]]
"""By iova of a page: its gpa and rights."""


class Bench:
    """A domain with devices at work. `stands` is what is mapped."""

    def __init__(
        self, answer: Answer, rng: Random, levels: int = 3, caching_mode: bool = False
    ) -> None:
        self.answer = answer
        self.probed = ProbedUnit(levels, 5, caching_mode)
        self.stands: Mapped = {}
        self.coming: Mapped = {}
        self.going: Mapped = {}
        self.watched: list[int] = []
        self.freed: list[int] = []
        self.invalidations = 0
        self.wrong: Difference | None = None
        self.refused = ""
        self._pool = rng.sample(POOL, len(POOL))
        self.taken = [TABLE]
        memory = Watched(self.probed.ram, self.probed.tables, self.probe)
        self.d = DomainRecord(
            TABLE, levels, 5, caching_mode, memory, self._take, self._invalidate, self._free
        )

    # -- what the answer calls

    def _take(self) -> int:
        self.taken.append(self._pool.pop())
        return self.taken[-1]

    def _invalidate(self, domain: int, iova: int, length: int) -> None:
        self.invalidations += 1
        self.probed.invalidate(domain, iova, length)
        self.probe(f"your invalidate({domain}, {iova:#x}, {length:#x})")

    def _free(self, gpa: int) -> None:
        self.freed.append(whole(gpa))
        here = [iova for iova, (at, _) in self.going.items() if at == gpa]
        if not here or self.freed.count(gpa) > len(here):
            self._note("each page of the range is freed once", f"free({gpa:#x})", LOOK_TWICE)
        for iova in here:
            for write in (False, True):
                if gpa in self.probed.reached(iova, write):
                    said = f"free({gpa:#x}), and a device still reaches it at iova {iova:#x}"
                    self._note("nobody reaches a page that is freed", said, LOOK_STALE)

    def _note(self, expected: str, yours: str, look: str) -> None:
        self.wrong = self.wrong or Difference(expected, yours, look)

    # -- the devices

    def probe(self, after: str) -> None:
        """Both devices try all that is watched."""
        for iova in self.watched:
            for write in (False, True):
                may = self._may(iova, write)
                for gpa in self.probed.reached(iova, write) - may:
                    self._reached(iova, write, gpa, after)

    def _may(self, iova: int, write: bool) -> set[int | None]:
        """Where an access may lead now; None is a fault."""
        needed = 2 if write else 1
        moving = self.coming.get(iova) or self.going.get(iova)
        gpa, rights = moving or self.stands.get(iova) or (0, 0)
        allowed: set[int | None] = {gpa} if rights & needed else {None}
        return allowed | {None} if moving else allowed

    def _reached(self, iova: int, write: bool, gpa: int | None, after: str) -> None:
        """A device came where it may not."""
        verb = "write" if write else "read"
        where = "a fault" if gpa is None else f"{gpa:#x}"
        may = " or ".join(
            "a fault" if one is None else f"{one:#x}" for one in _sorted(self._may(iova, write))
        )
        look = LOOK_BIT
        if gpa is not None and gpa in SECRET:
            look = LOOK_NEW
        elif gpa is None or not (iova in self.coming or iova in self.going):
            look = self.refused or LOOK_KEEP
        self._note(
            f"a {verb} at iova {iova:#x} gives {may}", f"after {after} it gives {where}", look
        )

    # -- the two calls

    def map(self, iova: int, gpa: int, length: int, rights: int = 3) -> Difference | None:
        """Let the answer map, and look at all that it did."""
        span = range(0, length, PAGE)
        clash = any(iova + at in self.stands for at in span)
        beyond = self._beyond(range(iova, iova + length))
        right = not (clash or beyond)
        look = LOOK_ALLOWED if right else LOOK_ROOM if beyond else LOOK_CLASH
        self._begin(f"map_pages(d, {iova:#x}, {gpa:#x}, {length:#x}, {rights})", iova, length)
        self.coming = {iova + at: (gpa + at, rights) for at in span} if right else {}
        self.refused = "" if right else look
        yours = self._call("map_pages", iova, gpa, length, rights)
        found = self.wrong or compare(right, yours, look)
        self.stands |= self.coming
        allowed = int(right and self.d.caching_mode)
        look = LOOK_OUTSIDE if right else look
        found = found or self._left(LOOK_CACHING) or self._outside(right, look)
        return found or self._cost(allowed, allowed)

    def unmap(self, iova: int, length: int) -> Difference | None:
        """Let the answer unmap, and look at all that it did."""
        span = range(iova, iova + length, PAGE)
        self._begin(f"unmap_pages(d, {iova:#x}, {length:#x})", iova, length)
        self.going = {at: self.stands[at] for at in span if at in self.stands}
        self.refused = LOOK_ROOM if self._beyond(span) else ""
        self._call("unmap_pages", iova, length)
        if self.wrong:
            return self.wrong
        for at in self.going:
            del self.stands[at]
        due = sorted(gpa for gpa, _ in self.going.values())
        found = self._left(LOOK_STALE)
        if not found and sorted(self.freed) != due:
            missing = next(gpa for gpa in due if gpa not in self.freed)
            found = Difference(f"free({missing:#x})", "it is not freed", LOOK_TWICE)
        return found or self._outside(bool(due), LOOK_OUTSIDE) or self._cost(1, int(bool(due)))

    def _beyond(self, iovas: range) -> bool:
        """Whether the tables have fewer bits than an address of the range."""
        return iovas.stop > 1 << index_bits(self.d.levels).hi + 1

    def _begin(self, call: str, iova: int, length: int) -> None:
        """Say what is given, and let the devices meet what is there before."""
        last = [f"{at:#x} -> {gpa:#x} {_RIGHTS[rights]}" for at, (gpa, rights) in self._last(6)]
        more = f" and {len(self.stands) - 6} more" if len(self.stands) > 6 else ""
        self.answer.given = (
            f"{call}, d.levels {self.d.levels}, d.caching_mode {self.d.caching_mode}; "
            f"mapped: {', '.join(last) or 'nothing'}{more}"
        )
        self.coming, self.going, self.freed, self.wrong = {}, {}, [], None
        self.invalidations, self.refused = 0, ""
        self.d.memory.accesses.clear()
        self.before = self.probed.ram.bytes.copy()
        self.were = self.probed.listed()[1]
        span = range(max(iova - PAGE, 0), iova + length + PAGE, PAGE)
        self.watched = sorted({*span, *[*self.stands][-4:], iova ^ 1 << 30, iova + (1 << 21)})
        self.probed.warm(self.watched)

    def _call(self, name: str, *arguments: int) -> object:
        """What the answer gives. If it raises after a device has come too far, that counts."""
        try:
            return self.answer.call(name, self.d, *arguments)
        except Trouble:
            if self.wrong is None:
                raise
            return None

    def _last(self, n: int) -> list[tuple[int, tuple[int, int]]]:
        """The last `n` pages of those that are mapped."""
        return [*self.stands.items()][-n:]

    # -- afterwards

    def _left(self, stale: str) -> Difference | None:
        """Whether the tables in memory hold what they should, and the devices get it."""
        found, _ = self.probed.listed()
        yours = {page.iova: (page.gpa, page.read + 2 * page.write) for page in found}
        for iova in sorted({*yours, *self.stands}):
            if (mine := yours.get(iova)) != (right := self.stands.get(iova)):
                look = LOOK_RIGHTS if mine and right and mine[0] == right[0] else LOOK_WALK
                look = LOOK_NEW if mine and mine[0] in SECRET else look
                return Difference(f"iova {iova:#x} is {_page(right)}", f"it is {_page(mine)}", look)
        self.coming, self.going = {}, {}
        self.probe("your return")
        return self.wrong and self.wrong._replace(look=stale)

    def _outside(self, right: bool, look: str) -> Difference | None:
        """Whether anything else was changed, a table is gone, or a page was taken for nothing."""
        now, tables = self.probed.ram.bytes, self.taken if right else []
        for at in (self.before != now).nonzero()[0].tolist():
            if at // PAGE * PAGE not in tables:
                return Difference("no other store", f"a store to {at:#x}", look)
        used = self.probed.listed()[1]
        if used < self.were:
            return Difference(f"{self.were} tables", f"{used} are left", LOOK_STAY)
        if len(self.taken) > used:
            said = f"{len(self.taken) - 1} taken"
            return Difference(f"{used - 1} tables below the top one", said, LOOK_TAKE)
        return None

    def _cost(self, allowed: int, needed: int) -> Difference | None:
        """Invalidations: how many may be made, and how many are needed."""
        self.answer.note_cost("invalidations", self.invalidations, needed)
        if self.invalidations <= allowed:
            return None
        return Difference(f"invalidations: {allowed}", f"{self.invalidations}", LOOK_COST)


def _sorted(may: set[int | None]) -> list[int | None]:
    return sorted(may, key=lambda gpa: -1 if gpa is None else gpa)


def _page(page: tuple[int, int] | None) -> str:
    if page is None:
        return "not mapped"
    return f"mapped to {page[0]:#x}, rights {page[1]}"
