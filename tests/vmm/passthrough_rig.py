"""A server with VMs, and their ordinary drivers on whatever functions they were given."""

from __future__ import annotations

import numpy as np

from virtlab import server
from virtlab.cards import ECAM
from virtlab.guest.apic import LocalApic
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.msix import MsixDriver
from virtlab.guest.pci import find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.interrupts import Interrupt
from virtlab.memory import PAGE
from virtlab.vmm.passthrough import Passthrough
from virtlab.vmm.walk import ADDRESS, INDEX, LARGE

EDU, E1000, NET = (0x1234, 0x11E8), (0x8086, 0x100E), (0x1AF4, 0x1041)

EDU_VECTOR, E1000_VECTOR, NET_VECTOR = 0x41, 0x42, 0x50
"""Vectors of the guest. The network card has one for its configuration and, next to it, one for
its queues."""

RINGS, CARD = 0x8_0000, 0x2_0000
"""Where a guest has the memory of its drivers, from there on half of its RAM."""

BROADCAST = b"\xff" * 6


def frame(to, source, text=b"hello"):
    """A frame of 60 bytes."""
    return (to + source + b"\x88\xb5" + text).ljust(60, b"\0")


def leaves(tables):
    """Every page that the EPT maps: `(gpa, hpa, bytes)`, read from its own memory."""

    def below(table, level, base):
        words = tables.memory.view(table, PAGE).view("<u8")
        for index in np.flatnonzero(words).tolist():
            entry = int(words[index])
            gpa = base | index << INDEX[level].lo
            if level == 1 or entry & LARGE.mask:
                yield gpa, entry & ADDRESS.mask, 1 << INDEX[level].lo
            else:
                yield from below(entry & ADDRESS.mask, level - 1, gpa)

    return list(below(tables.root, 4, 0))


class Vm:
    """A VM of the server, and its kernel: everything on its buses is found by `boot`."""

    def __init__(self, host, name):
        self.made = server.lesson_guest(host, name)
        self.vm, self.cpu, self.lapic = self.made.vm, self.made.cpu, self.made.lapic
        self.apic = LocalApic(self.cpu)

    @property
    def exits(self):
        return self.made.exits

    def boot(self):
        """What firmware does at power-on. Gives itself."""
        self.apic.enable()
        self.access = open_ecam(self.cpu, ECAM)
        self.functions = enumerate_pci(self.cpu, self.access)
        return self

    def find(self, identity):
        return find(self.functions, *identity)

    def edu(self, messages=False):
        found = self.find(EDU)
        if messages:
            MsiDriver(self.access, found.place).enable(*Interrupt(EDU_VECTOR).message())
        return EduDriver(self.cpu, found.bar(0))

    def e1000(self, messages=False):
        found = self.find(E1000)
        driver = E1000Driver(self.cpu, found.bar(0), CARD, descriptors=32)
        driver.start()
        if messages:
            MsiDriver(self.access, found.place).enable(*Interrupt(E1000_VECTOR).message())
            driver.unmask("RXT0")
        return driver

    def net(self):
        """Our ordinary network driver, on a function that it takes for any virtio-net card."""
        found = self.find(NET)
        msix = MsixDriver(self.cpu, self.access, found)
        for vector in (0, 1):
            msix.set(vector, *Interrupt(NET_VECTOR + vector).message())
        msix.enable()
        transport = ModernPci(self.cpu, self.access, found)
        room = Room(RINGS, RINGS)
        driver = NetDriver(self.cpu, transport, room, slots=64, size=256, vectors=(0, 1))
        driver.start()
        return driver

    def end_all(self):
        """Serve and end everything that is pending; the vectors, in that order."""
        served = []
        while (vector := self.cpu.wait(1)) is not None:
            served.append(vector)
            self.apic.eoi()
        return served


class Rig:
    """The server, booted, with `vfs` VFs; `give` gives functions away."""

    def __init__(self, vfs=3):
        self.host = server.lesson_server(vfs)
        self.kernel = server.boot(self.host)
        self.virtual = self.kernel.start_net()
        self.passthrough = Passthrough(self.host, self.kernel)

    def vm(self, name):
        return Vm(self.host, name)

    def found(self, card):
        """A card of the board, or a VF by its number from 1, as the kernel found it."""
        return self.virtual[card - 1] if isinstance(card, int) else self.kernel.find(card)

    def give(self, card, vm, posted=False):
        return self.passthrough.give(self.found(card), vm.made, posted=posted)

    def withdraw(self, card):
        self.passthrough.withdraw(self.found(card))

    def faults(self):
        return self.kernel.vtd.faults.read()
