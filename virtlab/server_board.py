"""The board of the lesson server: PCI Express, VT-d, a local APIC, and cards to give away.

    port      what                            memory                  what
    0x3F8     UART, 8 ports                   0x0000_0000  640 KiB    RAM
    0xCF8     PCI configuration, 8 ports      0x000F_0000   64 KiB    ROM
    0x1000    PCI ports, 60 KiB               0x0010_0000  127 MiB    RAM
                                              0xC000_0000  992 MiB    PCI memory
    00:00.0  host bridge                      0xFEC0_0000    4 KiB    I/O APIC
    00:01.0  root port 1                      0xFED9_0000    4 KiB    VT-d unit
      01:00.0  switch, upstream               0xFEE0_0000    4 KiB    local APIC
        02:00.0  switch, port 0               0xFFFF_0000   64 KiB    the ROM again
          03:00.0  edu                        0x8_0000_0000 32 GiB    PCI memory above 4 GiB
        02:01.0  switch, port 1
          04:00.0  edu, second
    00:02.0  root port 2
      05:00.0  e1000
    00:03.0  root port 3
      06:00.0  net, and its VFs: 06:00.1 ...

The idea: everything that a device sends up meets the VT-d unit. Its requests become addresses of
memory there, and its messages become interrupts of the local APIC. `Server` only wires.

The rule that keeps it simple: at power-on nothing is enumerated, remapped or enabled. What a kernel
does about that, and the virtual machines, are in `server`.

Source: as its parts. The e1000 of this board has PCI Express and MSI, as later ones have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from virtlab import acpi
from virtlab.acpi.board import IoApic as IoApicEntry
from virtlab.acpi.remapping import IO_APIC, RemappingUnit, Scope, dmar
from virtlab.backends import Link, Terminal
from virtlab.bus import AddressSpace
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.clock import Clock
from virtlab.devices.e1000 import E1000Function
from virtlab.devices.edu import EduFunction
from virtlab.devices.ioapic import BASE as IOAPIC
from virtlab.devices.ioapic import IoApic
from virtlab.devices.lapic import BASE as LAPIC
from virtlab.devices.lapic import ApicBus, Lapic
from virtlab.devices.uart import Uart16550
from virtlab.firmware import TABLES, rom_with
from virtlab.guest.pci import MAX_BUSES
from virtlab.guest.uart import COM1
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import Msi as Message
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.registers import BASE as VTD
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.bus import DEVICES
from virtlab.pci.capabilities import Msi
from virtlab.pci.chipset import HostBridge
from virtlab.pci.express import RootPort, Switch, make_express
from virtlab.pci.root import RootComplex
from virtlab.pci.tlp import source_id
from virtlab.trace import Trace
from virtlab.virtio.sriov_net import PhysicalNet
from virtlab.vmm.frames import Frames

RAM = ((0, 0xA0000), (0x10_0000, 127 << 20))

KERNEL, KERNEL_BYTES = 0x10_0000, 7 << 20
"""The part of RAM that the host's kernel has for itself."""

VM_FRAMES, VM_FRAME_COUNT = 0x80_0000, 120 << 20 >> 12
"""The part that VMs are made of: 64 of 1 MiB, with their tables, leave nearly half."""

PORT_BITS, MEMORY_BITS = 16, 52
UART_IRQ = 4

IOAPIC_ID, IOAPIC_PLACE = 0, (0xF0, 0x1F, 0)
"""The I/O APIC's number, and the place (bus, device, function) that it has for the VT-d unit."""

IOAPIC_SOURCE = source_id(*IOAPIC_PLACE)
"""The source id that its messages have there."""

FIRST_PIN, PINS = 16, 8
"""The I/O APIC's inputs for PCI pins."""

MSI_AT = 0x50
"""Where the e1000 of this board has MSI."""

MOST_VFS = 63
"""With the physical function that is 64 network functions."""


def input_of(device: int, pin: int) -> int:
    """The I/O APIC's input that `pin` (1 to 4) of a device on bus 00 ends at.

    >>> [input_of(1, pin) for pin in (1, 2, 3, 4)]
    [17, 18, 19, 20]
    """
    return FIRST_PIN + (device + pin - 1) % PINS


