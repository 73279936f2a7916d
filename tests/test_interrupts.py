"""A wire tells of its changes, and of nothing else."""

from virtlab.interrupts import IrqLine, Msi, wired_or


def test_the_sink_hears_each_change_once():
    heard = []
    line = IrqLine("uart", heard.append)
    for level in (False, True, True, False):
        line.set(level)
    line.pulse()
    assert heard == [True, False, True, False]
    assert repr(line) == "IrqLine('uart', low)"


def test_a_wire_without_a_listener_keeps_its_level():
    line = IrqLine()
    line.set(True)
    assert line.level


def test_a_message_is_an_address_and_data():
    assert Msi(0xFEE00000, 0x41) == (0xFEE00000, 0x41)


def test_wires_that_drive_one_line_are_an_or():
    heard = []
    one, other = wired_or(IrqLine("a20", heard.append), 2)
    one.set(True)
    other.set(True)
    one.set(False)
    assert heard == [True]
    other.set(False)
    assert heard == [True, False]
