"""Bars: lengths in proportion, numbers exact."""

import pytest

from tests.show.looks import SVG, check_picture, words_of
from virtlab.show import bars


def test_lengths_are_in_proportion_and_numbers_exact():
    drawn = bars("Cost", {"ports": 20, "memory": 5, "none": 0}, "instructions")
    root = check_picture(drawn)
    widths = [float(r.attrib["width"]) for r in root.iter(f"{SVG}rect") if r.attrib["rx"] == "0"]
    assert widths[0] == pytest.approx(4 * widths[2], rel=1e-3)
    assert {"20 instructions", "5 instructions", "0 instructions"} <= set(words_of(drawn))
    assert drawn.text.splitlines()[2] == "memory  ########## 5 instructions"


def test_one_is_singular_and_a_ratio_needs_no_unit():
    assert "1 exit" in words_of(bars("x", {"a": 1}, "exits"))
    assert "2.5" in words_of(bars("x", {"a": 2.5}))


def test_a_formula_is_marked():
    drawn = bars("x", {"measured": 3, "other": 1}, expected={"measured": 4})
    check_picture(drawn)
    assert "(formula: 4)" in drawn.text
    assert "the thick mark: the formula" in words_of(drawn)


def test_long_names_many_bars_and_zeros_still_draw():
    check_picture(bars("x" * 200, {f"{'long name ' * 8}{i}": 0 for i in range(7)}, "accesses"))


@pytest.mark.parametrize("counts", [{}, {"a": -1}])
def test_nothing_and_negative_counts_are_refused(counts):
    with pytest.raises(ValueError, match="one or more counts"):
        bars("x", counts)
