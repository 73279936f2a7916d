"""The lesson server: where everything is, what a kernel finds on it, and its virtual machines."""

import random

import pytest

from virtlab import server, server_board
from virtlab.acpi.remapping import IO_APIC
from virtlab.clock import SECOND
from virtlab.devices.edu import EduFunction, EduRegisters
from virtlab.errors import DmaFault
from virtlab.firmware import ROM
from virtlab.guest.acpi import AcpiTables
from virtlab.guest.apic import IoApicDriver, LocalApic
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import PortAccess, Scan, open_ecam
from virtlab.guest.pci_express import find_extended
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovFailed
from virtlab.guest.uart import UartDriver
from virtlab.guest.virtio_net import NET_FEATURES
from virtlab.guest.vtd_find import find_units
from virtlab.interrupts import Interrupt
from virtlab.iommu.registers import BASE
from virtlab.memory import PAGE
from virtlab.pci.acs import groups
from virtlab.pci.extended import Acs
from virtlab.wire import all_ones

BROADCAST = b"\xff" * 6


@pytest.fixture
def host():
    return server.lesson_server(vfs=3)


@pytest.fixture
def kernel(host):
    return server.boot(host)


def test_the_map_in_the_docstring_is_the_map(host):
    starts = {mapping.base for mapping in (*host.ports.mappings, *host.memory.mappings)}
    told = {
        int(word.replace("_", ""), 16)
        for line in server_board.__doc__.splitlines()
        for word in line.split()
        if word.startswith("0x")
    }
    assert told == starts


def test_the_cards_are_where_the_docstring_says(host, kernel):
    told = dict(
        line.split(maxsplit=2)[:2]
        for line in server_board.__doc__.splitlines()
        if line.strip()[2:3] == ":"
    )
    assert list(told) == [str(found.place) for found in kernel.walk()]
    assert [str(f)[:7] for f in (host.edu, host.edu2, host.e1000, host.net)] == [
        "03:00.0",
        "04:00.0",
        "05:00.0",
        "06:00.0",
    ]


def test_at_power_on_nothing_is_enumerated_or_remapped(host):
    assert host.edu.bus.number == 0
    assert not host.unit.translation.enabled
    assert not host.unit.interrupts.enabled
    assert host.cpu.read(ROM, 11) == b"virtlab ROM"
    host.cpu.store(ROM, 0)
    assert host.cpu.read(ROM, 11) == b"virtlab ROM"


@pytest.mark.parametrize("vfs", [0, 64])
def test_the_card_has_1_to_63_vfs(vfs):
    with pytest.raises(ValueError, match="1 to 63"):
        server.lesson_server(vfs)


def test_acpi_names_the_unit_and_the_ioapic_behind_it(host):
    (unit,) = find_units(host.cpu)
    assert unit.base == BASE
    assert unit.all_others
    assert [(scope.kind, scope.source_id) for scope in unit.scopes] == [(IO_APIC, 0xF0F8)]


def test_acpi_promises_no_chip_that_is_not_there(host):
    """No 8042, no 8259A, no HPET; messages are supported (ACPI 6.4, 5.2.9.3, 5.2.12)."""
    tables = AcpiTables(host.cpu)
    assert tables.find("FACP").values["iapc_boot_arch"] & 0b1010 == 0
    assert tables.find("APIC").values["flags"] == 0
    with pytest.raises(LookupError):
        tables.find("HPET")


def test_the_kernel_switches_acs_on_everywhere(host, kernel):
    ports = [found for found in kernel.walk() if find_extended(kernel.access, found.place, Acs)]
    assert len(ports) == 5
    alone = [group for group in groups(host.root.bus) if len(group) == 1]
    for card in (host.edu, host.edu2, host.e1000, host.net):
        assert [card] in alone


def test_interrupts_are_remapped_and_requests_not_yet(host, kernel):
    assert host.unit.interrupts.enabled
    assert not kernel.vtd.enabled


def test_the_host_drives_its_cards_and_is_interrupted_by_a_remapped_message(host, kernel):
    found = kernel.find(host.edu)
    driver = EduDriver(host.cpu, found.bar(0))
    assert driver.factorial(5) == 120
    said = kernel.vtd.interrupts.route(host.edu.source_id, Interrupt(0x51))
    MsiDriver(kernel.access, found.place).enable(*said)
    assert driver.factorial(6, interrupt=True) == 720
    assert LocalApic(host.cpu).serving() == [0x51]


def test_the_ioapic_brings_a_pin_through_the_unit(host, kernel):
    entry = kernel.vtd.interrupts.entry(server_board.IOAPIC_SOURCE, Interrupt(0x61, level=True))
    index = kernel.vtd.interrupts.take()
    kernel.vtd.interrupts.put(index, entry)
    pin = server_board.input_of(1, 1)  # edu is device 0 of each bus on its way up
    IoApicDriver(host.cpu).route_remapped(pin, index, 0x61, level=True)
    driver = EduDriver(host.cpu, kernel.find(host.edu).bar(0))
    driver.raise_interrupt()
    assert host.cpu.wait(1) == 0x61
    driver.put(EduRegisters.ACKNOWLEDGE, all_ones(4))
    LocalApic(host.cpu).eoi()
    assert host.cpu.wait(1) is None


