"""Lockstep: who takes which step, and where the buffer of each stands."""

import numpy as np

from tests.show.looks import check_picture, words_of
from virtlab.show.batch_levels import MOST_CHAINS, MOST_LEVELS, levels, levels_picture
from virtlab.virtio.batch import Batch


def batch_of(*counts):
    """Chains with so many buffers each."""
    starts = np.append(0, np.cumsum(counts)).astype(np.int64)
    n, m = len(counts), int(starts[-1])
    return Batch(
        np.arange(n), np.ones(n, np.int64), starts, np.arange(m), np.ones(m, int), np.zeros(m, bool)
    )


def test_chains_that_end_fall_out():
    found = [level.tolist() for level in levels(batch_of(1, 3, 2, 1))]
    assert found == [[0, 1, 2, 3], [1, 2], [1]]
    assert levels(batch_of()) == []


def test_as_many_steps_as_the_longest_chain_and_each_buffer_once():
    for counts in ((1,), (5, 1, 1), (2, 2, 2), tuple(range(1, 7))):
        found = levels(batch_of(*counts))
        assert len(found) == max(counts)
        assert sum(map(len, found)) == sum(counts)


def test_a_cell_has_the_place_in_the_arrays():
    drawn = levels_picture(batch_of(1, 3, 2))
    check_picture(drawn)
    assert "level 0        0       1       4   3 chains" in drawn.text
    assert "level 1        -       2       5   2 chains" in drawn.text
    assert "level 2        -       3       -   1 chain\n" in drawn.text
    assert [word for word in words_of(drawn) if word.isdigit()] == ["0", "1", "4", "2", "5", "3"]
    assert "3 chains with 6 buffers: 3 steps." in drawn.text


def test_more_and_longer_chains_are_drawn_in_part():
    drawn = levels_picture(batch_of(*[9] * 20))
    check_picture(drawn)
    words = words_of(drawn)
    assert sum(word.startswith("chain ") for word in words) == MOST_CHAINS
    assert sum(word.startswith("level ") for word in words) == MOST_LEVELS
    assert "20 chains with 180 buffers: 9 steps." in drawn.text


def test_an_empty_batch_has_a_picture_too():
    check_picture(levels_picture(batch_of()))
