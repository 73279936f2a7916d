"""An interrupt on its three ways to a guest: what is counted is the closed form."""

import itertools

import pytest

from virtlab.clock import COSTS
from virtlab.devices.lapic import BASE
from virtlab.machine import lesson_pc, lesson_vm
from virtlab.memory import PAGE
from virtlab.vmm.interrupt_prices import STEPS, measured, predicted
from virtlab.vmm.interrupt_target import VIRTUAL_APICS, ExternalInterruptExit, assign_apic
from virtlab.vmm.interrupt_ways import (
    COUNT,
    GUEST_VECTORS,
    STATES,
    WAYS,
    InterruptedVm,
)
from virtlab.vmm.irqchip import total
from virtlab.vmm.meter import Meter

EXIT = round(COSTS["vm_exit"].ns)


@pytest.fixture(scope="module")
def vm():
    return lesson_vm(lesson_pc()).vm


@pytest.mark.parametrize(
    ("way", "state", "n"), list(itertools.product(WAYS, STATES, (0, 1, 2, COUNT)))
)
def test_what_is_counted_is_the_closed_form(vm, way, state, n):
    counted, handled = measured(vm, way, state, n)
    assert tuple(counted) == STEPS
    assert (counted, handled) == predicted(way, state, n, EXIT)


@pytest.mark.parametrize(
    ("way", "state", "exits", "switches", "handled"),
    [
        ("user space", "running", 2, 8, 1),
        ("kernel", "running", 2, 4, 1),
        ("posted", "running", 0, 0, 0),
        ("user space", "asleep", 2, 8, 1),
        ("kernel", "asleep", 2, 4, 1),
        ("posted", "asleep", 1, 2, 1),
        ("user space", "preempted", 1, 6, 1),
        ("kernel", "preempted", 1, 2, 1),
        ("posted", "preempted", 0, 0, 0),
    ],
)
def test_the_numbers_of_the_lesson(way, state, exits, switches, handled):
    """Written down by hand, so that the two formulas cannot be wrong together."""
    for n in (1, 10):
        steps, count = predicted(way, state, n, EXIT)
        cost = total(steps)
        assert (cost.exits, cost.switches, count) == (n * exits, n * switches, n * handled)


@pytest.mark.parametrize("way", WAYS)
def test_the_guest_gets_the_same_vectors_on_every_way(vm, way):
    with InterruptedVm(vm, way) as rig:
        for n in (3, 0, 15):
            rig.interrupt(n)
        taken = []
        while (vector := rig.take()) is not None:
            taken.append(vector - GUEST_VECTORS)
            rig.end()
        assert taken == [15, 3, 0]
        assert not rig.lapic.vectors.isr


def test_while_preempted_posts_wait_in_the_descriptor(vm):
    with InterruptedVm(vm, "posted") as rig:
        rig.become("preempted")
        for n in (1, 2):
            rig.interrupt(n)
        assert rig.take() is None
        assert not rig.descriptor.outstanding
        assert rig.descriptor.pending == 0b11 << GUEST_VECTORS + 1
        rig.become("running")
        assert rig.take() == GUEST_VECTORS + 2


def test_the_exit_has_reason_1_and_the_host_has_ended_it(vm):
    with InterruptedVm(vm, "kernel") as rig, vm.trace.recording() as events:
        rig.interrupt(4)
        assert rig.host.vectors.isr == 0
    exits = [event.note for event in events if event.kind == "exit"]
    assert exits == ["external interrupt (reason 1, qualification 0x0)"]


@pytest.mark.parametrize(
    ("way", "exits", "switches"),
    [
        ("user space", 2, 8),
        ("kernel", 2, 4),
        ("posted", 0, 0),
    ],
)
def test_every_access_to_the_page_is_priced_alike(vm, way, exits, switches):
    with InterruptedVm(vm, way), Meter(vm) as meter:
        vm.cpu.store(BASE + 0x80, 0x50)
        assert vm.cpu.load(BASE + 0x80) == 0x50
    assert (meter.exits, meter.switches) == (exits, switches)


def test_the_end_takes_everything_off_the_vm(vm):
    controller = vm.vmm.controller
    with InterruptedVm(vm, "posted"):
        assert vm.vmm.controller is not controller
    assert vm.vmm.controller is controller
    assert ExternalInterruptExit not in vm.vmm.handlers
    with Meter(vm) as meter:
        assert vm.cpu.load(BASE + 0x20) == 0xFFFF_FFFF
    assert meter.exits == 1


def test_no_more_interrupts_than_the_device_has(vm):
    with pytest.raises(ValueError, match="16 interrupts, not 17"):
        measured(vm, "posted", "running", COUNT + 1)


def test_a_host_has_so_many_apic_pages(vm):
    space = vm.host.memory
    with InterruptedVm(vm, "kernel") as rig:
        taken = [space.map(page, PAGE, rig.lapic) for page in VIRTUAL_APICS]
        with pytest.raises(ValueError, match="64 such pages"):
            assign_apic(vm, rig.lapic)
        for mapping in taken:
            space.unmap(mapping)
        with Meter(vm) as meter:
            rig.end()
        assert meter.exits == 1
