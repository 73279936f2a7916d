"""The batch explorer: every choice, every button, nothing that breaks."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show import batch_explorer
from virtlab.show.batch_explorer import START, BatchExplorer
from virtlab.show.batch_passes import LOCKSTEP, passes_picture
from virtlab.show.batch_rings import KINDS, LAPS
from virtlab.show.batch_run import SIZES, STAGES, Choice, run
from virtlab.show.svg import number


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 8, 4096])
@pytest.mark.parametrize("lap", LAPS)
def test_every_choice_has_a_picture(kind, n, lap):
    outcome = run(Choice(kind, n, lap))
    drawn = passes_picture(outcome)
    check_picture(drawn)
    assert f"{outcome.passes} passes" in drawn.text
    assert drawn.text.count(" x ") == len(outcome.stages) + 1
    assert drawn == passes_picture(outcome)


def test_a_row_for_each_stage_and_a_bar_as_long_as_its_array():
    outcome = run(Choice("mixed", 64))
    drawn = passes_picture(outcome)
    assert LOCKSTEP == STAGES["split_steps.follow"]
    assert words_of(drawn).count(LOCKSTEP) == 3
    widest = max(stage.widest for stage in outcome.stages)
    for stage in outcome.stages:
        assert f' width="{number(400 * stage.widest / widest)}" height="26"' in drawn.svg


def test_what_is_no_pass_is_said():
    assert "2 compares of bytes" in passes_picture(run(Choice("single", 64, "same"))).text
    assert "one by one, by pop" in passes_picture(run(Choice("single", 4))).text


def test_it_starts_with_mixed_chains_and_says_what_it_is():
    widget = BatchExplorer()
    assert widget.state == START == Choice("mixed", 64)
    assert "64 chains with 128 buffers" in widget._says.value
    assert repr(widget) == "BatchExplorer: the passes of one batch"
    assert all(control.description for control in widget.controls)
    assert BatchExplorer(Choice("three", 8)).state.n == 8


@pytest.mark.parametrize(("words", "n"), [("Half as many", 32), ("Twice as many", 128)])
def test_the_buttons_change_the_size_and_reset_takes_it_back(words, n):
    widget = BatchExplorer()
    before = shown(widget)
    press(widget, words)
    assert widget.state.n == widget._lists["n"].value == n
    assert shown(widget) != before
    press(widget, "Reset")
    assert shown(widget) == before
    assert widget._lists["n"].value == 64


def test_the_ends_of_the_sizes_hold():
    widget = BatchExplorer(Choice("single", 1))
    press(widget, "Half as many")
    assert widget.state.n == 1
    widget._lists["n"].value = SIZES[-1]
    press(widget, "Twice as many")
    assert widget.state.n == 4096


def test_each_list_sets_its_own():
    widget = BatchExplorer()
    widget._lists["kind"].value = "single"
    assert widget.state == Choice("single", 64)
    widget._lists["lap"].value = "same"
    assert widget.state == Choice("single", 64, "same")
    assert "compares of bytes" in widget._says.value
    press(widget, "Reset")
    assert [each.value for each in widget._lists.values()] == [64, "mixed", "other"]


def test_a_change_is_counted_and_drawn_once(monkeypatch):
    """The lists that follow are not taken for the reader's."""
    widget, drawn = BatchExplorer(), []
    real = batch_explorer.run
    monkeypatch.setattr(batch_explorer, "run", lambda state: drawn.append(state) or real(state))
    widget._lists["kind"].value = "single"
    assert drawn == [Choice("single", 64)]
    press(widget, "Reset")
    assert drawn[1:] == [START]
