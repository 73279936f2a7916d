"""The stepper: every control does what it says, and nothing a reader does breaks it."""

import random

import pytest

from virtlab.show import RingStepper
from virtlab.show.ring_tape import (
    ADD,
    GET,
    KICK,
    MOST_CALLS,
    POP,
    PUSH_NEWEST,
    STORY,
    Setting,
    State,
    mistakes,
)

BOTH = pytest.mark.parametrize(
    "setting", [Setting(), Setting("packed", 5)], ids=["split", "packed"]
)


def press(widget, words):
    """Press the button that says `words`."""
    next(each for each in widget.controls if each.description == words).click()


def said(widget):
    return widget._says.value


@BOTH
def test_it_starts_at_the_kick_and_steps_both_ways(setting):
    widget = RingStepper(setting)
    assert repr(widget) == f"RingStepper, {setting.layout}: {len(STORY) + 1} frames"
    assert "Call 2 of 16. `kick`".replace("`kick`", "<code>kick</code>") in said(widget)
    for words, number in (("Step", 3), ("Back", 2), ("First", 0), ("Back", 0), ("Last", 16)):
        press(widget, words)
        assert f"Call {number} of 16" in said(widget)
        assert f">{number}. " in widget._picture.value


@BOTH
def test_every_call_can_be_made_by_hand(setting):
    widget = RingStepper(setting, State((), 0))
    for words in ("add", "kick", "pop", "push", "get"):
        press(widget, words)
    assert "request 0 is back, with 33 bytes" in said(widget)
    assert widget.shown.at == len(widget.shown.tape) == 5
    for _ in range(7):
        press(widget, "Undo")
    assert widget.shown == State((), 0)
    assert "every descriptor is free" in said(widget)


def test_what_is_added_and_pushed_is_chosen():
    widget = RingStepper(start=State((ADD, KICK, POP), 3))
    widget._shape.value, widget._which.value = "receive", "newest"
    for words in ("add", "kick", "pop", "push", "get"):
        press(widget, words)
    assert widget.shown.tape[3].which == "receive"
    assert widget.shown.tape[6] == PUSH_NEWEST
    assert "request 1 is back, with 24 bytes" in said(widget)


def test_a_call_in_the_middle_takes_the_place_of_the_rest_and_reset_brings_it_back():
    widget = RingStepper()
    first = (widget._picture.value, said(widget))
    press(widget, "pop")
    assert widget.shown.tape == (ADD, KICK, POP)
    assert widget._go.max == widget._play.max + 1 == 4
    assert "Go to (1 to 4)" in widget._go.description
    press(widget, "Last")
    assert "Call 3 of 3" in said(widget)
    press(widget, "Reset")
    assert (widget._picture.value, said(widget)) == first
    assert widget._go.max == len(STORY) + 1


def test_undo_takes_off_the_call_that_is_shown():
    widget = RingStepper()
    press(widget, "Step")
    press(widget, "Undo")
    assert widget.shown == State(STORY[:2], 2)


@BOTH
def test_chapters_are_the_five_calls(setting):
    widget = RingStepper(setting)
    names = [name for name, at in widget._chapters.options if at > 0]
    assert names == ["add", "kick", "pop", "push", "get"]
    for number, (name, at) in enumerate(list(widget._chapters.options)[1:], 1):
        widget._chapters.value = at
        assert f">{number}. {name}" in widget._picture.value


def test_a_chapter_that_is_not_on_the_tape_any_more_is_ignored():
    widget = RingStepper()
    press(widget, "add")
    before = said(widget)
    widget._chapters.value = 5
    assert said(widget) == before
    widget._chapters.value = 1
    assert "Call 1 of 3" in said(widget)


@BOTH
def test_every_mistake_is_met_by_the_next_pop_and_undone(setting):
    widget = RingStepper(setting)
    for name in mistakes(setting):
        widget._mistake.value = name
        assert widget._mistake.value == ""
        assert "By hand:" in said(widget)
        assert "The ring doctor already sees it" in said(widget)
        press(widget, "pop")
        assert "refuses:" in said(widget) or "finds nothing" in said(widget)
        assert "virtio 1.3 2." in said(widget)
    press(widget, "Reset")
    assert "Call 2 of 16" in said(widget)


@BOTH
def test_a_field_is_edited_by_hand(setting):
    widget = RingStepper(setting)
    widget._slot.value, widget._field.value, widget._value.value = 1, "len", "0"
    press(widget, "Write it")
    assert "<code>desc[1].len</code> = 0x0" in said(widget)
    press(widget, "pop")
    assert "The device refuses: a buffer of 0 bytes" in said(widget)
    assert "The device refuses: a buffer of 0 bytes" in widget._picture.value
    press(widget, "Undo")
    press(widget, "Undo")
    press(widget, "pop")
    assert "takes" in said(widget)


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("len", "", "is no number"),
        ("len", "<b>", "&lt;b&gt;&quot; is no number"),
        ("len", "-1", "is no number"),
        ("len", "0x100000000", "does not fit"),
        ("flags", "65536", "does not fit"),
    ],
)
def test_a_value_that_makes_no_sense_is_said_and_nothing_is_written(field, typed, words):
    widget = RingStepper()
    before = widget._picture.value, widget.shown
    widget._field.value, widget._value.value = field, typed
    press(widget, "Write it")
    assert "Nothing is written" in said(widget)
    assert words in said(widget)
    assert (widget._picture.value, widget.shown) == before


@BOTH
def test_a_full_tape_says_so_and_undo_helps(setting):
    widget = RingStepper(setting, State((KICK,) * (MOST_CALLS - 1), MOST_CALLS - 1))
    for _ in range(3):
        press(widget, "get")
    assert "The tape is full" in said(widget)
    assert len(widget.frames) == MOST_CALLS + 1
    press(widget, "Undo")
    press(widget, "pop")
    assert widget.shown.tape[-2:] == (KICK, POP)


def test_playing_stops_when_a_call_is_made():
    widget = RingStepper()
    widget._toggle.value = True
    widget.make(GET)
    assert not widget._toggle.value
    widget._play.value = 1
    assert "Call 1 of 3" in said(widget)


@BOTH
def test_any_forty_presses_leave_it_usable(setting):
    widget = RingStepper(setting)
    dice = random.Random(3)
    fields = list(setting.fields)
    for _ in range(40):
        widget._shape.value = dice.choice(("read", "send", "receive"))
        widget._which.value = dice.choice(("oldest", "newest"))
        widget._slot.value = dice.randrange(setting.size)
        widget._field.value = dice.choice(fields)
        widget._value.value = dice.choice(("3", "0x1410", "0", "x", "65535", "0x8081", "5"))
        buttons = [each for each in widget.controls if hasattr(each, "click")]
        dice.choice([each for each in buttons if each.description != "Reset"]).click()
        assert widget._picture.value.startswith("<svg")
    press(widget, "Reset")
    assert "Call 2 of 16" in said(widget)
