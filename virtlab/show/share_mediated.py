"""One physical card, and the VMM between it and the virtual ones: emulated, or virtio.

    VM 0: card --+                                  +-- copies, and an interrupt a batch
    VM 1: card --+--> the VMM: whose frame is it? --+--> e1000 of the host --> wire
    VM 2: card --+    (shared_nic, or a bridge)

The idea: the VMM has the only card, and a virtual one for each VM. An emulated card is `SharedNic`,
as in lesson 11. For virtio cards there is a `Bridge`, which does the same for them. Both take each
frame from the guest, and give it to the host's driver, which copies it once more.

The rule that keeps it simple: the host's card waits a little before it interrupts (RDTR), so that
frames which come together are one interrupt.

Source: 8254x SDM 13.4.30; virtio 1.3 5.1. Left out: what a VMM does to save a copy, as vhost does
when the card sends from the kernel's own buffer.
"""

from __future__ import annotations

from virtlab import machine
from virtlab.backends import Link, LinkEnd
from virtlab.backends.network import is_group
from virtlab.backends.switch import Switch
from virtlab.cpu import Cpu
from virtlab.devices.e1000.rings import ReceiveRing
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.pci import Access, Found, PortAccess, find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.python import BareCpu
from virtlab.show.assign_run import HOST_BUFFERS, NIC, nic_driver
from virtlab.show.path_guests import E1000Card, Sleep, VirtioCard
from virtlab.show.path_worlds import (
    BUFFERS,
    BUFFERS_END,
    SLOT,
    set_vectors,
    take_messages,
)
from virtlab.show.share_load import Load
from virtlab.show.share_station import Station, World, mac_of
from virtlab.trace import Trace
from virtlab.virtio.features import Feature
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.pci_layouts import MODERN_BASE, VENDOR
from virtlab.virtio.status import DeviceId
from virtlab.vmm.assignment import Kind, Ledger
from virtlab.vmm.interrupt_relay import HostInterrupts
from virtlab.vmm.shared_nic import PhysicalNic, SharedNic

DELAY = 8
"""How long the host's card waits for more frames before it interrupts: units of 1.024 us."""

NET = (VENDOR, MODERN_BASE + DeviceId.NETWORK)
"""Vendor and device of a virtio network card."""

UNDERSTOOD = (RING_FEATURES | NET_FEATURES) - {Feature.RING_PACKED}

MOST = 8
"""VMs that the lesson PC has memory for."""


class Bridge:
    """A switch in the VMM, between cards of VMs and the host's: `uplink` is its way out."""

    def __init__(self, uplink: PhysicalNic, ports: int, trace: Trace) -> None:
        self.switch, self.trace = Switch(1 + ports), trace
        out = self.switch.ports[0]

        def leave(frame: bytes) -> None:
            uplink.send(frame)

        def come(frame: bytes) -> None:
            out.send(frame)

        out.listener, uplink.listener = leave, come

    def plug(self, number: int, name: str, end: LinkEnd, mac: bytes) -> None:
        """Let VM `number`, from 0, take part: `end` is the free end of its card's cable.

        It gets what is for its address `mac`, or for a group.
        """
        port = self.switch.ports[1 + number]
        self.switch.learn(mac, 1 + number)

        def sent(frame: bytes) -> None:
            self._copied(name, frame, "guest memory to the VMM")
            port.send(frame)

        def arrived(frame: bytes) -> None:
            if frame[: len(mac)] == mac or is_group(frame):
                self._copied(name, frame, "the VMM to guest memory")
                end.send(frame)

        end.listener, port.listener = sent, arrived

    def _copied(self, name: str, frame: bytes, note: str) -> None:
        self.trace.emit("copy", name, size=len(frame), note=note)


class Host:
    """The lesson PC, whose card the VMM drives; `interrupts` and `nic` are in its hands."""

    def __init__(self) -> None:
        self.pc = machine.lesson_pc()
        self.interrupts = HostInterrupts(self.pc)
        driver, irq = nic_driver(self.pc, HOST_BUFFERS, 64)
        self.nic = PhysicalNic(driver, irq, self.interrupts, self.pc.trace)
        driver.put(ReceiveRing.RDTR, DELAY)

    def world(self, stations: list[Station]) -> World:
        """All of it."""
        pc, counts = self.pc, self.interrupts.counts
        return World(stations, pc.clock, pc.trace, lambda: counts["interrupts"])


def emulated(load: Load) -> World:
    """An e1000 for each VM, all of them one `SharedNic`."""
    host = Host()
    pc = host.pc
    name = "network card"
    shared = SharedNic(host.nic, pc.clock, pc.trace, Ledger({name: [Kind.SHARED]}), name=name)
    stations = []
    for number in range(load.vms):
        guest = machine.lesson_vm(pc, name=f"VM {number}")
        shared.give(guest, guest.cards.e1000.e1000, guest.cable.b, mac_of(number))
        found = find(enumerate_pci(_firmware(guest)), *NIC)
        pics = Pics(guest.cpu)
        pics.remap()
        driver = E1000Driver(guest.cpu, found.bar(0), BUFFERS)
        driver.start()
        card = E1000Card(driver, Sleep(pics, found.line) if load.asleep else None)
        stations.append(Station(guest.vm, card, mac_of(number), pc.cable.b))
    return host.world(stations)


def virtio(load: Load) -> World:
    """A virtio card for each VM, behind a `Bridge`. Its messages go to the VM's processor."""
    host = Host()
    bridge = Bridge(host.nic, load.vms, host.pc.trace)
    stations = []
    for number in range(load.vms):
        guest = machine.lesson_vm(host.pc, name=f"VM {number}")
        link = Link(f"cable {number}")
        bridge.plug(number, guest.vm.name, link.b, mac_of(number))
        device = VirtioNet(link.a, mac_of(number))
        guest.cards.root.bus.plug(VirtioPci(device, trace=guest.vm.trace), SLOT)
        card = _virtio_card(guest, load.asleep)
        stations.append(Station(guest.vm, card, mac_of(number), host.pc.cable.b))
    return host.world(stations)


def _virtio_card(guest: machine.PcVm, asleep: bool) -> VirtioCard:
    """Start its driver; what wakes the guest is a message."""
    found = find(enumerate_pci(_firmware(guest)), *NET)
    if asleep:
        take_messages(guest)
    net = started_net(guest.cpu, PortAccess(guest.cpu), found, asleep)
    return VirtioCard(net, Sleep(Pics(guest.cpu), None) if asleep else None)


def started_net(cpu: Cpu, access: Access, found: Found, asleep: bool) -> NetDriver:
    """The ordinary network driver, started; with MSI-X for a guest that sleeps."""
    if asleep:
        set_vectors(cpu, access, found)
    net = NetDriver(
        cpu,
        ModernPci(cpu, access, found),
        Room(BUFFERS, BUFFERS_END - BUFFERS),
        understood=UNDERSTOOD,
        vectors=(0, 1) if asleep else None,
    )
    net.start()
    return net


def _firmware(guest: machine.PcVm) -> BareCpu:
    """A processor for which nothing exits: what sets the VM up before its guest runs."""
    return BareCpu(guest.vm.ports, guest.vm.memory, guest.vm.clock)
