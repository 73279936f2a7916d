"""Domains that change while devices run, and a model that knows what each device may do.

    source id --> domain --> pages, with rights --> frames        the model: three dictionaries
    frame     [ 3 3 3 3 ... ]                                     every byte is its owner's number

The idea: a frame holds nothing but the number of the domain that has it. So one byte that is read
tells whose it was, and one byte that is written by somebody else is seen at the end. The interrupt
table has an entry for each of the 65,536 source ids; vector and destination are the id.

The driver is ours, `VtdDriver`: it tells the unit of each change, as software has to. So the model
knows exactly what is done and what is refused, and nothing may be stale.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import NamedTuple

import numpy as np

from tests.iommu.interrupt_bench import request
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.errors import DmaFault
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.interrupt_remapping import CHECK_ID
from virtlab.iommu.layouts import DST_XAPIC, IRTE
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace

IDS = 1 << 16
"""Source ids, and handles of interrupts."""

FRAMES, DOMAINS, ATTACHED, MAPPED = 512, 6, 24, 320
TABLES = FRAMES * PAGE
"""Where the driver's tables lie; behind them the interrupt table."""

ENTRIES_AT = TABLES + (4 << 20)
NOBODY = 0xEE
IOVAS = (0, 0x8000_0000, 0x7F_FFC0_0000)
"""Stretches of `NEAR` pages that every domain uses: low, in the middle, at the end of 39 bits."""

NEAR = 24

SIZES = (1, 2, 4, 4, 8, 8, 8, 16, 100, 512, PAGE, 2 * PAGE)
R, W = 1, 2


class Held(NamedTuple):
    """A page of a domain: its frame, and its rights."""

    frame: int
    rights: int


