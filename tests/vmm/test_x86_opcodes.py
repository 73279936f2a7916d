"""The opcode map: capstone reads the rows as we do; what is in no row is an error that shows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracles.x86 import capstone_texts
from tests.oracles.x86_code import STRAIGHT, instructions, straight_code
from virtlab.vmm.x86_opcodes import ARITHMETIC, FORMS, ROWS, decode, disassemble


def code(text):
    return bytes.fromhex(text)


@pytest.mark.oracle
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_row_reads_as_capstone_reads_it(data):
    for row in STRAIGHT:
        one = data.draw(instructions(row))
        assert disassemble(one, 0x1000) == capstone_texts(one, 0x1000)


@pytest.mark.oracle
@given(straight_code(), st.integers(0, 0xF000_0000))
def test_whole_programs_read_as_capstone_reads_them(program, origin):
    assert disassemble(program, origin) == capstone_texts(program, origin)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "one",
    [
        "e8 fb 07 00 00",
        "e8 ff ff ff ff",
        "ea 0e 18 00 00 08 00",
        "c3",
        "cf",
        "0f 0b",
        "f4",
        "66 50",
        "5c",
        "0f 01 1d 20 2f 00 00",
    ],
)
def test_what_goes_elsewhere_reads_as_capstone_reads_it(one):
    assert disassemble(code(one), 0x1000) == capstone_texts(code(one), 0x1000)


@pytest.mark.oracle
@pytest.mark.parametrize("opcode", [0x72, 0x73, 0x74, 0x75, 0xE2, 0xEB])
@pytest.mark.parametrize("distance", [0, 0x7F, 0x80, 0xFE])
def test_jumps_name_their_target_as_capstone_does(opcode, distance):
    one = bytes([opcode, distance])
    assert disassemble(one, 0x1000) == capstone_texts(one, 0x1000)


def test_the_arithmetic_rows_are_where_the_map_has_them():
    assert len(ARITHMETIC) * len(FORMS) == 36
    assert ROWS[0x0C, -1] == "or AL, Ib"
    assert ROWS[0x39, -1] == "cmp Ev, Gv"
    assert ROWS[0x80, 1] == "or Eb, Ib"
    assert ROWS[0xF6, 0] == "test Eb, Ib"
    assert ROWS[0xBF, -1] == "mov Zv, Iv"


def test_no_row_stands_beside_a_group_of_the_same_opcode():
    groups = {opcode for opcode, digit in ROWS if digit >= 0}
    assert not groups & {opcode for opcode, digit in ROWS if digit < 0}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("90 0f a2", r"byte 0x0f of the instruction at 0x1001: it starts no instruction"),
        ("0f 01 d1", r"byte 0xd1 .* this ModR/M form"),
        ("0f 01 55 00 00 00 00", r"byte 0x55 .* this ModR/M form"),
        ("0f 01 10", r"byte 0x10 .* this ModR/M form"),
        ("0f 01 25 00 00 00 00", r"byte 0x0f .* no instruction"),
        ("66 e8 00 00", r"byte 0x66 .* does not go with 'call Jz'"),
        ("0f", r"the code ends inside the instruction at 0x1000"),
        ("ea 00 00 00 00 08", r"the code ends inside the instruction at 0x1000"),
        ("80 1d 00 00 00 00 01", r"byte 0x80 of the instruction at 0x1000: .* no instruction"),
        ("66 90", r"byte 0x66 .* does not go with 'nop'"),
        ("f3 90", r"byte 0xf3 .* does not go with 'nop'"),
        ("66 ec", r"byte 0x66 .* does not go with 'in AL, DX'"),
        ("66 66 40", r"byte 0x66 .* it starts no instruction"),
        ("8a 46 04", r"byte 0x46 of the instruction at 0x1000: this ModR/M form"),
        ("8a 04 24", r"byte 0x04 .* this ModR/M form"),
        ("40 ba fc 03", r"the code ends inside the instruction at 0x1001"),
        ("80", r"the code ends inside the instruction at 0x1000"),
        ("f3", r"the code ends inside the instruction at 0x1000"),
    ],
)
def test_what_is_not_in_the_subset_names_its_address_and_byte(wrong, message):
    with pytest.raises(ValueError, match=message):
        disassemble(code(wrong), 0x1000)


@given(st.binary(max_size=24))
def test_any_bytes_are_read_or_refused(program):
    try:
        lines = disassemble(program)
    except ValueError:
        return
    assert b"".join(line[1] for line in lines) == program


def test_decoding_can_start_at_any_byte():
    assert decode(code("b8 90 90 f4 90"), 0x1000, 0x1003).text == "hlt"
