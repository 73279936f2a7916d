"""Virtual time: it moves only when told, and calls come in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.clock import COSTS, Clock


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 20)))
def test_calls_come_in_the_order_of_their_times_whatever_the_steps(delays, steps):
    clock, rang = Clock(), []
    for i, delay in enumerate(delays):
        clock.after(delay, lambda i=i, due=max(1, delay): rang.append((clock.now, due, i)))
    for step in steps:
        clock.advance(step)
    assert clock.now == sum(steps)
    assert all(now == due for now, due, _ in rang)
    assert [(due, i) for _, due, i in rang] == sorted(
        (max(1, delay), i) for i, delay in enumerate(delays) if max(1, delay) <= clock.now
    )


def test_a_cancelled_call_never_comes():
    clock, rang = Clock(), []
    timer = clock.after(5, lambda: rang.append(1))
    assert clock.next_event() == 5
    timer.cancel()
    timer.cancel()
    assert clock.next_event() is None
    clock.advance(10)
    assert rang == []


def test_cancelled_calls_do_not_pile_up_and_the_others_keep_their_order():
    clock, rang = Clock(), []
    for number in range(1000):
        clock.after(5000, lambda: rang.append("never")).cancel()
        if number % 100 == 0:
            clock.after(2000 - number, lambda number=number: rang.append(number))
    assert len(clock._queue) < 200
    clock.advance(10_000)
    assert rang == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]


def test_a_call_may_set_the_next_one():
    clock, rang = Clock(), []

    def tick():
        rang.append(clock.now)
        clock.after(10, tick)

    clock.after(10, tick)
    clock.advance(35)
    assert rang == [10, 20, 30]


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="forward only"):
        Clock().advance(-1)


def test_every_cost_has_a_source():
    assert all(cost.ns > 0 and cost.what and cost.source for cost in COSTS.values())


def test_time_that_passes_inside_a_call_has_passed():
    """A call that lets time pass ends later than it began, and so does what comes after it."""
    clock, rang = Clock(), []
    clock.after(10, lambda: clock.advance(100))
    clock.after(15, lambda: rang.append(clock.now))
    clock.advance(10)
    assert (clock.now, rang) == (110, [15])
    clock.after(10, lambda: clock.advance(100))
    assert not clock.advance_until(lambda: False, 50)
    assert clock.now == 220
