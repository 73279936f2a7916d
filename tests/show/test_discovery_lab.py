"""The rooms of lesson 08: how far a pretence gets, and that the pictures say so."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.guest.probe import probe
from virtlab.machine import lesson_vm
from virtlab.show.discovery_lab import (
    BUS_WORDS,
    BUSES,
    KEYBOARDS,
    WORDS,
    BusLab,
    PresetLab,
    look_around,
    scan_bus,
    true_functions,
)
from virtlab.show.looks import MAX_ROWS, looks_picture, sizes_picture


@pytest.mark.parametrize(
    ("keyboard", "found", "exits", "says"),
    [
        ("nothing", False, 1, "status is 0xff"),
        ("a status that says: ready", False, 2008, "the keyboard does not answer"),
        ("status full, data 0x55", True, 543, "plugged in: nothing"),
        ("the model of an 8042", True, 106, "plugged in: keyboard and mouse"),
    ],
)
def test_how_far_the_guest_gets(keyboard, found, exits, says):
    room = look_around(keyboard)
    assert (room.look.found, room.exits, room.look.accesses) == (found, exits, exits)
    assert says in room.look.evidence
    drawn = looks_picture([room.look], keyboard)
    check_picture(drawn)
    assert "…" not in drawn.svg


def test_the_whole_machine_is_drawn():
    drawn = looks_picture(probe(lesson_vm().cpu))
    check_picture(drawn)
    assert drawn.text.startswith("A guest that was told nothing: 6 of 7 found\nyes  0x64")
    assert "no   0x2f8  second UART" in drawn.text
    assert "keyboard controller" in words_of(drawn)
    assert "…" not in drawn.svg  # no name of a device is cut short


@pytest.mark.parametrize(
    ("bus", "summary"),
    [
        ("a photograph", "1 of 8 BARs right"),
        (
            "a photograph that keeps what is written",
            "0 of 8 BARs right, and 44 BARs that do not exist",
        ),
        ("the emulated bus", "8 of 8 BARs right"),
    ],
)
def test_sizes_are_right_on_the_bus_alone(bus, summary):
    drawn = sizes_picture(scan_bus(bus), true_functions())
    check_picture(drawn)
    assert drawn.text.splitlines()[0] == f"What the guest found: {summary}"


def test_what_is_not_found_at_all_is_said():
    drawn = sizes_picture([], true_functions())
    assert drawn.text.count("found: none") == 8


def test_more_rows_than_fit_are_counted():
    looks = probe(lesson_vm().cpu) * 3
    drawn = looks_picture(looks)
    check_picture(drawn)
    assert f"and {len(looks) - MAX_ROWS} more" in words_of(drawn)
    assert len(drawn.text.splitlines()) == 1 + len(looks)


@pytest.mark.parametrize(
    ("lab", "options", "words"), [(PresetLab, KEYBOARDS, WORDS), (BusLab, BUSES, BUS_WORDS)]
)
def test_the_widgets_follow_their_list(lab, options, words):
    widget = lab()
    first = widget._has.value, widget._picture.value, widget._says.value
    seen = set()
    for option in options:
        widget._has.value = option
        seen.add(widget._picture.value)
        assert words[option].split("`")[0] in widget._says.value
    assert len(seen) == len(options)
    widget.reset()
    assert (widget._has.value, widget._picture.value, widget._says.value) == first
    assert repr(widget) == lab.__name__
