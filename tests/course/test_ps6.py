"""Tasks 1 to 3 of problem set 6: their judges, held to the library and to the text of the tasks."""

from random import Random

import pytest

from tests.course.answers import right
from tests.course.refusals import refusal
from virtlab.course.answers import Answer
from virtlab.course.checks import check
from virtlab.course.ps3.machines import Memory
from virtlab.course.ps6 import domain_bench, fault_bench, probed_unit
from virtlab.course.ps6.second_level import END, HUGE, LARGE, RW, Tables, page, text
from virtlab.guest.vtd_faults import FaultRecords
from virtlab.guest.vtd_registers import UnitRegisters
from virtlab.hosts.python import BareCpu
from virtlab.iommu.listing import Page
from virtlab.iommu.reasons import Reason
from virtlab.iommu.registers import BASE, VtdRegisters
from virtlab.memory import PAGE, GuestMemory


@pytest.mark.parametrize("number", range(1, 7))
def test_the_solution_passes(number):
    assert check(f"ps6.q{number}", seed=4, namespace=right()).ok


@pytest.mark.long
@pytest.mark.parametrize("number", range(1, 7))
def test_the_solution_passes_with_150_seeds(number):
    for seed in range(150):
        assert check(f"ps6.q{number}", seed=seed, namespace=right()).ok


# -- the examples that the texts of the tasks give


def test_the_example_of_task_1_holds():
    ram = GuestMemory(0x8000)
    for at, entry in ((0x3000, 0x4003), (0x4000, 0x5003), (0x5090, 0x9001)):
        ram.store(at, 8, entry)
    translate, context = right()["translate"], Tables(levels=3, top=0x3000).raw
    assert translate(Memory(ram), context, 0x12345, False) == ("gpa", 0x9345)
    assert translate(Memory(ram), context, 0x12345, True) == ("fault", 0x5)
    assert translate(Memory(ram), context, 0x212345, False) == ("fault", 0x6)


def test_the_example_of_task_2_holds():
    bench = domain_bench.Bench(Answer(right()), Random(1))
    bench._pool[-2:] = [0xA000, 0xB000]
    stores = []
    bench.d.memory.after = lambda what: stores.append(what)
    assert right()["map_pages"](bench.d, 0x5000, 0x90000, 0x2000, 3) is True
    assert stores[-2:] == ["your store of 0x90003 at 0xa028", "your store of 0x91003 at 0xa030"]
    assert bench.taken[1:] == [0xB000, 0xA000]


def test_the_example_of_task_3_holds():
    record = bytes.fromhex("00500000000000001803000005000080")
    assert right()["decode_fault"](record) == ("03:03.0", "write", 0x5000, 0x5)


# -- task 1: the tables


def test_an_entry_is_planted_where_the_librarys_walk_finds_it():
    for levels in (3, 4, 5):
        tables = Tables(levels)
        tables.plant(HUGE + 2 * LARGE + 0x5000, 1, page(0x9000))
        walk = tables.ask(HUGE + 2 * LARGE + 0x5123, True)
        assert (walk.gpa, len(walk.steps)) == (0x9123, levels)
        assert text(walk).startswith(f"level {levels} 0x")


def test_nothing_is_planted_below_a_large_page_nor_spoilt_outside_memory():
    tables = Tables(3)
    tables.plant(LARGE, 2, page(4 * LARGE, LARGE))
    before = tables.ram.bytes.copy()
    tables.plant(LARGE + 0x3000, 1, page(0x9000))
    tables.spoil(LARGE, 1, RW)
    assert (tables.ram.bytes == before).all()
    tables.plant(0, 2, END & -PAGE | RW)
    tables.spoil(0x1F_F000, 1, RW)
    assert tables.ask(0x1F_F000, False).reason is Reason.PAGING_ACCESS
    assert text(Tables(3, top=1 << 40).ask(0, False)) == "no entry"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def translate(*a): return None", "yours None: is there a return?"),
        ("def translate(*a): return ('gpa', True)", "expected ('gpa', 0x7000) yours ('gpa', True)"),
        ("def translate(*a): return 'fault', 5", "nothing forbids this access"),
        ("def translate(*a): return ('gpa', 8)", "expected ('gpa', 0x7000) yours ('gpa', 0x8)"),
        ("r = translate\ndef translate(m, *a): m.store(0, 8, 0); return r(m, *a)",
         "expected nothing is written yours a store"),
        ("r = translate\ndef translate(m, *a): m.load(0x3000, 8); return r(m, *a)",
         "expected each entry read once yours entry at 0x3000 read 2 times"),
        ("r = translate\ndef translate(m, *a): r(m, *a); return r(m, *a)", "read 2 times"),
    ],
)  # fmt: skip
def test_what_is_no_translation_is_said(source, said):
    assert said in refusal("ps6.q1", source)


