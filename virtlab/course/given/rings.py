"""A split queue as its two ends know it, as plain records: what problem sets 4 and 7 work on.

    DriverSide   cpu, free, chains, added, exposed, last_used        the guest's own memory of it
    DeviceSide   memory, walk, last_avail, pushed, in_flight         the device's
    both         desc, avail, used, size, event_idx                  where the queue lies

The idea: an answer is a function on one of these records. So it can begin anywhere, with an index
just before 65536 or a free list in disorder.

The rule that keeps it simple: counts run on, and what stands in memory are their low 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Written = tuple[int, int, bool]
"""A buffer as an answer gives it: `addr`, bytes, and whether the device writes it."""


@dataclass
class Rings:
    """Where a queue lies, as both ends know it."""

    desc: int
    avail: int
    used: int
    size: int
    event_idx: bool = False


@dataclass
class DriverSide(Rings):
    """The driver's end. `chains`: head to `(token, slots, writable)`."""

    cpu: Any = None
    free: list[int] = field(default_factory=list)
    chains: dict[int, tuple[Any, list[int], int]] = field(default_factory=dict)
    added: int = 0
    exposed: int = 0
    last_used: int = 0


@dataclass
class DeviceSide(Rings):
    """The device's end. `walk(head)` gives the buffers, or a word that says why not."""

    memory: Any = None
    walk: Callable[[int], list[Written] | str] | None = None
    last_avail: int = 0
    pushed: int = 0
    in_flight: int = 0
