"""The bus: who answers, who does not, and that no access ever raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.bus import AddressSpace, Decoder, decoders
from virtlab.memory import GuestMemory
from virtlab.trace import Trace
from virtlab.wire import all_ones


class Bytes:
    """A device that keeps its bytes and a log of the cycles that reached it."""

    def __init__(self, length, width):
        self.data = bytearray(length)
        self.width = width
        self.cycles = []

    def read(self, offset, size):
        self.cycles.append((offset, size))
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset, size, value):
        self.cycles.append((offset, size))
        self.data[offset : offset + size] = value.to_bytes(size, "little")


def port_space():
    return AddressSpace("port", 16, Trace(), ("in", "out"), 4)


def small_world():
    """Two devices side by side, a gap, RAM, and a ROM, in 16 bits."""
    space = AddressSpace("memory", 16, Trace())
    left, right = Bytes(8, 1), Bytes(16, 4)
    space.map(0x100, 8, left, "left", 1)
    space.map(0x108, 16, right, "right", 4)
    space.map_ram(GuestMemory([(0x200, 0x100)]))
    space.map_ram(GuestMemory([(0xFF00, 0x100)]), "rom", writable=False)
    return space, left, right


any_size = st.one_of(st.sampled_from([1, 2, 4, 8]), st.integers(-3, 70000))
any_address = st.one_of(st.integers(0xF0, 0x310), st.integers(0xFEF0, 0x1_0010), st.integers())


@given(st.lists(st.tuples(st.booleans(), any_address, any_size, st.integers()), max_size=30))
def test_no_access_of_any_size_anywhere_raises(accesses):
    space, left, right = small_world()
    for write, address, size, value in accesses:
        if write:
            space.write(address, size, value)
        else:
            answer = space.read(address, size)
            assert type(answer) is int
            assert 0 <= answer <= all_ones(8)
    for device in (left, right):
        assert all(size <= device.width and offset % size == 0 for offset, size in device.cycles)
    assert space.trace.counts.total() == len(accesses)


@given(st.integers(0, 15), st.sampled_from([1, 2, 4, 8]), st.integers(0, all_ones(8)))
def test_narrow_cycles_carry_the_same_bytes(offset, size, value):
    space, _, right = small_world()
    space.write(0x108 + offset, size, value)
    if offset + size <= 16:
        assert space.read(0x108 + offset, size) == value & all_ones(size)
        assert right.data[offset : offset + size] == (value & all_ones(size)).to_bytes(
            size, "little"
        )
    else:
        assert not any(right.data)


def test_a_wide_access_to_an_8_bit_device_is_bytes_lowest_first():
    space, left, _ = small_world()
    space.write(0x102, 4, 0x44332211)
    assert left.cycles == [(2, 1), (3, 1), (4, 1), (5, 1)]
    assert left.data == b"\0\0\x11\x22\x33\x44\0\0"


def test_an_access_over_two_devices_is_answered_by_neither():
    space, left, right = small_world()
    with space.trace.recording() as events:
        assert space.read(0x106, 4) == 0xFFFFFFFF
        space.write(0x107, 2, 0)
    assert left.cycles == right.cycles == []
    assert [event.note for event in events] == [
        "load: runs from left into right",
        "store: runs from left into right",
    ]
    assert space.trace.counts["straddle"] == 2


def test_an_access_past_the_end_of_a_device_says_so():
    space, _, _ = small_world()
    with space.trace.recording() as events:
        assert space.read(0x117, 2) == 0xFFFF
    assert events[0].note == "load: runs from right past its end"


def test_a_device_that_passes_accesses_on_says_to_whom():
    class Fabric(Bytes):
        def who(self, offset, size):
            return "card" if offset < 4 else ""

    space = AddressSpace("memory", 16, Trace())
    space.map(0, 8, Fabric(8, 4), "fabric", 4)
    space.write(0, 4, 1)
    with space.trace.recording() as events:
        space.write(0, 4, 1)
        space.read(4, 4)
    assert [event.who for event in events] == ["card", "fabric"]


def test_where_nobody_answers_a_read_gives_all_ones():
    space = port_space()
    with space.trace.recording() as events:
        assert [space.read(0x80, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
        space.write(0x80, 1, 0xAB)
    assert space.trace.counts["unclaimed"] == 4
    assert {event.note for event in events} == {
        "in: nothing answers here",
        "out: nothing answers here",
    }


def test_a_port_access_has_at_most_four_bytes():
    space = port_space()
    space.map(0, 16, Bytes(16, 4), "card", 4)
    with space.trace.recording() as events:
        assert space.read(0, 8) == 0xFFFFFFFF
    assert events[0].note == "in: no access has 8 bytes here"


def test_a_rom_ignores_stores():
    space, _, _ = small_world()
    space.write(0xFF00, 1, 7)
    space.write_bytes(0xFF00, b"\1\2")
    assert space.read(0xFF00, 2) == 0


@pytest.mark.parametrize(
    ("base", "length", "width", "why"),
    [
        (0x104, 8, 1, "overlaps left at memory 0x100-0x107"),
        (0xF8, 9, 1, "overlaps left"),
        (0x0, 0x8000, 1, "overlaps left"),
        (0x117, 1, 1, "overlaps right"),
        (0xFFFF, 2, 1, "not inside 16 bits"),
        (-1, 2, 1, "not inside"),
        (0, 0, 1, "not inside"),
        (0, 1, 3, "1, 2, 4 or 8 bytes wide"),
    ],
)
def test_a_bad_mapping_is_refused_and_changes_nothing(base, length, width, why):
    space, _, _ = small_world()
    before = list(space.mappings)
    with pytest.raises(ValueError, match=why):
        space.map(base, length, Bytes(1, 1), "new", width)
    assert space.mappings == before


def test_a_mapping_can_be_taken_away():
    space, _, _ = small_world()
    mapping = space.find(0x107)
    space.unmap(mapping)
    assert space.find(0x107) is None
    with pytest.raises(ValueError, match="not in list"):
        space.unmap(mapping)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=12))
def test_find_agrees_with_a_search_of_every_mapping(spans):
    space = AddressSpace("memory", 6)
    for base, length in spans:
        try:
            space.map(base, length, Bytes(length, 1), str(base))
        except ValueError:
            continue
    for address in range(64):
        found = [m for m in space.mappings if m.base <= address < m.end]
        assert len(found) <= 1
        assert space.find(address) == (found[0] if found else None)


@given(st.integers(0xF0, 0x310), st.integers(0, 0x300))
def test_a_string_move_equals_its_bytes(address, length):
    one, _, _ = small_world()
    other, _, _ = small_world()
    data = bytes(i * 7 & 0xFF for i in range(length))
    one.write_bytes(address, data)
    for i, byte in enumerate(data):
        other.write(address + i, 1, byte)
    assert one.read_bytes(0, 0x400) == bytes(other.read(i, 1) for i in range(0x400))


def test_a_long_move_over_nothing_is_one_event():
    space = AddressSpace("memory", 52, Trace())
    assert space.read_bytes(1 << 40, 1 << 20) == b"\xff" * (1 << 20)
    space.write_bytes(1 << 40, bytes(1 << 20))
    assert space.trace.counts == {"unclaimed": 2}


@given(st.integers(0, 255), st.integers(1, 64))
def test_decoders_recognize_exactly_the_range(base, length):
    length = min(length, 256 - base)
    terms = decoders(base, length, 8)
    hits = [address for address in range(256) for d in terms if address & d.mask == d.value]
    assert hits == list(range(base, base + length))


def test_decoding_eight_ports_takes_one_comparison_of_13_bits():
    assert decoders(0x3F8, 8, 16) == [Decoder(0xFFF8, 0x3F8)]
    assert decoders(0x3F8, 8, 16)[0].bits == 13
    assert decoders(0, 1 << 16, 16) == [Decoder(0, 0)]
