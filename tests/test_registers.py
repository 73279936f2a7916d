"""Registers declared once: the write rule, and what a wrong declaration says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.registers import Reg, RegisterFile, masked
from virtlab.wire import Bits, all_ones


class Timer(RegisterFile):
    """A made-up device with all kinds of register."""

    length = 0x20
    IDENT = Reg(0x00, 4, reset=0x1234, access="r")
    CONTROL = Reg(0x04, 2, rw=0x0FFF, fields={"ENABLE": Bits(0), "MODE": Bits(7, 4)})
    STATUS = Reg(0x06, 1, reset=0x81, w1c=0x0F)
    COUNT = Reg(0x08, 8, rw=all_ones(8))

    def __init__(self):
        super().__init__()
        self.log = []

    def read_COUNT(self):
        return self.COUNT + 1

    def write_CONTROL(self, old, new):
        self.log.append((old, new))


@given(*[st.integers(0, 255)] * 4)
def test_the_write_rule_bit_by_bit(old, new, rw, w1c):
    w1c &= ~rw
    result = masked(old, new, rw, w1c)
    for bit in range(8):
        was, written = old >> bit & 1, new >> bit & 1
        if rw >> bit & 1:
            want = written
        elif w1c >> bit & 1:
            want = was & ~written
        else:
            want = was
        assert result >> bit & 1 == want


accesses = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 0x1F),
        st.sampled_from([1, 2, 4, 8]),
        st.integers(0, all_ones(8)),
    )
)


@given(accesses)
def test_any_access_equals_its_bytes(sequence):
    whole, pieces = Timer(), Timer()
    for write, offset, size, value in sequence:
        value &= all_ones(size)
        if write:
            whole.write(offset, size, value)
            for i in range(size):
                pieces.write(offset + i, 1, value >> 8 * i & 0xFF)
            assert whole.values == pieces.values
        else:
            parts = [whole.read(offset + i, 1) << 8 * i for i in range(size)]
            assert whole.read(offset, size) == sum(parts)


def test_a_handler_runs_after_the_masked_write():
    timer = Timer()
    timer.write(0x05, 1, 0xFF)
    assert timer.log == [(0, 0x0F00)]
    timer.write(0x04, 4, 0x00FF_FFFF)
    assert timer.log[1:] == [(0x0F00, 0x0FFF)]
    assert timer.STATUS == 0x80


def test_a_hole_reads_as_zero_and_a_computed_register_is_computed():
    timer = Timer()
    assert timer.read(0x18, 8) == 0
    timer.COUNT = all_ones(8) - 1
    assert timer.read(0x08, 8) == all_ones(8)
    timer.reset()
    assert timer.COUNT == 0


def test_the_class_shows_the_declaration_and_the_device_the_value():
    assert Timer.CONTROL.MODE == Bits(7, 4)
    assert Timer.CONTROL.decode(0x51) == {"ENABLE": 1, "MODE": 5}
    assert repr(Timer.CONTROL) == "Reg(CONTROL @0x4/2)"
    assert Timer().IDENT == 0x1234
    assert [reg.name for reg in Timer.registers] == ["IDENT", "CONTROL", "STATUS", "COUNT"]
    with pytest.raises(AttributeError, match="CONTROL has no field 'MODUS'"):
        _ = Timer.CONTROL.MODUS


def test_registers_that_overlap_are_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match=r"Reg\(A @0x0/4\) and Reg\(B @0x2/4\) overlap"):
        type("Bad", (RegisterFile,), {"A": Reg(0, 4), "B": Reg(2, 4)})


def test_a_handler_without_a_register_is_refused():
    with pytest.raises(TypeError, match=r"Bad\.write_MISSING handles a register that is not"):
        type("Bad", (RegisterFile,), {"A": Reg(0, 4), "write_MISSING": lambda *_: None})


def test_a_register_past_the_declared_length_is_refused():
    with pytest.raises(TypeError, match="past length"):
        type("Bad", (RegisterFile,), {"A": Reg(8, 4), "length": 8})


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"rw": 1, "w1c": 1}, "both rw and w1c"),
        ({"reset": 256}, "more bits"),
        ({"fields": {"A": Bits(3, 0), "B": Bits(3)}}, "overlaps"),
        ({"fields": {"A": Bits(8)}}, "leaves 8 bits"),
    ],
)
def test_a_contradictory_declaration_is_refused(arguments, why):
    with pytest.raises(ValueError, match=why):
        Reg(0, 1, **arguments)


def test_peek_shows_every_register_and_changes_nothing():
    timer = Timer()
    timer.write(0x04, 2, 0x51)
    assert timer.peek() == {"IDENT": 0x1234, "CONTROL": 0x51, "STATUS": 0x81, "COUNT": 0}
    timer.peek()["CONTROL"] = 0
    assert timer.CONTROL == 0x51


class Two(RegisterFile):
    """Two of it can differ."""

    KIND = Reg(0x00, 1)
    BASE = Reg(0x04, 4, rw=0xFFFF_FFFF)


def test_one_device_has_its_own_reset_values():
    one, other = Two(), Two()
    one.preset(KIND=7)
    assert (one.KIND, other.KIND) == (7, 0)
    one.KIND = 9
    one.reset()
    assert one.KIND == 7


def test_one_device_has_its_own_writable_bits():
    one, other = Two(), Two()
    one.narrow(BASE=0xFFFF_F000)
    for device in (one, other):
        device.write(4, 4, 0xFFFF_FFFF)
    assert (one.BASE, other.BASE) == (0xFFFF_F000, 0xFFFF_FFFF)


@pytest.mark.parametrize("verb", ["preset", "narrow"])
def test_a_register_that_is_not_there_is_refused(verb):
    with pytest.raises(ValueError, match="Two has no register 'SIZE'"):
        getattr(Two(), verb)(SIZE=1)
