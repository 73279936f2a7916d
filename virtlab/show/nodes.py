"""The functions of a machine as a tree: what every picture of buses draws.

The idea: a `Node` is a function, what stands behind it, and what is below. It comes from a machine
of ours (`nodes_of`) or from a dump of the reader's own (`nodes_of_dump`). The pictures need nothing
else, so both are drawn by the same code.

The rule that keeps it simple: a node holds words. No picture asks a function anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from virtlab.pci.bus import Bus
from virtlab.pci.decode import DecodedFunction
from virtlab.pci.names import class_name, device_name
from virtlab.pci.pcie import EXPRESS_TYPES, Express
from virtlab.pci.tlp import bdf_text
from virtlab.pci.tree import TreeFunction, tree

KINDS = {"conventional": "PCI bus", "link": "link", "internal": "internal bus"}
"""What a bus is, in words."""

BEHIND = {
    "root port": "link",
    "downstream port": "link",
    "pci-pcie bridge": "link",
    "upstream port": "internal bus",
}
"""What is behind a port of PCI Express, by its role; behind any other bridge is a PCI bus."""

NO_NUMBER = "no number yet"


class Node(NamedTuple):
    """A function: `place` is `"02:00.0"`, `name` says what it is.

    A bridge says in `behind` what bus it leads to, `"link 03"`, and has in `below` what is there.
    """

    place: str
    name: str
    behind: str = ""
    below: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """Itself, and everything below it, depth first."""
        yield self
        for child in self.below:
            yield from child.walk()


def nodes_of(bus: Bus) -> tuple[Node, ...]:
    """The functions on `bus` of one of our machines, and all that is below.

    Before enumeration a bus behind a bridge has no number: its functions are `??:00.0`.
    """
    made = []
    for function in bus.functions.values():
        place = bdf_text(function.source_id)
        if bus.bridge is not None and not bus.number:
            place = f"??{place[2:]}"
        below = function.below
        if below is None:
            made.append(Node(place, function.name))
        else:
            number = f"{below.number:02x}" if below.number else NO_NUMBER
            behind = f"{KINDS[below.kind]} {number}"
            made.append(Node(place, function.name, behind, nodes_of(below)))
    return tuple(made)


def nodes_of_dump(functions: Iterable[DecodedFunction]) -> tuple[Node, ...]:
    """The functions of a dump, each below the bridge that leads to its bus."""
    return tuple(_dumped(node) for root in tree(functions) for node in root.functions)


def _dumped(node: TreeFunction) -> Node:
    function = node.function
    name = f"{class_name(function.class_code)}: {device_name(function.vendor, function.device)}"
    below = tuple(_dumped(child) for bus in node.buses for child in bus.functions)
    behind = ""
    if function.bridge is not None:
        number = f"{function.bridge.secondary:02x}" if function.bridge.secondary else NO_NUMBER
        behind = f"{_kind(function)} {number}"
    return Node(function.bdf, name, behind, below)


def _kind(function: DecodedFunction) -> str:
    found = function.find(Express)
    if found is None:
        return KINDS["conventional"]
    value = found.registers.value(Express.EXPRESS_CAPABILITIES)
    number = Express.EXPRESS_CAPABILITIES.TYPE.get(value)
    role = next((name for name, value in EXPRESS_TYPES.items() if value == number), "")
    return BEHIND.get(role, KINDS["conventional"])