def describe() -> acpi.Board:
    """What the ACPI tables say of the server."""
    width = Capabilities().host_width
    bus, device, function = IOAPIC_PLACE
    scope = Scope(IO_APIC, ((device, function),), start_bus=bus, number=IOAPIC_ID)
    return acpi.Board(
        io_apics=(IoApicEntry(IOAPIC_ID, IOAPIC),),
        ecam=(ECAM, 0, MAX_BUSES - 1),
        port_windows=PORT_WINDOWS,
        memory_windows=MEMORY_WINDOWS,
        routes=tuple(
            acpi.Route(device, pin, input_of(device, pin))
            for device in range(DEVICES)
            for pin in (1, 2, 3, 4)
        ),
        msi=True,
        legacy=False,
        more=(dmar(RemappingUnit(VTD, (scope,)), host_width=width),),
    )


@cache
def _tables() -> acpi.Image:
    return acpi.build(describe(), TABLES)


class Server:
    """A board with a VT-d unit, and cards that can be given away; powered on.

    `net` has `vfs` virtual functions, none of them enabled; `cable` is its wire, `e1000_cable` the
    other card's. `frames` is what VMs are made of. `interrupted` is called when a message has come
    out of the unit, before the processor looks for it.
    """

    def __init__(self, vfs: int = 7) -> None:
        if not 1 <= vfs <= MOST_VFS:
            raise ValueError(f"the card of this board has 1 to {MOST_VFS} VFs, not {vfs}")
        self.clock = Clock()
        self.trace = Trace(self.clock)
        self.ram = GuestMemory(RAM)
        self.ports = AddressSpace("port", PORT_BITS, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", MEMORY_BITS, self.trace)
        self.lapic = Lapic(0, self.clock, eoi=lambda vector: self.ioapic.eoi(vector))
        self.apics = ApicBus([self.lapic], self.trace)
        self.interrupted: Callable[[], None] = lambda: None
        self.unit = VtdUnit(self.ram, message=self._message)
        self.ioapic = IoApic(lambda msi: self.unit.remap(IOAPIC_SOURCE, msi), IOAPIC_ID)
        self.root = RootComplex(self.trace, self.unit.dma_for, self.unit.remap, self._intx)
        self.terminal = Terminal()
        self.uart = Uart16550(self.ioapic.lines[UART_IRQ], self.terminal, self.clock)
        self.rom = rom_with(_tables())
        self._plug(vfs)
        self._map()
        self.cpu = BareCpu(self.ports, self.memory, self.clock, self.lapic)
        self.frames = Frames(self.ram, VM_FRAMES, VM_FRAME_COUNT)

    def _message(self, msi: Message) -> None:
        """What comes out of the unit."""
        self.apics.message(msi)
        self.interrupted()

    def _intx(self, device: int, pin: int, level: bool) -> None:
        self.ioapic.lines[input_of(device, pin)].set(level)

    def _plug(self, vfs: int) -> None:
        """The cards, each behind a port of its own."""
        self.edu, self.edu2 = EduFunction(self.clock), EduFunction(self.clock, "edu, second")
        self.cable, self.e1000_cable = Link("cable"), Link("e1000 cable")
        self.e1000 = E1000Function(self.clock, self.e1000_cable.a)
        self.e1000.config.add(Msi(bits64=True), MSI_AT)
        self.net = PhysicalNet(self.cable.a, vfs, trace=self.trace)
        self.switch = Switch(2)
        self.root_ports = [RootPort(f"root port {slot}", slot) for slot in (1, 2, 3)]
        self.root.bus.plug(HostBridge(self.root), 0)
        for device, port in enumerate(self.root_ports, 1):
            self.root.bus.plug(port, device)
        first, second, third = self.root_ports
        first.below.plug(self.switch.upstream)
        for way, card in zip(self.switch.downstream, (self.edu, self.edu2), strict=True):
            way.below.plug(make_express(card))
        second.below.plug(make_express(self.e1000))
        third.below.plug(self.net)

    def _map(self) -> None:
        """Let everything answer where the picture above says."""
        self.memory.map_ram(self.ram)
        self.memory.map_ram(self.rom, "rom", writable=False)
        self.ports.map(COM1, 8, self.uart, "uart")
        self.root.connect(self.ports, self.memory, PORT_WINDOWS, MEMORY_WINDOWS)
        self.memory.map(IOAPIC, PAGE, self.ioapic, "ioapic", width=4)
        self.memory.map(VTD, VtdUnit.length, self.unit, "vtd", width=8)
        self.memory.map(LAPIC, PAGE, self.lapic, "lapic", width=4)
