"""Two hosts at one multi-root switch, and one network card whose functions they share.

    host A --- root port --- hierarchy 1 --+
                                           +== one link == net 0, net 1, net 2 --- one wire
    host B --- root port --- hierarchy 2 --+

The idea: the hosts know nothing of each other. Each has a root complex, RAM from address 0, and the
firmware and driver that it would have alone. Only the card is shared: its functions have one
embedded switch and one wire.

The rule that keeps it simple: a host has nothing but PCI. What is plugged in or pulled out it sees
when it scans again.

Source: as `virtlab.pci.mriov`, which says what is public about MR-IOV.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.backends import Link
from virtlab.bus import AddressSpace
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.clock import Clock
from virtlab.guest.pci import Found, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.room import Room
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.python import BareCpu
from virtlab.interrupts import Msi
from virtlab.memory import GuestMemory
from virtlab.pci.chipset import HostBridge
from virtlab.pci.express import RootPort, make_express
from virtlab.pci.function import Function
from virtlab.pci.mriov import MultiRootSwitch, SharedDevice
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.embedded_switch import EmbeddedSwitch
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci import VirtioPci

NAMES = ("A", "B")
"""The hosts; hierarchy 1 is that of the first."""

RAM, ROOM = 4 << 20, 0x10_0000
"""Bytes of RAM of each host, and where its network driver has its rings and buffers."""

ENDPOINTS = 3
"""Functions of the card."""

MACS = [bytes((2, 0, 0, 0, 2, number)) for number in range(ENDPOINTS + 1)]
"""Addresses of the switch's ports: port 0 is for a physical function, which nobody has here."""


class Host:
    """A board with a root complex, a root port, RAM and a processor. `messages` came to its root.

    `found` is what its last `scan` has found, by place.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.trace = Trace(clock)
        self.ram = GuestMemory(RAM)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.memory.map_ram(self.ram)
        self.messages: list[tuple[int, Msi]] = []
        self.root = RootComplex(self.trace, lambda source: self.ram, self._message)
        self.root.connect(self.ports, self.memory, PORT_WINDOWS, MEMORY_WINDOWS)
        self.port = RootPort(f"root port of {name}")
        self.root.bus.plug(HostBridge(self.root), 0)
        self.root.bus.plug(self.port, 1)
        self.cpu = BareCpu(self.ports, self.memory, clock)
        self.access = open_ecam(self.cpu, ECAM)
        self.found: list[Found] = []

    def _message(self, source: int, message: Msi) -> None:
        self.messages.append((source, message))

    def scan(self) -> list[Found]:
        """Find everything anew, and give it addresses."""
        tops = enumerate_pci(self.cpu, self.access)
        self.found = sorted((each for top in tops for each in top.walk()), key=lambda f: f.place)
        return self.found

    def start_net(self) -> NetDriver:
        """Start the driver of the card at the end of the link. `LookupError` if none is there."""
        found = self.found[-1] if self.found else None
        if found is None or found.is_bridge:
            raise LookupError(f"host {self.name} has found no card")
        net = NetDriver(self.cpu, ModernPci(self.cpu, self.access, found), Room(ROOM, RAM - ROOM))
        net.start()
        return net


class TwoHosts:
    """Hosts A and B at one switch, and a network card whose functions `device` gives away.

    `hosts` are by name. The card's functions share one wire, `cable`, and one embedded switch.
    """

    def __init__(self) -> None:
        clock = Clock()
        self.switch = MultiRootSwitch(len(NAMES))
        self.hosts = {name: Host(name, clock) for name in NAMES}
        for number, host in enumerate(self.hosts.values(), 1):
            self.switch.connect(number, host.port.below)
        self.cable = Link("wire")
        self.inside = EmbeddedSwitch(self.cable.a, MACS)
        self.functions = [
            make_express(VirtioPci(VirtioNet(end, mac), name=f"net {number}"))
            for number, (end, mac) in enumerate(zip(self.inside.ends[1:], MACS[1:], strict=True))
        ]
        self.device = SharedDevice(self.switch, self.functions)
        for number, function in enumerate(self.functions, 1):
            self.inside.ports[number].present = _is_there(function)

    def give(self, endpoint: int, name: str) -> None:
        """Give function `endpoint` of the card to host `name`, from whoever has it."""
        if self.device.owners[endpoint] is not None:
            self.device.withdraw(endpoint)
        self.device.assign(endpoint, NAMES.index(name) + 1)

    def owner(self, endpoint: int) -> str:
        """The host that has it; empty if nobody has."""
        number = self.device.owners[endpoint]
        return "" if number is None else NAMES[number - 1]


def two_hosts() -> TwoHosts:
    """Both hosts have a function of the card, and have enumerated; the third is nobody's."""
    two = TwoHosts()
    for endpoint, name in enumerate(NAMES):
        two.give(endpoint, name)
        two.hosts[name].scan()
    return two


def _is_there(function: Function) -> Callable[[], bool]:
    return lambda: function.bus is not None
