"""The builder: valid XML whatever the text, numbers without noise."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show.shapes import arrow, cross, dots, hatch, legend
from virtlab.show.svg import (
    breadth,
    caption,
    element,
    escape,
    fit,
    number,
    picture,
    rect,
    visible,
    write,
)


@given(st.text(alphabet=st.characters()))
def test_any_text_gives_valid_xml(words):
    made = element("text", escape(words), aria_label=words)
    assert ElementTree.fromstring(made).attrib.get("aria-label", "") == visible(words)


def test_control_characters_show_as_signs():
    assert visible("a\x1b[0m\r\n\x7f") == "a␛[0m␍␊\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (-0.001, "0"),
        (10, "10"),
        (100.0, "100"),
        (-2.5, "-2.5"),
        (1 / 3, "0.33"),
    ],
)
def test_numbers_have_no_noise(value, shown):
    assert number(value) == shown


@given(st.text(max_size=80), st.floats(0, 400))
def test_fitted_text_fits(words, width):
    short = fit(words, width)
    assert short == words or short == "…" or breadth(short) <= width


def test_empty_attributes_go():
    assert element("g", a="", b=0) == '<g b="0"/>'


def test_a_picture_of_everything_keeps_the_rules():
    parts = [
        rect(30, 70, 50, 20),
        write(30, 130, "words", bold=True, mono=True, halo="#FFFFFF"),
        arrow(100, 80, 200, both=True),
        arrow(200, 100, 100),
        cross(300, 80),
        hatch(320, 70, 50, 30),
        dots(400, 70, 50, 30),
        legend(160, [(rect(0, 0, 20, 18), "a"), (rect(0, 0, 20, 18), "b")]),
        caption(180, "said small"),
    ]
    drawn = picture("A title", 200, parts, "in words", "All parts")
    root = check_picture(drawn)
    assert root.attrib["aria-label"] == "All parts"
    assert words_of(drawn) == ["A title", "words", "a", "b", "said small"]


def test_the_label_is_what_a_screen_reader_speaks():
    root = check_picture(picture("A title", 100, [], "words", "a & b"))
    assert root.attrib["aria-label"] == "a & b"


@given(st.floats(1, 300), st.floats(1, 300))
def test_a_hatch_stays_inside_its_box(width, height):
    path = hatch(0, 0, width, height)
    for pair in path.partition('d="')[2].partition('"')[0].replace("L", "M").split("M")[1:]:
        x, y = map(float, pair.split())
        assert -0.01 <= x <= width + 0.01
        assert -0.01 <= y <= height + 0.01