def test_an_entry_that_a_walk_meets_three_times_may_be_read_three_times():
    said = refusal(
        "ps6.q1",
        "r = translate\ndef translate(m, c, i, w):\n"
        " for _ in range(3): m.load(0x3008, 8) if i == 0x40201abc else None\n"
        " return r(m, c, i, w)",
    )
    assert "expected each entry read as often as the walk meets it: 3 times" in said


# -- task 2: the devices that try


def test_what_a_device_met_is_what_the_unit_believes_until_it_is_told():
    probed = probed_unit.ProbedUnit(3, 5, caching_mode=False)
    table = probed_unit.POOL.start
    probed.ram.write(table, bytes(2 * PAGE))
    probed.ram.store(probed_unit.TABLE, 8, table | RW)
    probed.ram.store(table, 8, table + PAGE | RW)
    entry_at = table + PAGE + 8 * 5
    assert probed.reached(0x5000, False) == {None}
    probed.ram.store(entry_at, 8, 0x9000 | RW)
    assert probed.listed() == ([Page(0x5000, 0x9000, PAGE, True, True, 1)], 3)
    assert probed.reached(0x5010, True) == {0x9010}
    probed.ram.store(entry_at, 8, 0)
    for other in ((4, 0x5000, PAGE), (5, 0x6000, PAGE)):
        probed.invalidate(*other)
        assert probed.reached(0x5010, True) == {0x9010, None}
    probed.invalidate(5, 0x5000, PAGE)
    assert probed.reached(0x5010, True) == {None}


def test_in_caching_mode_a_fault_is_believed_too():
    probed = probed_unit.ProbedUnit(3, 5, caching_mode=True)
    table = probed_unit.POOL.start
    probed.ram.write(table, bytes(2 * PAGE))
    probed.warm([0x5000])
    probed.ram.store(table + PAGE + 8 * 5, 8, 0x9000 | RW)
    probed.ram.store(table, 8, table + PAGE | RW)
    probed.ram.store(probed_unit.TABLE, 8, table | RW)
    assert probed.reached(0x5000, True) == {None, 0x9000}
    assert probed.reached(0x5000, False) == {None}
    probed.invalidate(5, 0x5000, PAGE)
    assert probed.reached(0x5000, False) == {0x9000}


MAP = "m = map_pages\ndef map_pages(d, *a):\n"
UNMAP = "u = unmap_pages\ndef unmap_pages(d, *a):\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def map_pages(*a): return None", "expected True yours None: is there a return?"),
        ("def map_pages(*a): return True",
         "expected iova 0x5000 is mapped to 0x9000, rights 3 yours it is not mapped"),
        (MAP + " d.memory.store(0x7000, 8, 1)\n return m(d, *a)",
         "expected no other store yours a store to 0x7000"),
        (MAP + " t = d.take_page()\n return m(d, *a)",
         "expected 2 tables below the top one yours 3 taken"),
        (MAP + " d.free(0x9000)\n return m(d, *a)",
         "expected each page of the range is freed once yours free(0x9000)"),
        (MAP + " d.invalidate(d.number, 'x', 4096)\n return m(d, *a)", "whole numbers, not 'x'"),
        (MAP + " d.memory.write(d.table, bytes(4096))\n return m(d, *a)",
         "a write at iova 0x5000 gives 0x9000 yours after your write of 4096 bytes at 0x5000 it "
         "gives a fault look at what is mapped beside it"),
        (MAP + " d.invalidate(d.number, a[0], a[2])\n return m(d, *a)",
         "expected invalidations: 0 yours 1"),
        (MAP + " 1 / 0", "ZeroDivisionError: division by zero"),
        (MAP + " d.memory.store(d.table, 8, d.take_page() | 3)\n 1 / 0",
         "it gives 0x200004000 look at a page for a table has old contents"),
        (MAP + " m(d, *a)\n d.memory.store(d.take_page() + 8 * 500, 8, 0)\n return 1",
         "expected True yours 1"),
        (UNMAP + " d.free(0x9000)",
         "yours free(0x9000), and a device still reaches it at iova 0x5000"),
        (UNMAP + " pass", "FAILS unmap one page"),
        (UNMAP + " d.memory.write(d.table, bytes(4096)); u(d, *a)", "FAILS unmap one page"),
        (UNMAP + " d.free = lambda gpa: None\n u(d, *a)", "expected free(0x9000) yours it is not"),
        (UNMAP + " u(d, *a)\n d.memory.store(0x7000, 8, 3)",
         "expected no other store yours a store to 0x7000"),
    ],
)  # fmt: skip
def test_what_is_no_driver_of_tables_is_said(source, said):
    assert said in refusal("ps6.q2", source)


