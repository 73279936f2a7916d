"""A queue drawn to scale: every byte in its row, every number, and the device's answer."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.show.looks import SVG, check_picture, words_of
from virtlab.memory import PAGE
from virtlab.show.vring_map import parts_of
from virtlab.show.vring_picture import BELL, row_length, rows_of, verdict, vring_picture
from virtlab.show.vring_setup import hand_over, steps
from virtlab.show.vring_state import BUSES, LAYOUTS, START, aligns, chosen, mistakes, sizes

WORLDS = [(bus, layout) for bus in BUSES for layout in LAYOUTS]


@st.composite
def vrings(draw):
    vring = chosen(START, *draw(st.sampled_from(WORLDS)))
    align = draw(st.sampled_from(aligns(vring) or (vring.align,)))
    place = draw(st.integers(0, 0x300 if vring.legacy else 0x12_0000))
    return replace(vring, size=draw(st.sampled_from(sizes(vring))), align=align, place=place)


@given(vrings())
def test_the_rows_cover_the_queue_without_a_hole(vring):
    parts = parts_of(vring.rings)
    length = row_length(parts)
    rows = list(rows_of(parts, length))
    assert length & (length - 1) == 0
    assert 64 <= length <= PAGE
    assert rows[0].start <= parts[0].gpa < rows[0].start + length
    for before, after in pairwise(rows):
        assert after.start == before.start + before.rows * length
    for row in rows:
        end = row.start + row.rows * length
        inside = any(part.gpa < end and part.end > row.start for part in parts)
        assert inside != row.folded
    assert sum(not row.folded for row in rows) <= 7


@given(vrings())
@settings(max_examples=60)
def test_every_queue_can_be_drawn_and_is_the_same_again(vring):
    drawn = vring_picture(vring)
    assert drawn == vring_picture(vring)
    root = check_picture(drawn)
    assert all(float(box.attrib["width"]) > 0 for box in root.iter(f"{SVG}rect"))
    words = words_of(drawn)
    for part in parts_of(vring.rings):
        assert f"{part.gpa:#x}" in words
    for step in steps(vring):
        assert step.name in words
        assert f"{step.value:#x}" in words
    assert BELL in words
    assert verdict(vring, hand_over(vring)) in drawn.text


def test_a_legacy_queue_of_eight_is_mostly_padding():
    words = words_of(vring_picture(START))
    assert "61 rows, 3904 bytes of padding" in words
    assert "guest memory, 64 bytes a row" in words
    assert words.count("a page begins") == 2
    assert "The size is read, not written." in words
    assert "The queue is in use. The device looks for work where the numbers say." in words


def test_a_single_row_of_padding_is_one():
    assert "1 row, 2048 bytes of padding" in words_of(vring_picture(replace(START, size=256)))


@pytest.mark.parametrize(("bus", "layout"), WORLDS)
def test_what_is_wrong_is_said_where_it_is_noticed(bus, layout):
    vring = chosen(START, bus, layout)
    for name, wrong in mistakes(vring).items():
        came, drawn = hand_over(wrong), vring_picture(wrong, name)
        check_picture(drawn)
        assert name in words_of(drawn)
        line = verdict(wrong, came)
        if came.noticed is None:
            assert line.startswith("No objection, and no queue")
        elif came.noticed == len(steps(wrong)):
            assert line.startswith(f"{BELL}: no memory there")
        else:
            assert line.startswith(f"{steps(wrong)[came.noticed].name}: ")
        assert line in words_of(drawn)


def test_a_part_out_of_place_and_one_without_memory_are_named():
    split = chosen(START, "PCI", "split")
    words = words_of(vring_picture(mistakes(split)["the table 8 bytes off"]))
    assert "128 bytes, not at a multiple of 16" in words
    words = words_of(vring_picture(mistakes(split)["where no memory is"]))
    assert words.count("descriptor table, no memory") == 2


def test_the_text_says_the_same():
    text = vring_picture(chosen(START, "MMIO", "split")).text
    assert text.splitlines() == [
        "A queue of 8: split, over MMIO",
        "rows of 64 bytes",
        "       0x21000  descriptor table  a page begins",
        "       0x21040  descriptor table",
        "       0x21080  available ring, used ring",
        "       0x210c0  used ring",
        "descriptor table: 128 bytes at 0x21000",
        "available ring: 22 bytes at 0x21080",
        "used ring: 70 bytes at 0x210a0",
        "write QUEUE_SEL = 0x0",
        "write QUEUE_SIZE = 0x8",
        "write QUEUE_DESC_LOW = 0x21000",
        "write QUEUE_DESC_HIGH = 0x0",
        "write QUEUE_DRIVER_LOW = 0x21080",
        "write QUEUE_DRIVER_HIGH = 0x0",
        "write QUEUE_DEVICE_LOW = 0x210a0",
        "write QUEUE_DEVICE_HIGH = 0x0",
        "write QUEUE_READY = 0x1",
        "The queue is in use. The device looks for work where the numbers say.",
    ]
