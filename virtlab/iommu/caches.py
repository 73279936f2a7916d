"""What a unit remembers, and goes on believing until software says otherwise.

    context cache     source id                -> context entry
    IOTLB             source id, page          -> where the page is, its rights, its domain
    paging structures domain, address          -> the table below, and the rights so far

The idea: a walk costs up to seven reads of memory, so its results are kept. Then the tables in
memory change, and nobody tells the caches. They are *stale*: a page that was taken from a device is
still reached by it. To invalidate is software's duty, and these three classes show why.

The rules that keep it simple:

1. A cache never looks at memory. What is in it is true until it is dropped.
2. Each is bounded. When it is full, the oldest entry goes: software cannot tell, and may not rely
   on an entry being there.
3. An entry is found by one tag and dropped by another. A page is found by its requester and dropped
   by its domain. So to drop the context entry is not enough: the pages of the old domain stay until
   they are dropped too. Tables are shared by the devices of a domain, whose context entries must
   therefore name the same ones.

Source: VT-d 3.0, 6.1 (caching mode), 6.2 (the caches), 6.5.1 (what an invalidation drops); table 17
of revision 5.10 (tags). Left out: scalable mode; caches that drop an entry by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from virtlab.iommu.context import Context
from virtlab.iommu.layouts import PAGE_BITS, index_bits
from virtlab.iommu.walk import Start, Walk

K = TypeVar("K")
V = TypeVar("V")

FUNCTION_MASKS = (0xFFFF, 0xFFFB, 0xFFF9, 0xFFF8)
"""By FM, the bits of a source id that an invalidation compares: fewer and fewer of the function."""


class Cache(Generic[K, V]):
    """At most `size` entries, the oldest out first. Counts `hits`, `misses` and `evictions`."""

    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"a cache has 0 entries or more, not {size}")
        self.size = size
        self.entries: dict[K, V] = {}
        self.hits = self.misses = self.evictions = 0

    def find(self, *keys: K) -> V | None:
        """What is kept under the first of `keys` that is known; None if none is. Counts it."""
        for key in keys:
            found = self.entries.get(key)
            if found is not None:
                self.hits += 1
                return found
        self.misses += 1
        return None

    def keep(self, key: K, value: V) -> None:
        """Keep `value`, in place of the oldest entry if there is no room."""
        self.entries.pop(key, None)
        if len(self.entries) >= self.size:
            if not self.size:
                return
            del self.entries[next(iter(self.entries))]
            self.evictions += 1
        self.entries[key] = value

    def drop(self, condition: Callable[[K, V], bool]) -> int:
        """Forget every entry for which `condition(key, value)` holds. Gives how many."""
        gone = [key for key, value in self.entries.items() if condition(key, value)]
        for key in gone:
            del self.entries[key]
        return len(gone)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()

    def __len__(self) -> int:
        return len(self.entries)


class ContextCache(Cache[int, Context]):
    """Context entries by source id. Those that cannot be used, kept in caching mode, have tag 0."""

    def drop_domain(self, domain: int) -> int:
        """Forget the entries that name this domain id."""
        return self.drop(lambda _, context: _tag(context) == domain)

    def drop_device(self, domain: int, source_id: int, function_mask: int) -> int:
        """The entry of `source_id`, if it names this domain id.

        With a mask, those of other functions of its device too.
        """
        mask = FUNCTION_MASKS[function_mask]
        return self.drop(
            lambda cached, context: cached & mask == source_id & mask and _tag(context) == domain
        )


def _tag(context: Context) -> int:
    return 0 if context.reason is not None else context.domain


class PageKey(NamedTuple):
    """A page of somebody: `number` is its address, without the `bits` of the offset in it.

    `owner` is a source id in the IOTLB, and a domain id in the cache of tables.
    """

    owner: int
    bits: int
    number: int


class Page(NamedTuple):
    """What a walk has found in a `domain`, with `gpa` of the page's first byte.

    It has no steps: a hit reads no entry. In caching mode the walk may also have found nothing.
    """

    domain: int
    walk: Walk


class Iotlb(Cache[PageKey, Page]):
    """Pages by source id and address, of 4 KiB, 2 MiB or 1 GiB."""

    BITS = tuple(index_bits(level).lo for level in (1, 2, 3))

    def look_up(self, source_id: int, iova: int) -> Walk | None:
        """What is kept for `iova`, as a walk that ends there."""
        found = self.find(*(PageKey(source_id, bits, iova >> bits) for bits in self.BITS))
        if found is None:
            return None
        walk = found.walk
        return walk._replace(gpa=walk.gpa | iova & walk.size - 1)

    def learn(self, source_id: int, domain: int, iova: int, walk: Walk) -> None:
        """Keep what a walk for `iova` has found. Its `size` is that of the page, never 0."""
        bits = walk.size.bit_length() - 1
        page = walk._replace(steps=(), gpa=walk.gpa & -walk.size)
        self.keep(PageKey(source_id, bits, iova >> bits), Page(domain, page))

    def drop_domain(self, domain: int) -> int:
        """Forget the pages of a domain."""
        return self.drop(lambda _, page: page.domain == domain)

    def drop_pages(self, domain: int, iova: int, mask: int) -> int:
        """Forget the pages of a domain that overlap 2**`mask` pages of 4 KiB around `iova`."""
        bits = PAGE_BITS + mask
        return self.drop(lambda key, page: page.domain == domain and _meet(key, iova, bits))


class PagingCache(Cache[PageKey, Start]):
    """Tables by domain and address: where a walk may begin, further down than at the top.

    The entry for level 2, say, is the level-1 table of one stretch of 2 MiB.
    """

    def look_up(self, domain: int, iova: int, levels: int) -> Start | None:
        """The lowest table that is known for `iova`."""
        spans = (index_bits(level).hi + 1 for level in range(1, levels))
        return self.find(*(PageKey(domain, bits, iova >> bits) for bits in spans))

    def learn(self, domain: int, iova: int, start: Start, walk: Walk) -> None:
        """Keep the tables that a walk from `start` went through, to a page."""
        for below in _tables(start, walk):
            bits = index_bits(below.level).hi + 1
            self.keep(PageKey(domain, bits, iova >> bits), below)

    def drop_domain(self, domain: int) -> int:
        """Forget the tables of a domain."""
        return self.drop(lambda key, _: key.owner == domain)

    def drop_pages(self, domain: int, iova: int, mask: int) -> int:
        """Forget the tables of a domain that serve 2**`mask` pages around `iova`."""
        bits = PAGE_BITS + mask
        return self.drop(lambda key, _: key.owner == domain and _meet(key, iova, bits))


def _tables(start: Start, walk: Walk) -> Iterator[Start]:
    """The tables below each entry of a walk, but for the last, which maps the page."""
    read, write = start.read, start.write
    for step in walk.steps[:-1]:
        below = Start.below(step.entry, step.level, read, write)
        read, write = below.read, below.write
        yield below


def _meet(key: PageKey, iova: int, bits: int) -> bool:
    """Whether a page overlaps the 2**`bits` bytes around `iova`: one of the two holds the other."""
    wide = max(key.bits, bits)
    return key.number << key.bits >> wide == iova >> wide


SLOTS = 256
"""Counters of what was dropped, by domain id. Some domains share one: who sees it move, forgets."""

ANY, NONE = SLOTS, SLOTS + 1
"""The counter that moves with each of them, and one that never moves."""


class Caches:
    """The three caches of one unit.

    Whoever keeps answers compares two numbers that only rise. `generation` moves when something was
    dropped whatever its domain, or the unit does otherwise. `drops[slot]` moves when pages of a
    domain were dropped; `slot_of` says which slot.
    """

    def __init__(self, contexts: int, pages: int, tables: int) -> None:
        self.contexts, self.pages, self.tables = (
            ContextCache(contexts),
            Iotlb(pages),
            PagingCache(tables),
        )
        self.generation = 0
        self.drops = [0] * (SLOTS + 2)

    @staticmethod
    def slot_of(domain: int) -> int:
        """Which of `drops` counts for a domain."""
        return domain % SLOTS

    def count_drop(self, domain: int) -> None:
        """Pages of a domain were dropped."""
        self.drops[self.slot_of(domain)] += 1
        self.drops[ANY] += 1

    def clear(self) -> None:
        """Forget everything."""
        self.contexts.clear()
        self.pages.clear()
        self.tables.clear()
        self.generation += 1
