"""The interrupt-remapping table, as a driver writes it.

    device: MSI address, data --> handle n --> IRTE n: vector, processor, and who may use it

The idea: a device no longer says which vector of which processor it wants. It says a number, and
the entry with that number says the rest. An entry is for one source id, so a device cannot use
what another has.

The rule that keeps it simple: an entry's upper half, which says whose it is, is written before the
half with the present bit. A change is told to the unit before it is relied on.

Source: VT-d 3.0, 5.1, 9.10, 9.11, 10.4.29. Left out: moving an entry while interrupts arrive.
"""

from __future__ import annotations

from virtlab.guest.vtd_queue import InvalidationRing
from virtlab.guest.vtd_registers import GCMD, UnitRegisters, VtdFailed
from virtlab.guest.vtd_tables import TablePages
from virtlab.interrupts import MESSAGE_BASE, Interrupt, Msi
from virtlab.iommu.interrupt_remapping import CHECK_ID
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, REQUEST_ADDRESS
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

IRTA = VtdRegisters.IRTA
ENTRIES = PAGE // IRTE.size
"""Entries of a table of one page."""

WORD = 8


class InterruptTable:
    """A table of 256 entries, and the switch for it. Changes are told through `ring`.

    `extended`: entries have x2APIC ids (ECAP.EIM). `VtdFailed` if the unit cannot remap interrupts.
    """

    def __init__(
        self,
        registers: UnitRegisters,
        pages: TablePages,
        ring: InvalidationRing,
        extended: bool = False,
    ) -> None:
        ecap = VtdRegisters.ECAP
        if not ecap.IR.get(registers.ecap) or (extended and not ecap.EIM.get(registers.ecap)):
            raise VtdFailed("the unit cannot remap interrupts this way")
        self.registers, self.cpu, self.ring = registers, registers.cpu, ring
        self.extended = extended
        self.gpa = pages.take()
        self.used: set[int] = set()

    # -- on and off

    def enable(self, compatibility: bool = False) -> None:
        """Set the table, forget all entries, and remap (5.1.2, 10.4.4: SIRTP, then IRE).

        With `compatibility` interrupts of devices that know nothing of this pass, else they do not.
        """
        table = IRTA.S.put(self.gpa, ENTRIES.bit_length() - 2)
        self.registers.put(IRTA, IRTA.EIME.put(table, self.extended))
        self.registers.command(GCMD.SIRTP)
        self.ring.interrupts()
        if self.registers.is_on(GCMD.CFI) != compatibility:
            self.registers.command(GCMD.CFI, compatibility)
        self.registers.command(GCMD.IRE)

    def disable(self) -> None:
        """Interrupts pass as they are."""
        self.registers.command(GCMD.IRE, False)

    # -- entries

    def take(self, count: int = 1) -> int:
        """The first of `count` free entries in a row, a power of two, at a multiple of it."""
        if count <= 0 or count & count - 1:
            raise ValueError(f"entries are taken by powers of two, not {count}")
        for index in range(0, ENTRIES, count):
            wanted = set(range(index, index + count))
            if not wanted & self.used:
                self.used |= wanted
                return index
        raise ValueError(f"no {count} entries in a row are free")

    def route(self, source_id: int, interrupt: Interrupt, index: int | None = None) -> Msi:
        """Let `source_id` send `interrupt` through one entry, a new one if `index` is None.

        Gives the message that the device shall send for it. `ValueError` if an xAPIC id does not
        fit in 8 bits.
        """
        index = self.take() if index is None else index
        self.put(index, self.entry(source_id, interrupt))
        return message(index)

    def entry(self, source_id: int, interrupt: Interrupt) -> int:
        """The entry that makes `interrupt` of a request of `source_id`, and of nobody else's."""
        destination = interrupt.destination
        if not self.extended:
            if destination >> DST_XAPIC.width:
                raise ValueError(f"an xAPIC id has 8 bits, not {destination:#x}")
            destination <<= DST_XAPIC.lo - IRTE.DST.lo
        return IRTE.pack(
            P=1,
            DM=interrupt.logical,
            RH=interrupt.hint,
            TM=interrupt.level,
            DLM=interrupt.mode,
            V=interrupt.vector,
            DST=destination,
            SID=source_id,
            SVT=CHECK_ID,
        )

    def post(self, source_id: int, vector: int, descriptor_gpa: int, urgent: bool = False) -> Msi:
        """Let interrupts of `source_id` be posted to a virtual processor: its descriptor's gpa."""
        index = self.take()
        self.put(index, self.posted_entry(source_id, vector, descriptor_gpa, urgent))
        return message(index)

    @staticmethod
    def posted_entry(source_id: int, vector: int, descriptor_gpa: int, urgent: bool = False) -> int:
        """The entry that posts requests of `source_id`, and nobody else's, as `vector`."""
        return IRTE_POSTED.pack(
            P=1,
            IM=1,
            URG=urgent,
            VV=vector,
            PDAL=descriptor_gpa >> 6 & (1 << IRTE_POSTED.PDAL.width) - 1,
            PDAH=descriptor_gpa >> 32,
            SID=source_id,
            SVT=CHECK_ID,
        )

    def put(self, index: int, entry: int) -> None:
        """Write entry `index`, a number of 128 bits. The unit forgets what it knew of it."""
        at = self.gpa + IRTE.size * index
        if IRTE.P.get(self.cpu.load(at, WORD)):
            self.cpu.store(at, 0, WORD)
        self.cpu.store(at + WORD, entry >> 64, WORD)
        self.cpu.store(at, entry & (1 << 64) - 1, WORD)
        self.ring.interrupts(index)

    def drop(self, index: int) -> None:
        """Entry `index` is nobody's any more."""
        self.put(index, 0)
        self.used.discard(index)


def message(index: int, several: bool = False) -> Msi:
    """What a device writes to use entry `index`. With `several` its data is added to that (SHV).

    >>> hex(message(5).address), message(5).data
    ('0xfee000b0', 0)
    """
    address = REQUEST_ADDRESS.pack(
        FEE=REQUEST_ADDRESS.FEE.get(MESSAGE_BASE),
        FORMAT=1,
        SHV=several,
        HANDLE=index & (1 << REQUEST_ADDRESS.HANDLE.width) - 1,
        HANDLE_15=index >> REQUEST_ADDRESS.HANDLE.width,
    )
    return Msi(address, 0)
