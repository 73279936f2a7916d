"""The clock takes the quickest, and only of what is to be measured. No real time in here."""

import pytest

from virtlab.show import batch_clock
from virtlab.show.batch_clock import STRETCH, Times, best, crossover, line, race
from virtlab.show.batch_rings import KINDS


class Clock:
    """A clock that moves by itself 1 ns a look, and further when it is told to."""

    def __init__(self):
        self.now = self.looks = 0

    def __call__(self):
        self.looks += 1
        self.now += 1
        return self.now

    def spend(self, ns):
        self.now += ns


def test_the_quickest_run_counts_and_preparing_does_not():
    clock, costs, prepared = Clock(), iter([50, 9, 70]), []

    def prepare():
        prepared.append(1)
        clock.spend(1000)

    assert best(lambda: clock.spend(next(costs)), prepare, 3, clock) == 10
    assert len(prepared) == 3


def test_nothing_at_all_is_never_measured():
    assert best(lambda: None, runs=3, clock=lambda: 7) == 1
    assert best(lambda: None) >= 1


def test_ways_that_are_compared_take_turns():
    """A slow moment, here the first round, is slow for both."""
    clock, order = Clock(), []

    def way(name, *costs):
        left = iter(costs)
        return lambda: (order.append(name), clock.spend(next(left)))

    ways = {"one": way("one", 90, 9, 12), "other": way("other", 500, 50, 49)}
    assert race(ways, 3, clock) == {"one": 10, "other": 50}
    assert order == ["one", "other"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_each_size_is_taken_both_ways(kind):
    clock = Clock()
    found = crossover(kind, [1, 8, 64], runs=3, clock=clock)
    assert [each.n for each in found] == [1, 8, 64]
    assert clock.looks == 3 * 2 * 3 * 2
    assert found[1] == Times(8, 1 / 8, 1 / 8)
    assert found[2] == Times(64, 1 / STRETCH, 1 / 64)


def test_every_run_takes_a_whole_batch(monkeypatch):
    """What is measured is what was offered: with a clock that counts the chains of each run."""
    taken, rings = [], []
    real = batch_clock.BatchRing

    def ring(kind, n):
        rings.append(real(kind, n))
        return rings[-1]

    def clock():
        taken.append(rings[-1].queue.last_avail)
        return 0

    monkeypatch.setattr(batch_clock, "BatchRing", ring)
    crossover("mixed", [64], runs=4, clock=clock)
    singly, batches = taken[:8], taken[8:]
    assert [end - start for start, end in zip(singly[::2], singly[1::2], strict=True)] == [32] * 4
    assert [end - start for start, end in zip(batches[::2], batches[1::2], strict=True)] == [64] * 4
    for each in rings:
        each.queue._check()


def test_a_ratio_says_how_much_longer_one_by_one_takes():
    assert Times(8, 100.0, 25.0).ratio == 4


def test_a_line_has_a_fixed_price_and_one_for_each():
    fixed, each = line([8, 64, 1024], [3000 + 1.5 * n for n in (8, 64, 1024)])
    assert fixed == pytest.approx(3000)
    assert each == pytest.approx(1.5)
