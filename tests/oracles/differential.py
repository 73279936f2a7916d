"""Two machines, the same accesses: where do their answers differ, and is that explained?

`run_both` sends one list of accesses to QEMU and to a device of ours. It keeps, of each access,
both answers and both levels of the interrupt lines after it. `explain` walks that list and stops
at the first difference that no `Deviation` excuses.

A deviation is a reviewed place where the two may differ, with the clause that says who is right.
One that excuses nothing in a whole run is an error as well: no dead excuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from virtlab.bus import AddressSpace
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import IrqLine
from virtlab.trace import Access

SHOWN = 20
"""Accesses shown before a difference."""

BLOCK = 250
"""Accesses between two looks at QEMU's list of interrupts, which is bounded."""


class Both(NamedTuple):
    """One access; what each machine answered, and which interrupt lines were up after it.

    `state` is what our device's `peek` shows after it.
    """

    access: Access
    ours: int
    theirs: int
    our_irqs: frozenset[int]
    their_irqs: frozenset[int]
    state: dict[str, int]

    @property
    def differ(self) -> bool:
        return self.ours != self.theirs or self.our_irqs != self.their_irqs

    def __str__(self) -> str:
        ours = f"{self.ours:#04x} irq {sorted(self.our_irqs)}"
        theirs = f"{self.theirs:#04x} irq {sorted(self.their_irqs)}"
        verb = "out" if self.access.write else "in "
        where = f"{self.access.seq:6}  {verb} {self.access.address:#x}/{self.access.size}"
        return f"{where}   ours {ours:16}  QEMU {theirs:16}{'   <--' if self.differ else ''}"


class Deviation(NamedTuple):
    """A difference that is reviewed: `clause` says who is right.

    `excuses(pair, before)` tells whether this explains the pair; `before` is the one before it.
    """

    name: str
    clause: str
    excuses: Callable[[Both, Both], bool]


def ask(address: int, size: int = 1) -> Access:
    """A read of a port."""
    return Access(0, False, "port", address, size, 0)


def tell(address: int, value: int, size: int = 1) -> Access:
    """A write to a port."""
    return Access(0, True, "port", address, size, value)


def run_both(
    machine: QtestMachine,
    ports: AddressSpace,
    lines: dict[int, IrqLine],
    accesses: Sequence[Access],
    peek: Callable[[], dict[str, int]] = dict,
) -> list[Both]:
    """Do `accesses` on `machine` and on `ports`. `lines` are our interrupt lines, by ISA number."""
    machine.command("irq_intercept_in ioapic")
    pairs: list[Both] = []
    up: set[int] = set()
    for start in range(0, len(accesses), BLOCK):
        block = accesses[start : start + BLOCK]
        machine.irqs.clear()
        first = machine.answered
        for index, (access, theirs) in enumerate(zip(block, machine.pipeline(block), strict=True)):
            while machine.irqs and machine.irqs[0].command <= first + index:
                change = machine.irqs.popleft()
                (up.add if change.level else up.discard)(change.line)
            ours = do(ports, access)
            our_irqs = frozenset(number for number, line in lines.items() if line.level)
            their_irqs = frozenset(up & lines.keys())
            numbered = access._replace(seq=start + index)
            pairs.append(Both(numbered, ours, theirs.value, our_irqs, their_irqs, peek()))
    return pairs


def do(ports: AddressSpace, access: Access) -> int:
    """Do one access here; what was read or written."""
    if not access.write:
        return ports.read(access.address, access.size)
    ports.write(access.address, access.size, access.value)
    return access.value


def answers(ports: AddressSpace, accesses: Sequence[Access]) -> list[int]:
    """Do `accesses` here; what the reads gave."""
    return reads([access._replace(value=do(ports, access)) for access in accesses])


def reads(done: Sequence[Access]) -> list[int]:
    """What the reads gave."""
    return [access.value for access in done if not access.write]


def explain(pairs: Sequence[Both], deviations: Sequence[Deviation] = ()) -> Counter[str]:
    """Count how often each deviation explained a difference.

    `AssertionError`, with the accesses that led there, at the first difference that none
    explains; and where one of them explained nothing.
    """
    used: Counter[str] = Counter()
    for index, pair in enumerate(pairs):
        if pair.differ:
            names = [
                each.name for each in deviations if each.excuses(pair, pairs[max(0, index - 1)])
            ]
            assert names, "not explained:\n" + "\n".join(
                map(str, pairs[max(0, index - SHOWN) : index + 1])
            )
            used[names[0]] += 1
    dead = [each.name for each in deviations if not used[each.name]]
    assert not dead, f"excused nothing in {len(pairs)} accesses: {dead}"
    return used
