"""The rows of the split ring: what is measured, at which sizes, and the goals.

The idea: `split_duels` has a class for each kind of batch. Here each gets its name, its sizes, and
where there are goals, those of the course.
"""

from __future__ import annotations

from functools import partial
from statistics import median

from benchmarks import compiler
from benchmarks.harness import Row
from benchmarks.split_duels import (
    AgainstScalar,
    Indirect,
    InOrder,
    Lengths,
    Missed,
    Mixed,
    RandomHeads,
    Received,
    Requests,
    Same,
    SplitDuel,
    Walked,
)

GOALS: dict[type[SplitDuel], tuple[str, dict[int, tuple[float, bool]]]] = {
    SplitDuel: (
        "fresh addresses",
        {256: (4.8, False), 1024: (1.5, True), 4096: (0.8, True), 32768: (0.6, False)},
    ),
    InOrder: (
        "in order",
        {256: (1.8, False), 1024: (0.5, True), 4096: (0.35, False), 32768: (0.25, True)},
    ),
    RandomHeads: (
        "random heads",
        {256: (8, False), 1024: (2, True), 4096: (1.3, True), 32768: (1.3, False)},
    ),
}
"""The rows with goals: what they are called, and for each batch the goal, and if it is a gate."""

OPEN = {
    Same: "the same chains again",
    Missed: "the same, but the last address",
    Lengths: "fresh addresses and lengths",
    Received: "fresh addresses, written",
    Mixed: "mixed lengths",
    Walked: "mixed lengths, walked",
    Requests: "chains of three, random heads",
    Indirect: "indirect tables of three",
}
"""The rows that have none."""

NOTES = (
    "a batch is one pop_many and one push_many; the queue has as many entries, all in use",
    "fresh: new addresses each time, lengths and flags stay; random: new heads too",
    "in order: the same chains each time, one used element a batch; same: one element a chain",
    "all but the last address the same: what a look into the shadow costs that finds nothing",
    "mixed, three: chains of 1 to 4, and of 3; the batch is the number of descriptors",
    "mixed: lengths and flags stay; walked: other lengths each time, so the shadow misses",
    "indirect: the tables stay, and the chains refer to them in another order each time",
)


def native_note(batches: int = 400) -> str:
    """How much a twin that is compiled for this machine gains: its time in units of the other's."""
    plain, fast = (SplitDuel(1024, flags) for flags in (compiler.FLAGS, compiler.FAST_FLAGS))
    times = []
    for _ in range(batches):
        plain.prepare()
        fast.prepare()
        times.append((plain.twin(), fast.twin()))
    share = median(other / one for one, other in times)
    return f"A twin by {' '.join(compiler.FAST_FLAGS)} takes {share:.2f} of the time (fresh, 1024)."


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, for a twin compiled with `flags`."""
    found = [
        Row(f"split, {name}", n, partial(duel, n, flags), goal, gate)
        for duel, (name, goals) in GOALS.items()
        for n, (goal, gate) in goals.items()
    ]
    found += [
        Row(f"split, {name}", n, partial(duel, n, flags))
        for duel, name in OPEN.items()
        for n in (256, 1024, 4096)
    ]
    scalar = partial(AgainstScalar, 1024, flags)
    return [*found, Row("split, fresh addresses", 1024, scalar, 200, True, True, "pop and push")]
