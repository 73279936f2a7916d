"""The drivers of invented devices: in a VM of ours, and unchanged on QEMU's own."""

import pytest

from tests.needs import needs_qemu
from virtlab.devices.debugcon import PORT, DebugConsole
from virtlab.devices.pvpanic import PORT as PANIC_PORT
from virtlab.devices.pvpanic import PvPanic, PvPanicFunction
from virtlab.guest.invented import DebugConsoleDriver, PvPanicDriver
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts.remote import QtestMachine
from virtlab.machine import lesson_pc, lesson_vm


def test_where_nobody_invented_anything_nothing_is_found():
    cpu = lesson_pc().cpu
    assert DebugConsoleDriver.find(cpu) is None
    assert PvPanicDriver.at_port(cpu) is None
    assert PvPanicDriver.on_pci(cpu, enumerate_pci(cpu)) is None


def test_a_line_costs_one_exit_a_character():
    vm = lesson_vm()
    vm.vm.ports.map(PORT, 1, DebugConsole(vm.terminal))
    driver = DebugConsoleDriver.find(vm.cpu)
    before = vm.exits
    driver.write(b"hello")
    assert vm.exits - before == len(b"hello")
    assert vm.terminal.text == "hello"


def test_a_kernel_says_that_it_has_crashed_by_either_door():
    heard = []
    vm = lesson_vm()
    vm.cards.root.bus.plug(PvPanicFunction(heard.append), 0x06)
    vm.vm.ports.map(PANIC_PORT, PvPanic.length, PvPanic(heard.append))
    by_port = PvPanicDriver.at_port(vm.cpu)
    on_pci = PvPanicDriver.on_pci(vm.cpu, enumerate_pci(vm.cpu))
    assert by_port.wanted == on_pci.wanted == 3
    assert by_port.panic()
    assert on_pci.panic()
    assert heard == [1, 1]


def test_a_vmm_that_does_not_want_to_hear_is_told_nothing():
    vm, heard = lesson_vm(), []
    device = PvPanic(heard.append)
    device.EVENTS = 2
    vm.vm.ports.map(PANIC_PORT, PvPanic.length, device)
    assert not PvPanicDriver.at_port(vm.cpu).panic()
    assert heard == []


@needs_qemu
def test_the_console_driver_prints_on_qemus(tmp_path):
    said = tmp_path / "said"
    with QtestMachine("pc", ["-nodefaults", "-debugcon", f"file:{said}"]) as machine:
        DebugConsoleDriver.find(machine).write(b"one byte, one OUT\n")
    assert said.read_bytes() == b"one byte, one OUT\n"


@needs_qemu
@pytest.mark.parametrize("door", ["port", "pci"])
def test_qemu_hears_the_panic(door):
    device = {"port": "pvpanic", "pci": "pvpanic-pci"}[door]
    extra = ["-nodefaults", "-device", device, "-action", "panic=pause"]
    with QtestMachine("pc", extra) as machine:
        if door == "port":
            driver = PvPanicDriver.at_port(machine)
        else:
            driver = PvPanicDriver.on_pci(machine, enumerate_pci(machine))
        assert driver.wanted == 3
        assert driver.panic()
        assert machine.qmp("query-status")["status"] == "guest-panicked"
