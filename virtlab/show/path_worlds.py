"""A virtual machine for each way, its driver started, its registers named.

    disk   one image; the IDE controller has it, and so has the virtio block device      00:1f.1
    net    the e1000 on one cable, or the virtio network device on another         00:04.0 00:07.0
    mmio   the same virtio devices in a window of memory, no PCI          0xFEB0_0000, IRQ 11

The idea: both ways end at the same place, a disk or a wire that counts what moves. Nothing else in
the machine is another one.

The rules that keep it simple: the devices' interrupts are all the slave 8259A's, so that to end one
costs the same on every way; slot 7 is there for that. A virtio card is transitional: one function
has both PCI interfaces. `Messages` stands for a local APIC: it keeps which vectors were asked for,
and a processor that virtualizes the end of interrupt does the rest with no exit. Where it does not,
each message costs one exit more.

Sources: virtio 1.3 4.1.4.4, 4.1.4.5, 4.1.4.10, 4.2.2; SDM 3A 11.8.4 (IRR), 11.11 (messages), 3C
30.1.4 (EOI virtualization). Left out: the rest of a local APIC, and priorities among its vectors
and the 8259As'.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab import machine
from virtlab.backends import Link, LinkEnd
from virtlab.cpu import Cpu, Recorder
from virtlab.guest.ata import AtaDriver
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.kernel import count_copy
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import Access, Found, PortAccess, find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_mmio import find as find_mmio
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_transport import Transport
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import MESSAGE_BASE, InterruptController, Msi
from virtlab.show.path_choice import Choice, check
from virtlab.show.path_guests import (
    CardGuest,
    DiskGuest,
    DmaDisk,
    E1000Card,
    PioDisk,
    Sleep,
    VirtioCard,
    VirtioDisk,
    bundle,
)
from virtlab.show.path_names import Names, ata_names, e1000_names, virtio_names
from virtlab.trace import Trace
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.device import VirtioDevice
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.pci_layouts import VENDOR
from virtlab.vmm.counted_disk import CountedDisk

IDE, NIC = (0x8086, 0x7010), (0x8086, 0x100E)
"""Vendor and device of the two emulated functions."""

SLOT, MMIO, MMIO_IRQ = 0x07, 0xFEB0_0000, 11
"""Where a virtio device is: its slot on bus 00, or its window and its interrupt."""

TABLE, BUFFERS, BUFFERS_END = 0x1_0000, 0x2_0000, 0xA_0000
"""Where the drivers have the bus master's table, and rings and buffers (gpa)."""

CONFIG_VECTOR, QUEUE_VECTOR = 0x41, 0x51
"""Vectors that the messages name: for the configuration, and for all queues."""


class Messages:
    """What is asked of the processor: the vectors of messages, and whatever `pics` has.

    An `InterruptController`. A vector that is asked for twice before it comes, comes once (IRR).
    """

    def __init__(self, pics: InterruptController) -> None:
        self.pics = pics
        self.requested: set[int] = set()

    def take(self, source: int, message: Msi) -> None:
        """A device writes to a local APIC: the vector is the low byte of what it writes."""
        self.requested.add(message.data & 0xFF)

    @property
    def pending(self) -> bool:
        """Whether an interrupt waits."""
        return bool(self.requested) or self.pics.pending

    def acknowledge(self) -> int:
        """The highest vector; it waits no more."""
        if not self.requested:
            return self.pics.acknowledge()
        vector = max(self.requested)
        self.requested.remove(vector)
        return vector


class World(NamedTuple):
    """A VM whose guest has its device started, by `cpu`, which remembers every access.

    One of `disk` and `card` is there. `far` is the other end of the card's cable. `names` say which
    term of the closed form an access belongs to.
    """

    vm: machine.PcVm
    cpu: Recorder
    names: Names
    disk: DiskGuest | None = None
    card: CardGuest | None = None
    far: LinkEnd | None = None


def world(choice: Choice) -> World:
    """A fresh one. `ValueError` for a choice that there is not."""
    make = {"pio": _ata, "dma": _ata, "e1000": _e1000}
    vm = machine.lesson_vm()
    cpu = Recorder(vm.cpu)
    pics = Pics(cpu)
    pics.remap()
    return make.get(check(choice).way, _virtio)(choice, vm, cpu, pics)


def _firmware(vm: machine.PcVm) -> list[Found]:
    """The PCI functions, with addresses and interrupts. The guest finds them set up."""
    return enumerate_pci(BareCpu(vm.vm.ports, vm.vm.memory, vm.clock))


# -- emulated


def _ata(choice: Choice, vm: machine.PcVm, cpu: Recorder, pics: Pics) -> World:
    drive = vm.cards.ide.drives[0][0]
    drive.disk = drive.medium.disk = CountedDisk(vm.disk, vm.trace)
    base = find(_firmware(vm), *IDE).bar(4)
    driver = AtaDriver(cpu, bus_master=base, table=TABLE)
    if choice.interrupts:
        driver.listen(pics)
    else:
        driver.mute()
    disk = PioDisk(driver) if choice.way == "pio" else DmaDisk(driver, BUFFERS)
    return World(vm, cpu, ata_names(base), disk=disk)


