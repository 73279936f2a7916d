"""Exit records: the numbers that VT-x puts into the VMCS, bit by bit."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.vmm.exits import (
    ControlExit,
    EptMisconfiguration,
    EptViolation,
    ExceptionExit,
    HltExit,
    InvlpgExit,
    IoExit,
    ShadowFault,
    TripleFault,
    VmcallExit,
)


def test_basic_exit_reasons_are_those_of_appendix_c():
    assert (ShadowFault.REASON, HltExit.REASON, IoExit.REASON) == (0, 12, 30)
    assert (EptViolation.REASON, EptMisconfiguration.REASON) == (48, 49)
    assert (ExceptionExit.REASON, TripleFault.REASON, InvlpgExit.REASON) == (0, 2, 14)
    assert (VmcallExit.REASON, ControlExit.REASON) == (18, 28)


def test_what_names_the_place_of_a_paging_instruction():
    assert InvlpgExit(0x7000).qualification == 0x7000
    assert ControlExit(0x5000).qualification == 3
    assert VmcallExit(1).qualification == 0
    assert str(ExceptionExit(6)) == "exception 6 (reason 0, qualification 0x0)"


@pytest.mark.parametrize(
    ("exit", "qualification"),
    [
        (IoExit(0x3F8, 1, write=True, value=0x41), 0x03F8_0000),
        (IoExit(0x3F8, 1, write=False), 0x03F8_0008),
        (IoExit(0x1F0, 2, write=False), 0x01F0_0009),
        (IoExit(0xCF8, 4, write=True), 0x0CF8_0003),
        (IoExit(0x1F0, 2, write=False, string=True, rep=True), 0x01F0_0039),
        (IoExit(0x80, 1, write=True, immediate=True), 0x0080_0040),
        (IoExit(0xFFFF, 1, write=True), 0xFFFF_0000),
    ],
)
def test_io_qualification_of_table_28_5(exit, qualification):
    assert exit.qualification == qualification


@given(st.integers(0, 0xFFFF), st.sampled_from([1, 2, 4]), *[st.booleans()] * 4)
def test_io_qualification_by_bit_strings(port, size, write, string, rep, immediate):
    size_code = {1: "000", 2: "001", 4: "011"}[size]
    bits = f"{port:016b}" + "0" * 9 + f"{immediate:d}{rep:d}{string:d}{not write:d}" + size_code
    exit = IoExit(port, size, write, 0, string, rep, immediate)
    assert exit.qualification == int(bits, 2)


@pytest.mark.parametrize(
    ("exit", "qualification"),
    [
        (EptViolation(0xFEC0_0000, 4, write=False), 0b1_1000_0001),
        (EptViolation(0xFEC0_0000, 4, write=True, value=5), 0b1_1000_0010),
        (EptViolation(0x1000, 1, write=True, rights=0b101), 0b1_1010_1010),
        (EptViolation(0x1000, 1, write=False, rights=0b111), 0b1_1011_1001),
    ],
)
def test_ept_qualification_of_table_28_7(exit, qualification):
    assert exit.qualification == qualification


def test_the_qualification_of_a_page_fault_is_its_linear_address():
    fault = ShadowFault(0xB8000, 2, write=True, value=7, error_code=2)
    assert fault.qualification == 0xB8000
    assert fault.interruption_information == 0x8000_0B0E


def test_reasons_without_a_qualification_have_zero():
    assert HltExit(5).qualification == 0
    assert EptMisconfiguration(0x1000, 4, write=False, why="x").qualification == 0


def test_a_record_says_where_and_does_not_change():
    exit = IoExit(0x3F8, 1, write=True, value=0x41)
    assert exit.place == ("port", 0x3F8, 1, 0x41)
    assert EptViolation(0x1000, 4, write=False).place == ("memory", 0x1000, 4, 0)
    assert HltExit(1).place == ("", 0, 0, 0)
    assert str(exit) == "I/O instruction (reason 30, qualification 0x3f80000)"
    with pytest.raises(FrozenInstanceError):
        exit.port = 0


@given(st.integers(), st.integers(-4, 1 << 70), st.booleans(), st.integers())
def test_no_guest_value_breaks_a_record(address, size, write, value):
    for exit in (
        IoExit(address, size, write, value),
        EptViolation(address, size, write, value),
        ShadowFault(address, size, write, value),
    ):
        assert str(exit)
    assert 0 <= IoExit(address, size, write).qualification < 1 << 32
