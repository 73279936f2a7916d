"""A guest's own page tables: SDM 3A 4.3 and 4.5 to 4.8, clause by clause."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm import hostile
from tests.vmm.paging_model import Processor
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.exits import GENERAL_PROTECTION, PAGE_FAULT
from virtlab.vmm.guest_paging import (
    MAX_FAULTS,
    GuestFault,
    Paging4Level,
    Paging32,
)
from virtlab.vmm.table_memory import PlainMemory
from virtlab.wire import all_ones

NX = 1 << 63


def four(*entries, **options):
    """4-level paging whose tables are frames 0 to 3; `entries` stand at index 0, top down."""
    memory = GuestMemory(8 * PAGE)
    for level, entry in enumerate(entries):
        memory.store(level * PAGE, 8, entry)
    return Paging4Level(PlainMemory(memory), 0, **options)


def two(*entries, **options):
    """32-bit paging whose tables are frames 0 and 1; `entries` stand at index 0."""
    memory = GuestMemory(8 * PAGE)
    for level, entry in enumerate(entries):
        memory.store(level * PAGE, 4, entry)
    return Paging32(PlainMemory(memory), 0, **options)


def good(leaf):
    return (0x1007, 0x2007, 0x3007, leaf)


def code(paging, gva=0, write=False, fetch=False):
    fault = paging.translate(gva, write, fetch)
    assert (fault.vector, fault.cr2) == (PAGE_FAULT, gva)
    return fault.error_code


# -- sizes of pages


@pytest.mark.parametrize(
    ("entries", "gva", "gpa", "size"),
    [
        (good(0x5007), 0x123, 0x5123, PAGE),
        ((0x1007, 0x2007, 0x40_0087), 0x1F_FFFF, 0x5F_FFFF, 2 << 20),
        ((0x1007, 0x8000_0087), 0x3FFF_FFFF, 0xBFFF_FFFF, 1 << 30),
    ],
)
def test_4_level_paging_has_three_sizes_of_page(entries, gva, gpa, size):
    paging = four(*entries)
    walk = paging.walk(gva)
    assert (walk.gva, walk.gpa, walk.page_size, walk.problem) == (gva, gpa, size, "")
    assert len(walk.steps) == len(entries)
    assert paging.translate(gva, True) == gpa


def test_32_bit_paging_has_pages_of_4_kib_and_with_pse_of_4_mib():
    assert two(0x1007, 0x5007).translate(0x123, True) == 0x5123
    large = two(0x8040_0087)
    assert large.walk(0x3F_FFFF).page_size == 4 << 20
    assert large.translate(0x3F_FFFF, True) == 0x807F_FFFF
    # Without CR4.PSE the bit is ignored, and the entry points to a table.
    assert two(0x1087, 0x5007, pse=False).translate(0x123, False) == 0x5123


def test_32_bit_addresses_wrap():
    assert two(0x1007, 0x5007).translate((1 << 32) + 0x123, False) == 0x5123


def test_the_low_bits_of_cr3_do_not_count():
    paging = four(*good(0x5007))
    paging.cr3 = 0x018
    assert paging.translate(0, False) == 0x5000


# -- canonical addresses


@pytest.mark.parametrize("gva", [1 << 47, (1 << 63) - 1, 0xFFFF_7FFF_FFFF_FFFF, 1 << 64, -1 << 48])
def test_an_address_that_is_not_canonical_raises_gp_and_reads_no_table(gva):
    paging = four(*good(0x5007))
    assert paging.translate(gva, True) == GuestFault(GENERAL_PROTECTION, 0)
    assert paging.walk(gva).steps == ()


def test_the_upper_half_is_canonical_with_its_sign():
    paging = four(0)
    paging.memory.memory.store(8 * 256, 8, 0x8000_0000_0000_0000)
    assert code(paging, 0xFFFF_8000_0000_0000) == 0
    assert code(paging, 0x7FFF_FFFF_FFFF) == 0


# -- error codes


def test_the_error_code_bit_by_bit():
    assert code(four(0)) == 0b00000
    assert code(four(0), write=True) == 0b00010
    assert code(four(0, user=True)) == 0b00100
    assert code(four(0), fetch=True) == 0b10000
    assert code(four(*good(0x5005)), write=True) == 0b00011
    assert code(four(*good(0x5003), user=True)) == 0b00101
    assert code(four(*good(1 << 51 | 0x5007))) == 0b01001
    assert code(four(*good(NX | 0x5007)), fetch=True) == 0b10001


def test_fetches_are_told_apart_only_with_nxe():
    paging = four(0, no_execute=False)
    assert code(paging, fetch=True) == 0
    assert code(two(0), fetch=True) == 0
    assert code(four(*good(NX | 0x5007), no_execute=False)) == 0b01001


def test_xd_anywhere_on_the_way_forbids_fetches_and_nothing_else():
    for level in range(4):
        entries = list(good(0x5007))
        entries[level] |= NX
        paging = four(*entries)
        assert paging.translate(0, False) == 0x5000
        assert paging.translate(0, True) == 0x5000
        assert code(paging, fetch=True) == 0b10001
    assert four(*good(0x5007)).translate(0, False, fetch=True) == 0x5000


def test_a_reserved_bit_above_comes_before_what_is_missing_below():
    assert code(four(0x1087)) == 0b01001
    assert code(four(0x1007, 0x1080 | 7, gigabyte=False)) == 0b01001
    assert code(two(0x40_2087)) == 0b01001
    assert code(four(1 << 40 | 0x1006, width=36)) == 0


# -- rights


@pytest.mark.parametrize("level", range(4))
def test_rights_are_the_and_of_all_levels(level):
    for mask, user, write, expected in ((0b010, False, True, 3), (0b100, True, False, 5)):
        entries = list(good(0x5007))
        entries[level] &= ~mask
        assert code(four(*entries, user=user), write=write) == expected
        assert four(*entries).translate(0, False) == 0x5000


def test_with_wp_clear_a_supervisor_writes_what_is_read_only_and_a_user_does_not():
    for user, expected in ((False, 0x5000), (True, GuestFault(PAGE_FAULT, 7, 0))):
        paging = four(*good(0x5005), user=user)
        paging.write_protect = False
        assert paging.translate(0, True) == expected


# -- accessed and dirty


def test_a_read_sets_a_and_a_write_sets_d_in_the_page_alone():
    paging = four(*good(0x5007))
    memory = paging.memory.memory
    paging.walk(0)
    assert [memory.load(n * PAGE, 8) & 0x60 for n in range(4)] == [0, 0, 0, 0]
    paging.translate(0, False)
    assert [memory.load(n * PAGE, 8) & 0x60 for n in range(4)] == [0x20] * 4
    paging.translate(0, True)
    assert [memory.load(n * PAGE, 8) & 0x60 for n in range(4)] == [0x20] * 3 + [0x60]


def test_an_access_that_faults_sets_no_flag():
    paging = four(*good(0x5005))
    paging.translate(0, True)
    assert [paging.memory.memory.load(n * PAGE, 8) & 0x60 for n in range(4)] == [0] * 4


# -- where tables may lie


def test_tables_past_the_end_read_as_all_ones_and_are_never_written():
    far = Paging32(PlainMemory(GuestMemory(PAGE)), 0xFFFF_F000, pse=False)
    assert far.translate(0x123, True) == 0xFFFF_F123
    assert far.memory.store(0xFFFF_F000, 4, 0)
    assert far.memory.load(0xFFFF_F000, 4) == all_ones(4)


def test_a_batch_needs_plain_memory():
    class Behind:
        def load(self, gpa, size):
            return 0

    paging = Paging4Level(Behind())
    with pytest.raises(TypeError, match="plain memory"):
        paging.translate_many(np.zeros(1, np.uint64), False)


@pytest.mark.parametrize("gva", [0, 1 << 51])
def test_an_empty_batch_and_one_of_a_single_address(gva):
    paging = four(*good(0x5007))
    assert len(paging.translate_many(np.zeros(0, np.uint64), True).codes) == 0
    gpas, codes = paging.translate_many(np.array([gva], np.uint64), True)
    assert (gpas.tolist(), codes.tolist()) == (([0x5000], [0]) if gva == 0 else ([0], [4]))


# -- exceptions


def test_an_exception_is_counted_and_cr2_is_kept():
    paging = four(0)
    assert not paging.deliver(GuestFault(PAGE_FAULT, 2, 0x1234))
    assert not paging.deliver(GuestFault(GENERAL_PROTECTION, 0))
    assert (paging.cr2, dict(paging.faults)) == (0x1234, {14: 1, 13: 1})
    assert str(GuestFault(PAGE_FAULT, 2, 0x1234)) == "#PF, CR2 0x1234, error code 0x2"
    assert str(GuestFault(GENERAL_PROTECTION, 0)) == "#GP, error code 0x0"


def test_a_handler_that_faults_itself_is_stopped():
    paging = four(0)
    depth = []

    def handler(fault):
        depth.append(fault.cr2)
        return paging.deliver(fault._replace(cr2=fault.cr2 + 1))

    paging.handler = handler
    assert not paging.deliver(GuestFault(PAGE_FAULT, 0, 0))
    assert depth == list(range(MAX_FAULTS))
    assert not paging.deliver(GuestFault(PAGE_FAULT, 0, 0))


# -- everything, against the model


@settings(max_examples=150)
@given(
    hostile.contents,
    hostile.addresses,
    st.booleans(),
    st.booleans(),
    st.fixed_dictionaries(
        {
            "user": st.booleans(),
            "wp": st.booleans(),
            "nxe": st.booleans(),
            "width": st.sampled_from([36, 46, 52]),
            "gigabyte": st.booleans(),
        }
    ),
)
def test_hostile_tables_agree_with_the_model(content, gva, write, fetch, bits):
    memory = GuestMemory(hostile.FRAMES * PAGE)
    for (frame, index), entry in content.items():
        memory.store(frame * PAGE + 8 * index, 8, entry)
    paging = Paging4Level(
        PlainMemory(memory), 0, bits["user"], bits["width"], bits["nxe"], bits["gigabyte"]
    )
    paging.write_protect = bits["wp"]
    write = write and not fetch
    (kind, number), _ = Processor(**bits).access(content, 0, gva, write, fetch)
    result = paging.translate(gva, write, fetch)
    vector = {"page fault": PAGE_FAULT, "general protection": GENERAL_PROTECTION}.get(kind)
    if vector is None:
        assert result == number
    else:
        assert (result.vector, result.error_code) == (vector, number)
