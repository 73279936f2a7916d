"""A small unit to play with: who asks, where, a bit turned, a cache emptied. All pure.

    00:05.0  domain 1, 4 levels   0x4000_0000 a buffer, +0x1000 read-only, +0x20_0000 2 MiB
    00:06.0  domain 2, 3 levels   0x4000_0000 another buffer
    00:07.0  domain 3, 5 levels   0x1_0000_4000_0000 a buffer
    00:08.0  passed through       everything
    01:00.0  nothing              its bus has no root entry

The idea: a `VtdState` holds everything that a unit would: the bits that were turned in the tables,
what the caches hold, the fault records. `unit_of` makes a real `VtdUnit` of it. An action asks that
unit something, and keeps what came of it in a new state.

The rule that keeps it simple: the tables are written once, by the driver's own code; a state has
the differences alone. A request is translated, and moves no bytes.

Source: VT-d 3.0, 6.2, 6.5.1, 7.2.1. Left out: invalidation by pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.errors import DmaFault
from virtlab.guest.room import Room
from virtlab.guest.vtd_tables import WORD, Domain, RootTable, TablePages
from virtlab.hosts.python import BareCpu
from virtlab.iommu.caches import Page, PageKey
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context
from virtlab.iommu.descriptors import Granularity
from virtlab.iommu.layouts import FAULT_RECORD
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.iommu.walk import Start
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.vtd_rows import View, look
from virtlab.trace import Trace

EDU, NET, DISK, OLD, GONE = 0x0028, 0x0030, 0x0038, 0x0040, 0x0100
"""The source ids."""

BUFFER, DEEP = 0x4000_0000, 0x1_0000_4000_0000
READ_ONLY, LARGE = BUFFER + PAGE, BUFFER + 0x20_0000
"""Where something is mapped (iova)."""

CAPABILITIES = Capabilities(records=2)
CACHE_SIZES = (4, 4, 8)
"""What the unit can do: few records and few entries, so that each fills up."""

_RAM, _TABLES = 1 << 20, (0x1000, 64 * PAGE)
_FSTS = VtdRegisters.FSTS


class Answer(NamedTuple):
    """What became of the last request: refused for a `reason`, or let through to `gpa`.

    `reads` are the entries that the unit read for it; none where it remembered the page.
    """

    source_id: int
    iova: int
    write: bool
    reason: Reason | None
    gpa: int
    reads: int


class Held(NamedTuple):
    """What a unit remembers, and its records: all that is not in the tables."""

    contexts: tuple[tuple[int, Context], ...] = ()
    pages: tuple[tuple[PageKey, Page], ...] = ()
    tables: tuple[tuple[PageKey, Start], ...] = ()
    records: tuple[int, ...] = (0,) * CAPABILITIES.records
    status: int = 0
    next_record: int = 0


NOTHING = Held()


@dataclass(frozen=True, slots=True)
class VtdState:
    """A request that is looked at, the entry that is `lit`, and the unit with its tables.

    `turned` are `(gpa, mask)`, words of 8 bytes: the bits that differ from the tables as written.
    """

    source_id: int = EDU
    iova: int = BUFFER
    write: bool = True
    lit: int = 0
    turned: tuple[tuple[int, int], ...] = ()
    held: Held = NOTHING
    answer: Answer | None = None


class Counting(GuestMemory):
    """Memory that counts the entries a unit reads in it."""

    loads = 0

    def load(self, gpa: int, size: int) -> int:
        """One entry."""
        self.loads += 1
        return super().load(gpa, size)


class Tables(NamedTuple):
    """The tables as the driver wrote them: pages that are not zero, and where the root table is."""

    root: int
    pages: tuple[tuple[int, bytes], ...]


@cache
def tables() -> Tables:
    """Write them, with the driver's own code."""
    ram, space = GuestMemory(_RAM), AddressSpace("memory", 52, Trace())
    space.map_ram(ram)
    pages = TablePages(BareCpu(space, space, Clock()), Room(*_TABLES))
    root = RootTable(pages.cpu, pages)
    edu, net, disk = (
        Domain(pages.cpu, pages, number, levels, CAPABILITIES)
        for number, levels in ((1, 4), (2, 3), (3, 5))
    )
    edu.map(BUFFER, 0x8_0000, PAGE)
    edu.map(READ_ONLY, 0x9_0000, PAGE, write=False)
    edu.map(LARGE, 0x20_0000, 0x20_0000)
    net.map(BUFFER, 0xA_0000, PAGE)
    disk.map(DEEP, 0xB_0000, PAGE)
    for source_id, domain in ((EDU, edu), (NET, net), (DISK, disk)):
        root.attach(source_id, domain)
    root.pass_through(OLD, 4, 5)
    used = range(_TABLES[0], pages.room.gpa + pages.room.taken, PAGE)
    return Tables(root.gpa, tuple((gpa, ram.read(gpa, PAGE)) for gpa in used))


