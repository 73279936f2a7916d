"""The picture of the worlds: what the lessons and the README show."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from virtlab.show.layers import LAYERS, layers
from virtlab.show.worlds import WORLDS, worlds

DOCS = Path(__file__).parents[2] / "docs"


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


@pytest.mark.parametrize(("name", "drawn"), [("worlds", worlds()), ("layers", layers())])
def test_the_documents_show_these_pictures(name, drawn):
    ElementTree.fromstring(drawn.svg)
    assert (DOCS / f"{name}.svg").read_text("utf-8") == drawn.svg + "\n"


def test_every_member_is_there():
    library = DOCS.parent / "virtlab"
    members = [member for layer in LAYERS for member in layer.members]
    there = {name for name in members if (library / name.rstrip("/")).is_dir()}
    there |= {name for name in members if (library / f"{name}.py").is_file()}
    assert set(members) <= there


def test_every_layer_and_member_is_in_the_picture():
    words = "".join(ElementTree.fromstring(layers().svg).itertext())
    for layer in LAYERS:
        assert layer.knows in words
        assert all(member in words and member in layers().text for member in layer.members)
