"""The table of the benchmark as a chart: every row, its goals, and on which side of C."""

import json
import re

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show.batch_ratios import (
    PAPER,
    SHAPES,
    Ratio,
    as_file,
    mark,
    measured,
    ratio_picture,
    rows_of,
)

ROWS = [
    Ratio("fresh", 256, 4.0, 4.8, False),
    Ratio("fresh", 1024, 1.3, 1.5, True),
    Ratio("in order", 4096, 0.2, None, False),
    Ratio("in order", 32768, 0.01, None, False),
    Ratio("tables", 1024, 8.7, None, False),
]


def centres(svg, shape):
    """Where circles are, from left to right."""
    return sorted(float(x) for x in re.findall(rf'<{shape} cx="([0-9.]+)"', svg))


def test_the_file_has_every_row_and_every_gate_is_met():
    rows = measured()
    assert len(rows) > 40
    assert {each.batch for each in rows} == set(SHAPES)
    assert all(each.ratio > 0 for each in rows)
    assert all(each.ratio <= each.goal for each in rows if each.gate)
    assert sum(each.gate for each in rows) >= 10
    assert any(each.ratio > 10 for each in rows), "the bad rows are there too"


def test_a_new_file_comes_from_what_the_benchmark_prints():
    row = {"row": "fresh", "batch": 256, "against": "C", "ratio": 1.2345, "goal": 4.8, "gate": True}
    printed = [row, row | {"goal": None, "gate": False}, row | {"against": "pop and push"}]
    text = as_file(map(json.dumps, printed))
    assert text.count("\n") == 3
    expected = [Ratio("fresh", 256, 1.23, 4.8, True), Ratio("fresh", 256, 1.23, None, False)]
    assert rows_of("# where from\n" + text) == expected


def test_the_chart_of_the_file_is_a_picture():
    drawn = ratio_picture(measured())
    check_picture(drawn)
    assert not any("…" in word for word in words_of(drawn))


def test_each_row_once_with_its_marks_and_its_goals():
    drawn = ratio_picture(ROWS)
    check_picture(drawn)
    assert words_of(drawn).count("fresh") == 1
    assert drawn.svg.count(f'fill="{PAPER}" stroke="#1B2330" stroke-width="2"') == 2  # and the key
    assert "fresh       256    4.00   goal 4.8\n" in drawn.text
    assert "fresh      1024    1.30   goal 1.5 *" in drawn.text
    assert 'aria-label="Time in units of C: in 2 of 5 rows' in drawn.svg


def test_the_scale_is_logarithmic():
    (one,), (ten,) = (
        centres(ratio_picture([Ratio("a", 256, ratio, None, False)]).svg, "circle")[1:]
        for ratio in (1.0, 10.0)
    )
    (least,), (most,) = (
        centres(ratio_picture([Ratio("a", 256, ratio, None, False)]).svg, "circle")[1:]
        for ratio in (0.001, 1000.0)
    )
    assert ten - one == pytest.approx(one - least, abs=0.1)
    assert most - ten == pytest.approx(ten - one, abs=0.1)


def test_each_size_has_a_shape_of_its_own():
    drawn = {mark(size, 10, 10, PAPER, 1) for size in SHAPES}
    assert len(drawn) == len(SHAPES)
    assert mark(7, 10, 10, PAPER, 1) == mark(256, 10, 10, PAPER, 1)
