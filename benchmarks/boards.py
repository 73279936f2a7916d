"""A virtio device where a guest finds it: behind virtio-mmio, or behind virtio-pci.

    cpu --- MMIO -------------------- VirtioMmio --- device      dma: the memory itself
    cpu --- root complex --- BAR ---- VirtioPci ---- device      dma: the function's requests

The idea: what a benchmark measures begins behind the transport. The transport decides how the
device reaches memory, and that is what it shows.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import Cpu
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.guest.virtio_mmio import probe
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_transport import Transport as DriverTransport
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.pci.chipset import HostBridge
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.queue_setup import QueueSetup

MMIO, SLOT = 0xFEB0_0000, 3

Board = tuple[Cpu, DriverTransport, list[QueueSetup]]
"""The processor, what the driver sees of the device, and the device's queues."""


def mmio(device: VirtioDevice, memory: GuestMemory) -> Board:
    """`device` behind virtio-mmio."""
    space = AddressSpace("memory", 52)
    space.map_ram(memory)
    card = VirtioMmio(device, memory, IrqLine("virtio", lambda level: None))
    space.map(MMIO, WINDOW, card, "virtio", width=4)
    cpu = BareCpu(AddressSpace("port", 16), space, Clock())
    return cpu, probe(cpu, MMIO), card.core.queues


def pci(device: VirtioDevice, memory: GuestMemory) -> Board:
    """`device` behind virtio-pci, modern, on bus 00."""
    ports, space = AddressSpace("port", 16, max_size=4), AddressSpace("memory", 52)
    space.map_ram(memory)
    root = RootComplex(Trace(), lambda source: memory)
    root.connect(ports, space, ((0x1000, 0xF000),), ((0xC000_0000, 0x3E00_0000),))
    card = VirtioPci(device, "modern", trace=root.trace)
    root.bus.plug(HostBridge(root), 0)
    root.bus.plug(card, SLOT)
    cpu = BareCpu(ports, space, Clock())
    access = PortAccess(cpu)
    functions = Scan(access).run()
    assign(functions, Windows())
    program(access, functions)
    found = next(found for found in functions if found.place.device == SLOT)
    return cpu, ModernPci(cpu, access, found), card.core.queues


BOARDS: dict[str, Callable[[VirtioDevice, GuestMemory], Board]] = {"mmio": mmio, "pci": pci}
