"""The frame buffer's picture: another program reads it, and its text says what is seen."""

import base64
import io

import numpy as np
import pytest
from matplotlib import image

from virtlab.backends.screen import Screen
from virtlab.devices.display import BochsDisplay, DispiRegisters
from virtlab.show.framebuffer import NO_SIGNAL, colours, frame_buffer, png


def read(photo):
    """The picture's pixels, as matplotlib finds them in the file."""
    return np.rint(image.imread(io.BytesIO(photo.png), "png")[:, :, :3] * 255).astype(np.uint8)


@pytest.fixture
def display():
    """64 by 64: black, with a red rectangle 8 wide and 4 high at 10, 20."""
    made = BochsDisplay(64 << 10)
    for name, value in (("XRES", 64), ("YRES", 64), ("BPP", 32), ("ENABLE", 1)):
        made.write(getattr(DispiRegisters, name).offset, 2, value)
    for y in range(20, 24):
        for x in range(10, 18):
            made.vram.write(4 * (64 * y + x), 4, 0xFF0000)
    return made


def test_the_pixels_are_the_screens(display):
    assert (read(frame_buffer(display.screen, zoom=1)) == display.screen.pixels()).all()


def test_a_small_picture_is_enlarged_by_a_whole_number(display):
    large = read(frame_buffer(display.screen))
    assert large.shape == (640, 640, 3)
    assert (large[::10, ::10] == display.screen.pixels()).all()
    assert (large[9::10, 9::10] == display.screen.pixels()).all()


def test_a_large_picture_is_not(display):
    display.write(DispiRegisters.XRES.offset, 2, 700)
    display.write(DispiRegisters.BPP.offset, 2, 16)
    display.write(DispiRegisters.YRES.offset, 2, 64)
    assert frame_buffer(display.screen).text == NO_SIGNAL  # 89,600 bytes are more than 65,536
    display.write(DispiRegisters.XRES.offset, 2, 500)
    assert read(frame_buffer(display.screen)).shape == (64, 500, 3)


def test_the_text_says_which_colours_are_where(display):
    assert frame_buffer(display.screen).text.split("\n") == [
        "64 by 64 pixels of 32 bits",
        "#000000   99.2 %  x 0 to 63, y 0 to 63",
        "#FF0000    0.8 %  x 10 to 17, y 20 to 23",
    ]


def test_many_colours_are_counted():
    pixels = np.zeros((2, 8, 3), np.uint8)
    pixels[0, :, 1] = range(8)
    lines = colours(pixels)
    assert lines[0] == "#000000   56.2 %  x 0 to 7, y 0 to 1"
    assert lines[1].startswith("#000100")
    assert (len(lines), lines[-1]) == (7, "and 2 more colours")
    assert colours(pixels[:, :7])[-1] == "and 1 more colour"


def test_no_signal_is_dark_and_says_so():
    photo = frame_buffer(Screen())
    assert repr(photo) == photo.text == NO_SIGNAL
    assert not read(photo).any()


def test_a_notebook_gets_the_picture_and_its_words(display):
    photo = frame_buffer(display.screen)
    data, metadata = photo._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == photo.png
    assert data["text/plain"] == metadata["image/png"]["alt"] == repr(photo)


def test_the_same_pixels_give_the_same_bytes(display):
    assert frame_buffer(display.screen) == frame_buffer(display.screen)


@pytest.mark.parametrize("zoom", [-1, 17])
def test_zoom_is_checked(display, zoom):
    with pytest.raises(ValueError, match="zoom is 0 to 16"):
        frame_buffer(display.screen, zoom)


def test_one_pixel():
    file = png(np.array([[[1, 2, 3]]], np.uint8))
    assert file.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0")
    assert file.endswith(b"IEND\xae\x42\x60\x82")
