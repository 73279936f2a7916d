"""The rows of the IOMMU: a batch of addresses of one device, walked, or looked up.

    row           the tables, and the addresses                                all random
    walk, near    256 MiB of pages below 4 GiB, as a driver of Linux asks for them
    walk, spread  16 tables at level 3, 64 at level 2, 128 at level 1: each level parts
    walk, 2 MiB   large pages; walk, faults: as near, and one page of 64 is not mapped
    hit           16 MiB of pages, all in the flat IOTLB; a driver of Linux has less in use
    hit, near     the same with 256 MiB: the table of deltas has 512 KiB in use
    miss          as near, with nothing in it: it is walked for reads and for writes, and learned

The idea: both sides read the same tables, in one memory of one region. C walks one address after
the other, with the same questions in the same order, and gives the same two arrays.

The rule that keeps it simple: a batch has another set of addresses each time, of `VARIANTS`. Frames
lie anywhere, so no two pages are neighbours in memory.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks.harness import Duel, Row
from benchmarks.iommu_twin import IommuTwin
from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.layouts import CONTEXT, ROOT, SECOND_LEVEL, index_bits
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.remapped_many import FlatDma
from virtlab.iommu.vtd import VtdUnit
from virtlab.iommu.walk import Start, descend
from virtlab.iommu.walk_many import BatchWalk
from virtlab.memory import PAGE, GuestMemory

SID, LEVELS, VARIANTS = 0x0018, 4, 4
RAM = 1 << 26
NS = 3
"""Nanoseconds that a translation may take on a hit, at 1024."""

NOTES = (
    "iommu, walk near and spread: every entry is read and checked, by both sides",
    "iommu, 2 MiB and faults: not certain at once, so it goes level by level",
    "iommu, miss: two walks, and the search for distinct pages; once after each invalidation",
    "iommu, hit against 3 ns: absolute time, which drifts with the machine's load; no gate",
)

_RIGHTS = SECOND_LEVEL.R.mask | SECOND_LEVEL.W.mask


class Tables:
    """Tables of one domain in a memory of its own; a unit that translates by them."""

    def __init__(self, iovas: np.ndarray, level: int = 1, without: int = 0) -> None:
        """Map the page of each of `iovas`, at `level`; of `without` pages, leave one out."""
        self.memory = GuestMemory(RAM)
        self.words = self.memory.bytes.view(np.int64)
        self.end = PAGE
        root, contexts, top = (self._page() for _ in range(3))
        self.start = Start(LEVELS, top)
        self.memory.store(root, 16, ROOT.pack(P=1) | contexts)
        entry = CONTEXT.pack(P=1, AW=LEVELS - 2, DID=1) | top
        self.memory.store(contexts + 16 * SID, 16, entry)
        size = 1 << index_bits(level).lo
        self.random = np.random.default_rng(7)
        self.made: dict[tuple[int, int], int] = {}
        pages = np.unique(iovas // size).tolist()
        for number, page in enumerate(pages):
            if not without or number % without:
                self._map(page * size, level)
        self.unit = self._unit(root)

    def _page(self) -> int:
        self.end += PAGE
        return self.end - PAGE

    def _map(self, iova: int, level: int) -> None:
        table = self.start.table
        for above in range(LEVELS, level, -1):
            bits = index_bits(above)
            key = above, iova >> bits.lo
            if key not in self.made:
                self.made[key] = self._page()
                self.words[table // 8 + bits.get(iova)] = self.made[key] | _RIGHTS
            table = self.made[key]
        bits = index_bits(level)
        frame = int(self.random.integers(RAM >> bits.lo)) << bits.lo
        large = SECOND_LEVEL.PS.mask if level > 1 else 0
        self.words[table // 8 + bits.get(iova)] = frame | _RIGHTS | large

    def _unit(self, root: int) -> VtdUnit:
        unit = VtdUnit(self.memory, Capabilities())
        commands = VtdRegisters.GCMD
        unit.write(VtdRegisters.RTADDR.offset, 8, root)
        unit.write(commands.offset, 4, commands.SRTP.mask)
        unit.write(commands.offset, 4, commands.TE.mask)
        return unit


def near(random: np.random.Generator, n: int) -> np.ndarray:
    """Anywhere in the 256 MiB below the addresses of interrupts, which no driver maps."""
    return INTERRUPT_RANGE.start - 1 - random.integers(0, 1 << 28, n)


def few(random: np.random.Generator, n: int) -> np.ndarray:
    """Anywhere in the 16 MiB below."""
    return INTERRUPT_RANGE.start - 1 - random.integers(0, 1 << 24, n)


def spread(random: np.random.Generator, n: int) -> np.ndarray:
    """Anywhere in 128 stretches of 2 MiB, which lie 8 by 8 in 16 GiB-wide places of 512 GiB."""
    return (
        random.integers(0, 4, n) << index_bits(4).lo
        | random.integers(0, 4, n) << index_bits(3).lo + 4
        | random.integers(0, 8, n) << index_bits(2).lo
        | random.integers(0, 1 << index_bits(2).lo, n)
    )


class Walking:
    """`n` addresses of `place`, walked."""

    level, without = 1, 0

    def __init__(self, n: int, place: object, flags: tuple[str, ...]) -> None:
        random = np.random.default_rng(n)
        self.ready = [place(random, n) for _ in range(VARIANTS)]
        self.tables = Tables(np.concatenate(self.ready), self.level, self.without)
        unit = self.tables.unit
        self.twin_side = IommuTwin(
            self.tables.memory, self.tables.start, unit.capabilities, n, flags
        )
        self.walks = BatchWalk(self.tables.memory, unit.capabilities)
        self.turn = 0
        self.prepare()

    def prepare(self) -> None:
        """Other addresses."""
        self.turn += 1
        self.iovas = self.ready[self.turn % VARIANTS]
        self.twin_side.iovas[:] = self.iovas

    def python(self) -> int:
        start = perf_counter_ns()
        self.found = self.walks.descend(self.tables.start, self.iovas, True)
        return perf_counter_ns() - start

    def twin(self) -> int:
        return self.twin_side.walk(True)

    def check(self) -> None:
        """Both find the same, and some of it is what one walk finds."""
        for _ in range(VARIANTS):
            self.prepare()
            self.python()
            self.twin()
            gpas, reasons = self.found
            assert np.array_equal(gpas, self.twin_side.gpas), "the addresses differ"
            assert np.array_equal(reasons, self.twin_side.reasons), "the reasons differ"
            unit = self.tables.unit
            for index in range(0, len(gpas), max(len(gpas) // 8, 1)):
                iova = int(self.iovas[index])
                one = descend(unit.memory, unit.capabilities, self.tables.start, iova, True)
                assert (one.gpa, one.reason or 0) == (gpas[index], reasons[index])


class Large(Walking):
    """2 MiB pages."""

    level = 2


class Faults(Walking):
    """One page of 64 is not mapped."""

    without = 64


class Hits(Walking):
    """All pages are in the flat IOTLB."""

    def __init__(self, n: int, place: object, flags: tuple[str, ...]) -> None:
        super().__init__(n, place, flags)
        self.dma = FlatDma(self.tables.unit.translation, SID)
        for iovas in self.ready:
            self.dma.translate_many(iovas)
        self.twin_side.know(self.dma.iotlb)

    def python(self) -> int:
        translate, iovas = self.dma.translate_many, self.iovas
        start = perf_counter_ns()
        found = translate(iovas)
        spent = perf_counter_ns() - start
        self.found = found, self.twin_side.reasons
        return spent

    def twin(self) -> int:
        return self.twin_side.hit()


class Nanoseconds(Hits):
    """The other side is `NS` nanoseconds an address."""

    def twin(self) -> int:
        self.twin_side.hit()
        return NS * len(self.iovas)


class Misses(Hits):
    """Nothing is in the flat IOTLB, nor anywhere else."""

    def python(self) -> int:
        self.dma.iotlb.clear()
        return super().python()

    def twin(self) -> int:
        return self.twin_side.walk(True)


class AgainstScalar(Walking):
    """The other side is the walk one by one, in Python."""

    def twin(self) -> int:
        unit, start = self.tables.unit, self.tables.start
        began = perf_counter_ns()
        for index, iova in enumerate(self.iovas.tolist()):
            walk = descend(unit.memory, unit.capabilities, start, iova, True)
            self.twin_side.gpas[index] = walk.gpa
        return perf_counter_ns() - began


KINDS: tuple[tuple[str, type[Walking], object, dict[int, tuple[float | None, bool]]], ...] = (
    ("walk, near", Walking, near, {256: (None, False), 1024: (None, False), 4096: (1.5, True)}),
    ("walk, spread", Walking, spread, {256: (None, False), 1024: (None, False), 4096: (1.5, True)}),
    ("walk, 2 MiB", Large, near, {1024: (None, False), 4096: (None, False)}),
    ("walk, faults", Faults, near, {1024: (None, False), 4096: (None, False)}),
    ("hit", Hits, few, {256: (None, False), 1024: (None, False), 4096: (None, False)}),
    ("hit, near", Hits, near, {1024: (None, False), 4096: (None, False)}),
    ("miss", Misses, near, {1024: (None, False), 4096: (None, False)}),
)


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, with a twin compiled with `flags`."""
    found = [
        Row(f"iommu, {name}", batch, partial(duel, batch, place, flags), goal, gate)
        for name, duel, place, goals in KINDS
        for batch, (goal, gate) in goals.items()
    ]
    ns: partial[Duel] = partial(Nanoseconds, 1024, few, flags)
    scalar: partial[Duel] = partial(AgainstScalar, 1024, near, flags)
    return [
        *found,
        Row("iommu, hit", 1024, ns, 1, against=f"{NS} ns each"),
        Row("iommu, walk, near", 1024, scalar, least=True, against="scalar Python"),
    ]
