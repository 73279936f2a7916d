"""One machine with a remapping unit, two edus and a virtio disk: ours, and QEMU's.

    processor --> [ unit ] <-- edu 00:05.0    one write or one read at any iova: the prober
                           <-- disk 00:06.0   a virtio-blk with ACCESS_PLATFORM
                           <-- edu 00:07.0    another prober

Both are driven by the same driver, and asked the same things. `heard` are the interrupts that came
out of the unit.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager

import pytest

from tests.needs import require
from tests.oracles.shared_ram import SharedRam, backend
from virtlab.backends import Disk
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.edu import BUFFER, EduFunction, EduRegisters
from virtlab.devices.ioapic import BASE as IO_APIC
from virtlab.devices.ioapic import IoApic
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import PortAccess, Scan
from virtlab.guest.pci_resources import Windows, assign, enumerate_pci, program
from virtlab.guest.room import Room
from virtlab.guest.uart import COM1
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_transport import poll
from virtlab.guest.vtd import VtdDriver
from virtlab.hosts.python import BareCpu
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.registers import BASE
from virtlab.iommu.vtd import VtdUnit
from virtlab.memory import PAGE, GuestMemory
from virtlab.pci.chipset import HostBridge
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import SECTOR
from virtlab.virtio.features import Feature
from virtlab.virtio.pci import PCI_FEATURES, VirtioPci
from virtlab.virtio.session import PLATFORM

MIB = 1 << 20
RAM = 64 * MIB
EDU, DISK, EDU2, IO_APIC_SOURCE = 0x0028, 0x0030, 0x0038, 0xFF00
"""Source ids. QEMU's DMAR table says that of the I/O APIC."""

PIN = 4
"""An input of the I/O APIC: a PC's first UART is there."""

TABLES = (2 * MIB, 4 * MIB)
"""Where the driver of the unit has its tables: gpa and bytes."""

FRAMES = 16 * MIB
"""Memory for tests, up to the end."""

IMAGE = random.Random(7).randbytes(2048 * SECTOR)
EDU_MSI = 0x40


class World:
    """A machine; `cpu` drives it. `found` are its functions, `edus` the drivers of two of them."""

    unit = None

    def __init__(self, cpu, functions):
        self.cpu = cpu
        self.access = PortAccess(cpu)
        self.found = {each.place.device << 3: each for each in functions}
        self.edus = {source: EduDriver(cpu, self.found[source].bar(0)) for source in (EDU, EDU2)}
        self._ways = 0
        self._vector = 0x30

    def driver(self, queued=True, width=46):
        """A driver of the unit, started, not enabled."""
        vtd = VtdDriver(self.cpu, BASE, Room(*TABLES), width)
        vtd.start(queued)
        vtd.faults.read()
        self.heard()
        return vtd

    def vector(self):
        """A vector that no test had before: QEMU's processor never takes one."""
        self._vector += 1
        return self._vector

    # -- the prober

    def send(self, message, source=EDU):
        """An edu writes a message: 4 bytes anywhere."""
        place, put = self.found[source].place, self.access.write
        put(place, EDU_MSI + 4, 4, message.address & 0xFFFF_FFFF)
        put(place, EDU_MSI + 8, 4, message.address >> 32)
        put(place, EDU_MSI + 12, 2, message.data)
        put(place, EDU_MSI + 2, 2, 1)
        self.edus[source].raise_interrupt()
        self.edus[source].put(EduRegisters.ACKNOWLEDGE, 1)

    def write(self, iova, value=0x4321, source=EDU):
        """An edu writes 4 bytes at `iova`: 16 bits of value, zero above."""
        self.send(Msi(iova, value), source)

    def read(self, iova, length=4):
        """The edu reads into its buffer. It takes 100 ms of QEMU's time."""
        edu = self.edus[EDU]
        edu.put(EduRegisters.DMA_SOURCE, iova)
        edu.put(EduRegisters.DMA_DESTINATION, BUFFER)
        edu.put(EduRegisters.DMA_COUNT, length)
        edu.put(EduRegisters.DMA_COMMAND, 1)
        assert poll(self.cpu, lambda: not edu.get(EduRegisters.DMA_COMMAND) & 1)

    def reaches(self, iova, gpa, source=EDU):
        """Whether a write at `iova` arrives at `gpa`."""
        self._ways = self._ways % 0xFFF + 1
        before = self.cpu.load(gpa, 4)
        self.write(iova, self._ways, source)
        after = self.cpu.load(gpa, 4)
        self.cpu.store(gpa, before, 4)
        return after == self._ways

    # -- the disk

    def disk(self, cpu, room, **options):
        """A driver for it, started. `cpu` and `room` are those of the mapping."""
        options.setdefault("understood", RING_FEATURES | BLK_FEATURES | {Feature.ACCESS_PLATFORM})
        transport = ModernPci(cpu, self.access, self.found[DISK])
        disk = BlkDriver(cpu, transport, room, **options)
        disk.start()
        return disk


