"""The VMM's loop: what it counts, what it costs, what it injects."""

import pytest

from tests.vmm.rig import MMIO, Host, Requests, vm_on
from virtlab.clock import COSTS, SECOND
from virtlab.memory import PAGE
from virtlab.vmm.exits import (
    ControlExit,
    EptMisconfiguration,
    Exit,
    HltExit,
    InvlpgExit,
    VmcallExit,
)
from virtlab.vmm.vcpu import Invlpg, MovToCr3, Resume, Vmcall
from virtlab.vmm.vmm import MAX_HALT


def test_an_exit_and_its_entry_stand_around_the_emulated_access():
    host = Host()
    vm, _, _ = vm_on(host)
    with host.trace.recording() as events:
        vm.cpu.out(0x3F8, 0x41)
    assert [event.kind for event in events] == ["exit", "out", "entry"]
    assert events[0].note == "I/O instruction (reason 30, qualification 0x3f80000)"
    assert events[0][2:8] == ("exit", "vm", "port", 0x3F8, 1, 0x41)
    assert events[1].who == "virtual uart"
    assert events[2].note == "past the instruction"


def test_counters_count_while_nobody_looks():
    host = Host()
    vm, _, _ = vm_on(host)
    vm.cpu.inp(0x3FD)
    vm.cpu.load(MMIO)
    vm.cpu.store(MMIO, 1)
    vm.cpu.wait(0)
    assert host.trace.counts["exit"] == host.trace.counts["entry"] == 4
    assert host.trace.counts["exit IoExit"] == 1
    assert host.trace.counts["exit EptViolation"] == 2
    assert vm.vmm.exits == {"IoExit": 1, "EptViolation": 2, "HltExit": 1}


def test_each_exit_costs_what_the_paper_measured():
    host = Host()
    vm, _, _ = vm_on(host)
    for _ in range(10):
        vm.cpu.inp(0x3FD)
    assert host.clock.now == 10 * round(COSTS["vm_exit"].ns)
    free, _, _ = vm_on(host, exit_cost=0)
    before = host.clock.now
    free.cpu.inp(0x3FD)
    assert host.clock.now == before


def test_a_misconfigured_entry_is_emulated_as_kvm_uses_it():
    host = Host()
    vm, _, virtual = vm_on(host)
    vm.tables.map(MMIO, 0, PAGE, rights=0b110)
    vm.cpu.store(MMIO + 8, 0x77, 1)
    assert virtual.bytes[8] == 0x77
    assert vm.vmm.exits == {EptMisconfiguration.__name__: 1}


def test_halting_waits_for_the_virtual_controller_and_injects():
    host, requests = Host(), Requests()
    vm, _, _ = vm_on(host, controller=requests)
    host.clock.after(5000, lambda: requests.vectors.append(0x24))
    with host.trace.recording() as events:
        assert vm.cpu.wait() == 0x24
    assert host.clock.now == 5000
    assert [(event.kind, event.value) for event in events] == [
        ("exit", 0),
        ("inject", 0x24),
        ("entry", 0),
    ]


def test_a_halt_with_interrupts_masked_takes_none():
    requests = Requests(0x24)
    vm, _, _ = vm_on(Host(), controller=requests)
    assert vm.vmm.handle(HltExit(0)) == Resume(None)
    assert requests.vectors == [0x24]
    assert vm.cpu.wait(0) == 0x24


def test_halting_gives_up_at_its_time():
    host = Host()
    vm, _, _ = vm_on(host, controller=Requests(), exit_cost=0)
    assert vm.cpu.wait(700) is None
    assert host.clock.now == 700
    assert vm.cpu.wait(-5) is None
    assert host.clock.now == 700
    vm.cpu.wait(1000 * SECOND)
    assert host.clock.now == 700 + MAX_HALT
    alone, _, _ = vm_on(host, exit_cost=0)
    assert alone.cpu.wait(300) is None
    assert host.clock.now == 1000 + MAX_HALT


def test_a_record_that_no_vmm_knows_is_our_bug():
    vm, _, _ = vm_on(Host())
    with pytest.raises(TypeError, match="knows what to do"):
        vm.vmm.emulate(Exit())


@pytest.mark.parametrize(
    ("instruction", "record", "value"),
    [
        (Vmcall(7, (1, 2)), VmcallExit(7, (1, 2)), 0xFFFFFFFF),
        (MovToCr3(0x5000), ControlExit(0x5000), 0),
        (Invlpg(0x7000), InvlpgExit(0x7000), 0),
    ],
)
def test_a_call_that_nobody_takes_is_answered(instruction, record, value):
    vm, _, _ = vm_on(Host())
    assert vm.cpu.run(instruction) == record
    assert vm.cpu.finish(instruction) == value
    assert vm.vmm.exits == {type(record).__name__: 1}


def test_a_handler_takes_a_kind_of_exit():
    vm, _, _ = vm_on(Host())
    vm.vmm.handlers[VmcallExit] = lambda exit: Resume(exit.number + sum(exit.arguments))
    assert vm.cpu.finish(Vmcall(7, (1, 2))) == 10