def unit_of(state: VtdState) -> VtdUnit:
    """The unit that a state describes, translating."""
    ram = Counting(_RAM)
    for gpa, data in tables().pages:
        ram.write(gpa, data)
    for gpa, mask in state.turned:
        ram.store(gpa, WORD, ram.load(gpa, WORD) ^ mask)
    unit = VtdUnit(ram, CAPABILITIES, cache_sizes=CACHE_SIZES)
    unit.translation.enabled, unit.translation.root_table = True, tables().root
    kept = state.held
    unit.caches.contexts.entries.update(kept.contexts)
    unit.caches.pages.entries.update(kept.pages)
    unit.caches.tables.entries.update(kept.tables)
    records = {f"FRCD{number}": record for number, record in enumerate(kept.records)}
    unit.preset(**records, FSTS=kept.status)
    unit.faults.next = kept.next_record
    return unit


def _held(unit: VtdUnit) -> Held:
    return Held(
        tuple(unit.caches.contexts.entries.items()),
        tuple(unit.caches.pages.entries.items()),
        tuple(unit.caches.tables.entries.items()),
        tuple(unit.faults.records),
        unit.FSTS,
        unit.faults.next,
    )


# -- what there is to see


def view_of(state: VtdState) -> View:
    """The request as the tables answer it."""
    unit = unit_of(state)
    asked = state.source_id, state.iova, state.write
    return look(unit.memory, unit.translation.root_table, CAPABILITIES, *asked)


def overflowed(state: VtdState) -> bool:
    """Whether faults were lost: FSTS.PFO."""
    return bool(_FSTS.PFO.get(state.held.status))


# -- actions


def aim(state: VtdState, **changes: int | bool) -> VtdState:
    """Look at another request. The lit entry stays, if the new walk has one there."""
    new = replace(state, **changes)  # type: ignore[arg-type]
    return light(new, new.lit)


def light(state: VtdState, place: int) -> VtdState:
    """Light the entry `place`, or the nearest one that was read."""
    last = max(len(view_of(state).rows) - 1, 0)
    return replace(state, lit=min(max(place, 0), last))


def flip(state: VtdState, bit: int) -> VtdState:
    """Turn a bit of the lit entry, in memory. The caches are not told, as those of a real unit.

    Nothing happens where no entry was read, or where it has no such bit.
    """
    rows = view_of(state).rows
    if not rows or not 0 <= bit < 8 * len(rows[state.lit].raw):
        return state
    turned = dict(state.turned)
    at = rows[state.lit].entry_at + bit // 64 * WORD
    turned[at] = turned.get(at, 0) ^ 1 << bit % 64
    left = tuple(sorted(each for each in turned.items() if each[1]))
    return light(replace(state, turned=left), state.lit)


def request(state: VtdState) -> VtdState:
    """Let the device ask. The unit looks into its caches first, and learns what it reads."""
    unit = unit_of(state)
    before = unit.memory.loads  # type: ignore[attr-defined]
    reason, gpa = None, 0
    try:
        gpa = unit.translation.reach(state.source_id, state.iova, state.write).gpa
    except DmaFault as fault:
        reason = Reason.of(fault.code)
    reads = unit.memory.loads - before  # type: ignore[attr-defined]
    answer = Answer(state.source_id, state.iova, state.write, reason, gpa, reads)
    return replace(state, held=_held(unit), answer=answer)


def forget_pages(state: VtdState) -> VtdState:
    """Invalidate the IOTLB, all of it, and the tables that lead to pages."""
    unit = unit_of(state)
    unit.invalidator.pages(Granularity.GLOBAL, 0, 0, 0, False)
    return replace(state, held=_held(unit))


def forget_contexts(state: VtdState) -> VtdState:
    """Invalidate the context cache, all of it. Pages stay."""
    unit = unit_of(state)
    unit.invalidator.contexts(Granularity.GLOBAL, 0, 0, 0)
    return replace(state, held=_held(unit))


def free_records(state: VtdState) -> VtdState:
    """Free every fault record, then PFO, as a driver does."""
    unit = unit_of(state)
    for number in range(CAPABILITIES.records):
        at = getattr(VtdRegisters, f"FRCD{number}").offset + 12
        unit.write(at, 4, FAULT_RECORD.F.mask >> 96)
    unit.write(_FSTS.offset, 4, _FSTS.PFO.mask)
    return replace(state, held=_held(unit))


@cache
def start() -> VtdState:
    """A card has written, its page was unmapped, and it has written again: by a stale entry."""
    state = light(request(VtdState()), len(view_of(VtdState()).rows))
    return request(flip(flip(state, 0), 1))
