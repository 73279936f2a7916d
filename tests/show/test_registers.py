"""Registers drawn from their declarations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.show.looks import check_picture, words_of
from virtlab.devices.uart import LCR, LSR, REGISTERS
from virtlab.registers import Reg
from virtlab.show import register_picture, registers_picture
from virtlab.show.registers import register_text
from virtlab.wire import Bits

WIDE = Reg(0x10, 8, name="WIDE", fields={"LOW": Bits(0), "ACROSS": Bits(40, 12), "TOP": Bits(63)})


@given(st.sampled_from([*REGISTERS, WIDE]), st.integers(0, (1 << 64) - 1), st.integers(0, 255))
def test_every_value_of_every_register_draws(reg, value, before):
    drawn = register_picture(reg, value, before)
    check_picture(drawn)
    assert drawn.svg == register_picture(reg, value, before).svg
    assert all(name in drawn.text for name in reg.fields)


def test_fields_have_names_and_values():
    drawn = register_picture(LSR, 0x61)
    assert {"THRE = 1", "DR = 1", "OE = 0"} <= set(words_of(drawn))
    assert "Register LSR = 0x61: TEMT=1 THRE=1 DR=1" in drawn.svg


def test_what_changed_is_said_and_heavier():
    assert "7  DLAB = 1  (was 0)" in register_text(LCR, 0x83, before=0x03)
    assert "was" not in register_text(LCR, 0x83)
    assert register_picture(LCR, 0x83, before=0x03).svg != register_picture(LCR, 0x83).svg


def test_a_wide_register_has_a_row_for_16_bits_and_a_field_across_rows_says_so():
    words = words_of(register_picture(WIDE, 0x123 << 12))
    assert "ACROSS = 0x123" in words
    assert words.count("ACROSS, its high part") == 2
    assert {"63", "48", "47", "0"} <= set(words)


def test_all_registers_of_a_device():
    drawn = registers_picture(REGISTERS, {"LCR": 0x83, "SCR": 7}, "UART", chosen="LCR")
    check_picture(drawn)
    assert "> LCR      +0x3 0x83  DLAB=1 WLS=3" in drawn.text
    assert "  THR      +0x0 ?" in drawn.text
    assert {"▶", "0x83", "?", "0x07"} <= set(words_of(drawn))


def test_no_register_is_refused():
    with pytest.raises(ValueError, match="no register"):
        registers_picture([], {})
