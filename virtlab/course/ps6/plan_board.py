"""The boards of task 6 of problem set 6: one root or two, with everything that can share a group.

    Shape                       what is plugged in, as tuples
    Boards(shape)               the machines, scanned, VFs on, ACS as told
    boards.functions()          what the student gets: a list of `Function`
    boards.groups()             what the library makes of the same tree

The idea: no tree on paper. The functions are those of a PCI tree of the library, found by its scan;
whether each isolates is what `pci.acs` says of it. So a plan can be carried out on the same tree.

The rules that keep it simple: each thing of a shape has a name, and that is its function's. Root
ports send everything up. A switch isolates if all its ports do: through one that does not, a card
reaches whatever is behind the others. `pci.acs.groups` asks the ports alone, as Linux long did.

Source: PCI Express 3.0, 6.12 (ACS); SR-IOV 1.1, 2.1; `pci.mriov` for what two roots share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from virtlab.bus import AddressSpace
from virtlab.cards import ECAM, MEMORY_WINDOWS, PORT_WINDOWS
from virtlab.clock import Clock
from virtlab.guest.pci import open_ecam
from virtlab.guest.pci_acs import enable_acs
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan, let_master, place_of
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.pci import acs, function
from virtlab.pci.bridge import Bridge
from virtlab.pci.bus import Bus
from virtlab.pci.chipset import HostBridge
from virtlab.pci.express import (
    DownstreamPort,
    PciePciBridge,
    RootPort,
    Switch,
    UpstreamPort,
    make_express,
)
from virtlab.pci.mriov import MultiRootSwitch, SharedDevice
from virtlab.pci.root import RootComplex
from virtlab.pci.sriov_functions import make_physical
from virtlab.registers import Reg, RegisterFile
from virtlab.trace import Trace
from virtlab.wire import all_ones

RAM = 1 << 21


class Thing(NamedTuple):
    """A card of `functions` functions, or a network card with `vfs` VFs; or what has some below it.

    `kind`: "card", "host" (the host needs it), "nic", "switch", or "bus" behind a bridge to
    conventional PCI. `acs`: the port of a switch above it sends requests up.
    """

    kind: str
    name: str
    below: tuple[Thing, ...] = ()
    functions: int = 1
    vfs: int = 0
    acs: bool = True


class Shape(NamedTuple):
    """What hangs from the root ports of root A and of root B, and from a switch that both share."""

    a: tuple[Thing, ...]
    b: tuple[Thing, ...] = ()
    shared: tuple[Thing, ...] = ()


class Function(NamedTuple):
    """A function as the student gets it. `above` is the bridge or port that it is behind.

    `roots` are the letters of the roots that it can belong to. `pf` is the name of a VF's PF.
    """

    name: str
    kind: str
    above: str
    device: str
    isolates: bool
    roots: str
    pf: str


class Scratch(RegisterFile):
    """A register that keeps what is written, so that it shows who reached it."""

    length = 0x1000
    WORD = Reg(0x00, 4, rw=all_ones(4))


class Part(function.Function):
    """A function with one register behind BAR 0."""

    def __init__(self, name: str) -> None:
        super().__init__(function.Identity(0x1AF4, 0x10F6, 0xFF0000), name=name)
        self.scratch = Scratch()
        self.memory_bar(0, self.scratch, 0x1000)


class Host:
    """One root: memory, a processor, and what is plugged in. `kinds` has the kind of each name."""

    def __init__(self, letter: str, things: Sequence[Thing]) -> None:
        self.letter = letter
        self.kinds: dict[str, str] = {}
        self.open: list[Bridge] = []  # ports that let peers talk
        self.ram = GuestMemory(RAM)
        ports = AddressSpace("port", 16, max_size=4)
        self.memory = AddressSpace("memory", 52)
        self.memory.map_ram(self.ram)
        self.root = RootComplex(Trace(), lambda source: self.ram)
        self.root.connect(ports, self.memory, PORT_WINDOWS, MEMORY_WINDOWS)
        self.bus = self.root.bus
        self.bus.plug(HostBridge(self.root), 0)
        self.cpu = BareCpu(ports, self.memory, Clock())
        for thing in things:
            self.below_port(self.new_port(), thing)

    def new_port(self) -> RootPort:
        """One more root port."""
        number = len(self.bus.functions)
        port = RootPort(f"{self.letter}.port{number}", slot=number)
        self.bus.plug(port, number)
        return port

    def below_port(self, port: RootPort | DownstreamPort, thing: Thing) -> None:
        """Plug something in at the end of a port's link."""
        if not thing.acs and isinstance(port, DownstreamPort):
            self.open.append(port)
        self._plug(port.below, thing)

    def _plug(self, link: Bus, thing: Thing) -> None:
        if thing.kind == "switch":
            switch = Switch(len(thing.below), thing.name)
            link.plug(switch.upstream)
            for port, each in zip(switch.downstream, thing.below, strict=True):
                self.below_port(port, each)
        elif thing.kind == "bus":
            bridge = PciePciBridge(thing.name)
            link.plug(bridge)
            for device, each in enumerate(thing.below, 1):
                self._card(bridge.below, each, device)
        elif thing.kind == "nic":
            link.plug(self.nic(thing))
        else:
            self._card(link, thing)

    def _card(self, bus: Bus, thing: Thing, device: int = 0) -> None:
        """All functions of one device."""
        names = [thing.name] if thing.functions == 1 else _numbered(thing)
        for number, name in enumerate(names):
            part = Part(name)
            bus.plug(make_express(part) if bus.kind == "link" else part, device, number)
            self.kinds[name] = thing.kind

    def nic(self, thing: Thing) -> Part:
        """A physical function that is not plugged in yet."""
        physical = Part(thing.name)
        names = [f"{thing.name}.vf{n}" for n in range(1, thing.vfs + 1)]
        self.kinds |= {thing.name: "pf"} | dict.fromkeys(names, "vf")
        make_physical(physical, [Part(name) for name in names])
        return physical

    def boot(self) -> None:
        """Scan; switch ACS on where it shall be on; let all VFs be there."""
        self.access = open_ecam(self.cpu, ECAM)
        scan = SriovScan(self.access)
        enumerate_pci(self.cpu, self.access, scan=scan)
        for port in self.walk():
            if isinstance(port, Bridge) and port not in self.open:
                enable_acs(self.access, place_of(port.source_id))
        for sriov in scan.physical:
            for found in sriov.enable(sriov.total):
                let_master(self.access, found)

    def walk(self) -> Iterator[function.Function]:
        """Everything but the host bridge."""
        return (each for each in self.bus.walk() if not isinstance(each, HostBridge))


