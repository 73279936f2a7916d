"""Measuring two sides of one thing against each other, on a machine that others use too.

    round 1   [ Python 3 ms ][ C 3 ms ]  ratio 1.31
    round 2   [ Python 3 ms ][ C 3 ms ]  ratio 1.34      the row says: the median of the ratios
    ...

The idea: absolute times drift by tens of per cent, and both sides drift together. So the sides
alternate in slices of a few milliseconds, and only neighbours are compared.

The rule that keeps it simple: a `Duel` does the driver's work outside of the clock, in `prepare`.
Each side runs one batch a call and gives its nanoseconds: the C side from inside C. Before a row is
measured, and once more behind it, `check` compares what both sides leave, element by element.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Protocol

SLICE = 3_000_000
"""Nanoseconds of measured time in a slice."""

FEWEST = 5
"""Batches in a slice, however long they take."""


class Duel(Protocol):
    """Two sides that do the same work on the same memory. Either may be called at any time."""

    def prepare(self) -> None:
        """The driver's work before a batch, which nobody measures."""

    def python(self) -> int:
        """One batch by the library: its nanoseconds, by `time.perf_counter_ns`."""

    def twin(self) -> int:
        """The same by the other side, timed where it runs."""

    def check(self) -> None:
        """Let both do the same batch and compare all that they leave. `AssertionError` if not."""


@dataclass(frozen=True)
class Row:
    """A line of the table: what is measured, at which `batch`, and the `goal` for its ratio.

    A `gate` is a goal that must be met. `least` turns the goal round: the ratio shall be at least
    that much. `against` says what the other side is.
    """

    name: str
    batch: int
    duel: Callable[[], Duel]
    goal: float | None = None
    gate: bool = False
    least: bool = False
    against: str = "C"


@dataclass(frozen=True)
class Result:
    """What a row measured: `ratios` of neighbours, and the nanoseconds a batch of both sides."""

    row: Row
    ratios: tuple[float, ...]
    python: float
    twin: float

    @property
    def ratio(self) -> float:
        """The time of the library in units of the other's; turned round where more is better."""
        return median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the goal is reached; a row without one has nothing to miss."""
        goal = self.row.goal
        if goal is None:
            return True
        return self.ratio >= goal if self.row.least else self.ratio <= goal


def measure(row: Row, rounds: int = 7, slice_ns: int = SLICE) -> Result:
    """Measure `row`: `rounds` pairs of slices, behind one pair that only warms up."""
    duel = row.duel()
    duel.check()
    with quiet():
        _slice(duel, duel.python, slice_ns)
        _slice(duel, duel.twin, slice_ns)
        pairs = [
            (_slice(duel, duel.python, slice_ns), _slice(duel, duel.twin, slice_ns))
            for _ in range(rounds)
        ]
    duel.check()
    return combine(row, pairs)


def combine(row: Row, pairs: Iterable[tuple[float, float]]) -> Result:
    """The result of neighbours `(python, twin)`, each in nanoseconds a batch."""
    pairs = tuple(pairs)
    ratios = tuple(twin / mine if row.least else mine / twin for mine, twin in pairs)
    return Result(row, ratios, median(p for p, _ in pairs), median(t for _, t in pairs))


def _slice(duel: Duel, side: Callable[[], int], slice_ns: int) -> float:
    """Batches of one side until they took `slice_ns` together: nanoseconds of the middle one.

    The middle, and not the mean: while a batch runs, the system may give the processor away.
    """
    times: list[int] = []
    spent = 0
    while spent < slice_ns or len(times) < FEWEST:
        duel.prepare()
        times.append(side())
        spent += times[-1]
    return median(times)


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collector inside."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def pin() -> int | None:
    """Keep this process on one processor: which, or None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    processor = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processor})
    return processor
