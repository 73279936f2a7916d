"""Who may reach what: the strips show the pages that the tables name, and no others."""

from importlib.resources import files

import pytest

from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES
from tests.show.looks import check_picture, words_of
from tests.show.vtd_scene import IOVA, Scene
from virtlab.course import inspect_vtd
from virtlab.memory import PAGE
from virtlab.show.vtd_domains import Reach, _runs, in_words, reaches, vtd_domains


@pytest.fixture
def scene():
    return Scene()


def test_a_domain_has_its_devices_and_its_pages(scene):
    scene.vtd.attach(EDU2, scene.domain)
    scene.vtd.map(scene.domain, IOVA + PAGE, FRAMES, PAGE)
    (row,) = reaches(*scene.tables)
    assert (row.number, row.sources) == (scene.domain.number, (EDU, EDU2))
    assert row.spans == ((FRAMES, PAGE), (FRAMES, PAGE))
    assert (row.pages, row.frames) == (2, 1)
    assert in_words(row) == "00:05.0 00:07.0: domain 1, 2 pages in 1 frames"


def test_a_frame_of_a_large_page_is_counted_once(scene):
    """512 frames of a page of 2 MiB; the small page is one of them."""
    scene.vtd.map(scene.domain, 1 << 32, FRAMES, 2 << 20)
    (row,) = reaches(*scene.tables)
    assert (row.pages, row.frames) == (513, 512)


def test_domains_that_are_passed_through_empty_or_wrong(scene):
    scene.vtd.pass_through(EDU2)
    scene.vtd.attach(0x0100, scene.vtd.new_domain())
    scene.vtd.attach(0x0101, scene.vtd.new_domain())
    scene.turn(scene.look(source=0x0101).rows[1], 3 << 2)
    rows = reaches(*scene.tables)
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.passed for row in rows] == [False, True, False]
    drawn = vtd_domains(*scene.tables)
    check_picture(drawn)
    assert {"2: all memory", "3: 0 pages", "00:07.0", "01:00.0"} <= set(words_of(drawn))
    assert "00:07.0: domain 2, passed through to all memory" in drawn.text


def test_pages_that_are_wrong_are_no_pages(scene):
    scene.turn(scene.look().rows[-1], 1 << 50)
    assert reaches(*scene.tables)[0].spans == ()


def test_no_domain_at_all():
    scene = Scene()
    scene.vtd.detach(EDU)
    drawn = vtd_domains(*scene.tables, title="nobody")
    check_picture(drawn)
    assert drawn.text == "nobody"


@pytest.mark.parametrize(
    ("spans", "runs"),
    [
        (((0, PAGE),), [(0, 0)]),
        (((0, 100 * PAGE),), [(0, 99)]),
        (((0, PAGE), (PAGE, PAGE), (5 * PAGE, 2 * PAGE)), [(0, 1), (5, 6)]),
        (((99 * PAGE, PAGE), (3 * PAGE, PAGE)), [(3, 3), (99, 99)]),
        ((), []),
    ],
)
def test_a_cell_is_dark_where_a_page_lies(spans, runs):
    """A strip of 100 cells, here of one page each."""
    assert list(_runs(Reach(1, (), spans), 100 * PAGE)) == runs


def test_too_many_devices_are_counted(scene):
    for source in (0x0100, 0x0101, 0x0102, 0x0103):
        scene.vtd.attach(source, scene.domain)
    drawn = vtd_domains(*scene.tables)
    check_picture(drawn)
    assert "00:05.0 +4" in words_of(drawn)


def test_the_domains_of_a_running_linux():
    """As `virtlab inspect vtd` lists them, which QEMU's own translations are held against."""
    unit = inspect_vtd.load(str(files("virtlab") / "data" / "vtd" / "vtd48_split.npz"))
    rows = reaches(unit.memory, unit.root, unit.capabilities)
    listed = {each.source_id: each for each in inspect_vtd.listing(unit, None)}
    assert {source for row in rows for source in row.sources} == set(listed)
    for row in rows:
        for source in row.sources:
            assert listed[source].context.domain == row.number
            assert [(page.gpa, page.size) for page in listed[source].pages] == list(row.spans)
    assert [(row.number, row.pages) for row in rows if row.pages] == [
        (5, 25),
        (6, 328),
        (7, 2),
        (8, 4096),
        (9, 59),
        (10, 2),
    ]
    check_picture(vtd_domains(unit.memory, unit.root, unit.capabilities))
