"""Whose sectors are whose: the disk of task 8 of problem set 3, and the question before it.

The disk notes each request, and every sector says its number and a version, so that none is like
another. `free` is the judge of `may_take`.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from virtlab.backends.disk import SECTOR, Disk
from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first, whole
from virtlab.course.tasks import Difference, Run, compare

LOOK_TAKE = "on the disk, a sector at least, and no sector twice"

SECTORS = 400
BIG = 1 << 70
"""A number that no disk has."""

Pieces = list[tuple[int, int]]


class NotedDisk:
    """A disk of `SECTORS` sectors that notes every request; one that it cannot do ends the case."""

    def __init__(self) -> None:
        self.disk = Disk.of(b"".join(sector_text(number) for number in range(SECTORS)))
        self.requests: list[str] = []

    def read(self, sector: int, count: int = 1) -> bytes:
        """Sectors."""
        self.requests.append(f"read({whole(sector)}, {whole(count)})")
        return self.disk.read(sector, count)

    def write(self, sector: int, data: bytes) -> None:
        """Sectors, written."""
        self.requests.append(f"write({whole(sector)}, {len(data) // SECTOR} sectors)")
        self.disk.write(sector, data)

    def flush(self) -> None:
        """A flush, noted."""
        self.requests.append("flush()")


def sector_text(number: int, version: int = 0) -> bytes:
    """What stands in a sector."""
    return f"sector {number} version {version} ".encode().ljust(SECTOR, b".")


def places(pieces: Pieces) -> list[int]:
    """For each sector of the virtual disk, where it is on the disk."""
    return [sector for start, count in pieces for sector in range(start, start + count)]


def number_text(value: int) -> str:
    """A number as a report shows it: decimal, as sectors are counted, or hexadecimal if huge."""
    return str(value) if value < 1 << 32 else f"{value:#x}"


def free(sectors: int, taken: Pieces, pieces: Pieces) -> bool:
    """Whether pieces are on the disk, not empty, and no sector of them is twice or taken."""
    spans = sorted((start, start + count) for start, count in pieces)
    inside = all(0 <= start < end <= sectors for start, end in spans)
    apart = all(a[1] <= b[0] for a, b in pairwise(spans))
    others = [(start, start + count) for start, count in taken]
    return inside and apart and all(e <= a or b <= s for s, e in spans for a, b in others)


def _take(answer: Answer, sectors: int, taken: Pieces, pieces: Pieces) -> Difference | None:
    said = (
        f"[{', '.join(f'({number_text(a)}, {number_text(n)})' for a, n in some)}]"
        for some in (taken, pieces)
    )
    answer.given = f"may_take({sectors}, {', '.join(said)})"
    yours = answer.call("may_take", sectors, list(taken), list(pieces))
    return compare(free(sectors, taken, pieces), yours, LOOK_TAKE)


def takes(*asked: tuple[Pieces, Pieces]) -> Run:
    """A case that asks `may_take` of a disk of 100 sectors, with `(taken, pieces)`."""
    return lambda answer, rng: first(_take(answer, 100, *one) for one in asked)


def any_take(answer: Answer, rng: Random) -> Difference | None:
    """Pieces side by side, one of them perhaps a sector too long, or empty."""
    for _ in range(40):
        cuts = sorted(rng.sample(range(1, 100), 5))
        spans = [(a, b - a) for a, b in pairwise(cuts)]
        rng.shuffle(spans)
        at = rng.randrange(len(spans))
        start, count = spans[at]
        spans[at] = rng.choice(
            ((start - 1, count + 1), (start, count + 1), (start, count), (start, 0))
        )
        if found := _take(answer, 100, spans[:2], spans[2:]):
            return found
    return None
