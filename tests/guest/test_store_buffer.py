"""A store buffer: what its processor sees, what the others see, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.guest.store_buffer import SKYLAKE, Store, StoreBuffer
from virtlab.memory import GuestMemory

PAGE = 4096


def test_a_store_is_seen_by_its_processor_and_by_nobody_else():
    """SDM 3A 9.2.3.5."""
    ram = GuestMemory(PAGE)
    buffer = StoreBuffer(ram)
    buffer.store(0x10, 0x1234, 2)
    assert buffer.load(0x10, 2) == 0x1234
    assert ram.load(0x10, 2) == 0
    buffer.drain("anywhere")
    assert ram.load(0x10, 2) == 0x1234
    assert not buffer.waiting


def test_a_load_goes_ahead_of_a_store_to_another_place():
    """SDM 3A 9.2.3.4: both processors store, then load what the other stored: both read 0."""
    ram = GuestMemory(PAGE)
    one, other = StoreBuffer(ram), StoreBuffer(ram)
    one.store(0, 1)
    other.store(8, 1)
    assert (one.load(8), other.load(0)) == (0, 0)
    one.drain(), other.drain()
    assert (one.load(8), other.load(0)) == (1, 1)


def test_stores_leave_in_their_order():
    """SDM 3A 9.2.3.2: stores are not reordered with other stores."""
    ram = GuestMemory(PAGE)
    buffer = StoreBuffer(ram)
    buffer.store(0, 1, 1)
    buffer.write(0, b"\2\3")
    assert buffer.drain_one() == Store(0, b"\1")
    assert ram.read(0, 2) == b"\1\0"
    assert buffer.drain_one() == Store(0, b"\2\3")
    assert ram.read(0, 2) == b"\2\3"
    assert buffer.drain_one() is None


def test_where_there_is_no_room_the_oldest_leaves():
    ram = GuestMemory(PAGE)
    buffer = StoreBuffer(ram, 2)
    for place in range(3):
        buffer.store(place, 7, 1)
    assert ram.read(0, 3) == b"\7\0\0"
    assert len(buffer.waiting) == 2
    assert StoreBuffer(ram).length == SKYLAKE
    with pytest.raises(ValueError, match="one store or more, not 0"):
        StoreBuffer(ram, 0)


def test_what_is_stored_later_by_the_caller_is_not_stored():
    ram = GuestMemory(PAGE)
    buffer, data = StoreBuffer(ram), bytearray(b"ab")
    buffer.write(0, data)
    data[:] = b"xy"
    buffer.drain()
    assert ram.read(0, 2) == b"ab"


places, pieces = st.integers(0, 12), st.binary(max_size=6)
steps = st.one_of(
    st.tuples(st.just("write"), places, pieces),
    st.tuples(st.just("read"), places, st.integers(0, 6)),
    st.tuples(st.just("drain_one")),
)


@given(st.lists(steps, max_size=30), st.integers(1, 4))
def test_a_processor_alone_never_notices_its_buffer(taken, length):
    """Whatever overlaps: it reads what it would read with no buffer, and in the end memory has it.

    And memory always has the stores up to one of them, and nothing of those after it.
    """
    ram, plain = GuestMemory(PAGE), GuestMemory(PAGE)
    buffer, versions = StoreBuffer(ram, length), [bytes(32)]
    for verb, *given_ in taken:
        if verb == "drain_one":
            buffer.drain_one()
        elif verb == "read":
            assert buffer.read(*given_) == plain.read(*given_)
        else:
            buffer.write(*given_)
            plain.write(*given_)
            versions.append(plain.read(0, 32))
        assert ram.read(0, 32) == versions[-1 - len(buffer.waiting)]
    buffer.drain()
    assert ram.read(0, 32) == plain.read(0, 32)
