"""The Cpu that an answer gets: it counts, it takes time, and it ends.

The idea: an answer that polls for ever makes accesses for ever. So it is granted so many, and the
one after the last is `Stopped`.

The rule that keeps it simple: virtual time moves with each access and not with the machine's clock.
So what a device does while an answer polls is the same every time.
"""

from __future__ import annotations

from virtlab.clock import COSTS, Clock
from virtlab.course.answers import Stopped
from virtlab.cpu import Cpu, Recorder

ACCESSES = 25_000
"""Accesses that one Cpu grants."""
CYCLE = round(COSTS["isa_cycle"].ns)
"""Virtual time that passes with each access, in ns."""


class BudgetCpu(Recorder):
    """A Cpu whose every access takes `cycle` ns, is noted, and is one of `budget`.

    An access that is not made of whole numbers is a `TypeError` in the answer's own line.
    """

    def __init__(self, cpu: Cpu, clock: Clock, budget: int = ACCESSES, cycle: int = CYCLE) -> None:
        super().__init__(cpu)
        self.clock = clock
        self.budget, self.cycle = budget, cycle

    def _note(self, write: bool, space: str, address: int, size: int, value: int) -> int:
        for number in (address, size, value):
            if not isinstance(number, int):
                raise TypeError(f"an address, a size and a value are whole numbers, not {number!r}")
        if len(self.accesses) >= self.budget:
            raise Stopped(f"it was stopped after {self.budget:,} accesses; the last: {self.last()}")
        self.clock.advance(self.cycle)
        return super()._note(write, space, address, size, value)

    def last(self) -> str:
        """The last access, as a report shows it."""
        return str(self.accesses[-1]) if self.accesses else "none"
