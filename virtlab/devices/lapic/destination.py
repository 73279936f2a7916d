"""Whom an interrupt is for: physical ids, logical ids, everybody.

    physical            destination = id                  FFh: everybody
    logical, flat       destination & id                  eight groups
    logical, clusters   same upper half, and a common bit  FF..: every cluster
    x2APIC              32 bits: cluster 31:16, and a common bit of 15:0

The idea: every local APIC sees every message and asks itself.

The rule that keeps it simple: one function, of numbers only.

Source: Intel SDM 3A, 11.6.2 (xAPIC), 11.12.10 (x2APIC).
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.interrupts import Interrupt
from virtlab.wire import all_ones

FLAT, CLUSTERS = 0xF, 0x0
"""`DFR.MODEL`. Others are reserved: such an APIC has no logical id."""

EVERY_CLUSTER = 0xF


class Identity(NamedTuple):
    """Who a local APIC is. `model` is `DFR.MODEL`; with `extended` the ids are those of x2APIC."""

    physical: int
    logical: int
    model: int = FLAT
    extended: bool = False


def names(interrupt: Interrupt, who: Identity) -> bool:
    """Whether `interrupt` is for `who`."""
    named, mine = interrupt.destination, who.logical
    if not interrupt.logical:
        return named in (who.physical, all_ones(4) if who.extended else all_ones(1))
    if who.extended:
        return named >> 16 == mine >> 16 and bool(named & mine & 0xFFFF)
    if who.model == CLUSTERS:
        return named >> 4 in (mine >> 4, EVERY_CLUSTER) and bool(named & mine & 0xF)
    return who.model == FLAT and bool(named & mine)


def logical_of(number: int) -> int:
    """The logical id of an x2APIC, which follows from the physical one (11.12.10.2).

    >>> hex(logical_of(0x25))
    '0x20020'
    """
    return number >> 4 << 16 | 1 << (number & 0xF)
