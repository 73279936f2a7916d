"""The mouse by itself: each command, the packets, the two knocks, the 16-byte buffer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.i8042.test_keyboard import sent, tell
from virtlab.devices.i8042 import Ps2Mouse


@pytest.fixture
def mouse():
    return Ps2Mouse()


def knock(mouse, *rates):
    for rate in rates:
        tell(mouse, 0xF3, rate)


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        ([0xE6, 0xE7], "fa | fa"),
        ([0xE8, 0x03, 0xE9], "fa | fa | fa 00 03 64"),
        ([0xE8, 0x04], "fa | fe"),
        ([0xE9], "fa 00 02 64"),
        ([0xEA], "fa"),
        ([0xEB], "fa 08 00 00"),
        ([0xEE, 0x12, 0xE9, 0xEC, 0xE9], "fa | 12 | e9 | fa | fa 00 02 64"),
        ([0xEE, 0xFF], "fa | fa aa 00"),
        ([0xF0, 0xE9, 0xEA, 0xE9], "fa | fa 40 02 64 | fa | fa 00 02 64"),
        ([0xF2], "fa 00"),
        ([0xF3, 0x28, 0xE9], "fa | fa | fa 00 02 28"),
        ([0xF3, 0x29, 0xE5, 0x28], "fa | fe | fc | fa"),
        ([0xF4, 0xE7, 0xE9], "fa | fa | fa 30 02 64"),
        ([0xF4, 0xF6, 0xE9], "fa | fa | fa 00 02 64"),
        ([0xF4, 0xF5, 0xE9], "fa | fa | fa 00 02 64"),
        ([0xFE], "fa"),
        ([0xFF], "fa aa 00"),
        ([0x01, 0x02, 0x03, 0xF4, 0x04], "fe | fc | fe | fa | fe"),
    ],
)
def test_each_command_is_answered(mouse, data, answers):
    assert tell(mouse, *data) == answers


def test_status_names_the_buttons_left_middle_right_from_bit_2(mouse):
    for buttons, status in ((1, "04"), (2, "01"), (4, "02")):
        mouse.backend.press(buttons)
        assert tell(mouse, 0xE9) == f"fa {status} 02 64"


@pytest.mark.parametrize(
    ("dx", "dy", "packet"),
    [
        (1, 2, "08 01 02"),
        (-1, -2, "38 ff fe"),
        (255, -256, "28 ff 00"),
        (256, 0, "48 ff 00"),
        (0, -257, "a8 00 00"),
        (-(10**12), 10**12, "d8 00 ff"),
    ],
)
def test_a_movement_is_a_packet_with_signs_and_overflows(mouse, dx, dy, packet):
    tell(mouse, 0xF4)
    mouse.backend.move(dx, dy)
    assert sent(mouse) == packet


def test_scaling_2_1_bends_the_counts_of_the_stream_only(mouse):
    tell(mouse, 0xE7, 0xF4)
    for dx, packet in ((1, "08 01 00"), (3, "08 03 00"), (4, "08 06 00"), (-6, "18 f4 00")):
        mouse.backend.move(dx, 0)
        assert sent(mouse) == packet
    tell(mouse, 0xF0)
    mouse.backend.move(4, 0)
    assert tell(mouse, 0xEB) == "fa 08 04 00"


def test_a_disabled_mouse_sends_nothing_and_eb_reads_what_was_counted(mouse):
    mouse.backend.move(3, 4)
    mouse.backend.move(3, 4)
    assert sent(mouse) == ""
    assert tell(mouse, 0xEB, 0xEB) == "fa 08 06 08 | fa 08 00 00"


def test_resend_repeats_the_last_packet(mouse):
    tell(mouse, 0xF4)
    mouse.backend.move(1, 1)
    assert sent(mouse) == "08 01 01"
    assert tell(mouse, 0xFE) == "08 01 01"


def test_enabling_forgets_what_moved_before(mouse):
    mouse.backend.move(9, 9)
    tell(mouse, 0xF4)
    mouse.backend.move(1, 1)
    assert sent(mouse) == "08 01 01"


def test_buttons_alone_make_a_packet_and_no_change_makes_none(mouse):
    tell(mouse, 0xF4)
    mouse.backend.press(5)
    mouse.backend.press(5)
    mouse.backend.move(0, 0)
    assert sent(mouse) == "0d 00 00"


def test_a_slow_host_gets_five_packets_and_then_the_sum(mouse):
    tell(mouse, 0xF4)
    for _ in range(20):
        mouse.backend.move(1, 0)
    assert sent(mouse) == "08 01 00 " * 5 + "08 0f 00"


@pytest.mark.parametrize(
    ("rates", "kind"),
    [
        ((200, 100, 80), "03"),
        ((200, 200, 80), "04"),
        ((200, 80, 100), "00"),
        ((60, 200, 100, 80), "03"),
    ],
)
def test_the_knock_turns_it_into_a_wheel_mouse(mouse, rates, kind):
    knock(mouse, *rates)
    assert tell(mouse, 0xF2) == f"fa {kind}"
    tell(mouse, 0xFF)
    assert tell(mouse, 0xF2) == "fa 00"


@pytest.mark.parametrize(
    ("rates", "steps", "buttons", "packet"),
    [
        ((200, 100, 80), -1, 0, "08 00 00 ff"),
        ((200, 100, 80), 1000, 0, "08 00 00 7f"),
        ((200, 200, 80), 1, 0x18, "08 00 00 31"),
        ((200, 200, 80), -100, 0x08, "08 00 00 18"),
    ],
)
def test_a_wheel_mouse_sends_a_fourth_byte(mouse, rates, steps, buttons, packet):
    knock(mouse, *rates)
    mouse.move(0, 0, buttons)
    tell(mouse, 0xF4)
    mouse.backend.scroll(steps)
    assert sent(mouse) == packet


def test_a_plain_mouse_says_nothing_of_its_wheel(mouse):
    tell(mouse, 0xF4)
    mouse.backend.scroll(1)
    assert sent(mouse) == "08 00 00"


@given(
    st.lists(
        st.one_of(st.integers(0, 255), st.tuples(st.integers(), st.integers(), st.integers(0, 31)))
    )
)
def test_whatever_happens_nothing_grows(events):
    mouse = Ps2Mouse()
    for event in events:
        mouse.receive(event) if isinstance(event, int) else mouse.move(*event)
        assert len(mouse._data) <= 16
        assert len(mouse._replies) <= 5
        assert all(0 <= byte <= 255 for byte in mouse.waiting)


def test_it_says_what_it_is(mouse):
    assert repr(mouse) == "Ps2Mouse(type 0, 0 bytes waiting)"
