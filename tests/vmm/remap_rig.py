"""A board with two VMs on it: one has the board's edu card and its disks, the other is a bystander.

The same guest can have an emulated card or a mediated one. It cannot tell which, so the emulated
one is the model that the mediated one is held to.
"""

import numpy as np

from virtlab import machine
from virtlab.guest.ata import PRIMARY, AtaDriver
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.memory import PAGE
from virtlab.vmm.frames import Frames
from virtlab.vmm.mediated_edu import MediatedEdu
from virtlab.vmm.mediated_ide import MediatedIde
from virtlab.vmm.pinning import Pins

EDU, IDE = (0x1234, 0x11E8), (0x8086, 0x7010)
TABLES, HOLE = 0xC0_0000, 0xA_0000
POOL, POOL_FRAMES = 0x10_0000, 512
"""The VMs' frames have the same numbers as a part of their guest-physical addresses."""

PIECES = [(start, size) for start, size in machine.VM_RAM]


class Guest:
    """A VM whose guest has found its cards, with its drivers."""

    def __init__(self, pc_vm):
        self.pc = pc_vm
        self.vm, self.cpu = pc_vm.vm, pc_vm.cpu
        cards = enumerate_pci(self.cpu)
        self.slot = find(cards, *EDU)
        self.edu = EduDriver(self.cpu, self.slot.bar(0))
        self.bus_master = find(cards, *IDE).bar(4)
        self.disk = AtaDriver(self.cpu, bus_master=self.bus_master, table=0x9000)
        self.pics = Pics(self.cpu)
        self.pics.remap()
        self.pics.unmask(self.slot.line)

    def memory(self):
        """All of its RAM, as one string of bytes."""
        return b"".join(self.vm.ram.read(start, size) for start, size in PIECES)

    def fill(self, data):
        """The same bytes in every page."""
        for gpa in self.vm.ram.frames:
            self.vm.ram.write(gpa, data)

    def exits(self, act):
        """How many exits `act` takes."""
        before = self.pc.exits
        act()
        return self.pc.exits - before

    def asleep(self, move, *where):
        """A transfer of the edu card, slept for; the exits without those of the EOI."""
        exits = self.exits(lambda: move(*where, interrupt=True))
        self.pics.eoi(self.slot.line)
        return exits


class Rig:
    """The board. `guest` has its cards, `other` is the bystander."""

    def __init__(self, mediated=True, remapper=None, pins=True):
        self.board = machine.lesson_pc()
        self.board.frames = Frames(self.board.ram, POOL, POOL_FRAMES)
        one, two = (machine.lesson_vm(self.board) for _ in range(2))
        enumerate_pci(self.board.cpu)
        self.pins = Pins() if pins else None
        self.clock = self.board.clock
        if mediated:
            shared = {"pins": self.pins, "remapper": remapper}
            self.edu = MediatedEdu(one.vm, one.cards.edu, self.board.cards.edu, **shared)
            ide = self.board.cards.ide
            self.ide = MediatedIde(one.vm, one.cards.ide, ide, TABLES, HOLE, **shared)
        self.other = two
        self.guest = Guest(one)
        card = self.board.cards if mediated else one.cards
        self.card = card.edu.edu
        self.disk = self.board.disk if mediated else one.disk

    def strangers(self):
        """A copy of every frame of the pool that is not the guest's, (frames, PAGE) uint8."""
        pool = self.board.ram.view(POOL, POOL_FRAMES * PAGE).reshape(POOL_FRAMES, PAGE)
        mine = [(frame - POOL) // PAGE for frame in self.guest.vm.ram.frames.values()]
        return np.delete(pool, mine, axis=0)


def apart(ram):
    """A gpa that begins two pages of RAM whose frames are not neighbours."""
    return next(
        gpa for gpa, frame in ram.frames.items() if ram.frames.get(gpa + PAGE) != frame + PAGE
    )


def together(vm):
    """The same for two that are: the frames of some pages are exchanged until it is so."""
    frames = vm.ram.frames
    owner = {frame: gpa for gpa, frame in frames.items()}
    gpa = next(g for g in frames if g + PAGE in frames and frames[g] + PAGE in owner)
    other = owner[frames[gpa] + PAGE]
    frames[gpa + PAGE], frames[other] = frames[other], frames[gpa + PAGE]
    for page in (gpa + PAGE, other):
        vm.tables.map(page, frames[page], PAGE)
    return gpa


def raw_dma(guest, pointer, sectors, inwards, sector=7, channel=PRIMARY):
    """A DMA command with the table that is at `pointer`: BMISTA and STATUS afterwards."""
    out, inp = guest.cpu.out, guest.cpu.inp
    guest.disk.reset()
    out(guest.bus_master, 0)
    out(guest.bus_master + 2, 0x06)
    out(guest.bus_master + 4, pointer, 4)
    way = 8 if inwards else 0
    out(guest.bus_master, way)
    for offset, value in ((6, 0xE0), (2, sectors), (3, sector), (4, 0), (5, 0)):
        out(channel.command + offset, value)
    out(channel.command + 7, 0xC8 if inwards else 0xCA)
    out(guest.bus_master, way | 1)
    state = inp(guest.bus_master + 2), inp(channel.control)
    out(guest.bus_master, way)
    return state
