"""The 256 vectors of a local APIC: requested, in service, and how they came.

    IRR  requested          ISR  acknowledged, no EOI yet          TMR  came level-triggered

The idea: a set of vectors is a number of 256 bits. The highest bit is the most urgent vector, and
its upper four bits are its priority class.

The rule that keeps it simple: a request is pending if its class is above the *processor priority*:
the task priority, or the class in service, whichever is higher. Everything follows from that.

Source: Intel SDM 3A, 11.8.3 (priorities), 11.8.4 (the registers), 11.8.5 (EOI). Where the classes
of task and service are equal, the manual leaves the lower bits open; here they are the task's.
"""

from __future__ import annotations

CLASS = 0xF0
"""The priority class of a vector."""

LOWEST = 16
"""Vectors below are exceptions; as interrupts they are errors (11.5.2)."""


def highest(vectors: int) -> int:
    """The highest vector of a set; 0 for the empty set, which no interrupt has.

    >>> highest(1 << 0x41 | 1 << 0x30)
    65
    """
    return max(vectors.bit_length() - 1, 0)


class Vectors:
    """IRR, ISR and TMR of one processor, real or virtual."""

    def __init__(self) -> None:
        self.irr = self.isr = self.tmr = 0

    def request(self, vector: int, level: bool = False) -> None:
        """Set the request; TMR remembers how it came. A vector that is requested is not counted."""
        bit = 1 << vector
        self.irr |= bit
        self.tmr = self.tmr | bit if level else self.tmr & ~bit

    def priority(self, tpr: int) -> int:
        """PPR: the processor priority, of TPR and of what is in service (11.8.3.1)."""
        serving = highest(self.isr) & CLASS
        return tpr if tpr & CLASS >= serving else serving

    def wanted(self, tpr: int) -> int | None:
        """The vector that is pending, or None."""
        vector = highest(self.irr)
        return vector if vector & CLASS > self.priority(tpr) & CLASS else None

    def serve(self, vector: int) -> None:
        """The processor has acknowledged `vector`."""
        self.irr &= ~(1 << vector)
        self.isr |= 1 << vector

    def end(self) -> tuple[int, bool] | None:
        """EOI: the vector that is no longer in service, and whether it came level-triggered."""
        if not self.isr:
            return None
        vector = highest(self.isr)
        self.isr &= ~(1 << vector)
        return vector, bool(self.tmr >> vector & 1)
