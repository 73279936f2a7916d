"""The walk: each entry, each right, each reason, in the manual's words."""

import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iommu.model import model
from tests.iommu.tables import LARGE, RAM, READ, RW, WRITE, Tables
from virtlab.errors import DmaFault
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import find_context
from virtlab.iommu.layouts import CONTEXT, ROOT, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Start, Walk, descend, reserved_bits, translate
from virtlab.memory import PAGE, GuestMemory

CAPS = Capabilities(host_width=39)
SID = 0x0118
IOVA = 0x12_3456_7000


def walk(tables, iova=IOVA, write=False, source_id=SID, unit=CAPS):
    return translate(tables.memory, tables.root, unit, source_id, iova, write)


def one_page(levels=4, gpa=0x8000, rights=RW, iova=IOVA, level=1):
    """Tables with one page for `SID`; where its entry lies."""
    tables = Tables()
    table = tables.attach(SID, levels=levels)
    return tables, tables.map(table, iova, gpa, levels=levels, rights=rights, level=level)


# -- 3.7: the way down


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_a_page_is_found_through_3_4_or_5_levels(levels):
    tables, _ = one_page(levels)
    found = walk(tables, IOVA + 0x123)
    assert found[1:] == (None, 0x8123, PAGE, True, True)
    assert [step.level for step in found.steps] == [0, 0, *range(levels, 0, -1)]


def test_every_entry_of_the_way_is_kept():
    tables, entry_at = one_page()
    steps = walk(tables).steps
    assert [step.table for step in steps] == ["root", "context"] + ["second level"] * 4
    assert steps[0].entry_at == tables.root + 16 * 0x01
    assert steps[1].entry_at == tables.context_at(SID)
    assert steps[-1].entry_at == entry_at
    for step in steps:
        assert step.entry == tables.memory.load(step.entry_at, 8 if step.level else 16)


@pytest.mark.parametrize(("level", "size"), [(2, 1 << 21), (3, 1 << 30)])
def test_an_entry_with_ps_maps_2_mib_at_level_2_and_1_gib_at_level_3(level, size):
    iova = 5 * size
    tables, _ = one_page(iova=iova, gpa=size, level=level)
    found = walk(tables, iova + size - 1)
    assert (found.gpa, found.size) == (2 * size - 1, size)
    assert walk(tables, iova + size).reason == Reason.READ


@pytest.mark.parametrize("upper", [READ, WRITE, RW, 0])
@pytest.mark.parametrize("lower", [READ, WRITE, RW, 0])
def test_the_rights_are_what_every_entry_gives(upper, lower):
    tables = Tables()
    table = tables.attach(SID)
    tables.memory.store(tables.entry_at(table, 4, IOVA, rights=upper), 8, 0x8000 | lower)
    for write, needed, reason in ((False, READ, Reason.READ), (True, WRITE, Reason.WRITE)):
        found = walk(tables, write=write)
        if upper & lower & needed:
            assert (found.read, found.write) == (bool(upper & lower & 1), bool(upper & lower & 2))
        else:
            assert found.reason == reason


def test_the_rights_of_a_start_count():
    tables = Tables()
    tables.map(top := tables.page(), 0, 0x8000, levels=1)
    start = Start(1, top, read=True, write=False, top=False)
    assert descend(tables.memory, CAPS, start, 0, False)[2:] == (0x8000, PAGE, True, False)
    assert descend(tables.memory, CAPS, start, 0, True).reason == Reason.WRITE


def test_ignored_bits_are_ignored():
    tables, entry_at = one_page()
    ignored = 0x7F << 2 | 0x3 << 9 | 0x3FF << 52 | 1 << 63 | 1 << 11 | 1 << 62
    tables.memory.store(entry_at, 8, 0x8000 | RW | ignored)
    assert walk(tables).gpa == 0x8000


def test_context_bits_70_67_are_software_s():
    tables, _ = one_page()
    at = tables.context_at(SID)
    tables.memory.store(at, 16, tables.memory.load(at, 16) | 0xF << 67)
    assert walk(tables).gpa == 0x8000


