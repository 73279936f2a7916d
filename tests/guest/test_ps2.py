"""The driver of keyboard and mouse, in every world; then against broken hardware."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.cpu import Recorder
from virtlab.devices.i8042.keys import KEYS
from virtlab.guest.pic import Pics
from virtlab.guest.ps2 import Ps2
from virtlab.guest.ps2_events import KeyDecoder, KeyEvent, MouseEvent, PacketDecoder
from virtlab.machine import lesson_pc

SHORT = 20_000_000
"""Nanoseconds to wait for an interrupt that must not come."""


@pytest.fixture
def ps2(world):
    driver = Ps2(world.cpu)
    driver.start()
    return driver


def taps(*names):
    return [KeyEvent(name, down) for name in names for down in (True, False)]


def keys(driver):
    """Every key event that waits."""
    events = []
    while (event := driver.read_key()) is not None:
        events.append(event)
    return events


# -- in every world


def test_start_finds_everything(ps2):
    assert (ps2.has_keyboard, ps2.has_mouse, ps2.has_wheel) == (True, True, True)
    assert ps2.command_byte == 0x47
    assert repr(ps2) == "Ps2(keyboard, mouse, wheel)"


def test_starting_twice_finds_it_again(ps2):
    ps2.start()
    assert ps2.has_keyboard
    assert ps2.has_mouse


def test_nothing_pressed_is_no_event(ps2):
    assert ps2.read_key() is None
    assert ps2.read_mouse() is None


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "SHIFT_L",
        "UP",
        "ENTER",
        "KP_ENTER",
        "CTRL_R",
        "PRINT",
        "PAUSE",
        "F12",
        "META_L",
        "SPACE",
        "GRAVE",
    ],
)
def test_a_key_goes_down_and_up(world, ps2, name):
    world.keyboard.tap(name)
    assert keys(ps2) == taps(name)


def test_a_word(world, ps2):
    events = []
    for letter in "VIRTLAB":
        world.keyboard.tap(letter)
        events += keys(ps2)
    assert events == taps(*"VIRTLAB")


def test_keys_overlap(world, ps2):
    for act, name in (
        (world.keyboard.press, "SHIFT_L"),
        (world.keyboard.press, "A"),
        (world.keyboard.release, "SHIFT_L"),
        (world.keyboard.release, "A"),
    ):
        act(name)
    assert keys(ps2) == [
        KeyEvent("SHIFT_L", True),
        KeyEvent("A", True),
        KeyEvent("SHIFT_L", False),
        KeyEvent("A", False),
    ]


@pytest.mark.parametrize(("dx", "dy"), [(5, 3), (-5, 3), (5, -3), (-100, -100), (0, 1)])
def test_the_mouse_moves(world, ps2, dx, dy):
    world.mouse.move(dx, dy)
    assert ps2.read_mouse() == MouseEvent(dx, dy, 0, 0)
    assert ps2.read_mouse() is None


def test_the_mouses_buttons(world, ps2):
    seen = []
    for buttons in (1, 2, 4, 7, 0):
        world.mouse.press(buttons)
        while (event := ps2.read_mouse()) is not None:
            last = event
        seen.append(last.buttons)
    assert seen == [1, 2, 4, 7, 0]


def test_a_key_pressed_before_a_command_is_not_lost(world, ps2):
    world.keyboard.press("A")
    assert ps2.command(0xED, 0x07) == b""
    assert ps2.command(0xF2, aux=True, answers=1) == b"\x03"
    assert keys(ps2) == [KeyEvent("A", True)]


def test_the_keyboard_says_who_it_is_translated(ps2):
    assert ps2.command(0xF5) == b""
    assert ps2.command(0xF2, answers=2) == b"\xab\x41"


def test_keys_by_interrupt(world, ps2):
    pics = Pics(world.cpu)
    pics.remap()
    ps2.listen(pics)
    world.keyboard.press("B")
    assert ps2.wait_key(pics) == KeyEvent("B", True)
    world.mouse.move(2, 2)
    world.keyboard.release("B")
    assert ps2.wait_key(pics) == KeyEvent("B", False)
    assert ps2.read_mouse() == MouseEvent(2, 2, 0, 0)
    assert ps2.wait_key(pics, SHORT) is None
    assert pics.in_service == 0


# -- on our board


@pytest.fixture
def board():
    return lesson_pc()


def test_it_polls_a_few_hundred_times(board):
    recorder = Recorder(board.cpu)
    Ps2(recorder).start()
    assert 50 < len(recorder.accesses) < 400


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_key(board, name):
    ps2 = Ps2(board.cpu)
    ps2.start()
    board.keyboard.tap(name)
    assert keys(ps2) == taps(name)


@pytest.mark.parametrize(
    ("held", "name"),
    [("CTRL_L", "PAUSE"), ("ALT_L", "PRINT"), ("SHIFT_R", "PRINT"), ("CTRL_R", "PRINT")],
)
def test_a_modifier_does_not_hide_a_key(board, held, name):
    ps2 = Ps2(board.cpu)
    ps2.start()
    board.keyboard.press(held)
    board.keyboard.tap(name)
    assert keys(ps2) == [KeyEvent(held, True), *taps(name)]


def test_the_wheel(board):
    ps2 = Ps2(board.cpu)
    ps2.start()
    board.mouse.scroll(-2)
    assert ps2.read_mouse() == MouseEvent(0, 0, -2, 0)


def test_keys_lost_to_a_full_buffer_do_not_confuse_the_next(board):
    ps2 = Ps2(board.cpu)
    ps2.start()
    board.keyboard.tap(*"ABCDEFGH")
    lost = keys(ps2)
    assert lost == taps(*"ABCDEFGH")[: len(lost)]
    assert 8 < len(lost) < 16
    board.keyboard.tap("Z")
    assert keys(ps2) == taps("Z")


def test_without_a_keyboard_the_mouse_still_works(board):
    board.i8042.keyboard.plugged = False
    ps2 = Ps2(board.cpu)
    ps2.start()
    assert (ps2.has_keyboard, ps2.has_mouse) == (False, True)
    assert ps2.command_byte == 0x56


def test_without_a_mouse_the_keyboard_still_works(board):
    board.i8042.mouse.plugged = False
    ps2 = Ps2(board.cpu)
    ps2.start()
    assert (ps2.has_keyboard, ps2.has_mouse) == (True, False)
    assert ps2.command_byte == 0x65
    board.keyboard.tap("A")
    assert keys(ps2) == taps("A")


def test_it_says_that_it_found_nothing():
    assert repr(Ps2(lesson_pc().cpu)) == "Ps2(nothing found yet)"


# -- broken hardware


class Broken:
    """A Cpu whose keyboard controller answers by a function of the command written last."""

    def __init__(self, status=0x10, data=0):
        self.status, self.data, self.reads = status, data, 0

    def inp(self, port, size=1):
        self.reads += 1
        assert self.reads < 100_000
        return self.status if port == 0x64 else self.data

    def out(self, port, value, size=1):
        pass


@pytest.mark.parametrize(
    ("hardware", "why"),
    [
        (Broken(status=0xFF, data=0xFF), "does not take 0xad"),
        (Broken(status=0x00), "keyboard does not answer"),
        (Broken(status=0x01, data=0xFC), "fails its self-test"),
    ],
)
def test_broken_hardware_is_a_timeout(hardware, why):
    with pytest.raises(TimeoutError, match=why):
        Ps2(hardware).start()


def test_a_device_that_always_asks_again_is_refused():
    with pytest.raises(TimeoutError, match="the keyboard refuses 0xf4"):
        Ps2(Broken(status=0x01, data=0xFE)).command(0xF4)
    with pytest.raises(TimeoutError, match="the mouse refuses 0xf4"):
        Ps2(Broken(status=0x21, data=0xFE)).command(0xF4, aux=True)


def test_a_device_that_talks_for_ever_is_no_answer():
    with pytest.raises(TimeoutError, match="only data comes"):
        Ps2(Broken(status=0x01, data=0x1C)).command(0xF4)


def test_a_full_output_buffer_that_never_empties_does_not_hang_the_driver():
    ps2 = Ps2(Broken(status=0x01, data=0x1E))
    ps2.flush()
    assert ps2.read_key() == KeyEvent("A", True)


def test_interrupts_without_a_key_come_to_an_end(board):
    class Nothing(Pics):
        def next_irq(self, timeout=0):
            return 1

        def eoi(self, irq):
            pass

    assert Ps2(board.cpu).wait_key(Nothing(board.cpu)) is None


# -- decoding


def test_a_code_of_no_key_is_dropped():
    decoder = KeyDecoder()
    assert [decoder.feed(byte) for byte in (0x7F, 0xE0, 0x2A, 0x1E)][-1] == KeyEvent("A", True)


@pytest.mark.parametrize("before", [[0xE1, 0x1D], [0xE1, 0x1D, 0xFF], [0xE0, 0x00]])
def test_a_broken_code_does_not_swallow_the_next_key(before):
    decoder = KeyDecoder()
    for byte in before:
        assert decoder.feed(byte) is None
    assert decoder.feed(0x30) == KeyEvent("B", True)


def test_a_packet_that_does_not_begin_with_bit_3_is_dropped():
    decoder = PacketDecoder()
    events = [decoder.feed(byte) for byte in (0x00, 0x07, 0x08, 0x01, 0x02)]
    assert events[-1] == MouseEvent(1, 2, 0, 0)


@pytest.mark.parametrize(
    ("packet", "event"),
    [
        ((0x38, 0xFF, 0xFE), (-1, -2, 0, 0)),
        ((0x08, 0xFF, 0x00), (255, 0, 0, 0)),
        ((0x18, 0x00, 0x00), (-256, 0, 0, 0)),
        ((0x0F, 0, 0, 0xFF), (0, 0, -1, 7)),
    ],
)
def test_packets(packet, event):
    decoder = PacketDecoder()
    decoder.length = len(packet)
    assert [decoder.feed(byte) for byte in packet][-1] == MouseEvent(*event)


@given(st.lists(st.integers(0, 255)))
def test_no_bytes_break_the_decoders(data):
    key, packet = KeyDecoder(), PacketDecoder()
    for byte in data:
        key.feed(byte)
        packet.feed(byte)
        assert len(key._code) < 3
        assert len(packet._packet) < 3


@given(st.lists(st.sampled_from(sorted(KEYS))))
def test_whatever_is_pressed_is_decoded(names):
    decoder, events = KeyDecoder(), []
    for name in names:
        for byte in KEYS[name].make(1) + KEYS[name].release(1):
            event = decoder.feed(byte)
            events += [event] if event else []
    assert events == taps(*names)
