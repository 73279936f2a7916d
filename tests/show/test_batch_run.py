"""Counts of a batch: passes, calls and floors; the library's own, and the same each time."""

import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from virtlab.show import batch_run
from virtlab.show.batch_rings import KINDS, LAPS, BatchRing
from virtlab.show.batch_run import (
    SIZES,
    STAGES,
    Choice,
    Stage,
    calls,
    digits,
    explain,
    resized,
    run,
    stages,
    time,
    times,
)
from virtlab.show.batch_spy import Pass

IN_LOCKSTEP = STAGES["split_steps.follow"]


@pytest.mark.parametrize("kind", KINDS)
def test_passes_and_calls_are_as_many_for_any_number_of_chains(kind):
    small, large = run(Choice(kind, 8)), run(Choice(kind, 1024))
    assert small.passes == large.passes > 0
    assert small.calls == large.calls
    assert large.scalar_calls == pytest.approx(128 * small.scalar_calls, rel=0.05)
    assert large.buffers == 128 * small.buffers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lap", LAPS)
def test_every_pass_is_for_a_purpose_that_has_words(kind, lap):
    assert {stage.name for stage in run(Choice(kind, 64, lap)).stages} <= set(STAGES.values())


@pytest.mark.parametrize("kind", KINDS)
def test_who_knows_more_needs_no_more(kind):
    first, other, same = (run(Choice(kind, 256, lap)).passes for lap in LAPS)
    assert first >= other >= same


def test_a_batch_of_a_lap_ago_takes_two_compares_and_no_pass():
    outcome = run(Choice("single", 1024, "same"))
    assert (outcome.passes, outcome.compares, outcome.stages) == (0, 2, ())
    assert run(Choice("single", 1024)).passes > 0
    assert outcome.floor < run(Choice("single", 1024)).floor


def test_mixed_chains_take_a_stage_for_each_step_in_lockstep():
    outcome = run(Choice("mixed", 64))
    assert outcome.levels == (64, 48, 16)
    steps = [stage for stage in outcome.stages if stage.name == IN_LOCKSTEP]
    assert [stage.widest for stage in steps] == [64, 48, 16]
    assert sum(stage.passes for stage in outcome.stages) == outcome.passes


def test_chains_of_three_neighbours_take_no_step_in_lockstep():
    outcome = run(Choice("three", 64))
    assert outcome.levels == (64, 64, 64)
    assert IN_LOCKSTEP not in {stage.name for stage in outcome.stages}


@pytest.mark.parametrize("n", [1, 2, 4])
def test_few_are_taken_one_by_one(n):
    outcome = run(Choice("mixed", n))
    assert outcome.singly
    assert outcome.passes == outcome.compares == 0
    assert outcome.calls > outcome.scalar_calls
    assert "by `pop`" in explain(outcome)


def test_longer_batches_are_worth_more():
    ratios = [run(Choice("three", n)).ratio for n in SIZES if n >= 8]
    assert ratios == sorted(ratios)
    assert ratios[-1] > 10 > ratios[0]


def test_the_same_choice_is_counted_the_same_each_time():
    first = run(Choice("indirect", 16))
    run.cache_clear()
    assert run(Choice("indirect", 16)) == first


# -- the counting itself


def test_passes_for_one_purpose_are_one_stage():
    heads, ring = ("split_many._walk",), ("batch_checks.first", "split_many._walk")
    follow = ("batch_checks.gather", "split_steps.follow", "split_walk._ring")
    found = stages(
        [
            Pass("take", 8, heads),
            Pass("argmax", 7, ring),
            Pass("add", 8, follow),
            Pass("add", 6, follow),
            Pass("gather", 0, follow),
            Pass("add", 3, ("split_new.unknown",)),
            Pass("add", 3, ()),
        ]
    )
    assert found == (
        Stage("heads", 2, 15, 8),
        Stage(IN_LOCKSTEP, 1, 8, 8),
        Stage(IN_LOCKSTEP, 2, 6, 6),
        Stage("unknown", 1, 3, 3),
        Stage("add", 1, 3, 3),
    )


def test_calls_of_the_library_are_counted_and_no_others():
    ring = BatchRing("single", 8)
    ring.offer()
    found = calls(ring.queue.pop)
    assert found["pop"] == found["peek"] == 1
    assert found["from_bytes"] >= 2
    assert not calls(lambda: [len("not of the library")])


@pytest.mark.parametrize(
    ("module", "name", "event", "expected"),
    [
        ("virtlab.virtio.split", "pop", "call", {"pop": 1}),
        ("virtlab.virtio.split", "pop", "return", {}),
        ("virtlab.virtio.split", "pop", "c_call", {"len": 1}),
        ("virtlab.virtio.split", "<listcomp>", "call", {}),
        ("virtlab.show.batch_run", "run", "call", {}),
        ("numpy", "sum", "c_call", {}),
    ],
)
def test_what_counts_as_a_call(module, name, event, expected):
    frame = SimpleNamespace(f_globals={"__name__": module}, f_code=SimpleNamespace(co_name=name))
    found = Counter()
    batch_run._note(found, frame, event, len)
    assert found == expected


def test_who_counted_before_goes_on_counting():
    seen = []

    def before(frame, event, argument):
        seen.append(event)

    mine = sys.getprofile()
    sys.setprofile(before)
    try:
        with pytest.raises(ZeroDivisionError):
            calls(lambda: 1 / 0)
        assert sys.getprofile() is before
    finally:
        sys.setprofile(mine)
    assert seen


def test_a_floor_is_a_sum_of_counts():
    passes = [Pass("add", 100, ()), Pass("take", 100, ())]
    assert batch_run._passes_floor(passes) == pytest.approx(350 + 30 + 350 + 100)


# -- choices and words


def test_choices_that_are_none_are_refused():
    for wrong in (("none", 8), ("single", 3), ("single", 8192), ("single", 8, "last")):
        with pytest.raises(ValueError, match="no such batch"):
            Choice(*wrong)


def test_the_smallest_and_the_largest_stay():
    assert resized(Choice(n=64), 1).n == 128
    assert resized(Choice(n=64), -1).n == 32
    assert resized(Choice(n=1), -1).n == 1
    assert resized(Choice(n=4096), 1).n == 4096


def test_words_say_what_was_counted():
    words = explain(run(Choice("mixed", 64)))
    assert words.startswith("64 chains with 128 buffers. `pop_many` makes ")
    assert "for each chain" in words
    assert "chains. With its" in explain(run(Choice("single", 1024)))
    assert "No pass over an array at all: 2 compares" in explain(run(Choice("single", 64, "same")))
    assert explain(run(Choice("mixed", 8))).endswith("So few gain little from a batch.")


def test_numbers_in_words():
    assert [time(us) for us in (2.53, 148.2)] == ["2.5 us", "148 us"]
    assert [time(us) for us in (9490, 17234)] == ["9.5 ms", "17 ms"]
    assert (times(0.5), times(7.51), times(2399)) == ("0.5 times", "7.5 times", "2,400 times")
    assert digits(56.2) == "56"
