"""Naming accesses: direction, condition, fields."""

from virtlab.devices.uart import REGISTERS
from virtlab.registers import Reg
from virtlab.show.naming import Namer, access_words, character, field_words
from virtlab.wire import Bits


def test_direction_chooses_between_two_registers():
    namer = Namer({0x3F8: REGISTERS})
    assert namer.name(False, 0x3FA, 0xC1).words == "IIR  FIFOS=3 CAUSE=1"
    assert namer.name(True, 0x3FA, 0x01).words == "FCR  TRIGGER=0 FIFO_ENABLE=1"


def test_dlab_turns_the_data_register_into_the_divisor():
    namer = Namer({0x3F8: REGISTERS})
    assert namer.name(True, 0x3F8, 0x0C).register == "THR"
    namer.name(True, 0x3FB, 0x83)
    assert namer.name(True, 0x3F8, 0x0C).register == "DLL"
    namer.name(True, 0x3FB, 0x03)
    assert namer.name(True, 0x3F8, 0x0C).register == "THR"


def test_an_address_without_a_declaration_has_no_name():
    assert Namer().name(True, 0x80, 1).words == ""


def test_a_condition_in_other_words_says_nothing():
    reg = Reg(0, 1, name="ODD", when="after reset, MODE=2", fields={"MODE": Bits(1, 0)})
    namer = Namer({0: [reg]})
    assert namer.name(True, 0, 2).register == ""
    namer = Namer({0: [Reg(0, 1, name="ANY", when="after reset"), reg]})
    assert namer.name(True, 0, 2).register == "ANY"


def test_fields_that_are_clear_are_left_out_unless_they_have_a_value():
    reg = Reg(0, 1, name="R", fields={"A": Bits(0), "N": Bits(3, 1), "B": Bits(7)})
    assert field_words(reg, 0x81) == "B=1 N=0 A=1"
    assert field_words(Reg(0, 1, fields={"A": Bits(0)}), 0) == "all clear"
    assert field_words(Reg(0, 1), 0) == ""


def test_bytes_that_are_characters():
    assert [character(value) for value in (0x41, 10, 0, 0x7F)] == ["'A'", "'\\n'", "", ""]


def test_access_in_words():
    assert [access_words(Reg(0, 1, access=verb)) for verb in ("r", "w", "rw")] == [
        *("read only", "write only", "read and write"),
    ]
