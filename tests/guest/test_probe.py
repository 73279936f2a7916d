"""A guest that was told nothing: it finds what is there, and nothing that is not."""

import pytest

from tests.needs import require
from virtlab.guest.probe import LOOKS, probe
from virtlab.hosts.remote import QtestMachine
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.vmm.virtual_machine import VirtualMachine

NAMES = [name for name, _, _ in LOOKS]


@pytest.mark.parametrize("make", [lesson_pc, lesson_vm])
def test_on_the_lesson_pc_all_but_the_second_uart(make):
    looks = probe(make().cpu)
    assert [look.what for look in looks] == NAMES
    assert [look.what for look in looks if not look.found] == ["second UART"]
    assert looks[0].evidence == "self-test 0x55; plugged in: keyboard and mouse"
    assert looks[1].evidence == "a 16550A"


@pytest.mark.oracle
def test_on_qemus_pc_as_well():
    require("QEMU")
    with QtestMachine("pc", ["-drive", "if=ide,driver=null-co,size=1M"]) as machine:
        looks = {look.what: look for look in probe(machine)}
    assert [name for name, look in looks.items() if not look.found] == ["second UART"]
    assert looks["keyboard controller"].evidence.endswith("keyboard and mouse")


def test_in_an_empty_machine_nothing():
    host = lesson_pc()
    vm = VirtualMachine(host, host.frames, 16 * 4096)
    looks = probe(vm.cpu)
    assert not any(look.found for look in looks)
    assert sum(look.accesses for look in looks) == vm.vmm.exits.total() == 25


def test_what_a_look_changes_it_restores():
    pc = lesson_pc()
    pc.cpu.out(0x21, 0xA5)
    pc.cpu.store(0xB8000, 0x1F42, 2)
    probe(pc.cpu, ("interrupt controllers", "text screen"))
    assert pc.cpu.inp(0x21) == 0xA5
    assert pc.cpu.load(0xB8000, 2) == 0x1F42


def test_one_look_alone():
    [look] = probe(lesson_pc().cpu, ("real-time clock",))
    assert (look.found, look.where, look.accesses) == (True, 0x70, 2)
    assert look.evidence == "register D reads 0x80"
