"""The drawn walk: every row readable, as high for each view, the same bytes for the same view."""

import pytest

from tests.oracles.vtd_worlds import EDU
from tests.show.looks import SVG, check_picture, words_of
from tests.show.vtd_scene import IOVA, Scene
from virtlab.show.palette import VERMILLION
from virtlab.show.vtd_picture import Said, vtd_picture, vtd_walk


@pytest.fixture(scope="module")
def scene():
    made = Scene()
    made.vtd.map(made.domain, 1 << 40, 1 << 30, 1 << 30)
    return made


def test_it_shows_each_entry_and_the_end(scene):
    drawn = vtd_walk(*scene.tables, EDU, IOVA, write=True)
    check_picture(drawn)
    words = words_of(drawn)
    for row in scene.look().rows:
        assert {row.name, row.chooser, f"{row.entry_at:#x}", row.fields, row.leads} <= set(words)
        assert row.raw[:8].hex(" ") in words
    assert {"it arrives", "write", "00:05.0 writes at iova 0x40001000"} <= set(words)
    assert drawn.svg == vtd_walk(*scene.tables, EDU, IOVA, write=True).svg


def test_a_title_can_be_given(scene):
    assert "mine" in words_of(vtd_walk(*scene.tables, EDU, IOVA, title="mine"))


def test_what_was_not_read_is_said(scene):
    words = words_of(vtd_picture(scene.look(1 << 40)))
    assert words.count("not needed: the page is larger") == 2
    refused = vtd_picture(scene.look(IOVA, source=0x0100))
    check_picture(refused)
    assert {"not read", "it is refused", "fault 0x1: the root entry is not present"} <= set(
        words_of(refused)
    )


def test_only_what_stops_a_request_is_marked(scene):
    """The last entry and the end of a request that is refused; nothing of one that arrives."""

    def marked(drawn):
        root = check_picture(drawn)
        return sum(each.attrib.get("stroke") == VERMILLION for each in root.iter(f"{SVG}rect"))

    assert marked(vtd_picture(scene.look())) == 0
    assert marked(vtd_picture(scene.look(5))) == 2
    assert marked(vtd_picture(scene.look(0xFEE0_0000))) == 1


def test_every_view_is_as_high_as_its_slots(scene):
    views = [scene.look(iova, source=s) for iova in (IOVA, 1 << 40, 5) for s in (EDU, 0x0100)]
    heights = {check_picture(vtd_picture(view, slots=7)).attrib["height"] for view in views}
    assert len(heights) == 1
    assert len({vtd_picture(view).svg for view in views}) == len(views)


def test_the_lit_row_stands_out(scene):
    view = scene.look()
    pictures = [vtd_picture(view, lit=lit) for lit in (None, *range(6))]
    assert len({drawn.svg for drawn in pictures}) == 7
    for drawn in pictures:
        check_picture(drawn)


@pytest.mark.parametrize("place", range(6))
def test_a_row_that_stops_the_walk_can_be_lit(place):
    scene = Scene()
    scene.turn(scene.look().rows[place], 3)
    drawn = vtd_picture(scene.look(write=True), lit=place)
    check_picture(drawn)
    assert "it is refused" in words_of(drawn)


@pytest.mark.parametrize("stale", [False, True])
def test_what_the_unit_did_stands_below(scene, stale):
    drawn = vtd_picture(scene.look(), slots=7, said=Said("arrived at 0x80000", stale))
    check_picture(drawn)
    assert {"last request", "arrived at 0x80000"} <= set(words_of(drawn))
    assert ("stale" in words_of(drawn)) == stale
    assert drawn.text.endswith("last request: arrived at 0x80000, STALE") == stale
