"""The map of a card and of a machine: what the pictures show, and the rules they keep."""

import pytest
from hypothesis import given

from tests.show.looks import check_picture, words_of
from tests.show.vf_states import OFF, states
from virtlab.show.palette import ORANGE_TINT
from virtlab.show.vf_grid import OTHER, PF, VF, function_map, runs
from virtlab.show.vf_map import register_words, shown_numbers, vf_map
from virtlab.show.vf_state import (
    MOST,
    PAGES,
    VfState,
    explain,
)

# -- the picture

DRAWN = [
    VfState(),
    OFF,
    VfState(0),
    VfState(decodes=False, page=PAGES[2]),
    VfState(1, chosen=1),
    VfState(2, chosen=256),
    VfState(256, ari=False, chosen=20, page=PAGES[-1]),
    VfState(256),
    VfState(MOST, chosen=256),
    VfState(7, ari=False),
    VfState(9, ari=False, enabled=False, page=PAGES[3]),
]


@pytest.mark.parametrize("state", DRAWN, ids=repr)
def test_the_picture_keeps_the_rules_and_says_what_it_shows(state):
    drawn = vf_map(state)
    check_picture(drawn)
    words = words_of(drawn)
    for name, value in register_words(state):
        assert name in words
        assert value in words
    assert explain(state).replace("`", "") in drawn.text
    assert any("only device 00" in word for word in words) != state.ari
    for number in shown_numbers(state):
        assert f"{state.address(number):#x}" in words
        name = f"VF {number}" if state.decodes else f"VF {number}: no answer"
        assert name in words


@given(states)
def test_every_picture_can_be_drawn_and_is_the_same_again(state):
    drawn = vf_map(state)
    assert drawn == vf_map(state)
    check_picture(drawn)


def test_the_text_form_is_the_map():
    text = vf_map(VfState(255)).text
    assert "bus 06: PF 06:00.0, VF 06:00.1 to 06:1f.7\nbus 07: nothing\n" in text
    assert "bus 07: VF 07:00.0\n" in vf_map(VfState(256)).text
    assert "nobody answers" in vf_map(OFF).text
    assert "VF 1 at 0x800000000 (no answer)" in vf_map(VfState(decodes=False)).text


def test_only_a_few_slices_of_memory_are_drawn():
    assert shown_numbers(VfState(256, chosen=20)) == [1, 2, 20, 255, 256]
    assert shown_numbers(VfState(3, chosen=3)) == [1, 2, 3]
    assert shown_numbers(VfState(3, chosen=9)) == [1, 2, 3]
    assert shown_numbers(OFF) == []


# -- the map of a machine


def test_a_map_of_any_functions_names_all_kinds():
    marks = {0x0010: OTHER, 0x0600: PF, 0x0601: VF, 0x0602: VF, 0x0608: VF}
    drawn = function_map(marks, "Before", chosen=0x0602)
    check_picture(drawn)
    assert drawn.svg.count(ORANGE_TINT) == 2, "one cell, and one in the legend"
    assert drawn.text.splitlines() == [
        "Before",
        "bus 00: another function 00:02.0",
        "bus 06: PF 06:00.0, VF 06:00.1 to 06:00.2, VF 06:01.0",
    ]
    assert {"bus 00", "bus 06", OTHER} <= set(words_of(drawn))
    only = function_map(marks, buses=[6, 7])
    assert "bus 07: nothing" in only.text
    assert "bus 00" not in only.text
    assert OTHER not in words_of(only)
    assert "out of reach" not in words_of(only)
    narrow = function_map(marks, narrow=[6])
    assert "bus 06: only device 00 can be reached" in words_of(narrow)
    assert "out of reach" in words_of(narrow)
    check_picture(narrow)
    with pytest.raises(ValueError, match="at least one function"):
        function_map({})


def test_runs_are_what_follows_each_other():
    assert runs([5, 1, 2, 3, 9]) == [(1, 3), (5, 5), (9, 9)]
    assert runs([]) == []
