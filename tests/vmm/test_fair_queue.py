"""Deficit round robin: the closed form, the bound on unfairness, and a flood that hurts nobody."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.vmm.fair_queue import (
    LIMIT,
    QUANTUM,
    SMALLEST_QUANTUM,
    DeficitRoundRobin,
    FirstComeFirstServed,
)


def drain(queue, frames):
    """Pop so many; what each sender has sent, in bytes, after each."""
    sent, history = Counter(), []
    for _ in range(frames):
        sender, frame = queue.pop()
        sent[sender] += len(frame)
        history.append((sender, Counter(sent)))
    return history


def test_the_example_of_the_module():
    queue = DeficitRoundRobin(1500)
    for _ in range(4):
        queue.push("A", bytes(900))
        queue.push("B", bytes(1500))
    assert [turn.sender for turn in iter(queue.pop, None)] == list("ABAABABB")


@given(
    st.integers(SMALLEST_QUANTUM, 3000),
    st.lists(st.integers(14, 1514), min_size=2, max_size=5),
    st.integers(1, 12),
)
def test_a_sender_that_never_runs_dry_gets_floor_of_m_quanta_over_its_length(quantum, sizes, m):
    """After m turns of everybody: floor(m * quantum / L) frames of L bytes."""
    queue = DeficitRoundRobin(quantum, limit=10_000)
    expected = [m * quantum // size for size in sizes]
    for sender, (size, count) in enumerate(zip(sizes, expected, strict=True)):
        for _ in range(count + quantum // size + 2):
            queue.push(str(sender), bytes(size))
    counts = Counter()
    for turn in (queue.pop() for _ in range(sum(expected))):
        counts[turn.sender] += 1
    # The last frames popped belong to turn m, or the next sender's turn has not begun.
    assert [counts[str(sender)] for sender in range(len(sizes))] == expected


@given(
    st.integers(SMALLEST_QUANTUM, 3000),
    st.lists(st.tuples(st.integers(0, 2), st.integers(14, 1514)), min_size=30, max_size=90),
)
@settings(max_examples=50, deadline=None)
def test_two_that_are_never_dry_differ_by_less_than_a_turn_and_a_frame(quantum, offers):
    queue, waiting = DeficitRoundRobin(quantum, limit=1000), Counter()
    for sender, size in offers:
        queue.push(str(sender), bytes(size))
        waiting[str(sender)] += 1
    sent = Counter()
    while min(waiting[name] for name in "012") > 0:
        sender, frame = queue.pop()
        sent[sender] += len(frame)
        waiting[sender] -= 1
        if waiting[sender] > 0:
            assert max(sent[n] for n in "012") - min(sent[n] for n in "012") < quantum + 1514


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.sampled_from("ABC"), st.integers(14, 1514)),
            st.tuples(st.just("pop"), st.just(""), st.just(0)),
            st.tuples(st.just("forget"), st.sampled_from("ABCD"), st.just(0)),
        ),
        max_size=80,
    ),
    st.sampled_from([DeficitRoundRobin(100, 5), FirstComeFirstServed(9)]),
)
def test_frames_come_out_once_in_their_senders_order_or_not_at_all(steps, kind):
    queue = type(kind)(100, 5) if isinstance(kind, DeficitRoundRobin) else type(kind)(9)
    model = {name: [] for name in "ABCD"}
    for number, (verb, sender, size) in enumerate(steps):
        if verb == "push":
            frame = number.to_bytes(4, "big").ljust(size, b".")
            if queue.push(sender, frame):
                model[sender].append(frame)
            full = len(model[sender]) >= 5 if isinstance(kind, DeficitRoundRobin) else None
            assert full is not True or len(model[sender]) == 5
        elif verb == "pop":
            turn = queue.pop()
            assert (turn is None) == (not any(model.values()))
            if turn is not None:
                assert turn.frame == model[turn.sender].pop(0)
        else:
            queue.forget(sender)
            model[sender].clear()
    if isinstance(kind, DeficitRoundRobin):
        assert all(0 <= deficit < 1514 + 100 for deficit in queue.deficits.values())


def test_nobody_saves_up():
    queue = DeficitRoundRobin(1000)
    queue.push("A", bytes(60))
    queue.pop()
    assert queue.deficits == {"A": 0}
    for _ in range(3):
        queue.push("A", bytes(900))
        queue.push("B", bytes(900))
    assert [turn.sender for turn in iter(queue.pop, None)] == list("ABABAB")


def test_a_flood_fills_the_floods_own_queue():
    queue = DeficitRoundRobin()
    kept = sum(queue.push("flood", bytes(1514)) for _ in range(1000))
    assert kept == LIMIT
    assert queue.push("calm", bytes(60))
    assert [queue.pop().sender for _ in range(2)] == ["flood", "calm"]


def test_first_come_first_served_lets_a_flood_shut_the_others_out():
    queue = FirstComeFirstServed()
    kept = sum(queue.push("flood", bytes(1514)) for _ in range(1000))
    assert kept == LIMIT
    assert not queue.push("calm", bytes(60))


def test_a_turn_has_a_least_size_and_a_frame_longer_than_it_waits():
    with pytest.raises(ValueError, match="64 bytes or more, not 63"):
        DeficitRoundRobin(SMALLEST_QUANTUM - 1)
    queue = DeficitRoundRobin(SMALLEST_QUANTUM)
    queue.push("long", bytes(QUANTUM))
    for _ in range(30):
        queue.push("short", bytes(64))
    order = [turn.sender for turn in iter(queue.pop, None)]
    assert order.index("long") == -(-QUANTUM // SMALLEST_QUANTUM) - 1
    assert queue.pop() is None
