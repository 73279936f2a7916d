"""A driver that writes anything anywhere, and devices that ask for anything: nothing raises.

What is kept stays bounded, and what the registers say stays true. Then the other way round: tables
that are right, and devices that try to leave them.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.iommu.tables import RW, Tables, command, put, unit_with
from virtlab.errors import DmaFault
from virtlab.interrupts import Msi
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.descriptors import DESCRIPTORS
from virtlab.iommu.layouts import FAULT_RECORD
from virtlab.iommu.registers import VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory

FSTS, IQA = VtdRegisters.FSTS, VtdRegisters.IQA
STEPS = 20_000
TABLES = 64 * PAGE
SID, IOVAS = 0x0118, (0, 0x40_0000, 0x4000_0000)


class Attack:
    """A unit in front of 64 pages, all of which are tables, rings, or both."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sent = 0
        self.memory = GuestMemory(TABLES)
        self.unit = VtdUnit(
            self.memory,
            Capabilities(records=3, caching_mode=seed % 2 == 0, host_width=30),
            message=self.hear,
            device_tlb=lambda source_id, iova, size: self.rng.random() < 0.9,
            cache_sizes=(4, 8, 4),
        )
        self.outcomes = {"done": 0, "refused": 0}
        self.codes: set[int] = set()

    def hear(self, msi: Msi) -> None:
        """Whoever is interrupted may write to a register at once."""
        self.sent += 1
        if self.rng.random() < 0.3:
            self.register()

    def value(self) -> int:
        rng = self.rng
        gpa = rng.randrange(0, TABLES, PAGE)
        return rng.choice(
            [
                gpa,
                gpa | rng.randrange(16),
                rng.getrandbits(64),
                rng.getrandbits(32) << 32,
                0,
                (1 << 64) - 1,
                1 << rng.randrange(64),
                rng.randrange(0, 4096, 16),
            ]
        )

    def register(self) -> None:
        rng, unit = self.rng, self.unit
        size = rng.choice([1, 2, 4, 4, 4, 8, 8])
        register = rng.choice(VtdRegisters.registers)
        offset = rng.choice([register.offset, register.offset, register.offset + 4])
        if rng.random() < 0.1:
            offset = rng.randrange(VtdUnit.length - 8)
        if rng.random() < 0.3:
            assert 0 <= unit.read(offset, size) < 1 << 8 * size
        else:
            unit.write(offset, size, self.value() & (1 << 8 * size) - 1)

    def scribble(self) -> None:
        """An entry or a descriptor, mostly one that could be right."""
        rng = self.rng
        at = rng.randrange(0, TABLES, 8)
        number = rng.choice([self.value(), self.value() | RW, self.value() | RW, 1 | self.value()])
        self.memory.store(at, 8, number)
        if rng.random() < 0.3:
            kind, layout = rng.choice(list(DESCRIPTORS.items()))
            field = rng.choice(list(layout.fields.values()))
            number = kind | 1 << 4 | rng.getrandbits(field.width) << field.lo
            self.memory.store(rng.randrange(0, TABLES, 16), 16, number)

    def mend(self) -> None:
        """Tables and a queue as a good driver has them, somewhere."""
        rng, unit = self.rng, self.unit
        tables = Tables(self.memory, first=rng.randrange(1, 40) * PAGE)
        self.memory.view(tables.root, 20 * PAGE)[:] = 0
        levels = rng.choice([3, 4, 5])
        top = tables.attach(SID, rng.randrange(4), levels, TT=rng.choice([0, 0, 0, 1, 2]))
        for iova in IOVAS:
            level, gpa = rng.choice([1, 1, 2, 3]), rng.randrange(0, TABLES, PAGE)
            gpa = gpa if level == 1 else 0
            tables.map(top, iova, gpa, levels=levels, level=level, rights=rng.choice([1, 2, 3]))
        put(unit, "RTADDR", tables.root)
        put(unit, "IQA", rng.randrange(0, TABLES, PAGE))
        for bit in ("SRTP", "TE", "QIE"):
            command(unit, bit)
        put(unit, "CCMD", 1 << 63 | 1 << 61)
        for name in [register.name for register in VtdRegisters.registers if register.w1c]:
            put(unit, name, (1 << 127 | 0xFF) & (1 << 8 * getattr(VtdRegisters, name).width) - 1)

    def request(self) -> None:
        rng = self.rng
        source_id = rng.choice([0, 1, SID, SID, SID, rng.randrange(1 << 16)])
        iova = rng.choice([*IOVAS, IOVAS[0] + PAGE - 2, self.value(), self.value() & 0xFFFF_FFFF])
        length = rng.choice([0, 1, 4, 8, PAGE, 3 * PAGE, 1 << 40])
        dma, ats = self.unit.dma_for(source_id), self.unit.ats_for(source_id)
        data = bytes(length if length < 1 << 40 else 4)
        signed = np.array([iova, rng.choice(IOVAS)], np.uint64).view(np.int64)
        verbs = [
            lambda: dma.read(iova, length),
            lambda: dma.write(iova, data),
            lambda: dma.view(iova, length),
            lambda: dma.offset(iova, length),
            lambda: dma.offset_many(signed, np.array([min(length, 4 * PAGE), 1])),
            lambda: ats.ask(iova),
            lambda: ats.read(iova, length),
            lambda: ats.write(iova, data),
        ]
        try:
            rng.choice(verbs)()
            self.outcomes["done"] += 1
        except DmaFault as fault:
            self.outcomes["refused"] += 1
            self.codes.add(fault.code)

    def check(self) -> None:
        unit = self.unit
        used = [bool(record & FAULT_RECORD.F.mask) for record in unit.faults.records]
        assert FSTS.PPF.get(unit.FSTS) == any(used)
        caches = unit.caches
        assert len(caches.contexts) <= 4
        assert len(caches.pages) <= 8
        assert len(caches.tables) <= 4
        assert unit.IQH % 16 == 0
        assert unit.IQH < 1 << 19
        assert unit.CCMD >> 63 == unit.IOTLB >> 63 == unit.GCMD == 0
        assert unit.CAP == unit.capabilities.cap

    def walk(self, steps: int) -> None:
        for _ in range(steps):
            kind = self.rng.random()
            if kind < 0.4:
                self.register()
            elif kind < 0.7:
                self.scribble()
            elif kind < 0.72:
                self.mend()
            elif kind < 0.95:
                self.request()
            else:
                msi = Msi(0xFEE0_0000 | self.rng.getrandbits(20), self.rng.getrandbits(32))
                self.unit.remap(self.rng.randrange(1 << 16), msi)
            self.check()
        assert min(self.outcomes.values()) > 0
        assert {1, 4, 5, 6} <= self.codes <= {*range(0xF), 0x29}
        assert len(self.codes) >= 7
        assert self.sent


