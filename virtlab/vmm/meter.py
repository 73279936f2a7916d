"""What something costs a VM: exits, world switches, virtual time.

    with Meter(vm) as cost:
        driver.write(b"hello")
    print(cost)                 # 10 exits, 20 world switches, 2300 ns

The idea: an exit takes the processor out of the guest and back in: 2 world switches. Whatever
leaves the VMM for yet another world emits `world switch` for each step. So the world switches are
twice the exits and that count.

The rule that keeps it simple: nothing is computed that was not counted. Time is the machine's own.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from virtlab.vmm.virtual_machine import VirtualMachine


class Cost(NamedTuple):
    """`exits`, world `switches`, and `ns` of virtual time."""

    exits: int = 0
    switches: int = 0
    ns: int = 0

    def __str__(self) -> str:
        exits = f"{self.exits} exit{'' if self.exits == 1 else 's'}"
        return f"{exits}, {self.switches} world switches, {self.ns} ns"


class Meter:
    """Counts what `vm` spends inside the `with`. Before its end it says what was spent so far.

    World switches beyond an exit are counted by the machine's trace: no other VM may run meanwhile.
    """

    def __init__(self, vm: VirtualMachine) -> None:
        self.vm = vm
        self._start = self._now()
        self._end: Cost | None = None

    def _now(self) -> Cost:
        exits = self.vm.vmm.exits.total()
        beyond = self.vm.trace.counts["world switch"]
        return Cost(exits, 2 * exits + beyond, self.vm.clock.now)

    @property
    def cost(self) -> Cost:
        """All three numbers."""
        end = self._end or self._now()
        return Cost(*(after - before for before, after in zip(self._start, end, strict=True)))

    @property
    def exits(self) -> int:
        """Exits to the VMM."""
        return self.cost.exits

    @property
    def switches(self) -> int:
        """World switches."""
        return self.cost.switches

    @property
    def ns(self) -> int:
        """Virtual time."""
        return self.cost.ns

    def __enter__(self) -> Self:
        self._start, self._end = self._now(), None
        return self

    def __exit__(self, *_: object) -> None:
        self._end = self._now()

    def __repr__(self) -> str:
        return str(self.cost)
