"""Two sets of tables, one behind the other: the guest's own, and EPT.

The guest's tables lie in guest-physical memory. So the processor walks EPT for *each entry* of the
guest's that it reads, and once more for the page:

      references to memory            EPT level 4   3   2   1   the guest's entry
        entry of guest level 4               1      2   3   4          5
        entry of guest level 3               6      7   8   9         10
        entry of guest level 2              11     12  13  14         15
        entry of guest level 1              16     17  18  19         20
        the page                            21     22  23  24

n guest levels on m EPT levels: n rows of m + 1, and a last one of m: (n + 1)(m + 1) - 1 = 24.

The rule that keeps it simple: the guest maps, unmaps and switches its tables with no exit. Only EPT
can make one, also while it hides a *table*; then bit 8 of the qualification is 0, and the VMM must
not answer the access, but make the table reachable, or raise a page fault.

Sources: SDM 3C 29.3.1, 29.3.3.2, table 28-7. Left out: EPT's own A and D flags, and the TLB, so
every access pays the whole walk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import EPT_LINEAR_ACCESS, PAGE_FAULT, EptMisconfiguration, EptViolation, Exit
from virtlab.vmm.guest_paging import GuestFault, GuestPaging, GuestWalk
from virtlab.vmm.paged_cpu import Paging
from virtlab.vmm.table_memory import BehindTables
from virtlab.vmm.tables import Walk
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.vmm import Vmm
from virtlab.vmm.walk import UNREACHABLE


@dataclass(frozen=True, slots=True)
class TableViolation(EptViolation):
    """EPT refused an entry of the guest's tables, on the walk for `gva` (SDM 3C 29.3.3.2).

    `gpa` is where the entry lies and `size` its bytes. `write` is true where only the setting of A
    or D was refused. `for_write` says whether the instruction itself wanted to write.
    """

    gva: int = 0
    for_write: bool = False

    @property
    def qualification(self) -> int:
        """As SDM 3C table 28-7 has it: bit 8 is 0, the access was to a paging structure."""
        of_page = EptViolation(self.gpa, self.size, self.write, self.value, self.rights)
        return of_page.qualification & ~EPT_LINEAR_ACCESS.mask


@dataclass(frozen=True, slots=True)
class TableMisconfiguration(EptMisconfiguration):
    """The same, where the EPT entry on the way is misconfigured: a table among emulated devices."""

    gva: int = 0
    for_write: bool = False


class NestedWalk(NamedTuple):
    """A walk of both: the guest's, and in `rows` EPT's for each of its entries and for the page."""

    guest: GuestWalk
    rows: tuple[Walk, ...]

    @property
    def references(self) -> int:
        """How many entries in memory were read: of EPT, and of the guest's tables."""
        return len(self.guest.steps) + sum(len(row.steps) for row in self.rows)


def references(guest_levels: int, ept_levels: int = 4) -> int:
    """The references of a whole walk to pages of 4 KiB.

    >>> references(4), references(2)
    (24, 14)
    """
    return (guest_levels + 1) * (ept_levels + 1) - 1


class NestedPaging(Paging):
    """The guest's tables behind `ept`.

    `repair(gpa)`, where given, is the VMM's chance to map the page of a guest's table; it says
    whether it did.
    """

    TAKES: ClassVar[tuple[type[Exit], ...]] = (TableViolation, TableMisconfiguration)

    def __init__(
        self,
        guest: GuestPaging,
        ept: Ept,
        vmm: Vmm,
        repair: Callable[[int], bool] | None = None,
    ) -> None:
        if not isinstance(ept, Ept):
            raise TypeError(f"the VM's memory must be by EPT, not {ept!r}")
        super().__init__(guest, vmm)
        self.ept = ept
        self.repair = repair
        self.behind = BehindTables(ept)
        guest.memory = self.behind

    def walk(self, gva: int) -> NestedWalk:
        """Translate `gva` and tell every step of both."""
        guest = self.guest.walk(gva)
        places = [step.entry_at for step in guest.steps]
        if guest.problem == UNREACHABLE:
            places.append(self.behind.refused_at)
        elif not guest.problem:
            places.append(guest.gpa)
        return NestedWalk(guest, tuple(map(self.ept.walk, places)))

    def attempt(self, gva: int, size: int, write: bool, value: int) -> int | Exit | GuestFault:
        """Walk both; the guest's own exceptions are no exits."""
        walk = self.guest.walk(gva)
        if walk.problem == UNREACHABLE:
            return self._of_table(gva, write)
        fault = self.guest.judge(walk, write)
        if fault is not None:
            return fault
        if self.guest.mark(walk, write) is not None:
            return self._of_table(gva, write)
        return self.ept.translate(walk.gpa, size, write, value)

    def serve(self, exit: Exit) -> Resume:
        """A guest's table is out of reach: repair that, or say to the guest "not present".

        Past the instruction, as for a device, is no answer here: the value would be the table's.
        """
        if not isinstance(exit, TableViolation | TableMisconfiguration):
            raise TypeError(f"nested paging takes exits of tables alone, not {exit!r}")
        if self.repair is not None and self.repair(exit.gpa):
            return Resume(again=True)
        code = self.guest.error_code(UNREACHABLE, exit.for_write)
        return self.inject(GuestFault(PAGE_FAULT, code, exit.gva))

    def _of_table(self, gva: int, write: bool) -> Exit:
        """The record of what EPT refused last."""
        refused = self.behind.refused
        match refused:
            case EptViolation(gpa, size, store, value, rights):
                return TableViolation(gpa, size, store, value, rights, gva, write)
            case EptMisconfiguration(gpa, size, store, value, why):
                return TableMisconfiguration(gpa, size, store, value, why, gva, write)
        raise TypeError(f"EPT refuses by a violation or a misconfiguration, not {refused!r}")
