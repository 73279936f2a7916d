"""One device, two homes: the same answers, the same bytes, the same interrupts, another price."""

import gc
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vmm.rig import Host, vm_on
from tests.vmm.service.rig import open_files, shared_vm
from virtlab.clock import COSTS, Clock
from virtlab.devices.edu import EduRegisters
from virtlab.guest.ata import PRIMARY, AtaDriver, AtaError
from virtlab.guest.edu import EduDriver
from virtlab.guest.pic import Pics
from virtlab.guest.uart import UartDriver
from virtlab.interrupts import IrqLine
from virtlab.memory import PAGE
from virtlab.vmm import placement
from virtlab.vmm.meter import Meter
from virtlab.vmm.service.models import KINDS, build
from virtlab.vmm.service.remote import SWITCH
from virtlab.vmm.service.shared import SharedMemory

EXIT = round(COSTS["vm_exit"].ns)
HOMES = {"VMM": placement.inside, "service": placement.service}
EDU = KINDS["edu"].parts[0].base
DOORBELL = (0, EduRegisters.DMA_COMMAND.offset)
IMAGE = b"".join(bytes([n]) * 512 for n in range(64))


@pytest.fixture(scope="module")
def machine_with_vm():
    return shared_vm()


@pytest.fixture
def vm(machine_with_vm):
    """The VM, with all that the devices want to be remapped."""
    _, guest = machine_with_vm
    Pics(guest.cpu).remap()
    return guest


# -- what the guest sees is the same


@pytest.mark.parametrize("home", HOMES)
def test_the_uart_driver_prints_and_is_typed_at(vm, home):
    with HOMES[home](vm.vm, "uart", vm.pic.line(4)) as uart:
        driver = UartDriver.at_ports(vm.cpu)
        assert driver.detect() == "16550A"
        driver.init()
        driver.write(b"the same driver, the same device, in two homes")
        assert uart.printed == "the same driver, the same device, in two homes"
        pics = Pics(vm.cpu)
        pics.unmask(4)
        driver.listen()
        uart.type("yes")
        for _ in range(2):  # the first may be an edge that detect() left behind
            assert pics.next_irq() == 4
            driver.service()
            pics.eoi(4)
            if driver.received:
                break
        assert driver.received == b"yes"
        assert not vm.pic.line(4).level


@pytest.mark.parametrize("home", HOMES)
def test_the_disk_driver_reads_and_writes_by_both_ways(vm, home):
    with HOMES[home](vm.vm, "ata", vm.pic.line(PRIMARY.irq), disk=IMAGE) as ata:
        driver = AtaDriver(vm.cpu, bus_master=KINDS["ata"].parts[2].base, table=0x9000)
        driver.listen(Pics(vm.cpu))
        assert driver.identify().sectors == 64
        assert driver.read(5, 2) == IMAGE[5 * 512 : 7 * 512]
        driver.write(3, b"w" * 512)
        vm.cpu.write(0x10000, bytes(range(256)) * 2)
        driver.write_dma(9, [(0x10000, 512)])
        vm.cpu.write(0x1FF00, bytes(512))
        driver.read_dma(5, [(0x1FF00, 512)])
        assert vm.cpu.read(0x1FF00, 512) == bytes([5]) * 512
        assert ata.disk.disk.read(3) == b"w" * 512
        assert ata.disk.disk.read(9) == bytes(range(256)) * 2


@pytest.mark.parametrize("home", HOMES)
def test_the_edu_driver_computes_and_moves_bytes(vm, home):
    pics = Pics(vm.cpu)
    pics.unmask(10)
    with HOMES[home](vm.vm, "edu", vm.pic.line(10)):
        driver = EduDriver(vm.cpu, EDU)
        assert driver.detect()
        assert driver.factorial(10, interrupt=True) == 3628800
        pics.eoi(10)
        vm.cpu.write(0x20100, bytes(29))
        vm.cpu.write(0x1FFF0, b"across two frames of the host")
        driver.to_device(0x1FFF0, 29, interrupt=True)
        pics.eoi(10)
        driver.from_device(0x20100, 29)
        assert vm.cpu.read(0x20100, 29) == b"across two frames of the host"


