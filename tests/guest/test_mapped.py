"""A driver whose addresses are iovas: each verb of its Cpu, inside and outside of windows."""

import random

import pytest

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import Recorder
from virtlab.guest.mapped import MappedCpu, Window
from virtlab.hosts.python import BareCpu
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace

IOVA = 0x40_0000_0000


@pytest.fixture
def cpu():
    ram, trace = GuestMemory(64 * PAGE), Trace()
    memory = AddressSpace("memory", 52, trace)
    memory.map_ram(ram)
    return Recorder(
        BareCpu(AddressSpace("port", 16, trace, ("in", "out"), max_size=4), memory, Clock())
    )


@pytest.fixture
def mapped(cpu):
    """Four pages in a row for the device, scattered for the processor."""
    frames = [9, 3, 30, 4]
    return MappedCpu(cpu, [Window(IOVA + n * PAGE, f * PAGE, PAGE) for n, f in enumerate(frames)])


def test_a_load_and_a_store_go_where_the_page_is(cpu, mapped):
    mapped.store(IOVA + PAGE + 8, 0x1122_3344_5566_7788, 8)
    assert cpu.load(3 * PAGE + 8, 8) == 0x1122_3344_5566_7788
    assert mapped.load(IOVA + PAGE + 12, 2) == 0x3344
    assert mapped.gpa_of(IOVA + 2 * PAGE + 1) == 30 * PAGE + 1


def test_string_moves_go_from_page_to_page(cpu, mapped):
    data = random.Random(1).randbytes(3 * PAGE)
    mapped.write(IOVA + 100, data)
    assert mapped.read(IOVA + 100, len(data)) == data
    assert cpu.read(9 * PAGE + 100, PAGE - 100) == data[: PAGE - 100]
    assert cpu.read(4 * PAGE, 100) == data[-100:]
    assert mapped.read(IOVA, 0) == b""


def test_a_string_move_that_leaves_the_windows_goes_on_as_it_is(cpu, mapped):
    """Behind the last window an address is what it says."""
    mapped.read(IOVA + 4 * PAGE - 4, 8)
    assert [(access.address, access.size) for access in cpu.accesses] == [
        (5 * PAGE - 4, 4),
        (IOVA + 4 * PAGE, 4),
    ]


def test_a_string_move_that_begins_in_front_of_a_window_enters_it(cpu):
    mapped = MappedCpu(cpu, [Window(8 * PAGE, 20 * PAGE, PAGE)])
    mapped.write(7 * PAGE, b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)
    assert cpu.read(20 * PAGE, PAGE) == b"b" * PAGE
    assert cpu.read(8 * PAGE, PAGE) == bytes(PAGE)
    assert cpu.read(9 * PAGE, 1) == b"c"


def test_everything_else_is_passed_on(cpu, mapped):
    mapped.store(0x5000, 7)
    mapped.out(0x80, 1)
    assert mapped.load(0x5000) == 7
    assert mapped.inp(0x80) == 0xFF
    assert mapped.wait(10) is None
    assert mapped.gpa_of(0x5000) == 0x5000
    assert [access.address for access in cpu.accesses] == [0x5000, 0x80, 0x5000, 0x80]


@pytest.mark.parametrize("iova", [IOVA, IOVA - 1, IOVA + 4 * PAGE - 1, IOVA - PAGE + 1])
def test_windows_do_not_overlap(mapped, iova):
    with pytest.raises(ValueError, match="overlaps"):
        mapped.add(iova, 0, PAGE)
    mapped.add(IOVA + 4 * PAGE, 0, PAGE)
