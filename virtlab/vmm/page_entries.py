"""Entries of page tables, as a processor judges them: the flags, the rights, the error code.

     63  62    52 51                12 11  9   8   7    6   5   4     3     2     1    0
    +---+--------+--------------------+-----+---+----+---+---+-----+-----+-----+-----+---+
    |XD |ignored | frame: table, page | ign | G | PS | D | A | PCD | PWT | U/S | R/W | P |
    +---+--------+--------------------+-----+---+----+---+---+-----+-----+-----+-----+---+

A shadow page table and a guest's own tables are both judged by these rules; only who made them
differs. An entry of 32-bit paging has the same low bits, and a frame in 31:12.

The rule that keeps it simple, from the manual: a walk that meets an entry which is not present or
has a reserved bit set never comes to the question of rights. Rights are the AND over all entries
(for XD the OR). Only an access that gets through sets the flags A and D.

Sources: SDM 3A 4.3 and 4.5 (formats), 4.6 (rights), 4.7 (error code), 4.8 (A and D). Left out:
protection keys, SMEP, SMAP, and that a processor may set A in upper entries though the walk fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from virtlab.memory import GuestMemory
from virtlab.vmm.exits import PF_FETCH, PF_PRESENT, PF_RESERVED, PF_USER, PF_WRITE
from virtlab.vmm.walk import (
    NOT_ALLOWED,
    NOT_PRESENT,
    UNREACHABLE,
    Codes,
    Ends,
    Flags,
    Step,
    Translated,
    Tree,
    Words,
    gather,
    scatter,
)
from virtlab.wire import Bits

P, RW, US, PWT, PCD, A, D, PS, G = (Bits(n) for n in range(9))
XD = Bits(63)

RESERVED = "a reserved bit is set"
NOT_CANONICAL = "not canonical"

RESERVED_IN_PAGE_ENTRY = {3: Bits(29, 13).mask, 2: Bits(20, 13).mask, 1: 0}
"""Bits that must be 0 in an entry that maps a page; bit 12 of a large one is PAT (SDM 3A 4.5)."""

RESERVED_IN_TABLE_ENTRY = {4: PS.mask, 3: 0, 2: 0}
"""Bits that must be 0 in an entry that points to a table."""


class PageTree(Tree):
    """A tree of page tables under the rules of ordinary paging.

    `user` is the privilege that the instructions run with (CPL 3), `write_protect` is CR0.WP,
    `no_execute` is EFER.NXE, `beyond_width` has the address bits that the processor lacks.
    """

    PROBLEMS: ClassVar[tuple[str, ...]] = ("", NOT_PRESENT, NOT_ALLOWED, RESERVED, NOT_CANONICAL)

    user: bool = False
    write_protect: bool = True
    no_execute: bool = True
    beyond_width: int = 0

    # -- an entry by itself

    def reserved(self, level: int, leaf: bool) -> int:
        """The bits that must be 0 in an entry of this level (SDM 3A tables 4-15 to 4-20)."""
        bits = (RESERVED_IN_PAGE_ENTRY if leaf else RESERVED_IN_TABLE_ENTRY)[level]
        return bits | self.beyond_width | (0 if self.no_execute else XD.mask)

    def problem(self, entry: int, level: int) -> str:
        """Not present, or a reserved bit is set."""
        if not P.get(entry):
            return NOT_PRESENT
        return RESERVED if entry & self.reserved(level, self.is_leaf(entry, level)) else ""

    def problem_many(self, entries: Words, level: int) -> Codes:
        """The same for many entries of one level, as codes."""
        leaf = self.is_leaf_many(entries, level)
        bad = np.zeros(len(entries), np.bool_)
        for kind, chosen in ((True, leaf), (False, ~leaf)):
            if chosen.any():
                bad |= chosen & (entries & self.reserved(level, kind) != 0)
        codes = np.where(bad, self.code(RESERVED), 0)
        return np.where(entries & P.mask, codes, self.code(NOT_PRESENT)).astype(np.uint8)

    # -- an access, after its walk

    def needed(self, write: bool) -> int:
        """The bits that all entries must have for an access (SDM 3A 4.6.1).

        A supervisor may write a read-only page if CR0.WP is 0; a user never may.
        """
        protected = write and (self.user or self.write_protect)
        return (RW.mask if protected else 0) | (US.mask if self.user else 0)

    def permits(self, steps: Sequence[Step], write: bool, fetch: bool = False) -> bool:
        """Whether all entries of a finished walk allow the access."""
        needed = self.needed(write)
        if fetch and self.no_execute and any(XD.get(step.entry) for step in steps):
            return False
        return all(step.entry & needed == needed for step in steps)

    def error_code(self, problem: str, write: bool, fetch: bool = False) -> int:
        """What the processor pushes for a page fault (SDM 3A 4.7).

        Of a table that a VMM cannot reach, it says that the entry is not present.
        """
        code = PF_PRESENT.put(0, problem not in (NOT_PRESENT, UNREACHABLE))
        code = PF_WRITE.put(code, write)
        code = PF_USER.put(code, self.user)
        code = PF_RESERVED.put(code, problem == RESERVED)
        return PF_FETCH.put(code, fetch and self.no_execute)

    def error_codes(self, codes: Codes, write: bool) -> Codes:
        """The same for a batch: what each number in `PROBLEMS` pushes."""
        pushed = [self.error_code(problem, write) for problem in self.PROBLEMS]
        return np.array(pushed, np.uint8)[codes]

    def marked(self, step: Step, write: bool) -> int:
        """The entry with A set, and D if it maps the page that is written (SDM 3A 4.8)."""
        dirty = write and self.is_leaf(step.entry, step.level)
        return step.entry | A.mask | (D.mask if dirty else 0)

    def judge_many(self, ends: Ends, write: bool) -> Translated:
        """What comes of many walks: rights are asked where nothing has stopped the walk."""
        needed = self.needed(write)
        denied = (ends.codes == 0) & (ends.common & needed != needed)
        codes = np.where(denied, self.code(NOT_ALLOWED), ends.codes).astype(np.uint8)
        return Translated(np.where(codes == 0, ends.results, 0), codes)

    def mark_many(self, memory: GuestMemory, ends: Ends, through: Flags, write: bool) -> None:
        """Set A and D for the walks that got `through`, in tables that lie in `memory`."""
        for level, places, used in zip(self.INDEX, ends.places, ends.used, strict=True):
            places = np.unique(places[used & through])
            entries = gather(memory, places, self.ENTRY)
            dirty = self.is_leaf_many(entries, level) & write
            flags = np.where(dirty, np.uint64(A.mask | D.mask), np.uint64(A.mask))
            scatter(memory, places, self.ENTRY, entries | flags)
