"""Task 3 of problem set 5: a random source with two registers. The judge is a twin in ten lines.

Both devices get the same accesses, and every read is compared. Then the device is mapped on a bus,
and at last the student's driver drives the twin, with each of its accesses noted.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.budget import BudgetCpu
from virtlab.course.given.random_numbers import numbers, stream
from virtlab.course.ps3.machines import first
from virtlab.course.ps5.register_twins import (
    LOOK_ACCESSES,
    LOOK_BUS,
    LOOK_FILL,
    LOOK_OTHER,
    LOOK_OWN,
    NEXT,
    SEED,
    WORD,
    Mapped,
    Pair,
    Step,
    Twin,
    guest,
)
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown


def _r(offset: int = NEXT, size: int = WORD) -> Step:
    return "read", offset, size, 0


def _w(value: int, offset: int = SEED, size: int = WORD) -> Step:
    return "write", offset, size, value


def _runs(*steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pair = Pair(answer)
        return first(pair.step(step) for step in steps)

    return run


def _disturbed(*steps: Step) -> Run:
    """Each of these changes nothing: what NEXT reads afterwards is what it would have been."""
    each = [_runs(_w(77), _r(), step, _r(), _r()) for step in steps]
    return lambda answer, rng: first(run(answer, rng) for run in each)


def _any_seeds(answer: Answer, rng: Random) -> Difference | None:
    pair = Pair(answer)
    steps = [_w(rng.getrandbits(32)) if rng.random() < 0.2 else _r() for _ in range(60)]
    return first(pair.step(step) for step in steps)


def _two_devices(answer: Answer, rng: Random) -> Difference | None:
    one, other = Pair(answer), Pair(answer)
    found = one.step(_w(5)) or other.step(_r()) or one.step(_r()) or other.step(_r())
    return found._replace(look=LOOK_OWN) if found else None


def _any_accesses(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(2):
        pair = Pair(answer)
        for _ in range(60):
            offset, size = rng.choice((0, 4, 4, rng.randrange(12))), rng.choice((1, 2, 4, 4, 8))
            value = rng.getrandbits(rng.choice((1, 8 * size)))
            step = _r(offset, size) if rng.random() < 0.6 else _w(value, offset, size)
            if found := pair.step(step):
                return found
    return None


# -- on a bus


def _on_the_bus(answer: Answer, rng: Random) -> Difference | None:
    base = 0x1000 * rng.randrange(0x100, 0x10_0000)
    answer.given = f"RandomSource() at {base:#x}: the guest stores 9 to SEED, and loads NEXT"
    mapped = Mapped(answer.build("RandomSource"))
    cpu = guest(mapped, base)
    cpu.store(base, 9, 4)
    one, other, last = numbers(9, 3)
    right = [one, other << 32, last, 0, 0]
    got = [cpu.load(base + 4, 4), cpu.load(base, 8), cpu.load(base + 4, 4)]
    got += [cpu.load(base + 4, 1), cpu.load(base + 6, 2)]
    answer.given += ", then 8 bytes at SEED, NEXT, and pieces of NEXT"
    if type(mapped.odd) is not int:
        return Difference("a number", shown(mapped.odd), LOOK_OTHER)
    return compare(right, got, LOOK_BUS)


# -- the driver


def _fills(seed: int, *lengths: int) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        return first(_fill(answer, rng, seed, length) for length in lengths)

    return run


def _fill(answer: Answer, rng: Random, seed: int, length: int) -> Difference | None:
    """One fill, of the twin."""
    base = 0x1000 * rng.randrange(0x100, 0x10_0000)
    cpu = guest(Twin(), base)
    answer.given = f"fill(cpu, {base:#x}, {seed:#x}, {length})"
    yours = answer.call("fill", cpu, base, seed, length)
    right = stream(seed, length)
    if type(yours) is bytes and yours != right and length > 24:
        said = f"{len(yours)} bytes: {yours[:12].hex(' ')} ..."
        return Difference(f"{length} bytes: {right[:12].hex(' ')} ...", said, LOOK_FILL)
    found = compare(right, yours, LOOK_FILL)
    return found or _accesses(cpu, base, seed, -(-length // WORD))


def _accesses(cpu: BudgetCpu, base: int, seed: int, count: int) -> Difference | None:
    wanted = [(True, base + SEED, WORD, seed)]
    wanted += [(False, base + NEXT, WORD, number) for number in numbers(seed, count)]
    made = [(one.write, one.address, one.size, one.value) for one in cpu.accesses]
    if same(wanted, made):
        return None
    return Difference(f"1 store and {count} loads", _counted(made), LOOK_ACCESSES)


def _counted(made: Iterable[tuple[bool, int, int, int]]) -> str:
    made = list(made)
    stores = sum(one[0] for one in made)
    wide = "" if all(one[2] == WORD for one in made) else ", not all of 4 bytes"
    return f"{stores} store{'s' * (stores != 1)} and {len(made) - stores} loads{wide}"


def _any_fill(answer: Answer, rng: Random) -> Difference | None:
    amounts = (rng.randrange(200) for _ in range(12))
    return first(_fill(answer, rng, rng.getrandbits(32), length) for length in amounts)


REGISTERS = Task(
    "ps5.q3",
    "a random source with two registers",
    ("RandomSource", "fill"),
    ("S12", "S17", "S25"),
    lines=10,
    minutes=15,
    difficulty=2,
    points=4,
    cases=(
        Case("the first number", _runs(_r())),
        Case("the next ones", _runs(_r(), _r(), _r(), _r())),
        Case("a seed", _runs(_w(0x2545_F491), _r(), _r())),
        Case("the same seed again", _runs(_w(9), _r(), _r(), _w(9), _r(), _r())),
        Case("all ones", _runs(_w(0xFFFF_FFFF), _r(), _r(), _w(0x8000_0000), _r())),
        Case("the seed 0", _runs(_w(0), _r(), _w(5), _r(), _w(0), _r(), _r())),
        Case("SEED is read", _runs(_w(7), _r(SEED), _r(), _r(SEED), _r())),
        Case("NEXT is written", _disturbed(_w(5, NEXT), _w(0, NEXT))),
        Case("narrow reads", _disturbed(*(_r(at, n) for at in (0, 4) for n in (1, 2)))),
        Case("narrow writes", _disturbed(*(_w(3, at, n) for at in (0, 4) for n in (1, 2)))),
        Case(
            "between the registers",
            _disturbed(*(one for at in (1, 2, 3, 5) for one in (_r(at), _w(6, at)))),
        ),
        Case("wide accesses", _disturbed(_r(0, 8), _r(4, 8), _w(6, 0, 8), _w(6, 4, 8))),
        Case("behind them", _disturbed(*(one for at in (8, 12) for one in (_r(at), _w(6, at))))),
        Case("any seeds", _any_seeds),
        Case("any accesses", _any_accesses),
        Case("two devices", _two_devices),
        Case("on the bus", _on_the_bus),
        Case("one number", _fills(1, 4)),
        Case("some bytes", _fills(3, 6, 1)),
        Case("no bytes", _fills(3, 0)),
        Case("a page", _fills(0x1234_5678, 4096)),
        Case("from the seed 0", _fills(0, 8)),
        Case("any fill", _any_fill),
    ),
    hints=(
        "Which accesses do something? There are two: one read and one write. Write down offset and "
        "size of both; everything else is the same answer.",
        "Compare offset and size together, as a tuple. For the seed 0, `value or 1` is 1 if value "
        "is 0. In fill, first the store, then as many loads as the length needs, rounded up.",
        "How many loads: (length + 3) // 4. A number becomes bytes with to_bytes, and a slice cuts "
        "what is too long.",
    ),
)
