"""What one batch costs, counted: passes over arrays, calls, and what they take at least.

    64 chains, mixed     pop_many   89 passes, 140 calls     the same for 4096 chains
                         pop        3,900 calls              64 times as many for 4096

The idea: `run` lets the library take a batch twice. Once a spy counts the passes (`batch_spy`),
once the interpreter counts the calls. All is counted in the library's own code.

The rule that keeps it simple: no clock. A time is a sum of counts, each times its floor: what such
a step takes at least, as it was measured once. So the same choice gives the same numbers, and what
they leave out is the time between the steps.

Source: the floors were measured on a two-core x86-64 machine, CPython 3.11, NumPy 2.4.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import FrameType
from typing import NamedTuple

from virtlab.show.batch_levels import levels
from virtlab.show.batch_picture import counted
from virtlab.show.batch_rings import KINDS, LAPS, BatchRing
from virtlab.show.batch_spy import Pass, Spy, watching
from virtlab.virtio.split_many import FEW

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Chains in a batch that can be chosen."""

CALL, PASS, ELEMENT, MOVED, COMPARE, COMPARED = 45.0, 350.0, 0.3, 1.0, 130.0, 0.4
"""Floors in ns: a call; a pass, and for each element, 1.0 where it is moved; a compare, a chain."""

MOVES = frozenset({"take", "gather"})

STAGES = {
    "split_single._copy": "heads, and their descriptors",
    "split_single._parse": "lengths and flags",
    "split_single.read": "addresses to offsets",
    "split_single._translate": "are all in memory?",
    "split_longer._copy": "descriptors in the tables",
    "table_shadow.again": "tables: the same again?",
    "split_longer.remembered": "kept for the next lap",
    "split_many._known": "kept for the next lap",
    "split_many._walk": "heads",
    "split_walk._ring": "where do chains end?",
    "split_steps.straight_ring": "descriptors, in one run",
    "split_steps.follow": "a step in lockstep",
    "split_steps._chain_by_chain": "sorted chain by chain",
    "split_walk._walk": "who refers to a table?",
    "split_walk._tables": "tables: is each right?",
    "split_walk._inside": "descriptors in the tables",
    "split_walk._merge": "put in place of the table",
    "split_walk._batch": "buffers: is each right?",
}
"""What a function of the library does, in words. Others count for whoever called them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A batch of `n` chains of one of `KINDS`, and which of `LAPS` it comes in."""

    kind: str = "mixed"
    n: int = 64
    lap: str = "other"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.n not in SIZES or self.lap not in LAPS:
            raise ValueError(f"no such batch: {self.n} of {self.kind!r}, {self.lap!r}")


def resized(choice: Choice, steps: int) -> Choice:
    """The batch so many sizes larger; the smallest or largest if there is none."""
    place = min(max(SIZES.index(choice.n) + steps, 0), len(SIZES) - 1)
    return replace(choice, n=SIZES[place])


class Stage(NamedTuple):
    """Passes for one purpose: how many, over how many elements in all, and in the longest."""

    name: str
    passes: int
    elements: int
    widest: int


class Outcome(NamedTuple):
    """What was counted for one `Choice`. `levels` are the chains that take each step."""

    choice: Choice
    buffers: int
    levels: tuple[int, ...]
    stages: tuple[Stage, ...]
    calls: int  # by `pop_many`
    compares: int  # of bytes
    scalar_calls: int  # by `pop`, for all chains
    floor: float  # us, of `pop_many`
    scalar_floor: float  # us

    @property
    def passes(self) -> int:
        """Over arrays, in all."""
        return sum(stage.passes for stage in self.stages)

    @property
    def singly(self) -> bool:
        """Whether `pop_many` takes so few one by one."""
        return self.choice.n < FEW

    @property
    def ratio(self) -> float:
        """How much longer one by one takes, by the floors."""
        return self.scalar_floor / self.floor


