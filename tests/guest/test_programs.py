"""The same task through ports and through memory: the listings are true, and so are the counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_qemu
from tests.oracles.x86 import RAM_SIZE, Answers, capstone_texts, our_run, plain, unicorn_run
from virtlab.guest import programs
from virtlab.guest.programs import (
    COPY,
    COPY_BY_LOOP,
    COPY_BY_MEMORY,
    COPY_BY_PORTS,
    LINE_BY_MEMORY,
    LINE_BY_PORTS,
    OPEN_A20_BY_PORTS,
    ORIGIN,
    PAIRS,
    PRINT_BY_MEMORY,
    PRINT_BY_PORTS,
    SEND_BY_MEMORY,
    SEND_BY_PORTS,
    SET_BIT_BY_MEMORY,
    SET_BIT_BY_PORTS,
    STRING,
    Program,
    with_string,
)
from virtlab.hosts.remote import QtestMachine
from virtlab.hosts.tiny_x86 import TinyX86
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.vmm.x86_opcodes import disassemble

ALL = {name: value for name, value in vars(programs).items() if isinstance(value, Program)}
every_program = pytest.mark.parametrize("program", ALL.values(), ids=ALL)
THRE = 0x20


class Stream:
    """A data port: each read gives the next byte of what `device` holds in memory."""

    def __init__(self, device):
        self.device, self.at = device, 0

    def read(self, offset, size):
        self.at += 1
        return self.device.read(self.at - 1, 1)

    def write(self, offset, size, value):
        pass


def cpu_run(program, cpu):
    """Run a program on any `Cpu`; give what the run tells."""
    program.load(cpu)
    return TinyX86(cpu).run(program.code, ORIGIN)


def pc_run(program, pc=None):
    """Run a program on the lesson's PC, a new one unless given; give the PC and the run."""
    pc = pc or lesson_pc()
    return pc, cpu_run(program, pc.cpu)


def ram_with(string):
    """RAM that is empty but for a string."""
    return bytes(STRING) + string.ljust(RAM_SIZE - STRING, b"\0")


def polled_run(program, waits):
    """Run a program whose UART is not ready the first `waits[i]` times before character i."""
    lsr = [value for wait in waits for value in [0] * wait + [THRE]]
    return our_run(program.code, ORIGIN, ram_with(program.data), Answers(lsr))


# -- the listings


@every_program
def test_our_disassembler_reads_what_the_listing_says(program):
    expected = [(line.address, line.code, line.text) for line in program.lines]
    assert disassemble(program.code, ORIGIN) == expected


@pytest.mark.oracle
@every_program
def test_capstone_reads_what_the_listing_says(program):
    expected = [(line.address, line.code, line.text) for line in program.lines]
    assert capstone_texts(program.code, ORIGIN) == expected


@pytest.mark.oracle
@pytest.mark.parametrize("waits", [0, 1, 3])
@every_program
def test_each_program_does_on_unicorn_what_it_does_here(program, waits):
    lsr = ([0] * waits + [THRE]) * 80
    theirs = unicorn_run(program.code, ORIGIN, ram_with(program.data), Answers(lsr))
    assert our_run(program.code, ORIGIN, ram_with(program.data), Answers(lsr)) == theirs


def test_a_program_prints_as_a_listing():
    assert str(SET_BIT_BY_MEMORY).splitlines() == [
        "set bit RTS of the UART's MCR, through memory",
        "0x1000  80 0d 10 40 03 fe 02  or byte ptr [0xfe034010], 2            load, set RTS, store",
    ]


def test_the_pairs_are_ports_against_memory_at_one_task():
    for by_ports, by_memory in PAIRS:
        assert (by_ports.way, by_memory.way) == ("ports", "memory")
        assert by_ports.task == by_memory.task
        assert by_ports.data == by_memory.data


# -- what they do on the PC


def test_both_ways_set_the_bit_and_no_other():
    pc = lesson_pc()
    pc.uart.write(4, 1, 0x08)
    pc.uart2.write(4, 1, 0x08)
    pc_run(SET_BIT_BY_PORTS, pc)
    pc_run(SET_BIT_BY_MEMORY, pc)
    assert pc.uart.read(4, 1) == pc.uart2.read(4, 1) == 0x0A


def test_a20_opens():
    pc = lesson_pc()
    pc.port92.write(0, 1, 0)
    pc_run(OPEN_A20_BY_PORTS, pc)
    assert pc.port92.read(0, 1) & 2


def test_both_ways_send_an_a():
    assert pc_run(SEND_BY_PORTS)[0].terminal.text == "A"
    assert pc_run(SEND_BY_MEMORY)[0].terminal2.text == "A"


def test_both_ways_print_the_string():
    assert pc_run(PRINT_BY_PORTS)[0].terminal.text == "Hello"
    assert pc_run(PRINT_BY_MEMORY)[0].terminal2.text == "Hello"


def test_both_ways_draw_eighty_dashes():
    assert pc_run(LINE_BY_PORTS)[0].terminal.text == "-" * 80
    assert pc_run(LINE_BY_MEMORY)[0].screen.text() == "-" * 80


@pytest.mark.parametrize("program", [COPY_BY_LOOP, COPY_BY_PORTS, COPY_BY_MEMORY])
def test_every_way_copies_the_same_512_bytes(program):
    pc = lesson_pc()
    text = b"".join(bytes([n % 251, 7]) for n in range(256))
    pc.cpu.write(0xB8000, text)
    pc.ports.map(0x511, 1, Stream(pc.screen), "data port")
    pc_run(program, pc)
    assert pc.cpu.read(COPY, 512) == text
    assert pc.cpu.read(COPY + 512, 1) == b"\0"


