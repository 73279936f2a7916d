"""What translation costs: how many entries the unit reads in memory, request by request.

    first request     root, context, 4 levels       6 reads
    same page again   the IOTLB has it              0
    page beside it    the caches have its table     1
    back, too late    the IOTLB had no room         1

The idea: a request of a card is not done before its address is known, so each read is a delay. The
caches take most of them away, as long as there is room.

The rule that keeps it simple: `entries_read` asks the unit itself, which learns from each request
as it does from a card's. It is for requests that go through.

Source: VT-d 3.0, 6.2. Real numbers of entries are not in the manual; ours are `vtd.CACHE_SIZES`.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtlab.iommu.vtd import VtdUnit

FIRST_HALF = 2
"""Entries before the second level: root and context."""


def entries_read(
    unit: VtdUnit, source_id: int, iovas: Iterable[int], write: bool = False
) -> list[int]:
    """How many entries the unit reads for each of `iovas`, in order."""
    counts = []
    for iova in iovas:
        before = unit.caches.contexts.misses
        steps = unit.translation.page_of(source_id, iova, write).steps
        new = unit.caches.contexts.misses - before
        counts.append(len(steps) + FIRST_HALF * new)
    return counts


def expected_reads(pages: int, rounds: int, levels: int, room: int) -> int:
    """The closed form for `pages` pages under one table, `rounds` times in the same order.

    `room` are the entries of an IOTLB in which the oldest goes first. With room for all, only the
    first round reads; else each request finds its page gone, and the table still known.

    >>> expected_reads(256, 4, levels=4, room=256), expected_reads(257, 4, levels=4, room=256)
    (261, 1033)
    """
    first = FIRST_HALF + levels + pages - 1
    return first if pages <= room else first + (rounds - 1) * pages
