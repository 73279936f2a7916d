"""The flat IOTLB: what is known, where the window is, and addresses that mean harm."""

import numpy as np
import pytest

from virtlab.iommu.iotlb import SMALLEST, UNKNOWN, FlatIotlb

EDGES = [0, 1, 0xFFF, 1 << 32, 1 << 46, (1 << 57) - 1, (1 << 62) + 5, (1 << 63) - 1, -1, -(1 << 63)]


def iovas(*values):
    return np.array(values, np.int64)


def learned(flat, pairs):
    flat.learn(iovas(*pairs), iovas(*pairs.values()))
    return flat


def test_an_address_moves_with_its_page():
    flat = learned(FlatIotlb(), {5: 0x1000, 7: -0x7000})
    assert flat.look_up(iovas(0x5123, 0x7FFF, 0x5000)).tolist() == [0x6123, 0xFFF, 0x6000]
    assert flat.misses == 0


def test_one_page_that_is_not_known_is_a_miss_of_the_batch():
    flat = learned(FlatIotlb(), {5: 0})
    assert flat.look_up(iovas(0x5000, 0x6000)) is None
    assert flat.misses == 1
    assert flat.deltas(iovas(4, 5, 6, 1 << 50)).tolist() == [UNKNOWN, 0, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("known", [1, SMALLEST - 1, (3 << 20) + 7])
@pytest.mark.parametrize("iova", EDGES)
def test_no_address_outside_of_the_window_is_known(known, iova):
    """Whatever number a guest names, before and behind the window: an index is only clipped."""
    flat = learned(FlatIotlb(), {known: 1 << 40})
    inside = iova >> 12 == known
    assert (flat.look_up(iovas(iova)) is not None) == inside
    assert (flat.look_up(iovas(known << 12, iova)) is not None) == inside


def test_an_empty_table_knows_nothing():
    flat = FlatIotlb()
    assert all(flat.look_up(iovas(edge)) is None for edge in EDGES)


def test_a_window_grows_and_keeps_what_it_knows():
    flat = learned(learned(FlatIotlb(), {5: 0x1000}), {100_000: 0x2000})
    assert flat.look_up(iovas(0x5000, 100_000 << 12)).tolist() == [0x6000, (100_000 << 12) + 0x2000]
    assert flat.look_up(iovas(SMALLEST << 12)) is None


def test_a_window_moves_and_forgets():
    flat = learned(learned(FlatIotlb(16), {5: 0x1000}), {37: 0x2000})
    assert flat.first == 32
    assert flat.look_up(iovas(0x5000)) is None
    assert flat.look_up(iovas(0x25000)).tolist() == [0x27000]
    assert learned(flat, {5: 0x1000}).look_up(iovas(0x25000)) is None


def test_pages_too_far_apart_are_not_kept():
    flat = learned(FlatIotlb(16), {15: 0, 16: 0})
    assert flat.look_up(iovas(0xF000)) is None
    flat.learn(iovas(), iovas())
    assert len(learned(flat, {15: 0})._deltas) == 17


def test_clear_forgets_all_and_no_more():
    flat = learned(FlatIotlb(16), {5: 0, 6: 0})
    flat.clear()
    assert flat.deltas(np.arange(16)).tolist() == [UNKNOWN] * 16
    assert learned(flat, {6: 0}).look_up(iovas(0x6000)).tolist() == [0x6000]


def test_batches_of_any_size_and_their_own_arrays():
    flat = learned(FlatIotlb(), {page: 0x1000 * page for page in range(64)})
    first = flat.look_up(np.arange(1, 5) << 12)
    kept = first.copy()
    for n in (1, 63, 4):
        found = flat.look_up(np.arange(1, n + 1) << 12)
        assert found.tolist() == [page << 13 for page in range(1, n + 1)]
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("first", [0, 32])
def test_the_first_page_of_a_window_is_never_known(first):
    flat = learned(FlatIotlb(16), {first: 0x1000, first + 1: 0x1000})
    assert flat.look_up(iovas(first << 12)) is None
    assert flat.look_up(iovas((first + 1) << 12)) is not None
    assert flat.deltas(iovas(first, first + 1)).tolist() == [UNKNOWN, 0x1000]


@pytest.mark.parametrize("window", [0, 1, -1, 3, 100])
def test_a_window_is_a_power_of_two(window):
    with pytest.raises(ValueError, match="power of two"):
        FlatIotlb(window)
