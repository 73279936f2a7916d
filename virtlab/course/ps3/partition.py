"""Task 8 of problem set 3: one disk, many disks. Judges: the sectors, and the disk's own requests.

The disk notes each request. So a case sees not only that the right bytes came and went, but that
nothing else was touched, that a refused request touched nothing, and how many requests it took.
Every sector says its number and a version, so none is like another.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer, Built
from virtlab.course.ps3.machines import first
from virtlab.course.ps3.noted_disk import (
    BIG,
    SECTORS,
    NotedDisk,
    Pieces,
    any_take,
    number_text,
    places,
    sector_text,
    takes,
)
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown

LOOK_PLACE = "the pieces one behind the other: which piece is it in, and how far into that?"
LOOK_BOUND = "all of the request is there, or the disk is not touched"
LOOK_REQUESTS = "one request for each piece that is touched, and for no other"
LOOK_FLUSH = "a flush of the virtual disk is a flush of the disk"


class _Guest:
    """A student's virtual disk, and what the disk below it must hold."""

    def __init__(
        self, answer: Answer, pieces: Pieces, read_only: bool = False, disk: NotedDisk | None = None
    ) -> None:
        self.answer = answer
        self.pieces, self.read_only = pieces, read_only
        self.disk = disk or NotedDisk()
        self.right = Disk.of(self.disk.disk.read(0, SECTORS))
        self.version = 0
        told = ", ".join(f"({start}, {count})" for start, count in pieces)
        self.made = f"VirtualDisk(disk, [{told}], {read_only})"
        answer.given = self.made
        made = answer.call("VirtualDisk", self.disk, list(pieces), read_only)
        self.virtual = Built(answer, "VirtualDisk", made)

    def _requests(self, verb: str, sector: int, count: int) -> list[str]:
        """The requests that it takes."""
        there = places(self.pieces)[sector : sector + count]
        owner = [number for number, (_, n) in enumerate(self.pieces) for _ in range(n)]
        owners, found = owner[sector : sector + count], []
        for number in dict.fromkeys(owners):
            mine = [place for place, one in zip(there, owners, strict=True) if one == number]
            end = f"{len(mine)} sectors" if verb == "write" else str(len(mine))
            found.append(f"{verb}({mine[0]}, {end})")
        return found

    def _asked(self, call: str) -> None:
        self.answer.given = f"{self.made}.{call}"
        self.disk.requests.clear()

    def capacity(self) -> Difference | None:
        """How many sectors it says it has."""
        self._asked("capacity()")
        expected = len(places(self.pieces))
        yours = self.virtual.call("capacity")
        if same(expected, yours):
            return None
        return Difference(str(expected), _decimal(yours), LOOK_PLACE)

    def read(self, sector: int, count: int) -> Difference | None:
        """One read."""
        self._asked(f"read({number_text(sector)}, {number_text(count)})")
        fits = count > 0 and sector + count <= len(places(self.pieces))
        there = places(self.pieces)[sector : sector + count] if fits else []
        expected = b"".join(self.right.read(place) for place in there) if fits else None
        yours = self.virtual.call("read", sector, count)
        if not same(expected, yours):
            look = LOOK_PLACE if fits else LOOK_BOUND
            return Difference(_data(expected), _data(yours), look, self._made())
        return self._after(self._requests("read", sector, count) if fits else [])

    def write(self, sector: int, count: int, odd: int = 0) -> Difference | None:
        """One write of so many sectors, and `odd` bytes more."""
        self.version += 1
        size = min(count, SECTORS)
        data = b"".join(sector_text(7000 + at, self.version) for at in range(size)) + b"?" * odd
        self._asked(f"write({number_text(sector)}, data), data of {len(data)} bytes")
        fits = not self.read_only and not odd and size and sector + size <= len(places(self.pieces))
        if fits:
            for at, place in enumerate(places(self.pieces)[sector : sector + size]):
                self.right.write(place, data[at * SECTOR : (at + 1) * SECTOR])
        yours = self.virtual.call("write", sector, data)
        if not same(bool(fits), yours):
            return compare(bool(fits), yours, LOOK_BOUND, self._made())
        return self._contents() or self._after(
            self._requests("write", sector, size) if fits else []
        )

    def flush(self) -> Difference | None:
        """One flush."""
        self._asked("flush()")
        yours = self.virtual.call("flush")
        if self.disk.requests != ["flush()"]:
            return Difference("one flush of the disk", self._made(), LOOK_FLUSH)
        return compare(True, yours, LOOK_FLUSH)

    def _contents(self) -> Difference | None:
        """The first sector of the disk that is not as it should be."""
        for sector in range(SECTORS):
            right, mine = self.right.read(sector), self.disk.disk.read(sector)
            if right != mine:
                owner = "the VM's" if sector in places(self.pieces) else "not the VM's"
                said = f"sector {sector} of the disk, {owner}: {_data(right)}"
                return Difference(said, _data(mine), LOOK_PLACE, self._made())
        return None

    def _made(self) -> str:
        return "requests: " + (", ".join(self.disk.requests[:6]) or "none")

    def _after(self, expected: list[str]) -> Difference | None:
        if self.disk.requests == expected:
            return None
        look = LOOK_REQUESTS if expected else LOOK_BOUND
        said = "requests: " + (", ".join(expected) or "none")
        return Difference(said, self._made(), look)


def _decimal(value: object) -> str:
    """A value in a report; numbers in decimal, as sectors are counted."""
    return str(value)[:80] if type(value) is int else shown(value)


