"""The register viewer: bits, values, and the device behind them."""

import pytest

from virtlab.devices.uart import REGISTERS
from virtlab.registers import Reg
from virtlab.show import RegisterViewer
from virtlab.show.register_viewer import RegisterState, put, toggle
from virtlab.wire import Bits


@pytest.fixture
def device():
    return {"LCR": 0x03, "SCR": 0x55}


@pytest.fixture
def viewer(device):
    return RegisterViewer(
        REGISTERS,
        lambda: dict(device),
        lambda reg, value: device.update({reg.name: value}),
        title="The 16550A",
        chosen="LCR",
    )


def test_bits_turn_and_values_are_cut():
    state = RegisterState("LCR", 1, 0x03)
    assert toggle(toggle(state, 7), 0).value == 0x82
    assert put(state, 0x1FF).value == 0xFF
    with pytest.raises(ValueError, match="bits 0 to 7, not 8"):
        toggle(state, 8)


def test_it_begins_with_what_the_device_has(viewer):
    assert viewer.state == RegisterState("LCR", 1, 0x03)
    assert "That is what the device has now" in viewer._says.value
    assert repr(viewer) == "RegisterViewer: The 16550A, 12 registers"


def test_turning_a_bit_changes_the_picture_and_not_the_device(viewer, device):
    viewer._bits[7].click()
    assert viewer.state.value == 0x83
    assert "says DLAB=1 WLS=3" in viewer._says.value
    assert viewer._bits[7].description == "7 DLAB = 1"
    assert device["LCR"] == 0x03


def test_a_typed_value_is_decoded_and_nonsense_is_said(viewer):
    viewer._value.value = "0x1ff"
    assert viewer.state.value == 0xFF
    assert viewer._value.value == "0xff"
    viewer._value.value = "much"
    assert "is no value" in viewer._says.value


def test_writing_goes_to_the_device_and_refresh_reads_it_again(viewer, device):
    viewer.turn(7)
    viewer.send()
    assert device["LCR"] == 0x83
    device["LCR"] = 0x1B
    viewer.refresh()
    assert viewer.state.value == 0x1B


def test_another_register_and_reset(viewer):
    viewer._name.value = "SCR"
    assert viewer.state == RegisterState("SCR", 1, 0x55)
    assert "SCR with <code>0x55</code>." in viewer._says.value
    viewer.reset()
    assert viewer.state == RegisterState("LCR", 1, 0x03)


def test_without_write_nothing_reaches_the_device(device):
    viewer = RegisterViewer(REGISTERS, lambda: device)
    assert "Write to the device" not in [each.description for each in viewer.controls]
    viewer.turn(0)
    viewer.send()
    assert viewer.state.value == 0


def test_bits_that_a_narrow_register_does_not_have_are_hidden():
    wide = Reg(0, 2, name="WIDE", fields={"TOP": Bits(15, 12)})
    viewer = RegisterViewer([wide, Reg(2, 1, reset=9, name="NARROW")], dict)
    assert [bit.layout.display for bit in viewer._bits] == [""] * 16
    assert viewer._bits[15].description == "15 TOP = 0"
    viewer._name.value = "NARROW"
    assert viewer.state.value == 9
    assert [bit.layout.display for bit in viewer._bits] == [""] * 8 + ["none"] * 8


def test_no_register_is_refused():
    with pytest.raises(ValueError, match="no register"):
        RegisterViewer([], dict)
