"""Task 5 of problem set 4: push and get_buf. The judge is the used ring, byte by byte.

A push must leave one element and one index, in that order, and nothing else. A get_buf is given
rings that a case wrote by hand, those of a broken device among them. At the end both work on one
ring, and what was pushed must come out, in the order of the pushes.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps4.used_ring import Chains, Getter, Pusher
from virtlab.course.tasks import Case, Difference, Run, Task


def _pushes(size: int, *elements: tuple[int, int], start: int = 0) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pusher = Pusher(answer, size, start, len(elements))
        return first(pusher.push(*one) for one in elements)

    return run


THREE: Chains = {3: ("a", [3], 0), 0: ("b", [0, 1, 2], 513), 4: ("c", [4, 6], 4096)}
Elements = list[tuple[int, int]]


def _gets(
    count: int, elements: Elements, start: int = 0, by: int | None = None, size: int = 8
) -> Run:
    """`count` get_bufs of a driver with `THREE` chains, of which these were used."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        getter = Getter(answer, size, start, THREE)
        getter.uses(*elements, by=by)
        return first(getter.get() for _ in range(count))

    return run


def _any_pushes(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(6):
        size = 1 << rng.randrange(7)
        pusher = Pusher(answer, size, rng.choice((0, 65534, rng.randrange(1 << 20))), 20)
        for _ in range(5):
            if found := pusher.push(rng.randrange(size), rng.getrandbits(rng.choice((9, 32)))):
                return found
    return None


def any_chains(rng: Random, size: int) -> Chains:
    """Chains of one to three descriptors, somewhere in a ring of `size`."""
    slots = rng.sample(range(size), rng.randrange(1, size + 1))
    chains: Chains = {}
    while slots:
        mine = [slots.pop() for _ in range(min(len(slots), rng.randrange(1, 4)))]
        chains[mine[0]] = (f"t{len(chains)}", mine, rng.choice((0, 1, 512, 70_000)))
    return chains


def _any_gets(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(20):
        size = 1 << rng.randrange(6)
        chains = any_chains(rng, size)
        getter = Getter(answer, size, rng.choice((0, 65533, rng.randrange(1 << 20))), chains)
        heads = rng.sample(list(chains), rng.randrange(len(chains) + 1))
        elements = [(head, rng.choice((0, 1, 512, rng.getrandbits(32)))) for head in heads]
        if elements and rng.random() < 0.3:
            elements[rng.randrange(len(elements))] = rng.choice((rng.getrandbits(32), size)), 1
        wild = rng.getrandbits(16) if rng.random() < 0.2 else None
        getter.uses(*elements, by=wild)
        if found := first(getter.get() for _ in range(len(elements) + 1)):
            return found
    return None


def _together(answer: Answer, rng: Random) -> Difference | None:
    """What one end pushes, the other gets."""
    for start in (0, 65530):
        chains = any_chains(rng, 32)
        getter = Getter(answer, 32, start, chains)
        pusher = Pusher(answer, 32, start, len(chains))
        getter.ram.bytes[:] = pusher.ram.bytes
        for head in rng.sample(list(chains), len(chains)):
            written = rng.randrange(600)
            if found := pusher.push(head, written):
                return found
            getter.ram.bytes[:] = pusher.ram.bytes
            getter.idx = (getter.idx + 1) & 0xFFFF
            if rng.random() < 0.4 and (found := getter.get()):
                return found
        if found := first(getter.get() for _ in range(len(getter.chains) + 1)):
            return found
    return None


RETURN = Task(
    "ps4.q5",
    "give it back, get it back",
    ("push", "get_buf"),
    ("S38", "S39"),
    lines=15,
    minutes=20,
    difficulty=3,
    points=5,
    cases=(
        Case("one push", _pushes(8, (3, 513))),
        Case("nothing written", _pushes(8, (5, 0))),
        Case("in another order", _pushes(8, (5, 1), (0, 0), (7, 4096))),
        Case("a large len", _pushes(8, (1, 0x1_0001), (2, 0xFFFF_FFFF))),
        Case("round the used ring", _pushes(4, (0, 1), (1, 2), (2, 3), start=2)),
        Case("push past 65535", _pushes(8, (0, 1), (1, 2), (2, 3), start=65534)),
        Case("pushed long after", _pushes(8, (6, 9), start=0x4_FFFE)),
        Case("any pushes", _any_pushes),
        Case("nothing used", all_of(_gets(2, []), _gets(1, [], start=70_000))),
        Case("one buffer", _gets(1, [(3, 0)])),
        Case("a chain of three", _gets(2, [(0, 513)])),
        Case("out of order", _gets(4, [(4, 7), (3, 0), (0, 512)])),
        Case("round the ring", _gets(3, [(0, 1), (4, 2), (3, 0)], start=6)),
        Case("get past 65535", _gets(4, [(0, 1), (4, 2), (3, 0)], start=65534)),
        Case("long after", _gets(3, [(4, 1), (0, 1)], start=0x3_FFFF)),
        Case("a len too large", _gets(2, [(3, 8), (0, 0xFFFF_FFFF)])),
        Case("an unknown id", all_of(_gets(2, [(5, 0)]), _gets(1, [(0x1_0003, 0)]))),
        Case("an id for the second time", _gets(3, [(3, 0), (3, 0)])),
        Case("a slot that is no head", _gets(2, [(1, 0)])),
        Case("more than was exposed", all_of(_gets(1, [(3, 0)], by=4), _gets(1, [(3, 0)], by=-1))),
        Case("any device", _any_gets),
        Case("both ends", _together),
    ),
    hints=(
        "Both rings have the same form; only that an element has 8 bytes, and who writes it. In "
        "which order must element and idx be written? And read?",
        "get_buf believes idx as little as it believes id. The difference of idx and last_used, in "
        "16 bits, says how many elements are new; how many could there be at most?",
        "push: the element is at used + 4 + 8 * (pushed % size); store pushed & 0xffff at "
        "used + 2 when you have counted it. get_buf: dict.pop takes a chain out of q.chains, and "
        "min bounds the bytes. Change nothing before both questions are answered.",
    ),
)
