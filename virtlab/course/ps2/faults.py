"""Boards with a fault: a card behind bridges, an access that should arrive, and one wrong register.

    path      the bridges from bus 0 to the card, then the card
    access    ("config", offset)   the processor reads 4 bytes of the card's configuration space
              ("memory", gpa)      the processor reads 4 bytes of the card's memory
              ("port", port)       the same, ports
              ("dma", gpa)         the card reads 4 bytes of main memory

The board is enumerated as firmware does it, so that everything arrives. Then `plant` changes one
register of one function on the path, as software might have done by mistake. `arrives` asks the
library's own routing whether the access still gets through: the judge of the judge.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Literal, NamedTuple

from virtlab.course.ps2.boards import RAM, BarKind, Board, Card, Topology
from virtlab.course.ps2.trees import bridge_for
from virtlab.guest.pci import Place
from virtlab.guest.pci_resources import GRAIN
from virtlab.pci.bridge import Bridge, PciBridge, Window
from virtlab.pci.bus import Bus
from virtlab.pci.config import Header, Type0, Type1
from virtlab.pci.express import make_express
from virtlab.pci.function import Function
from virtlab.registers import Reg
from virtlab.wire import all_ones

Kind = Literal["config", "memory", "port", "dma"]
KINDS: tuple[Kind, ...] = ("config", "memory", "port", "dma")
Word = Literal["bus numbers", "command", "window"]
Verdict = tuple[tuple[int, int, int], Word]
"""Where an access ends, and why: what `diagnose` returns."""

ENABLE = {
    "memory": Header.COMMAND.MEMORY_SPACE,
    "port": Header.COMMAND.IO_SPACE,
    "dma": Header.COMMAND.BUS_MASTER,
}
"""The bit of COMMAND without which an access of a kind does not pass."""

BARS: dict[int, BarKind] = {
    0: ("memory", 4 << 20, 32, False),
    1: ("port", 0x40, 32, False),
    2: ("memory", 8 << 20, 64, True),
}
"""What the card at the end of the path has."""

SIZE = 4
"""Bytes of every access."""

BUFFER = 0x2_0000
"""Where in main memory the card's buffer is."""


class Access(NamedTuple):
    """What somebody wants to do with 4 bytes; the student gets it as a plain tuple."""

    kind: Kind
    address: int

    def __str__(self) -> str:
        return f"({self.kind!r}, {self.address:#x})"


class Faulty:
    """An enumerated board. `path` are the functions on the way, `places` where they are."""

    def __init__(self, board: Board, path: list[Function]) -> None:
        self.board = board
        self.path = path
        self.bridges = [function for function in path if isinstance(function, Bridge)]
        self.card = path[-1]
        board.enumerate()
        self.places = [Place(f.source_id >> 8, f.device, f.number) for f in path]

    @classmethod
    def chain(cls) -> Faulty:
        """The fixed board: two bridges in a row, and other cards beside the path."""
        board, outer, inner, card = Board(), PciBridge(), PciBridge(), Card(1, BARS)
        board.bus.plug(outer, 3)
        outer.below.plug(Card(2, BARS), 4)
        outer.below.plug(inner, 5)
        inner.below.plug(card, 0)
        inner.below.plug(Card(3, BARS), 1)
        return cls(board, [outer, inner, card])

    @classmethod
    def any(cls, rng: Random, topology: Topology) -> Faulty:
        """A board with a path of some bridges, and something beside it."""
        board, cards = Board(topology), itertools.count(2)
        path: list[Function] = []
        bus = board.bus
        for _ in range(rng.randrange(1, 4)):
            path.append(_plug(bus, rng, bridge_for(bus, rng), cards))
            bus = _lowest(path, rng)
        card = Card(1, BARS)
        path.append(_plug(bus, rng, make_express(card) if bus.kind == "link" else card, cards))
        return cls(board, path)

    # -- the access

    def access(self, kind: Kind, rng: Random, index: int = 0) -> Access:
        """An aligned access of `kind`; to the card's memory, behind BAR `index`."""
        if kind == "config":
            return Access(kind, 4 * rng.randrange(16))
        if kind == "dma":
            return Access(kind, BUFFER + 4 * rng.randrange(0x1000))
        start, length = self.bar(1 if kind == "port" else index)
        return Access(kind, start + rng.randrange(0, length, 4))

    def bar(self, index: int) -> tuple[int, int]:
        """Where a BAR of the card is, and its bytes."""
        bar = next(bar for bar in self.card.bars if bar.register == f"BAR{index}")
        return bar.address(self.card.header), bar.size

    def move(self, index: int, address: int) -> None:
        """Put a BAR of the card somewhere else; its neighbours fall silent."""
        assert self.card.bus is not None
        for function in self.card.bus.functions.values():
            if function is not self.card:
                put(function, Header.COMMAND, 0)
        put(self.card, vars(Type0)[f"BAR{index}"], address)
        if BARS[index][2] == 64:
            put(self.card, vars(Type0)[f"BAR{index + 1}"], address >> 32)

    def arrives(self, access: Access) -> bool:
        """Whether the library's own routing lets the access through to the card, or to memory."""
        kind, address = access
        if kind == "config":
            return self.board.bus.route_config(*self.places[-1]).target is self.card
        if kind == "dma":
            assert self.card.bus is not None
            route = self.card.bus.route_up(self.card, address, SIZE, self.card.source_id)
            may = ENABLE["dma"].get(self.card.header.COMMAND)
            return bool(may) and not route.refusal and route.target is None
        return self.board.bus.route_down(kind, address, SIZE).target is self.card

    # -- faults

    def plant(self, access: Access, at: int, word: Word, how: str = "") -> Verdict:
        """Let the access fail at `path[at]`, and say what `diagnose` must find."""
        function = self.path[at]
        if word == "command":
            self.clear(at, access.kind)
        elif word == "bus numbers" and how == "secondary":
            put(function, Type1.SECONDARY_BUS, self.places[-1].bus + 1)
        elif word == "bus numbers":
            put(function, Type1.SUBORDINATE_BUS, self.places[-1].bus - 1)
        else:
            assert isinstance(function, Bridge)
            _break_window(function, access, how)
        bus, device, number = self.places[at]
        return (bus, device, number), word

    def clear(self, at: int, kind: str) -> None:
        """Switch off what an access of `kind` needs in COMMAND of `path[at]`."""
        function = self.path[at]
        put(function, Header.COMMAND, function.header.COMMAND & ~ENABLE[kind].mask)

    def possible(self, access: Access) -> list[tuple[int, Word]]:
        """Every place on the path where such an access can fail, and what would be wrong there."""
        bridges = range(len(self.bridges))
        if access.kind == "config":
            return [(at, "bus numbers") for at in bridges]
        commands: list[tuple[int, Word]] = [(at, "command") for at in range(len(self.path))]
        return [*commands, *((at, "window") for at in bridges)]

    def distract(self, access: Access, rng: Random, likely: float = 0.3) -> None:
        """Change what this access does not need: other bits of COMMAND, and other functions."""
        for at in range(len(self.path)):
            for kind in ENABLE:
                needed = kind == access.kind or (access.kind, kind) == ("dma", "memory")
                if not needed and rng.random() < likely:
                    self.clear(at, kind)
        for function in self.board.bus.walk():
            if function not in self.path and rng.random() < likely:
                put(function, Header.COMMAND, 0)


