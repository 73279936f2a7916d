"""Linux's console: a terminal for bytes, frames of a tape, and keys where somebody is there."""

from types import SimpleNamespace

import pytest

from tests.show.looks import check_picture
from tests.show.real_tapes import printed, said
from virtlab.hosts.tape import Tape
from virtlab.show.real_console import CTRL_C, RealConsole
from virtlab.show.real_screen import COLUMNS, LINES, screen_picture, terminal

TAPE = Tape(
    {}, [printed(10, "\r\nlinux# "), said(20, "mkfs"), printed(30, "ls\r\n"), printed(40, "a b\n")]
)


def press(widget, words):
    next(each for each in widget.controls if each.description == words).click()


class Living:
    """A session whose Linux answers each line that is typed."""

    def __init__(self, name="live", dead=False):
        self.tier = SimpleNamespace(name=name)
        self.tape = Tape({}, [printed(1, "linux# ")])
        self.keys = []
        self.dead = dead

    def press(self, keys):
        if self.dead:
            raise ConnectionError("Linux ended: nobody is at its console")
        self.keys.append(keys)
        self.tape.moments.append(printed(len(self.tape.moments) + 1, keys.replace("\n", "\r\n")))


# -- a terminal


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", [""]),
        (b"one\r\ntwo", ["one", "two"]),
        (b"0/2\b\b\b   \b\b\bdone", ["done"]),
        (b"abc\rX", ["Xbc"]),
        (b"a\tb", ["a       b"]),
        (b"\x1b[1;31mred\x1b[0m \x1b[6nend", ["red end"]),
        (b"\b\bx", ["x"]),
        (b"\xff\x00", ["\ufffd\u2400"]),
        (b"x" * (COLUMNS + 1), ["x" * COLUMNS, "x"]),
    ],
)
def test_a_terminal_follows_what_moves(data, lines):
    assert terminal(data) == lines


def test_a_terminal_shows_the_last_lines():
    data = "".join(f"{n}\r\n" for n in range(1000)).encode()
    assert terminal(data) == [*(str(n) for n in range(1000 - LINES + 1, 1000)), ""]


def test_a_screen_can_be_drawn_full_and_empty():
    for data in (b"", b"x" * 5000, b"linux# \r\n" * 40):
        check_picture(screen_picture(data, fresh=min(len(data), 9), below="below"))
    assert "The last line: nothing yet" in screen_picture(b"").svg


def test_what_is_new_is_lit():
    drawn = screen_picture(b"old\r\nnew", fresh=3)
    lit = [line for line in drawn.svg.split("<text") if "#F0E442" in line]
    assert len(lit) == 1
    assert "new" in lit[0]


# -- a recording


def test_a_recording_is_stepped_through_piece_by_piece():
    widget = RealConsole(TAPE)
    assert repr(widget) == "RealConsole: what Linux prints"
    assert widget.state.index == 3
    assert "Piece 3 of 3, after 0.00 s: <code>a b</code>. This is a recording" in widget._says.value
    press(widget, "First")
    assert "Nothing is printed yet" in widget._says.value
    widget._chapters.value = 1
    assert "<code>linux#</code>" in widget._says.value
    press(widget, "Reset")
    assert widget.state.index == 3
    for index in range(len(widget.frames)):
        check_picture(widget.frames.picture(index, "x"))


def test_a_recording_has_no_line_to_type_in_and_nothing_to_follow():
    for real in (TAPE, Living("recorded"), Living("qtest")):
        names = [control.description for control in RealConsole(real).controls]
        assert "Type a line" not in names
        assert "Follow" not in names
    widget = RealConsole(TAPE)
    widget.refresh()
    assert widget.state.length == 4


def test_a_long_piece_and_an_empty_one_are_said_shortly():
    widget = RealConsole(Tape({}, [printed(1, "`w` " * 60), printed(2, "\r\n")]))
    assert "an empty line" in widget._says.value
    press(widget, "Back")
    assert "…" in widget._says.value
    assert "'w'" in widget._says.value.replace("&#x27;", "'")


# -- a living one


def test_keys_go_to_linux_and_what_comes_is_followed():
    real = Living()
    widget = RealConsole(real)
    widget.line.value = "ls /mnt"
    assert real.keys == ["ls /mnt\n"]
    assert widget.line.value == ""
    assert widget.following
    assert "<code>ls /mnt</code>" in widget._says.value
    press(widget, "Ctrl-C")
    assert real.keys[-1] == CTRL_C


def test_a_tick_of_the_browser_asks_for_what_is_new():
    real = Living()
    widget = RealConsole(real)
    widget._follow.value = True
    assert widget._tick.playing
    real.tape.moments.append(printed(9, "more"))
    widget._tick.value += 1
    assert widget.state.index == widget.state.length - 1 == 2
    press(widget, "Back")
    assert not widget.following
    assert not widget._tick.playing
    real.tape.moments.append(printed(10, "and more"))
    widget.refresh()
    assert (widget.state.index, widget.state.length) == (1, 4)


def test_playing_stops_when_it_follows():
    widget = RealConsole(Living())
    widget._toggle.value = True
    widget._follow.value = True
    assert not widget._toggle.value


def test_a_linux_that_has_ended_takes_no_keys():
    widget = RealConsole(Living(dead=True))
    widget.line.value = "ls"
    assert "Nothing is sent: Linux ended" in widget._says.value
    press(widget, "Reset")
    assert "Linux is there" in widget._says.value
