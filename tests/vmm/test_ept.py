"""EPT: walks against the model, large pages against small ones, a batch against one at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm import hostile, paging_model
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import UNCACHEABLE, Ept
from virtlab.vmm.exits import EptMisconfiguration, EptViolation
from virtlab.vmm.frames import Frames


def outcome(result):
    match result:
        case EptViolation():
            return "violation", result.rights
        case EptMisconfiguration():
            return "misconfiguration", result.why
    return "address", result


@settings(max_examples=100)
@given(
    hostile.contents,
    st.lists(hostile.addresses, min_size=1, max_size=20),
    st.booleans(),
    st.sampled_from([36, 46, 52]),
    st.booleans(),
)
def test_hostile_tables_agree_with_the_model(content, gpas, write, width, execute_only):
    ept = hostile.build(Ept, content, width=width, execute_only=execute_only)
    for gpa in gpas:
        result = ept.translate(gpa, 4, write, 9)
        assert outcome(result) == paging_model.ept(content, gpa, write, width, execute_only)
        if not isinstance(result, int):
            assert (result.gpa, result.size, result.write, result.value) == (gpa, 4, write, 9)


@pytest.mark.parametrize("write", [False, True])
def test_each_single_bit_of_a_walk_agrees_with_the_model(write):
    seen = set()
    for content, gpa in hostile.one_bit_wrong(leaf_low=0x37):
        expected = paging_model.ept(content, gpa, write, 46, False)
        assert outcome(hostile.build(Ept, content).translate(gpa, 4, write)) == expected
        seen.add(expected[0])
    assert seen == {"address", "violation", "misconfiguration"}


def test_the_model_sees_every_outcome():
    table = {
        (0, 0): 0x1007,
        (1, 0): 0x2007,
        (2, 0): 0x3007,
        (3, 0): 0x5031,
        (3, 1): 0x5032,
        (1, 1): 0xC000_00B7,
        (2, 1): 0x20_00B7,
    }
    ends = {
        (0x123, False): ("address", 0x5123),
        (0x123, True): ("violation", 1),
        (0x1123, False): ("misconfiguration", "can be written but not read"),
        (0x4000_0123, False): ("address", 0xC000_0123),
        (0x20_0123, False): ("address", 0x20_0123),
        (0x40_0000, False): ("violation", 0),
    }
    for (gpa, write), end in ends.items():
        assert paging_model.ept(table, gpa, write) == end


def ept(frames=32, **options):
    return Ept(Frames(GuestMemory(frames * PAGE), 0, frames), **options)


@given(st.dictionaries(st.integers(0, (1 << 36) - 1), st.integers(0, (1 << 34) - 1), max_size=8))
def test_what_is_mapped_is_found_and_the_rest_is_not(pages):
    tables = ept(64)
    for gpn, hpn in pages.items():
        tables.map(gpn * PAGE, hpn * PAGE, PAGE)
    for gpn, hpn in pages.items():
        assert tables.translate(gpn * PAGE + 5, 1, True) == hpn * PAGE + 5
    for gpn in {gpn ^ 1 for gpn in pages} - pages.keys():
        assert isinstance(tables.translate(gpn * PAGE, 1, False), EptViolation)


def test_a_walk_tells_its_four_steps():
    tables = ept()
    tables.map(0x7F_C0DE_D000, 0x5000, PAGE)
    walk = tables.walk(0x7F_C0DE_D123)
    assert [step.level for step in walk.steps] == [4, 3, 2, 1]
    assert [step.entry_at for step in walk.steps] == [
        0x0000 + 8 * 0,
        0x1000 + 8 * 0x1FF,
        0x2000 + 8 * 6,
        0x3000 + 8 * 0x1ED,
    ]
    assert [step.entry for step in walk.steps] == [0x1007, 0x2007, 0x3007, 0x5037]
    assert (walk.hpa, walk.page_size, tables.rights(walk)) == (0x5123, PAGE, 7)


def test_a_large_page_is_understood_on_the_walk():
    tables = ept()
    tables.map(0x4000_0000, 0x5000, PAGE)
    tables.memory.store(tables.walk(0x4020_0000).steps[2].entry_at, 8, 0x60_00B7)
    walk = tables.walk(0x4021_2345)
    assert (walk.hpa, walk.page_size, len(walk.steps)) == (0x61_2345, 2 << 20, 3)
    tables.map(0x4020_0000, 0x5000, PAGE)
    assert tables.translate(0x4020_0123, 4, False) == 0x5123
    assert tables.translate(0x4021_2345, 4, True) == 0x61_2345


def test_the_pointer_says_write_back_and_four_levels():
    assert ept().pointer == 0x1E


def test_a_device_is_mapped_uncacheable_and_not_executable():
    tables = ept()
    tables.map_device(0xFED0_0000, 0xFED0_0000, PAGE)
    assert tables.walk(0xFED0_0000).steps[-1].entry == 0xFED0_0000 | UNCACHEABLE << 3 | 0b011


def test_rights_are_the_and_of_the_way():
    tables = ept()
    tables.map(0, 0x5000, PAGE, rights=0b001)
    assert tables.translate(0, 4, False) == 0x5000
    assert tables.translate(0, 4, True, 1) == EptViolation(0, 4, True, 1, rights=0b001)


def test_a_misconfiguration_says_why():
    tables = ept()
    tables.map(0, 0x5000, PAGE, rights=0b110)
    assert tables.translate(0, 4, False).why == "can be written but not read"
    tables.map(0, 0x5000, PAGE, rights=0b100)
    assert tables.translate(0, 4, False).why == "can only be executed"
    assert isinstance(Ept.translate(_with(tables, execute_only=True), 0, 4, False), EptViolation)


def _with(tables, execute_only):
    tables.execute_only = execute_only
    return tables


def test_large_pages_are_taken_where_they_fit():
    tables = ept()
    before = tables.frames.left
    tables.map(0x3FFF_F000, 0x7FFF_F000, (1 << 30) + 2 * PAGE, large=True)
    sizes = [tables.walk(gpa).page_size for gpa in (0x3FFF_F000, 0x4000_0000, 0x8000_0000)]
    assert sizes == [PAGE, 1 << 30, PAGE]
    assert tables.translate(0x4123_4567, 4, True) == 0x8123_4567
    assert before - tables.frames.left == 5
    tables.map(0, 0, 1 << 21, large=True, memory_type=UNCACHEABLE, rights=0b011)
    assert tables.walk(0).steps[-1].entry == 0b1000_0011


def test_a_large_page_is_split_when_a_part_of_it_changes():
    tables = ept()
    tables.map(0, 1 << 30, 1 << 30, large=True)
    left = tables.frames.left
    tables.unmap(0x20_1000, PAGE)
    assert left - tables.frames.left == 2
    assert isinstance(tables.translate(0x20_1000, 4, False), EptViolation)
    sizes = [tables.walk(gpa).page_size for gpa in (0, 0x20_0000, 0x20_2000, 0x40_0000)]
    assert sizes == [2 << 20, PAGE, PAGE, 2 << 20]
    for gpa in (0, 0x20_0FFF, 0x20_2000, 0x3FFF_FFFF):
        assert tables.translate(gpa, 1, True) == gpa + (1 << 30)
    assert tables.walk(0x20_0000).steps[-1].entry == 0x4020_0037


def test_rights_are_changed_by_the_range():
    tables = ept()
    tables.map(0, 0, 4 << 20, large=True)
    tables.protect(0x1000, 0x20_0000, 0b001)
    assert tables.translate(0, 1, True) == 0
    assert tables.translate(0x1000, 1, False) == 0x1000
    assert tables.translate(0x1000, 1, True) == EptViolation(0x1000, 1, True, rights=1)
    assert tables.translate(0x20_0FFF, 1, True).rights == 1
    assert tables.translate(0x20_1000, 1, True) == 0x20_1000
    tables.protect(0, PAGE, 0)
    assert isinstance(tables.translate(0, 1, False), EptViolation)


def test_a_page_that_is_misconfigured_on_purpose_can_be_withdrawn():
    tables = ept()
    tables.map(0, 0, 2 << 20, rights=0b110, large=True)
    tables.unmap(0, PAGE)
    assert isinstance(tables.translate(0, 4, False), EptViolation)
    assert isinstance(tables.translate(PAGE, 4, False), EptMisconfiguration)


def test_unmapping_makes_exits_again_and_takes_no_frames():
    tables = ept()
    tables.map(0x1000, 0x5000, 2 * PAGE)
    left = tables.frames.left
    tables.unmap(0, 64 * PAGE)
    assert isinstance(tables.translate(0x1000, 4, False), EptViolation)
    tables.unmap(1 << 40, PAGE)
    assert tables.frames.left == left


@pytest.mark.parametrize(
    "arguments",
    [
        (1, 0, PAGE),
        (0, 1, PAGE),
        (0, 0, 1),
        (-PAGE, 0, PAGE),
        (0, 1 << 46, PAGE),
        (0, -PAGE, PAGE),
        (1 << 48, 0, PAGE),
        (0, 0, PAGE, 7, 2),
    ],
)
def test_what_is_no_mapping_is_refused(arguments):
    with pytest.raises(ValueError, match=r"pages|page address|memory type"):
        ept().map(*arguments)


@pytest.mark.parametrize("width", [31, 53])
def test_a_width_no_processor_has_is_refused(width):
    with pytest.raises(ValueError, match="32 to 52 bits"):
        ept(width=width)


def test_a_bounded_pool_bounds_the_tables():
    tables = ept(frames=5)
    tables.map(0, 0, PAGE)
    with pytest.raises(ValueError, match="0 are left"):
        [tables.map(n << 39, 0, PAGE) for n in range(1, 3)]


@settings(max_examples=60)
@given(
    hostile.contents,
    st.lists(hostile.addresses, max_size=20),
    st.booleans(),
    st.sampled_from([36, 46, 52]),
    st.booleans(),
)
def test_a_batch_agrees_with_one_at_a_time(content, gpas, write, width, execute_only):
    tables = hostile.build(Ept, content, width=width, execute_only=execute_only)
    hpas, codes = tables.translate_many(np.array(gpas, np.uint64), write)
    assert (hpas.dtype, codes.dtype) == (np.uint64, np.uint8)
    for gpa, hpa, code in zip(gpas, hpas.tolist(), codes.tolist(), strict=True):
        result = tables.translate(gpa, 1, write)
        assert in_words(result, tables.walk(gpa)) == (hpa, Ept.PROBLEMS[code])


def in_words(result, walk):
    """A scalar result as a batch has it: an address, and a problem."""
    match result:
        case EptViolation():
            return 0, walk.problem or "not allowed"
        case EptMisconfiguration():
            return 0, result.why
    return result, ""
