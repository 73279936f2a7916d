"""The driver of a remapping unit: who may reach what, switched on and off, changed while it runs.

    vtd = VtdDriver(cpu, base, Room(gpa, 1 << 20))
    vtd.start()                                    root table, caches, queue
    disk = vtd.new_domain()
    vtd.map(disk, iova=0x4000_0000, gpa=0x20_0000, length=0x1000)
    vtd.attach(0x0018, disk)
    vtd.enable()                                   from here on every request is translated

The idea: the tables say who may do what, in memory. The registers say where the tables are, and
that they count. What the unit has read, it keeps: after each change that takes something away, it
is told to forget.

The rules that keep it simple:

1. `vtd.unmap` changes the table and invalidates. `domain.unmap` only changes the table: whoever
   calls that has a stale entry, and gets what lesson 19 shows.
2. A new entry needs no invalidation, since what is not present is not kept. Only a unit in caching
   mode (CAP.CM) keeps that too.
3. Invalidation goes through the queue where the unit has one, else through registers.

Source: VT-d 3.0, 6.5 and 6.8 (what to invalidate when), 10.4.4 to 10.4.6. Left out: device TLBs on
`unmap` (`ring.device_pages` is there), scalable mode, faults of the queue's own making.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.cpu import Cpu
from virtlab.guest.mapped import MappedCpu
from virtlab.guest.room import Room
from virtlab.guest.vtd_faults import FaultRecords
from virtlab.guest.vtd_find import find_units
from virtlab.guest.vtd_interrupts import InterruptTable
from virtlab.guest.vtd_invalidate import ByRegisters, Invalidation
from virtlab.guest.vtd_queue import InvalidationRing, abandon
from virtlab.guest.vtd_registers import GCMD, UnitRegisters, VtdFailed
from virtlab.guest.vtd_tables import Domain, RootTable, TablePages
from virtlab.iommu.registers import VtdRegisters

CAP, ECAP, RTADDR = VtdRegisters.CAP, VtdRegisters.ECAP, VtdRegisters.RTADDR


class VtdDriver:
    """The unit at `base` (gpa). Its tables, and its queue, lie in `room`.

    `root` says who is attached; `faults` has what was refused; `invalidation` is the way in use;
    `ring` and `interrupts` are the queue and the interrupt table, once there are any.
    """

    def __init__(self, cpu: Cpu, base: int, room: Room, host_width: int = 52) -> None:
        self.cpu = cpu
        self.registers = UnitRegisters(cpu, base, host_width)
        self.capabilities = self.registers.capabilities
        self.pages = TablePages(cpu, room)
        self.faults = FaultRecords(self.registers)
        self.root = RootTable(cpu, self.pages)
        self.invalidation: Invalidation = ByRegisters(self.registers)
        self.ring: InvalidationRing | None = None
        self.interrupts: InterruptTable | None = None
        self.domains = 0

    @classmethod
    def find(cls, cpu: Cpu, room: Room) -> VtdDriver:
        """The first unit that the ACPI tables name. `LookupError` if they name none."""
        unit = find_units(cpu)[0]
        return cls(cpu, unit.base, room, unit.host_width)

    # -- beginning and end

    def start(self, queued: bool = True) -> None:
        """Set the root table, and let nothing of before be remembered. Translation is still off.

        Whatever was on before is switched off. With `queued` the queue is used, if there is one.
        """
        self.disable()
        if self.registers.is_on(GCMD.IRE):
            self.registers.command(GCMD.IRE, False)
        abandon(self.registers, self.pages)
        self.invalidation, self.ring = ByRegisters(self.registers), None
        if queued and ECAP.QI.get(self.registers.ecap):
            self.invalidation = self.ring = InvalidationRing(self.registers, self.pages)
            self.ring.enable()
        self.set_root(self.root)

    def set_root(self, root: RootTable) -> None:
        """Use another root table: SRTP, then all that was cached of the old one (10.4.6)."""
        self.root = root
        self.registers.put(RTADDR, root.gpa)
        self.registers.command(GCMD.SRTP)
        self.forget_all()

    def forget_all(self) -> None:
        """Contexts first, then pages: a page is tagged by what its context said (6.5)."""
        self.invalidation.contexts()
        self.invalidation.pages()

    def enable(self) -> None:
        """Translate. What devices ask for from here on goes through the tables, or nowhere."""
        self.registers.flush_writes()
        self.registers.command(GCMD.TE)
        self.registers.unprotect()

    def disable(self) -> None:
        """Do not translate: devices reach all memory, as if there were no unit."""
        if self.enabled:
            self.registers.command(GCMD.TE, False)

    @property
    def enabled(self) -> bool:
        """Whether the unit translates."""
        return self.registers.is_on(GCMD.TE)

    # -- domains

    def new_domain(self, levels: int | None = None) -> Domain:
        """An empty domain, by default of 4 levels, or of 5 or 3 where the unit has no 4.

        Number 0 is left out: a unit in caching mode has it for itself (6.1). `ValueError` if the
        unit has no number left, or does not walk tables of so many levels.
        """
        most = 1 << 4 + 2 * CAP.ND.get(self.registers.cap)
        if self.domains + 1 >= most:
            raise ValueError(f"the unit knows {most} domains")
        able = sorted(self.capabilities.levels, key=lambda n: (n < 4, n))
        depth = levels if levels is not None else able[0]
        domain = Domain(self.cpu, self.pages, self.domains + 1, depth, self.capabilities)
        self.domains += 1
        return domain

    def attach(self, source_id: int, domain: Domain) -> None:
        """Put a device into a domain."""
        self.root.attach(source_id, domain)
        self._new_context(source_id, domain.number)

    def pass_through(self, source_id: int) -> None:
        """Let a device reach all memory. `ValueError` where the unit cannot (ECAP.PT)."""
        if not self.capabilities.pass_through:
            raise ValueError("the unit translates for every device")
        number = self.new_domain(max(self.capabilities.levels)).number
        self.root.pass_through(source_id, number, max(self.capabilities.levels))
        self._new_context(source_id, number)

    def _new_context(self, source_id: int, number: int) -> None:
        if self.capabilities.caching_mode:
            # What was not present was kept as domain 0's (6.1).
            self.invalidation.contexts(0, source_id)
            self.invalidation.pages(number)
        else:
            self.registers.flush_writes()

    def detach(self, source_id: int) -> None:
        """Take a device out of its domain: it may reach nothing."""
        number = self.root.detach(source_id)
        self.registers.flush_writes()
        self.invalidation.contexts(number, source_id)
        self.invalidation.pages(number)

    # -- pages

    def map(
        self,
        domain: Domain,
        iova: int,
        gpa: int,
        length: int,
        read: bool = True,
        write: bool = True,
    ) -> None:
        """`Domain.map`, and what the unit must be told of it."""
        domain.map(iova, gpa, length, read, write)
        if self.capabilities.caching_mode:
            self.invalidation.pages(domain.number, iova, length)
        else:
            self.registers.flush_writes()

    def unmap(self, domain: Domain, iova: int, length: int) -> None:
        """`Domain.unmap`; when it returns, no device reaches those pages any more.

        Tables stay (`vtd_tables`), so the unit may keep what it knows of them: the hint IH.
        """
        domain.unmap(iova, length)
        self.registers.flush_writes()
        self.invalidation.pages(domain.number, iova, length, hint=True)

    def lend(self, domain: Domain, iova: int, pieces: Sequence[tuple[int, int]]) -> MappedCpu:
        """Map `pieces` of memory, `(gpa, length)`, behind each other from `iova` on.

        Gives the Cpu for a driver that is to use them by those addresses, its room
        `Room(iova, total)`.
        """
        cpu = MappedCpu(self.cpu)
        for gpa, length in pieces:
            self.map(domain, iova, gpa, length)
            cpu.add(iova, gpa, length)
            iova += length
        return cpu

    # -- interrupts

    def remap_interrupts(
        self, compatibility: bool = False, extended: bool = False
    ) -> InterruptTable:
        """Remap interrupts, by a table that is still empty. `VtdFailed` without a queue."""
        if self.ring is None:
            raise VtdFailed("interrupt entries are forgotten through the queue, which is off")
        self.interrupts = InterruptTable(self.registers, self.pages, self.ring, extended)
        self.interrupts.enable(compatibility)
        return self.interrupts
