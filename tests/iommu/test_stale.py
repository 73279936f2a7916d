"""Caches that believe what they have read, and every way to make them forget.

Each test changes a table, sees that nothing has changed, invalidates, and sees the change.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest

from tests.iommu.tables import RW, Tables, command, put, reg, unit_with
from tests.iommu.work import QueueOf, reads
from virtlab.errors import DmaFault
from virtlab.iommu.caches import Cache, PageKey
from virtlab.iommu.descriptors import Granularity
from virtlab.iommu.layouts import CONTEXT
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import VtdRegisters
from virtlab.memory import PAGE

GLOBAL, DOMAIN, SELECTIVE = Granularity.GLOBAL, Granularity.DOMAIN, Granularity.SELECTIVE
SID, OTHER = 0x0118, 0x0120
IOVA, FAR = 0x40_0000, 0x4000_0000
OLD, NEW = 0x1000, 0x2000

CCMD, IOTLB, IVA = VtdRegisters.CCMD, VtdRegisters.IOTLB, VtdRegisters.IVA


class World:
    """Two requesters in two domains, each with a page at IOVA and one at FAR, in OLD.

    Every page of memory begins with its own number, so that a read tells where it went.
    """

    def __init__(self, **capabilities: object) -> None:
        self.tables = Tables()
        for page in range(0, 16 * PAGE, PAGE):
            self.tables.memory.store(page, 8, page)
        self.tops = {SID: self.tables.attach(SID, 1), OTHER: self.tables.attach(OTHER, 2)}
        self.entries = {
            (sid, iova): self.tables.map(self.tops[sid], iova, OLD)
            for sid in self.tops
            for iova in (IOVA, FAR)
        }
        self.unit = unit_with(self.tables, **capabilities)

    @cached_property
    def queue(self) -> QueueOf:
        """Enabled when it is first needed."""
        return QueueOf(self.unit)

    def goes(self, source_id: int = SID, iova: int = IOVA) -> int:
        return reads(self.unit, source_id, iova)

    def all(self) -> list[int]:
        """Where all four pages lead."""
        return [self.goes(sid, iova) for sid, iova in self.entries]

    def move(self, *pages: tuple[int, int]) -> None:
        """Let pages, all if none is named, lead to NEW: in memory."""
        for page in pages or self.entries:
            self.tables.memory.store(self.entries[page], 8, NEW | RW)


def by_register(world, granularity, domain=0, iova=0, mask=0, hint=False):
    put(world.unit, "IVA", iova | hint << 6 | mask)
    put(
        world.unit,
        "IOTLB",
        IOTLB.IVT.mask | IOTLB.IIRG.put(0, granularity) | IOTLB.DID.put(0, domain),
    )
    return IOTLB.IAIG.get(reg(world.unit, "IOTLB"))


def by_queue(world, granularity, domain=0, iova=0, mask=0, hint=False):
    world.queue.iotlb(granularity, domain, iova, mask, hint)
    return granularity


def contexts_by_register(world, granularity, domain=0, source_id=0, mask=0):
    put(
        world.unit,
        "CCMD",
        CCMD.ICC.mask
        | CCMD.CIRG.put(0, granularity)
        | CCMD.DID.put(0, domain)
        | CCMD.SID.put(0, source_id)
        | CCMD.FM.put(0, mask),
    )
    return CCMD.CAIG.get(reg(world.unit, "CCMD"))


def contexts_by_queue(world, granularity, domain=0, source_id=0, mask=0):
    world.queue.contexts(granularity, domain, source_id, mask)
    return granularity


pages_two_ways = pytest.mark.parametrize("invalidate", [by_register, by_queue])
contexts_two_ways = pytest.mark.parametrize("invalidate", [contexts_by_register, contexts_by_queue])


# -- 6.5.1: the IOTLB


@pages_two_ways
@pytest.mark.parametrize(
    ("request_of", "seen"),
    [  # which of (SID, IOVA), (SID, FAR), (OTHER, IOVA), (OTHER, FAR) are read again
        ({"granularity": GLOBAL}, [NEW, NEW, NEW, NEW]),
        ({"granularity": DOMAIN, "domain": 1}, [NEW, NEW, OLD, OLD]),
        ({"granularity": DOMAIN, "domain": 2}, [OLD, OLD, NEW, NEW]),
        ({"granularity": DOMAIN, "domain": 3}, [OLD, OLD, OLD, OLD]),
        ({"granularity": SELECTIVE, "domain": 1, "iova": IOVA}, [NEW, OLD, OLD, OLD]),
        ({"granularity": SELECTIVE, "domain": 2, "iova": FAR}, [OLD, OLD, OLD, NEW]),
        ({"granularity": SELECTIVE, "domain": 1, "iova": IOVA + PAGE}, [OLD, OLD, OLD, OLD]),
        ({"granularity": SELECTIVE, "domain": 1, "iova": 0, "mask": 10}, [OLD, OLD, OLD, OLD]),
        ({"granularity": SELECTIVE, "domain": 1, "iova": 0, "mask": 11}, [NEW, OLD, OLD, OLD]),
        ({"granularity": SELECTIVE, "domain": 1, "iova": FAR, "mask": 18}, [OLD, NEW, OLD, OLD]),
    ],
)
def test_a_page_is_stale_until_it_is_invalidated(invalidate, request_of, seen):
    world = World()
    assert world.all() == [OLD] * 4
    world.move()
    assert world.all() == [OLD] * 4
    assert invalidate(world, **request_of) == request_of["granularity"]
    assert world.all() == seen


@pages_two_ways
def test_a_large_page_is_forgotten_by_any_part_of_it(invalidate):
    world = World()
    entry_at = world.tables.map(world.tops[SID], 0x20_0000, 0, level=2)
    assert world.goes(SID, 0x20_0000 + OLD) == OLD
    world.tables.memory.store(entry_at, 8, 0)
    invalidate(world, SELECTIVE, 1, 0x1F_F000)
    assert world.goes(SID, 0x20_0000 + OLD) == OLD
    invalidate(world, SELECTIVE, 1, 0x3F_F000)
    with pytest.raises(DmaFault) as caught:
        world.goes(SID, 0x20_0000 + OLD)
    assert caught.value.code == Reason.READ


@pages_two_ways
def test_a_stale_page_lets_a_device_write_to_memory_that_is_no_longer_its_own(invalidate):
    world = World()
    device = world.unit.dma_for(SID)
    device.write(IOVA, b"mine")
    world.tables.memory.store(world.entries[SID, IOVA], 8, 0)
    device.write(IOVA, b"evil")
    assert world.tables.memory.read(OLD, 4) == b"evil"
    invalidate(world, SELECTIVE, 1, IOVA)
    with pytest.raises(DmaFault) as caught:
        device.write(IOVA, b"more")
    assert caught.value.code == Reason.WRITE
    assert world.tables.memory.read(OLD, 4) == b"evil"


def test_a_right_that_is_remembered_is_believed_too():
    world = World()
    world.tables.memory.store(world.entries[SID, IOVA], 8, OLD | 1)
    assert world.goes() == OLD
    world.tables.memory.store(world.entries[SID, IOVA], 8, OLD | 3)
    with pytest.raises(DmaFault) as caught:
        world.unit.dma_for(SID).write(IOVA, b"x")
    assert caught.value.code == Reason.WRITE
    by_register(world, SELECTIVE, 1, IOVA)
    world.unit.dma_for(SID).write(IOVA, b"x")


# -- 6.5.1.2: the hint, and the paging-structure cache


def moved_table(world):
    """In memory, another level-1 table for IOVA: with a page in NEW."""
    upper = world.tables.entry_at(world.tops[SID], 4, IOVA, level=2)
    other = world.tables.page()
    world.tables.memory.store(other + 8 * (IOVA >> 12 & 511), 8, NEW | RW)
    world.tables.memory.store(upper, 8, other | RW)


@pages_two_ways
@pytest.mark.parametrize(("hint", "seen"), [(True, OLD), (False, NEW)])
def test_with_the_hint_the_tables_are_kept(invalidate, hint, seen):
    """A driver that gives the hint says that no table has moved. This one lies."""
    world = World()
    assert world.goes() == OLD
    moved_table(world)
    invalidate(world, SELECTIVE, 1, IOVA, 0, hint)
    assert world.goes() == seen


@pages_two_ways
@pytest.mark.parametrize("granularity", [GLOBAL, DOMAIN])
def test_the_hint_counts_for_pages_alone(invalidate, granularity):
    world = World()
    assert world.goes() == OLD
    moved_table(world)
    invalidate(world, granularity, 1, 0, 0, True)
    assert world.goes() == NEW


def test_tables_of_another_domain_are_kept():
    world = World()
    world.all()
    by_register(world, SELECTIVE, 2, IOVA)
    near = [key.owner for key in world.unit.caches.tables.entries if key.number == 0]
    assert set(near) == {1}  # those that begin at 0 serve IOVA
    far = [key.owner for key in world.unit.caches.tables.entries if key.number]
    assert set(far) == {1, 2}


def test_pages_of_one_stretch_share_its_tables():
    """The second page costs one read of memory, not six."""
    world = World()
    world.tables.map(world.tops[SID], IOVA + PAGE, NEW)
    translation = world.unit.translation
    assert len(translation.context_of(SID).steps) == 2
    assert len(translation.page_of(SID, IOVA, False).steps) == 4
    assert len(translation.page_of(SID, IOVA + PAGE, False).steps) == 1
    assert translation.page_of(SID, IOVA + PAGE, False).steps == ()
    assert translation.context_of(SID).steps == ()


def test_rights_of_remembered_tables_count():
    """A table that was reached without the right to write gives none later."""
    world = World()
    upper = world.tables.entry_at(world.tops[SID], 4, IOVA, level=3)
    world.tables.memory.store(upper, 8, world.tables.memory.load(upper, 8) & ~2)
    assert world.goes() == OLD
    world.tables.map(world.tops[SID], IOVA + PAGE, NEW)
    with pytest.raises(DmaFault) as caught:
        world.unit.dma_for(SID).write(IOVA + PAGE, b"x")
    assert caught.value.code == Reason.WRITE


# -- 6.5.1: the context cache


def device(domain, source_id, mask=0):
    """A device-selective request."""
    return {"granularity": SELECTIVE, "domain": domain, "source_id": source_id, "mask": mask}


@contexts_two_ways
@pytest.mark.parametrize(
    ("request_of", "gone"),
    [  # which of SID, OTHER are read again
        ({"granularity": GLOBAL}, [True, True]),
        ({"granularity": DOMAIN, "domain": 1}, [True, False]),
        ({"granularity": DOMAIN, "domain": 7}, [False, False]),
        (device(1, SID), [True, False]),
        (device(1, SID + 1), [False, False]),
        (device(2, SID), [False, False]),  # another domain
        (device(1, SID + 1, 3), [True, False]),
        (device(2, OTHER + 4, 1), [False, True]),
        (device(2, OTHER + 2, 1), [False, False]),
        (device(2, OTHER + 6, 2), [False, True]),
        (device(2, OTHER + 1, 2), [False, False]),
    ],
)
def test_a_context_is_stale_until_it_is_invalidated(invalidate, request_of, gone):
    world = World()
    world.all()
    for source_id in (SID, OTHER):
        world.tables.memory.store(world.tables.context_at(source_id), 16, 0)
    assert world.all() == [OLD] * 4
    assert invalidate(world, **request_of) == request_of["granularity"]
    world.unit.caches.pages.clear()
    for source_id, expected in zip((SID, OTHER), gone, strict=True):
        if expected:
            with pytest.raises(DmaFault) as caught:
                world.goes(source_id)
            assert caught.value.code == Reason.CONTEXT_NOT_PRESENT
        else:
            assert world.goes(source_id) == OLD


def test_a_device_that_has_moved_to_another_domain_still_reaches_the_pages_of_its_old_one():
    """6.2.2.1: software must drop the context entry and then the pages, in this order."""
    world = World()
    world.move((OTHER, IOVA))
    assert (world.goes(SID), world.goes(OTHER)) == (OLD, NEW)
    entry = CONTEXT.pack(P=1, AW=2, DID=2) | world.tops[OTHER]
    world.tables.memory.store(world.tables.context_at(SID), 16, entry)
    assert world.goes(SID) == OLD
    contexts_by_register(world, SELECTIVE, 1, SID)
    assert world.goes(SID) == OLD
    by_register(world, DOMAIN, 2)
    assert world.goes(SID) == OLD
    by_register(world, DOMAIN, 1)
    assert world.goes(SID) == NEW


def test_devices_of_one_domain_share_its_tables_and_not_their_pages():
    world = World()
    assert world.goes(SID) == OLD
    entry = CONTEXT.pack(P=1, AW=2, DID=1) | world.tops[SID]
    world.tables.memory.store(world.tables.context_at(OTHER), 16, entry)
    assert len(world.unit.translation.page_of(OTHER, IOVA, False).steps) == 1
    assert len(world.unit.caches.pages) == 2
    by_register(world, SELECTIVE, 1, IOVA)  # dropped for both
    assert len(world.unit.caches.pages) == 0


# -- requests that make no sense


def test_the_reserved_granularity_does_nothing_and_says_so():
    world = World()
    world.all()
    world.move()
    assert by_register(world, 0) == 0
    assert contexts_by_register(world, 0) == 0
    assert world.all() == [OLD] * 4
    assert reg(world.unit, "IOTLB") >> 63 == reg(world.unit, "CCMD") >> 63 == 0


def test_a_mask_beyond_mamv_does_nothing_and_says_so():
    world = World(address_mask=5)
    world.all()
    world.move()
    assert by_register(world, SELECTIVE, 1, IOVA, 6) == 0
    assert world.goes() == OLD
    assert by_register(world, SELECTIVE, 1, IOVA, 5) == SELECTIVE
    assert world.goes() == NEW


def test_without_page_selective_a_whole_domain_goes():
    world = World(page_selective=False)
    world.all()
    world.move()
    assert by_register(world, SELECTIVE, 1, FAR) == DOMAIN
    assert world.all() == [NEW, NEW, OLD, OLD]


def test_with_the_queue_enabled_the_registers_do_nothing_and_say_so():
    world = World()
    world.all()
    world.move()
    assert world.queue
    assert by_register(world, GLOBAL) == contexts_by_register(world, GLOBAL) == 0
    assert world.all() == [OLD] * 4


def test_a_request_written_in_two_halves_begins_with_the_upper_one():
    world = World()
    world.all()
    world.move()
    for register in (CCMD, IOTLB):
        world.unit.write(register.offset, 4, 0xFFFF_FFFF)
        assert world.goes() == OLD
    put(world.unit, "CCMD", 1 << 61)  # without ICC
    put(world.unit, "IOTLB", 1 << 60)  # without IVT
    assert len(world.unit.caches.contexts) == 2
    assert world.goes() == OLD
    world.unit.write(CCMD.offset + 4, 4, 1 << 31 | 1 << 29)
    world.unit.write(IOTLB.offset + 4, 4, 1 << 31 | 1 << 28)
    assert len(world.unit.caches.contexts) == 0
    assert world.goes() == NEW


# -- 6.1: caching mode


@pytest.mark.parametrize(("caching_mode", "seen"), [(False, OLD), (True, None)])
@pytest.mark.parametrize("entry", [0, 1 << 51 | RW, 1 << 30 | RW])
def test_in_caching_mode_what_is_not_present_is_remembered(caching_mode, seen, entry):
    """Not present, or wrong: at level 2, so that it may also be a table that is not in memory."""
    world = World(caching_mode=caching_mode)
    upper = world.tables.entry_at(world.tops[SID], 4, IOVA, level=2)
    right = world.tables.memory.load(upper, 8)
    world.tables.memory.store(upper, 8, entry)
    with pytest.raises(DmaFault):
        world.goes()
    world.tables.memory.store(upper, 8, right)
    if seen is None:
        with pytest.raises(DmaFault):
            world.goes()
        with pytest.raises(DmaFault):
            world.unit.dma_for(SID).write(IOVA, b"x")
        by_register(world, SELECTIVE, 1, IOVA)
    assert world.goes() == OLD


def test_in_caching_mode_a_missing_right_is_not_remembered_for_the_other():
    world = World(caching_mode=True)
    world.tables.memory.store(world.entries[SID, IOVA], 8, OLD | 1)
    with pytest.raises(DmaFault):
        world.unit.dma_for(SID).write(IOVA, b"x")
    assert world.goes() == OLD


def test_in_caching_mode_a_context_that_is_not_present_has_domain_0():
    world = World(caching_mode=True)
    entry = world.tables.memory.load(world.tables.context_at(SID), 16)
    world.tables.memory.store(world.tables.context_at(SID), 16, entry & ~1)
    with pytest.raises(DmaFault):
        world.goes()
    world.tables.memory.store(world.tables.context_at(SID), 16, entry)
    contexts_by_register(world, DOMAIN, domain=1)
    with pytest.raises(DmaFault):
        world.goes()
    contexts_by_register(world, DOMAIN, domain=0)
    assert world.goes() == OLD


# -- bounds


def test_caches_are_bounded_and_the_oldest_entry_goes():
    world = World(cache_sizes=(1, 2, 1))
    assert world.all() == [OLD] * 4
    world.move()
    assert world.goes(OTHER, FAR) == OLD
    assert world.goes(SID, IOVA) == NEW
    assert len(world.unit.caches.contexts) == len(world.unit.caches.tables) == 1
    assert len(world.unit.caches.pages) == 2
    assert world.unit.caches.pages.evictions > 0


def test_caches_of_size_0_keep_nothing():
    world = World(cache_sizes=(0, 0, 0))
    assert world.all() == [OLD] * 4
    world.move()
    assert world.all() == [NEW] * 4


def test_a_cache_counts_and_replaces():
    cache: Cache[int, str] = Cache(2)
    cache.keep(1, "one")
    cache.keep(2, "two")
    cache.keep(1, "uno")  # the newest now
    cache.keep(3, "three")
    assert cache.entries == {1: "uno", 3: "three"}
    assert (cache.find(1), cache.find(2), cache.find(2, 3)) == ("uno", None, "three")
    assert (cache.hits, cache.misses, cache.evictions) == (2, 1, 1)
    with pytest.raises(ValueError, match="0 entries or more"):
        Cache(-1)


def test_a_page_is_kept_by_requester_size_and_number_and_has_its_domain():
    world = World()
    world.goes()
    ((key, page),) = world.unit.caches.pages.entries.items()
    assert key == PageKey(SID, 12, IOVA >> 12)
    assert (page.domain, page.walk.gpa) == (1, OLD)


def test_what_was_dropped_is_another_generation():
    world = World()
    device = world.unit.dma_for(SID)
    device.offset(IOVA)
    seen = [device.generation]
    for step in (
        lambda: by_register(world, GLOBAL),
        lambda: contexts_by_register(world, GLOBAL),
        lambda: by_register(world, SELECTIVE, 1, IOVA),
        lambda: put(world.unit, "PMEN", 1 << 31),
        lambda: put(world.unit, "PLMLIMIT", 1 << 21),
        lambda: command(world.unit, "SRTP"),
        lambda: world.queue.entries(),
    ):
        step()
        seen.append(device.generation)
        device.offset_many(np.array([IOVA]), np.array([1]))
    assert len(set(seen)) == len(seen)
    world.goes()
    by_register(world, 0)
    assert device.generation == seen[-1]
