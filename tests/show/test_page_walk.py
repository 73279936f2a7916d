"""Pictures of walks: every entry is there, faults fall where they fall, nothing is changed."""

import pytest

from tests.show.looks import check_picture, words_of
from tests.vmm.paged import DEVICE, ENTRIES, FIRST, LAST, LEAVES, Paged, put
from virtlab.memory import PAGE, GuestMemory
from virtlab.show.nested_walk import grid, nested_walk
from virtlab.show.page_walk import explain, page_walk
from virtlab.show.shell import said
from virtlab.show.walk_lab import (
    EXAMPLES,
    WalkLab,
    WalkState,
    bits_to_turn,
    example_tables,
    step_at,
)
from virtlab.show.walk_lab import explain as lab_words
from virtlab.show.walk_view import look
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import WRITE
from virtlab.vmm.frames import Frames
from virtlab.vmm.guest_paging import Paging4Level, Paging32
from virtlab.vmm.nested_paging import NestedPaging, references
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.table_memory import PlainMemory


def shadow():
    tables = ShadowPageTable(Frames(GuestMemory(16 * PAGE), 0, 16))
    tables.map(0, 0x4_0000, 0x4000)
    tables.map(0x1000, 0x5_0000, PAGE, writable=False)
    return tables


def two():
    memory = GuestMemory(4 * PAGE)
    memory.store(0, 4, 0x1007)
    memory.store(4, 4, 0x40_0087)
    memory.store(PAGE, 4, 0x3005)
    return Paging32(PlainMemory(memory))


def four():
    memory = GuestMemory(4 * PAGE)
    memory.store(0, 8, 1 << 63 | 0x1007)
    return Paging4Level(PlainMemory(memory))


RAM, READ_ONLY, LARGE, HOLE = (address for _, address in EXAMPLES)

CASES = [
    (example_tables, RAM, False, "hpa 0x41234, on a page of 4 KiB."),
    (example_tables, READ_ONLY, True, "qualification 0x18a at level 1, no right to write."),
    (example_tables, LARGE, True, "hpa 0x612345, on a page of 2 MiB."),
    (example_tables, HOLE, False, "qualification 0x181 at level 3, not present."),
    (example_tables, 1 << 50, False, "EPT violation, qualification 0x181."),
    (shadow, 0x1008, True, "error code 0x3 (P W/R) at level 1, no right to write."),
    (shadow, 0x1008, False, "hpa 0x50008, on a page of 4 KiB."),
    (two, 0x123, False, "gpa 0x3123, on a page of 4 KiB."),
    (two, 0x40_0123, True, "gpa 0x400123, on a page of 4 MiB."),
    (two, 0x80_0000, True, "error code 0x2 (W/R) at level 2, not present."),
    (four, 1 << 47, False, "#GP, the address is not canonical."),
    (four, 0, False, "error code 0x0 at level 3, not present."),
]


@pytest.mark.parametrize(("make", "address", "write", "end"), CASES)
def test_a_picture_says_how_the_access_ends(make, address, write, end):
    tables = make()
    before = bytes_of(tables)
    drawn = page_walk(tables, address, write)
    assert check_picture(drawn).attrib["aria-label"].endswith(end)
    assert explain(tables, address, write).endswith(end)
    assert len(drawn.text.splitlines()) == 2 + len(tables.descend(address).steps)
    assert bytes_of(tables) == before


def bytes_of(tables):
    memory = tables.memory.memory if isinstance(tables.memory, PlainMemory) else tables.memory
    return memory.bytes.tobytes()


def test_every_step_is_there_with_its_bits():
    tables = example_tables()
    words = words_of(page_walk(tables, RAM))
    for step in tables.walk(RAM).steps:
        assert f"level {step.level}" in words
        assert f"{step.entry:#x}" in words
    assert {"bits 47:39", "bits 20:12", "bits 11:0", "type WB", "so far: R W X"} <= {*words}


def test_rights_are_anded_on_the_way():
    tables = example_tables()
    step = tables.walk(RAM).steps[1]
    tables.memory.store(step.entry_at, 8, step.entry & ~2)
    assert [cell.so_far for cell in look(tables, RAM).cells] == ["R W X"] + ["R - X"] * 3
    stops = [cell.stops for cell in look(tables, RAM, write=True).cells]
    assert stops == ["", "no right to write", "", ""]


