"""The text screen's picture says what its bytes say."""

from xml.etree import ElementTree

import pytest

from virtlab.devices.text_screen import TextScreen
from virtlab.show.screen import COLOURS, text_screen


def test_characters_and_colours_come_from_the_bytes():
    screen = TextScreen()
    screen.write(0, 4, 0x1F42_0C41)  # A bright red on black, B white on blue
    drawn = text_screen(screen.cells, 2)
    root = ElementTree.fromstring(drawn.svg)
    letters = {e.text: e.attrib["fill"] for e in root.iter() if e.text in ("A", "B")}
    assert letters == {"A": COLOURS[12], "B": COLOURS[15]}
    assert any(e.attrib.get("fill") == COLOURS[1] for e in root.iter())
    assert drawn.text == "AB"


def test_a_blank_screen_says_so():
    assert text_screen(TextScreen().cells).text == "(the screen is blank)"


@pytest.mark.parametrize("rows", [0, 26])
def test_rows_are_checked(rows):
    with pytest.raises(ValueError, match="1 to 25 rows"):
        text_screen(TextScreen().cells, rows)