# -- 3.4: pass-through


def test_pass_through_gives_the_address_back():
    tables = Tables()
    tables.attach(SID, TT=2)
    assert walk(tables, 0x1234)[1:] == (None, 0x1234, PAGE, True, True)


def test_interrupt_addresses_are_not_passed_through():
    tables = Tables()
    tables.attach(SID, TT=2)
    assert walk(tables, 0xFEE0_1000).reason == Reason.INTERRUPT_RANGE
    assert walk(tables, 0xFEF0_0000).gpa == 0xFEF0_0000


# -- 7.1.3: each reason


def broken(change):
    """Tables with one page, and one change."""
    tables, entry_at = one_page()
    change(tables, entry_at)
    return tables


def spoil(where, bit):
    def change(tables, entry_at):
        at, size = {
            "root": (tables.root + 16, 16),
            "context": (tables.context_at(SID), 16),
            "page": (entry_at, 8),
        }[where]
        tables.memory.store(at, size, tables.memory.load(at, size) ^ 1 << bit)

    return change


@pytest.mark.parametrize(
    ("where", "bit", "reason"),
    [
        ("root", 0, 0x1),
        ("context", 0, 0x2),
        ("context", 64, 0x3),  # AW 2 becomes 3, then 4 below
        ("page", 0, 0x6),
        *[("root", bit, 0xA) for bit in (1, 6, 11, 39, 63, 64, 127)],
        *[("context", bit, 0xB) for bit in (4, 11, 39, 63, 71, 88, 127)],
        *[("page", bit, 0xC) for bit in (39, 51)],
    ],
)
def test_one_bit_and_its_reason(where, bit, reason):
    found = walk(broken(spoil(where, bit)), unit=CAPS._replace(levels=(4,)))
    assert found.reason == reason


def test_tables_that_are_not_in_memory():
    tables, _ = one_page()
    assert translate(tables.memory, RAM, CAPS, SID, IOVA, False).reason == Reason.ROOT_ACCESS
    tables.memory.store(tables.root + 16, 16, RAM | 1)
    found = walk(tables)
    assert found.reason == Reason.CONTEXT_ACCESS
    assert len(found.steps) == 1


def test_a_page_table_that_is_not_in_memory_is_reason_7_but_for_the_top_one():
    """The top one is the context entry's mistake: reason 3."""
    tables, _ = one_page()
    top = CONTEXT.SLPTPTR.mask & tables.memory.load(tables.context_at(SID), 16)
    tables.memory.store(top + 8 * index_bits(4).get(IOVA), 8, RAM | RW)
    assert walk(tables).reason == Reason.PAGING_ACCESS
    tables.memory.store(tables.context_at(SID), 16, CONTEXT.pack(P=1, AW=2) | RAM)
    assert walk(tables).reason == Reason.CONTEXT_INVALID


@pytest.mark.parametrize(("aw", "fine"), [*enumerate([0, 1, 1, 1, 0, 0, 0, 0])])
def test_a_width_that_the_unit_has_not_is_reason_3(aw, fine):
    tables, _ = one_page()
    entry = CONTEXT.AW.put(tables.memory.load(tables.context_at(SID), 16), aw)
    tables.memory.store(tables.context_at(SID), 16, entry)
    found = find_context(tables.memory, tables.root, CAPS, SID)
    assert found.reason == (None if fine else Reason.CONTEXT_INVALID)


