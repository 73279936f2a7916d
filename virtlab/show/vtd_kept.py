"""What a unit remembers, beside what memory says by now: the stale entries stand out.

    cache     found by               leads to        memory says now
    IOTLB     03:00.0, page 0x18000  0x95a000 rw     the same
    IOTLB     03:00.0, page 0x19000  0x9c4000 rw     STALE: not mapped

The idea: a cache is true until a table changes. So each entry is looked up again in the tables,
with nothing remembered, and the two are compared. Software cannot do that to a real unit: it has no
register that shows its caches.

The rule that keeps it simple: `kept` makes plain rows. An entry is stale if a new walk would give
anything else than what is remembered.

Source: VT-d 3.0, 6.2. Left out: the flat tables of a requester, and interrupt entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.iommu.caches import PageKey
from virtlab.iommu.context import Context, find_context
from virtlab.iommu.listing import contexts
from virtlab.iommu.reasons import Reason
from virtlab.iommu.vtd import VtdUnit
from virtlab.iommu.walk import Start, Walk, descend, rights_text, translate
from virtlab.pci.tlp import bdf_text
from virtlab.show.layer_words import many
from virtlab.show.tables import Table
from virtlab.vmm.dma_remap import Piece


class Kept(NamedTuple):
    """One entry of a cache in words. `now` is what memory says: the same, if nothing changed."""

    cache: str
    tag: str
    says: str
    dropped_by: str
    now: str

    @property
    def stale(self) -> bool:
        """Whether it is believed, and wrong."""
        return self.now != self.says


def kept(unit: VtdUnit) -> list[Kept]:
    """Every entry of the three caches, the IOTLB first."""
    return [*_pages(unit), *_contexts(unit), *_tables(unit)]


def reached(unit: VtdUnit, source_id: int, iova: int, length: int) -> tuple[Piece, ...]:
    """Where a write of `length` bytes would land, by what the unit remembers; up to a refusal.

    No fault is recorded. What is remembered may become more, as by any request.
    """
    found = []
    end = iova + length
    while iova < end:
        page = unit.translation.page_of(source_id, iova, True)
        if page.reason is not None:
            break
        n = min(end - iova, page.size - iova % page.size)
        found.append(Piece(page.gpa, n))
        iova += n
    return tuple(found)


def kept_table(unit: VtdUnit, caption: str = "") -> Table:
    """The same as a table."""
    found = kept(unit)
    rows = tuple(
        (each.cache, each.tag, each.says, f"STALE: {each.now}" if each.stale else "the same")
        for each in found
    )
    stale = sum(each.stale for each in found)
    count = f"{many(len(rows), 'entry', 'entries')}, {stale} stale"
    heads = ("cache", "found by", "leads to", "memory says now")
    return Table(caption or f"What the unit remembers: {count}", heads, rows)


def _pages(unit: VtdUnit) -> Iterator[Kept]:
    for key, page in unit.caches.pages.entries.items():
        iova = key.number << key.bits
        tag = f"{bdf_text(key.owner)}, page {iova:#x}"
        says = f"{_page_words(page.walk)}, domain {page.domain}"
        yield Kept("IOTLB", tag, says, f"domain {page.domain}", _page_now(unit, key.owner, iova))


def _page_now(unit: VtdUnit, source_id: int, iova: int) -> str:
    """A page as the tables have it, for whatever right it gives."""
    asked = unit.memory, unit.translation.root_table, unit.capabilities, source_id, iova
    found = [translate(*asked, write) for write in (False, True)]
    walk = found[1] if found[0].reason is not None else found[0]
    context = _context(unit, source_id)
    if walk.reason in (Reason.READ, Reason.WRITE):
        return "not mapped"
    if walk.reason is not None:
        return f"fault {walk.reason:#x}"
    return f"{_page_words(walk._replace(gpa=walk.gpa & -walk.size))}, domain {context.domain}"


def _page_words(walk: Walk) -> str:
    return f"{walk.gpa:#x} {rights_text(walk.read, walk.write)}"


def _contexts(unit: VtdUnit) -> Iterator[Kept]:
    for source_id, context in unit.caches.contexts.entries.items():
        now = _context_words(_context(unit, source_id))
        tag = bdf_text(source_id)
        yield Kept("context", tag, _context_words(context), f"domain {context.domain}", now)


def _context(unit: VtdUnit, source_id: int) -> Context:
    return find_context(unit.memory, unit.translation.root_table, unit.capabilities, source_id)


def _context_words(context: Context) -> str:
    if context.reason is not None:
        return f"fault {context.reason:#x}"
    return f"domain {context.domain}, tables {context.table:#x}"


def _tables(unit: VtdUnit) -> Iterator[Kept]:
    roots = {
        context.domain: Start(context.levels, context.table)
        for _, context in contexts(unit.memory, unit.translation.root_table, unit.capabilities)
        if context.reason is None
    }
    for key, start in unit.caches.tables.entries.items():
        iova = key.number << key.bits
        tag = f"domain {key.owner}, from {iova:#x}"
        now = _table_now(unit, roots.get(key.owner), key, start.level)
        yield Kept("tables", tag, _table_words(start), f"domain {key.owner}", now)


def _table_now(unit: VtdUnit, top: Start | None, key: PageKey, level: int) -> str:
    """The table of `level` that a walk from the top would come to."""
    if top is None:
        return "no context"
    at = top
    for step in descend(unit.memory, unit.capabilities, top, key.number << key.bits, False).steps:
        if at.level == level:
            break
        at = Start.below(step.entry, step.level, at.read, at.write)
    return _table_words(at) if at.level == level else "not reached"


def _table_words(start: Start) -> str:
    return f"level {start.level} at {start.table:#x} {rights_text(start.read, start.write)}"
