"""virtio 1.3 6: the numbers of the reserved bits, and sets of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio.features import Feature, from_bits, names, to_bits


def test_the_numbers():
    assert {feature.name: int(feature) for feature in Feature} == {
        "RING_INDIRECT_DESC": 28,
        "RING_EVENT_IDX": 29,
        "VERSION_1": 32,
        "ACCESS_PLATFORM": 33,
        "RING_PACKED": 34,
        "IN_ORDER": 35,
        "ORDER_PLATFORM": 36,
        "SR_IOV": 37,
        "NOTIFICATION_DATA": 38,
        "NOTIF_CONFIG_DATA": 39,
        "RING_RESET": 40,
    }


@given(st.integers(0, 2**64 - 1))
def test_a_word_and_its_set(word):
    assert to_bits(from_bits(word)) == word


def test_a_set_of_numbers_is_a_set_of_features():
    assert Feature.IN_ORDER in from_bits(1 << 35)
    assert Feature.IN_ORDER not in from_bits(1 << 34)
    assert from_bits(1 << 64) == frozenset()


@pytest.mark.parametrize("bit", [-1, 64])
def test_what_is_no_bit(bit):
    with pytest.raises(ValueError, match=f"from 0 to 63, not {bit}"):
        to_bits([bit])


def test_names():
    assert names({0, Feature.RING_PACKED, 63}) == ["bit 0", "RING_PACKED", "bit 63"]
