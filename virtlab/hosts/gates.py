"""How an interrupt or a fault enters its handler: through the table of gates.

     63            48 47 46 45 44   40 39     32 31         16 15          0
    +----------------+--+-----+-------+---------+-------------+-------------+
    | offset 31:16   |P | DPL | 01110 |    0    |  selector   | offset 15:0 |     an interrupt gate
    +----------------+--+-----+-------+---------+-------------+-------------+

The processor pushes EFLAGS, CS and EIP, closes interrupts, and goes to the gate's offset. `IRETD`
undoes it.

The rule that keeps it simple: there is one kind of gate, for 32-bit code of the same privilege, and
any other entry is a fault of its own. A fault on the way to a handler becomes another fault, then a
double fault, then a triple fault, which no guest survives.

Sources: SDM 3A 6.11 (gates), 6.12.1 (entering), 6.13 (error codes), 6.15 (double faults). Left out:
trap and task gates, the descriptor that the selector names, other privileges.
"""

from __future__ import annotations

from typing import Protocol

from virtlab.vmm.exits import DOUBLE_FAULT, GENERAL_PROTECTION, NO_SEGMENT
from virtlab.wire import Bits, all_ones

GATE = 8
"""Bytes of a gate."""
OFFSET_LOW, SELECTOR, KIND, PRESENT, OFFSET_HIGH = (
    Bits(15, 0),
    Bits(31, 16),
    Bits(44, 40),
    Bits(47),
    Bits(63, 48),
)
INTERRUPT_GATE = 0b01110

IF = Bits(9)
"""EFLAGS: maskable interrupts are open."""
NOT_PUSHED = Bits(8).mask | Bits(14).mask | Bits(16).mask | Bits(17).mask
"""EFLAGS that a gate clears beside IF: TF, NT, RF, VM (SDM 3A 6.12.1.3)."""

CONTRIBUTORY = (0, 10, 11, 12, 13, 14)
"""Faults in which one more is a double fault (SDM 3A table 6-5); a page fault counts with them."""
EXTERNAL, IN_GATES = 1, 2
"""An error code's low bits: the event came from outside; the selector is a vector."""


class Core(Protocol):
    """What entering a handler needs of a processor."""

    eip: int
    cs: int
    eflags: int

    @property
    def gates(self) -> tuple[int, int]:
        """IDTR: the table's address, and its limit, which is the last byte's offset."""

    def load(self, gpa: int, size: int) -> int:
        """Read the table."""

    def push(self, value: int) -> None:
        """Put four bytes on the stack."""


def deliver(core: Core, vector: int, error: int | None = None, external: bool = False) -> bool:
    """Let `core` enter the handler of `vector`. False if that ends in a triple fault.

    `error` is pushed last where the fault has an error code; `external` says that the event is an
    interrupt and no fault of the guest's.
    """
    while True:
        gate, fault = _gate(core, vector)
        if not fault:
            _enter(core, gate, error)
            return True
        if vector == DOUBLE_FAULT and not external:
            return False
        if vector in CONTRIBUTORY and not external:
            vector, error = DOUBLE_FAULT, 0
        else:
            vector, error = fault, vector * 8 | IN_GATES | external
        external = False


def _gate(core: Core, vector: int) -> tuple[int, int]:
    """The gate of `vector`, and the fault that it is instead, or 0."""
    base, limit = core.gates
    if vector * GATE + GATE - 1 > limit:
        return 0, GENERAL_PROTECTION
    gate = core.load((base + vector * GATE) & all_ones(4), GATE)
    if KIND.get(gate) != INTERRUPT_GATE:
        return gate, GENERAL_PROTECTION
    return gate, 0 if PRESENT.get(gate) else NO_SEGMENT


def _enter(core: Core, gate: int, error: int | None) -> None:
    frame = (core.eflags, core.cs, core.eip)
    for value in frame if error is None else (*frame, error):
        core.push(value)
    core.eflags &= ~(IF.mask | NOT_PUSHED)
    core.cs = SELECTOR.get(gate)
    core.eip = OFFSET_HIGH.get(gate) << 16 | OFFSET_LOW.get(gate)
