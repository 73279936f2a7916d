"""A walk down a tree of tables in memory, one address at a time or many at once.

EPT, a shadow page table and a guest's own page tables are trees of the same kind: some bits of the
address choose an entry of the top table, the entry names the next table, and so on to a page.

      47         39 38         30 29         21 20         12 11            0
     +-------------+-------------+-------------+-------------+---------------+
     |   level 4   |   level 3   |   level 2   |   level 1   |    offset     |
     +-------------+-------------+-------------+-------------+---------------+
     |  512 GiB    |  1 GiB page |  2 MiB page |  4 KiB page |               |

The rule that keeps it simple: this class walks, and asks its subclass about each entry with one
question, `problem(entry, level)`. The walk keeps every step, so a picture can light each entry and
a test can compare them. It is bounded by the number of levels, whatever the memory holds.

`descend` is the reference and `descend_many` the same for an array of addresses; a problem is a
word of `PROBLEMS` here and its number there.

Sources: SDM 3A 4.3 and 4.5 (paging), SDM 3C 29.3.2 (EPT). Left out: PAE and five levels, and the
TLB, so a changed entry is seen at once.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.memory import GuestMemory
from virtlab.wire import Bits, all_ones

Words = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

INDEX = {4: Bits(47, 39), 3: Bits(38, 30), 2: Bits(29, 21), 1: Bits(20, 12)}
"""The bits of an address that choose the entry at each of four levels."""

ADDRESS = Bits(51, 12)
"""The bits of an entry of 8 bytes that name a frame: the next table, or the page."""

LARGE = Bits(7)
"""Set in an entry above level 1 that maps a page: PS in a page table's."""

NOT_PRESENT = "not present"
NOT_ALLOWED = "not allowed"
UNREACHABLE = "the table cannot be reached"


class Step(NamedTuple):
    """One entry that a walk used: its `level`, where it lies, and its bits.

    `entry_at` is host-physical for EPT and shadow tables, guest-physical for a guest's own.
    """

    level: int
    entry_at: int
    entry: int


class End(NamedTuple):
    """How a walk ended: by a `problem` at its last step, or at `result`, on a page of that size."""

    steps: tuple[Step, ...]
    problem: str = ""
    result: int = 0
    page_size: int = 0


class Ends(NamedTuple):
    """How `n` walks ended. `codes` are numbers in `PROBLEMS`, 0 for none; `results` count there.

    `common` has the bits that are set in every entry used. `places` has for each level, the top one
    first, where the entry lies, and `used` whether there is one: both (levels, n).
    """

    results: Words
    codes: Codes
    common: Words
    places: Words
    used: Flags


class Translated(NamedTuple):
    """What a batch gives: addresses (n,) and numbers in `PROBLEMS` (n,), 0 where it got through."""

    results: Words
    codes: Codes


