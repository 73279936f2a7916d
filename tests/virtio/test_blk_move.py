"""Many pieces from one array to another, against a loop of slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio import blk_move
from virtlab.virtio.blk_move import move

SECTOR = 512


def slices(to, to_at, source, source_at, length):
    """The reference: one piece after another."""
    for at, start, size in zip(to_at, source_at, length, strict=True):
        to[at : at + size] = source[start : start + size]


def layout(random, lengths, row, shift):
    """Where pieces of these lengths begin: in a row, or in any order with gaps."""
    order = np.arange(len(lengths)) if row else random.permutation(len(lengths))
    gap = 0 if row else SECTOR
    begins = np.zeros(len(lengths), np.int64)
    begins[order] = shift + np.cumsum(lengths[order] + gap) - lengths[order] - gap
    return begins


@given(
    st.integers(0, 1 << 16),
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 512, 4096]),
    st.sampled_from([0, 3, 512]),
    st.sampled_from([SECTOR, 4 * SECTOR, 1 << 30]),
)
def test_it_moves_what_slices_move(seed, sectors, row, other, to_shift, shift, most):
    random = np.random.default_rng(seed)
    lengths = np.array(sectors, np.int64) * SECTOR
    size = int(lengths.sum()) + len(lengths) * SECTOR + 8192
    source = random.integers(0, 256, size, np.uint8)
    to, expected = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    to_at, source_at = layout(random, lengths, row, to_shift), layout(random, lengths, other, shift)
    slices(expected, to_at, source, source_at, lengths)
    kept = source.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blk_move, "ROUND", most)
        patch.setattr(blk_move, "SLAB", min(most, 1 << 18))
        move(to, to_at, source, source_at, lengths)
    assert np.array_equal(to, expected)
    assert np.array_equal(source, kept)


@pytest.mark.parametrize("n", [1, 5, 64, 300])
@pytest.mark.parametrize("size", [512, 4096])
def test_pieces_of_one_size_to_anywhere_from_anywhere(n, size):
    random = np.random.default_rng(n)
    source = random.integers(0, 256, 400 * size, np.uint8)
    to, expected = np.zeros(400 * size, np.uint8), np.zeros(400 * size, np.uint8)
    to_at = random.permutation(400)[:n].astype(np.int64) * size
    source_at = random.integers(0, 400, n) * size
    length = np.full(n, size)
    slices(expected, to_at, source, source_at, length)
    move(to, to_at, source, source_at, length)
    assert np.array_equal(to, expected)


def test_nothing_moves_nothing():
    none = np.zeros(0, np.int64)
    to = np.zeros(SECTOR, np.uint8)
    move(to, none, to, none, none)
    assert not to.any()


def test_little_waits_in_between(monkeypatch):
    """What a guest asks for decides no allocation: 64 MiB go by in rounds of 4 and slabs."""
    seen = []
    real = np.empty

    def noting(shape, *rest):
        seen.append(int(np.prod(shape)))
        return real(shape, *rest)

    n, size = 64, 128 << 10
    memory = np.zeros(n * size * 2, np.uint8)
    to_at = np.random.default_rng(1).permutation(n).astype(np.int64) * 2 * size
    monkeypatch.setattr(blk_move.np, "empty", noting)
    move(memory, to_at + size, memory, to_at[::-1], np.full(n, size))
    assert max(seen) <= blk_move.SLAB


def test_little_is_cut_at_once(monkeypatch):
    """Pieces of several lengths are cut into sectors, no more of them than a round has."""
    seen = []
    real = np.arange
    monkeypatch.setattr(blk_move.np, "arange", lambda n: (seen.append(int(n)), real(n))[1])
    monkeypatch.setattr(blk_move, "ROUND", 1 << 20)
    length = np.resize([65536, 65536 - SECTOR], 64)
    memory = np.zeros(1 << 23, np.uint8)
    at = np.cumsum(length) - length
    move(memory, at, memory, at + (1 << 22), length)
    assert len(seen) > 1
    assert max(seen) <= (1 << 20) // SECTOR
    assert sum(seen) == length.sum() // SECTOR