class Boards:
    """The hosts of a shape. `owners` has, for each shared thing, the letter of its root."""

    def __init__(self, shape: Shape, owners: str = "") -> None:
        self.shape = shape
        self.hosts = {"A": Host("A", shape.a)}
        if shape.b or shape.shared:
            self.hosts["B"] = Host("B", shape.b)
        if shape.shared:
            self._share(owners or "A" * len(shape.shared))
        for host in self.hosts.values():
            host.boot()

    def _share(self, owners: str) -> None:
        """The switch of both roots, a link for each shared thing."""
        switch = MultiRootSwitch(2, len(owners))
        for number, host in enumerate(self.hosts.values(), 1):
            hierarchy = switch.hierarchies[number].bridges
            hierarchy.upstream.name = "shared"
            for link, port in enumerate(hierarchy.downstream):
                port.name = f"shared.port{link}"
            switch.connect(number, host.new_port().below)
        for link, (thing, letter) in enumerate(zip(self.shape.shared, owners, strict=True)):
            host = self.hosts[letter]
            part = host.nic(thing) if thing.kind == "nic" else make_express(Part(thing.name))
            host.kinds.setdefault(thing.name, thing.kind)
            SharedDevice(switch, [part], link).assign(0, "AB".index(letter) + 1)

    def parts(self) -> Iterator[tuple[Host, function.Function]]:
        """Each function once, with its host; the bridges of B that A has, too, are left out."""
        seen = set()
        for host in self.hosts.values():
            for each in host.walk():
                if each.name not in seen:
                    seen.add(each.name)
                    yield host, each

    def functions(self) -> list[Function]:
        """What the student gets."""
        return [self._function(host, each) for host, each in self.parts()]

    def _function(self, host: Host, each: function.Function) -> Function:
        assert each.bus is not None
        virtual = each.share is not None
        above = each.bus.bridge.name if each.bus.bridge is not None else ""
        shared = any(port.name == "shared" for port in (each, *acs.above(each)))
        return Function(
            name=each.name,
            kind=host.kinds.get(each.name, "bridge"),
            above="" if each.name == "shared" else above,
            device=each.name if virtual else each.bus.functions[each.device, 0].name,
            isolates=_isolates(each),
            roots="AB" if shared else host.letter,
            pf=each.name.rpartition(".")[0] if virtual else "",
        )

    def groups(self) -> list[list[str]]:
        """The groups that the library finds."""
        found: list[list[str]] = []
        seen: set[str] = set()
        for host in self.hosts.values():
            for group in acs.groups(host.bus):
                names = [each.name for each in group if not isinstance(each, HostBridge)]
                if names and names[0] not in seen:
                    found.append(names)
                    seen |= set(names)
        return found


def _isolates(each: function.Function) -> bool:
    """What the library says, and of a switch's upstream port what it says of all ports below."""
    if not isinstance(each, UpstreamPort):
        return acs.isolates(each)
    return all(acs.isolates(port) for port in each.below.functions.values())


def _numbered(thing: Thing) -> list[str]:
    return [f"{thing.name}.{number}" for number in range(thing.functions)]
