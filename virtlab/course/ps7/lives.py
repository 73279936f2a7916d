"""Task 4 of problem set 7: lives that cases lead, and how they end.

    begins(5, [(3, 9)], [1])      notes as somebody left them; then a start
    killed([3, 1], -4)            take 3 and 1, then die at each store of give_back(3)

The idea: a life is a list of heads: one to take, or, as -1 - head, one to give back.

Source: vhost-user.rst, "Inflight I/O tracking", split virtqueue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps7.life import (
    LOOK_CLOCK,
    Life,
)
from virtlab.course.tasks import Difference, Run

STORES = 16
"""Stores of one call, at most, at each of which the process is killed."""


def stops(*counts: tuple[int, int]) -> Run:
    """The base of a ring with each of these `(last_avail, pushed)`."""
    return lambda answer, rng: first(Life(answer).stop(*each) for each in counts)


def starts(base: int, notes: bool = True, used: int = 0) -> Run:
    """A start at this base, for a used ring at `used`."""
    return lambda answer, rng: Life(answer, start=used, notes=notes).begin(base)


Flight = Sequence[tuple[int, int]]
"""The `(head, counter)` of chains that are marked as in flight."""


def noted(
    answer: Answer,
    used: int,
    flight: Flight = (),
    given: Sequence[int] = (),
    size: int = 8,
    version: int = 1,
) -> Life:
    """A life that ended: the used ring is at `used`, and `given` were not crossed out."""
    life = Life(answer, size, used)
    header, states = life.notes.header, life.notes.states
    header["version"], header["desc_num"] = version, size
    header["used_idx"] = (used - len(given)) & 0xFFFF
    for head, counter in flight:
        states["inflight"][head], states["counter"][head] = 1, counter
    last = next((head for head in range(size) if head not in given), 0)
    for head in given:
        states["next"][head], last = last, head
    header["last_batch_head"] = last
    return life


def begins(
    used: int,
    flight: Flight = (),
    given: Sequence[int] = (),
    base: int | None = None,
    version: int = 1,
    size: int = 8,
    look: str = "",
    prepare: Callable[[Life], None] | None = None,
) -> Run:
    """A start with notes as `noted` makes them, and as `prepare` spoils them."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        life = noted(answer, used, flight, given, size, version)
        if prepare:
            prepare(life)
        return life.begin(used & 0xFFFF if base is None else base, look)

    return run


def put(name: str, value: int) -> Callable[[Life], None]:
    """What stores a number into a field of the header."""
    return lambda life: life.notes.header.__setitem__(name, value)


def follow(head: int, following: int) -> Callable[[Life], None]:
    """What makes the list go on from this head to that one."""
    return lambda life: life.notes.states["next"].__setitem__(head, following)


def goes_on(answer: Answer, rng: Random) -> Difference | None:
    """After a start the next chain is younger than those in flight."""
    for flight in ((), ((2, 41),), ((5, 7), (0, 300), (3, 1 << 60))):
        life = noted(answer, 9, flight)
        found = life.begin(9)
        least = max((counter for _, counter in flight), default=-1) + 1
        if not found and life.q.clock < least:
            found = Difference(f"q.clock {least} or more", f"q.clock {life.q.clock}", LOOK_CLOCK)
        if found := found or life.take(7):
            return found
        life.flight = [head for head, _ in flight] + [7]
        if found := life.begin(9):
            return found
    return None


Work = Sequence[int]
"""Heads to take; a negative one, -1 - head, is given back."""


def _does(life: Life, work: Work) -> Difference | None:
    return first(
        life.take(each) if each >= 0 else life.give(-1 - each, 100 - each) for each in work
    )


def works(*work: int, start: int = 0, size: int = 8) -> Run:
    """This work, in a life without an end."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        life = noted(answer, start, size=size)
        return life.begin(start & 0xFFFF) or _does(life, work)

    return run


def killed(work: Work, last: int, start: int = 0) -> Run:
    """After this work, the process is killed at each store of `last`; and the next one begins."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        for step in range(STORES):
            life = noted(answer, start)
            if found := life.begin(start & 0xFFFF) or _does(life, work):
                return found
            life.die(step)
            if found := _does(life, [last]):
                return found
            if life.steps < step:
                return None
            if found := life.begin(0):
                return found
        return None

    return run


def killed_at_start(
    flight: Flight, given: Sequence[int], prepare: Callable[[Life], None] | None = None
) -> Run:
    """A start with these notes, killed at each of its stores; the next one must do as well."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        for step in range(STORES):
            life = noted(answer, 5, flight, given)
            if prepare:
                prepare(life)
            over, found = life.die_at_start(step)
            if found or over:
                return found
        return None

    return run


def any_life(answer: Answer, rng: Random) -> Difference | None:
    """Many processes on one ring, each killed somewhere."""
    for _ in range(3):
        size = 1 << rng.randrange(1, 5)
        life = noted(answer, rng.choice((0, 65_533, rng.getrandbits(16))), size=size)
        for _ in range(4):
            if found := life.begin(rng.getrandbits(16)):
                return found
            for _ in range(rng.randrange(8)):
                free = [head for head in range(size) if head not in life.flight]
                if free and (not life.flight or rng.random() < 0.6):
                    found = life.take(rng.choice(free))
                elif life.flight:
                    found = life.give(rng.choice(life.flight), rng.randrange(600))
                if found:
                    return found
            free = [head for head in range(size) if head not in life.flight]
            life.die(rng.randrange(7))
            take = free and (not life.flight or rng.random() < 0.4)
            if found := life.take(free[0]) if take else life.give(rng.choice(life.flight), 7):
                return found
    return None


def any_notes(answer: Answer, rng: Random) -> Difference | None:
    """Notes that anybody may have written."""
    for _ in range(16):
        size = 1 << rng.randrange(1, 6)
        heads = rng.sample(range(size), rng.randrange(size + 1))
        cut = rng.randrange(len(heads) + 1)
        counters = rng.sample(range(1 << 20), len(heads))
        flight = list(zip(heads, counters, strict=True))
        used = rng.choice((0, 3, rng.getrandbits(16)))
        life = noted(answer, used, flight, heads[:cut], size, rng.choice((0, 1, 1, 1, 1, 2)))
        if rng.random() < 0.3:
            life.notes.header["used_idx"] = (used + rng.randrange(-size - 2, 3)) & 0xFFFF
        if rng.random() < 0.2:
            life.notes.states["next"][rng.randrange(size)] = rng.randrange(2 * size)
        if found := life.begin(used):
            return found
    return None
