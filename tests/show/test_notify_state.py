"""Thresholds: the picture's verdict is the library's, and means what a set of entries means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show.notify_picture import threshold_picture
from virtlab.show.notify_state import (
    DEVICE,
    DRIVER,
    SIZES,
    Threshold,
    across,
    explain,
    formula,
    hush,
    listen,
    moved,
    name_of,
    next_batch,
    other,
    placed,
)

U16 = st.integers(0, 65535)
near = st.builds(
    lambda old, by, at: Threshold(
        old=old, new=(old + by) & 0xFFFF, event=(old + at) & 0xFFFF, asks=DRIVER
    ),
    U16,
    st.integers(0, 40),
    st.integers(-3, 43),
)
splits = st.one_of(
    near, st.builds(lambda o, n, e: Threshold(False, DEVICE, 5, o, n, e), U16, U16, U16)
)


@st.composite
def packeds(draw):
    size = draw(st.sampled_from(SIZES))
    places = st.integers(0, 2 * size - 1)
    asks = draw(st.sampled_from([DEVICE, DRIVER]))
    return Threshold(True, asks, size, draw(places), draw(places), draw(places))


states = st.one_of(splits, packeds())


@given(states)
def test_notify_means_that_the_entry_is_among_those_passed(state):
    """2.7.10.1; for a packed ring 2.8.10: the event of one descriptor."""
    entries = {(state.old + step) % state.modulus for step in range(state.passed)}
    assert state.notify == (state.event in entries)


@pytest.mark.parametrize("size", SIZES)
def test_every_threshold_of_a_packed_ring(size):
    places = range(2 * size)
    for old in places:
        for new in places:
            entries = {(old + step) % (2 * size) for step in range((new - old) % (2 * size))}
            asked = [Threshold(True, DEVICE, size, old, new, event).notify for event in places]
            assert asked == [event in entries for event in places]


@given(states)
def test_the_formula_says_what_the_library_says(state):
    first, second, answer = formula(state)
    left, _, right = answer.partition(":")[0].partition(" < ")
    assert (int(left) < int(right)) == state.notify
    assert answer.endswith("yes, notify" if state.notify else "no, stay silent")
    assert f"= {left}  (mod {state.modulus})" in first
    assert f"= {right}  (mod {state.modulus})" in second


@given(states)
def test_who_listens_hears_of_the_next_and_who_wants_silence_of_nothing(state):
    assert listen(state).notify == (state.passed > 0)
    assert not hush(state).notify


@given(states)
def test_turning_the_circle_changes_no_answer(state):
    turned = across(state)
    assert (turned.passed, turned.notify) == (state.passed, state.notify)
    assert turned.old == state.modulus - 2


@given(states, st.booleans(), st.sampled_from(SIZES), st.sampled_from([DEVICE, DRIVER]))
def test_another_layout_makes_another_state_that_is_sound(state, packed, size, asks):
    """The three stay in order where the circle has room, and the batch fits into a ring."""
    changed = other(state, packed=packed, size=size, asks=asks)
    assert (changed.packed, changed.size, changed.asks) == (packed, size, asks)
    if changed.modulus != state.modulus:
        assert changed.passed == min(state.passed, size)


@given(states)
def test_a_batch_more_is_as_long_as_the_one_before(state):
    after = next_batch(state)
    assert after.old == state.new
    assert after.passed == state.passed


def test_a_position_moves_round_and_a_number_too_large_is_the_last_place():
    state = Threshold()
    assert moved(state, "new", -3).new == 65535
    assert placed(state, "event", 70000).event == 65535
    assert placed(state, "event", -1).event == 0


@pytest.mark.parametrize("field", ["old", "new", "event"])
def test_what_is_not_on_the_circle_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} is 0 to 65535, not 65536"):
        Threshold(**{field: 65536})
    with pytest.raises(ValueError, match=f"{field} is 0 to 9, not -1"):
        Threshold(True, **{"old": 0, "new": 0, "event": 0, field: -1})
    with pytest.raises(ValueError, match="can be chosen, not of 6"):
        Threshold(size=6)


def test_the_words():
    state = Threshold()
    assert state.asked == "avail_event"
    assert explain(state) == (
        "The driver makes available 5 entries: `65533` to `1`. The device asked for `65535` in its "
        "avail_event. It is among them, so the driver rings the bell, once."
    )
    one = Threshold(asks=DRIVER, old=6, new=7, event=7)
    assert explain(one) == (
        "The device uses 1 entry: `6`. The driver asked for `7` in its used_event. "
        "It is not among them, so the device tells nobody."
    )
    assert "nothing new" in explain(placed(one, "new", 6))
    lap = Threshold(True, DRIVER, 5, 4, 6, 5)
    assert [name_of(lap, at) for at in (4, 5, 9)] == ["4/1", "0/0", "4/0"]
    assert "uses 2 descriptors: `4/1` to `0/0`. The driver asked for `0/0` in its driver event" in (
        explain(lap)
    )
    assert "so the device interrupts, once" in explain(lap)
    assert "1 descriptor: `4/1`." in explain(placed(lap, "new", 5))
    assert "do not fit into a ring of 5" in explain(placed(lap, "new", 3))


DRAWN = [
    Threshold(),
    Threshold(asks=DRIVER, old=100, new=20000, event=40000),
    Threshold(old=100, new=50000, event=40000),
    Threshold(old=7, new=7, event=7),
    Threshold(True, DEVICE, 3, 0, 0, 5),
    *(Threshold(True, DRIVER, size, size - 1, size + 1, size) for size in SIZES),
]


@pytest.mark.parametrize("state", DRAWN, ids=repr)
def test_the_picture_shows_positions_formula_and_verdict(state):
    drawn = threshold_picture(state)
    check_picture(drawn)
    words = words_of(drawn)
    assert ("yes" in words) == state.notify
    assert all(line in words for line in formula(state)[:2])
    assert name_of(state, state.old) in words
    assert explain(state).replace("`", "") in drawn.text
    if state.passed > 8:
        assert any(f"{state.passed - 8} more passed" in word for word in words)


def test_the_text_marks_what_was_passed_and_what_was_asked_for():
    text = threshold_picture(Threshold()).text
    assert " 65532  [65533] [65534] [65535*] [0] [1]  2 " in text
    assert "places: 65536" in text


@given(states)
def test_every_picture_can_be_drawn_and_is_the_same_again(state):
    drawn = threshold_picture(state)
    assert drawn == threshold_picture(state)
    check_picture(drawn)
