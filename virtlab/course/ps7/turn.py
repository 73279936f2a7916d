"""Task 3 of problem set 7: one turn of the ring. The judge is a driver that works meanwhile.

`turn` uses the student's own `pop`, `push` and `should_interrupt` of problem set 4, or those of
`parts`. The cases begin with a ring at rest; at the end the guest adds chains at every moment.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps7.turn_bench import LOOK_ARM, Bench, any_bench
from virtlab.course.tasks import Case, Difference, Run, Task

MOMENTS = 40
"""Accesses of a turn before which the guest is let in."""


def _turns(
    *heads: int,
    size: int = 8,
    start: int = 0,
    event_idx: bool = True,
    flags: int = 0,
    event: int | None = None,
    in_flight: int = 0,
    prepare: Callable[[Bench], None] | None = None,
) -> Run:
    """One turn with these chains; `event` counts from what was pushed, which is the default."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, size, start, event_idx, in_flight)
        bench.listens(flags, (start - in_flight + (event or 0)) & 0xFFFF)
        if prepare:
            prepare(bench)
        bench.offer(*heads)
        return bench.turn()

    return run


def _refuses(head: int, word: str) -> Callable[[Bench], None]:
    return lambda bench: bench.bad.__setitem__(head, word)


def _no_request(head: int) -> Callable[[Bench], None]:
    return lambda bench: bench.broken.add(head)


def _again_and_again(event_idx: bool) -> Run:
    """Turn after turn of one ring: what one leaves, the next begins with."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, 8, 65_530, event_idx)
        for heads in ((1, 2), (3,), (), (0, 4, 5, 6), (7,)):
            bench.offer(*heads)
            bench.listens(0, bench.q.pushed & 0xFFFF)
            if found := bench.turn():
                return found
        return None

    return run


def _woken(answer: Answer, rng: Random) -> Difference | None:
    """The chain that comes next rings."""
    for start in (0, 65_535):
        for heads in ((), (2, 5)):
            bench = Bench(answer, 8, start)
            bench.offer(*heads)
            if found := bench.turn():
                return found
            bench.kicks = 0
            bench.offer(6)
            if not bench.kicks:
                return Difference("the next chain rings", "it does not", LOOK_ARM)
    return None


def _meanwhile(answer: Answer, rng: Random) -> Difference | None:
    """The guest adds chains before any one access of the turn."""
    for heads, count in (((), 1), ((), 2), ((2,), 1), ((2, 5), 2)):
        start = rng.choice((0, 65_533))
        for moment in range(MOMENTS):
            bench = Bench(answer, 16, start)
            bench.offer(*heads)
            found = _interrupted(bench, moment, count)
            if found:
                return found
            if bench.count <= moment:
                break
    return None


def _interrupted(bench: Bench, moment: int, count: int) -> Difference | None:
    """A turn in which the guest adds so many; where it rang, the turn after it does the rest."""
    bench.when = {moment: count}
    told = f"; before access {moment} of the turn the guest adds {count}"
    found = bench.turn(told)
    bench.when = {}
    if found is None and bench.waiting:
        found = bench.turn(f"{told}, and rings: this is the turn after")
    return found


def _endless(answer: Answer, rng: Random) -> Difference | None:
    """A guest that adds a chain whenever there is room."""
    for size in (2, 8, 16):
        bench = Bench(answer, size, 5)
        bench.offer(1)
        bench.endless = True
        if found := bench.turn("; the guest adds whenever there is room"):
            return found
    return None


def _any_turn(answer: Answer, rng: Random) -> Difference | None:
    return first(any_bench(answer, rng).turn() for _ in range(24))


TURN = Task(
    "ps7.q3",
    "one turn of the ring",
    ("turn",),
    ("B04", "S39", "S40", "B02"),
    lines=20,
    minutes=40,
    difficulty=4,
    points=7,
    cases=(
        Case("an empty ring", _turns()),
        Case("one chain", _turns(3)),
        Case("a batch", _turns(3, 0, 5, 1)),
        Case("past 65535", _turns(1, 7, 0, 2, start=65_534)),
        Case(
            "long after",
            all_of(_turns(1, 7, start=0x3_FFFF), _turns(1, 7, start=0x3_FFFF, event=-1)),
        ),
        Case("without EVENT_IDX", all_of(_turns(event_idx=False), _turns(4, 2, event_idx=False))),
        Case(
            "a driver that does not listen",
            all_of(_turns(4, 2, event_idx=False, flags=1), _turns(4, 2, event_idx=False, flags=2)),
        ),
        Case(
            "a threshold in the batch",
            all_of(*(_turns(3, 0, 5, 1, event=n, flags=1) for n in range(4))),
        ),
        Case(
            "a threshold elsewhere",
            all_of(*(_turns(3, 0, 5, 1, event=n) for n in (-1, 4, 5, 300))),
        ),
        Case(
            "with others in flight",
            all_of(*(_turns(3, 0, start=9, in_flight=2, event=n) for n in (0, 1, 2, -1))),
        ),
        Case(
            "nothing done, nobody told",
            all_of(_turns(event=-1), _turns(event=0), _turns(event_idx=False)),
        ),
        Case("the next one rings", _woken),
        Case(
            "turn after turn",
            all_of(_again_and_again(True), _again_and_again(False)),
            costs=True,
        ),
        Case("as many as there are", _turns(3, 0, 1, 2, size=4)),
        Case("as many, no threshold", _turns(3, 0, 1, 2, size=4, event_idx=False)),
        Case("a guest that adds for ever", _endless),
        Case("a guest that adds meanwhile", _meanwhile),
        Case(
            "a chain is refused",
            all_of(
                _turns(3, prepare=_refuses(3, "loop")),
                _turns(3, 9, 2),
                _turns(3, 5, 2, prepare=_refuses(2, "order")),
            ),
        ),
        Case(
            "refused, and the driver is told",
            all_of(
                _turns(3, 5, 2, event=1, prepare=_refuses(2, "order")),
                _turns(3, 5, 2, event=2, prepare=_refuses(2, "order")),
                _turns(3, 5, 2, event_idx=False, prepare=_refuses(2, "order")),
            ),
        ),
        Case(
            "no request",
            all_of(
                _turns(3, prepare=_no_request(3)),
                _turns(3, 5, 2, 4, prepare=_no_request(2)),
                _turns(3, 5, 2, event_idx=False, prepare=_no_request(5)),
            ),
        ),
        Case("any turn", _any_turn),
    ),
    hints=(
        "A turn is a loop round pop with four exits: nothing is left, a word came, serve gave a "
        "word, it has run `size` times. The question to the driver comes behind the loop, once, "
        "whatever the exit was.",
        "When pop gives None, the device is about to sleep. It names the entry that shall ring, "
        "and then it must ask pop once more: a chain that came between the two rang for nobody. "
        "Only if that gives None too, it sleeps.",
        "for _ in range(q.size) bounds it, and the else of that for is the state 'more'. The "
        "threshold is q.last_avail, 2 bytes at q.used + 4 + 8 * q.size. Keep q.pushed of the "
        "beginning for should_interrupt.",
    ),
)
