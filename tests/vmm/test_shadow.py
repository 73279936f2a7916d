"""The shadow page table against a model of 4-level paging: SDM 3A 4.5 to 4.8."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm import hostile
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.exits import ShadowFault
from virtlab.vmm.frames import Frames
from virtlab.vmm.shadow import ShadowPageTable

# Bits that must be 0, from SDM 3A tables 4-15 to 4-20, by level and whether it maps a page.
MUST_BE_ZERO = {
    (4, False): [7],
    (3, False): [],
    (3, True): range(13, 30),
    (2, False): [],
    (2, True): range(13, 21),
    (1, True): [],
}


def model(content, gpa, write, user, width):
    """`("hpa", n, entries used)` or `("fault", error code, [])`, looking at single bits."""
    code = 2 * write + 4 * user
    if gpa >= 2**48:
        return "fault", code, []
    address = f"{gpa:048b}"
    frame, used, writable, for_user = 0, [], True, True
    for level, start in ((4, 0), (3, 9), (2, 18), (1, 27)):
        index = int(address[start : start + 9], 2)
        bit = f"{hostile.entry_of(content, frame, index):064b}"[::-1]
        if bit[0] == "0":
            return "fault", code, []
        page = level == 1 or (bit[7] == "1" and level != 4)
        if any(bit[i] == "1" for i in (*MUST_BE_ZERO[level, page], *range(width, 52))):
            return "fault", code | 1 | 8, []
        used.append((frame, index, page))
        writable, for_user = writable and bit[1] == "1", for_user and bit[2] == "1"
        if page:
            kept = {1: 12, 2: 21, 3: 30}[level]
            if (write and not writable) or (user and not for_user):
                return "fault", code | 1, []
            return "hpa", int(bit[kept:52][::-1] + address[48 - kept :], 2), used
        frame = int(bit[12:52][::-1], 2)
    raise AssertionError("level 1 always maps a page")


@settings(max_examples=300)
@given(
    hostile.contents, hostile.addresses, st.booleans(), st.booleans(), st.sampled_from([36, 46, 52])
)
def test_hostile_tables_agree_with_the_model(content, gpa, write, user, width):
    tables = hostile.build(ShadowPageTable, content, user=user, width=width)
    kind, number, used = model(content, gpa, write, user, width)
    result = tables.translate(gpa, 2, write, 7)
    if kind == "hpa":
        assert result == number
    else:
        assert result == ShadowFault(gpa, 2, write, 7, error_code=number)
    marked = dict(content)
    for frame, index, page in used:
        if frame < hostile.FRAMES:
            marked[frame, index] |= 0x20 | (0x40 if page and write else 0)
    again = hostile.build(ShadowPageTable, marked)
    assert tables.memory.bytes.tobytes() == again.memory.bytes.tobytes()


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("write", [False, True])
def test_each_single_bit_of_a_walk_agrees_with_the_model(write, user):
    seen = set()
    for content, gpa in hostile.one_bit_wrong(leaf_low=0x07):
        kind, number, _ = model(content, gpa, write, user, 46)
        result = hostile.build(ShadowPageTable, content, user=user).translate(gpa, 4, write)
        assert (result if kind == "hpa" else result.error_code) == number
        seen.add(number & 9 if kind == "fault" else "hpa")
    assert {0, 9, "hpa"} <= seen


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
