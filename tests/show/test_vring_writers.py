"""Who wrote each byte: a record of a run, and the split ring's one-writer rule seen in it."""

import pytest

from tests.show.looks import check_picture, words_of
from virtlab.show.vring_map import parts_of
from virtlab.show.vring_writers import BASE, Marks, recorded, tally, writers_picture


@pytest.mark.parametrize("size", [2, 4, 8])
def test_each_part_of_a_split_ring_has_one_writer(size):
    """2.7: each part is write-able by either the driver or the device, but not both."""
    marks, rings = recorded("split", size, 2)
    assert tally(marks, rings) == {
        "descriptor table": ("driver",),
        "available ring": ("driver",),
        "used ring": ("device",),
    }


def test_what_one_side_wrote_the_other_has_read():
    marks, rings = recorded("split", 4, 2)
    written = [gpa for part in parts_of(rings) for gpa in range(part.gpa, part.end)]
    written = [gpa for gpa in written if marks.writers(gpa)]
    # two descriptors, avail.idx and two entries, used.idx and two elements
    assert len(written) == 2 * 16 + 2 + 2 * 2 + 2 + 2 * 8
    assert all(marks.crossed(gpa) for gpa in written)


def test_in_a_packed_ring_both_sides_write_a_descriptor():
    """2.8: the device writes len, id and flags over what the driver wrote."""
    marks, rings = recorded("packed", 4, 1)
    assert [marks.writers(BASE + at) for at in (0, 7, 8, 15)] == [
        ("driver",),
        ("driver",),
        ("device", "driver"),
        ("device", "driver"),
    ]
    assert tally(marks, rings)["device event suppression"] == ()


def test_only_the_queue_is_kept_and_to_its_end():
    marks = Marks([(100, 4), (104, 4)])
    marks.note("driver", 98, 4, True)
    marks.note("device", 102, 4, True)
    marks.note("driver", 103, 40, False)
    assert {gpa: marks.writers(gpa) for gpa in range(98, 108)} == {
        **dict.fromkeys((98, 99, 106, 107), ()),
        **dict.fromkeys((100, 101), ("driver",)),
        **dict.fromkeys((102, 103, 104, 105), ("device",)),
    }
    assert [gpa for gpa in range(98, 108) if marks.crossed(gpa)] == [103, 104, 105]
    marks.note("device", 107, 4, True)
    assert [marks.writers(gpa) for gpa in (107, 108)] == [("device",), ()]
    marks.note("device", 100, 1, False)
    assert marks.crossed(100)
    marks.note("driver", 101, 1, False)
    assert not marks.crossed(101)  # its own
    marks.clear()
    assert marks.writers(102) == ()


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("size", [2, 4, 16])
def test_the_picture_has_every_byte(layout, size):
    marks, rings = recorded(layout, size, 1)
    drawn = writers_picture(marks, rings, "who")
    check_picture(drawn)
    words = words_of(drawn)
    assert drawn == writers_picture(*recorded(layout, size, 1), "who")
    for part in parts_of(rings):
        assert part.name in words
        assert f"{part.gpa:#x}" in words
    cells = [word for word in words if word in ("D", "V", "DV")]
    written = [gpa for part in parts_of(rings) for gpa in range(part.gpa, part.end)]
    assert len(cells) == len([gpa for gpa in written if marks.writers(gpa)]) + 3  # the legend
    assert f"[{size - 1}] " in drawn.text


def test_the_fields_stand_beside_the_row_where_they_begin():
    words = words_of(writers_picture(*recorded("split", 4, 1)))
    assert "flags idx ring[0-3] used_event" in words
    assert words.index("flags idx ring[0-1]") < words.index("ring[2-3]")
    assert "[0] addr len flags next" in words


def test_the_text_says_who_and_whether_it_was_read():
    lines = writers_picture(*recorded("split", 2, 1)).text.splitlines()
    assert lines[0] == "Who wrote each byte"
    assert lines[2].startswith("   0x21000  D' D' D'")
    assert lines[-1].startswith("D driver, V device, B both")
