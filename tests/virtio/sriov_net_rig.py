"""A machine with a network card of virtual functions: our drivers for the PF and for each VF."""

from __future__ import annotations

from tests.pci.rig import Rig
from virtlab.backends import Link
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan, let_master
from virtlab.guest.room import Room
from virtlab.guest.sriov_net import PHYSICAL_FEATURES, PortDriver
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.pci.express import RootPort
from virtlab.virtio.sriov_net import CONTROL_BAR, PhysicalNet

ECAM = 0xB000_0000
ROOM, EACH = 0x10_0000, 0x8_0000
MAC = bytes.fromhex("525400000000")
FAR = bytes.fromhex("020000000099")
BROADCAST = b"\xff" * 6
SMALL = {"slots": 8, "slot": 2048, "size": 16}


def mac(number):
    """The address that port `number` has at first."""
    return MAC[:5] + bytes([number])


def frame(to, source, text=b"hello", tag=None):
    """A frame of 60 bytes, tagged with VLAN `tag` if given."""
    words = b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    return (to + source + words + b"\x88\xb5" + text).ljust(60, b"\0")


class NetRig(Rig):
    """`card` at the end of a link, its `wire` outside; `heard` is what came out of it."""

    def __init__(self, total=3):
        super().__init__(ROOM + (total + 1) * EACH)
        self.cable = Link("wire")
        self.heard = []
        self.cable.b.listener = self.heard.append
        self.card = PhysicalNet(self.cable.a, total, MAC, self.trace)
        self.port = self.bus.plug(RootPort(), 3)
        self.port.below.plug(self.card)
        self.access = open_ecam(self.cpu, ECAM)
        scan = SriovScan(self.access)
        self.functions = enumerate_pci(self.cpu, self.access, scan=scan)
        (self.sriov,) = scan.physical
        self.physical = self.sriov.found
        self.form = PortDriver(self.cpu, self.physical.bar(CONTROL_BAR))
        self.nets = {}

    def driver(self, number, found):
        """Our ordinary network driver on a function, with RAM of its own."""
        transport = ModernPci(self.cpu, self.access, found)
        room = Room(ROOM + number * EACH, EACH)
        understood = RING_FEATURES | PHYSICAL_FEATURES
        net = NetDriver(self.cpu, transport, room, understood=understood, **SMALL)
        net.start()
        self.nets[number] = net
        return net

    def start(self, count=None):
        """The PF's driver, then `count` VFs, each with the same driver in a guest of its own."""
        self.driver(0, self.physical)
        self.virtual = self.sriov.enable(self.sriov.total if count is None else count)
        for number, found in enumerate(self.virtual, 1):
            let_master(self.access, found)
            self.driver(number, found)
        return self

    def receive(self):
        """What each function has received since the last time, by its number; none: left out."""
        got = {number: [each.frame for each in net.receive()] for number, net in self.nets.items()}
        return {number: frames for number, frames in got.items() if frames}
