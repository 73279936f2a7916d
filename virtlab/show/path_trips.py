"""One request on its whole way: from an application's `write` to the sectors of a physical disk.

    without virtio    application - ATA driver   = exits =>  KVM - controller - disk model - host
    with virtio       application - front-end    = a kick =>  KVM - PCI - back-end - host

The idea: the two ways differ in the guest's driver and in the virtual device that it drives. The
application, the kernel, the VMM, the host's own driver and the physical disk are the same objects.
So the difference of two trips is what virtio changes, and nothing else.

    pio      the words of the data go through a port, one exit each
    dma      the disk model fetches the data; the command goes through ports
    virtio   data and command lie in memory; one access says that they are there

The rule that keeps it simple: a `Trip` is made once, on fresh machines, and read from their trace.

The guest sleeps until its disk interrupts. The virtio disk answers a moment after the kick, as one
that has a medium does, so that there is something to sleep for.
Source: virtio 1.3 3.1.1, 5.2.6. Left out: a page cache, and what a real host's driver does better
than programmed I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from virtlab import machine
from virtlab.backends import SECTOR
from virtlab.backends.disk import Storage
from virtlab.devices.ata.registers import BusMasterRegisters
from virtlab.devices.pic import REGISTERS as PIC_REGISTERS
from virtlab.guest.ata import AtaDriver
from virtlab.guest.blocks import DmaBlocks, PioBlocks
from virtlab.guest.calls import CHUNK
from virtlab.guest.files import Blocks, FlatFiles
from virtlab.guest.kernel import BUFFER, TABLE, VOLUME, Application, Kernel
from virtlab.guest.pci import PortAccess, find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import MASTER, SLAVE, Pics
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.memory import PAGE
from virtlab.registers import Reg
from virtlab.show.naming import Registers
from virtlab.show.path_figures import Column, column
from virtlab.show.path_steps import Places, Spent, Step, steps
from virtlab.trace import Event
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.pci_layouts import IsrStatus
from virtlab.vmm.counted_disk import CountedDisk
from virtlab.vmm.partitioned import PhysicalDisk

Way = Literal["pio", "dma", "virtio"]

WAYS: dict[Way, str] = {"pio": "ATA disk, PIO", "dma": "ATA disk, DMA", "virtio": "virtio disk"}
"""How the guest reaches its disk, in words."""

FILE, FILE_BYTES = b"notes", 8192
IDE, VIRTIO = (0x8086, 0x7010), (0x1AF4, 0x1042)
ROOM = 0x8_0000, 0x1_8000
"""RAM of the guest's kernel for the front-end, rings and buffers: gpa and bytes."""
SLOT = 7
"""Where the virtio card is: its interrupt is then the slave 8259A's, as that of the IDE disk is."""
LATENCY = 50_000
"""Nanoseconds that the virtio disk takes to answer."""


class BusyBlk(VirtioBlk):
    """A block device that answers `LATENCY` ns after it was told."""

    def __init__(self, disk: Storage, vm: machine.PcVm) -> None:
        super().__init__(disk)
        self.clock = vm.clock
        self._due = False

    def handle(self, index: int, queue: Queue) -> None:
        """Look at the queue now if the time has come; else later."""
        if self._due:
            self._due = False
            super().handle(index, queue)
        else:
            self.clock.after(LATENCY, lambda: self._now(index))

    def _now(self, index: int) -> None:
        self._due = True
        self.arrived(index)


class FrontEnd(BlkDriver):
    """The block driver, with an interrupt that it ends at the 8259A. A `Blocks`."""

    def __init__(self, vm: machine.PcVm, transport: ModernPci, pics: Pics) -> None:
        irq = transport.function.line
        assert irq is not None, "a virtio card has an interrupt pin"
        self.pics, self.irq = pics, irq
        understood = BLK_FEATURES | {Feature.VERSION_1}
        super().__init__(
            vm.cpu, transport, Room(*ROOM), understood=understood, size=8, slots=2, interrupts=True
        )
        self.start()
        pics.unmask(self.irq)

    def _acknowledge(self) -> None:
        super()._acknowledge()
        self.pics.eoi(self.irq)


class Rig(NamedTuple):
    """A guest with an application, its disk, and the words for what a trace of it says."""

    board: machine.Pc
    vm: machine.PcVm
    application: Application
    blocks: Blocks
    places: Places
    registers: Registers


