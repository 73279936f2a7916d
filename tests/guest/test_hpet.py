"""The HPET driver, unchanged on the bare machine and in a virtual machine."""

import pytest

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.hpet import BASE, Hpet
from virtlab.guest.hpet import HpetDriver
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.virtual_machine import VirtualMachine


class World:
    """A host with an HPET, and, in a VM, a virtual one."""

    def __init__(self, kind):
        self.clock, self.rose = Clock(), []
        self.trace = Trace(self.clock)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        ram = GuestMemory(64 * PAGE)
        self.memory.map_ram(ram)
        self.memory.map(BASE, Hpet.length, self._hpet(), "hpet", width=8)
        self.cpu = BareCpu(self.ports, self.memory, self.clock)
        self.vm = None
        if kind != "bare":
            self.vm = VirtualMachine(
                self,
                Frames(ram, 0, 64),
                PAGE,
                exit_cost=0,
                paging="shadow" if kind == "shadow" else "ept",
            )
            self.cpu = self.vm.cpu
        if kind == "direct":
            self.vm.assign_memory(BASE, BASE, PAGE)
        elif self.vm:
            self.vm.memory.map(BASE, Hpet.length, self._hpet(), "virtual hpet", width=8)

    def _hpet(self):
        def sink(level):
            self.rose += [self.clock.now] if level else []

        return Hpet(self.clock, {20: IrqLine("gsi 20", sink)})


@pytest.fixture(params=["bare", "ept", "shadow", "direct"])
def world(request):
    return World(request.param)


def test_it_finds_the_timers(world):
    driver = HpetDriver(world.cpu)
    assert driver.detect()
    assert (driver.timers(), driver.period_fs()) == (3, 10_000_000)


@pytest.mark.parametrize("base", [0xFED1_0000, 0])
def test_it_finds_nothing_where_nothing_is(base):
    assert not HpetDriver(World("bare").cpu, base).detect()


def test_it_reads_the_time(world):
    driver = HpetDriver(world.cpu)
    driver.start()
    world.clock.advance(123_450)
    assert driver.ticks() == 12_345
    assert driver.nanoseconds() == 123_450
    driver.stop()
    world.clock.advance(10_000)
    assert driver.nanoseconds() == 123_450


def test_it_is_woken_once(world):
    driver = HpetDriver(world.cpu)
    driver.start()
    world.clock.advance(1000)
    driver.one_shot(1, 50_000, route=20)
    world.clock.advance(1_000_000)
    assert world.rose == [51_000]


def test_it_is_woken_again_and_again(world):
    driver = HpetDriver(world.cpu)
    driver.start()
    driver.periodic(0, 100_000, route=20)
    world.clock.advance(350_000)
    driver.silence(0)
    world.clock.advance(350_000)
    assert world.rose == [100_000, 200_000, 300_000]


def test_it_acknowledges_a_level(world):
    driver = HpetDriver(world.cpu)
    driver.start()
    driver.one_shot(2, 10_000, route=20, level=True)
    assert driver.pending() == 0
    world.clock.advance(20_000)
    assert driver.pending() == 0b100
    driver.acknowledge(2)
    assert driver.pending() == 0


def test_assigned_directly_it_makes_no_exit():
    direct, emulated = World("direct"), World("ept")
    for world in (direct, emulated):
        HpetDriver(world.cpu).start()
        HpetDriver(world.cpu).ticks()
    assert direct.vm.vmm.exits.total() == 0
    assert emulated.vm.vmm.exits == {"EptViolation": 4}


class Rolls:
    """A Cpu on which the lower half of the counter rolls over between two reads."""

    def __init__(self):
        self.answers = [(1 << 32) - 1, (1 << 32) - 1, 1 << 32, 1 << 32, (1 << 32) + 1]

    def load(self, gpa, size):
        value = self.answers.pop(0)
        return value >> 32 if gpa & 4 else value & 0xFFFF_FFFF


def test_a_counter_that_rolls_over_is_read_again():
    assert HpetDriver(Rolls()).ticks() == (1 << 32) + 1
