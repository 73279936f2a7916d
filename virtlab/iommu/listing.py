"""All that the tables of a unit say: every context, and every page of a domain.

    root table -> 256 context tables -> contexts
    a context's top table -> ... -> pages        what `walk` finds one by one, all at once

The idea: `walk` asks what becomes of one address. A picture, or a doctor, wants to see the whole
map. So each table is read whole, and each entry with a right is followed.

The rule that keeps it simple: a table may lead to itself, and a few pages of memory can hold 2**45
ways through them. So a `Budget` says how many tables are read and how many pages are told. Where it
ends, the listing ends, and `Budget.spent` says so.

Source: VT-d 3.0, 3.7, 9.1, 9.3, 9.8. Left out: what the caches hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context, Memory, find_context
from virtlab.iommu.layouts import (
    ENTRIES,
    SECOND_LEVEL,
    TranslationType,
    index_bits,
)
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import maps_page, reserved_bits
from virtlab.memory import PAGE, Dma
from virtlab.wire import u64

_R, _W, _ADDRESS = SECOND_LEVEL.R.mask, SECOND_LEVEL.W.mask, SECOND_LEVEL.ADDRESS.mask


@dataclass
class Budget:
    """How much a listing may cost: `tables` to read, and `pages` to tell. Both are counted down."""

    tables: int = 1 << 14
    pages: int = 1 << 18
    spent: bool = False

    def take(self, what: str) -> bool:
        """One `"tables"` or `"pages"` more. False, and `spent`, where there is none left."""
        left: int = getattr(self, what)
        if not left:
            self.spent = True
            return False
        setattr(self, what, left - 1)
        return True


class Page(NamedTuple):
    """`size` bytes at `iova` that lead to `gpa`, with the rights that the whole way gives.

    With a `reason` nothing is reached there: an entry of `level` is wrong.
    """

    iova: int
    gpa: int
    size: int
    read: bool
    write: bool
    level: int
    reason: Reason | None = None


class _Table(NamedTuple):
    """A table on the way: its level, where it lies (gpa), the first iova it serves, the rights."""

    level: int
    at: int
    iova: int
    rights: int
    entry_level: int  # of the entry that names it: 0 for the context entry


def contexts(
    memory: Memory, root_table: int, capabilities: Capabilities
) -> Iterator[tuple[int, Context]]:
    """Each source id whose context entry is present, with it. A context may have a `reason`.

    A root entry that is wrong gives one context with that reason, under the bus's first source id.
    """
    for bus in range(ENTRIES):
        first = find_context(memory, root_table, capabilities, bus << 8)
        if first.reason is Reason.ROOT_NOT_PRESENT:
            continue
        if first.reason in (Reason.ROOT_ACCESS, Reason.ROOT_RESERVED, Reason.CONTEXT_ACCESS):
            yield bus << 8, first
            continue
        for source_id in range(bus << 8, (bus + 1) << 8):
            context = find_context(memory, root_table, capabilities, source_id)
            if context.reason is not Reason.CONTEXT_NOT_PRESENT:
                yield source_id, context


def pages(
    memory: Dma, capabilities: Capabilities, context: Context, budget: Budget
) -> Iterator[Page]:
    """Every page of a context's tables, by rising iova, and every entry that is wrong.

    None for a context that is passed through, or that has a `reason`.
    """
    if context.reason is None and context.kind != TranslationType.PASS_THROUGH:
        yield from _below(
            memory, capabilities, _Table(context.levels, context.table, 0, _R | _W, 0), budget
        )


def _below(
    memory: Dma, capabilities: Capabilities, table: _Table, budget: Budget
) -> Iterator[Page]:
    """What is below one table. It nests as deep as there are levels."""
    if not budget.take("tables"):
        return
    level, index = table.level, index_bits(table.level)
    try:
        entries = np.frombuffer(memory.read(table.at, PAGE), u64)
    except DmaFault:
        why = Reason.PAGING_ACCESS if table.entry_level else Reason.CONTEXT_INVALID
        yield Page(table.iova, table.at, 1 << index.hi + 1, False, False, table.entry_level, why)
        return
    for number in np.flatnonzero(entries & np.uint64(table.rights)).tolist():
        entry, iova = int(entries[number]), table.iova | number << index.lo
        rights, is_page = table.rights & entry, maps_page(entry, level)
        wrong = entry & reserved_bits(level, is_page, capabilities)
        if not (wrong or is_page):
            below = _Table(level - 1, entry & _ADDRESS, iova, rights, level)
            yield from _below(memory, capabilities, below, budget)
        elif budget.take("pages"):
            yield _page(entry, level, iova, rights, bool(wrong))
        if budget.spent:
            return


def _page(entry: int, level: int, iova: int, rights: int, wrong: bool) -> Page:
    size = 1 << index_bits(level).lo
    gpa = entry & _ADDRESS & -size
    reason = Reason.PAGING_RESERVED if wrong else None
    if not wrong and gpa in INTERRUPT_RANGE:
        reason = Reason.INTERRUPT_RANGE
    return Page(iova, gpa, size, bool(rights & _R), bool(rights & _W), level, reason)
