"""Guest memory: regions with gaps, one array, views without copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.errors import DmaFault
from virtlab.memory import GuestMemory

REGIONS = [(0x100, 0x40), (0x140, 0x20), (0x200, 0x10)]


@given(st.integers(0xF0, 0x220), st.integers(0, 0x30), st.binary(min_size=0x30, max_size=0x30))
def test_an_access_lies_in_one_region_or_faults(gpa, length, data):
    ram, data = GuestMemory(REGIONS), data[:length]
    if any(start <= gpa and gpa + length <= start + size for start, size in REGIONS):
        ram.write(gpa, data)
        assert ram.read(gpa, length) == data == ram.view(gpa, length).tobytes()
        assert ram.bytes.tobytes().count(0) >= ram.size - length
    else:
        for access in (lambda: ram.write(gpa, data), lambda: ram.view(gpa, length)):
            with pytest.raises(DmaFault, match="no memory there"):
                access()
        assert not ram.bytes.any()


@given(st.sampled_from([1, 2, 4, 8]), st.integers())
def test_numbers_are_little_endian_and_masked(size, value):
    ram = GuestMemory(64)
    ram.store(8, size, value)
    expected = (value % (1 << 8 * size)).to_bytes(size, "little")
    assert ram.read(8, 8) == expected.ljust(8, b"\0")
    loaded = ram.load(8, size)
    assert type(loaded) is int
    assert loaded == value % (1 << 8 * size)


def test_a_view_is_the_memory_itself():
    ram = GuestMemory(REGIONS)
    ram.view(0x140, 4)[:] = [1, 2, 3, 4]
    assert ram.load(0x140, 4) == 0x04030201
    assert np.shares_memory(ram.view(0x200, 1), ram.bytes)


def test_memory_can_live_in_a_given_array():
    buffer = np.arange(16, dtype=np.uint8)
    assert GuestMemory([(0x1000, 16)], buffer).read(0x1002, 2) == b"\x02\x03"
    with pytest.raises(ValueError, match="uint8"):
        GuestMemory(32, buffer)


@pytest.mark.parametrize("regions", [[(0, 16), (8, 16)], [(-1, 4)], [(0, 0)]])
def test_a_bad_map_is_refused(regions):
    with pytest.raises(ValueError, match="region"):
        GuestMemory(regions)


def test_it_says_what_it_is():
    assert repr(GuestMemory(REGIONS)) == "GuestMemory(0x100+0x40, 0x140+0x20, 0x200+0x10)"


def test_a_negative_length_is_a_fault():
    with pytest.raises(DmaFault):
        GuestMemory(64).offset(8, -1)


def test_memory_begins_at_a_page_border():
    """So that KVM may give it to a guest."""
    ram = GuestMemory([(0, 0x3000), (0x10000, 0x1000)])
    assert ram.bytes.ctypes.data % 4096 == 0
    assert not ram.bytes.any()
    assert ram.bytes.flags.writeable


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0xF0, 0x220), st.sampled_from([-1, -(2**63), 2**62])),
            st.one_of(st.integers(0, 0x40), st.just(2**32)),
        ),
        max_size=6,
    ),
    st.sampled_from([REGIONS, [(0, 0x180)], [(0x100, 0x40)], []]),
)
def test_many_places_are_those_of_each(places, regions):
    """-1 where one alone would fault, also where all lie in one region but for one."""
    ram = GuestMemory(regions)
    gpas, lengths = np.array(places, np.int64).reshape(-1, 2).T
    expected = []
    for gpa, length in places:
        try:
            expected.append(ram.offset(gpa, length))
        except DmaFault:
            expected.append(-1)
    found = ram.offset_many(gpas, lengths)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_many_places_at_once_are_a_copy():
    """Also where offset and address are the same number."""
    ram, gpas = GuestMemory(64), np.array([1, 2])
    found = ram.offset_many(gpas, np.array([1, 1]))
    found[0] = 9
    assert gpas.tolist() == [1, 2]
