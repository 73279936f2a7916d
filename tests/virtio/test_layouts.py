"""virtio 1.3 2.7 to 2.7.10: sizes, offsets and alignments, against the tables of the text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio import layouts
from virtlab.virtio.layouts import DESC, USED_ELEM, SplitRings, avail_ring, need_event, used_ring
from virtlab.wire import u8

SIZES = [1 << n for n in range(16)]


def test_a_descriptor():
    """2.7.5: le64 addr, le32 len, le16 flags, le16 next."""
    assert DESC.itemsize == 16
    assert {name: field[1] for name, field in DESC.fields.items()} == {
        "addr": 0,
        "len": 8,
        "flags": 12,
        "next": 14,
    }
    raw = layouts.packer(DESC).pack(0x1122334455667788, 0x99AABBCC, 0xDDEE, 0x0102)
    assert raw.hex() == "8877665544332211ccbbaa99eedd0201"
    assert np.frombuffer(raw, DESC)[0].item() == layouts.packer(DESC).unpack(raw)


def test_a_used_element():
    """2.7.8: le32 id, le32 len."""
    assert layouts.packer(USED_ELEM).pack(3, 0x200).hex() == "0300000000020000"


def test_the_flags():
    assert (layouts.NEXT, layouts.WRITE, layouts.INDIRECT) == (1, 2, 4)
    assert (layouts.NO_INTERRUPT, layouts.NO_NOTIFY) == (1, 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_table_of_sizes(size):
    """2.7: 16 * size, 6 + 2 * size, 6 + 8 * size."""
    lengths = [length for _, length in SplitRings.placed(0, size).parts]
    assert lengths == [16 * size, 6 + 2 * size, 6 + 8 * size]


@pytest.mark.parametrize("size", SIZES)
def test_where_the_fields_are(size):
    """2.7.6, 2.7.8; each threshold stands at the end of its ring."""
    rings = SplitRings(size, 0x10000000, 0x20000000, 0x30000000)
    fields = ("flags", "idx", "ring")
    assert [rings.avail_field(field) - rings.avail for field in fields] == [0, 2, 4]
    assert [rings.used_field(field) - rings.used for field in fields] == [0, 2, 4]
    assert rings.avail_field("used_event") == rings.avail + 4 + 2 * size
    assert rings.used_field("avail_event") == rings.used + 4 + 8 * size
    assert rings.avail_at(size - 1) == rings.avail + 4 + 2 * (size - 1)
    assert rings.avail_at(size) == rings.avail + 4
    assert rings.used_at(65536 + size - 1) == rings.used + 4 + 8 * (size - 1)
    assert rings.desc_at(size - 1) == rings.desc + 16 * (size - 1)


def test_the_rings_as_arrays():
    """The dtypes read a whole ring at once, for pictures."""
    raw = np.arange(avail_ring(4).itemsize, dtype=u8)
    assert raw.view(avail_ring(4))[0]["used_event"] == 0x0D0C
    raw = np.arange(used_ring(2).itemsize, dtype=u8)
    assert raw.view(used_ring(2))[0]["ring"]["id"].tolist() == [0x07060504, 0x0F0E0D0C]


def align(number, to):
    return (number + to - 1) // to * to


@pytest.mark.parametrize("size", SIZES)
def test_the_legacy_layout(size):
    """2.7.2: one page frame number; the used ring begins at the next multiple of Queue Align."""
    rings = SplitRings.legacy(5, size)
    assert rings.desc == 5 * 4096
    assert rings.avail == rings.desc + 16 * size
    assert rings.used == rings.desc + align(16 * size + 2 * (3 + size), 4096)
    total = align(16 * size + 2 * (3 + size), 4096) + align(2 * 3 + 8 * size, 4096)
    assert align(rings.end, 4096) == rings.desc + total


@pytest.mark.parametrize("size", SIZES)
def test_a_queue_placed_close_is_aligned(size):
    """2.7: 16, 2 and 4."""
    rings = SplitRings.placed(0x1230, size)
    assert (rings.desc % 16, rings.avail % 2, rings.used % 4) == (0, 0, 0)
    assert rings.used - (rings.avail + 6 + 2 * size) < 16


def passed(event, new, old):
    """By hand: walk from `old` to `new`, and see whether entry `event` is met."""
    while old != new:
        if old == event:
            return True
        old = (old + 1) & 0xFFFF
    return False


sixteen = st.integers(0, 0xFFFF) | st.sampled_from([0, 1, 0xFFFE, 0xFFFF])


@given(old=sixteen, steps=st.integers(0, 300), ahead=st.integers(-2, 302))
def test_need_event_near(old, steps, ahead):
    new, event = (old + steps) & 0xFFFF, (old + ahead) & 0xFFFF
    assert need_event(event, new, old) == passed(event, new, old)


@given(event=sixteen, old=sixteen, new=sixteen)
def test_need_event_anywhere(event, old, new):
    """2.7.7.2, 2.7.10.1: "was equal to" the index at which one of the entries was placed."""
    assert need_event(event, new, old) == ((event - old) % 65536 < (new - old) % 65536)


def test_need_event_takes_counts_that_run_free():
    assert need_event(3, 65536 * 7 + 4, 65536 * 7 + 3)
    assert need_event(0xFFFF, 65536, 65535)
    assert not need_event(0xFFFF, 65537, 65536)