def put(function: Function, register: Reg, value: int) -> None:
    """Write a register as software does."""
    function.config.write(register.offset, register.width, value & all_ones(register.width))


# -- windows


def set_window(bridge: Bridge, name: str, base: int, limit: int) -> None:
    """Let window `name` go from `base` to `limit`, both included, in the window's own units."""
    if name == "io":
        put(bridge, Type1.IO_BASE, base >> 8 & 0xF0)
        put(bridge, Type1.IO_LIMIT, limit >> 8 & 0xF0)
        return
    prefix = name.upper()
    values = {"BASE": base >> 16 & 0xFFF0, "LIMIT": limit >> 16 & 0xFFF0}
    if name == "prefetchable":
        values |= {"BASE_UPPER": base >> 32, "LIMIT_UPPER": limit >> 32}
    for tail, value in values.items():
        put(bridge, getattr(Type1, f"{prefix}_{tail}"), value)


def window_of(bridge: Bridge, access: Access) -> Window:
    """The open window through which an access goes down."""
    return next(
        window
        for window in bridge.windows
        if window.space == access.kind and window.has(access.address, SIZE)
    )


def _break_window(bridge: Bridge, access: Access, how: str) -> None:
    """Let the window end before the access, or begin after it, or be closed, or cover RAM."""
    if access.kind == "dma":
        set_window(bridge, "memory", 0, RAM - 1)
        return
    window = window_of(bridge, access)
    unit = GRAIN["io" if window.name == "io" else "memory"]
    floor = access.address - access.address % unit
    base, limit = {
        "begins late": (floor + unit, window.limit),
        "closed": (window.limit + 1, window.base),
    }.get(how, (window.base, floor - 1))
    set_window(bridge, window.name, base, limit)


# -- plugging


def _plug(bus: Bus, rng: Random, function: Function, cards: Iterator[int]) -> Function:
    """Plug it in somewhere, beside a card with the same BARs where there is room."""
    if bus.kind == "link":
        return bus.plug(function)
    here, there = rng.sample(range(1, 32), 2)
    bus.plug(Card(next(cards), BARS), there)
    return bus.plug(function, here)


def _lowest(path: list[Function], rng: Random) -> Bus:
    """The bus below the path. Below a switch's upstream port, the path takes a downstream port."""
    bus = path[-1].below
    assert bus is not None
    if bus.functions:
        path.append(rng.choice(list(bus.functions.values())))
        return _lowest(path, rng)
    return bus