def test_the_names_of_the_bits_are_those_of_the_kind():
    assert look(shadow(), 0).cells[3].lines == ("P=1 R/W=1 U/S=1", "A=0 D=0", "page 0x40000")
    assert look(four(), 0).cells[0].lines == ("P=1 R/W=1 U/S=1", "A=0 XD", "table 0x1000")
    assert look(two(), 0x40_0000).cells[0].lines[1:] == ("A=0 D=0 PS", "page 0x400000")
    assert look(example_tables(), LARGE).cells[2].lines[1] == "type WB large"
    assert look(example_tables(), HOLE).cells[1].lines == ("R=0 W=0 X=0", "rest ignored", "")
    assert [cell.so_far for cell in look(two(), 0).cells] == ["R W U", "R - U"]
    assert look(two(), 0x80_0000).cells[0].so_far == "- - -"


def test_levels_without_an_entry_say_why():
    assert words_of(page_walk(example_tables(), LARGE)).count("not needed") == 1
    assert words_of(page_walk(example_tables(), HOLE)).count("not reached") == 2
    assert "not reached" not in words_of(page_walk(example_tables(), RAM))


def test_a_misconfiguration_and_a_reserved_bit_are_told_apart_from_what_is_missing():
    tables = example_tables()
    step = tables.walk(RAM).steps[3]
    tables.memory.store(step.entry_at, 8, step.entry & ~1)
    assert explain(tables, RAM).endswith("at level 1, can be written but not read.")
    assert "EPT misconfiguration" in explain(tables, RAM)
    tables = shadow()
    step = tables.walk(0).steps[3]
    tables.memory.store(step.entry_at, 8, step.entry | 1 << 51)
    assert explain(tables, 0).endswith("error code 0x9 (P RSVD) at level 1, a reserved bit is set.")


def test_a_title_is_kept():
    assert words_of(page_walk(shadow(), 0, title="Mine"))[0] == "Mine"
    assert words_of(nested_walk(Paged("ept").paging, 0, title="Mine too"))[0] == "Mine too"


# -- the two-dimensional walk


def numbers(rows):
    return [box.number for row in rows for box in row.boxes if box and box.number]


@pytest.mark.parametrize("levels", [2, 4])
def test_the_grid_numbers_every_reference(levels):
    machine = Paged("ept", levels)
    rows, verdict = grid(machine.paging, FIRST * PAGE + 4)
    assert numbers(rows) == list(range(1, references(levels) + 1))
    hpa = machine.vm.ram.hpa(FIRST * PAGE + 4)
    assert verdict.endswith(f"is gpa {FIRST * PAGE + 4:#x} is hpa {hpa:#x}")
    drawn = nested_walk(machine.paging, FIRST * PAGE + 4)
    check_picture(drawn)
    assert drawn.text.splitlines()[0].startswith(f"{references(levels)} references")


def test_the_grid_ends_where_the_walk_ends():
    machine = Paged("ept")
    rows, verdict = grid(machine.paging, LAST * PAGE)
    assert (len(rows), len(numbers(rows)), verdict) == (4, 20, "page fault, error code 0x0")
    assert rows[-1].boxes[-1].bad
    rows, verdict = grid(machine.paging, DEVICE * PAGE)
    assert (len(rows), verdict) == (5, "EPT violation, for the page")
    put(machine, FIRST, FIRST * PAGE | 5)
    rows, verdict = grid(machine.paging, FIRST * PAGE, write=True)
    assert (len(rows), verdict) == (4, "page fault, error code 0x3 (P W/R)")
    machine.vm.tables.unmap(LEAVES, PAGE)
    rows, verdict = grid(machine.paging, FIRST * PAGE)
    assert (len(rows), len(numbers(rows)), verdict) == (4, 19, "EPT violation, for a table")
    rows, verdict = grid(machine.paging, 1 << 47)
    assert (rows, verdict) == ([], "#GP, the address is not canonical")
    machine.vm.ram.write(0x2000, (0x87).to_bytes(8, "little"))
    rows, _ = grid(machine.paging, FIRST * PAGE)
    assert [row.label for row in rows] == ["guest level 4", "guest level 3", "the page"]
    for gva in (FIRST * PAGE, LAST * PAGE, DEVICE * PAGE, 1 << 47):
        check_picture(nested_walk(machine.paging, gva))


def test_a_large_page_of_ept_leaves_columns_empty():
    machine = Paged("ept")
    ept = Ept(machine.host.frames)
    ept.map(0, 0, 1 << 30, large=True)
    for gpa, entry in ENTRIES.items():
        machine.host.ram.store(gpa, 8, entry)
    paging = NestedPaging(machine.guest, ept, machine.vm.vmm)
    rows, _ = grid(paging, FIRST * PAGE)
    assert [row.boxes.count(None) for row in rows] == [2] * 5
    check_picture(nested_walk(paging, FIRST * PAGE))


