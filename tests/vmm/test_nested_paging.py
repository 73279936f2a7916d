"""The guest's tables behind EPT: references counted, and what EPT can do to a walk."""

import pytest

from tests.vmm.paged import DEVICE, ENTRIES, FIRST, LAST, LEAVES, ROOT, Paged, put
from tests.vmm.rig import MMIO
from virtlab.memory import PAGE
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import EptViolation
from virtlab.vmm.nested_paging import (
    NestedPaging,
    TableMisconfiguration,
    TableViolation,
    references,
)
from virtlab.vmm.table_memory import BehindTables


def machine(levels=4):
    return Paged("ept", levels)


# -- how many references: (n + 1)(m + 1) - 1


@pytest.mark.parametrize(("levels", "expected"), [(4, 24), (2, 14)])
def test_a_whole_walk_makes_the_references_of_the_closed_form(levels, expected):
    walk = machine(levels).paging.walk(FIRST * PAGE)
    assert walk.references == references(levels) == (levels + 1) * 5 - 1 == expected
    assert [row.gpa for row in walk.rows[-2:]] == [walk.guest.steps[-1].entry_at, walk.guest.gpa]


def test_large_pages_of_the_guest_save_rows():
    one = machine()
    one.vm.ram.write(0x3000, (0x87).to_bytes(8, "little"))
    assert one.paging.walk(FIRST * PAGE).references == references(3) == 19


def test_large_pages_of_ept_save_columns():
    one = machine()
    ept = Ept(one.host.frames)
    ept.map(0, 0, 1 << 30, large=True)
    for gpa, entry in ENTRIES.items():
        one.host.ram.store(gpa, 8, entry)
    paging = NestedPaging(one.guest, ept, one.vm.vmm)
    assert paging.walk(FIRST * PAGE).references == references(4, 2) == 14
    assert paging.translate(FIRST * PAGE + 4, 4, True) == FIRST * PAGE + 4


def test_a_walk_that_faults_is_shorter():
    walk = machine().paging.walk(LAST * PAGE)
    assert (walk.guest.problem, walk.references) == ("not present", 20)
    assert machine().paging.walk(1 << 47).references == 0


# -- EPT refuses the page


def test_a_page_that_ept_hides_is_an_ordinary_violation():
    one = machine()
    one.vm.tables.unmap(FIRST * PAGE, PAGE)
    seen = watch(one)
    one.cpu.store(FIRST * PAGE + 4, 0x1234)
    assert one.cpu.load(FIRST * PAGE + 4) == 0x1234
    assert [(type(e), e.gpa, e.qualification) for e in seen] == [
        (EptViolation, FIRST * PAGE + 4, 0x182),
        (EptViolation, FIRST * PAGE + 4, 0x181),
    ]


def watch(one):
    """Every exit from now on."""
    seen, handle = [], one.vm.vmm.handle

    def note(exit):
        seen.append(exit)
        return handle(exit)

    one.vm.vmm.handle = note
    return seen


# -- EPT refuses a table


@pytest.mark.parametrize(("table", "entry_at"), [(ROOT, ROOT), (LEAVES, LEAVES + 8 * FIRST)])
def test_a_table_that_ept_hides_is_a_violation_with_bit_8_clear(table, entry_at):
    one = machine()
    one.vm.tables.unmap(table, PAGE)
    seen = watch(one)
    faults = []
    one.guest.handler = lambda fault: bool(faults.append(fault))
    assert one.cpu.load(FIRST * PAGE + 4) == 0
    first = seen[0]
    assert first == TableViolation(entry_at, 8, False, gva=FIRST * PAGE + 4, for_write=False)
    assert (first.qualification, first.REASON) == (0x081, 48)
    # The VMM has no page there, so it says to the guest "not present".
    assert [(f.vector, f.error_code, f.cr2) for f in faults] == [(14, 0, FIRST * PAGE + 4)]
    assert (
        one.paging.walk(FIRST * PAGE).rows[-1].gpa
        == entry_at - (entry_at == LEAVES + 8 * FIRST) * 0
    )


@pytest.mark.parametrize("write", [False, True])
def test_the_vmm_may_repair_it_and_the_guest_never_knows(write):
    one = machine()
    one.cpu.store(FIRST * PAGE, 0x55)
    one.vm.tables.unmap(0x1000, 4 * PAGE)

    def repair(gpa):
        one.vm.tables.map(gpa & -PAGE, one.vm.ram.hpa(gpa & -PAGE), PAGE)
        return True

    one.paging.repair = repair
    if write:
        one.cpu.store(FIRST * PAGE, 0x56)
    assert one.cpu.load(FIRST * PAGE) == 0x55 + write
    assert dict(one.exits) == {"TableViolation": 4}
    assert one.guest.faults == {}


def test_a_repair_that_cannot_is_no_repair():
    one = machine()
    one.vm.tables.unmap(LEAVES, PAGE)
    one.paging.repair = lambda gpa: False
    one.cpu.store(FIRST * PAGE, 1)
    assert one.guest.faults == {14: 1}
    assert one.exits["TripleFault"] == 1


def test_tables_that_may_be_read_only_refuse_the_setting_of_flags():
    one = machine()
    one.vm.tables.protect(LEAVES, PAGE, 1)
    seen = watch(one)
    one.cpu.store(FIRST * PAGE, 1)
    assert seen[0] == TableViolation(
        LEAVES + 8 * FIRST, 8, True, rights=1, gva=FIRST * PAGE, for_write=True
    )
    assert seen[0].qualification == 0x08A
    put(one, FIRST, FIRST * PAGE | 0x67)
    one.cpu.store(FIRST * PAGE, 2)
    assert one.cpu.load(FIRST * PAGE) == 2


def test_a_table_among_devices_is_a_misconfiguration_where_those_are_marked_so():
    one = machine()
    one.vm.tables.map(MMIO, 0, PAGE, rights=0b110)
    one.guest.cr3 = MMIO
    seen = watch(one)
    codes = []
    one.guest.handler = lambda fault: codes.append(fault.error_code)
    one.cpu.store(FIRST * PAGE, 1)
    assert type(seen[0]) is TableMisconfiguration
    assert (seen[0].gpa, seen[0].for_write, codes) == (MMIO, True, [0b010])
    assert one.latch.log == []


def test_a_table_on_an_assigned_device_reads_as_all_ones():
    one = machine()
    one.vm.assign_memory(MMIO, MMIO, PAGE)
    behind = BehindTables(one.vm.tables)
    assert behind.load(MMIO, 8) == (1 << 64) - 1
    assert behind.store(MMIO, 8, 0)
    one.guest.cr3 = MMIO
    assert one.cpu.load(FIRST * PAGE) == 0
    assert one.guest.faults == {14: 1}
    assert one.host.latch.log == []


def test_what_else_refuses_is_our_bug():
    one = machine()
    with pytest.raises(TypeError, match="not None"):
        one.paging._of_table(0, False)


def test_a_device_is_emulated_behind_both():
    one = machine()
    walk = one.paging.walk(DEVICE * PAGE)
    assert (walk.guest.gpa, walk.rows[-1].problem) == (MMIO, "not present")
