"""Who may reach what: the domains of a unit, their devices, and where their pages lie in memory.

    memory  0 [ .|.||....|..  ] 16 MiB   <--  domain 1, 256 pages  <--  03:00.0  05:00.0
              [ ..|....||.    ]          <--  domain 2, 59 pages   <--  04:00.0

The idea: a domain is a set of pages, and a device is in one domain. So the whole of isolation is a
few strips of memory: where two strips are dark at the same place, two domains share a frame.

The rule that keeps it simple: `reaches` lists what the tables say, in numbers; the picture draws it
on one scale. A cell of a strip is dark if any page of the domain begins, ends or lies in it.

Source: VT-d 3.0, 3.4. Left out: rights, and what the caches still hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context
from virtlab.iommu.layouts import TranslationType
from virtlab.iommu.listing import Budget, contexts, pages
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.tlp import bdf_text
from virtlab.show.palette import BLUE, FAINT, MARGIN, MUTED, SKY_TINT, SMALL, WHITE, WIDTH
from virtlab.show.shapes import arrow
from virtlab.show.svg import TOP, Picture, breadth, caption, fit, picture, rect, write
from virtlab.show.vf_grid import runs

_FIRST, _ROW, _HIGH = TOP + 50.0, 40.0, 26.0
_CELLS, _CELL = 100, 4.0
_STRIP = float(MARGIN)
_DOMAIN, _DOMAIN_WIDE = 476.0, 190.0
_SOURCE = 710.0
_MIB = 1 << 20


class Reach(NamedTuple):
    """Domain `number`, the source ids in it, and its pages `(gpa, bytes)`; `passed`: all memory."""

    number: int
    sources: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    passed: bool = False

    @property
    def pages(self) -> int:
        """How many pages of 4 KiB, each time that one is mapped."""
        return sum(size for _, size in self.spans) // PAGE

    @property
    def frames(self) -> int:
        """How many different ones."""
        return len({at for gpa, size in self.spans for at in range(gpa, gpa + size, PAGE)})


def reaches(memory: GuestMemory, root_table: int, capabilities: Capabilities) -> list[Reach]:
    """Every domain that a context entry names, by its number. A context that is wrong is left out.

    The budget of `listing` bounds what tables that lead in circles can cost.
    """
    found: dict[int, Reach] = {}
    budget = Budget()
    for source_id, context in contexts(memory, root_table, capabilities):
        if context.reason is not None:
            continue
        known = found.get(context.domain)
        if known is None:
            known = _reach(memory, capabilities, context, budget)
        found[context.domain] = known._replace(sources=(*known.sources, source_id))
    return [found[number] for number in sorted(found)]


def _reach(
    memory: GuestMemory, capabilities: Capabilities, context: Context, budget: Budget
) -> Reach:
    listed = pages(memory, capabilities, context, budget)
    spans = tuple((page.gpa, page.size) for page in listed if page.reason is None)
    return Reach(context.domain, (), spans, context.kind == TranslationType.PASS_THROUGH)


def vtd_domains(
    memory: GuestMemory, root_table: int, capabilities: Capabilities, title: str = ""
) -> Picture:
    """Memory left, domains in the middle, devices right."""
    rows = reaches(memory, root_table, capabilities)
    top = _top(rows)
    heading = title or "Who may reach what"
    parts = [caption(TOP + 8, "A dark cell of a strip: pages of this domain lie there.")]
    heads = ((_STRIP, f"memory, 0 to {top // _MIB} MiB"), (_DOMAIN, "domain"), (_SOURCE, "devices"))
    parts += [write(x, _FIRST - 12, words, SMALL, MUTED, bold=True) for x, words in heads]
    for place, row in enumerate(rows):
        parts += _drawn(row, _FIRST + place * _ROW, top)
    text = "\n".join([heading, *map(in_words, rows)])
    height = _FIRST + max(len(rows), 1) * _ROW + 10
    return picture(heading, height, parts, text, f"{heading}: {len(rows)} domains")


def in_words(row: Reach) -> str:
    """One domain in a line."""
    who = " ".join(map(bdf_text, row.sources))
    if row.passed:
        return f"{who}: domain {row.number}, passed through to all memory"
    return f"{who}: domain {row.number}, {row.pages} pages in {row.frames} frames"


def _top(rows: list[Reach]) -> int:
    """The end of the scale: above every page, whole MiB."""
    last = max((gpa + size for row in rows for gpa, size in row.spans), default=_MIB)
    return -(-last // _MIB) * _MIB


def _drawn(row: Reach, y: float, top: int) -> Iterator[str]:
    middle = y + _HIGH / 2
    yield rect(_STRIP, y, _CELLS * _CELL, _HIGH, WHITE, FAINT, radius=2)
    for first, last in _runs(row, top):
        x, wide = _STRIP + first * _CELL, (last - first + 1) * _CELL
        yield rect(x, y + 3, wide, _HIGH - 6, BLUE, "none", radius=0)
    words = "all memory" if row.passed else f"{row.pages} pages"
    yield rect(_DOMAIN, y, _DOMAIN_WIDE, _HIGH, SKY_TINT)
    yield write(_DOMAIN + 8, y + 18, fit(f"{row.number}: {words}", _DOMAIN_WIDE - 12, SMALL), SMALL)
    if row.pages or row.passed:
        yield arrow(_DOMAIN - 4, middle, _STRIP + _CELLS * _CELL + 8, BLUE)
    yield arrow(_SOURCE - 8, middle, _DOMAIN + _DOMAIN_WIDE + 4, BLUE)
    who = " ".join(map(bdf_text, row.sources))
    room = WIDTH - MARGIN - _SOURCE
    yield write(_SOURCE, y + 18, _cut(who, len(row.sources), room), SMALL, mono=True)


def _cut(who: str, count: int, room: float) -> str:
    """The devices, or the first of them and how many there are."""
    if breadth(who, SMALL, True) <= room:
        return who
    return f"{who.split()[0]} +{count - 1}"


def _runs(row: Reach, top: int) -> list[tuple[int, int]]:
    """The dark cells of a strip, first and last of each run."""
    if row.passed:
        return [(0, _CELLS - 1)]
    return runs({cell for gpa, size in row.spans for cell in _cells(gpa, size, top)})


def _cells(gpa: int, size: int, top: int) -> range:
    return range(gpa * _CELLS // top, (gpa + size - 1) * _CELLS // top + 1)
