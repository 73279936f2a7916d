"""The picture of the worlds: what the lessons and the README show."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from virtlab.show.worlds import WORLDS, worlds

README_PICTURE = Path(__file__).parents[2] / "docs" / "worlds.svg"


def test_what_a_world_gave_stands_below_it():
    drawn = worlds({"virtual machine": "hello, 10 exits"})
    root = ElementTree.fromstring(drawn.svg)
    assert "virtual machine: hello, 10 exits" in root.attrib["aria-label"]
    assert "hello, 10 exits" in drawn.text
    assert "".join(root.itertext()).count("hello, 10 exits") == 1


def test_every_world_is_named_in_the_text():
    assert all(world.name in worlds().text for world in WORLDS)


def test_a_world_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no world 'mars'"):
        worlds({"mars": "?"})


def test_the_readme_shows_this_picture():
    assert README_PICTURE.read_text("utf-8") == worlds().svg + "\n"
