"""A virtqueue in memory: parts, fields, gaps, and what the device is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.show.vring_map import parts_of, vring_map
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed_layouts import PackedRings

sizes = st.integers(0, 15).map(lambda power: 1 << power)
frames = st.integers(1, 1 << 20)


@given(sizes, frames)
def test_the_parts_are_those_of_the_rings(size, frame):
    """2.7: 16 x size, 6 + 2 x size and 6 + 8 x size bytes."""
    rings = SplitRings.placed(frame * 4096, size)
    assert [(part.gpa, part.length) for part in parts_of(rings)] == list(rings.parts)
    assert [part.length for part in parts_of(rings)] == [16 * size, 6 + 2 * size, 6 + 8 * size]


@given(st.integers(1, 32768), frames)
def test_the_parts_of_a_packed_queue(size, frame):
    """2.8."""
    rings = PackedRings.placed(frame * 4096, size)
    assert [(part.gpa, part.length) for part in parts_of(rings)] == list(rings.parts)


def test_a_modern_driver_tells_three_addresses():
    """4.1.4.3."""
    drawn = vring_map(SplitRings.placed(0x21000, 8))
    check_picture(drawn)
    words = words_of(drawn)
    told = ["queue_desc", "0x0000000000021000", "queue_driver", "0x0000000000021080"]
    told += ["queue_device", "0x00000000000210a0"]
    assert [word for word in words if word in told] == told
    assert "10 bytes of padding" in words
    assert "16 x 8 = 128 bytes, written by the driver" in words
    assert "70 bytes, written by the device" in words
    assert "230 bytes from the first to the last" in words


def test_a_legacy_driver_tells_one_number():
    """2.7.2."""
    drawn = vring_map(SplitRings.legacy(0x21, 256), legacy=True)
    check_picture(drawn)
    words = words_of(drawn)
    assert "0x21 = 0x21000 / 4096" in words
    assert {"computed: behind the table", "computed: next multiple of 4096"} <= set(words)
    assert "3578 bytes of padding" in words
    assert "queue_desc" not in words
    assert "0x23000  used ring" in drawn.text


def test_parts_that_touch_have_nothing_between_them():
    drawn = vring_map(PackedRings.placed(0x3000, 5))
    check_picture(drawn)
    assert "padding" not in drawn.text + drawn.svg
    assert "16 x 5 = 80 bytes, written by both sides" in words_of(drawn)
    assert {"addr", "len", "id", "flags", "desc"} <= set(words_of(drawn))


def test_parts_stand_in_the_order_of_their_addresses():
    drawn = vring_map(SplitRings(4, desc=0x9000, avail=0x5000, used=0x2000))
    check_picture(drawn)
    names = [word for word in words_of(drawn) if word.endswith(("ring", "table"))]
    assert names == ["used ring", "available ring", "descriptor table"]
    assert "queue_device" in drawn.text.splitlines()[1]


@pytest.mark.parametrize(
    ("rings", "says"),
    [
        (PackedRings.placed(0x1000, 4), "is split, and begins at a page"),
        (SplitRings.placed(0x1010, 4, 4096), "is split, and begins at a page"),
        (SplitRings.placed(0x1000, 4), "lies as its page frame number says"),
    ],
)
def test_what_no_page_frame_number_can_say(rings, says):
    with pytest.raises(ValueError, match=says):
        vring_map(rings, legacy=True)


@given(sizes, st.booleans())
def test_every_size_can_be_drawn(size, legacy):
    rings = SplitRings.legacy(3, size) if legacy else SplitRings.placed(3 << 12, size)
    assert vring_map(rings, legacy) == vring_map(rings, legacy)
    check_picture(vring_map(rings, legacy))
