"""The colours: enough contrast for every reader."""

import re
from pathlib import Path

import pytest

from virtlab.show import palette
from virtlab.show.palette import PAIRS, contrast


@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out_from_its_background(text, ground):
    assert contrast(text, ground) >= 4.5


def test_contrast_is_what_wcag_defines():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)
    assert contrast("#0A0A0A", "#0A0A0A") == 1


def test_the_strong_colours_are_okabe_and_itos():
    strong = ["BLACK", "ORANGE", "SKY", "GREEN", "YELLOW", "BLUE", "VERMILLION", "PURPLE"]
    assert [getattr(palette, name) for name in strong] == [
        *("#000000", "#E69F00", "#56B4E9", "#009E73"),
        *("#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
    ]


def test_no_picture_brings_a_colour_of_its_own():
    folder = Path(palette.__file__).parent
    others = [path for path in folder.glob("*.py") if path.name not in ("palette.py", "screen.py")]
    hexadecimal = re.compile('"#[0-9a-fA-F]{6}"')
    assert not [path.name for path in others if hexadecimal.search(path.read_text("utf-8"))]
