"""Several hosts, one device: a short model of multi-root I/O virtualization (MR-IOV).

    root A --link-- [ bridges of hierarchy 1 ] --+              +-- functions of hierarchy 1
                    [     the switch         ]   +== one link ==+   [ the shared device ]
    root B --link-- [ bridges of hierarchy 2 ] --+              +-- functions of hierarchy 2

    two hosts have each of their own        so switch and device have, for each hierarchy
    bus numbers, windows, addresses         a set of bridges, and a set of functions
    a reset                                 one that ends at these bridges and functions
    source ids: 03:00.0 twice               a label before each packet on the shared link
    interrupts                              nothing more: they are requests
    a slot, with a card in it or not        a slot that the manager fills and empties

The idea: a *virtual hierarchy* looks to its root like a tree that nobody else has. SR-IOV shares a
device below one root. Here the tree itself is shared, so what SR-IOV has once is there many times.

The rule that keeps it simple: in the model a function hangs on the bus of its hierarchy, and that
is its label. `watching` writes the labels before the packets, as the shared link carries them.

Source: Multi-Root I/O Virtualization 1.0 (PCI-SIG, 2008) is for members only. This follows public
texts: its abstract at pcisig.com; PCI Express 3.0, 2.2.10.1, which keeps a prefix for it; Jackson
and Budruk, PCI Express Technology (2012), appendix "PCI Express IO Virtualization Solutions".
They say that no vendor had built switches or devices for it. Ours alone, and simplified: the place
of the label in the prefix, the manager as a Python object and not as software that writes to a base
function, one endpoint of a hierarchy at a link. Left out: flow control and power of a hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from virtlab.pci.bus import Bus
from virtlab.pci.capabilities import Express
from virtlab.pci.express import DownstreamPort, Switch
from virtlab.pci.function import Function
from virtlab.pci.packets import Crossing
from virtlab.pci.root import RootComplex
from virtlab.pci.tlp import Tlp
from virtlab.registers import Reg
from virtlab.wire import Bits

MAX_HIERARCHIES = 16
"""Hosts at one switch, at most; they are numbered from 1."""

PREFIX = Reg(
    0,
    4,
    name="prefix",
    fields={"HIERARCHY": Bits(7, 0), "TYPE": Bits(28, 24), "FMT": Bits(31, 29)},
    spec="PCI Express 3.0 2.2.10.1",
    doc="Which hierarchy the packet behind it belongs to. Where the number stands is our choice.",
)
PREFIX_FMT, PREFIX_TYPE = 0b100, 0b00000
"""A prefix that one link reads, of the type that is kept for MR-IOV."""


class Labelled(NamedTuple):
    """A packet on the shared link: `tlp`, and the number of its `hierarchy`."""

    hierarchy: int
    tlp: Tlp

    def header(self) -> bytes:
        """The label and the header: 4 bytes more than below one root."""
        word = PREFIX.FMT.put(PREFIX.TYPE.put(self.hierarchy, PREFIX_TYPE), PREFIX_FMT)
        return word.to_bytes(4, "big") + self.tlp.header()

    @classmethod
    def decode(cls, header: bytes) -> Labelled:
        """The packet whose label and header these are. `ValueError` without a label."""
        fields = PREFIX.decode(int.from_bytes(header[:4], "big"))
        if (fields["FMT"], fields["TYPE"]) != (PREFIX_FMT, PREFIX_TYPE):
            raise ValueError(f"{header[:4].hex()} labels no hierarchy")
        return cls(fields["HIERARCHY"], Tlp.decode(header[4:]))

    def __str__(self) -> str:
        return f"hierarchy {self.hierarchy}: {self.tlp}"


class Hierarchy(NamedTuple):
    """What one root sees of the switch: an upstream port, and a downstream port for each link."""

    number: int
    bridges: Switch

    @property
    def root(self) -> RootComplex | None:
        """The root complex above it; None while no host is connected."""
        bus = self.bridges.upstream.bus
        return bus.top().complex if bus is not None else None

    def slot(self, link: int) -> DownstreamPort:
        """Its end of shared link number `link`."""
        return self.bridges.downstream[link]


class MultiRootSwitch:
    """A switch for `hosts` roots, with `links` shared links below it, all of them empty.

    `hierarchies` are numbered from 1. `ValueError` for more than `MAX_HIERARCHIES`.
    """

    def __init__(self, hosts: int = 2, links: int = 1) -> None:
        if not 1 <= hosts <= MAX_HIERARCHIES:
            raise ValueError(f"a switch has 1 to {MAX_HIERARCHIES} hierarchies, not {hosts}")
        numbers = range(1, hosts + 1)
        self.hierarchies = {
            number: Hierarchy(number, Switch(links, f"hierarchy {number}")) for number in numbers
        }
        for hierarchy in self.hierarchies.values():
            for port in hierarchy.bridges.downstream:
                _set_presence(port, False)

    def connect(self, number: int, link: Bus) -> None:
        """Let hierarchy `number` hang from the root port whose `link` this is."""
        link.plug(self.hierarchies[number].bridges.upstream)

    @contextmanager
    def watching(self, link: int = 0) -> Iterator[list[Labelled]]:
        """What crosses shared link `link` inside the `with`; the list is filled at its end.

        The packets of a hierarchy are in order. Between two hierarchies there is none: each of them
        has its own flow control, and waits for nobody else.
        """
        crossed: list[Labelled] = []
        with ExitStack() as stack:
            seen = [
                (each, stack.enter_context(each.root.watching()))
                for each in self.hierarchies.values()
                if each.root is not None
            ]
            yield crossed
            for hierarchy, crossings in seen:
                crossed += _labelled(hierarchy, link, crossings)


def _labelled(hierarchy: Hierarchy, link: int, crossings: list[Crossing]) -> Iterator[Labelled]:
    bus = hierarchy.slot(link).secondary
    return (
        Labelled(hierarchy.number, each.tlp)
        for each in crossings
        if (each.bus, each.kind) == (bus, "link")
    )


class SharedDevice:
    """A device at shared link `link` of `switch`, and the manager that says who has what of it.

    Each of `endpoints` is a function, with the virtual functions that it may have; it belongs to
    one hierarchy at a time, or to none, as at first. `owners` has the number of its hierarchy.
    """

    def __init__(
        self, switch: MultiRootSwitch, endpoints: Sequence[Function], link: int = 0
    ) -> None:
        self.switch, self.link = switch, link
        self.endpoints = tuple(endpoints)
        self.owners: list[int | None] = [None] * len(self.endpoints)

    def assign(self, endpoint: int, number: int) -> None:
        """Give an endpoint to a hierarchy. To the host it is a card that was plugged in.

        `ValueError` if it belongs to one already, if that one has an endpoint here, or is none.
        """
        owner = self.owners[endpoint]
        if owner is not None:
            raise ValueError(f"endpoint {endpoint} belongs to hierarchy {owner}: withdraw it first")
        self._check_free(number)
        slot = self._slot(number)
        slot.below.plug(self.endpoints[endpoint])
        self.owners[endpoint] = number
        _set_presence(slot, True)

    def withdraw(self, endpoint: int) -> None:
        """Take an endpoint away, reset. To the host it is a card that was pulled out.

        `ValueError` if nobody has it.
        """
        owner = self.owners[endpoint]
        if owner is None:
            raise ValueError(f"endpoint {endpoint} belongs to no hierarchy")
        slot, function = self._slot(owner), self.endpoints[endpoint]
        function.reset()  # with the virtual functions that it has
        slot.below.unplug(function)
        self.owners[endpoint] = None
        _set_presence(slot, False)

    def move(self, endpoint: int, number: int) -> None:
        """From its hierarchy to another one. `ValueError`, and it stays, where that cannot be."""
        self._check_free(number)
        self.withdraw(endpoint)
        self.assign(endpoint, number)

    def _check_free(self, number: int) -> None:
        """`ValueError` if hierarchy `number` is none, or has an endpoint here already."""
        if number not in self.switch.hierarchies:
            raise ValueError(f"the switch has no hierarchy {number}")
        if number in self.owners:
            raise ValueError(f"hierarchy {number} has an endpoint at this link already")

    def _slot(self, number: int) -> DownstreamPort:
        return self.switch.hierarchies[number].slot(self.link)


def _set_presence(port: DownstreamPort, there: bool) -> None:
    """What the port's slot says: a card is in it, or none is."""
    express = port.config.find(Express)
    assert express is not None
    bit = Express.SLOT_STATUS.PRESENCE_DETECT
    express.preset(SLOT_STATUS=bit.put(express.SLOT_STATUS, there))
