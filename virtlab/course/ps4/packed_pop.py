"""Task 7 of problem set 4: pop, from a packed ring. The judge is the driver that wrote it.

Cases go round rings of odd sizes, so that a list lies over the end and its descriptors belong to
two laps. What was read counts too: flags before the rest, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of, first
from virtlab.course.ps4.machines import RAM
from virtlab.course.ps4.packed_device import Ring
from virtlab.course.ps4.packed_lists import Piece
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed_layouts import AVAIL, USED

ONE: list[Piece] = [(0x8000, 16, 0)]
FILL: list[Piece] = [(0x9000, 512, WRITE)]
DISK: list[Piece] = [(0x8000, 16, 0), (0x9000, 512, WRITE), (0x8010, 1, WRITE)]
List = tuple[list[Piece], int]


def _pops(
    size: int,
    lists: list[List],
    count: int,
    start: int = 0,
    then: Callable[[Ring], None] | None = None,
) -> Run:
    """`count` pops after these lists were offered."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        ring = Ring(answer, size, start)
        for pieces, ident in lists:
            ring.guest.offer(pieces, ident)
        if then:
            then(ring)
        return first(ring.pop() for _ in range(count))

    return run


def _puts(flags: dict[int, int], length: int = 16, ident: int = 3) -> Callable[[Ring], None]:
    """Descriptors that no honest driver writes: their flags, by slot."""

    def put(ring: Ring) -> None:
        for slot, bits in flags.items():
            ring.guest.put(slot, 0x8000, length, ident, bits)

    return put


def _crowd(ring: Ring) -> None:
    """A driver that offers a list of four, where the device holds one of four slots."""
    ring.guest.offer([*DISK, (64, 8, WRITE)], 2)


def _mistakes(answer: Answer, rng: Random) -> Difference | None:
    """The first that is asked about counts, and id is asked about last."""
    for lists in ([(ONE, 1), ([(64, 0, 0)], 1)], [(ONE, 1), ([*FILL, *ONE], 1)]):
        if found := _pops(4, lists, 2)(answer, rng):
            return found
    gap = {0: AVAIL | NEXT, 1: INDIRECT}
    full = {0: AVAIL | NEXT | INDIRECT, 1: INDIRECT}
    empty = {0: AVAIL | NEXT | WRITE, 1: AVAIL}
    return first(_pops(4, [], 1, then=_puts(one, 0))(answer, rng) for one in (gap, full, empty))


