"""The lesson server in use: its kernel has booted, and virtual machines run on it.

    host = lesson_server(vfs=7)              the board, powered on (`server_board`)
    kernel = boot(host)                      enumerated; ACS on; VT-d found, interrupts remapped
    (vf, *_) = kernel.start_net(2)           the host's network driver, and two VFs
    guest = lesson_guest(host, "A")          a VM with PCI buses of its own, and nothing on them

    host RAM   1 MiB  [ VT-d tables: 4 MiB ][ host's network driver ][ kernel.room ]
               8 MiB  [ frames: the RAM and the tables of VMs ............................ ] 128 MiB

The idea: a kernel does a few things once, before anybody wants a device. It finds all functions,
makes room for virtual ones, lets no switch pass requests around the unit, and tells the unit where
its tables are. After that a device is given away by two entries of two tables.

The rule that keeps it simple: `boot` does not enable translation, as lesson 19 does that by hand.
`vmm.passthrough` enables it with the first device that it gives away.

Source: Linux does the same in `drivers/pci/` and `drivers/iommu/`; the parts cite their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from virtlab.backends import Terminal
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.cpu import Cpu
from virtlab.devices.lapic import BASE as LAPIC
from virtlab.devices.lapic import ApicBus, Lapic
from virtlab.devices.uart import Uart16550
from virtlab.guest.apic import LocalApic
from virtlab.guest.pci import EcamAccess, Found, open_ecam
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import Sriov, SriovFailed, SriovScan, place_of
from virtlab.guest.room import Room
from virtlab.guest.sriov_net import PHYSICAL_FEATURES, PortDriver, may_enable
from virtlab.guest.uart import COM1
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.vtd import VtdDriver
from virtlab.interrupts import IrqLine, Msi
from virtlab.memory import PAGE
from virtlab.pci.chipset import HostBridge
from virtlab.pci.function import Function
from virtlab.pci.root import RootComplex
from virtlab.pci.tlp import source_id
from virtlab.server_board import KERNEL, KERNEL_BYTES, Server
from virtlab.virtio.sriov_net import CONTROL_BAR
from virtlab.vmm.virtual_machine import VirtualMachine

TABLES_BYTES, NET_BYTES = 4 << 20, 1 << 20
"""What the kernel has for the unit's tables, and for its own network driver."""

VM_RAM = 1 << 20
"""Bytes of RAM of a VM, from gpa 0."""


@dataclass
class Kernel:
    """What the host's kernel has found and started.

    `access` is ECAM; `functions` are those of bus 0, each with what is below it; `sriov` and
    `ports` are for the network card; `vtd` drives the unit; `room` is RAM that nobody uses yet.
    `net` is the driver of the physical function and `virtual` are the VFs, after `start_net`.
    """

    cpu: Cpu
    access: EcamAccess
    functions: list[Found]
    sriov: Sriov
    vtd: VtdDriver
    ports: PortDriver
    net_room: Room
    room: Room
    net: NetDriver | None = None
    virtual: list[Found] = field(default_factory=list)

    def walk(self) -> Iterator[Found]:
        """Every function that was found, and the VFs."""
        for top in self.functions:
            yield from top.walk()
        yield from self.virtual

    def find(self, function: Function) -> Found:
        """What the kernel knows of a function of the board. `LookupError` if it is not there."""
        place = place_of(function.source_id)
        for found in self.walk():
            if found.place == place and function.bus is not None:
                return found
        raise LookupError(f"the kernel has found no {function.name}")

    def start_net(self, count: int | None = None) -> list[Found]:
        """Start the host's own driver of the network card, then make `count` VFs, or all.

        The driver's memory is a domain of its own, with the addresses that it has anyway.
        """
        physical, room = self.sriov.found, self.net_room
        domain = self.vtd.new_domain()
        self.vtd.map(domain, room.gpa, room.gpa, room.length)
        self.vtd.attach(source_id(*physical.place), domain)
        transport = ModernPci(self.cpu, self.access, physical)
        understood = RING_FEATURES | PHYSICAL_FEATURES
        self.net = NetDriver(self.cpu, transport, room, understood=understood)
        self.net.start()
        if not may_enable(self.net.virtio):
            raise SriovFailed("the card did not accept SR_IOV")
        self.virtual = self.sriov.enable(self.sriov.total if count is None else count)
        return self.virtual


def boot(host: Server) -> Kernel:
    """What a kernel does once, from ECAM to remapped interrupts. Translation is not enabled yet."""
    cpu, room = host.cpu, Room(KERNEL, KERNEL_BYTES)
    LocalApic(cpu).enable()
    access = open_ecam(cpu, ECAM)
    scan = SriovScan(access)
    functions = enumerate_pci(cpu, access, scan=scan)
    enable_acs_everywhere(access, functions)
    tables = Room(room.take(TABLES_BYTES, PAGE), TABLES_BYTES)
    vtd = VtdDriver.find(cpu, tables)
    vtd.start()
    vtd.remap_interrupts()
    (sriov,) = scan.physical
    ports = PortDriver(cpu, sriov.found.bar(CONTROL_BAR))
    net_room = Room(room.take(NET_BYTES, PAGE), NET_BYTES)
    return Kernel(cpu, access, functions, sriov, vtd, ports, net_room, room)


class ServerVm:
    """A virtual machine on `host`: RAM, a local APIC, a UART, and PCI buses with a host bridge.

    `root` is its virtual root complex. `vm` is what a VMM has, `cpu` what the guest has. Messages
    of virtual functions go to `lapic`, whose page traps.
    """

    def __init__(self, host: Server, name: str = "vm", ram: int = VM_RAM) -> None:
        self.host, self.name = host, name
        self.vm = vm = VirtualMachine(host, host.frames, ram, name=name)
        self.lapic = Lapic(0, host.clock)
        self.apics = ApicBus([self.lapic], host.trace)
        self.terminal = Terminal()
        self.uart = Uart16550(IrqLine(f"{name}, uart"), self.terminal, host.clock)
        self.root = RootComplex(host.trace, lambda source: vm.ram, self._message)
        self.root.bus.plug(HostBridge(self.root), 0)
        self.root.connect(vm.ports, vm.memory, PORT_WINDOWS, MEMORY_WINDOWS)
        vm.ports.map(COM1, 8, self.uart, "uart")
        vm.memory.map(LAPIC, PAGE, self.lapic, "lapic", width=4)
        vm.vmm.controller = self.lapic
        self.cpu = vm.cpu

    def _message(self, source: int, msi: Msi) -> None:
        """Of a virtual function. There is one processor, and no unit in between."""
        self.apics.message(msi)

    @property
    def exits(self) -> int:
        """How often the guest has exited to the VMM."""
        return self.vm.vmm.exits.total()


def lesson_server(vfs: int = 7) -> Server:
    """The server of the lessons, powered on. Its network card has `vfs` virtual functions."""
    return Server(vfs)


def lesson_guest(host: Server, name: str = "vm") -> ServerVm:
    """A virtual machine on `host`, powered on."""
    return ServerVm(host, name)
