"""The shadow page table: memory virtualized with ordinary paging, before EPT or without it.

The processor has one page table, and the VMM owns it. It leads straight from what the guest calls
an address to the host's frame. Where the VMM wants to be asked, for a device that it emulates, it
leaves the entry invalid; the access is a page fault, and the VMM intercepts page faults. Where it
gives a device to the guest, a valid entry leads to the device, and nothing exits.

     63  62    52 51                12 11  9   8   7    6   5   4     3     2     1    0
    +---+--------+--------------------+-----+---+----+---+---+-----+-----+-----+-----+---+
    |XD |ignored | frame: table, page | ign | G | PS | D | A | PCD | PWT | U/S | R/W | P |
    +---+--------+--------------------+-----+---+----+---+---+-----+-----+-----+-----+---+

This guest has its own paging off, so its addresses are guest-physical, and the shadow maps
guest-physical to host-physical. To shadow a guest's own tables is a later chapter.

Sources: SDM 3A 4.5 (format), 4.6 (rights, with CR0.WP = 1), 4.7 (error code), 4.8 (A and D flags).
Deviation: an address past 48 bits counts as not present, where real linear addresses that are not
canonical raise #GP. Left out: protection keys, SMEP, SMAP, and XD, as nothing is fetched.
"""

from __future__ import annotations

from virtlab.vmm.exits import PF_PRESENT, PF_RESERVED, PF_USER, PF_WRITE, MemoryExit, ShadowFault
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import NOT_PRESENT, Tables, Walk, is_leaf
from virtlab.wire import Bits

P, RW, US, PWT, PCD, A, D, PS, G = (Bits(n) for n in range(9))
XD = Bits(63)

RESERVED_IN_PAGE_ENTRY = {3: Bits(29, 13).mask, 2: Bits(20, 13).mask, 1: 0}
"""Bits that must be 0 in an entry that maps a page; bit 12 of a large one is PAT (SDM 3A 4.5)."""

RESERVED_IN_TABLE_ENTRY = {4: PS.mask, 3: 0, 2: 0}
"""Bits that must be 0 in an entry that points to a table."""


class ShadowPageTable(Tables):
    """A VM's shadow page table in host memory.

    `user` is the privilege that the guest's instructions run with: a deprivileged guest kernel
    runs in user mode, as VMMs before VT-x had it; with VT-x it keeps its own ring.
    """

    TABLE = P.mask | RW.mask | US.mask

    def __init__(self, frames: Frames, width: int = 46, user: bool = False) -> None:
        super().__init__(frames, width)
        self.user = user

    def map(
        self, gpa: int, hpa: int, length: int, writable: bool = True, cacheable: bool = True
    ) -> None:
        """Let `length` bytes at `gpa` be those at `hpa`. Whole pages, else `ValueError`."""
        flags = P.mask | US.mask | (RW.mask if writable else 0)
        self.set_pages(gpa, hpa, length, flags | (0 if cacheable else PCD.mask | PWT.mask))

    def map_device(self, gpa: int, hpa: int, length: int) -> None:
        """Let `length` bytes at `gpa` be a device's at `hpa`: not cached."""
        self.map(gpa, hpa, length, cacheable=False)

    def problem(self, entry: int, level: int) -> str:
        """Not present, or a reserved bit is set (SDM 3A 4.5, 4.7)."""
        reserved = RESERVED_IN_PAGE_ENTRY if is_leaf(entry, level) else RESERVED_IN_TABLE_ENTRY
        if not P.get(entry):
            return NOT_PRESENT
        return "a reserved bit is set" if entry & (reserved[level] | self.beyond_width) else ""

    def allows(self, walk: Walk, write: bool) -> bool:
        """Whether all entries of a finished walk allow the access (SDM 3A 4.6.1, CR0.WP = 1)."""
        needed = (RW.mask if write else 0) | (US.mask if self.user else 0)
        return walk.common & needed == needed

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | MemoryExit:
        """The host-physical address, or the page fault; a success sets the A and D flags."""
        walk = self.walk(gpa)
        if walk.problem or not self.allows(walk, write):
            return ShadowFault(gpa, size, write, value, self.error_code(walk, write))
        self._mark(walk, write)
        return walk.hpa

    def error_code(self, walk: Walk, write: bool) -> int:
        """What the processor pushes for a page fault after `walk` (SDM 3A 4.7)."""
        code = PF_PRESENT.put(0, walk.problem != NOT_PRESENT)
        code = PF_WRITE.put(code, write)
        code = PF_USER.put(code, self.user)
        return PF_RESERVED.put(code, walk.problem not in ("", NOT_PRESENT))

    def _mark(self, walk: Walk, write: bool) -> None:
        """Set A in every entry used, and D in the one that maps the page, if it is written."""
        for step in walk.steps:
            dirty = D.mask if write and is_leaf(step.entry, step.level) else 0
            marked = step.entry | A.mask | dirty
            if marked != step.entry:
                self.memory.store(step.entry_hpa, 8, marked)
