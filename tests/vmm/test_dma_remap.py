"""Remapping: one answer for one address or for many, and nothing but the VM's own memory."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.dma_remap import Domains, Piece, SoftwareRemapper, Untranslated
from virtlab.vmm.virtual_machine import ScatteredRam

FRAMES = (5, 6, 2, 9, 3, 4)
"""Frames of gpa pages 0, 1, 2 and 8, 9, 10: the first two are neighbours, and the last two."""

REGIONS = [(0, 3 * PAGE), (8 * PAGE, 3 * PAGE)]
END = 11 * PAGE

iovas = st.one_of(
    st.integers(0, END + PAGE),
    st.integers(0, 12).map(lambda page: page * PAGE),
    st.integers(1, 12).map(lambda page: page * PAGE - 1),
    st.integers(0, (1 << 64) - 1),
)
lengths = st.one_of(st.integers(0, 3 * PAGE + 2), st.sampled_from([PAGE, 2 * PAGE, 1 << 32]))


def remapper():
    host = GuestMemory(12 * PAGE)
    host.bytes[:] = np.arange(12 * PAGE) % 251
    return SoftwareRemapper(ScatteredRam(host, [n * PAGE for n in FRAMES], REGIONS))


def model(iova):
    """Where a byte lies, by the table at the top; None if nowhere."""
    page = iova // PAGE
    row = page if page < 3 else page - 5
    return FRAMES[row] * PAGE + iova % PAGE if page in (0, 1, 2, 8, 9, 10) else None


@given(st.lists(iovas, max_size=40))
def test_many_are_translated_as_each_is(asked):
    one = remapper()
    hpas, ok = one.translate_many(np.array(asked, np.uint64))
    for iova, hpa, fine in zip(asked, hpas.tolist(), ok.tolist(), strict=True):
        assert (hpa if fine else None) == model(iova)
        if fine:
            assert one.translate(iova) == hpa
        else:
            assert hpa == 0
            with pytest.raises(DmaFault):
                one.translate(iova)


def test_a_vm_without_memory_reaches_nothing():
    one = SoftwareRemapper(ScatteredRam(GuestMemory(PAGE), [], []))
    hpas, ok = one.translate_many(np.array([0, 1, PAGE, 1 << 63], np.uint64))
    assert not ok.any()
    assert not hpas.any()


@given(iovas, lengths)
def test_the_pieces_are_the_bytes_in_order(iova, length):
    one = remapper()
    spots = [model(iova + n) for n in range(min(length, 4 * PAGE))]
    if None in spots or length > 4 * PAGE:
        with pytest.raises(DmaFault):
            one.pieces(iova, length)
        found = spots.index(None)
    else:
        pieces = one.pieces(iova, length)
        assert [hpa + n for hpa, size in pieces for n in range(size)] == spots
        assert all(a.hpa + a.length != b.hpa for a, b in itertools.pairwise(pieces))
        assert one.read(iova, length) == bytes(spot % 251 for spot in spots)
        found = length
    assert one.reach(iova, length) == found


def test_neighbouring_frames_are_one_piece():
    one = remapper()
    assert one.pieces(16, 2 * PAGE - 16) == [(5 * PAGE + 16, 2 * PAGE - 16)]
    assert one.pieces(PAGE, 2 * PAGE) == [(6 * PAGE, PAGE), (2 * PAGE, PAGE)]
    assert one.pieces(PAGE, 0) == []


def test_a_write_is_spread_over_the_frames():
    one = remapper()
    one.write(2 * PAGE - 2, b"abcd")
    assert one.ram.memory.read(7 * PAGE - 2, 2) + one.ram.memory.read(2 * PAGE, 2) == b"abcd"
    one.view(8, 4)[:] = (1, 2, 3, 4)
    assert one.read(8, 4) == b"\x01\x02\x03\x04"


def test_what_is_refused_moves_nothing():
    """Half of it would fit. Plain scattered RAM writes that half; a remapper does not."""
    one = remapper()
    before = one.ram.memory.bytes.copy()
    with pytest.raises(DmaFault, match="not the VM's memory"):
        one.write(3 * PAGE - 4, b"x" * 8)
    assert (one.ram.memory.bytes == before).all()


def test_the_mistake_passes_numbers_on():
    naive = Untranslated()
    assert naive.pieces(0x1234, 10) == [Piece(0x1234, 10)]
    assert naive.pieces(0x1234, 0) == []
    assert naive.reach(1 << 60, 10) == 10


def test_domains_are_by_source_id():
    host, one = GuestMemory(PAGE), remapper()
    domains = Domains(host)
    domains.assign(0x0018, one)
    assert domains(0x0018) is one
    assert domains(0x0019) is host
    domains.withdraw(0x0018)
    domains.withdraw(0x0018)
    assert domains(0x0018) is host
