"""Task 2 of problem set 5: a front-end for the entropy device. The judge is a device with a plan.

First the offer is right, with a device that answers at once and fills everything. Then the device
takes its liberties one by one: it writes less, answers later, in another order, in groups, or not.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps5.entropy_bench import Bench, Plan
from virtlab.course.tasks import Case, Difference, Run, Task


def _reads(
    *amounts: int, count: int = 4, size: int = 64, plan: Plan | None = None, entries: int = 16,
    tidy: bool = True,
) -> Run:  # fmt: skip
    """One read after the other, of one device."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, rng, count, size, plan or Plan(), entries)
        return first(bench.read(n, tidy) for n in amounts)

    return run


LESS = Plan(lambda number, room: room // 2 or 1, told="writes half of each buffer")
ONE = Plan(lambda number, room: 1, told="writes one byte into each buffer")
SOME = Plan(lambda number, room: (room, 5, 1)[number % 3], told="writes all, then 5 bytes, then 1")
BACKWARDS = Plan(
    SOME.written, backwards=True, told="answers the last buffer first, and writes less"
)
LATER = Plan(at_once=False, group=1, told="gives back one buffer for each wait")
TOGETHER = Plan(at_once=False, told="gives all back with one interrupt")
PAIRS = Plan(at_once=False, group=2, told="gives back two buffers with one interrupt")
FOR_NOTHING = Plan(at_once=False, group=1, early=2, told="interrupts twice for nothing first")


def _empty(at: int, at_once: bool = True) -> Plan:
    told = f"writes nothing into buffer number {at}"
    return Plan(lambda number, room: 0 if number == at else room, at_once, told=told)


def _silent(after: int) -> Plan:
    return Plan(at_once=False, group=1, last=after, told=f"falls silent after {after} buffers")


def _any_plan(rng: Random) -> Plan:
    few = rng.choice((0.0, 0.5, 1.0))
    return Plan(
        lambda number, room: 1 + rng.randrange(room) if rng.random() < few else room,
        at_once=rng.random() < 0.4,
        group=rng.randrange(4),
        early=rng.randrange(3),
        backwards=rng.random() < 0.4,
        told="does as it likes",
    )


def _any_device(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(5):
        count, size = rng.randrange(1, 9), rng.choice((1, 7, 64, 100))
        bench = Bench(answer, rng, count, size, _any_plan(rng), 1 << rng.randrange(1, 5))
        if found := first(bench.read(rng.randrange(3 * count * min(size, 12))) for _ in range(2)):
            return found
    return None


ENTROPY = Task(
    "ps5.q2",
    "a front-end for the entropy device",
    ("read",),
    ("S32", "S35", "S38"),
    lines=22,
    minutes=25,
    difficulty=3,
    points=5,
    cases=(
        Case("one buffer", _reads(64, tidy=False)),
        Case("nothing wanted", _reads(0)),
        Case("less than a buffer", all_of(_reads(10, tidy=False), _reads(1, tidy=False))),
        Case("two buffers", _reads(100, count=2, tidy=False)),
        Case("fewer than there are", _reads(130, tidy=False)),
        Case("more than they hold", _reads(300, count=2, tidy=False)),
        Case("a small queue", _reads(200, entries=2, tidy=False)),
        Case("one round and no more", _reads(256, count=4, tidy=False)),
        Case("half of each", _reads(64, 200, plan=LESS, tidy=False)),
        Case("one byte each", _reads(9, plan=ONE, tidy=False)),
        Case("some of each", _reads(150, plan=SOME, tidy=False)),
        Case("in another order", _reads(150, plan=BACKWARDS, tidy=False)),
        Case("nothing is left behind", all_of(_reads(300), _reads(100, plan=SOME))),
        Case("read after read", _reads(64, 10, 0, 300, 1, plan=SOME)),
        Case("it takes a while", _reads(64, 200, plan=LATER), costs=True),
        Case("one interrupt for all", _reads(200, 100, plan=TOGETHER)),
        Case("one interrupt for two", _reads(200, 300, plan=PAIRS)),
        Case("an interrupt for nothing", _reads(128, plan=FOR_NOTHING)),
        Case(
            "an empty buffer",
            all_of(_reads(64, plan=_empty(0)), _reads(64, plan=_empty(0, at_once=False))),
        ),
        Case("an empty buffer among others", _reads(200, plan=_empty(2))),
        Case("no answer", _reads(64, plan=_silent(0))),
        Case("some, then no answer", all_of(*(_reads(400, plan=_silent(n)) for n in (1, 4, 5)))),
        Case("any device", _any_device),
    ),
    hints=(
        "Begin with one buffer and a device that answers at once: add_buf, kick, get_buf, and then "
        "read from memory. How many bytes? Then a loop for the buffers of a round.",
        "Count how many buffers you have added; so many must come back before the next round. "
        "Inside that loop is another one: as long as get_buf gives None, wait.",
        "Let the token be the gpa: then it says where the bytes are. buffers[: queue.free] are "
        "those that fit, and min(size, missing) is how much each may hold. The outer loop goes on "
        "until len(data) is n, however little the device gave.",
    ),
)
