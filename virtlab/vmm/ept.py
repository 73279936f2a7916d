"""Extended page tables: the processor itself turns guest-physical into host-physical addresses.

The VMM fills the tables once. After that a guest reaches its RAM, and every device it was given,
with no exit. An access whose entry is missing, or does not allow it, is an *EPT violation*: so the
VMM emulates a device by leaving its page out.

    63    52 51                     12 11  8    7    6   5    3   2   1   0
   +--------+-------------------------+-----+-------+-----+------+---+---+---+
   |ignored |  frame: table or page   | ign | large | PAT | type | X | W | R |
   +--------+-------------------------+-----+-------+-----+------+---+---+---+

The rule that keeps it simple: an entry is present if any of R, W, X is set. A present entry that
breaks a rule is an *EPT misconfiguration*, whatever the access. The rights of a page are the AND
of all entries on the way. `translate` is the reference; `translate_many` gives for an array of
addresses the same, as numbers in `PROBLEMS`.

Sources: SDM 3C 29.3.2 (format), 29.3.3.1 (misconfigurations), 29.3.3.2 (violations). Left out:
accessed and dirty flags (the pointer does not enable them), mode-based execute control.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from virtlab.vmm.exits import EXECUTE, READ, WRITE, EptMisconfiguration, EptViolation, MemoryExit
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import Tables, Walk
from virtlab.vmm.walk import NOT_ALLOWED, NOT_PRESENT, Codes, Translated, Words
from virtlab.wire import Bits

RIGHTS = Bits(2, 0)
MEMORY_TYPE = Bits(5, 3)

UNCACHEABLE, WRITE_COMBINING, WRITE_THROUGH, WRITE_PROTECTED, WRITE_BACK = 0, 1, 4, 5, 6
"""Memory types (SDM 3C 29.3.7). 2, 3 and 7 are reserved. Devices are mapped uncacheable."""

MEMORY_TYPES = (UNCACHEABLE, WRITE_COMBINING, WRITE_THROUGH, WRITE_PROTECTED, WRITE_BACK)

WRITE_ONLY = "can be written but not read"
EXECUTE_ONLY = "can only be executed"
RESERVED = "a reserved bit is set"
RESERVED_TYPE = "a reserved memory type"

RESERVED_IN_TABLE_ENTRY = {4: Bits(7, 3).mask, 3: Bits(6, 3).mask, 2: Bits(6, 3).mask}
"""Bits that must be 0 in an entry that points to a table (SDM 3C tables 29-1, 29-3, 29-5)."""

RESERVED_IN_PAGE_ENTRY = {3: Bits(29, 12).mask, 2: Bits(20, 12).mask, 1: 0}
"""Bits that must be 0 in an entry that maps a page (SDM 3C tables 29-2, 29-4, 29-6)."""


class Ept(Tables):
    """A VM's EPT in host memory.

    `execute_only` says whether the processor supports pages that can only be executed (bit 0 of
    IA32_VMX_EPT_VPID_CAP); without it such an entry is a misconfiguration.
    """

    TABLE = READ | WRITE | EXECUTE

    PROBLEMS: ClassVar[tuple[str, ...]] = (
        "",
        NOT_PRESENT,
        NOT_ALLOWED,
        WRITE_ONLY,
        EXECUTE_ONLY,
        RESERVED,
        RESERVED_TYPE,
    )
    """1 and 2 are violations, the rest misconfigurations."""

    def __init__(self, frames: Frames, width: int = 46, execute_only: bool = False) -> None:
        super().__init__(frames, width)
        self.execute_only = execute_only

    @property
    def pointer(self) -> int:
        """The EPTP: the top table, a walk of 4 levels, read write-back (SDM 3C 25.6.11)."""
        return self.root | (4 - 1) << 3 | WRITE_BACK

    def map(
        self,
        gpa: int,
        hpa: int,
        length: int,
        rights: int = READ | WRITE | EXECUTE,
        memory_type: int = WRITE_BACK,
        large: bool = False,
    ) -> None:
        """Let `length` bytes at `gpa` be those at `hpa`. Whole pages, else `ValueError`.

        With `large`, in the largest pages that fit: 1 GiB, 2 MiB, 4 KiB.
        """
        if memory_type not in MEMORY_TYPES:
            raise ValueError(f"a memory type is one of {MEMORY_TYPES}, not {memory_type}")
        flags = RIGHTS.put(0, rights) | MEMORY_TYPE.put(0, memory_type)
        self.set_pages(gpa, hpa, length, flags, large)

    def map_device(self, gpa: int, hpa: int, length: int) -> None:
        """Let `length` bytes at `gpa` be a device's at `hpa`: uncacheable, not executable."""
        self.map(gpa, hpa, length, READ | WRITE, UNCACHEABLE)

    def protect(self, gpa: int, length: int, rights: int) -> None:
        """Give the mapped pages of `length` bytes at `gpa` other rights; 0 takes them away."""
        self.change(gpa, length, lambda entry: RIGHTS.put(entry, rights))

    # -- the processor's side

    def problem(self, entry: int, level: int) -> str:
        """Not present, or why this entry is misconfigured (SDM 3C 29.3.3.1)."""
        rights = RIGHTS.get(entry)
        leaf = self.is_leaf(entry, level)
        if rights == 0:
            return NOT_PRESENT
        if rights & (READ | WRITE) == WRITE:
            return WRITE_ONLY
        if rights == EXECUTE and not self.execute_only:
            return EXECUTE_ONLY
        if entry & self.reserved(level, leaf):
            return RESERVED
        if leaf and MEMORY_TYPE.get(entry) not in MEMORY_TYPES:
            return RESERVED_TYPE
        return ""

    def problem_many(self, entries: Words, level: int) -> Codes:
        """The same for many entries of one level, as codes."""
        rights = entries & RIGHTS.mask
        leaf = self.is_leaf_many(entries, level)
        # Level 4 maps no page and level 1 points to no table: there the two masks are one.
        page, table = self.reserved(level, level < 4), self.reserved(level, level == 1)
        types = (entries & MEMORY_TYPE.mask) >> MEMORY_TYPE.lo
        first_of = [
            (rights == 0, NOT_PRESENT),
            (rights & (READ | WRITE) == WRITE, WRITE_ONLY),
            ((rights == EXECUTE) & (not self.execute_only), EXECUTE_ONLY),
            (np.where(leaf, entries & page, entries & table) != 0, RESERVED),
            (leaf & ~np.isin(types, MEMORY_TYPES), RESERVED_TYPE),
        ]
        holds, problems = zip(*first_of, strict=True)
        return np.select(holds, [np.uint8(self.code(word)) for word in problems], np.uint8(0))

    def reserved(self, level: int, leaf: bool) -> int:
        """The bits that must be 0 in an entry of this level."""
        reserved = RESERVED_IN_PAGE_ENTRY if leaf else RESERVED_IN_TABLE_ENTRY
        return reserved[level] | self.beyond_width

    def rights(self, walk: Walk) -> int:
        """What all entries of a walk allow together; 0 if one is not present."""
        return 0 if walk.problem else RIGHTS.get(walk.common)

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | MemoryExit:
        """The host-physical address, or an EPT violation or misconfiguration.

        A misconfiguration comes first: a walk that meets one never reaches the question of
        rights (SDM 3C 29.3.3.3).
        """
        walk = self.walk(gpa)
        if walk.problem not in ("", NOT_PRESENT):
            return EptMisconfiguration(gpa, size, write, value, walk.problem)
        rights = self.rights(walk)
        if not rights & (WRITE if write else READ):
            return EptViolation(gpa, size, write, value, rights)
        return walk.hpa

    def translate_many(self, gpas: Words, write: bool) -> Translated:
        """`translate` for `gpas` (n,) uint64: the host-physical addresses, and codes.

        A code is a number in `PROBLEMS`; 0 got through, and elsewhere the address is 0.
        """
        ends = self.descend_many(gpas)
        denied = (ends.codes == 0) & (ends.common & (WRITE if write else READ) == 0)
        codes = np.where(denied, self.code(NOT_ALLOWED), ends.codes).astype(np.uint8)
        return Translated(np.where(codes == 0, ends.results, 0), codes)
