"""The tables of DMA remapping, as a driver writes them: root, contexts, and a domain's own.

    RootTable   attach(source_id, domain)     who may        [ root ] -> [ context ]
    Domain      map(iova, gpa, length)        what, where              [ level 4 ] ... [ level 1 ]

The idea: a domain is what one owner may reach, and any number of devices can be in it. A device is
attached to it with one entry. All pages of a domain are reached through one top table.

The rules that keep it simple:

1. A table is complete before an entry names it, and an entry of 16 bytes gets its half with the
   present bit last. So the unit never finds half of anything.
2. A table, once made, stays. What is unmapped is a page, and its entry becomes 0.
3. Nothing here talks to the unit: `vtd` does, which then also invalidates.

Source: VT-d 3.0, 3.4.2, 3.7, 9.1, 9.3, 9.8. Left out: splitting a large page into small ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from virtlab.cpu import Cpu
from virtlab.guest.room import Room
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import (
    CONTEXT,
    RIGHTS,
    ROOT,
    SECOND_LEVEL,
    TranslationType,
    index_bits,
)
from virtlab.iommu.walk import maps_page
from virtlab.memory import PAGE

WORD = 8
"""Bytes that one store can write: half of a root or context entry."""


class TablePages:
    """Pages for tables, all zero, out of `room`."""

    def __init__(self, cpu: Cpu, room: Room) -> None:
        self.cpu, self.room = cpu, room

    def take(self, count: int = 1) -> int:
        """The gpa of `count` pages in a row, aligned as a whole."""
        gpa = self.room.take(count * PAGE, count * PAGE)
        self.cpu.write(gpa, bytes(count * PAGE))
        return gpa


class Page(NamedTuple):
    """`size` bytes of a domain from `iova`, which lie at `gpa`; their entry is at `entry_gpa`."""

    iova: int
    gpa: int
    size: int
    read: bool
    write: bool
    entry_gpa: int


class Domain:
    """What domain `number` may reach: tables of so many `levels`, for a unit that can do this much.

    `ValueError` for tables that the unit cannot walk.
    """

    def __init__(
        self, cpu: Cpu, pages: TablePages, number: int, levels: int, capabilities: Capabilities
    ) -> None:
        if not capabilities.supports(levels):
            raise ValueError(f"the unit walks tables of {capabilities.levels} levels, not {levels}")
        self.cpu, self.pages = cpu, pages
        self.number, self.levels = number, levels
        self.large_levels = capabilities.large_levels
        self.width = min(index_bits(levels).hi + 1, capabilities.guest_width)
        self.host_width = capabilities.host_width
        self.table = pages.take()

    # -- changes

    def map(self, iova: int, gpa: int, length: int, read: bool = True, write: bool = True) -> None:
        """Let `length` bytes at `iova` lie at `gpa`. Large pages are used wherever they fit.

        `ValueError`, and nothing is mapped, where they are not whole pages, not inside the domain's
        addresses or the machine's, without any right, or mapped already.
        """
        self._check(iova, length)
        if gpa % PAGE or not 0 <= gpa <= (1 << self.host_width) - length:
            raise ValueError(f"{length:#x} bytes at {gpa:#x} are no pages of the machine")
        if not (read or write):
            raise ValueError("a page without a right is not mapped")
        clash = next(self.mapped(iova, length), None)
        if clash is not None:
            raise ValueError(f"{clash.iova:#x} is mapped already, to {clash.gpa:#x}")
        rights = SECOND_LEVEL.W.put(SECOND_LEVEL.R.put(0, read), write)
        end = iova + length
        while iova < end:
            size = self._place(iova, gpa, end - iova, rights)
            iova, gpa = iova + size, gpa + size

    def _place(self, iova: int, gpa: int, room: int, rights: int) -> int:
        """Map one page, the largest that fits. Gives its size."""
        table, level = self.table, self.levels
        while not self._fits(table, level, iova, gpa, room):
            table, level = self._below(self._entry_gpa(table, level, iova)), level - 1
        entry = gpa | rights | (SECOND_LEVEL.PS.mask if level > 1 else 0)
        self.cpu.store(self._entry_gpa(table, level, iova), entry, SECOND_LEVEL.size)
        return 1 << index_bits(level).lo

    def _fits(self, table: int, level: int, iova: int, gpa: int, room: int) -> bool:
        """Whether an entry of this table can map a page of its size there."""
        if level == 1:
            return True
        size = 1 << index_bits(level).lo
        if level not in self.large_levels or (iova | gpa) % size or room < size:
            return False
        return not self._entry(table, level, iova) & RIGHTS

    def _below(self, entry_gpa: int) -> int:
        """The table that an entry names; a new one if it names none. It gives every right."""
        entry = self.cpu.load(entry_gpa, SECOND_LEVEL.size)
        if not entry & RIGHTS:
            entry = self.pages.take() | RIGHTS
            self.cpu.store(entry_gpa, entry, SECOND_LEVEL.size)
        return entry & SECOND_LEVEL.ADDRESS.mask

    def unmap(self, iova: int, length: int) -> None:
        """Take these pages away. What is not mapped is passed over.

        `ValueError`, and nothing is unmapped, where only a part of a large page would be.
        """
        self._check(iova, length)
        found = list(self.mapped(iova, length))
        for page in found:
            if page.iova < iova or page.iova + page.size > iova + length:
                raise ValueError(f"the page at {page.iova:#x} has {page.size:#x} bytes")
        for page in found:
            self.cpu.store(page.entry_gpa, 0, SECOND_LEVEL.size)

    # -- what there is

    def mapped(self, iova: int = 0, length: int | None = None) -> Iterator[Page]:
        """The pages that are mapped in a range, in order; it is read from memory."""
        end = 1 << self.width if length is None else iova + length
        return self._mapped(self.table, self.levels, 0, iova, end)

    def _mapped(self, table: int, level: int, base: int, start: int, end: int) -> Iterator[Page]:
        """Those of one table, whose first entry is for the address `base`."""
        bits = index_bits(level)
        size = 1 << bits.lo
        first = max(start - base, 0) >> bits.lo
        last = min(-(-(end - base) // size), 1 << bits.width)
        raw = self.cpu.read(table + first * SECOND_LEVEL.size, (last - first) * SECOND_LEVEL.size)
        for at in range(first, last):
            begin = (at - first) * SECOND_LEVEL.size
            entry = int.from_bytes(raw[begin : begin + SECOND_LEVEL.size], "little")
            if not entry & RIGHTS:
                continue
            gpa, iova = entry & SECOND_LEVEL.ADDRESS.mask, base + (at << bits.lo)
            if maps_page(entry, level):
                r, w = bool(SECOND_LEVEL.R.get(entry)), bool(SECOND_LEVEL.W.get(entry))
                yield Page(iova, gpa, size, r, w, table + at * SECOND_LEVEL.size)
            else:
                yield from self._mapped(gpa, level - 1, iova, start, end)

    def _entry_gpa(self, table: int, level: int, iova: int) -> int:
        return table + SECOND_LEVEL.size * index_bits(level).get(iova)

    def _entry(self, table: int, level: int, iova: int) -> int:
        return self.cpu.load(self._entry_gpa(table, level, iova), SECOND_LEVEL.size)

    def _check(self, iova: int, length: int) -> None:
        if iova % PAGE or length % PAGE or not 0 <= iova < iova + length <= 1 << self.width:
            raise ValueError(f"{length:#x} bytes at {iova:#x} are no pages of {self.width} bits")


class RootTable:
    """Who is in which domain: the root table, and a context table for each bus that is used."""

    def __init__(self, cpu: Cpu, pages: TablePages) -> None:
        self.cpu, self.pages = cpu, pages
        self.gpa = pages.take()

    def attach(self, source_id: int, domain: Domain) -> None:
        """Requests of `source_id` go through the tables of `domain`."""
        fields = CONTEXT.pack(
            P=1,
            TT=TranslationType.UNTRANSLATED,
            SLPTPTR=domain.table // PAGE,
            AW=domain.levels - 2,
            DID=domain.number,
        )
        self.put(source_id, fields)

    def pass_through(self, source_id: int, number: int, levels: int) -> None:
        """Requests of `source_id` are for physical addresses, as if there were no unit.

        `number` tags what is cached of it; `levels` are the most that the unit walks (9.3, AW).
        """
        fields = CONTEXT.pack(P=1, TT=TranslationType.PASS_THROUGH, AW=levels - 2, DID=number)
        self.put(source_id, fields)

    def put(self, source_id: int, entry: int) -> None:
        """Write a context entry. `ValueError` where a present one would be written over."""
        if CONTEXT.P.get(self.entry(source_id)) and CONTEXT.P.get(entry):
            raise ValueError(f"source id {source_id:#06x} is attached already")
        at = self.entry_gpa(source_id)
        halves = [(at + WORD, entry >> 64), (at, entry & (1 << 64) - 1)]
        for half_gpa, value in halves if CONTEXT.P.get(entry) else reversed(halves):
            self.cpu.store(half_gpa, value, WORD)

    def detach(self, source_id: int) -> int:
        """`source_id` may do nothing more. Gives the number of the domain that it was in."""
        entry = self.entry(source_id)
        if not CONTEXT.P.get(entry):
            raise ValueError(f"source id {source_id:#06x} is attached to nothing")
        self.put(source_id, 0)
        return CONTEXT.DID.get(entry)

    def entry(self, source_id: int) -> int:
        """The context entry as it stands in memory; 0 where there is no table for it."""
        if not ROOT.P.get(self.cpu.load(self._root_gpa(source_id), WORD)):
            return 0
        at = self.entry_gpa(source_id)
        return self.cpu.load(at, WORD) | self.cpu.load(at + WORD, WORD) << 64

    def entry_gpa(self, source_id: int) -> int:
        """Where its context entry is. The table of its bus is made, if it is not there."""
        root_gpa = self._root_gpa(source_id)
        root = self.cpu.load(root_gpa, WORD)
        if not ROOT.P.get(root):
            root = ROOT.pack(P=1, CTP=self.pages.take() // PAGE)
            self.cpu.store(root_gpa, root, WORD)
        return (ROOT.CTP.get(root) << ROOT.CTP.lo) + CONTEXT.size * (source_id & 0xFF)

    def _root_gpa(self, source_id: int) -> int:
        return self.gpa + ROOT.size * (source_id >> 8 & 0xFF)