def test_the_e1000_sends_on_its_cable(host, kernel):
    heard = []
    host.e1000_cable.b.listener = heard.append
    driver = E1000Driver(host.cpu, kernel.find(host.e1000).bar(0), kernel.room.take(1 << 20))
    driver.start()
    frame = BROADCAST + driver.address + b"\x88\xb5" + bytes(46)
    driver.send(frame)
    assert heard == [frame]


def test_the_uart_prints(host):
    UartDriver.at_ports(host.cpu).write(b"login:")
    assert host.terminal.text == "login:"


def test_start_net_makes_vfs_and_the_host_can_still_send(host, kernel):
    heard = []
    host.cable.b.listener = heard.append
    virtual = kernel.start_net(2)
    assert [str(found.place) for found in virtual] == ["06:00.1", "06:00.2"]
    assert kernel.find(host.net.virtual[1]) is virtual[1]
    kernel.vtd.enable()
    frame = BROADCAST + kernel.net.address + b"\x88\xb5" + bytes(46)
    kernel.net.send(frame)
    assert heard == [frame]
    assert kernel.vtd.faults.read() == []


def test_a_card_that_does_not_accept_sr_iov_makes_no_vfs(host, kernel, monkeypatch):
    """virtio 1.3 6.1: the driver of the PF must have negotiated it before."""
    monkeypatch.setattr(server, "PHYSICAL_FEATURES", NET_FEATURES)
    with pytest.raises(SriovFailed, match="did not accept SR_IOV"):
        kernel.start_net()
    assert host.net.virtuals.present == 0


def test_63_vfs_have_room(host):
    big = server.lesson_server(63)
    virtual = server.boot(big).start_net()
    assert len(virtual) == 63
    assert len({found.bars[0].address for found in virtual}) == 63


def test_what_the_kernel_has_not_found_is_a_lookup_error(host, kernel):
    with pytest.raises(LookupError, match="VF 1"):
        kernel.find(host.net.virtual[0])


# -- virtual machines


def test_64_vms_fit_and_share_no_frame():
    host = server.lesson_server()
    guests = [server.lesson_guest(host, f"vm {n}") for n in range(64)]
    frames = [frame for guest in guests for frame in guest.vm.ram.frames.values()]
    assert len(set(frames)) == len(frames) == 64 * server.VM_RAM // PAGE
    assert host.frames.left > 8192


def test_a_vm_has_a_bus_with_a_host_bridge_and_nothing_else(host):
    guest = server.lesson_guest(host, "A")
    (bridge,) = Scan(PortAccess(guest.cpu)).run()
    assert bridge.class_code >> 8 == 0x0600
    access = open_ecam(guest.cpu, 0xB000_0000)
    assert access.read(bridge.place, 0, 2) == 0x8086
    assert guest.exits > 0


def test_a_vm_waits_on_its_own_local_apic(host):
    one, two = (server.lesson_guest(host, name) for name in "AB")
    for guest in (one, two):
        LocalApic(guest.cpu).enable()
    LocalApic(one.cpu).send(0x41, destination=0)
    assert one.cpu.wait(1) == 0x41
    assert two.cpu.wait(1) is None
    LocalApic(two.cpu).start_timer(0x42, 1000)
    assert two.cpu.wait(SECOND) == 0x42


def test_a_virtual_function_of_the_vm_interrupts_it(host):
    guest = server.lesson_guest(host, "A")
    card = guest.root.bus.plug(EduFunction(host.clock), 1)
    LocalApic(guest.cpu).enable()
    access = open_ecam(guest.cpu, 0xB000_0000)
    (_, found) = enumerate_pci(guest.cpu, access)
    MsiDriver(access, found.place).enable(*Interrupt(0x44).message())
    EduDriver(guest.cpu, found.bar(0)).raise_interrupt()
    assert guest.cpu.wait(1) == 0x44
    assert card.irq.level


def test_a_vm_prints_on_its_own_terminal(host):
    guest = server.lesson_guest(host, "A")
    UartDriver.at_ports(guest.cpu).write(b"hi")
    assert guest.terminal.text == "hi"
    assert host.terminal.text == ""


@pytest.mark.parametrize("world", ["host", "guest"])
def test_no_sequence_of_accesses_raises(world):
    rng = random.Random(7)
    host = server.lesson_server(vfs=1)
    cpu = host.cpu if world == "host" else server.lesson_guest(host).cpu
    spaces = (*host.ports.mappings, *host.memory.mappings)
    for _ in range(4000):
        verb = rng.choice(["inp", "out", "load", "store"])
        mapping = rng.choice(spaces)
        offset = rng.choice([rng.randrange(0x40), rng.randrange(mapping.length), -2])
        size, value = rng.choice([1, 2, 4, 8, 3]), rng.getrandbits(rng.choice([8, 32, 64]))
        if verb in ("inp", "load"):
            assert 0 <= getattr(cpu, verb)(mapping.base + offset, size) <= all_ones(8)
        else:
            getattr(cpu, verb)(mapping.base + offset, value, size)
    cpu.wait(1000)


def test_a_device_that_is_in_no_domain_reaches_nothing_once_translation_is_on(host, kernel):
    kernel.vtd.enable()
    with pytest.raises(DmaFault):
        host.edu.dma.read(0x1000, 4)
    (fault,) = kernel.vtd.faults.read()
    assert fault.source_id == host.edu.source_id
