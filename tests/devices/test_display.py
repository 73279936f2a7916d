"""The Bochs display: registers that keep what is written, and the picture that they make."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends.screen import Screen
from virtlab.bus import AddressSpace
from virtlab.devices.display import (
    BIG_ENDIAN,
    LENGTH,
    LITTLE_ENDIAN,
    VRAM,
    BochsDisplay,
    BochsDisplayFunction,
    DispiRegisters,
    VideoMemory,
)
from virtlab.wire import all_ones

SMALL = 64 << 10
ENABLED = DispiRegisters.ENABLE.ENABLED.mask


def setup(display, **values):
    """Write registers by name, whole."""
    for name, value in values.items():
        reg = getattr(DispiRegisters, name)
        display.write(reg.offset, reg.width, value)


@pytest.fixture
def display():
    """64 KiB, in which 64 by 64 pixels of 32 bits are a quarter."""
    made = BochsDisplay(SMALL)
    setup(made, XRES=64, YRES=64, BPP=32, ENABLE=ENABLED)
    return made


# -- registers


def test_it_says_its_version_and_its_memory():
    display = BochsDisplay()
    assert display.read(0x500, 2) == 0xB0C5
    assert display.read(0x514, 2) == VRAM >> 16 == 64
    setup(display, ID=0xB0C0, VIDEO_MEMORY_64K=1, EXTENSION_SIZE=0)
    assert (display.ID, display.VIDEO_MEMORY_64K, display.EXTENSION_SIZE) == (0xB0C5, 64, 8)


@pytest.mark.parametrize("index", range(1, 10))
def test_the_others_keep_what_is_written(index):
    display = BochsDisplay()
    display.write(0x500 + 2 * index, 2, 0xA55A)
    assert display.read(0x500 + 2 * index, 2) == 0xA55A


def test_two_registers_fit_in_one_access():
    display = BochsDisplay()
    display.write(0x504, 4, 32 << 16 | 480)
    assert (display.YRES, display.BPP) == (480, 32)


def test_the_byte_order_has_two_values():
    display = BochsDisplay()
    for value, kept in ((BIG_ENDIAN, BIG_ENDIAN), (7, BIG_ENDIAN), (LITTLE_ENDIAN, LITTLE_ENDIAN)):
        setup(display, BYTE_ORDER=value)
        assert display.read(0x604, 4) == kept


@pytest.mark.parametrize("vram", [0, 3 << 20, 32 << 10, 512 << 20])
def test_memory_is_a_power_of_two(vram):
    with pytest.raises(ValueError, match="power of two"):
        BochsDisplay(vram)


# -- the memory


def test_a_load_gives_what_the_last_store_put():
    memory = VideoMemory(SMALL)
    memory.write(0x100, 8, 0x1122_3344_5566_7788)
    assert memory.read(0x104, 4) == 0x1122_3344
    assert memory.bytes[0x100] == 0x88


@pytest.mark.parametrize("offset", [-1, SMALL - 3, SMALL])
def test_outside_there_is_nothing(offset):
    memory = VideoMemory(SMALL)
    memory.write(offset, 4, 0)
    assert memory.read(offset, 4) == 0xFFFF_FFFF
    assert not memory.bytes.any()


# -- the picture


def test_32_bits_are_blue_green_red(display):
    display.vram.write(0, 4, 0x00FF_8001)
    assert display.screen.pixels()[0, 0].tolist() == [0xFF, 0x80, 0x01]
    assert display.screen.pixels().shape == (64, 64, 3)


def test_big_endian_pixels_stand_the_other_way_round(display):
    display.vram.write(0, 4, int.from_bytes(b"\x00\xff\x80\x01", "little"))
    setup(display, BYTE_ORDER=BIG_ENDIAN)
    assert display.screen.pixels()[0, 0].tolist() == [0xFF, 0x80, 0x01]


@pytest.mark.parametrize(
    ("word", "colour"),
    [
        (0xFFFF, [255, 255, 255]),
        (0xF800, [255, 0, 0]),
        (0x07E0, [0, 255, 0]),
        (0x001F, [0, 0, 255]),
        (0x0841, [8, 8, 8]),
    ],
)
def test_16_bits_are_5_6_5_spread_over_the_range(display, word, colour):
    setup(display, BPP=16, BYTE_ORDER=BIG_ENDIAN)
    display.vram.write(2, 2, word)
    assert display.screen.pixels()[0, 1].tolist() == colour


def test_offsets_say_where_the_picture_begins(display):
    setup(display, VIRT_WIDTH=100, X_OFFSET=3, Y_OFFSET=2)
    display.vram.write(4 * (2 * 100 + 3), 4, 0x0000_0001)
    display.vram.write(4 * (65 * 100 + 66), 4, 0x0000_0002)
    pixels = display.screen.pixels()
    assert (pixels[0, 0, 2], pixels[63, 63, 2]) == (1, 2)
    assert display.screen.mode.stride == 400


def test_lines_are_never_closer_than_the_picture_is_wide(display):
    setup(display, VIRT_WIDTH=10)
    display.vram.write(4 * 64, 4, 1)
    assert display.screen.pixels()[1, 0, 2] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ENABLE": 0},
        {"ENABLE": all_ones(2) & ~ENABLED},
        {"BPP": 0},
        {"BPP": 8},
        {"BPP": 24},
        {"XRES": 63},
        {"YRES": 63},
        {"YRES": 257},
        {"VIRT_WIDTH": 257},
        {"Y_OFFSET": 193},
        {"Y_OFFSET": 192, "X_OFFSET": 1},
        {"XRES": 0xFFFF, "YRES": 0xFFFF},
    ],
)
def test_what_makes_no_picture(display, wrong):
    assert display.screen.pixels() is not None
    setup(display, **wrong)
    assert display.screen.pixels() is None
    assert display.screen.mode is None
    assert repr(display.screen) == "Screen(no signal)"


@pytest.mark.parametrize(
    "last", [{"YRES": 256}, {"VIRT_WIDTH": 256}, {"Y_OFFSET": 192}, {"YRES": 255, "X_OFFSET": 64}]
)
def test_what_just_fits(display, last):
    setup(display, **last)
    assert display.screen.pixels() is not None


def test_a_screen_says_what_it_shows(display):
    assert repr(display.screen) == "Screen(64x64x32)"
    assert repr(Screen()) == "Screen(no signal)"


# -- the function


def test_the_function_has_two_bars_and_resets_the_registers():
    screen = Screen()
    function = BochsDisplayFunction(SMALL, screen)
    assert function.screen is screen
    assert function.config.read(0x08, 4) == 0x0380_0002
    assert function.config.read(0x10, 1) & 0xF == 0x8
    setup(function.display, XRES=1)
    function.display.vram.write(0, 1, 7)
    function.reset()
    assert (function.display.XRES, function.display.vram.read(0, 1)) == (0, 7)


# -- a hostile guest

words = st.one_of(
    st.integers(0, all_ones(4)), st.sampled_from([64, 65, 128, 16, 32, 1, BIG_ENDIAN])
)
offsets = st.one_of(
    st.sampled_from([reg.offset for reg in DispiRegisters.registers]), st.integers(0, LENGTH - 1)
)


@given(st.lists(st.tuples(st.booleans(), offsets, st.sampled_from([1, 2, 4, 8]), words)))
def test_no_access_raises_out_of_the_bus_and_no_mode_out_of_the_screen(accesses):
    display = BochsDisplay(SMALL)
    memory = AddressSpace("memory", 52)
    memory.map(0, LENGTH, display, "display", width=4)
    memory.map(SMALL, SMALL, display.vram, "vram", width=8)
    setup(display, XRES=64, YRES=64, BPP=32, ENABLE=ENABLED)
    for in_memory, offset, size, value in accesses:
        base = SMALL if in_memory else 0
        memory.write(base + offset, size, value)
        assert 0 <= memory.read(base + offset, size) <= all_ones(size)
    pixels = display.screen.pixels()
    assert pixels is None or pixels.dtype == np.uint8
    assert pixels is None or pixels.nbytes <= SMALL // 2 * 3


@given(st.integers(-16, 2 * LENGTH), st.integers(1, 8), st.integers(0))
def test_called_directly_it_takes_any_offset_and_size(offset, size, value):
    for device in (BochsDisplay(SMALL), VideoMemory(LENGTH)):
        device.write(offset, size, value)
        assert 0 <= device.read(offset, size) <= all_ones(size)