@pytest.mark.parametrize(
    ("kind", "missing", "reason"),
    [
        (0, {}, None),
        (1, {}, None),
        (2, {}, None),
        (3, {}, 3),
        (1, {"device_tlb": False}, 3),
        (2, {"pass_through": False}, 3),
    ],
)
def test_a_translation_type_that_the_unit_has_not_is_reason_3(kind, missing, reason):
    tables = Tables()
    tables.attach(SID, TT=kind)
    found = find_context(tables.memory, tables.root, CAPS._replace(**missing), SID)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("levels", "kind", "host", "bits"),
    [
        (3, 0, 39, 39),
        (4, 0, 39, 48),
        (5, 0, 39, 57),
        (3, 2, 46, 39),
        (4, 2, 46, 46),
        (5, 2, 39, 39),
    ],
)
def test_an_address_beyond_the_tables_is_reason_4(levels, kind, host, bits):
    """And one that is passed through, beyond the host."""
    tables = Tables()
    tables.attach(SID, levels=levels, TT=kind)
    unit = CAPS._replace(host_width=host)
    assert walk(tables, (1 << bits) - 1, unit=unit).reason in (None, Reason.READ)
    assert walk(tables, 1 << bits, unit=unit).reason == Reason.BEYOND_WIDTH
    assert walk(tables, 1 << 63, unit=unit).reason == Reason.BEYOND_WIDTH


def test_an_address_beyond_mgaw_is_reason_4():
    tables, _ = one_page()
    unit = CAPS._replace(guest_width=30)
    assert walk(tables, (1 << 30) - 1, unit=unit).reason == Reason.READ
    assert walk(tables, 1 << 30, unit=unit).reason == Reason.BEYOND_WIDTH


def test_the_missing_right_comes_before_the_reserved_bit():
    tables, entry_at = one_page()
    tables.memory.store(entry_at, 8, 1 << 51 | READ)
    assert walk(tables, write=True).reason == Reason.WRITE
    assert walk(tables, write=False).reason == Reason.PAGING_RESERVED


@pytest.mark.parametrize("gpa", [0xFEE0_0000, 0xFEEF_F000])
def test_a_page_among_the_interrupt_addresses_is_reason_e(gpa):
    tables, _ = one_page(gpa=gpa)
    assert walk(tables).reason == Reason.INTERRUPT_RANGE
    for beside in (0xFEDF_F000, 0xFEF0_0000):
        tables, _ = one_page(gpa=beside)
        assert walk(tables).gpa == beside


def test_only_the_part_of_a_large_page_that_is_among_them():
    tables, _ = one_page(gpa=0xFEE0_0000, level=2, iova=0)
    assert walk(tables, 0x1000).reason == Reason.INTERRUPT_RANGE
    assert walk(tables, 0x10_0000).gpa == 0xFEF0_0000


# -- 9.8: reserved bits by level


@pytest.mark.parametrize(
    ("level", "page", "bits"),
    [
        (1, True, []),
        (2, True, range(12, 21)),
        (3, True, range(12, 30)),
        (2, False, [11, 62]),
        (3, False, [11, 62]),
        (4, False, [7, 11, 62]),
        (5, False, [7, 11, 62]),
    ],
)
def test_reserved_bits_by_level(level, page, bits):
    beyond = set(range(CAPS.host_width, 52))
    expected = sum(1 << bit for bit in beyond | set(bits))
    assert reserved_bits(level, page, CAPS) == expected
    less = CAPS._replace(snoop=False, device_tlb=False, large_levels=())
    more = {11, 62} | ({7} if level > 1 else set())
    assert reserved_bits(level, page, less) == expected | sum(1 << bit for bit in more)


def test_a_large_page_where_there_are_none_is_reason_c():
    tables, entry_at = one_page(gpa=0, level=2)
    assert walk(tables, unit=CAPS._replace(large_levels=(3,))).reason == Reason.PAGING_RESERVED
    tables.memory.store(entry_at, 8, 1 << 12 | LARGE | RW)
    assert walk(tables).reason == Reason.PAGING_RESERVED


# -- against the walk written a second time