class Ours(World):
    """Our board: a root complex behind our unit."""

    name = "ours"

    def __init__(self, capabilities=None, image=IMAGE):
        self.trace, self.messages = Trace(), []
        self.ram = GuestMemory(RAM)
        self.unit = VtdUnit(self.ram, capabilities, self.messages.append)
        ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        memory = AddressSpace("memory", 52, self.trace)
        memory.map_ram(self.ram)
        memory.map(BASE, VtdUnit.length, self.unit, "vtd", width=8)
        self.ioapic = IoApic(lambda message: self.unit.remap(IO_APIC_SOURCE, message))
        memory.map(IO_APIC, IoApic.length, self.ioapic, "ioapic", width=4)
        root = RootComplex(self.trace, self.unit.dma_for, self.unit.remap)
        root.connect(ports, memory, ((0x1000, 0xF000),), ((0xC000_0000, 0x3E00_0000),))
        clock = Clock()
        root.bus.plug(HostBridge(root), 0)
        root.bus.plug(EduFunction(clock), 5)
        root.bus.plug(EduFunction(clock), 7)
        self.backing = Disk.of(image)
        card = VirtioPci(VirtioBlk(self.backing), "modern", 2, self.trace, PCI_FEATURES | PLATFORM)
        root.bus.plug(card, 6)
        cpu = BareCpu(ports, memory, clock)
        access = PortAccess(cpu)
        functions = Scan(access).run()
        assign(functions, Windows())
        program(access, functions)
        super().__init__(cpu, functions)

    def heard(self):
        """Vectors and processors of the interrupts since the last time."""
        heard = [Interrupt.of(message) for message in self.messages]
        self.messages.clear()
        return [(each.vector, each.destination) for each in heard]

    def pulse(self):
        """One edge at the input."""
        self.ioapic.lines[PIN].pulse()

    def content(self):
        """What the disk holds."""
        return self.backing.read(0, len(IMAGE) // SECTOR)


class Qemus(World):
    """QEMU's q35 with intel-iommu."""

    name = "qemu"

    def __init__(self, machine, cpu, image):
        self.machine, self.image = machine, image
        self._seen = set()
        super().__init__(cpu, enumerate_pci(cpu))

    def heard(self):
        """The vectors that its one processor has got since the last time. Each is heard once."""
        lines = self.machine.qmp("human-monitor-command", **{"command-line": "info lapic 0"})
        pending = re.search(r"IRR\s(.*)", lines).group(1)
        vectors = {int(word) for word in re.findall(r"\d+", pending)}
        new, self._seen = vectors - self._seen, vectors
        return [(vector, 0) for vector in sorted(new)]

    def pulse(self):
        """The UART's "transmitter empty", let through (OUT2), and taken back."""
        self.cpu.out(COM1 + 4, 0x08)
        self.cpu.out(COM1 + 1, 0x02)
        self.cpu.out(COM1 + 1, 0x00)

    def content(self):
        """What the disk holds."""
        return self.image.read_bytes()


@contextmanager
def world_of(name, folder, unit="", capabilities=None):
    """`"ours"` with these capabilities, or `"qemu"` with these options for the unit."""
    if name == "ours":
        yield Ours(capabilities)
        return
    require("QEMU")
    image, ram = folder / "disk.img", folder / "ram"
    image.write_bytes(IMAGE)
    words = [*backend(ram, RAM // MIB)]
    words += ["-device", f"intel-iommu,intremap=on{unit}"]
    words += ["-device", "edu,addr=5,dma_mask=0xffffffffffffffff", "-device", "edu,addr=7"]
    words += ["-drive", f"file={image},format=raw,if=none,id=disk"]
    words += ["-device", "virtio-blk-pci,addr=6,drive=disk,disable-legacy=on,iommu_platform=on"]
    with QtestMachine("q35,memory-backend=ram", words) as machine:
        yield Qemus(machine, SharedRam(machine, ram), image)


FOUR = Capabilities(levels=(3, 4), guest_width=48, device_tlb=False, snoop=False)
THREE = FOUR._replace(levels=(3,), guest_width=39)
CACHING = FOUR._replace(caching_mode=True)

UNITS = {
    "3 levels": (",aw-bits=39", THREE),
    "4 levels": (",aw-bits=48", FOUR),
    "caching mode": (",aw-bits=48,caching-mode=on", CACHING),
}
"""QEMU's options for a unit, and ours that can do the same."""

WORLDS = ("ours", "qemu")


def each_world():
    """Both, for a fixture. Only one of them needs QEMU."""
    return [pytest.param(each, marks=[pytest.mark.oracle] * (each == "qemu")) for each in WORLDS]


def world_fixture(unit):
    """The fixture `world` of a module: one machine of each kind, its unit that of `UNITS`."""

    @pytest.fixture(scope="module", params=each_world(), name="world")
    def world(request, tmp_path_factory):
        options, capabilities = UNITS[unit]
        with world_of(request.param, tmp_path_factory.mktemp("vtd"), options, capabilities) as made:
            yield made

    return world


def mapped(world, iova):
    """A unit at work, with `domain` of the prober, and one page mapped at `iova`."""
    vtd = world.driver()
    vtd.domain = vtd.new_domain()
    vtd.attach(EDU, vtd.domain)
    vtd.map(vtd.domain, iova, FRAMES, PAGE)
    vtd.enable()
    return vtd
