"""Rings full of chains of each kind: what they hold, lap after lap."""

import numpy as np
import pytest

from virtlab.show.batch_rings import KINDS, LAPS, LENGTHS, BatchRing
from virtlab.virtio.batch import Batch

ARRAYS = ("heads", "slots", "starts", "offset", "length", "write")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 8, 5, 256])
@pytest.mark.parametrize("lap", LAPS)
def test_one_by_one_and_at_once_see_the_same_chains(kind, n, lap):
    one, other = BatchRing(kind, n), BatchRing(kind, n)
    for ring in (one, other):
        ring.warm(lap)
    chains = list(iter(one.queue.pop, None))
    expected, found = Batch.of(chains, one.ram), other.queue.pop_many()
    assert len(found) == n
    assert all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in ARRAYS)


@pytest.mark.parametrize(
    ("kind", "counts", "slots"),
    [
        ("single", [1] * 8, [1] * 8),
        ("shuffled", [1] * 8, [1] * 8),
        ("three", [3] * 8, [3] * 8),
        ("indirect", [3] * 8, [1] * 8),
    ],
)
def test_each_kind_has_its_buffers_and_slots(kind, counts, slots):
    ring = BatchRing(kind, 8)
    ring.offer()
    batch = ring.queue.pop_many()
    assert np.diff(batch.starts).tolist() == counts
    assert batch.slots.tolist() == slots
    last = batch.starts[1:] - 1
    assert batch.write.sum() == batch.write[last].sum() == (8 if counts[0] > 1 else 0)
    assert set(batch.length.tolist()) == {512}


def test_mixed_chains_have_all_their_lengths_in_any_order():
    ring = BatchRing("mixed", 64)
    ring.offer()
    batch = ring.queue.pop_many()
    counts = np.diff(batch.starts)
    assert sorted(counts) == sorted(np.resize(LENGTHS["mixed"], 64))
    assert np.any(np.diff(batch.heads) < 0)


def test_the_heads_that_are_shuffled_are_each_there_once():
    heads = BatchRing("shuffled", 64).heads
    assert sorted(heads) == list(range(64)) != heads.tolist()
    assert np.array_equal(heads, BatchRing("shuffled", 64).heads)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lap", ["other", "same"])
def test_buffers_are_others_each_time_if_they_are_to_be(kind, lap):
    ring = BatchRing(kind, 16)
    ring.warm(lap)
    assert ring.queue.last_avail == 2 * ring.rings.size
    first = ring.queue.pop_many().copy()
    ring.queue.push_many(first)
    ring.move(0)
    ring.offer()
    second = ring.queue.pop_many()
    assert np.array_equal(first.offset, second.offset) is (lap == "same")
    assert np.array_equal(first.heads, second.heads)


def test_a_batch_that_is_no_power_of_two_goes_round_the_end():
    ring = BatchRing("single", 5)
    for _ in range(4):
        ring.offer()
        assert ring.queue.pop_many().heads.tolist() == [0, 1, 2, 3, 4]
        ring.queue.push_many([0, 1, 2, 3, 4])
    assert ring.queue.used == 20


def test_in_the_first_lap_the_device_has_seen_nothing():
    ring = BatchRing("single", 16)
    ring.warm("first")
    assert ring.queue.last_avail == 0
    assert len(ring.queue.pop_many()) == 16
    with pytest.raises(ValueError, match="a lap is one of"):
        ring.warm("last")


@pytest.mark.parametrize(
    ("kind", "n"), [("none", 8), ("single", 0), ("single", -1), ("three", 10923)]
)
def test_what_is_no_batch_is_refused(kind, n):
    with pytest.raises(ValueError, match=r"kind|hold"):
        BatchRing(kind, n)
