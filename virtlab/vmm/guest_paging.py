"""A guest's own page tables, walked as the processor walks them.

With paging on, an instruction names a *guest-virtual* address (gva; the manual says linear), and
the guest's tables make it guest-physical. They lie in guest-physical memory; CR3 says where.

      32-bit paging   31     22 21     12 11        0      two levels of 1,024 entries of 4 bytes,
                     +---------+---------+----------+      pages of 4 KiB, and of 4 MiB with CR4.PSE
      4-level paging  47 39 38 30 29 21 20 12 11    0      four levels of 512 entries of 8 bytes,
                     +-----+-----+-----+-----+------+      pages of 4 KiB, 2 MiB, 1 GiB, and XD

The rule that keeps it simple: what a walk finds is the guest's affair. `translate` gives the
guest-physical address, or the exception that the guest's processor raises. A VMM hears of neither.

Sources: SDM 3A 4.3 (32-bit paging), 4.5 (4-level), 4.6 to 4.8 as `page_entries` has them. Left out:
PAE paging, PSE-36 (bits 21:13 of an entry for 4 MiB are reserved), five levels, the TLB and so
global pages, and that a CR3 with reserved bits is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from virtlab.memory import GuestMemory
from virtlab.vmm.exits import GENERAL_PROTECTION, PAGE_FAULT
from virtlab.vmm.page_entries import NOT_CANONICAL, PS, PageTree
from virtlab.vmm.table_memory import PlainMemory, TableMemory
from virtlab.vmm.tables import beyond
from virtlab.vmm.walk import (
    NOT_ALLOWED,
    Codes,
    Flags,
    Step,
    Translated,
    Words,
    gather,
)
from virtlab.wire import Bits

MAX_FAULTS = 4
"""Exceptions that one access may raise, or that may be raised inside each other's handlers, before
the guest counts as stuck. Real ones go on until their stack is full."""


class GuestFault(NamedTuple):
    """An exception of the guest: `vector` 14 with the address for CR2, or 13, which has none."""

    vector: int
    error_code: int
    cr2: int = 0

    def __str__(self) -> str:
        if self.vector == PAGE_FAULT:
            return f"#PF, CR2 {self.cr2:#x}, error code {self.error_code:#x}"
        return f"#GP, error code {self.error_code:#x}"


class GuestWalk(NamedTuple):
    """A walk of the guest's tables: the `steps` taken, and its end.

    Either `problem` says in words why it stopped, or `gpa` is the guest-physical address, on a page
    of `page_size` bytes. `entry_at` of a step is guest-physical.
    """

    gva: int
    steps: tuple[Step, ...]
    problem: str = ""
    gpa: int = 0
    page_size: int = 0


class GuestPaging(PageTree):
    """The paging of one guest processor: its control bits, CR2, CR3, and who takes exceptions.

    `handler(fault)` is the guest's exception handler. It says whether it removed the cause, so that
    the instruction can run again. `faults` counts the exceptions raised, by vector.
    """

    def __init__(self, memory: TableMemory, cr3: int = 0, user: bool = False) -> None:
        self.memory = memory
        self.cr3 = cr3
        self.user = user
        self.cr2 = 0
        self.handler: Callable[[GuestFault], bool] | None = None
        self.faults: Counter[int] = Counter()
        self._depth = 0

    @property
    def root(self) -> int:
        """The guest-physical address of the top table, from CR3."""
        return self.cr3 & self.FRAME

    def entry(self, entry_at: int) -> int | None:
        """The entry at this guest-physical address."""
        return self.memory.load(entry_at, self.ENTRY)

    def entries(self, entry_at: Words) -> Words:
        """Many entries, (n,): only of plain memory. Else `TypeError`."""
        return gather(self._plain(), entry_at, self.ENTRY)

    # -- one access

    def walk(self, gva: int) -> GuestWalk:
        """Translate `gva` and tell every step; no flag is set."""
        return GuestWalk(gva, *self.descend(gva))

    def judge(self, walk: GuestWalk, write: bool, fetch: bool = False) -> GuestFault | None:
        """The exception that an access raises after its walk, or None."""
        if walk.problem == NOT_CANONICAL:
            return GuestFault(GENERAL_PROTECTION, 0)
        if not walk.problem and self.permits(walk.steps, write, fetch):
            return None
        code = self.error_code(walk.problem or NOT_ALLOWED, write, fetch)
        return GuestFault(PAGE_FAULT, code, walk.gva)

    def mark(self, walk: GuestWalk, write: bool) -> int | None:
        """Set A and D for an access; where that cannot be written, the gpa of the entry."""
        for step in walk.steps:
            marked = self.marked(step, write)
            if marked != step.entry and not self.memory.store(step.entry_at, self.ENTRY, marked):
                return step.entry_at
        return None

    def translate(self, gva: int, write: bool, fetch: bool = False) -> int | GuestFault:
        """The guest-physical address, its flags set; or the exception."""
        walk = self.walk(gva)
        fault = self.judge(walk, write, fetch)
        if fault is None:
            self.mark(walk, write)
        return walk.gpa if fault is None else fault

    def translate_many(self, gvas: Words, write: bool) -> Translated:
        """`translate` for `gvas` (n,) uint64 in plain memory: the addresses, and codes.

        A code is a number in `PROBLEMS`; 0 got through, and elsewhere the address is 0.
        `error_codes` gives what the page faults push.
        """
        ends = self.descend_many(gvas)
        result = self.judge_many(ends, write)
        self.mark_many(self._plain(), ends, result.codes == 0, write)
        return result

    def deliver(self, fault: GuestFault) -> bool:
        """Raise an exception in the guest: whether it has a handler, and that could help."""
        self.faults[fault.vector] += 1
        if fault.vector == PAGE_FAULT:
            self.cr2 = fault.cr2
        if self.handler is None or self._depth == MAX_FAULTS:
            return False
        self._depth += 1
        try:
            return self.handler(fault)
        finally:
            self._depth -= 1

    def _plain(self) -> GuestMemory:
        if not isinstance(self.memory, PlainMemory):
            raise TypeError("a batch walks tables in plain memory, not behind other tables")
        return self.memory.memory


class Paging32(GuestPaging):
    """32-bit paging: CR0.PG = 1, CR4.PAE = 0. `pse` is CR4.PSE. A gva has 32 bits."""

    INDEX: ClassVar[dict[int, Bits]] = {2: Bits(31, 22), 1: Bits(21, 12)}
    ENTRY: ClassVar[int] = 4
    FRAME: ClassVar[int] = Bits(31, 12).mask

    no_execute = False

    def __init__(
        self, memory: TableMemory, cr3: int = 0, user: bool = False, pse: bool = True
    ) -> None:
        super().__init__(memory, cr3, user)
        self.pse = pse

    def is_leaf(self, entry: int, level: int) -> bool:
        """Level 1, or with PSE an entry of level 2 that has PS set."""
        return level == 1 or (self.pse and bool(PS.get(entry)))

    def is_leaf_many(self, entries: Words, level: int) -> Flags:
        """The same for many entries of one level."""
        large: Flags = entries & PS.mask != 0
        return large & self.pse | (level == 1)

    def reserved(self, level: int, leaf: bool) -> int:
        """Bits 21:13 of an entry for 4 MiB, with no PSE-36; none elsewhere (SDM 3A 4.3)."""
        return Bits(21, 13).mask if leaf and level == 2 else 0

    def outside(self, address: int) -> str:
        """No address is: the processor has no more than 32 bits of it."""
        return ""

    def outside_many(self, addresses: Words) -> Codes:
        """The same for many addresses, as codes."""
        return np.zeros(len(addresses), np.uint8)


class Paging4Level(GuestPaging):
    """4-level paging: CR4.PAE = 1, IA32_EFER.LME = 1.

    `width` is the processor's physical-address width in bits, `no_execute` is EFER.NXE, and
    `gigabyte` says whether it has pages of 1 GiB (CPUID.80000001H:EDX[26]).
    """

    def __init__(
        self,
        memory: TableMemory,
        cr3: int = 0,
        user: bool = False,
        width: int = 46,
        no_execute: bool = True,
        gigabyte: bool = True,
    ) -> None:
        super().__init__(memory, cr3, user)
        self.beyond_width = beyond(width)
        self.no_execute = no_execute
        self.gigabyte = gigabyte

    def reserved(self, level: int, leaf: bool) -> int:
        """As SDM 3A 4.5 has them; PS at level 3 too, where there are no pages of 1 GiB."""
        missing = PS.mask if level == 3 and not self.gigabyte else 0
        return super().reserved(level, leaf) | missing

    def outside(self, address: int) -> str:
        """Bits 63:47 must be equal: the address is canonical (SDM 1 3.3.7.1)."""
        return "" if address >> 47 in (0, (1 << 17) - 1) else NOT_CANONICAL

    def outside_many(self, addresses: Words) -> Codes:
        """The same for many addresses, as codes."""
        high = addresses >> 47
        bad = (high != 0) & (high != (1 << 17) - 1)
        return np.where(bad, self.code(NOT_CANONICAL), 0).astype(np.uint8)
