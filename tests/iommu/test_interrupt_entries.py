"""Posted entries, and the cache of entries that goes stale."""

import pytest

from tests.iommu.interrupt_bench import DESCRIPTOR, DISK, NIC, TABLE, Bench, entry, posted
from virtlab.interrupts import Interrupt
from virtlab.iommu.interrupt_remapping import CACHE_ENTRIES
from virtlab.iommu.layouts import POSTED_DESCRIPTOR
from virtlab.iommu.posted import PostedDescriptor
from virtlab.iommu.reasons import Reason
from virtlab.memory import GuestMemory


@pytest.fixture
def bench():
    return Bench()


# -- 5.2: posted entries


def test_a_posted_entry_sets_its_bit_and_notifies(bench):
    descriptor = PostedDescriptor(bench.memory, DESCRIPTOR)
    descriptor.start(0xF2, 3)
    bench.put(5, posted())
    assert bench.send(5) == Interrupt(0xF2, 3)
    assert (descriptor.pending, descriptor.outstanding) == (1 << 0x61, True)
    assert bench.send(5) is None


def test_the_descriptor_above_4_gib():
    bench = Bench()
    bench.memory = bench.unit.memory = GuestMemory([(0, 0x10000), (0x12_0000_0000, 0x1000)])
    PostedDescriptor(bench.memory, 0x12_0000_0FC0).start(0xF2, 3)
    bench.put(5, posted(0x12_0000_0FC0))
    assert bench.send(5) == Interrupt(0xF2, 3)


def test_27h_a_descriptor_that_is_not_in_memory(bench):
    bench.put(5, posted(0x12_0000_0FC0))
    assert bench.send(5) == Reason.DESCRIPTOR_ACCESS
    assert bench.faults == [(0x27, DISK, 5)]


@pytest.mark.parametrize("fpd", [0, 1])
def test_28h_a_reserved_bit_of_the_descriptor(bench, fpd):
    bench.memory.store(DESCRIPTOR, 64, POSTED_DESCRIPTOR.pack(NV=0xF2) | 1 << 320)
    bench.put(5, posted(FPD=fpd))
    assert bench.send(5) == Reason.DESCRIPTOR_RESERVED
    assert bench.faults == ([] if fpd else [(0x28, DISK, 5)])


def test_an_urgent_entry_notifies_through_suppression(bench):
    descriptor = PostedDescriptor(bench.memory, DESCRIPTOR)
    descriptor.start(0xF2, 3)
    descriptor.suppress(True)
    bench.put(5, posted())
    bench.put(6, posted(vector=0x62, URG=1))
    assert bench.send(5) is None
    assert bench.send(6) == Interrupt(0xF2, 3)
    assert descriptor.pending == 1 << 0x61 | 1 << 0x62


# -- 6.5.2.7: the interrupt-entry cache


def test_a_changed_entry_is_stale_until_it_is_invalidated(bench):
    bench.put(5, entry(0x41))
    bench.send(5)
    bench.put(5, entry(0x99))
    assert bench.send(5) == Interrupt(0x41, 2)
    bench.unit.invalidate(5, 0)
    assert bench.send(5) == Interrupt(0x99, 2)
    assert (bench.unit.hits, bench.unit.misses) == (1, 2)


def test_an_entry_taken_away_still_works_until_it_is_invalidated(bench):
    """The danger that software has to know of: a device taken from a VM still interrupts."""
    bench.put(5, entry(0x41))
    bench.send(5)
    bench.put(5, 0)
    assert bench.send(5) == Interrupt(0x41, 2)
    bench.unit.invalidate_all()
    assert bench.send(5) == Reason.IRTE_NOT_PRESENT


@pytest.mark.parametrize("wrong", [entry(P=0), entry() | 1 << 12])
@pytest.mark.parametrize("caching_mode", [False, True])
def test_a_wrong_entry_is_cached_in_caching_mode_only(wrong, caching_mode):
    bench = Bench(caching_mode=caching_mode)
    bench.put(5, wrong)
    first = bench.send(5)
    bench.put(5, entry())
    assert bench.send(5) == (first if caching_mode else Interrupt(0x41, 2))


def test_an_entry_refused_to_one_source_is_cached_for_the_other(bench):
    bench.put(5, entry(0x41))
    bench.send(5, NIC)
    bench.put(5, entry(0x99))
    assert bench.send(5, DISK) == Interrupt(0x41, 2)


@pytest.mark.parametrize("mask", range(9))
def test_invalidation_by_index_and_mask(bench, mask):
    """The low `mask` bits of the index do not count; the others do."""
    for index in range(256):
        bench.put(index, entry(0x40))
        bench.send(index)
        bench.put(index, entry(0x50))
    bench.unit.invalidate(0x65, mask)
    fresh = [index for index in range(256) if bench.send(index) == Interrupt(0x50, 2)]
    first = 0x65 & -1 << mask
    assert fresh == list(range(first, first + 2**mask))


def test_a_new_table_does_not_empty_the_cache(bench):
    bench.put(5, entry(0x41))
    bench.send(5)
    bench.unit.set_table(0x8000 | 7)
    assert bench.send(5) == Interrupt(0x41, 2)
    bench.unit.invalidate_all()
    assert bench.send(5) == Reason.IRTE_NOT_PRESENT


def test_the_cache_is_bounded():
    bench = Bench(TABLE | 9)
    for index in range(2 * CACHE_ENTRIES):
        bench.put(index, entry())
        bench.send(index)
    assert len(bench.unit.cache) == CACHE_ENTRIES
    assert set(bench.unit.cache) == set(range(CACHE_ENTRIES, 2 * CACHE_ENTRIES))


def test_reset_forgets_all(bench):
    bench.put(5, entry())
    bench.send(5)
    bench.unit.reset()
    assert (bench.unit.cache, bench.unit.enabled, bench.unit.entries) == ({}, False, 0)
