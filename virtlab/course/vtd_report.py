"""What ``virtlab inspect vtd`` says, in words and as data: one address, one context, one page.

    00:03.0 asks for 0xfffe0123
      root     at 0x00000297b000: 0x...           an entry a line, as the walk met it
      ...
      gpa 0x3785123, rw, a page of 4 KiB, domain 5

The rule that keeps it simple: nothing here reads memory. It gets walks, contexts and pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context
from virtlab.iommu.layouts import TranslationType, index_bits
from virtlab.iommu.listing import Page
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Walk, rights_text
from virtlab.memory import PAGE
from virtlab.pci.tlp import bdf_text
from virtlab.wire import all_ones

SHOWN = 12
"""Lines about the pages of a context; the JSON has each page."""

TYPES = {
    TranslationType.UNTRANSLATED: "translated",
    TranslationType.DEVICE_TLB: "translated, device TLBs allowed",
    TranslationType.PASS_THROUGH: "passed through",
    TranslationType.RESERVED: "of a reserved type",
}
"""What a context entry's TT asks for."""


class Listed(NamedTuple):
    """A context with its pages; `whole` says that no page was left out."""

    source_id: int
    context: Context
    pages: list[Page]
    whole: bool


# -- one address


def way_data(source_id: int, iova: int, context: Context | None, walk: Walk) -> dict[str, Any]:
    """What JSON has of one translation."""
    data: dict[str, Any] = {"source_id": source_id, "iova": iova}
    if walk.reason is not None:
        data["fault"] = fault_data(walk.reason)
    else:
        data |= {"gpa": walk.gpa, "read": walk.read, "write": walk.write, "size": walk.size}
    tables = [step for step in walk.steps if step.level == 0]
    return data | {
        "domain": context.domain if context and context.reason is None else None,
        "tables": [
            {"table": step.table, "entry_gpa": step.entry_at, "halves": halves(step.entry)}
            for step in tables
        ],
        "levels": [
            {"level": step.level, "entry_gpa": step.entry_at, "entry": step.entry}
            for step in walk.steps[len(tables) :]
        ],
    }


def way_words(source_id: int, iova: int, context: Context | None, walk: Walk) -> Iterator[str]:
    """The lines about one translation: an entry each, and how it ended."""
    yield f"{bdf_text(source_id)} asks for {iova:#x}"
    if context is None:
        yield "  translation is off"
    for step in walk.steps:
        name = f"level {step.level}" if step.level else step.table
        yield f"  {name:<8} at {step.entry_at:#012x}: {step.entry:#018x}"
    if walk.reason is not None:
        yield f"  fault {walk.reason:#x}, {walk.reason.name}: {walk.reason.meaning}"
    else:
        domain = f", domain {context.domain}" if context else ""
        rights = rights_text(walk.read, walk.write)
        yield f"  gpa {walk.gpa:#x}, {rights}, a page of {size_text(walk.size)}{domain}"


def fault_data(reason: Reason) -> dict[str, Any]:
    """What JSON has of a fault."""
    return {"code": int(reason), "name": reason.name, "meaning": reason.meaning}


def halves(entry: int) -> list[int]:
    """An entry of 16 bytes as two numbers, the lower first: JSON's readers know 64 bits at most."""
    return [entry & all_ones(8), entry >> 64]


def size_text(size: int) -> str:
    """A size of pages in its largest whole unit.

    >>> size_text(4096), size_text(1 << 30)
    ('4 KiB', '1 GiB')
    """
    for shift, unit in ((30, "GiB"), (20, "MiB")):
        if not size % (1 << shift):
            return f"{size >> shift} {unit}"
    return f"{size >> 10} KiB"


# -- contexts and their pages


def context_data(listed: Listed) -> dict[str, Any]:
    """What JSON has of one context."""
    context = listed.context
    data: dict[str, Any] = {
        "source_id": listed.source_id,
        "domain": context.domain,
        "levels": context.levels,
        "type": TYPES[TranslationType(context.kind)],
        "table": context.table,
        "silent": context.silent,
        "mappings": [
            {"iova": p.iova, "gpa": p.gpa, "size": p.size, "read": p.read, "write": p.write}
            for p in listed.pages
            if p.reason is None
        ],
        "wrong": [
            {"iova": p.iova, "size": p.size, "level": p.level, "fault": fault_data(p.reason)}
            for p in listed.pages
            if p.reason is not None
        ],
        "whole": listed.whole,
    }
    if context.reason is not None:
        data["fault"] = fault_data(context.reason)
    return data


def unit_words(root: int | None, can: Capabilities) -> Iterator[str]:
    """What the unit does, and what it can do."""
    sizes = [PAGE, *(1 << index_bits(level).lo for level in can.large_levels)]
    yield "translation is off" if root is None else f"translation is on, root table {root:#x}"
    yield (
        f"addresses of {can.guest_width} bits, tables of {_or(can.levels)} levels, "
        f"pages of {_or([size_text(size) for size in sizes])}"
    )


def _or(parts: Sequence[object]) -> str:
    *most, last = map(str, parts) if parts else ("no",)
    return f"{', '.join(most)} or {last}" if most else last


def context_words(listed: Listed, verbose: bool) -> Iterator[str]:
    """The lines about one context: its pages, neighbours in one line."""
    context, who = listed.context, bdf_text(listed.source_id)
    if context.reason is not None:
        yield f"{who}: {context.reason.meaning} (fault {context.reason:#x})"
        return
    yield (
        f"{who}: domain {context.domain}, {TYPES[TranslationType(context.kind)]}, "
        f"{context.levels} levels from {context.table:#x}, {len(listed.pages)} pages"
    )
    lines = list(map(run_words, runs(listed.pages)))
    yield from lines if verbose else lines[:SHOWN]
    if len(lines) > SHOWN and not verbose:
        yield f"  and {len(lines) - SHOWN} more lines (-v shows all)"
    if not listed.whole:
        yield "  and more: the tables hold too many ways to list"


def runs(found: Iterable[Page]) -> Iterator[Page]:
    """Pages that are neighbours on both sides, with the same rights, as one."""
    last: Page | None = None
    for page in found:
        if last is not None and page == last._replace(
            iova=last.iova + last.size, gpa=last.gpa + last.size, size=page.size, level=page.level
        ):
            last = last._replace(size=last.size + page.size)
            continue
        if last is not None:
            yield last
        last = page
    if last is not None:
        yield last


def run_words(run: Page) -> str:
    """One line about a run of pages."""
    if run.reason is not None:
        return f"  {run.iova:#014x}  level {run.level}: {run.reason.meaning}"
    rights = rights_text(run.read, run.write)
    return f"  {run.iova:#014x} -> {run.gpa:#012x}  {rights}  {size_text(run.size)}"
