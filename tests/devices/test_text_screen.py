"""The text screen: a store is the output."""

from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.text_screen import BACKGROUND, FOREGROUND, LENGTH, TextScreen


def test_a_store_is_a_letter_on_the_screen():
    screen = TextScreen()
    screen.write(2 * (80 * 1 + 3), 2, 0x1F41)
    assert screen.text() == "\n   A"
    assert screen.rows()[1] == "   A"
    assert list(screen.cells[1, 3]) == [0x41, 0x1F]
    assert (BACKGROUND.get(0x1F), FOREGROUND.get(0x1F)) == (1, 15)


@given(st.integers(0, LENGTH + 16), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1))
def test_a_load_gives_the_last_store_and_nothing_raises(offset, size, value):
    screen = TextScreen()
    value &= (1 << 8 * size) - 1
    screen.write(offset, size, value)
    answer = screen.read(offset, size)
    inside = max(0, min(size, LENGTH - offset))
    low = (1 << 8 * inside) - 1
    assert answer & low == value & low
    assert answer >> 8 * inside == ((1 << 8 * size) - 1) >> 8 * inside


def test_clear_makes_blanks():
    screen = TextScreen()
    screen.write(0, 1, 0x41)
    screen.clear()
    assert screen.text() == ""
    assert screen.read(0, 2) == 0x0720
