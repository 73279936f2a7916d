"""Races for a wake-up: the real calls, stopped at each access, in every order that there is."""

from collections import Counter

import pytest

from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.show.race_run import (
    AWAKE,
    DEVICE,
    DRIVER,
    LOST,
    RACES,
    RINGS,
    SIDES,
    WOKEN,
    Bench,
    orders,
)
from virtlab.show.race_sides import FENCE, LOAD, STORE, Access, Finished, Replay
from virtlab.virtio.ordering import Order

BOTH = frozenset(SIDES)
NONE = frozenset()
USED_IDX, AVAIL_IDX = RINGS.used_field("idx"), RINGS.avail_field("idx")


def accesses(bench, side):
    """All that a side does when nobody else moves."""
    made = []
    while (step := bench.step(side)) is not None:
        access, _ = step
        made.append((access.kind, access.gpa))
    return made


# -- one side, access by access


@pytest.mark.parametrize("events", [False, True])
def test_the_driver_looks_wishes_and_looks_again(events):
    """2.7.14: the wish, a barrier, and one more look."""
    wish = RINGS.avail_field("used_event" if events else "flags")
    bench = Bench("interrupt", events, BOTH)
    assert accesses(bench, DRIVER) == [
        (LOAD, USED_IDX),
        (STORE, wish),
        (FENCE, 0),
        (LOAD, USED_IDX),
    ]
    assert bench.next(DRIVER) == Finished(True)
    assert bench.step(DRIVER) is None


@pytest.mark.parametrize("events", [False, True])
def test_the_device_gives_back_and_asks(events):
    """2.7.8.2: the element before the index; then the question."""
    question = RINGS.avail_field("used_event" if events else "flags")
    assert accesses(Bench("interrupt", events, BOTH), DEVICE) == [
        (STORE, RINGS.used_at(0)),
        (STORE, USED_IDX),
        (FENCE, 0),
        (LOAD, question),
    ]


@pytest.mark.parametrize("events", [False, True])
def test_the_kick_is_the_same_with_the_roles_exchanged(events):
    """2.7.13: steps 5 to 7."""
    field = RINGS.used_field("avail_event" if events else "flags")
    bench = Bench("kick", events, BOTH)
    assert accesses(bench, DEVICE) == [
        (LOAD, AVAIL_IDX),
        (STORE, field),
        (FENCE, 0),
        (LOAD, AVAIL_IDX),
    ]
    assert accesses(bench, DRIVER) == [(STORE, AVAIL_IDX), (FENCE, 0), (LOAD, field)]
    assert bench.verdict() == WOKEN


def test_a_side_without_its_barrier_makes_the_same_accesses():
    fenced, naked = (accesses(Bench("interrupt", False, f), DRIVER) for f in (BOTH, NONE))
    assert [each for each in fenced if each[0] != FENCE] == naked


def test_a_store_waits_and_a_barrier_lets_it_arrive():
    bench = Bench("kick", False, BOTH)
    bench.step(DRIVER)
    assert bench.word(AVAIL_IDX) == 0
    assert bench.buffers[DRIVER].load(AVAIL_IDX, 2) == 1
    access, answer = bench.step(DRIVER)
    assert (access, answer) == (Access(FENCE), b"")
    assert bench.word(AVAIL_IDX) == 1
    assert bench.leave(DRIVER) is None


def test_only_points_between_a_store_and_a_load_stop_a_pc():
    replay = Replay([])
    for point in (Order.ENTRY_THEN_AVAIL_IDX, Order.USED_IDX_THEN_ELEMENT):
        replay.barrier(point)
    with pytest.raises(Exception, match="barrier"):
        replay.barrier(Order.AVAIL_IDX_THEN_EVENT)


def test_a_program_leaves_its_sides_as_they_are():
    """Two runs from the start are the same, whatever the first one got."""
    first, second = Bench("interrupt"), Bench("interrupt")
    driver = first.programs[0].side
    assert isinstance(driver, SplitDriver)
    before = driver.free, driver.added, driver.last_used
    for bench in (first, second):
        accesses(bench, DEVICE)
        bench.buffers[DEVICE].drain()
        assert accesses(bench, DRIVER) == [(LOAD, USED_IDX), (LOAD, RINGS.used_at(0))]
        assert bench.verdict() == AWAKE
    assert (driver.free, driver.added, driver.last_used) == before
    driver._check()


# -- verdicts


def test_while_a_side_runs_there_is_no_verdict():
    bench = Bench("interrupt")
    assert bench.verdict() is None
    accesses(bench, DRIVER)
    assert bench.verdict() is None


def test_a_twin_goes_its_own_way():
    bench = Bench("interrupt")
    twin = bench.twin()
    accesses(twin, DEVICE)
    twin.leave(DEVICE)
    assert bench.answers[DEVICE] == ()
    assert not bench.buffers[DEVICE].waiting
    assert bench.memory.bytes != twin.memory.bytes
    assert twin.buffers[DRIVER].memory is twin.memory


# -- all orders


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("race", ["interrupt", "kick"])
def test_with_both_barriers_no_order_loses_a_wake_up(race, events):
    """2.7.13.4.1, 2.7.14: and each of the two barriers is needed."""
    lost = [orders(race, events, f)[LOST] for f in (NONE, {DRIVER}, {DEVICE}, BOTH)]
    assert lost[3] == 0
    assert all(lost[:3])


@pytest.mark.parametrize("events", [False, True])
def test_a_driver_that_looks_only_once_loses_it_with_all_barriers(events):
    assert orders("careless", events, BOTH)[LOST] > 0


def test_the_counts_of_the_lesson():
    assert orders("interrupt") == {LOST: 335, WOKEN: 410, AWAKE: 498}
    assert orders("interrupt", fences=BOTH) == {WOKEN: 400, AWAKE: 1812}
    assert orders("kick") == {LOST: 30, WOKEN: 28, AWAKE: 73}


def one_by_one(bench):
    """Every order, walked to its end with nothing remembered."""
    ends = Counter()
    for side in SIDES:
        for move in (Bench.step, Bench.leave):
            after = bench.twin()
            if move(after, side) is not None:
                ends += one_by_one(after)
    return ends or Counter([bench.verdict()])


@pytest.mark.parametrize("fences", [NONE, BOTH], ids=["none", "both"])
def test_counting_a_state_once_counts_the_same(fences):
    assert one_by_one(Bench("kick", True, fences)) == orders("kick", True, fences)


def test_the_races_have_two_sides():
    for race in RACES.values():
        assert {race.sleeper, race.caller} == BOTH


@pytest.mark.parametrize(("race", "fences"), [("sack", ()), ("kick", ("driver", "me"))])
def test_what_there_is_not_is_refused(race, fences):
    with pytest.raises(ValueError, match=f"but no '{race}'"):
        Bench(race, False, fences)