def _laps(size: int, *lists: list[Piece]) -> Run:
    """One list after the other, each given back at once, round and round."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        ring = Ring(answer, size)
        for number in range(3 * size):
            ring.guest.offer(lists[number % len(lists)], number % 5)
            if found := ring.pop() or ring.pop():
                return found
            _give_back(ring, number % 5)
        return None

    return run


def _give_back(ring: Ring, ident: int) -> None:
    """The device is done; both records forget the list, and its slots are marked as used."""
    count = ring.guest.in_flight[ident]
    ring.guest.give_back(ident)
    ring.q.in_flight = dict(ring.guest.in_flight)
    for back in range(1, count + 1):
        ring.guest.mark_used(ring.guest.position - back)


def _full_again(ring: Ring) -> None:
    """A driver that offers what the device still holds, one lap further."""
    ring.guest.in_flight = {1: ring.guest.rings.size}
    ring.q.in_flight = {1: ring.guest.rings.size}


def _any_driver(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(5):
        size = rng.randrange(1, 12)
        ring = Ring(answer, size, rng.randrange(4 * size))
        for _ in range(20):
            if rng.random() < 0.5 and ring.guest.in_flight:
                _give_back_all(ring)
            ahead = ring.guest.offered - ring.guest.position
            room = ring.guest.room - ahead
            if room > 0:
                free = [ident for ident in range(16) if ident not in ring.guest.in_flight]
                ring.guest.offer(any_list(rng, room), rng.choice(free), rng.getrandbits(16))
            found = ring.pop() or (ring.pop() if rng.random() < 0.3 else None)
            if found:
                return found
    return None


def _give_back_all(ring: Ring) -> None:
    """Everything in flight is done."""
    held = sum(ring.guest.in_flight.values())
    ring.guest.in_flight.clear()
    ring.q.in_flight = {}
    for back in range(1, held + 1):
        ring.guest.mark_used(ring.guest.position - back)


def any_list(rng: Random, room: int) -> list[Piece]:
    """A list of at most `room`, those to read first."""
    count = rng.randrange(1, min(room, 4) + 1)
    reads = rng.randrange(count + 1)
    return [
        (rng.randrange(0x8000, 0xF000), rng.randrange(1, 4096), 0 if number < reads else WRITE)
        for number in range(count)
    ]


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(40):
        size = rng.randrange(1, 7)
        ring = Ring(answer, size, rng.randrange(3 * size))
        held = rng.randrange(size + 1)
        ring.guest.in_flight = {9: held} if held else {}
        ring.q.in_flight = dict(ring.guest.in_flight)
        for number in range(size):
            position = ring.guest.position + number
            wrap = 1 - position // size % 2
            marks = AVAIL if wrap else USED
            if rng.random() < 0.15:
                marks = rng.choice((0, AVAIL, USED, AVAIL | USED))
            flags = marks | rng.choice((NEXT, NEXT, WRITE, NEXT | WRITE, 0, INDIRECT | NEXT))
            length, ident = rng.choice((0, 1, 512, 512)), rng.choice((9, 3, 4))
            ring.guest.put(position, rng.randrange(RAM), length, ident, flags)
        if found := ring.pop() or ring.pop():
            return found
    return None


PACKED = Task(
    "ps4.q7",
    "pop from a packed ring",
    ("pop_packed",),
    ("B01",),
    lines=30,
    minutes=30,
    difficulty=4,
    points=6,
    cases=(
        Case("an empty ring", _pops(4, [], 2)),
        Case("one descriptor", _pops(4, [(ONE, 7)], 1)),
        Case("one to be written", _pops(4, [(FILL, 7)], 2)),
        Case("two lists", _pops(4, [(ONE, 7), (FILL, 2)], 3)),
        Case("a list of three", _pops(8, [(DISK, 5)], 2)),
        Case("lists of every length", _pops(8, [(DISK, 5), (ONE, 0), (DISK, 1)], 4)),
        Case("used in this lap", _pops(4, [], 1, then=_puts({0: AVAIL | USED}))),
        Case("the second lap", _pops(8, [(ONE, 1), (DISK, 2)], 3, start=8)),
        Case(
            "left over from a lap",
            all_of(
                _pops(4, [], 1, start=4),
                _pops(4, [], 1, start=4, then=_puts({0: AVAIL})),
                _pops(4, [], 1, start=8, then=_puts({0: USED})),
            ),
        ),
        Case("up to the last slot", _pops(4, [(ONE, 1), (DISK, 2)], 3)),
        Case("round the end", _pops(5, [(ONE, 1), (FILL, 2)], 3, start=4)),
        Case(
            "a list over the end",
            all_of(_pops(5, [(DISK, 6)], 2, start=3), _pops(5, [(DISK, 6)], 2, start=9)),
        ),
        Case("a list of the whole ring", _pops(3, [(DISK, 4)], 1, start=1)),
        Case("three laps", all_of(_laps(5, ONE, DISK, FILL), _laps(1, ONE), _laps(3, DISK))),
        Case("a large id", _pops(4, [(DISK, 0xFFFF)], 1)),
        Case("reserved flags", _pops(4, [], 1, then=_puts({0: AVAIL | 0x7F78}))),
        Case(
            "NEXT all around",
            _pops(
                3,
                [],
                2,
                then=_puts(dict.fromkeys(range(3), AVAIL | NEXT)),
            ),
        ),
        Case(
            "no room",
            _pops(
                4,
                [(ONE, 1)],
                2,
                then=_crowd,
            ),
        ),
        Case("offered while in flight", _pops(2, [(ONE, 3)], 1, start=2, then=_full_again)),
        Case(
            "a gap",
            all_of(
                _pops(8, [], 2, then=_puts({0: AVAIL | NEXT})),
                _pops(
                    4,
                    [],
                    1,
                    start=3,
                    then=_puts({3: AVAIL | NEXT, 0: AVAIL}),
                ),
            ),
        ),
        Case("INDIRECT", _pops(4, [], 1, then=_puts({0: AVAIL | INDIRECT}, 32))),
        Case("0 bytes", _pops(4, [], 2, then=_puts({0: AVAIL}, 0))),
        Case("readable behind writable", _pops(4, [([*FILL, *ONE], 1)], 2)),
        Case("an id in flight", _pops(4, [(ONE, 1), (FILL, 1)], 3)),
        Case("two mistakes", _mistakes),
        Case("any driver", _any_driver),
        Case("a hostile driver", _hostile),
    ),
    hints=(
        "Which two bits say that a descriptor is the device's? Write a function of flags and wrap "
        "for it. No index stands in memory, so this is the only question that can be asked.",
        "Go through the list with a slot and a wrap of your own, and copy them to q at the end, if "
        "nothing was refused. Both change together at the end of the ring, in the middle of a list "
        "too.",
        "One read of 16 bytes has all of a descriptor: addr 8, len 4, id 2, flags 2. In each round "
        "ask whether it is available (none if it is the first), whether there is room for one "
        "more, and for INDIRECT. Look at the buffers and at the id when the list is whole.",
    ),
)
