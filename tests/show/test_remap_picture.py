"""The picture of a card's write: whose frame each arrow ends at, and the words that say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.palette import BLUE, VERMILLION
from virtlab.show.remap_picture import descriptor_table, remap_picture
from virtlab.show.remap_scene import HOST, explain, is_right, parts, survey, touched
from virtlab.trace import Event
from virtlab.vmm.dma_remap import Piece
from virtlab.vmm.virtual_machine import ScatteredRam


def vms():
    """A has frames 5, 6 and 2, B has 9 and 3; the rest of 12 is the host's."""
    host = GuestMemory(12 * PAGE)
    a = ScatteredRam(host, [5 * PAGE, 6 * PAGE, 2 * PAGE], [(0, 3 * PAGE)])
    return {"A": a, "B": ScatteredRam(host, [9 * PAGE, 3 * PAGE], [(0, 2 * PAGE)])}


def test_before_the_card_has_an_address_only_the_translation_is_drawn():
    scene = survey(vms(), [0x1004, 0x2000])
    assert scene.pages == (("A", 0x1000, 0x6000), ("A", 0x2000, 0x2000))
    assert [frame.hpa for frame in scene.frames] == [0x2000, 0x6000]
    drawn = remap_picture(scene)
    check_picture(drawn)
    assert "no address" in words_of(drawn)
    assert explain(scene) == "The card has written nothing."


def test_a_write_to_the_right_pages_is_right():
    scene = survey(vms(), [0xFF0, 0x1000, 0x2000], [Piece(0x5FF0, 32), Piece(0x2000, 8)])
    assert [(f.hpa, n) for f, n in parts(scene)] == [(0x5000, 16), (0x6000, 16), (0x2000, 8)]
    assert is_right(scene)
    assert explain(scene) == (
        "16 bytes landed in A's 0x0, 16 bytes landed in A's 0x1000,"
        " 8 bytes landed in A's 0x2000: right."
    )
    drawn = remap_picture(scene)
    check_picture(drawn)
    assert BLUE in drawn.svg
    assert VERMILLION not in drawn.svg


@pytest.mark.parametrize(
    ("piece", "whose"),
    [
        (Piece(0x9000, 8), "B's 0x0"),
        (Piece(0x4000, 8), "the host's own"),
        (Piece(0x2000, 8), "A's 0x2000"),
    ],
)
def test_a_write_to_any_other_page_is_wrong_even_to_one_of_its_own(piece, whose):
    scene = survey(vms(), [0x1000], [piece])
    assert not is_right(scene)
    assert explain(scene) == f"8 bytes landed in {whose}: wrong."
    drawn = remap_picture(scene)
    check_picture(drawn)
    assert VERMILLION in drawn.svg
    owners = {frame.hpa: frame.owner for frame in scene.frames}
    assert ("B" in owners.values()) == (whose == "B's 0x0")
    assert len(scene.pages) == 1 + (owners[piece.hpa] != HOST)


def test_what_has_not_landed_is_dashed():
    scene = survey(vms(), [0x1000], [Piece(0x6000, 8)], landed=False)
    assert explain(scene) == "8 bytes will land in A's 0x1000: right."
    assert "stroke-dasharray" in remap_picture(scene).svg
    landed = survey(vms(), [0x1000], [Piece(0x6000, 8)])
    assert "stroke-dasharray" not in remap_picture(landed).svg


def test_of_many_frames_the_first_three_are_told():
    scene = survey(vms(), [0], [Piece(0, 5 * PAGE)])
    assert explain(scene).endswith(", and 2 more: wrong.")
    check_picture(remap_picture(scene))


def test_a_page_that_the_vm_has_not_is_not_drawn():
    scene = survey(vms(), [0x9000])
    assert scene.pages == scene.frames == ()
    check_picture(remap_picture(scene))


@given(st.lists(st.tuples(st.integers(0, 11 * PAGE), st.integers(1, PAGE)), max_size=5))
def test_the_picture_keeps_the_rules_whatever_the_card_writes(pieces):
    scene = survey(vms(), [0, 0x1000], [Piece(*piece) for piece in pieces])
    drawn = remap_picture(scene)
    check_picture(drawn)
    assert sum(n for _, n in parts(scene)) == sum(n for _, n in pieces)
    assert remap_picture(scene) == drawn


def test_what_a_card_touched_is_read_from_the_trace():
    events = [
        Event(0, 0, "dma read", "edu", "memory", 0x1000, 8),
        Event(1, 0, "dma write", "edu", "memory", 0x5000, 16),
        Event(2, 0, "dma write", "IDE", "memory", 0x9000, 4),
        Event(3, 0, "dma write", "edu", "memory", 0x5010, 16),
        Event(4, 0, "dma write", "edu", "memory", 0x7000, 16),
    ]
    assert touched(events, "edu") == ((0x5000, 32), (0x7000, 16))
    assert touched(events, "edu", "dma read") == ((0x1000, 8),)


def test_a_table_before_and_after():
    table = descriptor_table([(0x1000, 8192), (0x8000, 512)], [(1, 4096), (2, 4096), (3, 512)])
    assert table.rows == (
        ("0x1000", "8192", "0x1", "4096"),
        ("", "", "0x2", "4096"),
        ("0x8000", "512", "0x3", "512"),
    )
    assert table.caption == "Entries: 2 of the guest, 3 of the VMM"
    assert descriptor_table([], [], "none").caption == "none"
