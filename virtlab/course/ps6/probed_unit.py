"""A remapping unit with two devices that try everything, for task 2 of problem set 6.

    store, write, invalidate ... by the answer  -->  after each: both devices read and write there
                                                     [ IOTLB ] keeps what they met

The idea: a driver changes tables while devices are at work, and nobody stops them. So after each
step of the answer the devices of the domain try every address that the case watches. They go
through the library's `VtdUnit` and its caches, so what they met before the step is remembered.

The rules that keep it simple:

1. Only what is reached is looked at. `page_of` is the way of a DMA request up to memory, with its
   caches and without a fault record.
2. A store to a page that no entry names, and none has named, changes nothing for a device. So a
   table may be emptied with 512 stores, and the devices need not try after each.

Source: VT-d 3.0, 6.1 (caching mode), 6.2 (caches), 6.5.1 (invalidation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from virtlab.course.ps3.machines import Memory, whole
from virtlab.guest.vtd_invalidate import Request
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import find_context
from virtlab.iommu.layouts import CONTEXT, RIGHTS, ROOT, SECOND_LEVEL
from virtlab.iommu.listing import Budget, Page, pages
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.iommu.walk import translate
from virtlab.memory import PAGE, GuestMemory
from virtlab.wire import u64

DEVICES = (0x0018, 0x0100)
"""Source ids of the two devices."""

ROOTS, CONTEXTS, TABLE = 0x1000, 0x2000, 0x5000
"""Where the root table is, the first context table, and the domain's top table."""

POOL = range(0x8000, 96 * PAGE, PAGE)
"""Pages for more tables."""

SECRET = range(0x2_0000_0000, 0x2_4000_0000)
"""Where a page's old contents lead to, if they are taken for entries: 1 GiB, by a large page."""

_CACHES = (16, 4096, 1024)
_COMMANDS, _TOP = VtdRegisters.GCMD, VtdRegisters.RTADDR


class Watched(Memory):
    """The driver's memory: `after(what)` is called behind each change of one of `tables`."""

    def __init__(
        self, ram: GuestMemory, tables: Callable[[], set[int]], after: Callable[[str], None]
    ) -> None:
        super().__init__(ram)
        self.tables, self.after = tables, after
        self.named = tables()

    def write(self, address: int, data: bytes) -> None:
        """Put `data` there; then the devices try."""
        super().write(address, data)
        self._changed(address, len(data), f"your write of {len(data)} bytes at {address:#x}")

    def store(self, address: int, size: int, value: int) -> None:
        """Put a number there; then the devices try."""
        super().store(address, size, value)
        self._changed(address, size, f"your store of {value:#x} at {address:#x}")

    def _changed(self, address: int, length: int, what: str) -> None:
        first, last = address // PAGE, (address + length - 1) // PAGE
        if any(number * PAGE in self.named for number in range(first, last + 1)):
            self.named |= self.tables()
            self.after(what)


class ProbedUnit:
    """The unit, with one domain of `number`, whose tables have so many `levels`."""

    def __init__(self, levels: int, number: int, caching_mode: bool) -> None:
        self.ram = GuestMemory(POOL.stop)
        self.number, self.levels = number, levels
        stale = (SECRET.start | RIGHTS | SECOND_LEVEL.PS.mask).to_bytes(8, "little") * (PAGE // 8)
        self.ram.write(POOL.start, stale * len(POOL))
        for source in DEVICES:
            self._attach(source)
        self.unit = VtdUnit(self.ram, Capabilities(caching_mode=caching_mode), cache_sizes=_CACHES)
        self.unit.write(_TOP.offset, _TOP.width, ROOTS)
        self.unit.write(_COMMANDS.offset, _COMMANDS.width, _COMMANDS.SRTP.mask)
        self.unit.write(_COMMANDS.offset, _COMMANDS.width, _COMMANDS.TE.mask)

    def _attach(self, source: int) -> None:
        """Write a context entry."""
        bus, function = source >> 8, source & 0xFF
        table = CONTEXTS + PAGE * bus
        entry = CONTEXT.pack(P=1, SLPTPTR=TABLE // PAGE, AW=self.levels - 2, DID=self.number)
        self.ram.store(ROOTS + ROOT.size * bus, 8, ROOT.pack(P=1, CTP=table // PAGE))
        at = table + CONTEXT.size * function
        self.ram.write(at, entry.to_bytes(CONTEXT.size, "little"))

    def invalidate(self, domain: int, iova: int, length: int) -> None:
        """What a driver asks for: the smallest request that covers it."""
        capabilities = self.unit.capabilities
        asked = Request.of(capabilities, whole(domain) & 0xFFFF, whole(iova), whole(length))
        self.unit.invalidator.pages(asked.granularity, asked.domain, *asked.span, hint=False)

    def tables(self) -> set[int]:
        """The tables that lead on from the top one, as memory is now: the gpa of each."""
        found = level = {TABLE}
        for _ in range(self.levels - 1):
            named = {gpa for table in level for gpa in self._named(table)}
            level = named & {*range(0, self.ram.size, PAGE)}
            found = found | level
        return found

    def _named(self, table: int) -> list[int]:
        """What the entries of a table lead to."""
        entries = np.frombuffer(self.ram.read(table, PAGE), u64)
        used = entries[entries & np.uint64(RIGHTS) != 0] & np.uint64(SECOND_LEVEL.ADDRESS.mask)
        gpas: list[int] = used.tolist()
        return gpas

    def reached(self, iova: int, write: bool) -> set[int | None]:
        """Where devices come: a gpa each, None for a fault. One of them only reads.

        To a write is added what memory says now: a cache may drop an entry at any moment.
        """
        reach, (first, second) = self.unit.translation.page_of, DEVICES
        if write:
            fresh = translate(self.ram, ROOTS, self.unit.capabilities, first, iova, write)
        else:
            fresh = reach(second, iova, write)
        walks = reach(first, iova, write), fresh
        return {None if walk.reason is not None else walk.gpa for walk in walks}

    def warm(self, iovas: Iterable[int]) -> None:
        """Let the devices meet what is there now."""
        for iova in iovas:
            self.reached(iova, False)
            self.reached(iova, True)

    def listed(self) -> tuple[list[Page], int]:
        """All pages that the tables in memory map, and how many tables lead to them."""
        budget = Budget(tables=2000, pages=2000)
        capabilities = self.unit.capabilities
        context = find_context(self.ram, ROOTS, capabilities, DEVICES[0])
        found = list(pages(self.ram, capabilities, context, budget))
        return found, 2000 - budget.tables
