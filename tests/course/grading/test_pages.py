"""What pages are made of: texts that stay texts, names that are safe for files, colours."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.course.grading.reading import Seen
from virtlab.course.grading import pages, style
from virtlab.show.palette import contrast


@given(st.text(max_size=40))
def test_a_text_is_shown_and_nothing_else(text):
    markup = pages.tag("p", text, title=text or "x")
    (element,) = Seen(markup).elements
    shown = pages.visible(text)
    assert Seen(markup).text == shown
    assert element == ("p", {"title": shown or "x"})


def test_hidden_characters_show():
    assert pages.visible("a\x1b[0m\u202eb\ud800\r\n\tc") == "a␛[0m�b�␍\n\tc"


def test_markup_is_a_type_and_a_text_made_of_it_is_not():
    inside = pages.tag("b", "x")
    assert pages.tag("p", inside) == "<p><b>x</b></p>"
    assert pages.tag("p", f"{inside}") == "<p>&lt;b&gt;x&lt;/b&gt;</p>"


@pytest.mark.parametrize(("text", "ground"), style.PAIRS)
def test_text_stands_out_from_its_background_light_and_dark(text, ground):
    assert contrast(text, ground) >= 4.5


def test_a_plain_name_stays_and_any_other_gets_a_mark_of_its_own():
    assert pages.file_name("ada_01-b") == "ada_01-b"
    names = ["Ada", "ADA", "ada ", "../ada", "ada/ada", "..", ".", "", "con", "NUL.txt", "ada."]
    names += ["é", "e", pages.file_name("Ada"), "x" * 300, "x" * 301, "\ud800", "com1"]
    made = [pages.file_name(name) for name in names]
    assert len({name.lower() for name in made}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", name) for name in made)
    assert not {"con", "com1"} & set(made)


@given(st.text())
def test_any_name_is_one_folder_name(name):
    assert re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,59}", pages.file_name(name))


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (0.001, "1 %"), (0.5, "50 %"), (0.999, "99 %"), (1, "100 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share, said):
    assert pages.percent(share) == said


def test_numbers_have_their_noun():
    assert pages.count(1, "check") == "1 check"
    assert pages.count(0, "check") == "0 checks"
    assert [pages.points(value) for value in (2.5, 7.0, 0.333)] == ["2.5", "7", "0.33"]


def test_signs_are_those_that_html_knows():
    assert pages.escape("&<>\"'") == "&amp;&lt;&gt;&quot;&#39;"
    assert html.unescape(pages.escape("&<>\"'")) == "&<>\"'"
