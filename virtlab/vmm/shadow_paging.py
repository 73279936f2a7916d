"""Shadow paging: the guest's tables say what it wants, the VMM's table says what is.

The processor walks the *shadow* alone, from guest-virtual to host-physical. It begins empty. Each
access that it lacks is a page fault, and the VMM sees them all:

      not in the guest's tables either   a true fault     inject it: the guest shall handle it
      in the guest's, not in the shadow  a hidden fault   fill the entry, the same access again
      a write into one of its tables     a table write    make it, drop what it changes
      at an address with no RAM          a device         emulate the access, as ever

The rules that keep it simple. Whatever a walk used as a table is *write-protected* in the shadow,
so no change of it is missed. A page is mapped read-only until its first write, so that the guest's
D flag is set then and not before. `MOV CR3` forgets everything, and so does a change of CR0.WP or
of the VM's own memory map.

What a guest costs: n pages touched, read or written at once: n exits; read first and written later:
2n. Each write into a table: 1. Each `MOV CR3`: 1, and n more to fill again. With EPT all are 0.

Sources: SDM 3C 33.3 (memory virtualization), SDM 3A 4.8 and 4.10. Left out: more than one shadow
kept, a page that is no table any more (protected until `MOV CR3`), large pages, and tables changed
by a device: those count from `INVLPG` or `MOV CR3` on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import ClassVar, NamedTuple

from virtlab.memory import PAGE
from virtlab.vmm.exits import (
    GENERAL_PROTECTION,
    ControlExit,
    Exit,
    InvlpgExit,
    MemoryExit,
    ShadowFault,
)
from virtlab.vmm.frames import Frames
from virtlab.vmm.guest_paging import GuestFault, GuestPaging, GuestWalk
from virtlab.vmm.page_entries import PCD, PWT, RW, US, XD, D, P
from virtlab.vmm.paged_cpu import Paging
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.table_memory import BehindTables
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.vmm import Vmm


class Filled(NamedTuple):
    """Why a shadow entry is there: the guest-physical page, and the guest's entries on the way."""

    page: int
    entries: tuple[int, ...]


