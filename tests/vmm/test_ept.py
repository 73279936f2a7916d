"""EPT walks against a model that reads the SDM's tables bit position by bit position."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vmm import hostile
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import UNCACHEABLE, Ept
from virtlab.vmm.exits import EptMisconfiguration, EptViolation
from virtlab.vmm.frames import Frames

# Bits that must be 0, from SDM 3C tables 29-1 to 29-6, by level and whether it maps a page.
MUST_BE_ZERO = {
    (4, False): range(3, 8),
    (3, False): range(3, 7),
    (3, True): range(12, 30),
    (2, False): range(3, 7),
    (2, True): range(12, 21),
    (1, True): range(0),
}


def model(content, gpa, write, width, execute_only):
    """By SDM 3C 29.3.3: `("hpa", n)`, `("violation", rights)` or `("misconfiguration",)`.

    Bits are looked at one by one, as characters; nothing is shared with the code under test.
    """
    if gpa >= 2**48:
        return "violation", 0
    address = f"{gpa:048b}"
    chosen = [int(address[i : i + 9], 2) for i in (0, 9, 18, 27)]
    frame, allowed = 0, [True, True, True]
    for level, index in zip((4, 3, 2, 1), chosen, strict=True):
        bit = f"{hostile.entry_of(content, frame, index):064b}"[::-1]
        if bit[:3] == "000":
            return "violation", 0
        page = level == 1 or (bit[7] == "1" and level != 4)
        bad = any(bit[i] == "1" for i in (*MUST_BE_ZERO[level, page], *range(width, 52)))
        bad |= bit[:2] == "01" or (bit[:3] == "001" and not execute_only)
        bad |= page and bit[3:6] in ("010", "110", "111")
        if bad:
            return ("misconfiguration",)
        allowed = [was and bit[i] == "1" for i, was in enumerate(allowed)]
        if page:
            kept = {1: 12, 2: 21, 3: 30}[level]
            if not allowed[write]:
                return "violation", sum(right << i for i, right in enumerate(allowed))
            return "hpa", int(bit[kept:52][::-1] + address[48 - kept :], 2)
        frame = int(bit[12:52][::-1], 2)
    raise AssertionError("level 1 always maps a page")


def outcome(result):
    match result:
        case EptViolation():
            return "violation", result.rights
        case EptMisconfiguration():
            return ("misconfiguration",)
    return "hpa", result


@settings(max_examples=300)
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
        assert outcome(result) == model(content, gpa, write, width, execute_only)
        if not isinstance(result, int):
            assert (result.gpa, result.size, result.write, result.value) == (gpa, 4, write, 9)


@pytest.mark.parametrize("write", [False, True])
def test_each_single_bit_of_a_walk_agrees_with_the_model(write):
    seen = set()
    for content, gpa in hostile.one_bit_wrong(leaf_low=0x37):
        expected = model(content, gpa, write, 46, False)
        assert outcome(hostile.build(Ept, content).translate(gpa, 4, write)) == expected
        seen.add(expected[0])
    assert seen == {"hpa", "violation", "misconfiguration"}


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
    assert model(table, 0x123, False, 46, False) == ("hpa", 0x5123)
    assert model(table, 0x123, True, 46, False) == ("violation", 1)
    assert model(table, 0x1123, False, 46, False) == ("misconfiguration",)
    assert model(table, 0x4000_0123, False, 46, False) == ("hpa", 0xC000_0123)
    assert model(table, 0x20_0123, False, 46, False) == ("hpa", 0x20_0123)
    assert model(table, 0x40_0000, False, 46, False) == ("violation", 0)


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
    assert [step.entry_hpa for step in walk.steps] == [
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
    tables.memory.store(tables.walk(0x4020_0000).steps[2].entry_hpa, 8, 0x60_00B7)
    walk = tables.walk(0x4021_2345)
    assert (walk.hpa, walk.page_size, len(walk.steps)) == (0x61_2345, 2 << 20, 3)
    with pytest.raises(ValueError, match="lies in a page larger than 4 KiB"):
        tables.map(0x4020_0000, 0x5000, PAGE)


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
