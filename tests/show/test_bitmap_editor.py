"""The bitmap editor: pure steps from state to state, and a thin shell around them."""

import pytest

from virtlab.show.bitmap_editor import (
    WATCHED,
    BitmapEditor,
    Doors,
    choose,
    fill,
    in_words,
    turn,
)
from virtlab.show.bitmap_run import open_ports, run

UART = frozenset(range(0x3F8, 0x400))


def test_a_bit_turns_and_turns_back():
    doors = turn(Doors(), 3)
    assert doors.open == UART - {0x3FB}
    assert turn(doors, 3) == Doors()
    for bit in (-1, 8):
        with pytest.raises(ValueError, match=f"bits 0 to 7, not {bit}"):
            turn(doors, bit)


def test_a_byte_is_filled_and_the_others_stay():
    doors = choose(Doors(), 0x60)
    assert fill(doors, 0).open == UART | frozenset(range(0x60, 0x68))
    assert fill(fill(doors, 0), 1).open == UART
    assert fill(Doors(), 1).open == frozenset()


def test_only_the_watched_bytes_can_be_chosen():
    assert choose(Doors(), 0x8000).chosen == 0x8000
    with pytest.raises(ValueError, match="port 0x61, only for"):
        choose(Doors(), 0x61)


@pytest.mark.parametrize("port", WATCHED)
def test_the_words_name_the_byte_and_its_value(port):
    doors = choose(Doors(), port)
    words = in_words(doors, run(open_ports(doors.open)))
    name = "Byte 0 of bitmap B" if port == 0x8000 else f"The byte of the {WATCHED[port]}"
    assert words.startswith(f"{name} is `{'0x00' if port == 0x3F8 else '0xff'}`. 9 accesses")


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def test_the_widget_runs_the_guest_at_each_change():
    widget = BitmapEditor()
    before = widget._bitmap.value, widget._run.value, widget._says.value
    assert "5 exit, 4 do not" in widget._says.value
    press(widget, "3F8")
    assert "7 exit, 2 do not" in widget._says.value
    press(widget, "Trap all eight")
    assert "9 exit, 0 do not" in widget._says.value
    widget._byte.value = 0x60
    assert [item.description for item in widget._bits] == [f"{0x60 + bit:X}" for bit in range(8)]
    press(widget, "Open all eight")
    assert "typed at the host" in widget._says.value
    press(widget, "Reset")
    assert widget.state == Doors()
    assert (widget._bitmap.value, widget._run.value, widget._says.value) == before
    assert widget._byte.value == 0x3F8


def test_it_starts_where_it_is_told_and_says_what_it_is():
    widget = BitmapEditor(Doors(frozenset(), 0x60))
    assert widget._byte.value == 0x60
    assert "9 exit" in widget._says.value
    assert repr(widget) == "BitmapEditor: the I/O bitmap, and a guest under it"
    assert all(control.description for control in widget.controls)
