"""The controller: status, output buffer, interrupts, commands, translation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.i8042 import I8042, Ps2Keyboard, Ps2Mouse
from virtlab.devices.i8042.keys import KEYS
from virtlab.devices.i8042.registers import REGISTERS, STATUS

DATA, CMD = 0, 4
OBF, SYS, A2, AUXB, TO = 0x01, 0x04, 0x08, 0x20, 0x40


class Rig:
    """A controller with what is plugged in, in the words of a test."""

    def __init__(self, **how):
        self.keyboard, self.mouse = Ps2Keyboard(), Ps2Mouse()
        self.chip = I8042(self.keyboard, self.mouse, **how)

    def cmd(self, command, *data):
        self.chip.write(CMD, 1, command)
        for byte in data:
            self.chip.write(DATA, 1, byte)

    def out(self, byte):
        self.chip.write(DATA, 1, byte)

    def read(self):
        return self.chip.read(DATA, 1)

    def ask(self, command):
        self.cmd(command)
        return self.read()

    def drain(self):
        out = b""
        while self.status & OBF:
            out += bytes([self.read()])
        return out.hex(" ")

    @property
    def status(self):
        return self.chip.read(CMD, 1)

    @property
    def irqs(self):
        return self.chip.irq1.level, self.chip.irq12.level


@pytest.fixture
def rig():
    return Rig()


# -- status


def test_after_power_on_nothing_waits(rig):
    assert rig.status == STATUS.reset == 0x18
    assert rig.irqs == (False, False)


def test_sys_is_set_by_the_self_test(rig):
    assert not rig.status & SYS
    assert rig.ask(0xAA) == 0x55
    assert rig.status & SYS


def test_data_sheet_status():
    rig = Rig(data_sheet=True)
    assert rig.status == 0x10
    rig.cmd(0xAE)
    assert rig.status == 0x10 | A2
    rig.out(0xEE)
    assert rig.status == 0x10 | OBF
    rig.read()
    rig.cmd(0x60, 0x04)
    assert rig.status == 0x10 | SYS
    rig.cmd(0x60, 0x00)
    assert rig.status == 0x10
    assert rig.ask(0xAA) == 0x55
    assert rig.status == 0x10 | SYS | A2


def test_a_missing_device_is_a_timeout(rig):
    rig.mouse.plugged = False
    rig.cmd(0xD4, 0xF4)
    assert rig.status & (OBF | AUXB | TO) == OBF | AUXB | TO
    assert rig.read() == 0xFE
    assert not rig.status & (OBF | AUXB | TO)
    rig.keyboard.plugged = False
    rig.out(0xF4)
    assert rig.status & (OBF | AUXB | TO) == OBF | TO


# -- the output buffer


def test_a_read_of_an_empty_buffer_gives_the_last_byte(rig):
    assert rig.ask(0xAA) == 0x55
    assert rig.read() == 0x55
    assert not rig.status & OBF


def test_bytes_wait_in_the_keyboard_and_move_in_one_by_one(rig):
    rig.cmd(0x60, 0x01)
    rig.keyboard.backend.tap("A")
    seen = []
    rig.chip.irq1.sink = seen.append
    assert rig.drain() == "1c f0 1c"
    assert seen == [False, True, False, True, False]


def test_the_controller_speaks_first_then_the_keyboard_then_the_mouse(rig):
    rig.cmd(0x60, 0x00)
    rig.keyboard.backend.press("A")
    rig.cmd(0xD4, 0xF4)
    rig.keyboard.backend.press("B")
    rig.cmd(0xC0)
    got = []
    while rig.status & OBF:
        got.append((bool(rig.status & AUXB), rig.read()))
    assert got == [(False, 0x1C), (False, 0x80), (False, 0x32), (True, 0xFA)]


def test_a_second_answer_replaces_one_that_still_waits(rig):
    rig.cmd(0xAA)
    rig.cmd(0xC0)
    rig.cmd(0xAB)
    assert rig.drain() == "55 00"


@pytest.mark.parametrize(("disable", "enable"), [(0xAD, 0xAE), (0x10, 0x00)])
def test_a_disabled_keyboard_keeps_its_bytes(rig, disable, enable):
    rig.cmd(disable) if disable > 0x80 else rig.cmd(0x60, disable)
    rig.keyboard.backend.press("A")
    assert not rig.status & OBF
    rig.cmd(enable) if disable > 0x80 else rig.cmd(0x60, enable)
    assert rig.drain() == "1c"


def test_a_disabled_mouse_keeps_its_bytes(rig):
    rig.cmd(0xD4, 0xF4)
    rig.drain()
    rig.cmd(0xA7)
    rig.mouse.backend.move(1, 1)
    assert not rig.status & OBF
    rig.cmd(0xA8)
    assert rig.drain() == "08 01 01"


def test_packets_that_fit_arrive_in_order_and_the_others_as_a_sum(rig):
    rig.cmd(0xD4, 0xF4)
    rig.drain()
    for n in range(1, 8):
        rig.mouse.backend.move(n, 0)
    assert rig.drain() == "08 01 00 08 02 00 08 03 00 08 04 00 08 05 00 08 0d 00"


def test_a_byte_to_a_device_starts_its_clock(rig):
    rig.cmd(0x60, 0x30)
    rig.out(0xEE)
    assert rig.drain() == "ee"
    assert rig.chip.command_byte == 0x20
    rig.cmd(0xD4, 0xF2)
    assert rig.drain() == "fa 00"
    assert rig.chip.command_byte == 0x00


# -- interrupts


def test_irq_1_is_high_while_the_keyboards_byte_stands(rig):
    rig.cmd(0x60, 0x03)
    rig.keyboard.backend.press("A")
    assert rig.irqs == (True, False)
    rig.read()
    assert rig.irqs == (False, False)


def test_irq_12_is_high_while_the_mouses_byte_stands(rig):
    rig.cmd(0x60, 0x03)
    rig.cmd(0xD4, 0xE6)
    assert rig.irqs == (False, True)
    rig.read()
    assert rig.irqs == (False, False)


def test_interrupts_are_allowed_by_the_command_byte(rig):
    rig.cmd(0x60, 0x00)
    rig.keyboard.backend.press("A")
    assert rig.irqs == (False, False)
    rig.cmd(0x60, 0x01)
    assert rig.irqs == (True, False)
    rig.read()
    rig.cmd(0xD3, 0x77)
    assert rig.irqs == (False, False)
    rig.cmd(0x60, 0x02)
    assert rig.irqs == (False, True)


# -- controller commands


def test_ram_is_read_and_written(rig):
    for n in range(32):
        rig.cmd(0x60 + n, n ^ 0x40)
    assert [rig.ask(0x20 + n) for n in range(32)] == [n ^ 0x40 for n in range(32)]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (0xA4, 0xF1),
        (0xA9, 0x00),
        (0xAA, 0x55),
        (0xAB, 0x00),
        (0xC0, 0x80),
        (0xD0, 0xCF),
        (0xE0, 0x03),
    ],
)
def test_commands_that_answer(rig, command, answer):
    assert rig.ask(command) == answer


def test_test_inputs_tell_which_clock_runs(rig):
    for command, answer in ((0xAD, 2), (0xA7, 0), (0xAE, 1)):
        rig.cmd(command)
        assert rig.ask(0xE0) == answer


def test_enable_and_disable_are_bits_of_the_command_byte(rig):
    rig.cmd(0x60, 0x00)
    for command, value in ((0xAD, 0x10), (0xA7, 0x30), (0xAE, 0x20), (0xA8, 0x00)):
        rig.cmd(command)
        assert rig.chip.command_byte == value


def test_d2_and_d3_write_the_output_buffer(rig):
    rig.cmd(0xD2, 0x1C)
    assert not rig.status & AUXB
    assert rig.irqs == (True, False)
    assert rig.read() == 0x1C
    rig.cmd(0xD3, 0x5A)
    assert rig.status & AUXB
    assert rig.read() == 0x5A


def test_a_new_command_cancels_the_data_of_the_old_one(rig):
    rig.cmd(0x60)
    rig.cmd(0xAE)
    rig.out(0xEE)
    assert rig.drain() == "ee"


@pytest.mark.parametrize("command", [0x00, 0x40, 0x80, 0xA1, 0xC5, 0xEF])
def test_what_is_no_command_is_ignored(rig, command):
    before = rig.chip.peek()
    rig.cmd(command)
    assert rig.chip.peek() == before


# -- the output port


def test_the_a20_gate(rig):
    assert rig.chip.a20.level
    for command, level in ((0xDD, False), (0xDF, True)):
        rig.cmd(command)
        assert rig.chip.a20.level is level
    rig.cmd(0xD1, 0xDD)
    assert not rig.chip.a20.level
    assert rig.ask(0xD0) == 0xCD
    rig.cmd(0xD1, 0xDF)
    assert rig.chip.a20.level


def test_the_output_port_shows_whose_byte_stands(rig):
    rig.cmd(0xD2, 0x00)
    assert rig.chip.peek()["OUTPUT_PORT"] == 0xDF
    rig.read()
    rig.cmd(0xD3, 0x00)
    assert rig.chip.peek()["OUTPUT_PORT"] == 0xEF


def test_reset_by_fe_is_a_pulse_and_by_d1_stays(rig):
    seen = []
    rig.chip.reset_line.sink = seen.append
    for command in (0xFF, 0xF1):
        rig.cmd(command)
    assert seen == []
    for command in (0xFE, 0xF0):
        rig.cmd(command)
    assert seen == [True, False, True, False]
    rig.cmd(0xD1, 0xCE)
    assert rig.chip.reset_line.level


def test_fd_pulses_the_a20_gate(rig):
    seen = []
    rig.chip.a20.sink = seen.append
    rig.cmd(0xFD)
    assert seen == [False, True]


def test_reset_brings_back_power_on(rig):
    rig.cmd(0xAA)
    rig.cmd(0x60, 0x7F)
    rig.cmd(0xD1, 0x00)
    rig.out(0xED)
    rig.chip.reset()
    assert rig.chip.peek() == I8042().peek()
    assert not rig.chip.reset_line.level
    rig.out(0xEE)
    assert rig.drain() == "ee"


# -- translation


def test_translation_turns_set_2_into_set_1(rig):
    rig.cmd(0x60, 0x40)
    rig.keyboard.backend.tap("A", "UP")
    assert rig.drain() == "1e 9e e0 48 e0 c8"


def test_translation_meets_answers_too(rig):
    rig.cmd(0x60, 0x40)
    rig.out(0xF2)
    assert rig.drain() == "fa ab 41"
    rig.cmd(0x60, 0x00)
    rig.out(0xF2)
    assert rig.drain() == "fa ab 83"


def test_the_break_bit_survives_until_the_byte_comes(rig):
    rig.cmd(0x60, 0x40)
    rig.keyboard._put(b"\xf0")
    assert not rig.status & OBF
    rig.keyboard._put(b"\x1c")
    assert rig.drain() == "9e"


def test_the_mouse_is_never_translated(rig):
    rig.cmd(0x60, 0x40)
    rig.cmd(0xD4, 0xF4)
    rig.drain()
    rig.mouse.backend.move(0x1C, 0)
    assert rig.drain() == "08 1c 00"


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_key_arrives_in_set_1(rig, name):
    rig.cmd(0x60, 0x40)
    rig.keyboard.backend.press(name)
    assert bytes.fromhex(rig.drain()) == KEYS[name].make(1)
    rig.keyboard.backend.release(name)
    assert bytes.fromhex(rig.drain()) == KEYS[name].release(1)


# -- as a device


def test_the_two_ports_can_be_mapped_apart(rig):
    rig.chip.command_port.write(0, 1, 0xAA)
    assert rig.chip.command_port.read(0, 1) & OBF
    assert rig.chip.data_port.read(0, 1) == 0x55
    rig.chip.data_port.write(0, 1, 0xEE)
    assert rig.chip.data_port.read(0, 1) == 0xEE


def test_the_ports_between_are_nobodys(rig):
    before = rig.chip.peek()
    for offset in (1, 2, 3):
        rig.chip.write(offset, 1, 0xFE)
        assert rig.chip.read(offset, 1) == 0xFF
    assert rig.chip.peek() == before


def test_the_registers_are_declared(rig):
    names = {reg.name for reg in REGISTERS}
    assert set(rig.chip.peek()) <= names
    assert "OBF" in STATUS.decode(0x1D)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 255), st.sampled_from([1, 2, 4]))))
def test_no_access_raises_and_the_interrupts_agree_with_the_status(accesses):
    rig = Rig()
    for verb, value, size in accesses:
        match verb:
            case 0 | 1:
                assert 0 <= rig.chip.read(4 * verb, size) <= 0xFF
            case 2 | 3:
                rig.chip.write(4 * (verb - 2), size, value << 8 | value)
            case 4:
                rig.keyboard.backend.tap(sorted(KEYS)[value % 104])
            case 5:
                rig.mouse.backend.move(value - 128, value)
        status, byte = rig.status, rig.chip.command_byte
        keyboard = status & (OBF | AUXB) == OBF
        mouse = status & (OBF | AUXB) == OBF | AUXB
        assert rig.irqs == (keyboard and bool(byte & 1), mouse and bool(byte & 2))
        held = (not byte & 0x10 and rig.keyboard.ready) or (not byte & 0x20 and rig.mouse.ready)
        assert status & OBF or not held
        assert len(rig.keyboard.waiting) <= 20
        assert len(rig.mouse.waiting) <= 21


def test_it_says_what_it_is(rig):
    assert repr(rig.chip) == "I8042(status 0x18, command byte 0x03)"