def _data(value: object) -> str:
    """Sectors as a report shows them: what stands in the first, and how many bytes."""
    if type(value) is not bytes or len(value) < SECTOR:
        return shown(value)
    return f"{len(value)} bytes: {value[:22].decode('ascii', 'replace').rstrip('.')}..."


Step = tuple[str, *tuple[int, ...]]


def _steps(guest: _Guest, steps: tuple[Step, ...]) -> Difference | None:
    return first(getattr(guest, verb)(*numbers) for verb, *numbers in steps)


def _runs(pieces: Pieces, *steps: Step, read_only: bool = False) -> Run:
    return lambda answer, rng: _steps(_Guest(answer, pieces, read_only), steps)


# -- several VMs, and any


def _two(answer: Answer, rng: Random) -> Difference | None:
    """Two VMs on one disk: what one writes, the other does not see, and cannot change."""
    disk = NotedDisk()
    one = _Guest(answer, [(10, 5), (30, 5)], disk=disk)
    found = one.write(0, 10) or one.read(0, 10)
    other = _Guest(answer, [(15, 5), (25, 5)], disk=disk)
    return found or other.read(0, 10) or other.write(0, 10) or other.read(3, 4)


def any_parts(rng: Random) -> Pieces:
    """Pieces of the disk, in any order, some of them side by side."""
    cuts = sorted(rng.sample(range(SECTORS), 2 * rng.randrange(1, 5)))
    pieces = [(a, b - a) for a, b in pairwise(cuts) if rng.random() < 0.7]
    rng.shuffle(pieces)
    return pieces or [(3, 9)]


def _any_disk(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(3):
        guest = _Guest(answer, any_parts(rng), read_only=rng.random() < 0.2)
        size = len(places(guest.pieces))
        for _ in range(12):
            sector, count = rng.randrange(size + 2), rng.randrange(size + 3)
            step: Step = rng.choice((("read", sector, count), ("write", sector, count), ("flush",)))
            if found := _steps(guest, (step, ("capacity",))):
                return found
    return None


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """Numbers that no driver has."""
    guest = _Guest(answer, [(100, 4), (50, 6)])
    numbers = (0, 1, 9, 10, 11, 400, (1 << 28) - 1, 1 << 32, (1 << 64) - 1, BIG)
    for _ in range(40):
        sector, count = rng.choice(numbers), rng.choice(numbers)
        if found := guest.read(sector, count) or guest.write(sector, min(count, 12)):
            return found
    return None


TWO: Pieces = [(100, 4), (50, 6)]
THREE: Pieces = [(7, 2), (200, 1), (9, 3)]

DISK = Task(
    "ps3.q8",
    "one disk, many disks",
    ("may_take", "VirtualDisk"),
    ("S21", "S23"),
    lines=30,
    minutes=30,
    difficulty=3,
    points=5,
    cases=(
        Case("pieces that are free", takes(([], [(0, 100)]), ([(0, 10)], [(20, 5), (10, 10)]))),
        Case("off the disk", takes(([], [(90, 11)]), ([], [(100, 1)]), ([], [(5, 5), (BIG, 1)]))),
        Case("an empty piece", takes(([], [(5, 0)]), ([], [(20, 5), (30, 0)]))),
        Case(
            "taken", takes(([(10, 10)], [(19, 5)]), ([(10, 10)], [(5, 6)]), ([(10, 1)], [(10, 1)]))
        ),
        Case("around what is taken", takes(([(10, 2)], [(5, 20)]), ([(5, 20)], [(10, 2)]))),
        Case("a sector twice", takes(([], [(5, 5), (9, 5)]), ([], [(9, 5), (5, 5)]))),
        Case("any pieces", any_take),
        Case("the capacity", _runs(TWO, ("capacity",))),
        Case("read one sector", _runs([(100, 4)], ("read", 0, 1), ("read", 3, 1))),
        Case("in the second piece", _runs(TWO, ("read", 4, 1), ("read", 6, 3))),
        Case("over two pieces", _runs(TWO, ("read", 3, 2), ("read", 0, 10))),
        Case("over three pieces", _runs(THREE, ("read", 1, 3), ("read", 2, 1), ("read", 3, 3))),
        Case("past the end", _runs(TWO, ("read", 9, 2), ("read", 10, 1), ("read", 4, 7))),
        Case("no sectors", _runs(TWO, ("read", 3, 0), ("read", 10, 0))),
        Case("write one sector", _runs(TWO, ("write", 1, 1), ("read", 0, 3))),
        Case("write over two pieces", _runs(TWO, ("write", 2, 5), ("read", 0, 10))),
        Case("write past the end", _runs(TWO, ("write", 8, 3), ("write", 10, 1), ("write", 2, 9))),
        Case(
            "no whole sectors", _runs(TWO, ("write", 2, 0), ("write", 2, 1, 7), ("write", 2, 0, 5))
        ),
        Case("to read only", _runs(TWO, ("write", 2, 1), ("read", 2, 3), read_only=True)),
        Case("flush", _runs(TWO, ("write", 1, 1), ("flush",), ("flush",))),
        Case("two VMs", _two),
        Case("any disk", _any_disk),
        Case("hostile numbers", _hostile),
    ),
    hints=(
        "For may_take, put the pieces in order first: then a piece can overlap only the one before "
        "it. Two pieces overlap if each begins before the other ends.",
        "read and write need the same thing: where on the disk a run of sectors is, as pairs. Give "
        "that a method of its own. Ask about bounds with capacity() before you use it.",
        "Go through the pieces with the sector relative to the piece. If it is not in this one, "
        "subtract the piece's size and go on. If it is, take as many as are left in the piece or "
        "still wanted; for the next piece the run begins at its sector 0.",
    ),
)
