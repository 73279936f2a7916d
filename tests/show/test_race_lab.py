"""The race stepper: moves, orders, pictures, and a widget that nothing breaks."""

import itertools

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.guest.store_buffer import Store
from virtlab.show import race_lab
from virtlab.show.race_lab import RaceStepper, explain, odds
from virtlab.show.race_picture import ending, race_picture, watched
from virtlab.show.race_run import AWAKE, LOST, RACES, WOKEN
from virtlab.show.race_sides import FENCE, STORE, Access
from virtlab.show.race_state import (
    ARRIVES,
    BARRIERS,
    ORDERS,
    OWN,
    Contest,
    act,
    chosen,
    go,
    in_words,
    rows,
    start,
    stored,
)

ALL = list(itertools.product(RACES, (False, True), BARRIERS, ORDERS))


def contest(race, events, barriers, order):
    return chosen(Contest(race, events, barriers), order=order)


def verdict(state):
    return rows(state)[1].verdict()


# -- moves


@pytest.mark.parametrize("which", ALL, ids=str)
def test_every_order_of_the_list_runs_to_its_end(which):
    state = contest(*which)
    made, bench = rows(state)
    assert len(made) == len(state.moves) == state.at
    if state.order == OWN:
        assert not made
    else:
        assert bench.verdict() in (WOKEN, AWAKE, LOST)
        assert not any(buffer.waiting for buffer in bench.buffers.values())


def test_the_orders_show_what_they_are_for():
    """Late stores need the barriers; a late second look needs the answer."""
    late, *_, last, _ = ORDERS
    gap = "the caller, after the sleeper's first look"
    for race in ("interrupt", "kick"):
        sleeper = "the driver's only" if race == "interrupt" else "the device's only"
        assert verdict(contest(race, False, "none", late)) == LOST
        assert verdict(contest(race, False, "both", late)) != LOST
        assert verdict(contest(race, False, sleeper, last)) == LOST
        assert verdict(contest(race, True, "none", "in turn, and stores arrive at once")) == AWAKE
        assert verdict(contest(race, True, "none", "the sleeper first")) == WOKEN
        assert verdict(contest(race, True, "none", gap)) == AWAKE
    assert verdict(contest("careless", False, "both", gap)) == LOST


@pytest.mark.parametrize("race", RACES)
def test_stores_arrive_when_the_order_says_so(race):
    late, at_once, *_ = ORDERS
    kinds = [row.kind for row in rows(contest(race, False, "none", late))[0]]
    first = kinds.index(ARRIVES)
    assert set(kinds[first:]) == {ARRIVES}
    made = rows(contest(race, False, "none", at_once))[0]
    after = [made[n + 1] for n, row in enumerate(made) if row.kind == STORE]
    stores = [row for row in made if row.kind == STORE]
    assert [(row.side, row.kind) for row in after] == [(row.side, ARRIVES) for row in stores]


def test_a_move_of_ones_own_takes_the_place_of_those_to_come():
    state = go(start(), 3)
    assert state.moves[:3] == "DVD"
    moved = act(state, "d")
    assert (moved.moves, moved.at, moved.order) == ("DVDd", 4, OWN)
    assert rows(moved)[0][-1].words == "avail.flags = 0 arrives"
    assert rows(moved)[1].word(watched(moved)["avail.flags"]) == 0


def test_what_is_not_possible_is_said_and_changes_nothing():
    state = chosen(start(), order=OWN)
    for letter, side in (("d", "driver"), ("v", "device")):
        refused = act(state, letter)
        assert refused.said == f"The {side} has no store that waits."
        assert (refused.moves, refused.at) == ("", 0)
    done = start()
    assert act(done, "D").said == "The driver has made all its accesses."
    assert act(done, "V").moves == done.moves


def test_going_leaves_no_end():
    state = start()
    assert go(state, -1).at == 0
    assert go(state, 99).at == len(state.moves)
    assert go(act(state, "D"), 1).said == ""


# -- words


def test_rows_say_what_was_seen():
    said = [(row.side, row.words, row.meaning) for row in rows(start())[0]]
    assert said[:2] == [
        ("driver", "load used.idx -> 0", "is a buffer used?"),
        ("device", "store used.ring[0] = (0, 1)", "the used element"),
    ]
    assert said[-1] == ("device", "used.idx = 1 arrives", "memory has it")
    fences = [row for row in rows(start(barriers="both"))[0] if row.kind == FENCE]
    assert {row.meaning for row in fences} == {"1 store arrives", "2 stores arrive"}
    assert stored(Store(0xFF0, b"\1\0")) == "0xff0 = 1"
    assert in_words("driver", Access("load", 0xFF0, 2), b"\1\0") == ("load 0xff0 -> 1", "")


def test_the_ends_in_words():
    ends = {
        ("interrupt", LOST): "Both asleep: the driver waits, and the device will not call.",
        ("interrupt", WOKEN): "Woken: the driver sleeps, and the device interrupts.",
        ("kick", WOKEN): "Woken: the device sleeps, and the driver rings.",
        ("kick", AWAKE): "Awake: the device saw it by itself and does not sleep.",
    }
    seen = {}
    for which in ALL:
        state = contest(*which)
        seen[which[0], verdict(state)] = ending(state, rows(state)[1])
    assert ends.items() <= seen.items()
    assert seen["interrupt", None] == "Not decided yet."


