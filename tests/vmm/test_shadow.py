"""The shadow page table against a model of 4-level paging: SDM 3A 4.5 to 4.8."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm import hostile
from tests.vmm.paging_model import Processor, marked
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.exits import ShadowFault
from virtlab.vmm.frames import Frames
from virtlab.vmm.shadow import ShadowPageTable


def model(content, gpa, write, user, width=46):
    """The model's end of an access; an address past 48 bits counts as not present here."""
    if gpa >= 2**48:
        return "page fault", 2 * write + 4 * user, []
    # A shadow's addresses have no sign: those of the upper half are taken as canonical ones.
    gva = gpa | (0xFFFF << 48 if gpa >> 47 else 0)
    (kind, number), used = Processor(user=user, width=width).access(content, 0, gva, write)
    return kind, number, used


@settings(max_examples=100)
@given(
    hostile.contents, hostile.addresses, st.booleans(), st.booleans(), st.sampled_from([36, 46, 52])
)
def test_hostile_tables_agree_with_the_model(content, gpa, write, user, width):
    tables = hostile.build(ShadowPageTable, content, user=user, width=width)
    kind, number, used = model(content, gpa, write, user, width)
    result = tables.translate(gpa, 2, write, 7)
    if kind == "address":
        assert result == number
    else:
        assert result == ShadowFault(gpa, 2, write, 7, error_code=number)
    again = hostile.build(ShadowPageTable, marked(content, used))
    assert tables.memory.bytes.tobytes() == again.memory.bytes.tobytes()


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("write", [False, True])
def test_each_single_bit_of_a_walk_agrees_with_the_model(write, user):
    seen = set()
    for content, gpa in hostile.one_bit_wrong(leaf_low=0x07):
        kind, number, _ = model(content, gpa, write, user)
        result = hostile.build(ShadowPageTable, content, user=user).translate(gpa, 4, write)
        assert (result if kind == "address" else result.error_code) == number
        seen.add(number & 9 if kind == "page fault" else kind)
    assert {0, 9, "address"} <= seen


def shadow(**options):
    return ShadowPageTable(Frames(GuestMemory(32 * PAGE), 0, 32), **options)


def test_an_invalid_entry_is_a_page_fault_with_its_error_code():
    tables = shadow()
    assert tables.translate(0xB8000, 2, False).error_code == 0b0000
    assert tables.translate(0xB8000, 2, True, 1).error_code == 0b0010
    assert shadow(user=True).translate(0xB8000, 2, True, 1).error_code == 0b0110


def test_a_read_only_page_faults_on_a_write_alone():
    tables = shadow()
    tables.map(0, 0x5000, PAGE, writable=False)
    assert tables.translate(4, 2, False) == 0x5004
    assert tables.translate(4, 2, True).error_code == 0b0011


def test_accessed_and_dirty_flags_say_what_was_used():
    tables = shadow()
    tables.map(0, 0x5000, PAGE)
    assert [step.entry & 0x60 for step in tables.walk(0).steps] == [0, 0, 0, 0]
    tables.translate(0, 1, False)
    assert [step.entry & 0x60 for step in tables.walk(0).steps] == [0x20] * 4
    tables.translate(0, 1, True)
    assert [step.entry & 0x60 for step in tables.walk(0).steps] == [0x20] * 3 + [0x60]


def test_a_device_is_mapped_uncacheable():
    tables = shadow()
    tables.map_device(0xFED0_0000, 0xFED0_0000, PAGE)
    assert tables.walk(0xFED0_0000).steps[-1].entry == 0xFED0_001F


def test_unmapped_faults_again():
    tables = shadow()
    tables.map(0, 0x5000, 4 * PAGE)
    tables.unmap(PAGE, PAGE)
    assert tables.translate(0, 1, False) == 0x5000
    assert isinstance(tables.translate(PAGE, 1, False), ShadowFault)


def test_a_frame_past_the_width_is_refused():
    with pytest.raises(ValueError, match="no host-physical page address"):
        shadow(width=36).map(0, 1 << 36, PAGE)


def test_large_pages_are_mapped_split_and_protected():
    tables = shadow()
    tables.map(0x20_0000, 0x60_0000, 0x20_0000, large=True)
    assert tables.walk(0x21_2345).page_size == 2 << 20
    tables.protect(0x20_1000, PAGE, writable=False)
    assert tables.translate(0x20_1000, 1, False) == 0x60_1000
    assert tables.translate(0x20_1000, 1, True).error_code == 0b0011
    assert tables.translate(0x20_2000, 1, True) == 0x60_2000


@settings(max_examples=60)
@given(hostile.contents, st.lists(hostile.addresses, max_size=20), st.booleans(), st.booleans())
def test_a_batch_agrees_with_one_at_a_time_flags_and_all(content, gpas, write, user):
    one, many = (hostile.build(ShadowPageTable, content, user=user) for _ in range(2))
    hpas, codes = many.translate_many(np.array(gpas, np.uint64), write)
    pushed = many.error_codes(codes, write).tolist()
    for gpa, hpa, code, error in zip(gpas, hpas.tolist(), codes.tolist(), pushed, strict=True):
        result = one.translate(gpa, 1, write)
        if code:
            assert (result, hpa) == (ShadowFault(gpa, 1, write, error_code=error), 0)
        else:
            assert result == hpa
    assert one.memory.bytes.tobytes() == many.memory.bytes.tobytes()
