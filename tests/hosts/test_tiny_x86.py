"""The small processor: it does what Unicorn does, and it says clearly what it cannot do."""

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
