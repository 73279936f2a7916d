"""Virtual time, and what things cost on real hardware.

The idea: nothing in virtlab looks at the wall clock. A `Clock` counts nanoseconds from 0,
and moves only when somebody advances it; a device that needs time asks for a call `after`
so many nanoseconds. So every run is the same run.

The rule that keeps it simple: a timer never fires in the past, and never inside the call
that set it. A call may let time pass itself, and that time has passed for everybody.

`COSTS` holds the few real costs that the lessons quote. Each has its source. They *say* what a
counted event costs on hardware; a VMM and a timed board let so much virtual time pass for one.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import NamedTuple

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Timer:
    """One call that will happen at `when` (ns), unless `cancel` comes first."""

    __slots__ = ("action", "when")

    def __init__(self, when: int, action: Callable[[], None] | None) -> None:
        self.when = when
        self.action = action

    def cancel(self) -> None:
        """Forget the call. Cancelling twice, or after it happened, does nothing."""
        self.action = None


class Clock:
    """Virtual time in nanoseconds.

    >>> clock, rang = Clock(), []
    >>> _ = clock.after(5, lambda: rang.append(clock.now))
    >>> clock.advance(100); rang, clock.now
    ([5], 100)
    """

    def __init__(self) -> None:
        self.now = 0
        self._queue: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._sweep_at = 64

    def after(self, delay: int, action: Callable[[], None]) -> Timer:
        """Call `action` in `delay` ns (at least 1). Calls for one moment keep their order.

        Cancelled calls are swept out before they outnumber the others, so that a guest that sets
        and cancels without end cannot fill the host.
        """
        if len(self._queue) >= self._sweep_at:
            self._queue = [entry for entry in self._queue if entry[2].action is not None]
            heapq.heapify(self._queue)
            self._sweep_at = 2 * len(self._queue) + 64
        timer = Timer(self.now + max(1, delay), action)
        heapq.heappush(self._queue, (timer.when, next(self._order), timer))
        return timer

    def next_event(self) -> int | None:
        """When the next call is due (ns), or None if nothing is waiting."""
        while self._queue and self._queue[0][2].action is None:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def advance(self, delay: int) -> None:
        """Let `delay` ns pass, making every call that falls due, each at its own time."""
        if delay < 0:
            raise ValueError(f"time runs forward only, not by {delay} ns")
        end = self.now + delay
        while (due := self.next_event()) is not None and due <= end:
            _, _, timer = heapq.heappop(self._queue)
            action, timer.action = timer.action, None
            self.now = due
            if action is not None:
                action()
        self.now = max(self.now, end)

    def advance_until(self, ready: Callable[[], bool], limit: int) -> bool:
        """Let time pass, call by call, until `ready()`, or until `limit` ns have passed.

        Gives whether it became ready.
        """
        end = self.now + limit
        while not ready():
            due = self.next_event()
            if due is None or due > end:
                self.advance(max(end - self.now, 0))
                return False
            self.advance(due - self.now)
        return True


class Cost(NamedTuple):
    """What one event costs on real hardware: `ns`, in words, and where that was published."""

    ns: float
    what: str
    source: str


COSTS: dict[str, Cost] = {
    "isa_cycle": Cost(
        720.0,
        "an 8-bit access on the ISA bus: 6 cycles of the 8.33 MHz bus clock",
        "Solari, AT Bus Design (1990), 8-bit I/O cycle: 4 wait states by default",
    ),
    "vm_exit": Cost(
        230.0,
        "a VM exit and the entry after it: 784 cycles of a 3.4 GHz Sandy Bridge",
        "Agesen, Mattson, Rugina, Sheldon, USENIX ATC 2012, table 1",
    ),
    "process_switch": Cost(
        3800.0,
        "a switch from one process to another: direct cost on a 2.0 GHz Xeon",
        "Li, Ding, Shen, Quantifying the Cost of Context Switch, ExpCS 2007",
    ),
    "system_call": Cost(
        65.0,
        "a system call and the return from it: 150 cycles of a 2.3 GHz Core i7",
        "Soares, Stumm, FlexSC, OSDI 2010, the direct cost",
    ),
    "copy_page": Cost(
        1046.0,
        "a copy of 4 KiB from memory to memory by the processor, with DDR3-1066",
        "Seshadri and others, RowClone, MICRO 2013, the baseline",
    ),
}
