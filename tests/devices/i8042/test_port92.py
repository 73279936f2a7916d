"""System control port A."""

import pytest

from virtlab.devices.i8042 import Port92


def test_alt_gate_drives_a20():
    port = Port92()
    assert port.read(0, 1) == 0
    for value in (2, 0):
        port.write(0, 1, value)
        assert port.a20.level is bool(value)
        assert port.peek() == {"CONTROL": value}


def test_a_step_of_reset_is_a_pulse():
    port, seen = Port92(), []
    port.reset_line.sink = seen.append
    for value in (1, 3, 1):
        port.write(0, 1, value)
    assert seen == [True, False]
    port.write(0, 1, 0)
    port.write(0, 1, 1)
    assert seen == [True, False] * 2


@pytest.mark.parametrize("size", [1, 2, 4])
def test_only_the_bits_of_the_register_stay(size):
    port = Port92()
    port.write(0, size, (1 << 8 * size) - 1)
    assert port.read(0, size) == 0xC3