class Twin:
    """The device of a service, and one of our own: each access goes to both, at one time."""

    def __init__(self, guest, name):
        self.guest, self.name = guest, name
        self.line = IrqLine("served")
        self.served = placement.service(guest.vm, name, self.line, IMAGE if name == "ata" else None)
        self.clock, self.own_line = Clock(), IrqLine("own")
        disk = placement.DiskFile(IMAGE).disk
        self.own = build(name, self.own_line, self.clock, guest.vm.ram, disk).devices
        self.clock.advance(guest.vm.clock.now)

    def access(self, part, write, offset, size, value):
        """What both answer, and the two lines."""
        device, twin = self.served.devices[part], self.own[part]
        answers = []
        for at, act in ((device, self._served), (twin, self._own)):
            answers.append(act(at, write, offset, size, value))
        self.clock.advance(self.guest.vm.clock.now - self.clock.now)
        return answers, (self.line.level, self.own_line.level)

    def _served(self, device, *access):
        self.moment = self.guest.vm.clock.now + SWITCH
        return self._act(device, *access)

    def _own(self, device, *access):
        self.clock.advance(self.moment - self.clock.now)
        return self._act(device, *access)

    def _act(self, device, write, offset, size, value):
        if not write:
            return device.read(offset, size)
        return device.write(offset, size, value)


@pytest.fixture(scope="module")
def twins():
    """Three devices on a VM of their own: what one example leaves in them, the next one finds."""
    _, guest = shared_vm()
    made = {name: Twin(guest, name) for name in ("uart", "ata", "pic")}
    yield made
    for twin in made.values():
        twin.served.close()


accesses = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2]),
        st.booleans(),
        st.integers(0, 7),
        st.integers(0, 255),
    ),
    max_size=40,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(["uart", "ata", "pic"]), stream=accesses)
def test_a_served_device_answers_as_one_of_our_own(twins, name, stream):
    """Any stream of accesses: the same values, and the same level of the line after each."""
    twin = twins[name]
    for part, write, offset, value in stream:
        part = min(part, len(twin.own) - 1)
        offset %= KINDS[name].parts[part].length
        answers, levels = twin.access(part, write, offset, 1, value)
        assert answers[0] == answers[1]
        assert levels[0] == levels[1]


# -- what it costs is not


@pytest.mark.parametrize(("home", "switches"), [("VMM", 2), ("service", 4)])
def test_an_access_costs_two_world_switches_or_four(vm, home, switches):
    with HOMES[home](vm.vm, "uart"):
        with Meter(vm.vm) as cost:
            vm.cpu.inp(0x3FD)
            vm.cpu.out(0x3F8, 65)
        beyond = 2 * (switches - 2)
        assert cost.cost == (2, 2 * switches, 2 * EXIT + beyond * SWITCH)


@pytest.mark.parametrize(("home", "beyond"), [("VMM", 0), ("service", 2), ("posted", 0)])
def test_dma_costs_a_doorbell_whatever_its_size(vm, home, beyond):
    place = HOMES.get(home, placement.service)
    options = {"posted": [DOORBELL]} if home == "posted" else {}
    with place(vm.vm, "edu", vm.pic.line(10), **options):
        driver = EduDriver(vm.cpu, EDU)
        for register, value in (("SOURCE", 0x1000), ("DESTINATION", 0x40000), ("COUNT", 4096)):
            driver.put(getattr(EduRegisters, f"DMA_{register}"), value)
        before = vm.trace.counts["dma read"]
        with Meter(vm.vm) as cost:
            driver.put(EduRegisters.DMA_COMMAND, 0b101)
        assert cost.cost == (1, 2 + beyond, EXIT + beyond * SWITCH)
        pics = Pics(vm.cpu)
        pics.unmask(10)
        with vm.trace.recording() as events:
            assert pics.next_irq() == 10
        assert vm.trace.counts["dma read"] == before + 1
        assert [event.size for event in events if event.kind == "dma read"] == [4096]
        driver.put(EduRegisters.ACKNOWLEDGE, 0x100)
        pics.eoi(10)


