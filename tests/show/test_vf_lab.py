"""The VF lab: every control writes and follows, and no choice breaks it."""

from itertools import product

from tests.show.vf_states import OFF
from virtlab.show.shell import Shell
from virtlab.show.vf_lab import LISTS, VfLab
from virtlab.show.vf_state import (
    MOST,
    PAGES,
    VfState,
)


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


# -- the widget


def test_it_starts_with_twelve_vfs_and_every_control_has_a_name():
    widget = VfLab()
    assert isinstance(widget, Shell)
    assert widget.state == VfState()
    assert repr(widget) == "VfLab: the SR-IOV capability of a card"
    assert all(control.description for control in widget.controls)
    assert VfLab(OFF).state == OFF


def test_the_way_over_the_end_of_the_bus():
    """Off, no ARI, on: the VFs are on the next bus. And a reset takes it all back."""
    widget = VfLab()
    begin = shown(widget)
    widget._lists["ari"].value = False
    assert widget._lists["ari"].value is True
    assert "ignored the write to ARI Capable Hierarchy" in widget._says.value
    for field, value in (("enabled", False), ("ari", False), ("enabled", True)):
        widget._lists[field].value = value
    assert "07:00.0" in widget._says.value
    widget._chosen.value = 3
    press(widget, "Reset")
    assert widget._chosen.value == 12
    assert shown(widget) == begin
    assert widget._lists["ari"].value is True


def test_buttons_and_boxes_write_and_follow():
    widget = VfLab(OFF)
    press(widget, "NumVFs + 1")
    assert (widget.state.wanted, widget._wanted.value) == (13, 13)
    press(widget, "NumVFs - 1")
    widget._wanted.value = 999
    assert widget.state.wanted == MOST
    widget._chosen.value = 0
    assert (widget.state.chosen, widget._chosen.value) == (1, 1)
    widget._lists["enabled"].value = True
    widget._wanted.value = 4
    assert (widget.state.wanted, widget._wanted.value) == (MOST, MOST)


def test_a_write_is_drawn_once(monkeypatch):
    from virtlab.show import vf_lab

    widget, drawn = VfLab(), []
    real = vf_lab.vf_map
    monkeypatch.setattr(vf_lab, "vf_map", lambda state: drawn.append(state) or real(state))
    widget._wanted.value = 5
    assert drawn == [VfState(ignored="wanted")]


def test_no_choice_breaks_it():
    widget = VfLab()
    options = {field: [value for _, value in each] for field, (_, each) in LISTS.items()}
    options["page"] = [PAGES[0], PAGES[3]]
    for enabled, decodes, ari, page in product(*options.values()):
        for count in (0, 8, MOST):
            widget._lists["enabled"].value = False
            widget._lists["ari"].value = ari
            widget._lists["page"].value = page
            widget._lists["decodes"].value = decodes
            widget._wanted.value = count
            widget._lists["enabled"].value = enabled
            assert widget.state == VfState(count, ari, page, enabled, decodes)
            assert widget._picture.value.startswith("<svg")
