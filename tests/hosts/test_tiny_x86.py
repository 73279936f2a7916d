"""The small processor: it does what Unicorn does, and it says clearly what it cannot do."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.x86 import RAM_SIZE, Answers, FlatCpu, our_run, unicorn_run
from tests.oracles.x86_code import STRAIGHT, instructions, straight_code
from virtlab.hosts.tiny_x86 import TinyX86
from virtlab.vmm.x86_opcodes import REGISTERS

ORIGIN = 0x1000
RAM = bytes(RAM_SIZE)
PATTERN = bytes(0x8000) + bytes(range(256)) * ((RAM_SIZE - 0x8000) // 256)
REGISTER_VALUES = st.fixed_dictionaries({name: st.integers(0, 0xFFFFFFFF) for name in REGISTERS[4]})


def run(text, registers=None, **options):
    """Run code given in hex on a processor with nothing but RAM."""
    return TinyX86(FlatCpu(RAM, Answers())).run(bytes.fromhex(text), registers=registers, **options)


def same(code, registers=None, ram=PATTERN, answers=()):
    """Run `code` on both and compare all that it leaves; give what it left."""
    theirs = unicorn_run(code, ORIGIN, ram, Answers(answers), registers)
    ours = our_run(code, ORIGIN, ram, Answers(answers), registers)
    assert ours == theirs
    return ours


# -- Unicorn agrees


@pytest.mark.oracle
@given(straight_code(), REGISTER_VALUES)
def test_straight_programs_do_what_they_do_on_unicorn(code, registers):
    same(code, registers)


@pytest.mark.oracle
@pytest.mark.parametrize("row", STRAIGHT, ids=lambda row: f"{row[0]:02x}/{row[1]}")
@settings(max_examples=10)
@given(data=st.data())
def test_each_row_does_what_it_does_on_unicorn(row, data):
    same(data.draw(instructions(row)), data.draw(REGISTER_VALUES))


@pytest.mark.oracle
@pytest.mark.parametrize("jump", [0x72, 0x73, 0x74, 0x75])
@pytest.mark.parametrize("left", [1, 2, 3])
def test_conditional_jumps_take_the_way_unicorn_takes(jump, left):
    code = bytes([0x3C, 2, jump, 1, 0x41])  # cmp al, 2; jcc over; inc ecx
    assert len(same(code, {"eax": left}).path) in (2, 3)


@pytest.mark.oracle
@given(count=st.integers(1, 9))
def test_loops_turn_as_often_as_on_unicorn(count):
    outcome = same(bytes.fromhex("40 e2 fd f4 40"), {"ecx": count})  # inc eax; loop; hlt
    assert outcome.registers["eax"] == count
    assert len(outcome.path) == 2 * count + 1


SEGMENTS = struct.pack("<HI2xQQQ", 0x17, 0x8008, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
ENTER = "0f 01 15 00 80 00 00  ea 0e 10 00 00 08 00"  # lgdt [0x8000]; ljmp 8:0x100e


@pytest.mark.oracle
@pytest.mark.parametrize(
    "code",
    [
        "e8 02 00 00 00  eb 02  40 c3",  # call; jmp to the end; inc eax; ret
        "e8 00 00 00 00  58",  # call; pop eax: where am I?
        "54 5b  50 66 50 66 59 5a  5c",  # push and pop, ESP and words among them
        f"{ENTER} 40",
        # iretd to the end: push eflags with CF and ZF set, CS, EIP
        f"{ENTER} b8 43 00 00 00 50 b8 08 00 00 00 50 b8 22 10 00 00 50 cf 40",
        f"{ENTER} fb fa 40",
    ],
)
def test_the_stack_and_far_jumps_go_the_way_they_go_on_unicorn(code):
    """The oracle's accesses have those of the segment table too: what is left must be the same."""
    ram = bytes(0x8000) + SEGMENTS.ljust(RAM_SIZE - 0x8000, b"\0")
    sides = [
        side(bytes.fromhex(code), ORIGIN, ram, Answers(), {"esp": 0x9000, "eax": 0x12345678})
        for side in (our_run, unicorn_run)
    ]
    ours, theirs = (side._replace(accesses=[]) for side in sides)
    assert ours == theirs
    assert len(ours.path) > 1


