"""Which function is behind which bridge: the tree that bus numbers draw.

    bus 00
    +- 00:03.0 PCI bridge, to buses 01-04
    |  `- 01:00.0 PCI bridge, to buses 02-04
    `- 00:1f.0 ISA bridge

The rule that keeps it simple: a bus belongs to the bridge with the highest secondary bus number
among those whose range has it. A bridge counts only if its secondary bus is above its own. So a
chain of bridges goes up in bus numbers, and cannot loop, whatever a dump says.

Source: PCI-to-PCI Bridge 1.2, 3.2.5.2 to 3.2.5.4. The facts are those of `lspci -t`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from virtlab.pci.config import Header
from virtlab.pci.decode import DecodedFunction
from virtlab.pci.names import class_name, device_name, is_known, vendor_name

BRIDGE_CLASS = 0x06
"""The base class of bridges."""

_TITLE = re.compile(r"[^:]+: (.+?)(?: \[....:....\])?(?: \(rev ..\))?(?: \(prog-if .*\))?")
"""A title that `lspci` wrote: the class, who made it, numbers."""

_NO_NAME = re.compile(r"Device|(?:Device )?[0-9a-f]{4}:[0-9a-f]{4}")
"""What `lspci` writes where it has no name."""


@dataclass
class TreeFunction:
    """A function, and the buses behind it: more than one only where a bridge in between is lost."""

    function: DecodedFunction
    buses: list[TreeBus] = field(default_factory=list)


@dataclass
class TreeBus:
    """A bus and the functions on it, in the order of the dump."""

    domain: int
    number: int
    functions: list[TreeFunction] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"bus {self.domain:04x}:{self.number:02x}" if self.domain else f"bus {self.number:02x}"
        )


def tree(functions: Iterable[DecodedFunction]) -> list[TreeBus]:
    """The buses that no bridge leads to; everything else is below them."""
    nodes = [TreeFunction(function) for function in functions]
    bridges = [node for node in nodes if _leads_down(node.function)]
    buses: dict[tuple[int, int], TreeBus] = {}
    roots: list[TreeBus] = []
    for bridge in bridges:
        assert bridge.function.bridge is not None
        key = bridge.function.source.domain, bridge.function.bridge.secondary
        if key not in buses:
            buses[key] = TreeBus(*key)
            bridge.buses.append(buses[key])
    for node in nodes:
        place = node.function.source
        key = place.domain, place.bus
        if key not in buses:
            buses[key] = TreeBus(*key)
            above = _bridge_to(place.domain, place.bus, bridges)
            (above.buses if above else roots).append(buses[key])
        buses[key].functions.append(node)
    return roots


def _leads_down(function: DecodedFunction) -> bool:
    """Whether it is a bridge that software has given a bus below its own."""
    base_class = Header.CLASS_CODE.BASE_CLASS.get(function.class_code)
    buses = function.bridge
    return (
        base_class == BRIDGE_CLASS
        and buses is not None
        and function.source.bus < buses.secondary <= buses.subordinate
    )


def _bridge_to(domain: int, bus: int, bridges: list[TreeFunction]) -> TreeFunction | None:
    def secondary(node: TreeFunction) -> int:
        buses, own = node.function.bridge, node.function.source
        inside = buses and own.domain == domain and buses.secondary <= bus <= buses.subordinate
        return buses.secondary if buses and inside else -1

    best = max(bridges, key=secondary, default=None)
    return best if best is not None and secondary(best) >= 0 else None


# -- as text


def tree_text(functions: Iterable[DecodedFunction]) -> str:
    """The tree, a line for each function."""
    lines = []
    for root in tree(functions):
        lines += [str(root), *_lines(root, "")]
    return "\n".join(lines)


def _lines(bus: TreeBus, indent: str) -> Iterator[str]:
    for node in bus.functions:
        last = node is bus.functions[-1]
        yield f"{indent}{'`-' if last else '+-'} {describe(node.function)}"
        for below in node.buses:
            yield from _lines(below, indent + ("   " if last else "|  "))


def describe(function: DecodedFunction) -> str:
    """One line: where it is, what it is, who made it, and the buses behind it."""
    if not function.present:
        return f"{function.bdf} nobody answers here (all ones)"
    vendor, device = function.vendor, function.device
    words = f"{function.bdf} {class_name(function.class_code)}: {maker(function)} "
    words += f"[{vendor:04x}:{device:04x}]"
    if function.revision:
        words += f" (rev {function.revision:02x})"
    if function.bridge is None:
        return words
    first, last = function.bridge.secondary, function.bridge.subordinate
    if not first:
        return f"{words}, to no bus yet"
    return (
        f"{words}, to bus {first:02x}"
        if first == last
        else f"{words}, to buses {first:02x}-{last:02x}"
    )


def maker(function: DecodedFunction) -> str:
    """Who made it and which device: our own words, else those of the dump's title, else numbers."""
    vendor, device = function.vendor, function.device
    title = _TITLE.fullmatch(function.source.title)
    if title and not is_known(vendor, device) and not _NO_NAME.fullmatch(title[1]):
        return title[1]
    return f"{vendor_name(vendor)} {device_name(vendor, device)}"
