"""Frames of host memory: bounded, in an order that a seed decides."""

import pytest

from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.frames import Frames


def pool(count=16):
    return Frames(GuestMemory(64 * PAGE), 8 * PAGE, count)


def test_tables_take_frames_in_order_and_empty():
    frames = pool()
    frames.memory.bytes[:] = 0xAA
    assert [frames.take() for _ in range(3)] == [8 * PAGE, 9 * PAGE, 10 * PAGE]
    assert not frames.memory.view(8 * PAGE, 3 * PAGE).any()
    assert frames.memory.load(11 * PAGE, 1) == 0xAA


def test_a_scatter_is_the_same_for_the_same_seed_and_no_run_of_frames():
    one, two, other = pool(), pool(), pool()
    frames = one.scatter(8, seed=5)
    assert frames == two.scatter(8, seed=5) != other.scatter(8, seed=6)
    assert list(frames) != sorted(frames)


def test_no_frame_is_given_twice_and_scattered_ones_are_empty():
    frames = pool()
    frames.memory.bytes[:] = 0xAA
    given = [frames.take(), *frames.scatter(7, seed=1), frames.take(), *frames.scatter(7, seed=1)]
    assert len(set(given)) == 16
    assert set(given) == {8 * PAGE + i * PAGE for i in range(16)}
    assert frames.left == 0
    assert not frames.memory.view(8 * PAGE, 16 * PAGE).any()


def test_an_empty_pool_says_so():
    frames = pool(2)
    with pytest.raises(ValueError, match="3 frames are wanted, and 2 are left"):
        frames.scatter(3, seed=0)
    frames.take()
    frames.take()
    with pytest.raises(ValueError, match="0 are left"):
        frames.take()


@pytest.mark.parametrize(("start", "count"), [(1, 1), (0, -1), (0, 65), (64 * PAGE, 1)])
def test_a_pool_lies_in_the_hosts_memory(start, count):
    with pytest.raises(ValueError, match=r"page border|no .* frames"):
        Frames(GuestMemory(64 * PAGE), start, count)


def test_a_frame_that_is_given_back_is_taken_again_empty():
    frames = pool(4)
    first, second = frames.take(), frames.take()
    frames.memory.view(first, PAGE)[:] = 0xAA
    frames.give(first)
    assert frames.left == 3
    assert frames.take() == first
    assert not frames.memory.view(first, PAGE).any()
    assert frames.take() == second + PAGE


@pytest.mark.parametrize("hpa", [0, 8 * PAGE + 1, 9 * PAGE, 24 * PAGE])
def test_only_what_was_taken_can_be_given_back(hpa):
    frames = pool()
    frames.take()
    with pytest.raises(ValueError, match="no frame that was taken"):
        frames.give(hpa)
