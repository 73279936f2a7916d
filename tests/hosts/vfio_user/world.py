"""Two machines in one test: a function of ours in a thread, and a PC that has it by a socket.

with elsewhere(EduFunction(clock), path, clock):
    machine = Machine(path)              a board of ours, the function in slot 3
    EduDriver(machine.cpu, machine.found.bar(0)).factorial(5)
"""

from __future__ import annotations

import contextlib
import socket
import threading

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.devices.pic import PicPair
from virtlab.guest.pci import PortAccess
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.hosts.python import BareCpu
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.remote import RemoteFunction
from virtlab.hosts.vfio_user.service import Service
from virtlab.hosts.vfio_user.slot import Slot
from virtlab.hosts.vhost_user_ram import FileRam
from virtlab.machine import MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.memory import GuestMemory
from virtlab.pci.chipset import ISA_IRQS, HostBridge, IsaBridge
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.vhost_user.loop import Loop

RAM = [(0, 0xA0000), (0x10_0000, 4 << 20)]
ROOM = 0x10_0000, 1 << 20
SLOT, MESSAGES = 3, 4


def listen(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


class Elsewhere:
    """What is said of `services`, functions of ours that `loop` serves in a thread of the test."""

    def __init__(self):
        self.loop = Loop()
        self.refused, self.ended, self.services = [], [], []

    def add(self, function, path, clock=None):
        slot = Slot(function)
        self.services.append(
            Service(self.loop, listen(path), slot, clock, self.ended.append, self.refused.append)
        )
        return slot

    def do(self, action):
        """Have `action` done in that thread, and wait until it is."""
        done = threading.Event()
        self.loop.call(lambda: (action(), done.set()))
        assert done.wait(30)


@contextlib.contextmanager
def elsewhere(function, path, clock=None):
    """`function` at the socket `path`. Gives an `Elsewhere`."""
    there = Elsewhere()
    there.add(function, path, clock)
    with running(there):
        yield there


@contextlib.contextmanager
def running(there):
    thread = threading.Thread(target=there.loop.run, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.loop.stop()
        thread.join(30)
        for service in there.services:
            service.close()
        there.loop.close()


class Machine:
    """A PC with two 8259As, RAM in a file or not, and the function at `path` in slot 3."""

    def __init__(self, path, shared=True, above=None):
        self.clock, self.trace = Clock(), Trace()
        self.ram = FileRam(RAM) if shared else GuestMemory(RAM)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.memory.map_ram(self.ram)
        self.pic = PicPair()
        for base, chip in ((0x20, self.pic.master), (0xA0, self.pic.slave)):
            self.ports.map(base, 2, chip, "pic")
        self.ports.map(0x4D0, 2, self.pic.elcr, "elcr")
        self.isa = IsaBridge({irq: self.pic.line(irq) for irq in ISA_IRQS})
        self.messages = []
        self.root = RootComplex(
            self.trace,
            lambda source: self.ram,
            self._message,
            self.isa.set_intx,
        )
        self.root.connect(self.ports, self.memory, PORT_WINDOWS, MEMORY_WINDOWS)
        self.root.bus.plug(HostBridge(self.root), 0)
        self.root.bus.plug(self.isa, 0x1F)
        self.client = Client(connect(path))
        self.function = RemoteFunction(self.client, self.ram, self.clock)
        self.root.bus.plug(self.function, SLOT)
        self.cpu = BareCpu(self.ports, self.memory, self.clock, self.pic)
        self.access = PortAccess(self.cpu)
        functions = enumerate_pci(self.cpu)
        self.found = next(each for each in functions if each.place.device == SLOT)

    def _message(self, source, message):
        """A stand-in for an APIC: an interrupt message pulls a line until somebody has it."""
        self.messages.append(message)
        self.pic.line(MESSAGES).set(True)

    def listen(self):
        """Let the function's pin through to the processor."""
        pics = Pics(self.cpu)
        pics.remap()
        pics.unmask(self.found.line)
        pics.unmask(MESSAGES)
        return pics

    def close(self):
        self.function.close()
