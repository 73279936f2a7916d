"""The spy counts each pass over an array, and changes nothing."""

import numpy as np
import pytest

from virtlab.show.batch_rings import KINDS, BatchRing
from virtlab.show.batch_spy import Spy, watching
from virtlab.virtio import split_steps, split_walk
from virtlab.virtio.split_steps import starts_of

ARRAYS = ("heads", "slots", "starts", "offset", "length", "write")


def spy(*numbers):
    return np.array(numbers, np.int64).view(Spy)


def noted(work):
    """The name and elements of each pass, and what came out."""
    with watching() as passes:
        found = work()
        return [(each.name, each.elements) for each in passes], found


@pytest.mark.parametrize(
    ("work", "passes", "expected"),
    [
        (lambda: spy(1, 2, 3) + 1, [("add", 3)], [2, 3, 4]),
        (lambda: 1 + spy(1, 2, 3), [("add", 3)], [2, 3, 4]),
        (lambda: spy(1, 2) + np.arange(2), [("add", 2)], [1, 3]),
        (lambda: spy(1, 2, 3) == 2, [("equal", 3)], [False, True, False]),
        (lambda: spy(1, 2, 3).sum(), [("add", 3)], 6),
        (lambda: np.count_nonzero(spy(0, 1)), [("count_nonzero", 2)], 1),
        (lambda: np.concatenate((spy(1), spy(2, 3))), [("concatenate", 3)], [1, 2, 3]),
        (lambda: np.repeat(spy(1, 2), repeats=spy(2, 1)), [("repeat", 2)], [1, 1, 2]),
        (lambda: np.shape(spy(1, 2)), [], (2,)),
        (lambda: spy(3, 1, 2)[1:], [], [1, 2]),
        (lambda: spy(3, 1, 2)[np.array([2, 0])], [("gather", 2)], [2, 3]),
        (lambda: spy(3, 1, 2)[spy(2, 0)], [("gather", 2)], [2, 3]),
        (lambda: spy(3, 1, 2).take(spy(2, 0)), [("take", 2)], [2, 3]),
        (lambda: spy(3, 1, 2).argmax(), [("argmax", 3)], 0),
        (lambda: spy(3, 1, 2).argmin(), [("argmin", 3)], 1),
        (lambda: spy(3, 1).copy(), [("copy", 2)], [3, 1]),
        (lambda: spy(3, 1).astype(np.uint8), [("astype", 2)], [3, 1]),
        (lambda: np.divmod(spy(7, 8), 2), [("divmod", 2)], ([3, 4], [1, 0])),
    ],
)
def test_a_pass_is_noted_once_and_gives_what_numpy_gives(work, passes, expected):
    found, result = noted(work)
    assert found == passes
    assert np.array_equal(result, expected)


def test_what_comes_out_of_a_pass_is_a_spy_again():
    found, _ = noted(lambda: np.flatnonzero((spy(1, 2, 3) & 1) != 0)[::-1] + 1)
    assert [name for name, _ in found] == ["bitwise_and", "not_equal", "flatnonzero", "add"]
    assert isinstance(np.divmod(spy(7), 2)[1], Spy)


def test_results_go_where_they_are_told_to():
    numbers, plain = spy(0, 0), np.zeros(2, np.int64)

    def work():
        assert np.add(spy(1, 2), 1, numbers) is numbers
        assert np.add(spy(1, 2), 1, out=plain) is plain
        assert spy(5, 6).take(spy(1, 0), 0, plain, "clip") is plain

    assert noted(work)[0] == [("add", 2), ("add", 2), ("take", 2)]
    assert (numbers.tolist(), plain.tolist()) == ([2, 3], [6, 5])


def test_to_store_is_a_pass():
    numbers = spy(0, 0, 0)

    def work():
        numbers[:] = spy(1, 2, 3)
        numbers[np.array([0, 2])] = 9

    assert noted(work)[0] == [("store", 3), ("store", 2)]
    assert numbers.tolist() == [9, 2, 9]


def test_a_pass_says_which_functions_asked_for_it():
    with watching() as passes:
        starts = starts_of(spy(2, 0, 3))
    assert starts.tolist() == [0, 2, 2, 5]
    assert [(each.name, each.asked) for each in passes] == [("cumsum", ("split_steps.starts_of",))]


def test_only_inside_do_the_modules_make_spies():
    assert type(split_steps.np.zeros(1)) is np.ndarray
    with watching():
        assert type(split_steps.np.zeros(1)) is Spy
        assert split_walk.np.int64 is np.int64
    with pytest.raises(ZeroDivisionError), watching():
        raise ZeroDivisionError
    assert split_steps.np is split_walk.np is np


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 8, 64])
def test_who_is_watched_gives_the_same_batch(kind, n):
    def batch():
        ring = BatchRing(kind, n)
        ring.ram.bytes = ring.ram.bytes.view(Spy)
        ring.warm("other")
        return ring.queue.pop_many().copy(), ring

    with watching():
        seen, ring = batch()
    expected, other = batch()
    assert all(np.array_equal(getattr(seen, name), getattr(expected, name)) for name in ARRAYS)
    assert np.array_equal(ring.ram.bytes, other.ram.bytes)