@every_program
def test_in_a_virtual_machine_the_counts_are_the_same(program):
    run = cpu_run(program, lesson_vm().cpu)
    bare = pc_run(program)[1]
    assert run.path == bare.path
    assert plain(run.accesses) == plain(bare.accesses)


@needs_qemu
def test_on_qemu_the_programs_drive_its_devices():
    with QtestMachine("pc", paused=True) as machine:
        machine.out(0x3FC, 0)  # QEMU powers its UART on with OUT2 set
        for program in (SET_BIT_BY_PORTS, PRINT_BY_PORTS):
            ours, theirs = pc_run(program)[1], cpu_run(program, machine)
            assert theirs.path == ours.path
            assert plain(theirs.accesses) == plain(ours.accesses)
        assert machine.inp(0x3FC) == 0x02
        assert machine.terminal.text == "Hello"


@needs_qemu
def test_on_qemu_port_0x511_has_bytes_to_give():
    with QtestMachine("pc", paused=True) as machine:
        for program in (COPY_BY_LOOP, COPY_BY_PORTS):
            machine.out(0x510, 0x0000, 2)  # the item that says who it is
            cpu_run(program, machine)
            assert machine.read(COPY, 512) == b"QEMU" + bytes(508)
            machine.write(COPY, bytes(512))


# -- how many instructions


@pytest.mark.parametrize(
    ("program", "instructions", "code_bytes", "devices"),
    [
        (SET_BIT_BY_PORTS, 4, 9, {"in": 1, "out": 1}),
        (OPEN_A20_BY_PORTS, 3, 6, {"in": 1, "out": 1}),
        (SET_BIT_BY_MEMORY, 1, 7, {"load": 1, "store": 1}),
        (SEND_BY_PORTS, 7, 15, {"in": 1, "out": 1}),
        (SEND_BY_MEMORY, 3, 16, {"load": 1, "store": 1}),
        (PRINT_BY_PORTS, 65, 31, {"in": 5, "out": 5}),
        (PRINT_BY_MEMORY, 39, 26, {"load": 5, "store": 5}),
        (LINE_BY_PORTS, 642, 24, {"in": 80, "out": 80}),
        (LINE_BY_MEMORY, 4, 18, {"store": 80}),
        (COPY_BY_LOOP, 1539, 19, {"in": 512}),
        (COPY_BY_PORTS, 4, 17, {"in": 512}),
        (COPY_BY_MEMORY, 4, 17, {"load": 128}),
    ],
)
def test_the_counts_of_the_lesson(program, instructions, code_bytes, devices):
    run = pc_run(program)[1]
    assert (run.instructions, run.code_bytes) == (instructions, code_bytes)
    assert {verb: n for verb, n in run.devices.items() if n} == devices


@given(wait=st.integers(0, 20))
def test_a_character_costs_3_or_2_instructions_a_poll(wait):
    polls = wait + 1
    assert len(polled_run(SEND_BY_PORTS, [wait]).path) == 3 * polls + 4
    assert len(polled_run(SEND_BY_MEMORY, [wait]).path) == 2 * polls + 1


@given(st.lists(st.tuples(st.integers(1, 255), st.integers(0, 4)), max_size=40))
def test_a_string_costs_9_or_5_instructions_a_character_and_its_polls(characters):
    text = bytes(character for character, _ in characters)
    waits = [wait for _, wait in characters]
    n, polls = len(text), sum(waits) + len(waits)
    by_ports = polled_run(with_string(PRINT_BY_PORTS, text), waits)
    by_memory = polled_run(with_string(PRINT_BY_MEMORY, text), waits)
    assert len(by_ports.path) == 9 * n + 3 * polls + 5
    assert len(by_memory.path) == 5 * n + 2 * polls + 4
    for outcome in (by_ports, by_memory):
        sent = [a for a in outcome.accesses if a[1] and a[2] in (0x3F8, 0xFE034000)]
        assert bytes(access[-1] for access in sent) == text


@given(st.lists(st.integers(0, 3), min_size=80, max_size=80))
def test_a_line_costs_5_instructions_a_character_and_its_polls(waits):
    polls = sum(waits) + 80
    assert len(polled_run(LINE_BY_PORTS, waits).path) == 5 * 80 + 3 * polls + 2


def test_a_copy_costs_3_instructions_a_byte_or_one_in_all():
    ram = bytes(RAM_SIZE)
    assert len(our_run(COPY_BY_LOOP.code, ORIGIN, ram, Answers()).path) == 3 * 512 + 3
    assert len(our_run(COPY_BY_PORTS.code, ORIGIN, ram, Answers()).path) == 4
    assert len(our_run(COPY_BY_MEMORY.code, ORIGIN, ram, Answers()).path) == 4


# -- a string of one's own


def test_a_string_ends_at_its_zero_byte():
    assert with_string(PRINT_BY_PORTS, b"ab").data == b"ab\0"
    assert pc_run(with_string(PRINT_BY_PORTS, b"ab"))[0].terminal.text == "ab"


@pytest.mark.parametrize("text", [b"a\0b", b"x" * 0x1000])
def test_a_string_that_does_not_fit_is_refused(text):
    with pytest.raises(ValueError, match="a string here has no zero byte and is shorter"):
        with_string(PRINT_BY_PORTS, text)
