"""The rows of a walk: each entry by its bytes, its fields, and where it leads."""

import pytest

from tests.oracles.vtd_worlds import EDU, EDU2, FRAMES
from tests.show.vtd_scene import IOVA, Scene
from virtlab.iommu.layouts import CONTEXT, TranslationType
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import translate
from virtlab.memory import PAGE
from virtlab.show.vtd_rows import in_characters, in_words, verdict


@pytest.fixture
def scene():
    return Scene()


NAMES = {
    levels: ["root entry", "context entry", *(f"level {n}" for n in range(levels, 0, -1))]
    for levels in (3, 4, 5)
}


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_a_walk_has_a_row_for_each_entry(levels):
    """3.4.2, 3.7: root, context, then a table for each level."""
    scene = Scene(levels=levels)
    view = scene.look(IOVA + 0x123, write=True)
    assert [row.name for row in view.rows] == NAMES[levels]
    assert (view.missing, view.reason, view.gpa, view.size) == ((), None, FRAMES + 0x123, PAGE)
    walk = translate(*scene.tables, EDU, IOVA + 0x123, True)
    assert [row.entry_at for row in view.rows] == [step.entry_at for step in walk.steps]


def test_a_row_shows_the_bytes_of_memory_and_what_they_mean(scene):
    view = scene.look()
    for row in view.rows:
        assert row.raw == scene.ram.read(row.entry_at, len(row.raw))
    root, context, top, *_, last = view.rows
    assert (root.chooser, root.number, root.fields) == ("bus 00h", 0, "P=1")
    assert root.leads == f"context table {context.entry_at & -PAGE:#x}"
    assert (context.chooser, context.number) == ("device 5, fn 0", EDU)
    assert context.fields == f"P=1 FPD=0 TT=0 AW=2 DID={scene.domain.number}"
    assert context.leads == f"4 levels from {scene.domain.table:#x}"
    assert top.chooser == "bits 47:39 = 0x0"
    assert top.fields == "R=1 W=1 PS=0"
    assert (last.chooser, last.number) == ("bits 20:12 = 0x1", 1)
    assert (last.fields, last.leads) == ("R=1 W=1", f"page {FRAMES:#x}, 4 KiB")


@pytest.mark.parametrize(("size", "missing"), [(2 << 20, 1), (1 << 30, 2)])
def test_a_large_page_ends_the_walk_early(scene, size, missing):
    """3.7: PS in an entry of level 2 or 3."""
    scene.vtd.map(scene.domain, 1 << 32, 1 << 31, size)
    view = scene.look((1 << 32) + 0x5_4321)
    assert view.missing == tuple(f"level {n}" for n in range(missing, 0, -1))
    assert (view.gpa, view.size) == ((1 << 31) + 0x5_4321, size)
    assert view.rows[-1].fields == "R=1 W=1 PS=1"
    assert view.rows[-1].leads == f"page {1 << 31:#x}, {'2 MiB' if missing == 1 else '1 GiB'}"


def test_what_is_passed_through_needs_no_level(scene):
    """9.3, TT = 2."""
    scene.vtd.pass_through(EDU2)
    view = scene.look(0x1234, source=EDU2)
    assert [row.name for row in view.rows] == NAMES[4][:2]
    assert (view.missing, view.gpa, view.rows[-1].leads) == ((), 0x1234, "pass through")


BREAKS = [
    ("root entry", 1, Reason.ROOT_NOT_PRESENT, "nothing"),
    ("root entry", 1 << 5, Reason.ROOT_RESERVED, "context table"),
    ("context entry", 1, Reason.CONTEXT_NOT_PRESENT, "nothing"),
    ("context entry", 3 << 2, Reason.CONTEXT_INVALID, "reserved"),
    ("context entry", 1 << 5, Reason.CONTEXT_RESERVED, "levels from"),
    ("level 2", 1 << 40, Reason.PAGING_ACCESS, "table"),
    ("level 1", 3, Reason.READ, "nothing"),
    ("level 1", 1 << 50, Reason.PAGING_RESERVED, "page"),
]


@pytest.mark.parametrize(("name", "mask", "reason", "leads"), BREAKS)
def test_the_last_row_is_the_entry_that_stops_the_walk(scene, name, mask, reason, leads):
    """7.1.3: a table that is not in memory stops it at the entry that names it."""
    place = NAMES[4].index(name)
    scene.turn(scene.look().rows[place], mask)
    view = scene.look()
    assert view.reason is reason
    assert [row.name for row in view.rows] == NAMES[4][: place + 1]
    assert leads in view.rows[-1].leads
    # Below a context that is not valid nobody knows how many levels there are, but its AW says.
    assert view.missing in (tuple(NAMES[4][place + 1 :]), ("context entry",))
    assert verdict(view) == f"fault {int(reason):#x}: {reason.meaning}"


@pytest.mark.parametrize(
    ("name", "bit"), [("root entry", 5), ("context entry", 6), ("level 1", 50), ("level 3", 11)]
)
def test_a_reserved_bit_is_named(scene, name, bit):
    row = next(row for row in scene.look().rows if row.name == name)
    scene.turn(row, 1 << bit)
    assert scene.look().rows[-1].fields.endswith(f"reserved bit {bit}")


def test_a_device_tlb_is_said(scene):
    row = scene.look().rows[1]
    scene.turn(row, CONTEXT.TT.put(0, TranslationType.DEVICE_TLB))
    assert scene.look().rows[1].leads.endswith(", translate, device TLB")


def test_a_read_only_page_refuses_a_write(scene):
    scene.turn(scene.look().rows[-1], 2)
    assert scene.look(write=False).reason is None
    assert scene.look(write=True).reason is Reason.WRITE


def test_an_address_with_too_many_bits_stops_behind_the_context(scene):
    view = scene.look(1 << 50)
    assert (view.reason, len(view.rows)) == (Reason.BEYOND_WIDTH, 2)


def test_addresses_of_interrupts_meet_no_table(scene):
    """3.14."""
    view = scene.look(0xFEE0_0000)
    assert (view.reason, view.rows) == (Reason.INTERRUPT_REQUEST, ())
    assert view.missing == ("root entry", "context entry")


def test_a_requester_that_nobody_attached(scene):
    view = scene.look(source=0x0100)
    assert (view.reason, view.missing) == (Reason.ROOT_NOT_PRESENT, ("context entry",))
    assert view.who == "01:00.0"
    assert in_words(view).startswith(
        "01:00.0 asks to read at iova 0x40001000. The tables, 1 entry:"
    )


def test_words_and_characters(scene):
    view = scene.look(write=True)
    assert in_words(view) == (
        "00:05.0 asks to write at iova 0x40001000. The tables, 6 entries: "
        f"gpa {FRAMES:#x}, in a page of 4 KiB."
    )
    lines = in_characters(view, "title").splitlines()
    assert lines[0] == "title"
    assert len(lines) == 1 + 6 + 1
    assert view.rows[3].raw.hex(" ") in lines[4]
    scene.turn(view.rows[0], 1)
    assert in_characters(scene.look(), "t").splitlines()[2] == "context entry  not read"