@lru_cache(maxsize=256)
def run(choice: Choice) -> Outcome:
    """Take the batch, and count."""
    with watching() as passes:
        ring = BatchRing(choice.kind, choice.n)
        ring.ram.bytes = ring.ram.bytes.view(Spy)
        ring.warm(choice.lap)
        passes.clear()
        batch = ring.queue.pop_many()
        seen = tuple(passes) if choice.n >= FEW else ()
    buffers, steps = len(batch.offset), tuple(map(len, levels(batch)))
    ring = BatchRing(choice.kind, choice.n)
    ring.warm(choice.lap)
    counted = calls(ring.queue.pop_many)
    each = _one_by_one(choice)
    compares = counted["startswith"] if choice.n >= FEW else 0
    total = counted.total()
    floor = total * CALL + _passes_floor(seen) + compares * (COMPARE + COMPARED * choice.n)
    return Outcome(
        choice,
        buffers,
        steps,
        stages(seen),
        total,
        compares,
        round(each * choice.n),
        floor / 1000,
        each * choice.n * CALL / 1000,
    )


def _one_by_one(choice: Choice) -> float:
    """Calls for one chain by `pop`: the mean of a few dozen."""
    ring = BatchRing(choice.kind, min(choice.n, 32))
    ring.warm(choice.lap)

    def pop_all() -> None:
        for _ in range(ring.n):
            ring.queue.pop()

    return calls(pop_all).total() / ring.n


def _passes_floor(passes: Sequence[Pass]) -> float:
    """What passes take at least, in ns."""
    return sum(PASS + each.elements * (MOVED if each.name in MOVES else ELEMENT) for each in passes)


def stages(passes: Sequence[Pass]) -> tuple[Stage, ...]:
    """Passes for one purpose put together; each step in lockstep that has other chains is one."""
    found: list[tuple[tuple[str, int], list[int]]] = []
    for each in passes:
        purpose = _purpose(each)
        if not found or (found[-1][0] != purpose and each.elements):
            found.append((purpose, []))
        found[-1][1].append(each.elements)
    return tuple(Stage(name, len(sizes), sum(sizes), max(sizes)) for (name, _), sizes in found)


def _purpose(each: Pass) -> tuple[str, int]:
    """What a pass is for, and in lockstep for how many chains."""
    asked = next((name for name in each.asked if name in STAGES), "")
    name = STAGES.get(asked, each.asked[0].partition(".")[2] if each.asked else each.name)
    return name, each.elements if asked == "split_steps.follow" else 0


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often each function is called by the library while it does `work`: Python's and C's.

    Operators on arrays are no calls in this sense: they are passes.
    """
    found: Counter[str] = Counter()
    before = sys.getprofile()
    sys.setprofile(partial(_note, found))
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def _note(found: Counter[str], frame: FrameType, event: str, argument: object) -> None:
    """What the interpreter says: `frame` was called, or calls the C function `argument`."""
    module = frame.f_globals.get("__name__", "")
    if not module.startswith("virtlab.") or module.startswith("virtlab.show."):
        return
    name = frame.f_code.co_name
    if event == "call" and not name.startswith("<"):
        found[name] += 1
    elif event == "c_call":
        found[getattr(argument, "__name__", "?")] += 1


def explain(outcome: Outcome) -> str:
    """The outcome in a few sentences."""
    n = outcome.choice.n
    words = f"{counted(n, 'chain')} with {counted(outcome.buffers, 'buffer')}."
    if outcome.singly:
        few = f"Fewer than {FEW} chains: `pop_many` takes them by `pop`, which is quicker here."
        return f"{words} {few} {outcome.calls:,} calls."
    if not outcome.passes:
        same = "say that it is the batch of a lap ago"
        how = f"No pass over an array at all: {outcome.compares} compares of bytes {same}."
    else:
        share = n / outcome.passes
        each = f"{1 / share:.2g} for each chain" if share < 1 else f"one for {digits(share)} chains"
        how = f"`pop_many` makes {outcome.passes} passes over arrays, {each}."
    less = " So few gain little from a batch." if outcome.ratio < 1 else ""
    return (
        f"{words} {how} With its {outcome.calls} calls it takes at least {time(outcome.floor)}. "
        f"The {outcome.scalar_calls:,} calls of {n:,} `pop` take at least "
        f"{time(outcome.scalar_floor)}: {times(outcome.ratio)} as much.{less}"
    )


def time(us: float) -> str:
    """`2.5 us`, `148 us`, `9.5 ms`."""
    value, unit = (us / 1000, "ms") if us >= 1000 else (us, "us")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def times(ratio: float) -> str:
    """`7.5 times`, `56 times`, `2,400 times`."""
    return f"{digits(ratio)} times"


def digits(number: float) -> str:
    """Two digits of it: `7.5`, `56`, `2,400`."""
    return f"{float(f'{number:.2g}'):,.10g}"
