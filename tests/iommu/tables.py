"""Tables for a remapping unit, built by hand in a small memory, and a unit that uses them."""

from __future__ import annotations

from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import CONTEXT, ROOT, index_bits
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory

RAM = 1 << 21
"""Bytes of memory: 512 pages. Tables begin at page 16, and grow."""

READ, WRITE, LARGE = 1, 2, 1 << 7
RW = READ | WRITE

GCMD, GSTS, RTADDR = VtdRegisters.GCMD, VtdRegisters.GSTS, VtdRegisters.RTADDR


SINKS = {"message": "message", "device_tlb": "told"}
"""What the unit calls its hooks, and what `unit_with` does: `device_tlb` is a capability, too."""


class Tables:
    """Root, context and second-level tables in `memory`, made as they are asked for."""

    def __init__(self, memory: GuestMemory | None = None, first: int = 16 * PAGE) -> None:
        self.memory = memory if memory is not None else GuestMemory(RAM)
        self.end = first
        self.root = self.page()

    def page(self) -> int:
        """A page of zeros for another table."""
        self.end += PAGE
        return self.end - PAGE

    # -- who

    def context_at(self, source_id: int) -> int:
        """Where the context entry of a requester lies; its root entry is made if needed."""
        root_at = self.root + 16 * (source_id >> 8)
        root = self.memory.load(root_at, 16)
        if not root & 1:
            root = ROOT.pack(P=1) | self.page()
            self.memory.store(root_at, 16, root)
        return (root & ROOT.CTP.mask) + 16 * (source_id & 0xFF)

    def attach(self, source_id: int, domain: int = 1, levels: int = 4, **fields: int) -> int:
        """A context entry for a requester, with a new top table, which it gives."""
        table = self.page()
        entry = CONTEXT.pack(P=1, AW=levels - 2, DID=domain, **fields) | table
        self.memory.store(self.context_at(source_id), 16, entry)
        return table

    # -- where

    def entry_at(self, table: int, levels: int, iova: int, level: int = 1, rights: int = RW) -> int:
        """Where the entry of `iova` at `level` lies; the tables above it are made if needed."""
        for above in range(levels, level, -1):
            at = table + 8 * index_bits(above).get(iova)
            entry = self.memory.load(at, 8)
            if not entry & RW:
                entry = self.page() | rights
                self.memory.store(at, 8, entry)
            table = entry & ~0xFFF & (1 << 52) - 1
        return table + 8 * index_bits(level).get(iova)

    def map(
        self, table: int, iova: int, gpa: int, *, levels: int = 4, level: int = 1, rights: int = RW
    ) -> int:
        """Map one page. Gives where its entry lies."""
        at = self.entry_at(table, levels, iova, level)
        self.memory.store(at, 8, gpa | rights | (LARGE if level > 1 else 0))
        return at


def reg(unit: VtdUnit, name: str) -> int:
    """A register, as a driver reads it."""
    declared = getattr(VtdRegisters, name)
    return unit.read(declared.offset, declared.width)


def put(unit: VtdUnit, name: str, value: int) -> None:
    """Write a register, as a driver does: no more than 8 bytes at once."""
    declared = getattr(VtdRegisters, name)
    for at in range(0, declared.width, 8):
        n = min(8, declared.width - at)
        unit.write(declared.offset + at, n, value >> 8 * at & (1 << 8 * n) - 1)


def command(unit: VtdUnit, bit: str, on: bool = True) -> None:
    """Change one bit of GCMD, keeping the switches that GSTS shows."""
    switches = GCMD.TE.mask | GCMD.QIE.mask | GCMD.IRE.mask | GCMD.CFI.mask
    put(unit, "GCMD", GCMD.fields[bit].put(reg(unit, "GSTS") & switches, on))


def unit_with(tables: Tables, **capabilities: object) -> VtdUnit:
    """A unit that translates by `tables`."""
    sizes = capabilities.pop("cache_sizes", None)
    more = {} if sizes is None else {"cache_sizes": sizes}
    sinks = {n: capabilities.pop(a) for n, a in SINKS.items() if a in capabilities}
    unit = VtdUnit(tables.memory, Capabilities(**capabilities), **more, **sinks)
    put(unit, "RTADDR", tables.root)
    command(unit, "SRTP")
    command(unit, "TE")
    return unit
