"""Task 8 of problem set 4: many chains at once. Judges: the scalar walk, and the clock.

First the arrays: on tables made by chance and by a hostile guest they must be those of `walk_each`,
in value and in dtype. Then the time: both walk the same 4096 chains in turn, and the best of each
counts. A ratio of two times in one process is the same on a slow machine and on a fast one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from virtlab.course.answers import Answer
from virtlab.course.given.scalar_walk import Arrays, walk_each
from virtlab.course.ps3.machines import Memory, first
from virtlab.course.ps4.chain_arrays import (
    CHAINS,
    LENGTH,
    Heads,
    Tables,
    any_table,
    compare_arrays,
    measured_table,
)
from virtlab.course.ps4.machines import BASE
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.virtio.layouts import NEXT, WRITE

LOOK_ONCE = "take one copy of the table, and work on that: a guest may change it"
LOOK_FAST = "array operations over all chains: one pass for each step, none for each chain"

RATIO = 20
"""How many times faster than the scalar walk the answer must be."""

ROUNDS, SLOW_ROUNDS, PATIENCE = 40, 3, 0.3
"""Rounds of measuring, in how many of them the slow walk is measured too, and the processor time
(s) after which no new one begins."""

HOPELESS = 4
"""An answer that takes so many times too long gets no more rounds than the slow walk."""


def _table(rows: dict[int, tuple[int, int, int, int]], size: int = 16) -> Tables:
    table = Tables(size)
    for index, row in rows.items():
        table.rows[index] = row
    return table


def _walk(
    answer: Answer, table: Tables, heads: list[int], longest: int, told: str
) -> Difference | None:
    """Let the student walk, and compare array by array."""
    ram = table.ram()
    numbers = np.array(heads, np.int64)
    right = walk_each(ram, BASE, table.size, numbers.copy(), longest)
    memory = Memory(ram)
    cut = f"{heads[:8]}{' and more' if len(heads) > 8 else ''}"
    answer.given = f"walk_many(memory, {BASE:#x}, {table.size}, {cut}, {longest}): {told}"
    yours = answer.call("walk_many", memory, BASE, table.size, numbers.copy(), longest)
    return compare_arrays(right, yours, ram, table.size, numbers, longest) or _once(memory)


def _once(memory: Memory) -> Difference | None:
    """Whether the table was read twice."""
    read = sum(access.length for access in memory.accesses)
    seen = {
        a
        for access in memory.accesses
        for a in range(access.address, access.address + access.length, 16)
    }
    if read > 16 * len(seen):
        return Difference("no byte is read twice", f"{read} bytes were read", LOOK_ONCE)
    return None


# -- what the cases do

N, W = NEXT, WRITE
SOME = {
    3: (0x4000, 16, 0, 0),
    5: (0x5000, 512, W, 9),
    1: (0x6000, 16, N, 7),
    7: (0x7000, 4096, N | W, 2),
    2: (0x8000, 1, W, 7),
    9: (0x9000, 8, N, 3),
    0: (0x1_0000_0000_0000, 0xFFFF_FFFF, 0, 0),
    15: (0xFFFF_FFFF_FFFF_FFFF, 1, 0xFFF0, 0),
}


def _walks(
    *calls: list[int], rows: dict[int, tuple[int, int, int, int]] | None = None, longest: int = 8
) -> Run:
    table = _table(SOME if rows is None else rows)
    told = "; ".join(
        f"t[{at}] flags {row[2]:#x} next {row[3]}" for at, row in list((rows or SOME).items())[:6]
    )
    return lambda answer, rng: first(_walk(answer, table, heads, longest, told) for heads in calls)


def _by_chance(wild: float) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        for _ in range(12):
            numbers = np.random.default_rng(rng.getrandbits(32))
            size, longest = 1 << rng.randrange(1, 9), rng.randrange(1, 9)
            table = any_table(numbers, size, longest, wild)
            limit = size + size * (wild > 0) // 8 + 1
            heads = numbers.integers(0, limit if wild else size, rng.randrange(1, 60)).tolist()
            if found := _walk(answer, table, heads, longest, "a table by chance"):
                return found
        return None

    return run


# -- the clock


def _settle() -> None:
    """Let the allocator see a large array go, so that it keeps what is freed from now on.

    Else the C library may return memory after each round and get it anew, page by page: a time that
    depends on what ran before.
    """
    np.empty(16 << 20, np.uint8)


Measured = tuple[Tables, Heads, Arrays]


def ratio(
    walk: Callable[..., object],
    make: Callable[[], Measured],
    goal: float = RATIO,
    clock: Callable[[], float] = time.thread_time,
    way: Callable[[object], None] | None = None,
) -> tuple[float, float, Difference | None]:
    """How many times faster `walk` is than the scalar one, its best time (s), and what is wrong.

    Both in turn, until `goal` is reached, something is wrong, or time is up. Each round has a table
    of its own from `make`: what an answer remembers of the last one is of no use. Time is this
    thread's processor time: that of the process moves in ticks while a case's timer runs. That of
    `walk` is what `clock` says, for it may run elsewhere. Then `way(arrays)` takes arrays there and
    back, and its time is taken off: but no more than an answer may take that is fast enough, for
    who is there may dawdle.
    """
    _settle()
    slow = fast = there = float("inf")
    best, begin, away = float("inf"), time.thread_time(), clock() if way else 0.0
    for number in range(ROUNDS):
        table, heads, right = make()
        ram, size = table.ram(), table.size
        if number < SLOW_ROUNDS:
            took, _ = _timed(time.thread_time, walk_each, ram, BASE, size, heads, LENGTH)
            slow = min(slow, took)
        took, yours = _timed(clock, walk, ram, BASE, size, heads.copy(), LENGTH)
        fast = min(fast, took)
        if found := compare_arrays(right, yours, ram, size, heads, LENGTH):
            return 0.0, 0.0, found
        if way is not None:
            there = min(there, _timed(clock, way, right)[0])
        best = fast - min(there, slow / RATIO, 7 * fast / 8) if way else fast
        late = time.thread_time() - begin > PATIENCE or (way and clock() - away > PATIENCE)
        if best * goal <= slow or late or _hopeless(number, best * goal / slow):
            break
    return slow / best, best, None


def _timed(clock: Callable[[], float], call: Callable[..., Any], *arguments: Any) -> Any:
    """Seconds of a call, and what it gives."""
    before = clock()
    value = call(*arguments)
    return clock() - before, value


def _hopeless(number: int, too_long: float) -> bool:
    return number + 1 >= SLOW_ROUNDS and too_long > HOPELESS


def _fast(answer: Answer, rng: Random) -> Difference | None:
    numbers = np.random.default_rng(rng.getrandbits(32))
    answer.given = f"{CHAINS} chains of {LENGTH} descriptors in a table of {CHAINS * LENGTH}"

    def walk(*arguments: object) -> object:
        return answer.call("walk_many", *arguments)

    way = answer.way if answer.elsewhere else None
    goal = RATIO / 3 if answer.elsewhere else RATIO  # on a busy machine, turns cost the walk too
    times, best, found = ratio(
        walk, lambda: measured_table(numbers), goal, clock=answer.seconds, way=way
    )
    if found or times >= goal:
        return found
    said = f"{times:.1f} times as fast: {best * 1e3:.2f} ms for {times * best * 1e3:.1f} ms"
    return Difference(f"at least {RATIO} times as fast as walk_each", said, LOOK_FAST)


VECTOR = Task(
    "ps4.q8",
    "walk 4096 chains at once",
    ("walk_many",),
    ("B03",),
    lines=30,
    minutes=30,
    difficulty=5,
    points=6,
    cases=(
        Case("one chain of one", _walks([3])),
        Case("many of one", _walks([3, 5, 2, 3])),
        Case("large numbers", _walks([0, 15])),
        Case("a chain of three", _walks([1])),
        Case("of different lengths", _walks([3, 1, 5, 7, 9, 0])),
        Case("no chains", _walks([])),
        Case("NEXT alone decides", _walks([5, 15], rows=SOME | {15: (64, 8, 0xFFF2, 99)})),
        Case("heads out of the table", _walks([16], [3, 16, 5], [0xFFFF, 1, 20])),
        Case(
            "next out of the table",
            _walks([4, 3], [3, 4, 6, 1], rows=SOME | {4: (64, 8, N, 16), 6: (64, 8, N, 4)}),
        ),
        Case("a loop", _walks([4, 3], [3, 4, 6], rows=SOME | {4: (64, 8, N, 4), 6: (64, 8, N, 4)})),
        Case("too long", _walks([1, 7, 3], longest=2)),
        Case("just long enough", _walks([1, 9], [3], longest=3)),
        Case("longest is 1", _walks([3, 1, 5], longest=1)),
        Case(
            "readable behind writable",
            _walks([4, 3], [3, 4, 1], rows=SOME | {4: (64, 8, N | W, 9)}),
        ),
        Case("all refused", _walks([16, 17], [4], rows=SOME | {4: (64, 8, N, 16)})),
        Case("any table", _by_chance(0.0)),
        Case("hostile tables", _by_chance(0.2)),
        Case("20 times faster", _fast),
    ),
    hints=(
        "Not a chain after the other, but a step after the other: first all heads, then all second "
        "descriptors, and so on. How many steps are there at most?",
        "np.frombuffer makes a structured array of the table's bytes. Keep two arrays: which "
        "chains still go on, and at which index each is. A refused chain is only "
        "remembered; that it has no buffers is a matter of its count, at the end.",
        "starts is np.cumsum of the counts, behind a 0. The buffer that a chain has at a step goes "
        "to starts[chain] + step: fill an array of descriptor indices so, step by step, and take "
        "all fields with it at once. Leave the loop when no chain goes on.",
    ),
)