@pytest.mark.volume
@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_a_driver_or_a_device_does_raises(seed):
    Attack(seed).walk(STEPS // 2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nor_in_the_long_run():
    for seed in range(2, 12):
        Attack(seed).walk(STEPS)


# -- isolation

DOMAINS = {0x0100: 1, 0x0118: 1, 0x0200: 2, 0x02F8: 3}
FRAMES = 512


class Isolated:
    """Four requesters in three domains, each domain with frames of its own, in large memory."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tables = Tables(GuestMemory((FRAMES + 64) * PAGE), first=FRAMES * PAGE)
        self.unit = unit_with(self.tables, cache_sizes=(2, 32, 8))
        self.owner: dict[int, int] = {}
        self.iovas: dict[int, list[int]] = {1: [], 2: [], 3: []}
        tops: dict[int, int] = {}
        for source_id, domain in DOMAINS.items():
            top = self.tables.attach(source_id, domain)
            if domain in tops:
                at = self.tables.context_at(source_id)
                entry = self.tables.memory.load(at, 16)
                self.tables.memory.store(at, 16, entry - top + tops[domain])
            tops.setdefault(domain, top)
        for frame in range(0, FRAMES, 2):  # every other frame belongs to nobody
            domain = self.rng.randint(1, 3)
            iova = self.rng.randrange(1 << 12) * PAGE
            if iova not in self.iovas[domain]:
                self.tables.map(tops[domain], iova, frame * PAGE)
                self.iovas[domain].append(iova)
                self.owner[frame] = domain

    def attempt(self) -> bool:
        """One write of a domain's own mark, by anybody, anywhere; whether it was done."""
        rng = self.rng
        source_id = rng.choice([*DOMAINS, rng.randrange(1 << 16)])
        known = self.iovas[rng.randint(1, 3)]
        iova = rng.choice([rng.choice(known) + rng.randrange(PAGE), rng.getrandbits(28)])
        iova = rng.choice([iova, iova, rng.getrandbits(rng.choice([32, 48, 64]))])
        mark = bytes([DOMAINS.get(source_id, 99)]) * rng.choice([1, 8, PAGE])
        try:
            self.unit.dma_for(source_id).write(iova, mark)
        except DmaFault:
            put(self.unit, "FSTS", FSTS.PFO.mask)
            return False
        return True

    def check(self) -> None:
        """Every frame has its owner's mark, or nothing; the tables are as they were."""
        for frame in range(FRAMES):
            seen = set(self.tables.memory.read(frame * PAGE, PAGE)) - {0}
            assert seen <= {self.owner.get(frame, 0)} - {0}, frame


def isolation(attempts: int, seed: int = 1) -> None:
    world = Isolated(seed)
    tables = world.tables.memory.read(FRAMES * PAGE, 64 * PAGE)
    done = sum(world.attempt() for _ in range(attempts))
    assert attempts // 20 < done < attempts
    world.check()
    assert world.tables.memory.read(FRAMES * PAGE, 64 * PAGE) == tables


@pytest.mark.volume
def test_no_device_reaches_a_frame_of_another_domain():
    isolation(10_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_device_reaches_a_frame_of_another_domain_in_a_million_writes():
    isolation(1_000_000)
