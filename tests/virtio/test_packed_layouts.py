"""The packed ring's bytes, its positions, and who wants to hear of what."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio.layouts import packer
from virtlab.virtio.packed_layouts import (
    AVAIL,
    DISABLE,
    ENABLE,
    EVENT,
    EVENT_DESC,
    FLAGS_AT,
    LEN_AT,
    PACKED_DESC,
    USED,
    USED_PART,
    PackedOrder,
    PackedRings,
    avail_bits,
    event_word,
    from_word,
    is_avail,
    is_used,
    to_word,
    used_bits,
    wants_event,
    wrap_at,
)

sizes = st.integers(1, 12) | st.integers(1, 1 << 15)
positions = st.integers(0, 1 << 20)


def test_a_descriptor_has_sixteen_bytes_and_its_flags_last():
    """2.8.13: le64 addr, le32 len, le16 id, le16 flags."""
    assert packer(PACKED_DESC).format == "<QIHH"
    assert (PACKED_DESC.itemsize, LEN_AT, FLAGS_AT) == (16, 8, 14)
    assert struct.pack("<QIHH", 1, 2, 3, 4)[LEN_AT:FLAGS_AT] == packer(USED_PART).pack(2, 3)


def test_event_suppression_is_two_words():
    """2.8.14: off and wrap, then flags."""
    assert EVENT.itemsize == 4
    assert packer(EVENT).pack(0x8005, EVENT_DESC) == event_word(EVENT_DESC, 0x8005).to_bytes(
        4, "little"
    )


@pytest.mark.parametrize("wrap", [0, 1])
def test_avail_and_used_are_different_in_one_and_equal_in_the_other(wrap):
    """2.8.1: available: AVAIL is the counter and USED is not; used: both are."""
    assert avail_bits(wrap) == AVAIL * wrap | USED * (1 - wrap)
    assert used_bits(wrap) == (AVAIL | USED) * wrap


@pytest.mark.parametrize("wrap", [0, 1])
@pytest.mark.parametrize("others", [0, 7, 0x7F7F])
def test_only_the_bits_of_this_lap_count(wrap, others):
    words = {others | bits for bits in (0, AVAIL, USED, AVAIL | USED)}
    assert [w for w in words if is_avail(w, wrap)] == [others | avail_bits(wrap)]
    assert [w for w in words if is_used(w, wrap)] == [others | used_bits(wrap)]


def test_a_ring_of_zeros_has_nothing_available():
    """2.8.13: the ring is zero at first, and the first wrap counter is 1."""
    assert not is_avail(0, wrap_at(0, 4))
    assert not is_used(0, wrap_at(0, 4))


@given(sizes, positions)
def test_a_position_goes_into_a_word_and_back(size, position):
    word = to_word(position, size)
    assert from_word(word, size) == position % (2 * size)
    assert (word & 0x7FFF, word >> 15) == (position % size, wrap_at(position, size))


@given(sizes, st.integers(0, 0xFFFF))
def test_a_word_past_the_ring_is_no_position(size, word):
    at = from_word(word, size)
    assert (at is None) == (word & 0x7FFF >= size)
    assert at is None or to_word(at, size) == word


@given(st.integers(1, 9), st.integers(0, 60), st.integers(1, 40), st.integers(0, 0xFFFF), st.data())
def test_desc_asks_for_one_descriptor_exactly(size, start, count, desc, data):
    """2.8.10: an event if *this* descriptor changes, in the lap of this wrap counter."""
    if data.draw(st.booleans()):
        desc = to_word(data.draw(st.integers(0, 2 * size - 1)), size)
    passed = {to_word(position, size) for position in range(start, start + count)}
    told = wants_event(event_word(EVENT_DESC, desc), True, start + count, count, size)
    assert told == (desc in passed if desc & 0x7FFF < size else True)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("flags", "told"), [(ENABLE, True), (DISABLE, False), (3, True), (DISABLE | 0x10, False)]
)
def test_the_other_flags(exact, flags, told):
    """ENABLE and DISABLE whatever `desc` is; 3 is reserved and so are the upper bits."""
    for desc in (0, 0x8003, 0x7FFF):
        assert wants_event(event_word(flags, desc), exact, 9, 1, 5) is told


def test_desc_without_the_feature_asks_for_everything():
    """2.8.10: it is only valid with EVENT_IDX."""
    assert wants_event(event_word(EVENT_DESC, to_word(3, 8)), False, 1, 1, 8)
    assert not wants_event(event_word(EVENT_DESC, to_word(3, 8)), True, 1, 1, 8)


def test_the_parts_lie_one_behind_the_other():
    rings = PackedRings.placed(0x1000, 5)
    assert rings.parts == ((0x1000, 80), (0x1050, 4), (0x1054, 4))
    assert rings.end == 0x1058
    assert [rings.desc_at(position) for position in (0, 4, 5, 12)] == [
        0x1000,
        0x1040,
        0x1000,
        0x1020,
    ]


def test_each_point_of_order_has_a_name_of_its_own():
    assert len({str(point) for point in PackedOrder}) == 8
    assert all(re.fullmatch(r"[a-z ]+ before [a-z ]+", point) for point in PackedOrder)
