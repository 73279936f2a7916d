"""Task 4 of problem set 4: pop. The judge is the ring, and its guest cannot be trusted.

`walk` is given, so that a case can say what a chain is: buffers, or a word. Some guests change an
entry as soon as it was read, and what counts then is what was read first.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps4.avail_ring import Ring
from virtlab.course.tasks import Case, Difference, Run, Task


def _pops(
    size: int,
    heads: list[int],
    count: int,
    start: int = 0,
    by: int | None = None,
    in_flight: int = 0,
    prepare: Callable[[Ring], None] | None = None,
    strike: bool = False,
) -> Run:
    """`count` pops after these heads were offered."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        ring = Ring(answer, size, start, in_flight)
        ring.offer(*heads, by=by)
        if prepare:
            prepare(ring)
        return first(ring.pop(strike) for _ in range(count))

    return run


def _refuses(head: int, word: str) -> Callable[[Ring], None]:
    return lambda ring: ring.bad.__setitem__(head, word)


def _later(answer: Answer, rng: Random) -> Difference | None:
    """A refused queue stays as it is: mended, it goes on with the same entry."""
    ring = Ring(answer, 8)
    ring.offer(3, 9, 5)
    found = first(ring.pop() for _ in range(3))
    ring.put(1, 4)
    return found or first(ring.pop() for _ in range(3))


def _returns(answer: Answer, rng: Random) -> Difference | None:
    """Chains go back in between: more than `size` come in all."""
    ring = Ring(answer, 4, 65534)
    for head in (1, 3, 0, 2, 2, 1, 3):
        ring.offer(head)
        if found := ring.pop() or ring.pop():
            return found
        ring.q.in_flight = ring.expected["in_flight"] = 0
        ring.q.pushed = ring.expected["pushed"] = ring.expected["last_avail"]
    return None


def _any_guest(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(15):
        size = 1 << rng.randrange(6)
        start = rng.choice((0, 65535, rng.randrange(1 << 18)))
        in_flight = min(rng.randrange(size + 1), start)
        ring = Ring(answer, size, start, in_flight)
        for head in rng.sample(range(size), rng.randrange(size)):
            if rng.random() < 0.3:
                ring.bad[head] = rng.choice(("loop", "order", "range"))
        heads = [rng.randrange(size) for _ in range(rng.randrange(size - in_flight + 1))]
        if heads and rng.random() < 0.3:
            heads[rng.randrange(len(heads))] = rng.getrandbits(16)
        wild = rng.random() < 0.3
        ring.offer(*heads, by=rng.getrandbits(16) if wild else None)
        if found := first(ring.pop(rng.random() < 0.3) for _ in range(4)):
            return found
    return None


POP = Task(
    "ps4.q4",
    "take a chain off the ring",
    ("pop",),
    ("S38", "S39"),
    lines=14,
    minutes=20,
    difficulty=3,
    points=5,
    cases=(
        Case("an empty ring", _pops(8, [], 2)),
        Case("one chain", _pops(8, [3], 1)),
        Case("and then none", _pops(8, [3], 3)),
        Case("three chains", _pops(8, [3, 0, 5], 4)),
        Case("in the middle of the ring", _pops(8, [6, 2], 3, start=5)),
        Case("round the ring", _pops(4, [2, 0, 3], 4, start=3)),
        Case("past entry 65535", _pops(8, [1, 7, 0], 4, start=65534)),
        Case("long after", _pops(8, [1, 7], 3, start=0x3_FFFF)),
        Case("a full ring", _pops(4, [3, 1, 0, 2], 5)),
        Case("idx beyond the ring", all_of(_pops(8, [1], 2, by=9), _pops(8, [1], 1, by=300))),
        Case("idx ran backwards", all_of(_pops(8, [], 2, start=5, by=-1), _pops(4, [], 1, by=-1))),
        Case(
            "with others in flight",
            all_of(
                _pops(8, [2, 6], 3, start=6, in_flight=6),
                _pops(8, [2, 6, 1], 2, start=6, in_flight=6),
            ),
        ),
        Case("more than it can be", _pops(4, [2], 2, start=4, in_flight=4)),
        Case("a head out of range", all_of(_pops(8, [8], 2), _pops(8, [1, 0xFFFF], 3))),
        Case("a chain is refused", _pops(8, [2, 1], 3, prepare=_refuses(1, "order"))),
        Case("nothing moves", _later),
        Case("chains come back", _returns),
        Case(
            "a guest that changes its mind",
            all_of(_pops(8, [3], 1, strike=True), _pops(4, [1, 2], 2, start=2, strike=True)),
        ),
        Case("any guest", _any_guest),
    ),
    hints=(
        "How many chains wait? Both counts run on, but idx has 16 bits only: the difference has to "
        "be taken in 16 bits too.",
        "Four things can be wrong, in this order: nothing is there, idx is too far, the head is no "
        "index, walk refuses. Each is an early return, and the record changes behind the last.",
        "Read idx into a variable, (idx - last_avail) & 0xffff chains wait; with those in flight "
        "there are at most `size`. The entry is at avail + 4 + 2 * (last_avail % size). Call walk "
        "once, and ask isinstance(..., str).",
    ),
)