@dataclass(frozen=True, slots=True)
class Trip:
    """A trip by `way`: its steps, the events that they were read from, and the bytes on disk."""

    way: Way
    size: int
    steps: tuple[Step, ...]
    events: tuple[Event, ...]
    stored: bytes

    @property
    def spent(self) -> Spent:
        """What all of it has cost."""
        return self.steps[-1].spent

    @property
    def column(self) -> Column:
        """All of it, as a column of a picture."""
        return column(self.way, self.steps)


def rig(way: Way) -> Rig:
    """A fresh board, a VM on it, and in the VM an application above a driver of the `way`."""
    board = machine.lesson_pc()
    vm = machine.lesson_vm(board)
    files = FlatFiles.format(board.disk, VOLUME.start, VOLUME.size)
    files.create(FILE, FILE_BYTES // SECTOR, FILE_BYTES)
    # Below the virtual disk is the host's own driver, whichever way the guest takes.
    disk = CountedDisk(PhysicalDisk(AtaDriver(board.cpu)), board.trace)
    pics = Pics(vm.cpu)
    pics.remap()
    if way == "virtio":
        return _with_virtio(board, vm, disk, pics)
    return _without(board, vm, disk, pics, way)


def _without(board: machine.Pc, vm: machine.PcVm, disk: CountedDisk, pics: Pics, way: Way) -> Rig:
    """The disk behind the VM's virtual IDE controller."""
    drive = vm.cards.ide.drives[0][0]
    drive.disk = drive.medium.disk = disk
    base = find(enumerate_pci(vm.cpu), *IDE).bar(4)
    driver = AtaDriver(vm.cpu, bus_master=base, table=TABLE)
    driver.listen(pics)
    blocks = PioBlocks(driver) if way == "pio" else DmaBlocks(vm.cpu, driver, BUFFER)
    spans = ([(TABLE, PAGE)], [(BUFFER, CHUNK)]) if way == "dma" else ([], [])
    registers = {**machine.PORT_REGISTERS, base: list(BusMasterRegisters.registers)}
    return _finished(board, vm, blocks, Places(vm.vm.ram, *spans), registers)


def _with_virtio(board: machine.Pc, vm: machine.PcVm, disk: CountedDisk, pics: Pics) -> Rig:
    """The disk behind a virtio card."""
    card = VirtioPci(BusyBlk(disk, vm), "modern", trace=board.trace)
    vm.cards.root.bus.plug(card, SLOT)
    found = find(enumerate_pci(vm.cpu), *VIRTIO)
    transport = ModernPci(vm.cpu, PortAccess(vm.cpu), found)
    driver = FrontEnd(vm, transport, pics)
    room, rings = driver.virtio.room, driver.virtio.queues[0].rings
    # The ring was laid out first, and buffers take the rest of the room.
    buffers = [(rings.end, room.gpa + room.taken - rings.end)]
    bell = Reg(0, 2, name="QUEUE_NOTIFY", access="w")
    registers = {
        transport.doorbells.base + transport.bells[0][0]: [bell],
        transport.isr.base: list(IsrStatus.registers),
    }
    places = Places(vm.vm.ram, rings.parts, buffers)
    return _finished(board, vm, driver, places, registers)


def _finished(
    board: machine.Pc, vm: machine.PcVm, blocks: Blocks, places: Places, registers: Registers
) -> Rig:
    kernel = Kernel(vm.cpu, blocks, vm.trace)
    pics = {MASTER: PIC_REGISTERS, SLAVE: PIC_REGISTERS}
    application = Application(vm.cpu, kernel.entry)
    return Rig(board, vm, application, blocks, places, {**pics, **registers})


@cache
def trip(way: Way, size: int = PAGE) -> Trip:
    """Let an application write `size` bytes, and follow them. `ValueError` if it could not."""
    made = rig(way)
    descriptor = made.application.open(FILE)
    data = bytes(at % 251 for at in range(size))
    with made.board.trace.recording() as events:
        done = made.application.write(descriptor, data)
    if done != size:
        raise ValueError(f"the application wrote {done} bytes, not {size}")
    told = tuple(steps(events, made.places, made.registers, size))
    stored = made.board.disk.read(VOLUME.start + 1, size // SECTOR)
    return Trip(way, size, told, tuple(events), stored)