class Tree:
    """Tables that lie in a memory; a subclass says where, and what an entry means."""

    INDEX: ClassVar[dict[int, Bits]] = INDEX
    """The bits of an address that choose the entry, by level; the first level is the top."""

    ENTRY: ClassVar[int] = 8
    """Bytes of an entry."""

    FRAME: ClassVar[int] = ADDRESS.mask
    """The bits of an entry that name the next table or the page."""

    PROBLEMS: ClassVar[tuple[str, ...]] = ("", NOT_PRESENT, NOT_ALLOWED)
    """Why an access may not get through; its number here is its code in a batch."""

    # -- what a kind of table decides

    @property
    def root(self) -> int:
        """Where the top table lies."""
        raise NotImplementedError

    def entry(self, entry_at: int) -> int | None:
        """The entry at `entry_at`; None where the walk cannot reach it."""
        raise NotImplementedError

    def entries(self, entry_at: Words) -> Words:
        """Many entries, (n,); all ones where there is no memory."""
        raise NotImplementedError

    def problem(self, entry: int, level: int) -> str:
        """Why the processor stops at this entry, whatever the access: empty if it does not."""
        raise NotImplementedError

    def problem_many(self, entries: Words, level: int) -> Codes:
        """The same for many entries of one level, as codes."""
        raise NotImplementedError

    def is_leaf(self, entry: int, level: int) -> bool:
        """Whether an entry maps a page, and points to no table."""
        return level == 1 or (level < 4 and bool(entry & LARGE.mask))

    def is_leaf_many(self, entries: Words, level: int) -> Flags:
        """The same for many entries of one level."""
        if level in (1, 4):
            return np.full(len(entries), level == 1)
        large: Flags = entries & LARGE.mask != 0
        return large

    def outside(self, address: int) -> str:
        """The problem of an address that has no entry at all: empty if it has."""
        return NOT_PRESENT if address >> 48 else ""

    def outside_many(self, addresses: Words) -> Codes:
        """The same for many addresses, as codes."""
        return np.where(addresses >> 48, self.code(NOT_PRESENT), 0).astype(np.uint8)

    # -- the walk

    @classmethod
    def code(cls, problem: str) -> int:
        """The number of a problem."""
        return cls.PROBLEMS.index(problem)

    def descend(self, address: int) -> End:
        """Go from the root to a page, or to what stops the walk."""
        steps: list[Step] = []
        problem = self.outside(address)
        level, table = max(self.INDEX), self.root
        while not problem:
            entry_at = table + self.ENTRY * self.INDEX[level].get(address)
            entry = self.entry(entry_at)
            if entry is None:
                return End(tuple(steps), UNREACHABLE)
            steps.append(Step(level, entry_at, entry))
            problem = self.problem(entry, level)
            if not problem and self.is_leaf(entry, level):
                size = 1 << self.INDEX[level].lo
                result = entry & self.FRAME & -size | address & (size - 1)
                return End(tuple(steps), "", result, size)
            level, table = level - 1, entry & self.FRAME
        return End(tuple(steps), problem)

    def descend_many(self, addresses: Words) -> Ends:
        """`descend` for addresses (n,) uint64, level by level, all of them together."""
        ends = _no_ends(len(self.INDEX), self.outside_many(addresses))
        tables = np.full(len(addresses), self.root, np.uint64)
        live = np.flatnonzero(ends.codes == 0)
        for row, (level, bits) in enumerate(self.INDEX.items()):
            here, size = addresses[live], 1 << bits.lo
            entry_at = tables[live] + self.ENTRY * ((here >> bits.lo) & (bits.mask >> bits.lo))
            entries = self.entries(entry_at)
            codes, leaf = self.problem_many(entries, level), self.is_leaf_many(entries, level)
            ends.codes[live], ends.places[row, live], ends.used[row, live] = codes, entry_at, True
            ends.common[live] &= entries
            page = (codes == 0) & leaf
            offset = here[page] & (size - 1)
            ends.results[live[page]] = entries[page] & (self.FRAME & -size) | offset
            tables[live] = entries & self.FRAME
            live = live[(codes == 0) & ~leaf]
        return ends


def _no_ends(levels: int, codes: Codes) -> Ends:
    n = len(codes)
    common = np.full(n, all_ones(8), np.uint64)
    places, used = np.zeros((levels, n), np.uint64), np.zeros((levels, n), np.bool_)
    return Ends(np.zeros(n, np.uint64), codes, common, places, used)


# -- entries in a memory of regions, many at once


def gather(memory: GuestMemory, places: Words, size: int) -> Words:
    """The little-endian numbers of `size` bytes at `places` (n,); all ones where memory is not."""
    there, index = _bytes_of(memory, places, size)
    words = np.full(len(places), all_ones(size), np.uint64)
    words[there] = memory.bytes[index].view(f"<u{size}").ravel()
    return words


def scatter(memory: GuestMemory, places: Words, size: int, words: Words) -> None:
    """Put `words` of `size` bytes at `places`; those where memory is not are dropped."""
    there, index = _bytes_of(memory, places, size)
    memory.bytes[index] = words[there].astype(f"<u{size}").view(np.uint8).reshape(-1, size)


def _bytes_of(memory: GuestMemory, places: Words, size: int) -> tuple[Flags, Words]:
    """Which of `places` are in memory, and for those the indices of their bytes, (m, size)."""
    regions = np.array(memory.regions, np.uint64).reshape(-1, 3)
    which = np.searchsorted(regions[:, 0], places, side="right").astype(np.intp) - 1
    there = which >= 0
    start, length, offset = regions[which[there]].T
    inside = places[there] - start
    whole = inside + size <= length
    there[there] = whole
    return there, (offset + inside)[whole][:, None] + np.arange(size, dtype=np.uint64)
