"""The threshold explorer: every control, every state, nothing that breaks."""

import pytest

from virtlab.show import notify_lab
from virtlab.show.notify_lab import LAYOUTS, SIDES, START, ThresholdExplorer
from virtlab.show.notify_state import DRIVER, SIZES, Threshold


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


def test_it_starts_at_the_wrap_and_says_what_it_is():
    widget = ThresholdExplorer()
    assert widget.state == START == Threshold()
    assert "rings the bell, once" in widget._says.value
    assert repr(widget) == "ThresholdExplorer: old, new and event"
    assert all(control.description for control in widget.controls)
    assert ThresholdExplorer(Threshold(old=1, new=2, event=3)).state.event == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("new + 1", (65533, 3, 65535)),
        ("new - 1", (65533, 1, 65535)),
        ("event + 1", (65533, 2, 0)),
        ("event - 1", (65533, 2, 65534)),
        ("Next batch", (2, 7, 65535)),
        ("Ask for the next", (65533, 2, 65533)),
        ("Ask for silence", (65533, 2, 65532)),
        ("Across the end", (65534, 3, 0)),
    ],
)
def test_each_button_moves_what_it_says_and_reset_takes_it_back(words, expected):
    widget = ThresholdExplorer()
    before = shown(widget)
    press(widget, words)
    assert (widget.state.old, widget.state.new, widget.state.event) == expected
    assert [box.value for box in widget._boxes.values()] == list(expected)
    assert shown(widget) != before
    press(widget, "Reset")
    assert shown(widget) == before


def test_a_box_sets_its_number_and_no_other():
    widget = ThresholdExplorer()
    widget._boxes["event"].value = 2
    assert widget.state == Threshold(event=2)
    assert "tells nobody" in widget._says.value
    widget._boxes["event"].value = 99999
    assert widget.state.event == 65535


def test_the_packed_ring_has_its_own_circle_and_the_boxes_follow():
    widget = ThresholdExplorer()
    assert widget._lists["size"].layout.display == "none"
    widget._lists["packed"].value = True
    assert widget._lists["size"].layout.display is None
    assert (widget.state.old, widget.state.new, widget.state.event) == (8, 3, 0)
    assert [box.max for box in widget._boxes.values()] == [9, 9, 9]
    assert widget._boxes["old"].description == "old (0 to 9)"
    widget._lists["size"].value = 3
    assert (widget.state.modulus, widget.state.passed) == (6, 3)
    widget._lists["packed"].value = False
    assert (widget.state.modulus, widget.state.passed) == (65536, 3)
    assert widget._boxes["old"].max == 65535


def test_a_change_is_drawn_once(monkeypatch):
    """The controls that follow are not taken for the reader's."""
    widget, drawn = ThresholdExplorer(), []
    real = notify_lab.threshold_picture
    monkeypatch.setattr(notify_lab, "threshold_picture", lambda s: drawn.append(s) or real(s))
    widget._lists["packed"].value = True
    assert drawn == [widget.state]
    press(widget, "Reset")
    assert drawn[1:] == [START]


def test_another_side_changes_the_words_and_not_the_numbers():
    widget = ThresholdExplorer()
    widget._lists["asks"].value = DRIVER
    assert widget.state == Threshold(asks=DRIVER)
    assert "so the device interrupts, once" in widget._says.value


def test_no_choice_breaks_it():
    widget = ThresholdExplorer()
    for packed in (*LAYOUTS.values(), *LAYOUTS.values()):
        for size in SIZES:
            for side in SIDES.values():
                widget._lists["packed"].value = packed
                widget._lists["size"].value = size
                widget._lists["asks"].value = side
                press(widget, "Next batch")
                assert widget._picture.value.startswith("<svg")