class World:
    """A unit, its driver, six domains of 3, 4 or 5 levels, and 24 of all source ids in them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.ram = GuestMemory(ENTRIES_AT + IDS * IRTE.size)
        self.frames = self.ram.bytes[:TABLES].reshape(FRAMES, PAGE)
        self.frames[:] = NOBODY
        trace = Trace()
        memory = AddressSpace("memory", 52, trace)
        memory.map_ram(self.ram)
        self.heard: list[Msi] = []
        self.unit = VtdUnit(self.ram, message=self.heard.append, cache_sizes=(16, 64, 16))
        memory.map(BASE, VtdUnit.length, self.unit, "vtd", width=8)
        cpu = BareCpu(AddressSpace("port", 16, trace), memory, Clock())
        self.vtd = VtdDriver(cpu, BASE, Room(TABLES, 4 << 20))
        self.vtd.start()
        self.domains = [self.vtd.new_domain(3 + number % 3) for number in range(DOMAINS)]
        self.pages: list[dict[int, Held]] = [{} for _ in self.domains]
        self.domain_of: dict[int, int] = {}
        self.counts: Counter[str] = Counter()
        self.recent: deque[tuple[int, int]] = deque(maxlen=8)  # what was done: id, iova
        self.vtd.enable()
        self._own_interrupts()
        self.all_ids = self.rng.sample(range(IDS), IDS)
        for source_id in self.all_ids[:ATTACHED]:
            self._attach(source_id)
        while sum(map(len, self.pages)) < MAPPED:
            self.map()

    # -- what the driver does

    def change(self) -> None:
        """One change: a page more, a page less, a device elsewhere, an interrupt elsewhere."""
        few = sum(map(len, self.pages)) < MAPPED
        self.rng.choice((self.map if few else self.unmap, self.unmap, self.move, self.swap))()
        while sum(map(len, self.pages)) < MAPPED - 20:
            self.map()
        self.counts["changes"] += 1

    def map(self) -> None:
        """Give a free frame to a domain."""
        number, frame = self.rng.randrange(DOMAINS), self.rng.randrange(FRAMES)
        iova = self.rng.choice(IOVAS) + self.rng.randrange(NEAR) * PAGE
        taken = iova in self.pages[number]
        if taken or self.frames[frame, 0] != NOBODY or (iova + PAGE - 1) >> 39:
            return
        self.frames[frame] = number
        rights = self.rng.choice((R, W, R | W, R | W))
        self.pages[number][iova] = Held(frame, rights)
        self.vtd.map(
            self.domains[number], iova, frame * PAGE, PAGE, bool(rights & R), bool(rights & W)
        )

    def unmap(self) -> None:
        """Take a page away, mostly one that the unit remembers. Then its frame is anybody's."""
        number = self.rng.randrange(DOMAINS)
        iova = self.rng.choice([*self.pages[number], 0])
        if self.recent and self.rng.random() < 0.7:
            source_id, at = self.rng.choice(self.recent)
            number, iova = self.domain_of.get(source_id, number), at & -PAGE
        if iova in self.pages[number]:
            self.vtd.unmap(self.domains[number], iova, PAGE)
            frame = self.pages[number].pop(iova).frame
            assert (self.frames[frame] == number).all()
            self.frames[frame] = NOBODY

    def move(self) -> None:
        """Take a device out of its domain; mostly it, or another, goes into one."""
        source_id = self.rng.choice(list(self.domain_of))
        self.vtd.detach(source_id)
        del self.domain_of[source_id]
        other = self.rng.choice((source_id, source_id ^ 1, self.rng.choice(self.all_ids)))
        self._attach(source_id if other in self.domain_of else other)

    def _attach(self, source_id: int) -> None:
        self.domain_of[source_id] = self.rng.randrange(DOMAINS)
        self.vtd.attach(source_id, self.domains[self.domain_of[source_id]])

    # -- DMA

    def some_id(self) -> int:
        """A device of a domain, a neighbour of one, or any."""
        known = self.rng.choice(list(self.domain_of))
        near = known ^ 1 << self.rng.randrange(16)
        return self.rng.choice((*[known] * 6, near, self.rng.randrange(IDS)))

    def some_iova(self) -> int:
        rng = self.rng
        iova = rng.choice(IOVAS) + rng.randrange(NEAR * PAGE)
        odd = rng.random()
        if odd < 0.02:
            return 0xFEE0_0000 | rng.getrandbits(20)
        if odd < 0.1:
            return rng.getrandbits(rng.choice((21, 32, 48, 57, 64)))
        return iova & -8 if odd < 0.5 else iova

    def may(self, source_id: int, iova: int, length: int, write: bool) -> bool:
        """What the model says."""
        number, right = self.domain_of.get(source_id), W if write else R
        if number is None:
            return False
        held = (self.pages[number].get(at) for at in range(iova & -PAGE, iova + length, PAGE))
        return all(page is not None and page.rights & right for page in held)

    def again(self) -> None:
        """What was done lately is asked for again: what the unit remembers is still true."""
        for source_id, iova in [*self.recent]:
            self.dma(source_id, iova)

    def dma(self, source_id: int, iova: int | None = None) -> None:
        """One request. It is done if the model says so, and reaches its own domain's bytes."""
        iova = self.some_iova() if iova is None else iova
        length, write = self.rng.choice(SIZES), self.rng.random() < 0.5
        number, dma = self.domain_of.get(source_id, NOBODY), self.unit.dma_for(source_id)
        own = bytes([number]) * length
        try:
            if write:
                dma.write(iova, own)
            else:
                assert dma.read(iova, length) == own, (hex(source_id), hex(iova), length)
            done = True
            self.recent.append((source_id, iova))
        except DmaFault:
            done = False
        assert done == self.may(source_id, iova, length, write), (hex(source_id), hex(iova), length)
        self.counts["done" if done else "refused"] += 1

    def batch(self, source_id: int, n: int = 32) -> None:
        """Many requests of one device at once. What is found is what the model allows."""
        number, dma = self.domain_of.get(source_id, NOBODY), self.unit.dma_for(source_id)
        iovas = [self.some_iova() for _ in range(n)]
        lengths = [self.rng.choice(SIZES) for _ in range(n)]
        writes = [self.rng.random() < 0.5 for _ in range(n)]
        signed = np.array(iovas, np.uint64).view(np.int64)
        found = dma.offset_many(signed, np.array(lengths), np.array(writes))
        rows = zip(iovas, lengths, writes, found.tolist(), strict=True)
        for iova, length, write, offset in rows:
            may = self.may(source_id, iova, length, write)
            if offset < 0:
                # Allowed, and not found: only what is not in one piece.
                assert not may or iova % PAGE + length > PAGE
                self.counts["refused in a batch"] += 1
                continue
            assert may, (hex(source_id), hex(iova), length)
            there = dma.bytes[offset : offset + length]
            assert (there == number).all()
            if write:
                there[:] = number
            self.counts["done in a batch"] += 1

    # -- interrupts

    def _own_interrupts(self) -> None:
        """Each source id has one entry; its vector and its destination say whose it is."""
        self.owners = self.rng.sample(range(IDS), IDS)
        self.handle_of = {owner: handle for handle, owner in enumerate(self.owners)}
        self.ram.write(ENTRIES_AT, entries_of(self.owners).tobytes())
        put, gcmd = self.vtd.registers, VtdRegisters.GCMD
        put.put(VtdRegisters.IRTA, ENTRIES_AT | 15)
        put.command(gcmd.SIRTP)
        self.vtd.ring.interrupts()
        put.command(gcmd.IRE)

    def swap(self) -> None:
        """Two devices of domains change their handles, which the unit remembers; it is told."""
        handles = [self.handle_of[device] for device in self.rng.sample([*self.domain_of], 2)]
        one, other = (self.owners[handle] for handle in handles)
        for handle, owner in zip(handles, (other, one), strict=True):
            self.ram.write(ENTRIES_AT + IRTE.size * handle, entries_of([owner]).tobytes())
            self.vtd.ring.interrupts(handle)
            self.owners[handle], self.handle_of[owner] = owner, handle

    def interrupt(self, source_id: int) -> None:
        """One message, of any shape. What arrives is its sender's own vector."""
        rng = self.rng
        own = self.handle_of[source_id]
        handle = rng.choice((own, own, own ^ 1 << rng.randrange(16), rng.randrange(IDS)))
        address, data = request(handle)
        odd = rng.random()
        if odd < 0.1:
            sub = rng.randrange(IDS)
            address, data = request((handle - sub) % IDS, sub)
        elif odd < 0.2:
            address ^= 1 << rng.randrange(32)
        elif odd < 0.3:
            address, data = Interrupt(rng.randrange(256), rng.randrange(256)).message()
        self.heard.clear()
        self.unit.remap(source_id, Msi(address, data))
        arrived = [(heard.destination, heard.vector) for heard in map(Interrupt.of, self.heard)]
        assert arrived in ([], [(source_id >> 8, source_id & 0xFF)]), (hex(source_id), arrived)
        assert arrived or odd < 0.3 or handle != own, hex(source_id)
        self.counts["interrupts" if arrived else "interrupts refused"] += 1

    # -- the end

    def check(self) -> None:
        """Every frame is full of its owner's number, and nothing else; no vector was written."""
        wanted = np.full(FRAMES, NOBODY)
        for number, pages in enumerate(self.pages):
            for held in pages.values():
                wanted[held.frame] = number
        assert (self.frames == wanted[:, None]).all()
        table = self.ram.read(ENTRIES_AT, IDS * IRTE.size)
        assert table == entries_of(self.owners).tobytes()


def entries_of(owners: list[int]) -> np.ndarray:
    """The entry for the one interrupt of each source id: (n, 2) uint64, low and high."""
    ids, common = np.array(owners, np.uint64), IRTE.pack(P=1, SVT=CHECK_ID)
    low = ids % 256 << IRTE.V.lo | ids // 256 << DST_XAPIC.lo | common % (1 << 64)
    high = ids << IRTE.SID.lo - 64 | common >> 64
    return np.stack([low, high], axis=1)
