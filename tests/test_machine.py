"""The lesson PC and its VM: everything is where the map says, and a guest cannot break it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab import firmware, machine
from virtlab.clock import COSTS
from virtlab.guest.hpet import HpetDriver
from virtlab.guest.pic import Pics
from virtlab.guest.uart import UartDriver
from virtlab.wire import all_ones

INTERESTING = sorted(
    {
        address + near
        for mapping in (*machine.lesson_pc().ports.mappings, *machine.lesson_pc().memory.mappings)
        for address in (mapping.base, mapping.end)
        for near in (-2, -1, 0, 1, 3)
    }
)
any_address = st.one_of(st.sampled_from(INTERESTING), st.integers(0, all_ones(8)), st.integers())
any_size = st.one_of(st.sampled_from([1, 2, 4, 8]), st.integers(-1, 9))
accesses = st.lists(
    st.tuples(
        st.sampled_from(["inp", "out", "load", "store"]),
        any_address,
        any_size,
        st.one_of(st.integers(0, 255), st.integers()),
    ),
    max_size=60,
)


@pytest.mark.parametrize("world", ["bare", "timed", "ept", "shadow"])
@given(sequence=accesses)
@settings(max_examples=60)
def test_no_sequence_of_accesses_raises_in_any_world(world, sequence):
    if world in ("bare", "timed"):
        cpu = machine.lesson_pc(timed=world == "timed").cpu
    else:
        cpu = machine.lesson_vm(paging=world).cpu
    for verb, address, size, value in sequence:
        if verb in ("inp", "load"):
            assert 0 <= getattr(cpu, verb)(address, size) <= all_ones(8)
        else:
            getattr(cpu, verb)(address, value, size)
    cpu.wait(1_000_000)


def test_the_map_in_the_docstring_is_the_map():
    board = machine.lesson_pc()
    starts = {mapping.base for mapping in (*board.ports.mappings, *board.memory.mappings)}
    told = {
        int(word.replace("_", ""), 16)
        for line in machine.__doc__.splitlines()
        for word in line.split()
        if word.startswith("0x")
    }
    assert told == starts


def test_a_vm_has_the_same_devices_in_the_same_places():
    board, guest = machine.lesson_pc(), machine.lesson_vm()
    names = [(m.base, m.length, m.name) for m in board.ports.mappings]
    assert names == [(m.base, m.length, m.name) for m in guest.vm.ports.mappings]
    devices = {(m.base, m.name) for m in board.memory.mappings if m.name != "ram"}
    assert devices == {(m.base, m.name) for m in guest.vm.memory.mappings if m.name != "vram"}


def test_the_second_uart_is_the_first_one_in_memory():
    board = machine.lesson_pc()
    UartDriver.at_ports(board.cpu).write(b"ports")
    UartDriver.in_memory(board.cpu, machine.UART2, machine.UART2_SHIFT).write(b"memory")
    assert (board.terminal.text, board.terminal2.text) == ("ports", "memory")


def test_time_passes_on_a_timed_board():
    board = machine.lesson_pc(timed=True)
    board.cpu.inp(machine.UART)
    board.cpu.out(machine.UART + 7, 1)
    assert board.clock.now == 2 * round(COSTS["isa_cycle"].ns)


def test_the_rom_is_where_an_x86_starts_and_says_who_it_is():
    board = machine.lesson_pc()
    assert board.cpu.read(0xFFFFFFF0, 4) == bytes.fromhex("faf4ebfd")
    assert board.cpu.read(firmware.ROM, 11) == b"virtlab ROM"
    board.cpu.store(firmware.ROM, 0)
    assert board.cpu.read(firmware.RESET_ROM, 11) == b"virtlab ROM"


def test_two_vms_share_nothing_but_the_host():
    board = machine.lesson_pc()
    one, two = machine.lesson_vm(board), machine.lesson_vm(board)
    one.cpu.write(0x1000, b"mine")
    two.cpu.write(0x1000, b"ours")
    UartDriver.at_ports(one.cpu).put(0x31)
    assert one.cpu.read(0x1000, 4) == b"mine"
    assert (one.terminal.text, two.terminal.text, board.terminal.text) == ("1", "", "")
    assert not set(one.vm.ram.frames.values()) & set(two.vm.ram.frames.values())


def test_either_of_two_gates_opens_a20():
    board = machine.lesson_pc()
    levels = []
    for port92 in (0x02, 0x00):
        for output_port in (0xDD, 0xDF):  # 8042 commands: A20 off, A20 on
            board.cpu.out(machine.PORT92, port92)
            board.cpu.out(machine.I8042_COMMAND, output_port)
            levels.append(board.a20.level)
    assert levels == [True, True, False, True]


def test_a_timer_that_pulses_its_line_wakes_the_guest():
    board = machine.lesson_pc()
    Pics(board.cpu).remap()
    Pics(board.cpu).unmask(0)
    timer = HpetDriver(board.cpu)
    timer.start(legacy=True)
    timer.one_shot(0, 50_000)
    assert board.cpu.wait(1_000_000) == 0x20
    assert board.clock.now == 50_000
