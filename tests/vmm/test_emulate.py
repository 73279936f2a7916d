"""Instruction emulation with no other reader of x86: lengths, refusals, the answer to a load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.mmio_code import ECX, EDI, ESI, mmio_code, register_values
from virtlab.vmm.emulate import MmioAccess, Registers, accesses, complete, decode
from virtlab.vmm.emulate_decode import MAX_LENGTH, NeedsMore, Undecodable
from virtlab.vmm.emulate_records import Immediate, MmioInstruction, Register

EAX, ECX_REGISTER = Register(0, 4), Register(ECX, 4)
DF = 0x400


def code(text):
    return bytes.fromhex(text)


def step(text, loaded=0, eflags=2, eip=0x1000, **values):
    """Complete the instruction in `text`, with the named registers at first."""
    names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
    general = tuple(values.get(name, 0) for name in names)
    return complete(decode(code(text)), Registers(general, eip, eflags), loaded)


# -- decode


@given(mmio_code(), st.binary(max_size=20))
def test_what_follows_an_instruction_does_not_matter(one, rest):
    instruction = decode(one)
    assert decode(one + rest) == instruction
    assert (instruction.code, instruction.length) == (one, len(one))


@given(mmio_code())
def test_a_part_of_an_instruction_needs_more(one):
    for length in range(len(one)):
        found = decode(one[:length])
        assert isinstance(found, NeedsMore)
        assert length < found.length <= len(one)


@given(st.binary(max_size=20))
def test_any_bytes_get_an_answer(junk):
    found = decode(junk)
    if isinstance(found, NeedsMore):
        assert len(junk) < found.length <= MAX_LENGTH
    elif isinstance(found, MmioInstruction):
        assert junk.startswith(found.code)
        assert 2 <= found.length <= MAX_LENGTH or found.mnemonic.endswith("*")
    else:
        assert found.why


def test_fifteen_bytes_are_an_instruction_and_sixteen_are_none():
    body = code("c7 05 00 40 03 fe 34 12")
    assert decode(b"\x66" * 7 + body).length == 15
    assert decode(b"\x66" * 8 + body) == Undecodable("longer than 15 bytes")
    assert decode(b"\x66" * 15) == Undecodable("longer than 15 bytes")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("67 8a 07", "prefix 0x67: 16-bit addresses"),
        ("0f a2", "opcode 0x0fa2"),
        ("98", "opcode 0x98"),
        ("c6 0f 00", "opcode 0xc6/1"),
        ("f4", "'hlt' is no access to memory"),
        ("6c", "'ins* Yb, DX' is no access to memory"),
        ("3c 01", "'cmp AL, Ib' is no access to memory"),
        ("41", "'inc Zv' is no access to memory"),
        ("88 c1", "'mov Eb, Gb' has no operand in memory here"),
        ("f3 8a 07", "'mov Gb, Eb' takes no such repeat prefix"),
        ("f2 aa", "'stos* Yb, AL' takes no such repeat prefix"),
        ("f0 8a 07", "'mov Gb, Eb' takes no LOCK: it does not update memory"),
        ("f0 02 07", "'add Gb, Eb' takes no LOCK: it does not update memory"),
        ("f0 38 07", "'cmp Eb, Gb' takes no LOCK: it does not update memory"),
        ("f0 aa", "'stos* Yb, AL' takes no LOCK: it does not update memory"),
    ],
)
def test_what_is_refused_is_refused_in_words(text, why):
    assert decode(code(text)) == Undecodable(why)


@pytest.mark.parametrize(
    ("text", "load", "store"),
    [
        ("88 07", None, "[edi]"),
        ("8a 07", "[edi]", None),
        ("c6 07 41", None, "[edi]"),
        ("0f b6 07", "[edi]", None),
        ("0a 07", "[edi]", None),
        ("08 07", "[edi]", "[edi]"),
        ("38 07", "[edi]", None),
        ("f6 07 20", "[edi]", None),
        ("fe 07", "[edi]", "[edi]"),
        ("86 07", "[edi]", "[edi]"),
        ("a4", "[esi]", "es:[edi]"),
        ("aa", None, "es:[edi]"),
        ("ac", "[esi]", None),
    ],
)
def test_what_an_instruction_loads_and_stores(text, load, store):
    one = decode(code(text))
    found = [part and str(part).removeprefix("byte ptr ") for part in (one.load, one.store)]
    assert found == [load, store]


def test_the_operands_say_where_values_live():
    one = decode(code("66 83 4c 8d 10 fe"))  # or word ptr [ebp + ecx*4 + 0x10], -2
    memory, immediate = one.operands
    assert (memory.base, memory.index, memory.scale, memory.displacement) == (5, 1, 4, 16)
    assert immediate == Immediate(-2, 2)
    assert (one.mnemonic, one.size, one.rep, one.lock) == ("or", 2, False, False)
    assert str(one) == "or word ptr [ebp + ecx*4 + 0x10], 0xfffe"
    assert str(decode(code("f0 66 83 07 fe"))) == "lock add word ptr [edi], -2"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a0 10 40 03 fe", "mov al, byte ptr [0xfe034010]"),
        ("26 66 a3 08 00 00 00", "mov word ptr es:[8], ax"),
        ("0f b7 14 24", "movzx edx, word ptr [esp]"),
        ("30 67 ff", "xor byte ptr [edi - 1], ah"),
        ("f3 66 ad", "rep lodsw ax, word ptr [esi]"),
    ],
)
def test_an_instruction_reads_as_intel_writes_it(text, wanted):
    assert str(decode(code(text))) == wanted


# -- accesses


def test_an_address_is_base_index_displacement_and_segment():
    registers = Registers((0, 3, 0, 0, 0, 0x1000, 0, 0), bases=(0, 0, 0x100, 0, 0x7000, 0))
    assert accesses(decode(code("8a 44 8d f0")), registers) == (MmioAccess(0x10FC, 1, False),)
    assert accesses(decode(code("64 8a 44 8d f0")), registers) == (MmioAccess(0x7FFC, 1, False),)


def test_an_address_may_stand_in_the_code_alone():
    one = decode(code("a0 10 40 03 fe"))
    assert accesses(one, Registers((7,) * 8)) == (MmioAccess(0xFE03_4010, 1, False),)


def test_an_address_wraps_at_4_gib():
    registers = Registers((0xFFFF_FFFE, *[0] * 7), bases=(0, 0, 0, 0xFFFF_0000, 0, 0))
    one = decode(code("8b 40 04"))  # mov eax, [eax + 4]
    assert accesses(one, registers) == (MmioAccess(0xFFFF_0002, 4, False),)


def test_a_move_in_memory_loads_first_and_then_stores():
    registers = Registers((0, 0, 0, 0, 0, 0, 0x2000, 0x3000))
    one = decode(code("66 a5"))
    made = accesses(one, registers)
    assert made == (MmioAccess(0x2000, 2, False), MmioAccess(0x3000, 2, True))
    assert [str(access) for access in made] == ["load 0x2000/2", "store 0x3000/2"]


def test_no_repetition_is_no_access_and_goes_on():
    one, registers = decode(code("f3 aa")), Registers(eip=0x1000)
    assert accesses(one, registers) == ()
    done = complete(one, registers)
    assert done.value is None
    assert done.registers == registers._replace(eip=0x1002)


# -- complete


@pytest.mark.parametrize(
    ("text", "loaded", "eax"),
    [
        ("8a 07", 0x80, 0x1122_3380),
        ("8a 27", 0x80, 0x1122_8044),
        ("66 8b 07", 0x8001, 0x1122_8001),
        ("8b 07", 0x8000_0001, 0x8000_0001),
        ("0f b6 07", 0x80, 0x80),
        ("66 0f be 07", 0x80, 0x1122_FF80),
        ("0f bf 07", 0x8001, 0xFFFF_8001),
        ("0f be 07", 0x7F, 0x7F),
        ("02 07", 0x10, 0x1122_3354),
        ("ac", 0x80, 0x1122_3380),
    ],
)
def test_a_load_goes_into_its_register_and_nowhere_else(text, loaded, eax):
    done = step(text, loaded, eax=0x1122_3344)
    assert done.value is None
    assert done.registers.general[:4] == (eax, 0, 0, 0)


@given(register_values(), mmio_code(), st.integers())
def test_a_device_cannot_answer_with_more_than_was_asked(general, one, loaded):
    instruction, registers = decode(one), Registers(general)
    low = loaded & (1 << 8 * instruction.size) - 1
    done = complete(instruction, registers, loaded)
    assert done == complete(instruction, registers, low)
    assert all(0 <= value < 1 << 32 for value in (*done.registers.general, done.registers.eip))
    assert done.value is None or 0 <= done.value < 1 << 8 * instruction.size


def test_an_update_gives_the_value_to_store_and_the_flags():
    done = step("80 0f 02", 0x81)  # or byte ptr [edi], 2
    assert (done.value, done.registers.eflags) == (0x83, 0x2 | 0x80)
    done = step("fe 0f", 0x80, eflags=0x3)  # dec byte ptr [edi]: CF stays, OF and AF come
    assert (done.value, done.registers.eflags) == (0x7F, 0x3 | 0x800 | 0x10)
    done = step("00 07", 0x7F, eax=1)  # add byte ptr [edi], al: OF, SF, AF and no CF
    assert (done.value, done.registers.eflags) == (0x80, 0x2 | 0x800 | 0x80 | 0x10)
    done = step("00 07", 0xFF, eax=1)  # CF, ZF, PF, AF and no OF
    assert (done.value, done.registers.eflags) == (0, 0x2 | 0x1 | 0x40 | 0x4 | 0x10)


def test_a_comparison_changes_flags_only():
    done = step("80 3f 20", 0x20)  # cmp byte ptr [edi], 0x20
    assert (done.value, done.registers.eflags) == (None, 0x2 | 0x40 | 0x4)
    assert done.registers.general == (0,) * 8
    assert step("38 07", 0x20, eax=0x21).registers.eflags & 1  # cmp byte ptr [edi], al: borrows
    assert step("3a 07", 0x20, eax=0x21).registers.general == (0x21, *[0] * 7)


def test_an_exchange_goes_both_ways():
    done = step("87 07", 0x1111, eax=0x2222)
    assert (done.value, done.registers.general[0]) == (0x2222, 0x1111)


def test_a_repeated_store_stays_until_its_last():
    done = step("f3 aa", eax=0x41, ecx=2, edi=0x2000)
    assert (done.value, done.registers.eip) == (0x41, 0x1000)
    assert (done.registers.general[ECX], done.registers.general[EDI]) == (1, 0x2001)
    last = complete(decode(code("f3 aa")), done.registers)
    assert (last.value, last.registers.eip) == (0x41, 0x1002)
    assert (last.registers.general[ECX], last.registers.general[EDI]) == (0, 0x2002)


def test_the_direction_flag_turns_the_pointers_round():
    done = step("a5", 0x1234_5678, eflags=2 | DF, esi=2, edi=0x3000)
    assert done.value == 0x1234_5678
    assert done.registers.general[ESI] == 0xFFFF_FFFE
    assert done.registers.general[EDI] == 0x2FFC


def test_the_next_instruction_wraps_at_4_gib():
    assert step("8a 07", eip=0xFFFF_FFFF).registers.eip == 1