# -- interrupts and faults

GATES, HANDLER = 0x4000, 0x1100
LIDT = "0f 01 1d 00 30 00 00"  # lidt [0x3000]


def with_gates(code, handler, vectors=(), gates=()):
    """Run `code` at 0x1000 with a handler at 0x1100 for each of `gates`."""
    ram = bytearray(RAM)
    ram[0x3000:0x3006] = struct.pack("<HI", 0x7FF, GATES)
    for vector in gates:
        gate = struct.pack("<HHBBH", HANDLER, 8, 0, 0x8E, 0)
        ram[GATES + 8 * vector : GATES + 8 * vector + 8] = gate
    image = bytes.fromhex(code).ljust(HANDLER - ORIGIN, b"\xf4") + bytes.fromhex(handler)
    cpu = FlatCpu(ram, Answers(), vectors)
    return TinyX86(cpu).run(image, registers={"esp": 0x9000}), cpu


def test_an_interrupt_is_taken_at_hlt_and_returns_behind_it():
    done, cpu = with_gates(f"{LIDT} fb f4 fa f4", "43 cf", [0x21], [0x21])  # inc ebx; iretd
    assert (done.registers["ebx"], done.registers["esp"], done.end) == (1, 0x9000, "halted")
    assert done.path[-4:] == [0x1100, 0x1101, 0x1009, 0x100A]
    frame = struct.unpack("<III", cpu.ram[0x9000 - 12 : 0x9000])
    assert frame == (0x1009, 0, 0x202)


def test_a_handler_begins_with_interrupts_off():
    done, _ = with_gates(f"{LIDT} fb f4", "f4", [0x21, 0x21], [0x21])
    assert (done.end, done.path[-1]) == ("halted", HANDLER)


def test_iretd_gives_the_flags_back():
    done, _ = with_gates(f"{LIDT} 31 c0 fb f4 fa f4", "3c 01 cf", [0x21], [0x21])  # cmp al, 1
    assert (done.zf, done.cf) == (True, False)


def test_a_sleep_that_nothing_ends_is_the_end():
    assert with_gates(f"{LIDT} fb f4 40", "cf")[0].end == "asleep"


def test_a_table_of_segments_is_no_table_of_gates():
    done, _ = with_gates(f"{LIDT} 0f 01 15 00 31 00 00 0f 0b", "f4", gates=[6])  # lgdt [0x3100]
    assert done.end == "halted"


def test_an_undefined_instruction_points_at_itself():
    done, cpu = with_gates(f"{LIDT} 0f 0b", "f4", gates=[6])
    assert done.end == "halted"
    assert struct.unpack("<I", cpu.ram[0x9000 - 12 : 0x9000 - 8]) == (0x1007,)


def test_an_interrupt_without_a_gate_is_a_fault_that_came_from_outside():
    done, cpu = with_gates(f"{LIDT} fb f4", "f4", [0x21], [13])
    assert done.end == "halted"
    assert struct.unpack("<I", cpu.ram[0x9000 - 16 : 0x9000 - 12]) == (0x21 * 8 | 3,)


@pytest.mark.parametrize(("code", "vectors"), [("0f 0b", []), ("fb f4", [0x21])])
def test_an_event_without_a_gate_is_a_triple_fault(code, vectors):
    done, _ = with_gates(f"{LIDT} {code}", "cf", vectors)
    assert done.end == "triple fault"


# -- what a run tells


def test_a_repeated_instruction_counts_once_and_its_accesses_each():
    done = run("f3 6e", {"ecx": 5, "edx": 0x3F8, "esi": 0x2000})  # rep outsb
    assert done.instructions == 1
    assert done.devices == {"in": 0, "out": 5, "load": 0, "store": 0}
    assert len(done.accesses) == 10
    assert str(done) == "instructions 1, bytes of code 2; devices: out 5"


