"""The attack widget: every control, every state, and back to the beginning."""

import pytest

from virtlab.show import AttackLab
from virtlab.show.attack_lab import START, Duel, other, stepped
from virtlab.show.attack_list import ATTACKS
from virtlab.show.attack_run import CHECKED, DEVICES, NAIVE
from virtlab.show.shell import marked


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


def test_it_starts_with_a_theft_and_says_what_was_stolen():
    widget = AttackLab()
    assert widget.state == START == Duel("read", NAIVE)
    assert "the key of the disks" in widget._says.value
    assert repr(widget) == "AttackLab: a hostile guest"
    assert all(control.description for control in widget.controls)
    assert len(widget._attack.options) == len(ATTACKS) == 21
    assert widget._attack.options[0] == ("1. a buffer behind guest memory, to read", "read")


def test_every_attack_at_either_device_and_back():
    widget = AttackLab()
    first = shown(widget)
    seen = {first}
    for name in ATTACKS:
        for device in DEVICES:
            widget._attack.value, widget._device.value = name, device
            assert widget.state == (name, device)
            assert marked(ATTACKS[name].line) in widget._says.value
            seen.add(shown(widget))
    assert len(seen) == 2 * len(ATTACKS)
    press(widget, "Reset")
    assert shown(widget) == first
    assert (widget._attack.value, widget._device.value) == START


def test_the_buttons_step_through_the_list_and_change_sides():
    widget = AttackLab()
    press(widget, "Next attack")
    assert widget.state == ("write", NAIVE)
    assert widget._attack.value == "write"
    press(widget, "The other device")
    assert widget.state == ("write", CHECKED)
    assert "DEVICE_NEEDS_RESET" in widget._says.value
    press(widget, "The one before")
    press(widget, "The one before")
    assert widget.state == ("bell", CHECKED)


def test_the_states_are_pure():
    assert stepped(START, len(ATTACKS)) == START
    assert stepped(stepped(START, 3), -3) == START
    assert other(other(START)) == START
    assert other(START).name == START.name


def test_it_may_begin_elsewhere_and_comes_back_there():
    widget = AttackLab(Duel("loop", CHECKED))
    press(widget, "Next attack")
    press(widget, "Reset")
    assert widget.state == ("loop", CHECKED)


def test_no_such_attack():
    with pytest.raises(ValueError, match="not in tuple"):
        stepped(Duel("luck"), 1)
