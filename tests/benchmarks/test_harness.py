"""The arithmetic of the benchmarks, on sides whose time is made up."""

import gc

import pytest

from benchmarks import harness
from benchmarks.harness import Result, Row, combine, measure


class Steady:
    """Two sides that always take the same time; it notes what was called."""

    def __init__(self, python=30, twin=20):
        self.times = {"python": python, "twin": twin}
        self.calls = []

    def prepare(self):
        self.calls.append("prepare")

    def python(self):
        self.calls.append("python")
        return self.times["python"]

    def twin(self):
        self.calls.append("twin")
        return self.times["twin"]

    def check(self):
        self.calls.append("check")


def test_a_ratio_is_the_median_of_neighbours():
    """Both slow down together; the mean of all would be far off."""
    result = combine(Row("a row", 8, Steady), [(30, 20), (300, 200), (45, 30), (900, 30)])
    assert result.ratio == 1.5
    assert result.ratios == (1.5, 1.5, 1.5, 30)
    assert (result.python, result.twin) == (172.5, 30)


def test_a_row_that_asks_for_more():
    result = combine(Row("a row", 8, Steady, goal=200, least=True), [(2, 600), (2, 500)])
    assert result.ratio == 275
    assert result.met


@pytest.mark.parametrize(
    ("goal", "least", "met"),
    [(None, False, True), (1.5, False, True), (1.4, False, False), (1.5, True, True)],
)
def test_goals(goal, least, met):
    result = Result(Row("a row", 8, Steady, goal, least=least), (1.5,), 3, 2)
    assert result.met is met


def test_the_sides_alternate_in_slices_and_are_compared_before_and_after():
    duel = Steady()
    result = measure(Row("a row", 8, lambda: duel), rounds=5, slice_ns=300)
    assert result.ratios == (1.5,) * 5
    assert (duel.calls[0], duel.calls[-1]) == ("check", "check")
    work = duel.calls[1:-1]
    assert work[0::2] == ["prepare"] * (len(work) // 2)
    sides = "".join(call[0] for call in work[1::2])
    assert sides == ("p" * 10 + "t" * 15) * 6


def test_a_slice_has_a_few_batches_however_long_they_take():
    duel = Steady(10**9, 10**9)
    measure(Row("a row", 8, lambda: duel), rounds=1)
    assert duel.calls.count("python") == 2 * harness.FEWEST


def test_sides_that_differ_are_not_measured():
    class Wrong(Steady):
        def check(self):
            raise AssertionError("heads differs")

    duel = Wrong()
    with pytest.raises(AssertionError, match="heads"):
        measure(Row("a row", 8, lambda: duel))
    assert duel.calls == []


def test_no_garbage_collector_while_measuring():
    assert gc.isenabled()
    with harness.quiet():
        assert not gc.isenabled()
        with harness.quiet():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
