"""Task 3 of problem set 2: scan the buses. The judge is the tree that was plugged together.

The case walks the functions themselves, depth first, and counts buses. The student has only
configuration accesses. First the list counts, then what is in the bridges: the report names the
first function that differs, or the first bridge with a wrong number.

Some cards do not decode the function number: they answer for all eight (PCI 3.0, 3.2.2.3.4).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps2.boards import Board, Card, Topology
from virtlab.course.ps2.trees import Node, grow, numbered, tree_text
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown
from virtlab.guest.pci import Place
from virtlab.pci.bridge import PciBridge
from virtlab.pci.bus import FUNCTIONS, Bus
from virtlab.pci.config import Type1
from virtlab.pci.express import PciePciBridge, RootPort, Switch, make_express
from virtlab.pci.function import Function

LOOK_THERE = "vendor FFFFh: nobody is there; bit 7 of Header Type: more functions (PCI 3.0, 6.2.1)"
LOOK_BELOW = "bits 6:0 of Header Type are 1: a bridge; look below at once (PCI bridge 1.2, 3.2.5)"
LOOK_NUMBERS = "primary, secondary, subordinate: 18h, 19h, 1Ah (PCI bridge 1.2, 3.2.5.2 to 3.2.5.4)"

NUMBERS = (Type1.PRIMARY_BUS, Type1.SECONDARY_BUS, Type1.SUBORDINATE_BUS)

Plug = Callable[[Bus], object]
Entry = tuple[tuple[int, int, int], int, int]


def _scan(answer: Answer, board: Board, before: str = "") -> Difference | None:
    """Let the student scan, and compare with the tree."""
    nodes = numbered(board.bus)
    answer.given = f"{before}{tree_text(nodes)}"
    yours = answer.call("scan", board.pci)
    expected: list[Entry] = []
    for place, function, _ in nodes:
        header = function.header
        expected.append((tuple(place), header.VENDOR_ID, header.DEVICE_ID))  # type: ignore[arg-type]
    return _list(expected, yours, nodes) or _bridges(nodes)


def _list(expected: list[Entry], yours: object, nodes: list[Node]) -> Difference | None:
    """The first entry in which two lists part."""
    if type(yours) is not list:
        return compare(expected, yours, LOOK_THERE)
    for number, right in enumerate(expected):
        mine = yours[number] if number < len(yours) else "the list ends here"
        if not same(right, mine):
            above = nodes[number - 1].buses if number else None
            look = LOOK_BELOW if above else LOOK_THERE
            return Difference(_entry(number, right), _entry(number, mine), look)
    if len(yours) > len(expected):
        mine, end = yours[len(expected)], len(expected)
        return Difference(f"{end} functions", _entry(end, mine), LOOK_THERE)
    return None


def _entry(number: int, entry: object) -> str:
    """An entry as a report shows it: `entry 2: 01:00.0 is 1af4:0003`."""
    match entry:
        case str():
            return f"entry {number}: {entry}"
        case ((int(), int(), int()) as place, int() as vendor, int() as device):
            said = f"entry {number}: {Place(*place)} is {vendor:04x}:{device:04x}"
            if type(entry) is tuple and type(place) is tuple:
                return said
            return f"{said}, but not as tuple (place, vendor, device) with a tuple in it"
    return f"entry {number}: {shown(entry)}"


def _bridges(nodes: list[Node]) -> Difference | None:
    """The first bridge that has not the numbers of its place in the tree."""
    for place, function, buses in nodes:
        if buses is None:
            continue
        right = place.bus, *buses
        values = function.header.values
        mine = tuple(values[reg.name] for reg in NUMBERS)
        if mine != right:
            return Difference(_three(place, right), _three(place, mine), LOOK_NUMBERS)
    return None


def _three(place: Place, numbers: tuple[int, ...]) -> str:
    return f"{place} has primary {numbers[0]}, secondary {numbers[1]}, subordinate {numbers[2]}"


# -- boards


def _scans(plug: Plug, topology: Topology = "conventional") -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        board = Board(topology)
        plug(board.bus)
        return _scan(answer, board)

    return run


def _cards(bus: Bus) -> None:
    bus.plug(Card(1), 2)
    bus.plug(Card(2), 31)


def _functions(bus: Bus) -> None:
    """A device with functions 0, 3 and 7."""
    for device, number in enumerate((0, 3, 7), 1):
        bus.plug(Card(device), 5, number)


def _undecoded(bus: Bus) -> None:
    """A card that answers for every function number, as if it were function 0."""
    card = bus.plug(Card(1), 4)
    bus.plug(Card(2), 9)
    bus.functions = dict(
        sorted({**bus.functions, **{(4, number): card for number in range(FUNCTIONS)}}.items())
    )


def _below(*functions: Function) -> PciBridge:
    """A bridge with these on the bus below, as devices 0, 1, ..."""
    bridge = PciBridge()
    for device, function in enumerate(functions):
        bridge.below.plug(function, device)
    return bridge


def _bridge(bus: Bus) -> None:
    bus.plug(_below(Card(1)), 3)
    bus.plug(Card(2), 6)


def _two_bridges(bus: Bus) -> None:
    bus.plug(_below(Card(1)), 3)
    bus.plug(_below(Card(2), Card(3)), 4)


def _chain(bus: Bus) -> None:
    """Four bridges in a row, and a bridge beside them."""
    bus.plug(_below(_below(_below(_below(Card(1))))), 1)
    bus.plug(_below(Card(2)), 2)


def _bridges_in_one_device(bus: Bus) -> None:
    """Functions 0 and 1 of one device are bridges: Header Type reads 81h."""
    bus.plug(_below(Card(1)), 3, 0)
    bus.plug(_below(Card(2)), 3, 1)


def _empty_bridge(bus: Bus) -> None:
    bus.plug(_below(), 3)
    bus.plug(_below(Card(1)), 4)


def _express(bus: Bus) -> None:
    """A root port with a switch of two ports, and one with a bridge to conventional PCI."""
    first, second, switch, old = RootPort(slot=1), RootPort(slot=2), Switch(2), PciePciBridge()
    bus.plug(first, 2, 0)
    bus.plug(second, 2, 1)
    first.below.plug(switch.upstream)
    for number, port in enumerate(switch.downstream):
        port.below.plug(make_express(Card(number)))
    second.below.plug(old)
    old.below.plug(Card(9), 5)


def _again(answer: Answer, rng: Random) -> Difference | None:
    """The bridges have numbers already: a second scan finds the same."""
    board = Board()
    _two_bridges(board.bus)
    return _scan(answer, board) or _scan(answer, board, "scanned once before; ")


def _stale(answer: Answer, rng: Random) -> Difference | None:
    """Somebody numbered the bridges before, in another way."""
    board = Board()
    _chain(board.bus)
    for function in board.bus.walk():
        if function.below is not None:
            function.header.values.update(PRIMARY_BUS=9, SECONDARY_BUS=7, SUBORDINATE_BUS=7)
    return _scan(answer, board, "the bridges have old numbers; ")


def _any_tree(topology: Topology) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        for _ in range(2):
            board = Board(topology)
            grow(board.bus, rng, 3, itertools.count(1))
            if found := _scan(answer, board):
                return found
        return None

    return run


SCAN = Task(
    "ps2.q3",
    "scan the buses",
    ("scan",),
    ("S05", "S06", "S07"),
    lines=25,
    minutes=25,
    difficulty=3,
    points=5,
    cases=(
        Case("cards on bus 0", _scans(_cards)),
        Case("a device with several functions", _scans(_functions)),
        Case("a card that answers for all functions", _scans(_undecoded)),
        Case("a bridge", _scans(_bridge)),
        Case("two bridges side by side", _scans(_two_bridges)),
        Case("nothing below a bridge", _scans(_empty_bridge)),
        Case("bridges in a row", _scans(_chain)),
        Case("bridges in one device", _scans(_bridges_in_one_device)),
        Case("PCI Express", _scans(_express, "express")),
        Case("a second scan", _again),
        Case("old numbers in the bridges", _stale),
        Case("any tree of bridges", _any_tree("conventional")),
        Case("any tree of links", _any_tree("express")),
    ),
    hints=(
        "Begin with bus 0 and no bridges: 32 devices, and functions 1 to 7 only where function 0 "
        "says that there are more. Read Vendor ID with 2 bytes.",
        "A function that scans one bus can call itself for the bus below a bridge. Before it does, "
        "the bridge needs a secondary number, or no access gets through; and a subordinate number "
        "that is high enough for everything that may still be found.",
        "Keep the highest number given out so far in a variable that all calls share. At a bridge: "
        "take the next number, write primary, secondary and 255 as subordinate, scan the bus "
        "below, then write the highest number so far as subordinate. Header Type's bit 7 is not "
        "part of the layout.",
    ),
)