# -- a killed service


def test_a_killed_drive_wakes_the_guest_fails_visibly_and_comes_back(vm):
    pics = Pics(vm.cpu)
    with placement.service(vm.vm, "ata", vm.pic.line(PRIMARY.irq), disk=IMAGE) as ata:
        driver = AtaDriver(vm.cpu)
        driver.listen(pics)
        driver.write(1, b"a" * 512)
        ata.kill()
        with vm.trace.recording() as events, pytest.raises(AtaError) as caught:
            driver.write(2, b"b" * 512)
        assert (caught.value.status, caught.value.error) == (0x61, 0x04)
        assert "device failed" in [event.kind for event in events]
        with pytest.raises(AtaError):
            driver.read(1)
        ata.restart()
        assert driver.read(1) == b"a" * 512
        driver.write(2, b"b" * 512)
        assert driver.read(2) == b"b" * 512


class Saboteur:
    """Kills the service of `ata` at its request number `at`, before it is sent or behind it."""

    def __init__(self, ata, at, behind):
        self.ata, self.left, self.behind = ata, at, behind
        self.ask = ata.process.ask
        ata.process.ask = self

    def __call__(self, request):
        self.left -= 1
        if self.left == 0 and not self.behind:
            self.ata.kill()
        reply = self.ask(request)
        if self.left == 0 and self.behind:
            self.ata.kill()
        return reply


def write_or_fail(driver, sector, data):
    """Whether the disk acknowledged the write."""
    try:
        driver.write(sector, data)
    except AtaError:
        return False
    return True


def test_whenever_it_is_killed_every_acknowledged_write_is_there(vm):
    """Kill -9 at seeded places in a stream of writes. A write that was not acknowledged is retried.

    One sector takes 263 requests; each place lies anywhere in three of them.
    """
    rng = random.Random(7)
    expected = {n: IMAGE[n * 512 :][:512] for n in range(64)}
    with placement.service(vm.vm, "ata", vm.pic.line(PRIMARY.irq), disk=IMAGE) as ata:
        driver = AtaDriver(vm.cpu)
        driver.mute()
        for kill in range(5):
            Saboteur(ata, rng.randint(1, 600), behind=bool(kill % 2))
            failures = 0
            while not failures:
                sector, data = rng.randrange(64), rng.randbytes(512)
                if write_or_fail(driver, sector, data):
                    expected[sector] = data
                else:
                    failures += 1
                    ata.restart()
                    driver.reset()
                    driver.mute()
                    found = {n: ata.disk.disk.read(n) for n in range(64)}
                    assert found | {sector: b""} == expected | {sector: b""}
                    assert write_or_fail(driver, sector, data)
                    expected[sector] = data
        assert {n: ata.disk.disk.read(n) for n in range(64)} == expected
        assert driver.read(sector) == expected[sector]


def test_nothing_is_left_behind(vm):
    gc.collect()
    before = open_files()
    ata = placement.service(vm.vm, "ata", disk=IMAGE)
    pids = [ata.process.pid]
    ata.kill()
    ata.check()
    ata.restart()
    pids.append(ata.process.pid)
    ata.close()
    ata.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    del ata
    gc.collect()
    assert open_files() == before


# -- wiring


