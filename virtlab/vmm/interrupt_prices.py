"""What a device's interrupts cost a guest, by their way: counted, and in closed form.

    exits, world switches, host's handler          for each interrupt, its end included

                     runs           sleeps         preempted
    user space    2   8   1       2   8   1       1   6   1
    kernel        2   4   1       2   4   1       1   2   1
    posted        0   0   0       1   2   1       0   0   0

The idea: `measured` runs the interrupts on a real VM and counts. `predicted` says what must come
out. A test holds them together.

The rule that keeps it simple: a price is the sum of three steps. The interrupt arrives; the guest
takes it; its handler writes EOI. What the guest does before that to sleep, its HLT, belongs to the
second.

Source: as `interrupt_ways`. The times are those of `COSTS`, for exits and for switches of process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from virtlab.vmm.interrupt_target import State
from virtlab.vmm.interrupt_ways import COUNT, GUEST_VECTORS, InterruptedVm, Way
from virtlab.vmm.irqchip import timed
from virtlab.vmm.meter import Cost, Meter
from virtlab.vmm.virtual_machine import VirtualMachine

STEPS = ("arrive", "take", "EOI")


def measured(vm: VirtualMachine, way: Way, state: State, n: int = 1) -> tuple[dict[str, Cost], int]:
    """What `n` interrupts cost, by step, counted; and how many the host had to handle.

    They arrive one by one while the guest runs or sleeps. While it is preempted all arrive, and are
    taken when it runs again. `ValueError` for more than `COUNT`.
    """
    if not 0 <= n <= COUNT:
        raise ValueError(f"the device has {COUNT} interrupts, not {n}")
    with InterruptedVm(vm, way) as rig:
        tally = _Tally(rig)
        if state == "preempted":
            rig.become(state)
            for k in range(n):
                tally.count("arrive", partial(rig.interrupt, k))
            rig.become("running")
        for k in range(n):
            if state == "running":
                tally.count("arrive", partial(rig.interrupt, k))
            tally.count("take", partial(_sleep, rig, k) if state == "asleep" else rig.take)
            tally.count("EOI", rig.end)
        return tally.costs, rig.host_interrupts


class _Tally:
    """The costs so far, by step."""

    def __init__(self, rig: InterruptedVm) -> None:
        self.rig = rig
        self.costs = dict.fromkeys(STEPS, Cost())

    def count(self, step: str, do: Callable[[], object]) -> None:
        with Meter(self.rig.vm) as meter:
            do()
            self.rig.afar.pay()
        self.costs[step] = _sum(self.costs[step], meter.cost)


def _sleep(rig: InterruptedVm, k: int) -> None:
    """HLT; the interrupt comes while the VMM handles that exit."""
    rig.become("asleep")
    rig.vm.clock.after(1, partial(rig.interrupt, k))
    vector = rig.vm.cpu.wait()
    assert vector == GUEST_VECTORS + k
    rig.become("running")


def predicted(way: Way, state: State, n: int, exit_ns: int) -> tuple[dict[str, Cost], int]:
    """The closed form of `measured`; `exit_ns` is the virtual time of one exit."""
    exit, trip, nothing = Cost(1, 2), Cost(0, 2), Cost()
    reach = trip if way == "user space" else nothing
    met = exit if way != "posted" else nothing
    steps = {
        "arrive": {"running": _sum(met, reach), "asleep": nothing, "preempted": reach}[state],
        "take": _sum(exit, reach) if state == "asleep" else nothing,
        "EOI": _sum(met, reach),
    }
    handled = n if way != "posted" or state == "asleep" else 0
    return {name: timed(_times(n, cost), exit_ns) for name, cost in steps.items()}, handled


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(*(a + b for a, b in zip(one, other, strict=True)))


def _times(n: int, cost: Cost) -> Cost:
    return Cost(*(n * each for each in cost))
