"""Bits and byte order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.wire import Bits, all_ones

fields = st.tuples(st.integers(0, 63), st.integers(0, 63)).map(lambda p: Bits(max(p), min(p)))
words = st.integers(0, all_ones(8))


@given(fields, words, words)
def test_put_then_get_gives_what_fits_and_keeps_the_rest(field, word, value):
    new = field.put(word, value)
    assert field.get(new) == value & ((1 << field.width) - 1)
    assert new & ~field.mask == word & ~field.mask


@given(fields, st.lists(words, min_size=1))
def test_a_field_reads_an_array_as_it_reads_each_element(field, values):
    array = np.array(values, np.uint64)
    assert [int(x) for x in field.get(array)] == [field.get(value) for value in values]


def test_one_number_is_one_bit():
    assert Bits(5) == (5, 5)
    assert Bits(5).mask == 0x20
    assert (str(Bits(5)), str(Bits(7, 4))) == ("5", "7:4")


@pytest.mark.parametrize("span", [(3, 7), (-1,), (4, -1)])
def test_a_field_written_the_wrong_way_round_is_refused(span):
    with pytest.raises(ValueError, match="high bit first"):
        Bits(*span)


def test_all_ones():
    assert [all_ones(n) for n in (0, 1, 2, 4, 8)] == [0, 0xFF, 0xFFFF, 0xFFFF_FFFF, 2**64 - 1]