def test_what_was_there_steps_aside_and_comes_back(vm):
    maps, controller = (list(vm.vm.ports.mappings), list(vm.vm.memory.mappings)), vm.pic
    with placement.inside(vm.vm, "pic+uart") as placed, placement.inside(vm.vm, "edu"):
        assert vm.vm.vmm.controller is placed.chip
        assert vm.vm.ports.find(0x3F8).device is placed.devices[3]
        assert vm.vm.ports.find(0x21).device is placed.devices[0]
    assert (vm.vm.ports.mappings, vm.vm.memory.mappings) == maps
    assert vm.vm.vmm.controller is controller
    placed.close()
    assert vm.vm.ports.mappings == maps[0]


def test_the_controller_stays_when_another_device_goes(vm):
    with placement.inside(vm.vm, "edu") as edu, placement.inside(vm.vm, "pic") as pic:
        edu.close()
        assert vm.vm.vmm.controller is pic.chip
        edu.close()
    assert vm.vm.vmm.controller is vm.pic
    pic.close()
    assert vm.vm.vmm.controller is vm.pic


def test_what_was_placed_last_is_closed_first(vm):
    maps = list(vm.vm.ports.mappings)
    below, above = placement.inside(vm.vm, "uart"), placement.inside(vm.vm, "uart")
    with pytest.raises(ValueError, match="uart: what was placed over it must be closed first"):
        below.close()
    above.close()
    assert vm.vm.ports.find(0x3F8).device is below.devices[0]
    below.close()
    assert vm.vm.ports.mappings == maps


def test_a_part_of_what_was_there_makes_all_of_it_step_aside(vm):
    spaces = placement.Part("port", 0x3F0, 16, 1, "wide")
    before = list(vm.vm.ports.mappings)
    wired = placement.Wired(vm.vm, [spaces], [object()])
    assert vm.vm.ports.find(0x3F8).name == vm.vm.ports.find(0x3F6).name == "wide"
    wired.undo()
    assert vm.vm.ports.mappings == before


def test_a_device_inside_tells_its_line_and_its_dma(vm):
    pics = Pics(vm.cpu)
    pics.unmask(10)
    with placement.inside(vm.vm, "edu", vm.pic.line(10)), vm.trace.recording() as events:
        EduDriver(vm.cpu, EDU).to_device(0x1000, 16, interrupt=True)
        pics.eoi(10)
    told = [event for event in events if event.kind in ("irq", "dma read")]
    assert [(event.kind, event.who, event.size) for event in told] == [
        ("dma read", "edu", 16),
        ("irq", "edu", 0),
    ]


@pytest.mark.parametrize("home", HOMES)
def test_a_device_that_goes_lets_its_line_go(vm, home):
    line = IrqLine("edu")
    with HOMES[home](vm.vm, "edu", line):
        EduDriver(vm.cpu, EDU).raise_interrupt()
        assert line.level
    assert not line.level


def test_a_device_without_a_terminal_prints_nothing(vm):
    with placement.inside(vm.vm, "edu") as edu:
        edu.type("x")
        assert edu.printed == ""


@pytest.mark.parametrize("place", HOMES.values())
def test_what_cannot_be_placed_is_said(vm, place):
    with pytest.raises(ValueError, match="these can: uart, ata"):
        place(vm.vm, "floppy")
    with pytest.raises(ValueError, match="'ata' needs a disk"):
        place(vm.vm, "ata")


def test_dma_of_a_service_needs_memory_that_can_be_shared():
    vm, _, _ = vm_on(Host())
    with pytest.raises(ValueError, match=r"call share\(board\) before"):
        placement.service(vm, "edu")


def test_shared_memory_is_the_boards_and_its_vms_live_in_it():
    host = Host()
    memory = placement.share(host, 64 * PAGE)
    assert isinstance(memory, SharedMemory)
    vm, _, _ = vm_on(host)
    vm.cpu.write(0x100, b"here")
    assert memory.read(vm.ram.hpa(0x100), 4) == b"here"
    assert host.frames.memory is memory
    assert host.frames.left < 64 - 8
    with pytest.raises(ValueError, match="overlaps"):
        placement.share(host, 64 * PAGE)
