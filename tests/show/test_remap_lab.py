"""The remapping lab: what it says happened, happened; and every choice leaves it usable."""

import itertools

import pytest

from tests.show.looks import check_picture
from virtlab.show.remap_lab import CARDS, MOVES, SIZES, VMMS, RemapLab
from virtlab.show.remap_picture import remap_picture
from virtlab.show.remap_run import Choice, experiment
from virtlab.show.remap_scene import is_right, parts

EXITS = {"edu": 7, "IDE": 9}
"""Of a transfer that is slept for. The disk's driver also ends the interrupt at both 8259As."""

WORDS = {"no": 3, "pins": 4, "yes": 4}
"""Steps."""


@pytest.mark.parametrize("card", [value for _, value in CARDS])
@pytest.mark.parametrize("moves", [value for _, value in MOVES])
def test_remapped_bytes_land_where_they_belong_unless_the_page_moves(card, moves):
    steps = experiment(Choice(card=card, moves=moves))
    end = steps[-1].scene
    assert len(steps) == WORDS[moves]
    assert is_right(end) == (moves != "yes")
    assert sum(n for _, n in parts(end)) == 512
    assert f"Exits: {EXITS[card]}." in steps[-1].words
    if moves == "yes":
        assert [f.words for f, _ in parts(end)] == ["B's 0x7000", "A's 0x119000"]
        assert "a page of B moves in" in steps[2].words
        assert is_right(steps[1].scene)
    if moves == "pins":
        assert "it is pinned" in steps[2].words
    for step in steps:
        check_picture(remap_picture(step.scene))


@pytest.mark.parametrize("card", [value for _, value in CARDS])
def test_numbers_that_are_passed_on_land_in_b(card):
    steps = experiment(Choice(card=card, remaps=False))
    assert [f.owner for f, _ in parts(steps[-1].scene)] == ["B", "B"]
    assert "passed on" in steps[1].words
    assert not is_right(steps[-1].scene)


def test_what_a_has_not_is_refused():
    steps = experiment(Choice(gpa=0x200000))
    assert "refuses: not the VM's memory" in steps[1].words
    assert "The card has written nothing. Exits: 7." in steps[-1].words


def test_the_disk_gets_as_far_as_it_may():
    steps = experiment(Choice(gpa=0x13FF00, card="IDE", moves="pins"))
    assert [(f.gpa, n) for f, n in parts(steps[-1].scene)] == [(0x13F000, 256)]
    assert "The driver says" in steps[-1].words


def test_a_page_that_is_not_there_does_not_move():
    assert len(experiment(Choice(gpa=0x200000, moves="pins"))) == 3


def test_the_widget_steps_follows_its_controls_and_comes_back():
    widget = RemapLab()
    before = (widget._picture.value, widget._says.value)
    assert "Step 3 of 3" in before[1]
    widget._press("First")
    assert "VM A asks: 512 bytes to 0x118f00" in widget._says.value
    widget._press("Step")
    assert "translated" in widget._says.value
    widget._vmm.value = False
    assert "wrong" in widget._says.value
    widget._moves.value, widget._card.value, widget._length.value = "yes", "IDE", 4096
    widget._gpa.value = "0x4000"
    assert widget.choice == Choice(0x4000, 4096, "IDE", False, "yes")
    widget.reset()
    assert widget.choice == Choice()
    assert (widget._picture.value, widget._says.value) == before
    assert repr(widget) == "RemapLab"


@pytest.mark.parametrize("typed", ["", "x", "0x118f01", "0x1000000", "-2"])
def test_a_target_that_makes_no_sense_is_said_and_nothing_changes(typed):
    widget = RemapLab()
    picture = widget._picture.value
    widget._gpa.value = typed
    assert "give an even number" in widget._says.value
    assert widget._picture.value == picture


@pytest.mark.parametrize("gpa", [0x9FFFE, 0xA0000, 0xFFFFFE])
def test_any_target_has_a_last_step(gpa):
    for (_, card), (_, remaps) in itertools.product(CARDS, VMMS):
        steps = experiment(Choice(gpa, SIZES[-1], card, remaps, "yes"))
        assert "Exits:" in steps[-1].words
        check_picture(remap_picture(steps[-1].scene))