def _e1000(choice: Choice, vm: machine.PcVm, cpu: Recorder, pics: Pics) -> World:
    _count_frames(vm.cable, vm.trace)
    found = find(_firmware(vm), *NIC)
    base = found.bar(0)
    driver = E1000Driver(cpu, base, BUFFERS)
    if choice.bundled:
        bundle(driver)
    driver.start()
    card = E1000Card(driver, _wire(choice, pics, found.line))
    return World(vm, cpu, e1000_names(base), card=card, far=vm.cable.b)


def _wire(choice: Choice, pics: Pics, irq: int | None) -> Sleep | None:
    return Sleep(pics, irq) if choice.interrupts else None


def _count_frames(link: Link, trace: Trace) -> None:
    """Each frame is one move between a guest's memory and the wire."""
    link.watchers.append(lambda end, frame: count_copy(trace, "wire", len(frame), end.name))


# -- virtio


def _virtio(choice: Choice, vm: machine.PcVm, cpu: Recorder, pics: Pics) -> World:
    link = Link("virtio cable")
    _count_frames(link, vm.trace)
    device: VirtioDevice
    if choice.device == "disk":
        device = VirtioBlk(CountedDisk(vm.disk, vm.trace))
    else:
        device = VirtioNet(link.a)
    plug = _plug_mmio if choice.transport == "mmio" else _plug_pci
    transport, sleep = plug(choice, vm, cpu, pics, device)
    room = Room(BUFFERS, BUFFERS_END - BUFFERS)
    vectors = (0, 1) if choice.msix else None
    if choice.device == "disk":
        understood, slots = _understood(choice) | BLK_FEATURES, choice.batch
        disk = BlkDriver(cpu, transport, room, understood=understood, slots=slots, vectors=vectors)
        disk.start()
        names = virtio_names(transport, range(1))
        return World(vm, cpu, names, disk=VirtioDisk(disk, sleep))
    understood = _understood(choice) | NET_FEATURES
    net = NetDriver(cpu, transport, room, understood=understood, vectors=vectors)
    net.start()
    return World(
        vm, cpu, virtio_names(transport, range(2)), card=VirtioCard(net, sleep), far=link.b
    )


def _understood(choice: Choice) -> Features:
    without = set() if choice.layout == "packed" else {Feature.RING_PACKED}
    return RING_FEATURES - without - (set() if choice.event_idx else {Feature.RING_EVENT_IDX})


def _plug_mmio(
    choice: Choice, vm: machine.PcVm, cpu: Cpu, pics: Pics, device: VirtioDevice
) -> tuple[Transport, Sleep | None]:
    window = VirtioMmio(device, vm.vm.ram, vm.pic.line(MMIO_IRQ), vm.trace)
    vm.vm.memory.map(MMIO, WINDOW, window, "virtio", width=4)
    return find_mmio(cpu, [MMIO], device.device_id), _wire(choice, pics, MMIO_IRQ)


def _plug_pci(
    choice: Choice, vm: machine.PcVm, cpu: Cpu, pics: Pics, device: VirtioDevice
) -> tuple[Transport, Sleep | None]:
    vm.cards.root.bus.plug(VirtioPci(device, "transitional", trace=vm.trace), SLOT)
    access = PortAccess(cpu)
    found = next(each for each in _firmware(vm) if each.vendor == VENDOR)
    sleep = _wire(choice, pics, found.line)
    if choice.msix:
        sleep = _by_messages(vm, cpu, pics, access, found)
    kind = LegacyPci if choice.transport == "pci-legacy" else ModernPci
    return kind(cpu, access, found), sleep


def _by_messages(vm: machine.PcVm, cpu: Cpu, pics: Pics, access: PortAccess, found: Found) -> Sleep:
    """Switch MSI-X on, and let the VMM take what it sends."""
    take_messages(vm)
    set_vectors(cpu, access, found)
    return Sleep(pics, None)


def take_messages(vm: machine.PcVm) -> None:
    """Let the VMM of `vm` take the messages of its cards, beside its 8259As' interrupts."""
    messages = Messages(vm.pic)
    vm.vm.vmm.controller, vm.cards.root.message = messages, messages.take


def set_vectors(cpu: Cpu, access: Access, found: Found) -> None:
    """Switch the card's MSI-X on: message 0 is `CONFIG_VECTOR`, message 1 is `QUEUE_VECTOR`."""
    msix = MsixDriver(cpu, access, found)
    for number, vector in enumerate((CONFIG_VECTOR, QUEUE_VECTOR)):
        msix.set(number, MESSAGE_BASE, vector)
    msix.enable()