# -- task 3: the unit


def test_a_record_is_decoded_as_the_librarys_driver_does():
    bench = fault_bench.Bench(Answer(right()), Random(3))
    bench.fault(8)
    assert len(bench.recorded) == 8
    cpu = fault_cpu(bench)
    found = FaultRecords(UnitRegisters(cpu, BASE)).read()
    assert [fault.source_id for fault in found] == [each >> 64 & 0xFFFF for each in bench.recorded]


def fault_cpu(bench):
    """A Cpu in front of the registers of a bench."""
    cpu = fault_bench.Stepped(GuestMemory(PAGE))
    cpu.memory.map(BASE, VtdRegisters.length, bench.window, "vtd", width=8)
    assert isinstance(cpu, BareCpu)
    return cpu


def test_a_unit_has_its_records_where_its_capabilities_say_and_nowhere_else():
    bench = fault_bench.Bench(Answer(right()), Random(3), records=2, place=0x400)
    bench.fault()
    cpu = fault_cpu(bench)
    assert cpu.load(BASE + 8, 8) >> 24 & 0x3FF == 0x40
    assert cpu.load(BASE + 0xC, 4) == bench.unit.CAP >> 32
    assert cpu.load(BASE + 0x40C, 4) >> 31 == 1
    assert cpu.load(BASE + 0x22C, 4) == 0
    assert bench.window.wrong is None


def test_a_requester_that_has_a_record_gets_no_second_one():
    bench = fault_bench.Bench(Answer(right()), Random(3))
    bench._sources = iter([7, 7])
    bench.fault(2)
    assert len(bench.recorded) == 1


R = "r = read_faults\ndef read_faults(cpu, base):\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def decode_fault(r): return None", "is there a return?"),
        ("def decode_fault(r): return ('00:03.0', 'write', 0x5000, True)",
         "expected ('00:03.0', 'write', 0x5000, 0x5) yours"),
        ("d = decode_fault\ndef decode_fault(r): return d(r) or False",
         "FAILS a record that is free"),
        ("def read_faults(*a): return []", "a list of faults, and a bool"),
        ("def read_faults(*a): return [], 0", "expected False yours 0"),
        ("def read_faults(*a): return [], False", "expected faults: 1 yours faults: 0"),
        (R + " f, l = r(cpu, base)\n return f + f, l", "yours faults[1] ("),
        (R + " cpu.load(base + 8, 2)\n return r(cpu, base)",
         "expected 4 or 8 bytes yours a read of 2 bytes at 0x8"),
        (R + " cpu.store(base + 0x38, 0, 4)\n return r(cpu, base)",
         "expected no other register is written yours a write at 0x38"),
        (R + " cpu.store(base + 0x34, 0x10, 4)\n return r(cpu, base)",
         "expected IQE and ITE as before"),
        ("def read_faults(cpu, base):\n while True: cpu.load(base + 0x34, 4)", "it was stopped"),
    ],
)  # fmt: skip
def test_what_is_no_handler_is_said(source, said):
    assert said in refusal("ps6.q3", source)
