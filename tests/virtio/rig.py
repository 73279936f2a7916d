"""A machine with one virtio device: any device, behind any transport, driven by the guest's driver.

`WORLDS` names what every device test runs through: a transport, the memory behind it, and a layout.

    "mmio"              the guest's memory is one array, and the device has it as it is
    "mmio, remapped"    it lies in frames of a host's memory, scattered; the device's requests are
                        translated, and the frames in between must stay as they are

The legacy interfaces know split queues only.
"""

from __future__ import annotations

from tests.virtio.scattered import Scattered
from virtlab.bus import AddressSpace, Ram
from virtlab.clock import Clock
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, program
from virtlab.guest.virtio_device import RING_FEATURES, Room, VirtioDriver
from virtlab.guest.virtio_mmio import probe
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.pci.chipset import HostBridge
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio import VirtioMmio, VirtioMmioLegacy
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.pci import PCI_FEATURES, VirtioPci
from virtlab.virtio.session import RING_FEATURES as OFFERED
from virtlab.virtio.status import Status
from virtlab.vmm.dma_remap import SoftwareRemapper

RAM, ROOM, DATA = 4 << 20, 0x100000, 0x40000
"""Bytes of memory; where the driver has its own, and where a test may put buffers."""

MMIO = 0xFEB0_0000
SLOT = 3

LEGACY = ("mmio-legacy", "pci-legacy", "pci-transitional-legacy")
MODERN = ("mmio", "pci", "pci-transitional", "pci-window")
RINGS = ("split", "packed")
REMAPPED = ", remapped"
MEMORIES = ("", REMAPPED)
MODERN_WORLDS = [(bus + memory, ring) for memory in MEMORIES for bus in MODERN for ring in RINGS]
WORLDS = MODERN_WORLDS + [(bus + memory, "split") for memory in MEMORIES for bus in LEGACY]

ALL_STEPS = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK | Status.DRIVER_OK


class Rig:
    """`device` behind `transport`, its `core`, and what a guest has to reach it.

    `ring` is what the device offers of queue features, by default all. `guest` is a `VirtioDriver`.
    """

    def __init__(self, device, transport="mmio", ring=None, vectors=0):
        self.device = device
        self.kind, self.remapped = transport.removesuffix(REMAPPED), transport.endswith(REMAPPED)
        self.trace = Trace()
        self.ram = Scattered(RAM) if self.remapped else GuestMemory(RAM)
        self.dma = SoftwareRemapper(self.ram) if self.remapped else self.ram
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.memory.map(0, RAM, Ram(self.ram, 0), "ram", 8)
        self.cpu = BareCpu(self.ports, self.memory, Clock())
        self.messages = []
        self.pins = []
        build = self._mmio if self.kind.startswith("mmio") else self._pci
        self.transport = build(ring, vectors)
        self.guest = VirtioDriver(self.cpu, self.transport, Room(ROOM, RAM - ROOM))

    @property
    def legacy(self):
        return self.kind in LEGACY

    # -- building it

    def _mmio(self, ring, vectors):
        kind = VirtioMmioLegacy if self.legacy else VirtioMmio
        self.irq = IrqLine("virtio", self.pins.append)
        self.card = kind(self.device, self.dma, self.irq, self.trace, ring or OFFERED)
        self.core = self.card.core
        self.memory.map(MMIO, WINDOW, self.card, "virtio", width=4)
        return probe(self.cpu, MMIO)

    def _pci(self, ring, vectors):
        interface = {"pci-legacy": "legacy", "pci": "modern", "pci-window": "modern"}
        self.card = VirtioPci(
            self.device,
            interface.get(self.kind, "transitional"),
            vectors,
            self.trace,
            ring or PCI_FEATURES,
        )
        self.core, self.irq = self.card.core, self.card.irq
        root = RootComplex(
            self.trace,
            lambda source: self.dma,
            lambda source, message: self.messages.append(message),
            lambda device, pin, level: self.pins.append(level),
        )
        root.connect(self.ports, self.memory, ((0x1000, 0xF000),), ((0xC000_0000, 0x3E00_0000),))
        root.bus.plug(HostBridge(root), 0)
        root.bus.plug(self.card, SLOT)
        self.access = PortAccess(self.cpu)
        functions = Scan(self.access).run()
        assign(functions, Windows())
        program(self.access, functions)
        self.found = next(found for found in functions if found.place.device == SLOT)
        self.pins.clear()
        if self.legacy:
            return LegacyPci(self.cpu, self.access, self.found)
        return ModernPci(self.cpu, self.access, self.found, window=self.kind == "pci-window")

    # -- driving it

    def start(self, layout="split", understood=(), without=(), size=None, entries=0, queues=1):
        """All eight steps; gives the driver's end of queue 0."""
        features = (RING_FEATURES | set(understood)) - set(without)
        if layout == "split":
            features -= {Feature.RING_PACKED}
        self.guest.begin()
        self.guest.negotiate(features)
        for index in range(queues):
            self.guest.add_queue(index, None if self.legacy else size, entries)
        self.guest.ready()
        return self.guest.queues[0]

    @property
    def status(self):
        return self.core.status

    @property
    def broken(self):
        """The clause that the guest broke, or None."""
        return bool(self.core.status & Status.DEVICE_NEEDS_RESET)

    @property
    def contained(self):
        """Whether no byte outside the guest's memory has changed."""
        return not self.remapped or self.ram.contained

    def notes(self, kind):
        """What the trace says about events of `kind`. Switch it on first."""
        return [event.note for event in self.trace.events if event.kind == kind]
