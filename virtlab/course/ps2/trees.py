"""Trees of buses: grown at random by the rules of each kind of bus, and numbered as a scan must.

    conventional   cards, and bridges to conventional buses
    internal       of a root complex: root ports and cards; of a switch: its downstream ports
    link           one device: a card, a switch, or a bridge back to a conventional bus

The same seed grows the same tree. `numbered` walks the functions themselves, depth first, and
counts buses: it is what task 3 is held against, and it makes no configuration access.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

from virtlab.course.ps2.boards import BarKind, Card
from virtlab.guest.pci import Place
from virtlab.pci.bridge import PciBridge
from virtlab.pci.bus import FUNCTIONS, Bus
from virtlab.pci.express import PciePciBridge, RootPort, Switch, make_express
from virtlab.pci.function import Function


def grow(bus: Bus, rng: Random, depth: int, cards: Iterator[int]) -> None:
    """Plug functions into `bus`, and below its bridges, at most `depth` buses deep.

    `cards` gives each card its Device ID. A link has one device; a bus of a switch has its ports.
    """
    if bus.functions and bus.bridge is not None:
        for port in bus.functions.values():
            grow(_below(port), rng, depth - 1, cards)
        return
    devices = [0] if bus.kind == "link" else sorted(rng.sample(range(1, 32), rng.randrange(2, 4)))
    for device in devices:
        for number in _numbers(rng):
            deeper = depth > 0 and rng.random() < 0.4
            function = bridge_for(bus, rng) if deeper else _card(bus, rng, next(cards))
            bus.plug(function, device, number)
            if function.below is not None:
                grow(function.below, rng, depth - 1, cards)


def _numbers(rng: Random) -> list[int]:
    """Function numbers of one device: 0 alone, or 0 and another one."""
    return [0, *([rng.randrange(1, FUNCTIONS)] if rng.random() < 0.3 else [])]


def _below(function: Function) -> Bus:
    assert function.below is not None
    return function.below


def bridge_for(bus: Bus, rng: Random) -> Function:
    """A bridge that can be plugged into a bus of this kind."""
    if bus.kind == "conventional":
        return PciBridge()
    if bus.kind == "internal":
        return RootPort()
    return rng.choice((PciePciBridge(), Switch(rng.randrange(1, 3)).upstream))


def _card(bus: Bus, rng: Random, device: int) -> Function:
    card = Card(device, any_bars(rng))
    return make_express(card) if bus.kind == "link" else card


def any_bars(rng: Random) -> dict[int, BarKind]:
    """Memory behind BAR 0; perhaps ports, perhaps memory of 64 bits."""
    bars: dict[int, BarKind] = {0: ("memory", 1 << rng.randrange(12, 23), 32, False)}
    if rng.random() < 0.5:
        bars[1] = "port", 1 << rng.randrange(2, 9), 32, False
    if rng.random() < 0.5:
        bars[2] = "memory", 1 << rng.randrange(12, 23), 64, True
    return bars


class Node(NamedTuple):
    """A function where a depth-first walk with fresh bus numbers finds it.

    `buses` are the number of the bus below it and the highest below that, if it is a bridge.
    """

    place: Place
    function: Function
    buses: tuple[int, int] | None = None


def numbered(bus: Bus, number: int = 0) -> list[Node]:
    """Every function on `bus` and below: the tree itself, walked depth first.

    A device that answers for functions that it has not is there once.
    """
    nodes: list[Node] = []
    highest = number
    for (device, index), function in bus.functions.items():
        if index != function.number:
            continue
        place = Place(number, device, index)
        if function.below is None:
            nodes.append(Node(place, function))
            continue
        below = numbered(function.below, highest + 1)
        last = max([highest + 1, *(node.buses[1] for node in below if node.buses)])
        nodes += [Node(place, function, (highest + 1, last)), *below]
        highest = last
    return nodes


def tree_text(nodes: Iterable[Node]) -> str:
    """The tree in a line: `00:00.0, 00:03.0 bridge [01-02], 01:00.0`."""
    words = []
    for place, _, buses in nodes:
        tail = f" bridge [{buses[0]:02x}-{buses[1]:02x}]" if buses else ""
        words.append(f"{place}{tail}")
    return ", ".join(words)
