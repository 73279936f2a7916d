"""The keyboard by itself: each command of the technical reference, and the 16-byte buffer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends import Keyboard
from virtlab.clock import MILLISECOND, Clock
from virtlab.devices.i8042 import Ps2Keyboard
from virtlab.devices.i8042.keys import KEYS
from virtlab.devices.i8042.link import Ps2Device


def sent(keyboard):
    """Everything the keyboard sends now."""
    out = b""
    while keyboard.ready:
        out += bytes([keyboard.send()])
    return out.hex(" ")


def tell(keyboard, *data):
    """Send bytes to the keyboard, and give what it answers to each."""
    answers = []
    for byte in data:
        keyboard.receive(byte)
        answers.append(sent(keyboard))
    return " | ".join(answers)


@pytest.fixture
def keyboard():
    return Ps2Keyboard()


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        ([0xED, 0x07], "fa | fa"),
        ([0xEE], "ee"),
        ([0xF0, 0x00], "fa | fa 02"),
        ([0xF0, 0x03, 0xF0, 0x00], "fa | fa | fa | fa 03"),
        ([0xF0, 0x04], "fa | fe"),
        ([0xF2], "fa ab 83"),
        ([0xF3, 0x20], "fa | fa"),
        ([0xF4], "fa"),
        ([0xF5], "fa"),
        ([0xF6], "fa"),
        ([0xF7, 0xF8, 0xF9, 0xFA], "fa | fa | fa | fa"),
        ([0xFB, 0x1C, 0x32], "fa | fa | fa"),
        ([0xFC, 0x02], "fa | fe"),
        ([0xFD, 0x1C], "fa | fa"),
        ([0xFF], "fa aa"),
        ([0xEF], "fe"),
        ([0x00], "fe"),
    ],
)
def test_each_command_is_answered(keyboard, data, answers):
    assert tell(keyboard, *data) == answers


def test_leds_and_typematic_are_stored(keyboard):
    tell(keyboard, 0xED, 0x05, 0xF3, 0x7F)
    assert (keyboard.leds, keyboard.typematic) == (5, 0x7F)
    tell(keyboard, 0xF6)
    assert (keyboard.leds, keyboard.typematic) == (5, 0x2B)
    tell(keyboard, 0xFF)
    assert keyboard.leds == 0


def test_a_command_in_the_place_of_an_option_replaces_the_old_one(keyboard):
    assert tell(keyboard, 0xED, 0xEE, 0x01) == "fa | ee | fe"
    assert keyboard.leds == 0


def test_resend_repeats_the_last_byte(keyboard):
    assert tell(keyboard, 0xFE) == "aa"
    assert tell(keyboard, 0xF2, 0xFE, 0xFE) == "fa ab 83 | 83 | 83"
    assert tell(keyboard, 0x01, 0xFE) == "fe | 83"


def test_a_new_command_throws_away_the_answer_to_the_old_one(keyboard):
    keyboard.receive(0xF2)
    keyboard.receive(0xEE)
    assert sent(keyboard) == "ee"


def test_answers_come_before_scan_codes(keyboard):
    keyboard.backend.press("A")
    keyboard.receive(0xEE)
    assert sent(keyboard) == "ee 1c"


@pytest.mark.parametrize(
    ("scan_set", "codes"),
    [
        (1, "1e 9e e0 48 e0 c8"),
        (2, "1c f0 1c e0 75 e0 f0 75"),
        (3, "1c 63"),
    ],
)
def test_keys_in_each_set(keyboard, scan_set, codes):
    tell(keyboard, 0xF0, scan_set)
    keyboard.backend.tap("A", "UP")
    assert sent(keyboard) == codes


def test_the_keys_of_set_3_can_be_told_to_break(keyboard):
    tell(keyboard, 0xF0, 3, 0xFC, 0x1C, 0x32)
    keyboard.backend.tap("A", "B", "C")
    assert sent(keyboard) == "1c f0 1c 32 f0 32 21"
    tell(keyboard, 0xFA)
    keyboard.backend.tap("C")
    assert sent(keyboard) == "21 f0 21"


def test_pause_sends_its_break_with_its_make(keyboard):
    keyboard.backend.tap("PAUSE")
    assert sent(keyboard) == "e1 14 77 e1 f0 14 f0 77"


def test_print_breaks_as_it_was_made(keyboard):
    keyboard.backend.press("ALT_L")
    keyboard.backend.press("PRINT")
    keyboard.backend.release("ALT_L")
    keyboard.backend.release("PRINT")
    assert sent(keyboard) == "11 84 f0 11 f0 84"


def test_f4_and_f5_start_and_stop_scanning(keyboard):
    tell(keyboard, 0xF5)
    keyboard.backend.tap("A")
    assert sent(keyboard) == ""
    tell(keyboard, 0xF4)
    keyboard.backend.tap("A")
    assert sent(keyboard) == "1c f0 1c"


@pytest.mark.parametrize("command", [0xF4, 0xF5, 0xF6, 0xFF])
def test_these_commands_empty_the_buffer(keyboard, command):
    keyboard.backend.tap("A")
    keyboard.receive(command)
    assert sent(keyboard).startswith("fa")
    assert "1c" not in keyboard.waiting.hex()


@pytest.mark.parametrize(("scan_set", "overrun"), [(1, "ff"), (2, "00"), (3, "00")])
def test_the_seventeenth_byte_is_an_overrun_code(keyboard, scan_set, overrun):
    tell(keyboard, 0xF0, scan_set, 0xF9)
    for _ in range(40):
        keyboard.backend.press("A")
    code = "1e" if scan_set == 1 else "1c"
    assert sent(keyboard) == " ".join([code] * 16 + [overrun])


def test_a_release_of_a_key_that_was_not_down_is_nothing(keyboard):
    keyboard.backend.release("A")
    assert sent(keyboard) == ""


def test_a_wrong_name_says_what_is_near(keyboard):
    with pytest.raises(ValueError, match=r"no key is called 'enter'; did you mean ENTER"):
        keyboard.backend.press("enter")
    with pytest.raises(ValueError, match=r"no key is called '€'$"):
        keyboard.backend.press("€")


def repeats(scan_set=2, typematic=None, key="A", kind=None):
    """When (in ms) a held key sends its code, in the first two seconds."""
    clock = Clock()
    keyboard = Ps2Keyboard(Keyboard(), clock)
    tell(keyboard, 0xF0, scan_set)
    if kind is not None:
        tell(keyboard, kind)
    if typematic is not None:
        tell(keyboard, 0xF3, typematic)
    keyboard.backend.press(key)
    times, end = [], clock.now + 2000 * MILLISECOND
    while clock.now < end:
        times += [clock.now // MILLISECOND] if sent(keyboard) else []
        clock.advance(MILLISECOND // 100 * 100)
    keyboard.backend.release(key)
    sent(keyboard)
    clock.advance(5000 * MILLISECOND)
    assert sent(keyboard) == ""
    return times


def test_a_held_key_repeats_after_half_a_second_11_times_a_second():
    times = repeats()
    assert times[:3] == [0, 500, 592]
    assert len(times) == 1 + 17


def test_typematic_7f_is_a_second_then_2_a_second():
    assert repeats(typematic=0x7F) == [0, 1000, 1501]


@pytest.mark.parametrize(
    "how", [{"key": "PAUSE"}, {"scan_set": 3, "kind": 0xF8}, {"scan_set": 3, "kind": 0xF9}]
)
def test_some_keys_do_not_repeat(how):
    assert len(repeats(**how)) == 1


def test_without_a_clock_nothing_repeats(keyboard):
    keyboard.backend.press("A")
    assert sent(keyboard) == "1c"


def test_the_last_key_down_is_the_one_that_repeats():
    clock = Clock()
    keyboard = Ps2Keyboard(Keyboard(), clock)
    keyboard.backend.press("A")
    keyboard.backend.press("B")
    sent(keyboard)
    clock.advance(500 * MILLISECOND)
    assert sent(keyboard) == "32"


def test_a_reset_stops_the_repetition():
    clock = Clock()
    keyboard = Ps2Keyboard(Keyboard(), clock)
    keyboard.backend.press("A")
    tell(keyboard, 0xFF)
    clock.advance(5000 * MILLISECOND)
    assert sent(keyboard) == ""


@given(st.lists(st.one_of(st.integers(0, 255), st.sampled_from(sorted(KEYS)))))
def test_whatever_happens_nothing_grows(events):
    keyboard = Ps2Keyboard()
    for event in events:
        keyboard.receive(event) if isinstance(event, int) else keyboard.backend.press(event)
        assert len(keyboard._data) <= 17
        assert len(keyboard._replies) <= 3


def test_a_device_must_say_what_its_commands_are():
    device = Ps2Device()
    for method in (device._command, device._is_command):
        with pytest.raises(NotImplementedError):
            method(0)
    with pytest.raises(NotImplementedError):
        device._option(0, 0)


def test_it_says_what_it_is(keyboard):
    assert repr(keyboard) == "Ps2Keyboard(set 2, 0 bytes waiting)"
