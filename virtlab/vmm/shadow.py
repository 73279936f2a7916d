"""The shadow page table: memory virtualized with ordinary paging, before EPT or without it.

The processor has one page table, and the VMM owns it. It leads straight from what the guest calls
an address to the host's frame. Where the VMM wants to be asked, for a device that it emulates, it
leaves the entry invalid; the access is a page fault, and the VMM intercepts page faults. Where it
gives a device to the guest, a valid entry leads to the device, and nothing exits.

Here the guest has its own paging off, so its addresses are guest-physical, and the shadow maps
guest-physical to host-physical. `shadow_paging` shadows a guest's own tables with a second one.

Sources: SDM 3A 4.5 to 4.8, as `page_entries` has them, with CR0.WP = 1. Deviation: an address past
48 bits counts as not present, where real linear addresses that are not canonical raise #GP.
"""

from __future__ import annotations

from virtlab.vmm.exits import MemoryExit, ShadowFault
from virtlab.vmm.frames import Frames
from virtlab.vmm.page_entries import PCD, PWT, RW, US, P, PageTree
from virtlab.vmm.tables import Tables, Walk
from virtlab.vmm.walk import Translated, Words


class ShadowPageTable(PageTree, Tables):
    """A VM's shadow page table in host memory.

    `user` is the privilege that the guest's instructions run with: a deprivileged guest kernel
    runs in user mode, as VMMs before VT-x had it; with VT-x it keeps its own ring.
    """

    TABLE = P.mask | RW.mask | US.mask

    def __init__(self, frames: Frames, width: int = 46, user: bool = False) -> None:
        super().__init__(frames, width)
        self.user = user

    def map(
        self,
        gpa: int,
        hpa: int,
        length: int,
        writable: bool = True,
        cacheable: bool = True,
        large: bool = False,
    ) -> None:
        """Let `length` bytes at `gpa` be those at `hpa`. Whole pages, else `ValueError`.

        With `large`, in the largest pages that fit: 1 GiB, 2 MiB, 4 KiB.
        """
        flags = P.mask | US.mask | (RW.mask if writable else 0)
        self.set_pages(gpa, hpa, length, flags | (0 if cacheable else PCD.mask | PWT.mask), large)

    def map_device(self, gpa: int, hpa: int, length: int) -> None:
        """Let `length` bytes at `gpa` be a device's at `hpa`: not cached."""
        self.map(gpa, hpa, length, cacheable=False)

    def protect(self, gpa: int, length: int, writable: bool) -> None:
        """Let the mapped pages of `length` bytes at `gpa` be written, or only be read."""
        self.change(gpa, length, lambda entry: RW.put(entry, writable))

    def allows(self, walk: Walk, write: bool) -> bool:
        """Whether all entries of a finished walk allow the access (SDM 3A 4.6.1, CR0.WP = 1)."""
        return self.permits(walk.steps, write)

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | MemoryExit:
        """The host-physical address, or the page fault; a success sets the A and D flags."""
        walk = self.walk(gpa)
        if walk.problem or not self.allows(walk, write):
            return ShadowFault(gpa, size, write, value, self.error_code(walk.problem, write))
        for step in walk.steps:
            marked = self.marked(step, write)
            if marked != step.entry:
                self.memory.store(step.entry_at, 8, marked)
        return walk.hpa

    def translate_many(self, gpas: Words, write: bool) -> Translated:
        """`translate` for `gpas` (n,) uint64: the host-physical addresses, and codes.

        A code is a number in `PROBLEMS`; 0 got through, and elsewhere the address is 0.
        `error_codes` gives what the page faults push.
        """
        ends = self.descend_many(gpas)
        result = self.judge_many(ends, write)
        self.mark_many(self.memory, ends, result.codes == 0, write)
        return result