class ShadowPaging(Paging):
    """The shadow of a guest's own tables.

    `physical` is the VM's table from guest-physical to host-physical, RAM and assigned devices.
    `frames` is the pool for the shadow; when it is empty, the shadow begins anew. `counts` has
    `hidden fault`, `true fault`, `table write`, `emulated`, `flush` and `INVLPG`.
    """

    TAKES: ClassVar[tuple[type[Exit], ...]] = (ShadowFault, ControlExit, InvlpgExit)
    intercepts: ClassVar[bool] = True

    def __init__(
        self, guest: GuestPaging, physical: ShadowPageTable, frames: Frames, vmm: Vmm
    ) -> None:
        if not isinstance(physical, ShadowPageTable):
            raise TypeError(f"the VM's memory must be by a shadow page table, not {physical!r}")
        super().__init__(guest, vmm)
        guest.memory = BehindTables(physical)
        self.physical = physical
        self.shadow = ShadowPageTable(frames)
        self.counts: Counter[str] = Counter()
        self.tables: set[int] = set()
        """Guest-physical pages that walks have used as tables: write-protected."""
        self._made_for = guest.write_protect, physical.changes
        self._filled: dict[int, Filled] = {}
        self._to_page: defaultdict[int, set[int]] = defaultdict(set)
        self._by_entry: defaultdict[int, set[int]] = defaultdict(set)

    # -- the processor's side

    def attempt(self, gva: int, size: int, write: bool, value: int) -> int | Exit | GuestFault:
        """Walk the shadow alone. An address that is not canonical never gets that far."""
        if self.guest.outside(gva):
            return GuestFault(GENERAL_PROTECTION, 0)
        self.shadow.user = self.guest.user
        now = self.guest.write_protect, self.physical.changes
        if now != self._made_for:
            self._flush("CR0.WP" if now[1] == self._made_for[1] else "the VM's memory map")
            self._made_for = now
        result = self.shadow.translate(self._linear(gva), size, write, value)
        return replace(result, gpa=gva) if isinstance(result, MemoryExit) else result

    def _linear(self, gva: int) -> int:
        """The bits of `gva` that choose entries: 48, or 32."""
        return gva & ((2 << self.guest.INDEX[max(self.guest.INDEX)].hi) - 1)

    # -- the VMM's side

    def serve(self, exit: Exit) -> Resume:
        """A page fault, `MOV CR3` or `INVLPG`."""
        match exit:
            case ShadowFault():
                return self._fault(exit)
            case ControlExit(value):
                self.guest.cr3 = value
                self._flush("MOV CR3")
            case InvlpgExit(gva):
                self._invalidate(gva)
            case _:
                raise TypeError(f"shadow paging takes {self.TAKES}, not {exit!r}")
        return Resume(0)

    def _fault(self, exit: ShadowFault) -> Resume:
        """Whose fault it is, by the guest's own tables. The `gpa` of the record is a gva."""
        gva, write = exit.gpa, exit.write
        walk = self.guest.walk(gva)
        fault = self.guest.judge(walk, write)
        if fault is not None:
            self._count("true fault", gva)
            return self.inject(fault)
        self.guest.mark(walk, write)
        self._protect(walk)
        if write and walk.gpa & -PAGE in self.tables:
            return self._table_write(exit, walk.gpa)
        reached = self.physical.translate(walk.gpa, exit.size, write)
        if not isinstance(reached, int) or not self._room(self._linear(gva)):
            self._count("emulated", gva)
            return self._emulate(exit, walk.gpa)
        self._count("hidden fault", gva)
        self._fill(walk, reached & -PAGE, write)
        return Resume(again=True)

    def _table_write(self, exit: ShadowFault, gpa: int) -> Resume:
        """Make the guest's write, then drop the shadow entries that it may have changed."""
        self._count("table write", exit.gpa)
        resume = self._emulate(exit, gpa)
        first = gpa - gpa % self.guest.ENTRY
        for entry_at in range(first, gpa + exit.size, self.guest.ENTRY):
            for page in tuple(self._by_entry.pop(entry_at, ())):
                self._drop(page)
        return resume

    def _emulate(self, exit: ShadowFault, gpa: int) -> Resume:
        """Do the access in the VM's memory space: its RAM, or a virtual device."""
        if exit.write:
            self.vmm.memory.write(gpa, exit.size, exit.value)
            return Resume(0)
        return Resume(self.vmm.memory.read(gpa, exit.size))

    # -- the shadow, entry by entry

    def _fill(self, walk: GuestWalk, hpa: int, write: bool) -> None:
        """Map one page of 4 KiB, and remember what that depends on."""
        linear, page = self._linear(walk.gva) & -PAGE, walk.gpa & -PAGE
        self._drop(linear)
        self._protect(walk)
        entries = tuple(step.entry_at for step in walk.steps)
        self._filled[linear] = Filled(page, entries)
        self._to_page[page].add(linear)
        for entry_at in entries:
            self._by_entry[entry_at].add(linear)
        self.shadow.set_entry(linear, hpa | self._flags(walk, write))

    def _flags(self, walk: GuestWalk, write: bool) -> int:
        """The guest's rights, less what the VMM wants to hear of.

        A supervisor's write with CR0.WP = 0 to a page that is read-only is mapped for supervisors
        alone: the processor's own WP must stay 1, or it would write into tables.
        """
        guest, page = self.guest, walk.gpa & -PAGE
        writable, user = (all(b.get(s.entry) for s in walk.steps) for b in (RW, US))
        if write and not writable:
            writable, user = True, False
        clean = not write and not D.get(walk.steps[-1].entry)
        may = isinstance(self.physical.translate(page, 1, write=True), int)
        kept = self.physical.walk(page).steps[-1].entry & (PCD.mask | PWT.mask)
        never = guest.no_execute and any(XD.get(step.entry) for step in walk.steps)
        writable = writable and may and not clean and page not in self.tables
        return P.mask | RW.put(0, writable) | US.put(0, user) | XD.put(0, never) | kept

    def _protect(self, walk: GuestWalk) -> None:
        """Take the pages of the walk's tables for tables from now on: nobody writes them unseen."""
        for step in walk.steps:
            page = step.entry_at & -PAGE
            if page not in self.tables:
                self.tables.add(page)
                for linear in self._to_page.get(page, ()):
                    self.shadow.protect(linear, PAGE, writable=False)

    def _room(self, linear: int) -> bool:
        """Whether there are frames for the tables of one more entry, if need be all anew."""
        if self._missing(linear) > self.shadow.frames.left:
            self._flush("no frames left")
        return self._missing(linear) <= self.shadow.frames.left

    def _missing(self, linear: int) -> int:
        """Tables that an entry still needs: those below the level where the walk ends."""
        return self.shadow.walk(linear).steps[-1].level - 1

    def _invalidate(self, gva: int) -> None:
        """`INVLPG`: drop what the shadow has of the guest's page at `gva`."""
        self.counts["INVLPG"] += 1
        linear = self._linear(gva)
        size = max(self.guest.walk(gva).page_size, PAGE)
        for page in [page for page in self._filled if page & -size == linear & -size]:
            self._drop(page)

    def _drop(self, linear: int) -> None:
        """Forget one shadow entry."""
        filled = self._filled.pop(linear, None)
        if filled is None:
            return
        _forget(self._to_page, filled.page, linear)
        for entry_at in filled.entries:
            _forget(self._by_entry, entry_at, linear)
        self.shadow.unmap(linear, PAGE)

    def _flush(self, why: str) -> None:
        """Forget the whole shadow, and with it which pages are tables."""
        self._count("flush", self.guest.cr3, why)
        self.shadow.clear()
        for kept in (self.tables, self._filled, self._to_page, self._by_entry):
            kept.clear()

    def _count(self, what: str, gva: int, why: str = "") -> None:
        self.counts[what] += 1
        self.vmm.trace.emit("shadow", self.vmm.name, "memory", gva, note=why or what)


def _forget(index: defaultdict[int, set[int]], key: int, linear: int) -> None:
    """Take one page out of an index, which keeps no empty sets: a guest cannot make it grow."""
    index[key].discard(linear)
    if not index[key]:
        del index[key]
