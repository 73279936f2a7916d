"""Address decoding: one comparison for 8 aligned ports, many for an odd range."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show import Range, decode_picture


def test_a_uart_compares_13_of_16_lines():
    drawn = decode_picture(Range("uart", 0x3F8, 8))
    check_picture(drawn)
    assert drawn.text.splitlines()[1:] == [
        "uart · 0x3f8-0x3ff · 1 comparison, 13 of 16 lines",
        "  0000 0011 1111 1xxx",
    ]
    assert words_of(drawn).count("1") - 1 == 7  # and one in the key


def test_ports_and_memory_beside_each_other():
    drawn = decode_picture(Range("uart", 0x3F8, 8), Range("uart2", 0xFE034000, 32, bits=52))
    check_picture(drawn)
    assert "47 of 52 lines" in drawn.text
    assert {"x", "f", "e", "8+"} <= set(words_of(drawn))


def test_an_odd_range_takes_several_comparisons_and_few_are_drawn():
    drawn = decode_picture(Range("odd", 1, 0x7FFE))
    check_picture(drawn)
    assert "28 comparisons, 16+15+14+13+… of 16 lines" in drawn.text
    assert "and 22 more comparisons" in words_of(drawn)


def test_a_space_whose_width_is_no_multiple_of_four():
    drawn = decode_picture(Range("isa", 0x300, 4, bits=10))
    check_picture(drawn)
    assert drawn.text.splitlines()[-1] == "  11 0000 00xx"


def test_nothing_to_decode_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        decode_picture()
