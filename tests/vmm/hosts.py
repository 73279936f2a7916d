"""A host with virtual machines, and the kinds of device on it, for tests that give them away."""

from dataclasses import dataclass, field

from virtlab import machine
from virtlab.guest.ata import AtaDriver
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.vmm.assignment import Kind, Ledger
from virtlab.vmm.dedicated import Dedicated
from virtlab.vmm.interrupt_relay import HostInterrupts
from virtlab.vmm.partitioned import PartitionedDisk, PhysicalDisk
from virtlab.vmm.physical import keyboard_and_mouse, serial_port, text_display
from virtlab.vmm.shared_nic import PhysicalNic, SharedNic

DEVICES = {
    "keyboard": (Kind.DEDICATED,),
    "uart": (Kind.DEDICATED,),
    "display": (Kind.DEDICATED,),
    "disk": (Kind.DEDICATED, Kind.PARTITIONED),
    "network card": (Kind.DEDICATED, Kind.SHARED),
}

E1000 = (0x8086, 0x100E)
MACS = [bytes((2, 0, 0, 0, 0, number)) for number in range(1, 9)]
STRANGER = bytes.fromhex("0a0000000009")


def frame(target, source, words, length=60):
    """A frame of our own protocol number."""
    return (target + source + b"\x88\xb5" + words).ljust(length, b"\0")


def nic_of(cpu, memory, descriptors=8):
    """A driver for the card that `cpu` finds: the driver, and its interrupt."""
    slot = find(enumerate_pci(cpu), *E1000)
    return E1000Driver(cpu, slot.bar(0), memory, descriptors), slot.line


@dataclass
class Hotel:
    """A board, `count` VMs on it, and who has what."""

    count: int = 2
    host: machine.Pc = field(default_factory=machine.lesson_pc)

    def __post_init__(self):
        names = "ABCDEFGH"[: self.count]
        self.guests = [machine.lesson_vm(self.host, name=name) for name in names]
        self.interrupts = HostInterrupts(self.host)
        self.ledger = Ledger(DEVICES)

    def dedicated(self, device):
        return Dedicated(device, self.host, self.interrupts, self.ledger)

    def keyboard(self):
        return self.dedicated(keyboard_and_mouse(self.host.i8042, self.host.cpu))

    def uart(self):
        return self.dedicated(serial_port(self.host.uart))

    def display(self):
        return self.dedicated(text_display(self.host.screen, machine.TEXT_SCREEN))

    def disk(self):
        """The board's disk, by the VMM's driver."""
        disk = PhysicalDisk(AtaDriver(self.host.cpu))
        return PartitionedDisk(disk, self.host.trace, self.ledger)

    def nic(self, **options):
        """The board's card, by the VMM's driver; every VM has a port, and a driver of its own."""
        driver, irq = nic_of(self.host.cpu, 0x20_0000)
        card = PhysicalNic(driver, irq, self.interrupts, self.host.trace)
        return self.share(card, **options)

    def share(self, uplink, **options):
        """Share a way out among all VMs."""
        shared = SharedNic(uplink, self.host.clock, self.host.trace, self.ledger, **options)
        for guest, mac in zip(self.guests, MACS, strict=False):
            shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, mac)
        return shared


def pics_of(guest):
    """The guest's interrupt controllers, set up."""
    pics = Pics(guest.cpu)
    pics.remap()
    return pics
