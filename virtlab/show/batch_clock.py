"""What a batch takes, measured: one by one against at once, and what a chain adds.

    best(work, prepare)      the quickest of many runs, in ns
    race(ways)               the same for several ways, which take turns
    crossover(kind, sizes)   for each size the ns a chain, by `pop` and by `pop_many`
    line(sizes, times)       time = fixed + each * n, the straight line through them

The idea: other programs run too, and they only ever make a run longer. So the quickest of many is
what the work itself takes.

The rule that keeps it simple: a run is short, some hundred us at most. A long one would never be
left alone. So `pop` is measured in runs of up to `STRETCH` chains. And what is compared takes
turns: a moment in which the machine is slow is then slow for all.

Left out: what the driver does. It has offered the chains before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from virtlab.show.batch_rings import BatchRing
from virtlab.virtio.batch import Batch
from virtlab.virtio.chain import Chain

STRETCH = 32
"""Chains in one run of `pop`."""

Clock = Callable[[], int]


class Times(NamedTuple):
    """ns a chain for batches of `n`."""

    n: int
    scalar: float
    batch: float

    @property
    def ratio(self) -> float:
        """How many times longer one by one takes."""
        return self.scalar / self.batch


def best(
    work: Callable[[], Any],
    prepare: Callable[[], Any] = lambda: None,
    runs: int = 15,
    clock: Clock = perf_counter_ns,
) -> int:
    """The quickest of `runs`, in ns; `prepare` is called before each, and is not measured."""
    quickest = None
    for _ in range(runs):
        prepare()
        start = clock()
        work()
        spent = clock() - start
        quickest = spent if quickest is None else min(quickest, spent)
    return max(quickest or 0, 1)


def race(
    ways: Mapping[str, Callable[[], Any]], runs: int = 15, clock: Clock = perf_counter_ns
) -> dict[str, int]:
    """By name: the quickest of `runs` of each way, in ns. Each way runs once in every round."""
    rounds = [
        {name: best(way, runs=1, clock=clock) for name, way in ways.items()} for _ in range(runs)
    ]
    return {name: min(times[name] for times in rounds) for name in ways}


def crossover(
    kind: str, sizes: Sequence[int], runs: int = 15, clock: Clock = perf_counter_ns
) -> list[Times]:
    """What a chain of a batch of each size takes both ways. Buffers are others each time."""
    return [
        Times(n, _scalar(kind, n, runs, clock), _batch(kind, n, runs, clock) / n) for n in sizes
    ]


def _batch(kind: str, n: int, runs: int, clock: Clock) -> int:
    """The quickest `pop_many` of `n`."""
    ring, held = BatchRing(kind, n), list[Batch]()
    ring.warm("other")
    place = cycle((0, 1))

    def prepare() -> None:
        if held:
            ring.queue.push_many(held.pop())
            ring.move(next(place))
            ring.offer()

    return best(lambda: held.append(ring.queue.pop_many()), prepare, runs, clock)


def _scalar(kind: str, n: int, runs: int, clock: Clock) -> float:
    """The quickest run of up to `STRETCH` `pop`, for each of them."""
    ring, held = BatchRing(kind, min(n, STRETCH)), list[Chain]()
    ring.warm("other")
    pop = ring.queue.pop

    def prepare() -> None:
        if held:
            for chain in held:
                ring.queue.push(chain)
            held.clear()
            ring.offer()

    def work() -> None:
        while (chain := pop()) is not None:
            held.append(chain)

    return best(work, prepare, runs, clock) / ring.n


def line(sizes: Sequence[int], times: Sequence[float]) -> tuple[float, float]:
    """`(fixed, each)` of the line `fixed + each * n` that lies nearest, in parts of each time.

    >>> fixed, each = line([1, 10, 100], [102, 120, 300])
    >>> round(fixed), round(each)
    (100, 2)
    """
    each, fixed = np.polyfit(sizes, times, 1, w=1 / np.array(times, float))
    return float(fixed), float(each)
