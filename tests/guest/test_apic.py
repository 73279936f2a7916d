"""The APICs' driver, unchanged on our chips, in a VM, and on QEMU's."""

import pytest

from tests.needs import require
from tests.oracles.lapic_code import LOAD, STORE, QemuLapic
from virtlab.devices.ioapic import BASE as IO_APIC
from virtlab.devices.ioapic import IoApic
from virtlab.devices.lapic import BASE, ApicBus, Lapic, LapicRegisters
from virtlab.guest.apic import IoApicDriver, LocalApic
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import Delivery, Msi
from virtlab.machine import lesson_pc, lesson_vm

REMOTE_IRR, MASK, LEVEL = 1 << 14, 1 << 16, 1 << 15


class World:
    """A machine with APICs: the lesson PC, or a VM on it."""

    def __init__(self, kind):
        board = lesson_pc() if kind == "bare" else lesson_vm(lesson_pc())
        self.clock, self.cpu = board.clock, board.cpu
        self.lapic = Lapic(3, board.clock, eoi=lambda vector: self.ioapic.eoi(vector))
        self.other = Lapic(1, board.clock)
        self.ioapic = IoApic(ApicBus([self.lapic, self.other]).message, number=5)
        memory = board.memory if kind == "bare" else board.vm.memory
        memory.map(BASE, Lapic.length, self.lapic, "lapic", width=4)
        memory.map(IO_APIC, IoApic.length, self.ioapic, "ioapic", width=4)
        (board.cpu if kind == "bare" else board.vm.vmm).controller = self.lapic
        self.local, self.inputs = LocalApic(self.cpu), IoApicDriver(self.cpu)


@pytest.fixture(params=["bare", "vm"])
def world(request):
    return World(request.param)


def test_it_finds_both(world):
    assert world.local.detect()
    assert (world.local.identity(), world.inputs.identity(), world.inputs.pins()) == (3, 5, 24)
    world.lapic.present = False
    assert not world.local.detect()


def test_an_edge_arrives_and_ends(world):
    world.local.enable()
    world.inputs.route(4, vector=0x41, destination=3)
    world.ioapic.lines[4].pulse()
    assert world.cpu.wait(1000) == 0x41
    assert world.local.serving() == [0x41]
    world.local.eoi()
    assert world.local.serving() == []
    assert world.cpu.wait(1000) is None


def test_a_level_comes_again_until_its_device_is_served(world):
    world.local.enable()
    world.inputs.route(4, vector=0x41, destination=3, level=True)
    world.ioapic.lines[4].set(True)
    for _ in range(3):
        assert world.cpu.wait(1000) == 0x41
        assert world.inputs.entry(4) & REMOTE_IRR
        world.local.eoi()
    assert world.cpu.wait(1000) == 0x41
    world.ioapic.lines[4].set(False)
    world.local.eoi()
    assert world.cpu.wait(1000) is None


def test_a_masked_input_is_silent_and_keeps_its_entry(world):
    world.local.enable()
    world.inputs.route(4, vector=0x41, destination=3)
    world.inputs.mask(4)
    world.ioapic.lines[4].pulse()
    assert world.cpu.wait(1000) is None
    assert world.inputs.entry(4) == 3 << 56 | MASK | 0x41


def test_a_class_can_be_held_back(world):
    world.local.enable()
    for n, vector in enumerate((0x45, 0x62)):
        world.inputs.route(n, vector, 3)
        world.ioapic.lines[n].pulse()
    world.local.hold(4)
    assert world.cpu.wait(1000) == 0x62
    world.local.eoi()
    assert world.cpu.wait(1000) is None
    world.local.hold(0)
    assert world.cpu.wait(1000) == 0x45


def test_nested_interrupts_are_listed_highest_first(world):
    world.local.enable()
    for n, vector in enumerate((0x45, 0x62)):
        world.inputs.route(n, vector, 3)
        world.ioapic.lines[n].pulse()
        world.cpu.wait(1000)
    assert world.local.serving() == [0x62, 0x45]


def test_another_processor_gets_what_is_sent(world):
    world.other.write(LapicRegisters.SVR.offset, 4, 0x1FF)
    world.local.send(0x77, destination=1)
    assert world.other.acknowledge() == 0x77
    signals = []
    world.other.signal = lambda *each: signals.append(each)
    world.local.send(0, 1, Delivery.INIT)
    world.local.send(0x9F, 1, Delivery.STARTUP)
    assert signals == [(Delivery.INIT, 0), (Delivery.STARTUP, 0x9F)]


def test_the_timer_wakes_once_or_again_and_again(world):
    world.local.enable()
    world.local.start_timer(0x40, 50_000)
    before = world.clock.now
    assert world.cpu.wait() == 0x40
    assert world.clock.now - before == pytest.approx(50_000, abs=1_000)
    world.local.eoi()
    world.local.start_timer(0x40, 50_000, periodic=True)
    for _ in range(3):
        assert world.cpu.wait() == 0x40
        world.local.eoi()
    world.local.stop_timer()
    assert world.cpu.wait(1_000_000) is None


def test_a_remapped_input_names_its_entry(world):
    sent = []
    world.ioapic.message = sent.append
    world.inputs.route_remapped(4, handle=0x8123, vector=0x51, level=True)
    world.ioapic.lines[4].set(True)
    assert sent == [Msi(0xFEE0_0000 | 0x123 << 5 | 1 << 4 | 1 << 2, 0x51 | LEVEL | 1 << 14)]


@pytest.mark.parametrize("pin", [-1, 24])
def test_an_input_that_is_not_there(world, pin):
    with pytest.raises(ValueError, match="inputs 0 to 23"):
        world.inputs.route(pin, 0x41)


# -- on QEMU's


class OnItsProcessor:
    """The load and the store of a Cpu, done by QEMU's own processor."""

    def __init__(self, machine):
        self.qemu = QemuLapic(machine)

    def load(self, gpa, size=4):
        return self.qemu.run([(LOAD, gpa, 0)])[0]

    def store(self, gpa, value, size=4):
        self.qemu.run([(STORE, gpa, value)])


@pytest.mark.oracle
def test_it_drives_qemus_chips():
    require("QEMU")
    with QtestMachine("q35") as machine:
        cpu = OnItsProcessor(machine)
        local, inputs = LocalApic(cpu), IoApicDriver(cpu)
        assert local.detect()
        assert (local.identity(), inputs.pins()) == (0, 24)
        local.enable()
        inputs.route(5, vector=0x41, level=True)
        machine.command("set_irq_in /machine/q35/ioapic unnamed-gpio-in 5 1")
        assert inputs.entry(5) == LEVEL | REMOTE_IRR | 0x41
        assert local.get(LapicRegisters.IRR2) == 2
        assert local.serving() == []
        local.send(0x62, destination=0)
        assert local.get(LapicRegisters.IRR3) == 4
        inputs.mask(5)
        assert inputs.entry(5) & MASK
