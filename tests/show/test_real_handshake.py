"""The handshake: every message and every mistake can be drawn, and the widget goes along."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show.real_handshake import Handshake, handshake_picture, says
from virtlab.show.real_heard import handshake
from virtlab.show.real_memory import Shared, rows, shared
from virtlab.show.real_messages import Piece, R, Sent
from virtlab.show.real_replay import MISTAKES, Place, replay, spoilt
from virtlab.virtio.vhost_user.layouts import MEMORY, REGION, SINGLE_REGION
from virtlab.virtio.vhost_user.messages import pack

SESSION = handshake()
KNOWN = replay(SESSION)
AT = {one.name: n for n, one in enumerate(SESSION) if one.asks}


def press(widget, words):
    next(each for each in widget.controls if each.description == words).click()


@pytest.mark.parametrize("index", range(len(SESSION)))
def test_every_message_can_be_drawn(index):
    drawn = handshake_picture(SESSION, index, KNOWN)
    check_picture(drawn)
    assert SESSION[index].name in words_of(drawn)
    assert f"> {SESSION[index].ns / 1e6:>6.0f} ms" in drawn.text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_refusal_is_drawn_with_the_back_ends_words_and_nothing_after_it(mistake):
    session = spoilt(SESSION, mistake)
    done = replay(session)
    drawn = handshake_picture(session, done.refused, done)
    check_picture(drawn)
    assert f"refused: {done.why}" in drawn.text
    assert drawn.text.count(" ms ") == 9
    assert drawn.text.splitlines()[9].startswith(">")
    end = "ends" if done.over else "goes on"
    assert f"the connection {end}: {done.why}." in says(session, done.refused, done)


def test_there_is_no_message_beyond_the_last():
    with pytest.raises(IndexError, match="no message 66 among 66"):
        handshake_picture(SESSION, len(SESSION))


def test_a_short_session_is_drawn_whole():
    drawn = handshake_picture(SESSION[:3], 1)
    check_picture(drawn)
    assert "nothing is shared yet" in drawn.text


def test_a_ring_has_four_names():
    """It comes by QEMU's address; all others follow by subtracting."""
    at = max(AT["SET_VRING_ADDR"], AT["SET_VRING_KICK"])
    memory, places = shared(SESSION, at), KNOWN.places[at]
    region, table, *_ = rows(memory, places)
    assert region.size == "512 MiB"
    (piece,) = memory.pieces
    _, user = memory.ring[0]
    gpa = user - piece.user
    assert table.cells == (f"{gpa:#x}", f"{user:#x}", f"{gpa:#x}", f"{gpa:#x}")


def test_the_four_names_differ_by_constants():
    memory = Shared((Piece(0x10_0000, 0x4000, 0x7000, 0x2000),), (("used ring", 0x8100),))
    region, used = rows(memory, [Place(0, 0x1000, 0), Place(0x10_0000, 0x4000, 0x9000)])
    assert region.cells == ("0x100000", "0x7000", "0x2000", "0x9000")
    assert used.cells == ("0x101100", "0x8100", "0x3100", "0xa100")


def test_what_lies_nowhere_has_one_name_only():
    memory = Shared((Piece(0, 0x1000, 0x7000, 0x2000),), (("descriptor table", 0x9000),))
    region, table = rows(memory, [Place(0x8000, 0x1000, 0)])
    assert region.cells == ("0x0", "0x7000", "0x2000", "-")
    assert table.cells == ("-", "0x9000", "-", "-")


def test_regions_come_and_go():
    def region(request, guest, user):
        payload = pack(SINGLE_REGION, 0, guest, 0x1000, user, 0)
        return Sent(0, True, request, 1, payload, (("file", 0x1000),))

    session = [region(R.ADD_MEM_REG, 0, 0x7000), region(R.ADD_MEM_REG, 0x1000, 0x9000)]
    assert [each.guest for each in shared(session, 1).pieces] == [0, 0x1000]
    session.append(region(R.REM_MEM_REG, 0, 0x7000))
    assert [each.guest for each in shared(session, 2).pieces] == [0x1000]
    table = pack(MEMORY, 2, 0) + pack(REGION, 0, 0x1000, 0, 0) + pack(REGION, 0x5000, 0x1000, 1, 0)
    session.append(Sent(0, True, R.SET_MEM_TABLE, 1, table))
    assert [each.guest for each in shared(session, 3).pieces] == [0, 0x5000]
    assert shared(session, 0).pieces == shared(session, 1).pieces[:1]


def test_two_regions_are_two_rows_and_no_bar():
    begin = SESSION[: AT["ADD_MEM_REG"]]
    payload = pack(MEMORY, 2, 0) + pack(REGION, 0, 1 << 20, 0x7000_0000, 0)
    payload += pack(REGION, 4 << 20, 1 << 20, 0x8000_0000, 1 << 20)
    fds = (("file", 1 << 20), ("file", 2 << 20))
    session = [*begin, Sent(0, True, R.SET_MEM_TABLE, 1, payload, fds)]
    drawn = handshake_picture(session, len(session) - 1)
    check_picture(drawn)
    assert "the region" not in words_of(drawn)
    assert words_of(drawn).count("guest memory") == 2


def test_the_widget_starts_where_memory_is_shared_and_goes_to_the_parts():
    widget = Handshake(SESSION)
    assert repr(widget) == "Handshake: the messages of QEMU and a back-end"
    assert "<code>ADD_MEM_REG</code>" in widget._says.value
    assert all(control.description for control in widget.controls)
    widget._chapters.value = widget._chapters.options[-1][1]
    assert "SET_FEATURES" in widget._says.value
    press(widget, "Reset")
    assert widget.state.index == AT["ADD_MEM_REG"]


def test_each_mistake_ends_the_tape_and_reset_brings_it_back():
    widget = Handshake(SESSION)
    first = widget._picture.value
    for mistake in MISTAKES:
        widget.mistake.value = mistake
        assert widget.state.at_end
        assert widget.state.length == widget.replayed.refused + 1
        assert "Refused, and the connection" in widget._says.value
        assert widget._go.max == widget.state.length
        press(widget, "First")
    press(widget, "Reset")
    assert widget.mistake.value == ""
    assert widget.state.length == len(SESSION)
    assert widget._picture.value == first


def test_what_is_refused_as_it_was_ends_there():
    """A session without its beginning: nothing was agreed on."""
    widget = Handshake(SESSION[AT["ADD_MEM_REG"] - 1 :])
    at = widget.replayed.refused
    assert at is not None
    assert widget.state.length == at + 1
    press(widget, "Last")
    assert "Refused, and the connection ends" in widget._says.value


def test_only_messages_that_came_can_be_spoilt():
    widget = Handshake(SESSION[: AT["ADD_MEM_REG"]])
    offered = [mistake for mistake, _ in widget.mistake.options[1:]]
    assert offered == ["a feature that was never offered"]


def test_a_session_has_a_message():
    with pytest.raises(ValueError, match="no frame 0"):
        Handshake([])


def test_a_session_with_one_driver_has_no_second_one_to_jump_to():
    widget = Handshake(SESSION[: AT["ADD_MEM_REG"]])
    assert widget.state.index == 0
    assert "Linux's own driver" not in dict(widget._chapters.options)
