"""The switch lab: every choice shows its way, Send counts, and no control breaks it."""

from itertools import product

from virtlab.show.shell import Shell
from virtlab.show.vf_switch import (
    Counts,
    Setting,
    SwitchState,
    choose,
)
from virtlab.show.vf_switch_lab import FRAME, SETTINGS, SwitchLab

# -- the widget


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


def test_it_starts_with_a_broadcast_in_a_vlan():
    widget = SwitchLab()
    assert isinstance(widget, Shell)
    assert widget.state == SwitchState()
    assert "VF 3 and VF 4 hear nothing" in widget._says.value
    assert repr(widget) == "SwitchLab: the switch inside a card"
    assert all(control.description for control in widget.controls)


def test_a_spoofed_frame_passes_once_the_check_is_off_and_reset_takes_it_back():
    widget = SwitchLab()
    begin = shown(widget)
    widget._lists["claims"].value = 2
    press(widget, "Send")
    assert widget.state.counts[1] == Counts(dropped=1)
    widget._form["check"].value = False
    press(widget, "Send")
    assert widget.state.counts[1] == Counts(sent=1, dropped=1)
    press(widget, "Reset")
    assert shown(widget) == begin
    assert widget._form["check"].value is True


def test_the_form_follows_the_port_that_is_shown():
    widget = SwitchLab()
    assert widget._form["vlan"].value == 5
    widget._lists["port"].value = 4
    assert widget._form["vlan"].value == 0
    widget._form["vlan"].value = 6
    assert widget.state.settings[3] == Setting(6)
    assert widget.state.settings[0] == Setting(5)


def test_a_choice_is_drawn_once(monkeypatch):
    from virtlab.show import vf_switch_lab

    widget, drawn = SwitchLab(), []
    real = vf_switch_lab.switch_picture
    monkeypatch.setattr(
        vf_switch_lab, "switch_picture", lambda state: drawn.append(state) or real(state)
    )
    widget._lists["sender"].value = 3
    assert drawn == [choose(SwitchState(), sender=3)]


def test_no_choice_breaks_it():
    widget = SwitchLab()
    options = {field: [value for _, value in each] for field, (_, each) in FRAME.items()}
    for sender, target in product(options["sender"], options["target"]):
        widget._lists["sender"].value = sender
        widget._lists["target"].value = target
        for claims, tag in zip(options["claims"][::2], options["tag"], strict=True):
            widget._lists["claims"].value, widget._lists["tag"].value = claims, tag
            press(widget, "Send")
            assert widget._picture.value.startswith("<svg")
    for port in options["port"]:
        widget._lists["port"].value = port
        for field, (_, each) in SETTINGS.items():
            for _, value in each:
                widget._form[field].value = value
                assert getattr(widget.state.settings[port - 1], field) == value