def test_a_table_that_cannot_be_reached_has_no_cell():
    machine = Paged("ept")
    machine.vm.tables.unmap(LEAVES, PAGE)
    view = look(machine.guest, FIRST * PAGE)
    assert [cell.level for cell in view.cells] == [4, 3, 2]
    assert not any(cell.stops for cell in view.cells)
    check_picture(page_walk(machine.guest, FIRST * PAGE))


# -- the widget


def test_turning_a_bit_changes_the_entry_and_what_is_said():
    lab = WalkLab()
    assert "hpa 0x41234" in lab._says.value
    lab.turn("R")
    assert "can be written but not read" in lab._says.value
    assert lab._bits["R"].description == "R = 0"
    lab.turn("R")
    assert "hpa 0x41234" in lab._says.value


def test_every_bit_has_a_consequence_or_none_as_the_manual_has_it():
    ends = {"R": "misconf", "W": "hpa", "X": "hpa", "large": "hpa", "bit 51": "misconf"}
    for name, end in ends.items():
        lab = WalkLab()
        lab.turn(name)
        assert end in lab._says.value, name
    lab = WalkLab()
    lab._level.value = 2
    lab.turn("large")
    assert "a reserved bit is set" in lab._says.value


def test_the_controls_lead_everywhere_and_reset_leads_back():
    tables = example_tables()
    lab = WalkLab(tables, EXAMPLES)
    before, first = tables.memory.bytes.tobytes(), lab._picture.value
    lab._named.value = LARGE
    assert lab.state == WalkState(LARGE)
    lab._access.value = True
    lab._level.value = 2
    lab.turn("W")
    assert "no right to write" in lab._says.value
    lab._typed.value = "0x8010"
    assert lab.state == WalkState(0x8010, True, 2)
    lab.turn("X")
    lab._typed.value = "0x777000"
    assert lab._named.value is None
    lab._typed.value = "nonsense"
    assert "is no address" in lab._says.value
    assert lab.state.address == 0x777000
    lab.reset()
    assert tables.memory.bytes.tobytes() == before
    assert (lab.state, lab._picture.value) == (WalkState(RAM), first)


def test_a_guest_that_runs_on_the_tables_meets_the_difference():
    machine = Paged("shadow")
    lab = WalkLab(machine.guest, [("a page", FIRST * PAGE)], write=True)
    lab.turn("R/W")
    codes = []
    machine.guest.handler = lambda fault: codes.append(fault.error_code)
    machine.cpu.store(FIRST * PAGE, 1)
    assert codes == [0b11]
    machine.cpu.load(FIRST * PAGE)
    lab.reset()
    # What the guest's own accesses set in the meantime stays: the A flag.
    assert machine.entry(FIRST) == FIRST * PAGE | 0x27
    assert {"P", "R/W", "U/S", "A", "D", "PS", "XD", "bit 51"} == bits_to_turn(machine.guest).keys()
    assert {"P", "R/W", "U/S", "A", "D", "PS", "bit 13"} == bits_to_turn(two()).keys()


def test_a_walk_with_no_entry_has_nothing_to_turn():
    lab = WalkLab(four(), [("not canonical", 1 << 47), ("far", 0xFFFF_FFFF_FFFF_F000)])
    lab.turn("P")
    assert lab._says.value == said(lab_words(lab.tables, lab.state))
    assert "No entry was read" in lab._says.value
    assert step_at(lab.tables, lab.state) is None
    assert lab._bits["P"].description == "P"


def test_entries_where_there_is_no_memory_cannot_be_turned():
    far = Paging32(PlainMemory(GuestMemory(PAGE)), 0x8000)
    lab = WalkLab(far)
    lab.turn("P")
    assert lab._bits["P"].description == "P = 1"
    machine = Paged("ept")
    lab = WalkLab(machine.guest, [("a page", FIRST * PAGE)])
    lab.turn("A")
    machine.vm.tables.unmap(LEAVES, PAGE)
    lab.reset()
    assert "error code 0x0" in lab._says.value


def test_a_reason_too_long_for_its_entry_stands_whole_at_the_end():
    tables = Ept(Frames(GuestMemory(16 * PAGE), 0, 16))
    tables.map(0x5000, 0x7000, PAGE, rights=WRITE)
    drawn = page_walk(tables, 0x5000)
    assert "ends here" in drawn.svg
    assert "…" not in drawn.svg
    assert "<- can be written but not read" in drawn.text
