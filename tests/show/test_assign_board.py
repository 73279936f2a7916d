"""The board of devices: what may be given, what comes of it, and that nothing can break it."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show.assign_board import AssignBoard
from virtlab.show.assign_picture import STYLES, assign_picture, costs, explain
from virtlab.show.assign_run import Outcome, experiment
from virtlab.show.assign_state import (
    CAN_BE,
    DEVICES,
    DIRECT,
    FORWARDED,
    LINK,
    START,
    VMS,
    WAYS,
    WHY_NOT,
    Board,
    Given,
    give,
    objection,
    withdraw,
)

EMPTY = Board(given=())
ALL = [Given(*each) for each in itertools.product(DEVICES, VMS, WAYS)]


def choose(board, each):
    return replace(board, device=each.device, vm=each.vm, way=each.way)


# -- what may be given


@pytest.mark.parametrize("each", ALL, ids=str)
def test_on_an_empty_board_a_device_is_given_as_what_it_can_be(each):
    board = give(choose(EMPTY, each))
    possible = (
        each.way == "non-existent"
        if each.device == LINK
        else (WAYS[each.way] in CAN_BE[each.device])
    )
    assert (board.given == (each,)) == possible
    assert board.said.startswith("Given: " if possible else "Refused: ")


def test_what_cannot_be_has_a_reason_beside_the_rule():
    for device, kinds in CAN_BE.items():
        for way, kind in WAYS.items():
            why = objection(choose(EMPTY, Given(device, "A", way)))
            assert (not why) == (kind in kinds)
            if why and way != "non-existent":
                assert WHY_NOT[device, kind] in why


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (("keyboard", "A", DIRECT), ("keyboard", "B", FORWARDED), "dedicated to A: withdraw it"),
        (("disk", "A", DIRECT), ("disk", "B", "partitioned"), "dedicated to A"),
        (("disk", "A", "partitioned"), ("disk", "B", DIRECT), "partitioned already, by A"),
        (("disk", "A", "partitioned"), ("disk", "A", "partitioned"), "A has its part"),
        (("network card", "A", "shared"), ("network card", "A", "shared"), "A has its part"),
        ((LINK, "A", "non-existent"), (LINK, "A", "non-existent"), "has an end"),
    ],
)
def test_a_second_gift_may_be_refused(first, second, why):
    board = give(choose(EMPTY, Given(*first)))
    again = give(choose(board, Given(*second)))
    assert why in again.said
    assert again.given == board.given


def test_a_link_has_two_ends():
    board = EMPTY
    for vm in VMS:
        board = give(choose(board, Given(LINK, vm, "non-existent")))
    assert [each.vm for each in board.given] == ["A", "B"]
    assert "two ends: A and B" in board.said
    other = give(choose(board, Given(LINK, "C", DIRECT)))
    assert "the host has no virtual link" in other.said


def test_what_is_withdrawn_may_be_given_to_another():
    board = give(choose(EMPTY, Given("keyboard", "A", DIRECT)))
    board = withdraw(choose(board, Given("keyboard", "A", "shared")))
    assert (board.given, board.said[:9]) == ((), "Withdrawn")
    assert give(choose(board, Given("keyboard", "B", FORWARDED))).given
    assert "has nothing of the keyboard" in withdraw(board).said


def test_withdrawing_leaves_the_others_what_they_have():
    board = withdraw(choose(Board(), Given("disk", "A", "partitioned")))
    assert board.given == tuple(each for each in START if each[:2] != ("disk", "A"))


@given(st.lists(st.tuples(st.sampled_from(ALL), st.booleans()), max_size=25))
def test_whatever_is_pressed_the_ledgers_rules_hold(presses):
    board = Board()
    for each, giving in presses:
        board = (give if giving else withdraw)(choose(board, each))
        assert board.said
    for device in DEVICES:
        held = [each for each in board.given if each.device == device]
        kinds = {WAYS[each.way] for each in held}
        assert len(kinds) <= 1
        assert len({each.vm for each in held}) == len(held)
        if "dedicated" in kinds:
            assert len(held) == 1


# -- what comes of it


def outcome(*each):
    return experiment((Given(*each),))[0]


@pytest.mark.parametrize("vm", VMS)
def test_a_dedicated_device_costs_its_accesses_or_nothing(vm):
    """Display: 4 characters of 2 bytes. Keyboard: HLT and EOI, and 3 reads. Disk: 264 accesses."""
    for device, forwarded, direct in (("display", 8, 0), ("keyboard", 5, 2), ("disk", 264, 0)):
        through, straight = outcome(device, vm, FORWARDED), outcome(device, vm, DIRECT)
        assert (through.exits, straight.exits) == (forwarded, direct)
        assert through.saw == straight.saw
        assert through.copies == straight.copies == 0
        assert through.interrupts == straight.interrupts == (device == "keyboard")


def test_each_vm_sees_its_own_piece_of_the_disk():
    pieces = experiment(tuple(Given("disk", vm, "partitioned") for vm in "CAB"))
    assert [each.saw for each in pieces] == [
        f'read "This is sector {sector}."' for sector in (2000, 0, 1000)
    ]


def test_a_shared_card_costs_two_copies_a_frame_however_many_share_it():
    for vms in ("A", "BC", "ABC"):
        for each in experiment(tuple(Given("network card", vm, "shared") for vm in vms)):
            assert (each.exits, each.copies, each.interrupts) == (2, 4, 1)
            assert each.saw == "sent 1 frame, got the one for it"


def test_a_link_costs_two_exits_to_send_and_four_to_receive():
    ends = experiment((Given(LINK, "C", "non-existent"), Given(LINK, "A", "non-existent")))
    assert [(each.exits, each.copies) for each in ends] == [(2, 1), (4, 1)]
    assert ends[1].saw == 'was woken, and read "hello from C"'
    alone = experiment((Given(LINK, "B", "non-existent"),))
    assert alone[0].saw == "has nobody at the other end"


def test_everything_at_once_costs_what_each_costs_alone():
    everything = {each.given: each for each in experiment(START)}
    assert set(everything) == set(START)
    for each in START:
        if each.device != "disk":
            alone = experiment((each,))[0]
            assert everything[each][1:] == alone[1:]


# -- how it is drawn


BOARDS = [
    (),
    START,
    (*START, Given(LINK, "B", "non-existent"), Given(LINK, "A", "non-existent")),
    tuple(Given("network card", vm, "shared") for vm in VMS),
    (Given("disk", "C", DIRECT), Given("display", "A", DIRECT), Given("keyboard", "B", FORWARDED)),
]


@pytest.mark.parametrize("board", BOARDS)
def test_the_picture_keeps_the_rules_and_says_everything(board):
    outcomes = experiment(board)
    drawn = assign_picture(outcomes, chosen=("disk", "B"))
    check_picture(drawn)
    words = words_of(drawn)
    for each in outcomes:
        assert costs(each) in words
        assert f"{each.given.way}: {costs(each)}; it {each.saw}" in drawn.text
        assert each.saw in explain(outcomes)
    dots = [each for each in outcomes if each.given.device != LINK and each.given.way != DIRECT]
    assert drawn.svg.count("<circle") == len(dots) + 3  # three in the legend
    assert words.count("its own virtual one") == 12 - sum(o.given.device != LINK for o in outcomes)
    assert assign_picture(outcomes, chosen=("disk", "B")).svg == drawn.svg


def test_nothing_given_is_said_too():
    assert "every VM has its own virtual devices" in explain(())


def test_the_ways_differ_by_more_than_colour():
    looks = {(style.weight, style.dash, style.stop) for style in STYLES.values()}
    assert len(looks) == len(STYLES)
    assert set(STYLES) == set(WAYS)


def test_counts_are_singular_or_plural():
    nothing = Given("disk", "A", DIRECT)
    assert costs(Outcome(nothing, 0, 0, 0, "")) == "0 exits"
    assert costs(Outcome(nothing, 1, 1, 1, "")) == "1 exit, 1 copy, 1 interrupt"
    assert costs(Outcome(nothing, 2, 2, 2, "")) == "2 exits, 2 copies, 2 interrupts"


# -- the widget


def press(widget, words):
    next(c for c in widget.controls if getattr(c, "description", "") == words).click()


def values(widget):
    return [widget._picture.value, widget._says.value]


def test_the_widget_gives_withdraws_and_starts_again():
    widget = AssignBoard()
    start = values(widget)
    press(widget, "Give")
    assert widget.state.given == (*START, Given(LINK, "B", "non-existent"))
    assert "Given: B has the virtual link" in widget._says.value
    press(widget, "Withdraw")
    assert widget.state.given == START
    press(widget, "Take all back")
    assert widget.state.given == ()
    widget._device.value = "keyboard"
    assert "Press Give" in widget._says.value
    press(widget, "Give")
    assert "Refused: " in widget._says.value
    press(widget, "Reset")
    assert values(widget) == start


def test_every_control_is_named_and_none_is_a_slider():
    widget = AssignBoard()
    names = [control.description for control in widget.controls]
    assert all(names)
    assert len(set(names)) == len(names) == 7
    assert repr(widget) == "Whose device is it?: give devices to virtual machines"


@given(st.lists(st.integers(0, 99), max_size=8))
@settings(max_examples=10, deadline=None)
def test_nothing_breaks_the_widget(steps):
    widget = AssignBoard(Board(given=()))
    for step in steps:
        control = widget.controls[step % 7]
        if hasattr(control, "options"):
            control.index = step % len(control.options)
        else:
            control.click()
    assert "<svg" in widget._picture.value