def hostile_tables(rng):
    """Tables in which everything is possible, and much of it likely: also loops."""
    tables = Tables(GuestMemory(64 * PAGE), first=PAGE)
    unit = Capabilities(
        host_width=rng.choice([16, 18, 39, 46, 52]),
        guest_width=rng.choice([30, 39, 48, 57]),
        levels=rng.choice([(3,), (4,), (3, 4), (3, 4, 5)]),
        large_levels=rng.choice([(), (2,), (2, 3)]),
        pass_through=rng.random() < 0.8,
        device_tlb=rng.random() < 0.8,
        snoop=rng.random() < 0.8,
    )
    levels = rng.choice([3, 4, 5])
    table = tables.attach(SID, levels=levels, TT=rng.choice([0, 0, 0, 1, 2, 3]))
    iovas = [rng.randrange(1 << 39) & -PAGE for _ in range(3)]
    for iova in iovas:
        level = rng.choice([1, 1, 2, 3])
        gpa = rng.choice([0x8000, 0, 1 << 30, 0xFEE00000, RAM])
        rights = rng.choice([0, 1, 2, 3, 3, 3])
        with suppress(DmaFault):  # below a page of another iova there may be no memory
            tables.map(table, iova, gpa, levels=levels, level=level, rights=rights)
    return tables, unit, iovas


def spoilt(tables, rng):
    """Some bits of some entries, turned round."""
    spots = [tables.root + 16, tables.root + 24]
    spots += [tables.context_at(SID) & -8, tables.context_at(SID) + 8]
    filled = [8 * int(n) for n in np.flatnonzero(tables.memory.bytes.view("<u8"))]
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        at = rng.choice(rng.choice([spots, filled]))
        if at + 8 <= tables.memory.size:
            flip = 1 << rng.choice([rng.randrange(64), rng.choice([0, 1, 7, 11, 12, 30, 62])])
            tables.memory.store(at, 8, tables.memory.load(at, 8) ^ flip)


def asked(rng, iovas):
    iova = rng.choice(iovas) + rng.randrange(PAGE)
    return rng.choice([iova, iova, iova, iova ^ 1 << rng.randrange(64), rng.randrange(1 << 64)])


def outcome(found: Walk):
    if found.reason is not None:
        return found.reason
    return found.gpa, found.size, found.read, found.write


def differential(seeds):
    """The outcomes, each the same both times."""
    seen = set()
    for seed in seeds:
        rng = random.Random(seed)
        tables, unit, iovas = hostile_tables(rng)
        spoilt(tables, rng)
        for _ in range(4):
            iova, write = asked(rng, iovas), rng.random() < 0.5
            source_id = rng.choice([SID, SID, SID, SID, 0x0119, 0x0200])
            root = rng.choice([tables.root] * 9 + [64 * PAGE])
            found = translate(tables.memory, root, unit, source_id, iova, write)
            expected = model(tables.memory, root, unit, source_id, iova, write)
            assert outcome(found) == expected, (seed, hex(iova), write)
            assert len(found.steps) <= 7
            seen.add(found.reason)
    return seen


@pytest.mark.volume
def test_a_thousand_hostile_tables_walked_twice():
    seen = differential(range(1000))
    legacy = {reason for reason in Reason if reason <= 0xE} - {Reason.BLOCKED}
    assert seen == legacy | {None}  # every reason has come up


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_hostile_tables_walked_twice():
    differential(range(1000, 20_000))


@given(st.integers(0, 511), st.integers(0, (1 << 64) - 1), st.booleans())
def test_a_table_that_names_itself_ends_the_walk(index, iova, write):
    """Each level finds the same entry: at level 1 it is a page."""
    memory = GuestMemory(2 * PAGE)
    for each in range(512):
        memory.store(PAGE + 8 * each, 8, PAGE | RW)
    found = descend(memory, CAPS, Start(5, PAGE), iova, write)
    assert found.gpa == PAGE + iova % PAGE
    assert len(found.steps) == 5


def test_a_root_table_that_is_its_own_context_table():
    memory = GuestMemory(2 * PAGE)
    memory.store(PAGE, 16, ROOT.pack(P=1) | PAGE)
    assert find_context(memory, PAGE, CAPS, 0).reason == Reason.CONTEXT_INVALID