def test_the_odds_are_those_of_all_orders():
    assert odds("interrupt", False, "none") == (
        "Of the 1243 possible orders with these barriers, 335 end with both asleep."
    )
    assert "none of the 2212 possible orders" in odds("interrupt", True, "both")


def test_the_sentence_tells_the_last_move():
    assert explain(go(start(), 1)).startswith(
        "Move 1, the driver: `load used.idx -> 0`. Is a buffer used?"
    )
    assert explain(go(start(), 4)).startswith(
        "Move 4, the device: `store used.idx = 1`. Now it is used."
    )
    assert explain(go(start(), 0)).startswith("Nobody has moved.")
    assert explain(act(start(), "D")).startswith("The driver has made all its accesses.")


# -- the picture


@pytest.mark.parametrize("which", ALL, ids=str)
def test_the_picture_of_every_end(which):
    state = contest(*which)
    drawn = race_picture(state)
    check_picture(drawn)
    assert drawn == race_picture(state)
    made, bench = rows(state)
    assert ending(state, bench) in words_of(drawn)
    assert [row.words for row in made if row.words not in words_of(drawn)] == []
    assert all(row.words in drawn.text for row in made)


@pytest.mark.parametrize("at", range(11))
def test_the_picture_of_every_step_has_one_height(at):
    state = go(start("interrupt", True), at)
    root = check_picture(race_picture(state))
    last = check_picture(race_picture(start("interrupt", True)))
    assert len(state.moves) == 9
    assert root.attrib["height"] == last.attrib["height"]


def test_a_store_that_waits_is_in_the_buffer_and_not_in_memory():
    state = go(start(), 4)
    text = race_picture(state).text
    assert "driver's store buffer: avail.flags = 0; next: load used.idx" in text
    assert "device's store buffer: used.ring[0] = (0, 1); used.idx = 1; next: load" in text
    assert "memory: used.idx 0, avail.flags 1" in text
    words = words_of(race_picture(state))
    assert {"avail.flags = 0", "used.idx = 1"} <= set(words)


def test_a_side_that_is_done_says_what_came_of_it():
    words = words_of(race_picture(start()))
    assert {"done: it sleeps", "done: it interrupts nobody"} <= set(words)
    woken = words_of(race_picture(contest("kick", False, "none", "the sleeper first")))
    assert {"done: it sleeps", "done: it rings"} <= set(woken)
    awake = words_of(race_picture(contest("kick", False, "none", "the caller first")))
    assert {"done: it goes on, awake", "done: it rings nobody"} <= set(awake)


# -- the widget


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


def test_it_starts_with_both_asleep_and_says_what_it_is():
    widget = RaceStepper()
    assert widget.state == start()
    assert "Both asleep" in widget._says.value
    assert repr(widget) == "RaceStepper: who wakes whom, move by move"
    assert all(control.description for control in widget.controls)
    assert RaceStepper(go(start("kick"), 2)).state.at == 2


def test_the_buttons_step_through_the_moves():
    widget = RaceStepper()
    last = shown(widget)
    press(widget, "First")
    assert widget.state.at == 0
    press(widget, "Step")
    press(widget, "Step")
    press(widget, "Back")
    assert widget.state.at == 1
    press(widget, "Last")
    assert shown(widget) == last


def test_a_race_can_be_run_by_hand_to_another_end():
    """The sleeper first, by the four buttons alone."""
    widget = RaceStepper()
    widget._lists["order"].value = OWN
    assert widget.state.moves == ""
    for words in ("Driver: next access", "Driver: next access", "Driver: a store arrives"):
        press(widget, words)
    press(widget, "Driver: next access")
    for words in 3 * ["Device: next access"] + 2 * ["Device: a store arrives"]:
        press(widget, words)
    assert "Woken" in widget._says.value
    press(widget, "Device: a store arrives")
    assert "has no store that waits" in widget._says.value


def test_a_change_of_a_list_runs_the_same_order_again():
    widget = RaceStepper()
    before = shown(widget)
    widget._lists["barriers"].value = "both"
    assert "Awake" in widget._says.value
    widget._lists["race"].value = "kick"
    assert widget.state.race == "kick"
    widget._lists["events"].value = True
    assert "avail_event" in race_picture(widget.state).text
    press(widget, "Reset")
    assert shown(widget) == before
    assert [control.value for control in widget._lists.values()] == [
        "interrupt",
        False,
        "none",
        next(iter(ORDERS)),
    ]


def test_a_move_of_ones_own_sets_the_list_to_your_own():
    widget = RaceStepper()
    press(widget, "Back")
    press(widget, "Device: a store arrives")
    assert widget._lists["order"].value == OWN
    assert "Both asleep" in widget._says.value


def test_every_race_and_letter_has_words_in_the_widget():
    assert set(race_lab.RACES.values()) == set(RACES)
    assert set(race_lab.MOVES.values()) == set("DdVv")
