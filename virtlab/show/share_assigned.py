"""A physical function for each VM, and nobody in between: whole cards (VT-d), or VFs (SR-IOV).

    VM 0: driver --registers, by EPT--> [ function ] --requests, messages--> VT-d unit
                                                                                |
                                     VM 0's domain, iova = gpa  <---------------+
    VM 0 wakes <--VMM <--notification-- VM 0's descriptor  <--------------------+

The idea: `vmm.passthrough` gives each VM a function, with posted interrupts. From then on the VMM
has nothing to do with frames. The registers that the driver meets are the card's own, its buffers
are reached through the VM's domain, and its interrupts end without an exit.

The rule that keeps it simple: the VM's guest enumerates its own bus and starts its driver, as any
kernel would. All of that is before the counting begins.

Source: as `vmm.passthrough`. The first e1000 is the lesson server's. The others are plugged in
beside it, before the host's kernel boots.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.backends import Link
from virtlab.cards import ECAM
from virtlab.cpu import Cpu
from virtlab.devices.e1000 import E1000Function
from virtlab.guest.apic import LocalApic
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import Access, Found, find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.interrupts import MESSAGE_BASE
from virtlab.pci.capabilities import Msi
from virtlab.pci.express import RootPort, make_express
from virtlab.server import ServerVm, boot, lesson_guest, lesson_server
from virtlab.server_board import MSI_AT
from virtlab.show.assign_run import NIC
from virtlab.show.path_guests import E1000Card, Sleep, VirtioCard
from virtlab.show.path_worlds import BUFFERS, QUEUE_VECTOR
from virtlab.show.share_load import Load, served
from virtlab.show.share_mediated import NET, started_net
from virtlab.show.share_station import Station, World, mac_of
from virtlab.vmm.passthrough import Passthrough

LAST_TAKEN = 3
"""The last device number of bus 00 that this board uses, for a root port."""


class ByMessage(Sleep):
    """A guest that a message wakes: HLT, why?, and the end of interrupt at its local APIC."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__(Pics(cpu), None)
        self.apic = LocalApic(cpu)
        self.apic.enable()

    def __call__(self, causes: Callable[[], object]) -> None:
        """Until a message comes. `TimeoutError` if none does."""
        super().__call__(causes)
        causes()
        self.apic.eoi()


class DirectHost:
    """The lesson server, booted, with `cards` e1000s and a network card with `vfs` VFs."""

    def __init__(self, cards: int = 1, vfs: int = 1) -> None:
        self.host = host = lesson_server(vfs)
        self.cards, self.wires = [host.e1000], [host.e1000_cable.b]
        for number in range(1, cards):
            self._plug(number)
        self.kernel = boot(host)
        self.passthrough = Passthrough(host, self.kernel)
        self.guests: list[ServerVm] = []

    def _plug(self, number: int) -> None:
        """One more physical card, behind a root port of its own."""
        slot, wire = LAST_TAKEN + number, Link(f"e1000 cable {number}")
        card = E1000Function(self.host.clock, wire.a, mac_of(number))
        card.config.add(Msi(bits64=True), MSI_AT)
        port = RootPort(f"root port {slot}", slot)
        self.host.root.bus.plug(port, slot)
        port.below.plug(make_express(card))
        self.cards.append(card)
        self.wires.append(wire.b)

    def give(self, found: Found) -> ServerVm:
        """A new VM that has the function `found`, and posted interrupts."""
        guest = lesson_guest(self.host, f"VM {len(self.guests)}")
        self.guests.append(guest)
        self.passthrough.give(found, guest, posted=True)
        return guest

    def world(self, stations: list[Station]) -> World:
        """All of it."""

        def handled() -> int:
            return sum(self.passthrough.host_interrupts(guest) for guest in self.guests)

        return World(stations, self.host.clock, self.host.trace, handled)


def vtd(load: Load) -> World:
    """A whole e1000 for each VM, as far as there are cards."""
    made = DirectHost(cards=served("VT-d", load.vms))
    stations = []
    for function, far in zip(made.cards, made.wires, strict=True):
        guest = made.give(made.kernel.find(function))
        cpu, access, found = _enumerated(guest, NIC)
        sleep = ByMessage(cpu) if load.asleep else None
        if load.asleep:
            MsiDriver(access, found.place).enable(MESSAGE_BASE, QUEUE_VECTOR)
        driver = E1000Driver(cpu, found.bar(0), BUFFERS)
        driver.start()
        stations.append(Station(guest.vm, E1000Card(driver, sleep), driver.address, far))
    return made.world(stations)


def sriov(load: Load) -> World:
    """A virtual function of the network card for each VM, as far as there are any."""
    count = served("SR-IOV", load.vms)
    made = DirectHost(vfs=count)
    stations = []
    for found in made.kernel.start_net(count):
        guest = made.give(found)
        cpu, access, mine = _enumerated(guest, NET)
        sleep = ByMessage(cpu) if load.asleep else None
        net = started_net(cpu, access, mine, load.asleep)
        stations.append(Station(guest.vm, VirtioCard(net, sleep), net.address, made.host.cable.b))
    return made.world(stations)


def _enumerated(guest: ServerVm, identity: tuple[int, int]) -> tuple[Cpu, Access, Found]:
    """The guest finds its buses, gives out addresses, and finds its card."""
    cpu = guest.cpu
    access = open_ecam(cpu, ECAM)
    return cpu, access, find(enumerate_pci(cpu, access), *identity)
