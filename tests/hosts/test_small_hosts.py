"""The ten small guests, on every host: one timeline."""

import pytest

from tests.hosts.small_hosts import TYPED_AT, outcome
from tests.needs import needs_qemu
from virtlab.guest.small import ATA_PIO, FAULT, INTERRUPT, MMIO, SMALL_GUESTS, STRING_OUT
from virtlab.hosts.real_code import HOSTS
from virtlab.hosts.remote import QtestMachine
from virtlab.hosts.tiny_x86 import TinyX86
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.vmm.exits import HltExit, TripleFault

every_guest = pytest.mark.parametrize("guest", SMALL_GUESTS, ids=lambda guest: guest.name)
every_host = pytest.mark.parametrize("host", HOSTS)
OTHERS = [host for host in HOSTS if host != "python"]


@every_guest
def test_on_the_bare_machine_a_guest_does_what_it_says(guest):
    pc = lesson_pc()
    guest.load(pc.cpu)
    pc.clock.after(TYPED_AT, lambda: pc.keyboard.tap(*guest.keys))
    run = TinyX86(pc.cpu).run(guest.code, registers={"esp": 0x9000})
    assert pc.terminal.text == guest.prints
    assert run.end == ("triple fault" if guest.triple_fault else "halted")
    for gpa, data in guest.leaves:
        assert pc.cpu.read(gpa, len(data)) == data


@pytest.mark.oracle
@every_host
@every_guest
def test_in_a_vm_it_does_the_same(host, guest):
    vm = lesson_vm()
    done = outcome(host, guest, vm)
    assert done.prints == guest.prints
    assert done.last == (TripleFault() if guest.triple_fault else HltExit(0))
    for gpa, data in guest.leaves:
        assert vm.vm.ram.read(gpa, len(data)) == data


@pytest.mark.oracle
@pytest.mark.parametrize("paging", ["ept", "shadow"])
@pytest.mark.parametrize("host", OTHERS)
@every_guest
def test_the_whole_timeline_is_the_same_on_every_host(host, guest, paging):
    ours = outcome("python", guest, lesson_vm(paging=paging))
    theirs = outcome(host, guest, lesson_vm(paging=paging))
    assert theirs.events == ours.events
    assert theirs == ours


@needs_qemu
@pytest.mark.parametrize(
    "guest", [STRING_OUT, MMIO, INTERRUPT, FAULT], ids=lambda guest: guest.name
)
def test_on_qemus_devices_it_prints_the_same(guest):
    with QtestMachine("pc", paused=True) as machine:
        guest.load(machine)
        run = TinyX86(machine).run(guest.code, registers={"esp": 0x9000})
        assert machine.terminal.text == guest.prints
        assert run.end == ("triple fault" if guest.triple_fault else "halted")
        for gpa, data in guest.leaves:
            assert machine.read(gpa, len(data)) == data


@pytest.mark.oracle
@every_host
def test_exits_are_as_many_as_accesses(host):
    """A string form exits once an element: 6 characters, then a poll and a character for 7 more."""
    assert outcome(host, STRING_OUT).exits == {"IoExit": 6 + 2 * 7, "HltExit": 1}
    # stores of 1, 2, 4 and twice 4 bytes, a load and a store for OR; 8 cells read; the HPET
    assert outcome(host, MMIO).exits["EptViolation"] == 5 + 2 + 8 + 1
    assert outcome(host, FAULT).exits["TripleFault"] == 1


@pytest.mark.oracle
@every_host
def test_what_is_open_does_not_exit_and_reaches_the_hosts_devices(host):
    vm = lesson_vm()
    vm.vm.assign_ports(0x1F0, 8)
    vm.vm.assign_ports(0x3F0, 16)
    done = outcome(host, ATA_PIO, vm)
    assert done.exits == {"HltExit": 1}
    assert (vm.terminal.text, vm.host.terminal.text) == ("", ATA_PIO.prints)


@pytest.mark.oracle
@every_host
def test_a_screen_that_is_assigned_does_not_exit_either(host):
    vm = lesson_vm()
    vm.vm.assign_memory(0xB8000, 0xB8000, 0x1000)
    assert outcome(host, MMIO, vm).exits["EptViolation"] == 1  # the HPET
    assert vm.host.screen.text() == MMIO.prints
    assert vm.screen.text() == ""