def test_a_load_and_a_store_outside_ram_are_a_devices():
    done = run("80 0d 10 40 03 fe 02  80 0d 00 20 00 00 02")  # or byte ptr [...], 2
    assert done.devices == {"in": 0, "out": 0, "load": 1, "store": 1}
    assert [access.address for access in done.accesses] == [0xFE034010] * 2 + [0x2000] * 2


def test_which_memory_is_ram_can_be_said():
    x86 = TinyX86(FlatCpu(RAM, Answers()), ram=range(0x1000))
    assert x86.run(bytes.fromhex("a0 00 20 00 00")).devices["load"] == 1


def test_the_path_shows_every_instruction_in_order():
    done = run("b9 02 00 00 00  90  e2 fd")  # mov ecx, 2; nop; loop
    assert done.path == [0x1000, 0x1005, 0x1006, 0x1005, 0x1006]


def test_a_run_behind_its_last_byte_says_so():
    assert run("40").end == "code"
    assert run("40 f4").end == "halted"


def test_no_code_does_nothing():
    assert str(run("")) == "instructions 0, bytes of code 0; devices: none"


def test_hlt_ends_the_run():
    done = run("40 f4 40")
    assert (done.instructions, done.registers["eax"]) == (2, 1)


def test_loop_with_zero_counts_from_the_largest_number():
    with pytest.raises(ValueError, match="not ended"):
        run("e2 fe", {"ecx": 0}, limit=100)


def test_code_may_end_where_memory_ends():
    assert run("40", origin=0xFFFFFFFF).instructions == 1


# -- what is wrong is said


def test_an_undefined_opcode_names_its_address_and_byte():
    with pytest.raises(ValueError, match=r"byte 0x0f of the instruction at 0x1001: it starts no"):
        run("90 0f a2")


def test_a_program_that_never_ends_is_given_up():
    with pytest.raises(ValueError, match=r"not ended after 50 steps; the next is 'jmp 0x1000' at"):
        run("eb fe", limit=50)


def test_so_is_one_that_waits_for_a_device_that_is_never_ready():
    cpu = FlatCpu(RAM, Answers([0] * 1000))
    poll = bytes.fromhex("ba fd 03 00 00 ec a8 20 74 fb")
    with pytest.raises(ValueError, match="not ended after 1000 steps"):
        TinyX86(cpu).run(poll, limit=1000)


def test_and_one_that_repeats_four_thousand_million_times():
    with pytest.raises(ValueError, match="not ended after 200 steps; the next is 'rep stosb"):
        run("f3 aa", {"ecx": 0xFFFFFFFF, "edi": 0x2000}, limit=200)


@pytest.mark.parametrize("repeats", [0, 1, 7])
def test_each_repetition_is_a_step(repeats):
    registers = {"ecx": repeats, "edi": 0x2000}
    steps = max(repeats, 1)
    assert run("f3 aa", registers, limit=steps).registers["ecx"] == 0
    with pytest.raises(ValueError, match="not ended"):
        run("f3 aa", registers, limit=steps - 1)


@pytest.mark.parametrize("code", ["eb 10", "eb f0"])
def test_a_jump_out_of_the_code_says_from_where_to_where(code):
    with pytest.raises(
        ValueError, match=r"at 0x1000 goes to 0x\w+, outside the code at 0x1000-0x1"
    ):
        run(code)


@pytest.mark.parametrize("origin", [-1, 0xFFFFFFFF])
def test_code_that_no_address_space_holds(origin):
    with pytest.raises(ValueError, match=r"2 bytes of code at .* are not inside 4 GiB"):
        run("40 40", origin=origin)


def test_a_misspelled_register_is_named():
    with pytest.raises(ValueError, match=r"no register 'ea'; there are eax, ecx"):
        run("40", {"ea": 1})
