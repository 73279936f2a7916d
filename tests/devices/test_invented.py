"""Two devices that no board ever had: the debug console and pvpanic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.rig import Rig
from virtlab.backends import Terminal
from virtlab.bus import AddressSpace
from virtlab.devices import debugcon, pvpanic
from virtlab.devices.debugcon import DebugConsole
from virtlab.devices.pvpanic import PvPanic, PvPanicFunction
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci


def test_a_character_is_one_write_and_the_port_knows_itself():
    terminal = Terminal()
    console = DebugConsole(terminal)
    for letter in b"ok\n":
        console.write(0, 1, letter)
    assert terminal.text == "ok\n"
    assert console.read(0, 1) == 0xE9
    assert DebugConsole().terminal.text == ""


def test_pvpanic_says_what_it_wants_and_tells_what_happened():
    heard = []
    device = PvPanic(heard.append)
    assert device.read(0, 1) == 3
    device.write(0, 1, PvPanic.EVENTS.PANICKED.mask)
    device.write(0, 1, PvPanic.EVENTS.CRASH_LOADED.mask)
    assert heard == [1, 2]
    assert device.reported == 3
    assert device.read(0, 1) == 3


@pytest.mark.parametrize("value", [0, 4, 0xFC])
def test_an_event_that_nobody_wants_is_dropped(value):
    heard = []
    device = PvPanic(heard.append)
    device.write(0, 1, value)
    device.write(1, 1, 1)
    assert heard == []
    assert device.reported == 0


def test_as_a_function_it_is_found_by_its_numbers():
    rig = Rig()
    function = rig.bus.plug(PvPanicFunction(), 3)
    found = find(enumerate_pci(rig.cpu), 0x1B36, 0x0011)
    assert found.class_code == 0x088000
    rig.cpu.store(found.bar(0), 1, 1)
    assert function.pvpanic.reported == 1
    assert rig.cpu.load(found.bar(0), 4) == 3


@given(st.integers(0, 20), st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1), st.booleans())
def test_no_access_raises(offset, size, value, write):
    ports = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
    ports.map(debugcon.PORT, 1, DebugConsole())
    ports.map(pvpanic.PORT, PvPanic.length, PvPanic())
    for base in (debugcon.PORT - 2, pvpanic.PORT - 2):
        if write:
            ports.write(base + offset, size, value)
        else:
            assert 0 <= ports.read(base + offset, size) < 1 << 8 * size
