"""Task 3 of problem set 3: a machine to be found. Judges: a model of the table, and real drivers.

Each case is a guest that looks for one thing, access by access, held against `Model`. Then drivers
of the library run on the student's ports: the scan of PCI must find the functions that were put
there, no more and no fewer.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer, Built
from virtlab.course.ps3.machines import first
from virtlab.course.ps3.virtual_ports import (
    FUNCTIONS,
    ITEMS,
    Functions,
    Items,
    Model,
    NoNumber,
    Ports,
    function,
)
from virtlab.course.tasks import Case, Difference, Run, Task, compare
from virtlab.guest.pci import Place, PortAccess, Scan
from virtlab.pci.access import config_address

LOOK = {
    "keyboard": "the table of the keyboard controller: port 64h is status and command, 60h data",
    "pci": "which register, then which of its bytes (PCI 3.0, 3.2.2.3.2)",
    "absent": "where nobody is, all ones: that is how a guest sees it (PCI 3.0, 6.1)",
    "invented": "a write to 510h starts at the first byte, a read of 511h takes the next",
    "nobody": "a size belongs to a port: any other gives all ones, or is lost",
}

STATUS, DATA, ADDRESS, CONFIG, SELECT, NEXT = 0x64, 0x60, 0xCF8, 0xCFC, 0x510, 0x511

Step = tuple[str, int, int] | tuple[str, int, int, int]


class _Pair:
    """A student's board and the model, looked at by the same guest."""

    def __init__(
        self, answer: Answer, functions: Functions = FUNCTIONS, items: Items = ITEMS
    ) -> None:
        self.answer = answer
        answer.given = "Board(functions, items)"
        made = answer.call("Board", dict(functions), dict(items))
        self.board, self.model = Built(answer, "Board", made), Model(functions, items)
        self.said: list[str] = []

    def step(self, step: Step) -> Difference | None:
        """One access of the guest: `("in", port, size)` or `("out", port, value, size)`."""
        verb, port, *numbers = step
        arguments = ", ".join([f"{port:#x}", *(f"{number:#x}" for number in numbers)])
        self.said.append(f"{'inp' if verb == 'in' else 'out'}({arguments})")
        self.answer.given = "; ".join(self.said[-7:])
        if verb == "out":
            self.model.out(port, *numbers)
            self.board.call("out", port, *numbers)
            return None
        look = self._look(port, numbers[0])
        expected = self.model.inp(port, numbers[0])
        return compare(expected, self.board.call("inp", port, numbers[0]), look)

    def _look(self, port: int, size: int) -> str:
        """Which part of the task an access belongs to."""
        if (port, size) in ((STATUS, 1), (DATA, 1)):
            return LOOK["keyboard"]
        if (port, size) == (NEXT, 1):
            return LOOK["invented"]
        if (port, size) == (ADDRESS, 4) or CONFIG <= port <= CONFIG + 4 - size:
            there = self.model.place in self.model.functions and self.model.word >> 31
            return LOOK["pci"] if there or port == ADDRESS else LOOK["absent"]
        return LOOK["nobody"]


def _runs(*steps: Step) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        pair = _Pair(answer)
        return first(pair.step(step) for step in steps)

    return run


def _in(port: int, size: int = 1) -> Step:
    return "in", port, size


def _out(port: int, value: int, size: int = 1) -> Step:
    return "out", port, value, size


def _drain(count: int) -> list[Step]:
    """Read the status and the data, so often."""
    return [_in(STATUS), _in(DATA)] * count + [_in(STATUS)]


def _register(bus: int, device: int, number: int, offset: int, size: int = 4) -> list[Step]:
    """Choose a register and read of it."""
    word = config_address(bus, device, number, offset)
    return [_out(ADDRESS, word, 4), _in(CONFIG + offset % 4, size)]


def _item(number: int, count: int) -> list[Step]:
    return [_out(SELECT, number, 2), *[_in(NEXT)] * count]


# -- drivers of the library


def _scan(answer: Answer, functions: Functions) -> Difference | None:
    """The library's scan finds the functions of bus 0 that are there."""
    pair = _Pair(answer, functions)
    answer.given = "the library's scan of PCI runs on your ports; functions on bus 0: "
    answer.given += ", ".join(str(Place(*place)) for place in sorted(functions)) or "none"
    expected = sorted(str(Place(*place)) for place in functions)
    try:
        found = Scan(PortAccess(Ports(pair.board))).run()  # type: ignore[arg-type]
    except NoNumber as wrong:
        return Difference("numbers of the size that was asked for", str(wrong), LOOK["pci"])
    yours = [str(one.place) for one in found]
    if yours == expected:
        return None
    more = [place for place in yours if place not in expected]
    look = LOOK["absent"] if more else LOOK["pci"]
    mine = ", ".join(yours[:12]) or "nothing"
    return Difference(f"found: {', '.join(expected) or 'nothing'}", f"found: {mine}", look)


def _scans(answer: Answer, rng: Random) -> Difference | None:
    """Three machines: with one card, with one device of several functions, and any."""
    one = {(0, 9, 0): function(9)}
    several = {(0, 3, number): function(number, multi=True) for number in (0, 2, 7)}
    some = {(0, at, 0): function(at, seed=2) for at in rng.sample(range(32), 5)}
    return first(_scan(answer, functions) for functions in (one, several, some, {}))


def _any_guest(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(3):
        places = [*FUNCTIONS, (rng.randrange(256), rng.randrange(32), rng.randrange(8))]
        functions = {place: function(n, seed=rng.randrange(99)) for n, place in enumerate(places)}
        pair = _Pair(answer, functions, {**ITEMS, rng.randrange(1 << 16): rng.randbytes(5)})
        for _ in range(80):
            if found := pair.step(_any_step(rng, [*places, (1, 1, 1)])):
                return found
    return None


COMMANDS = (0xAA, 0xAB, 0x20, 0x60, 0xFF, 0xF2, 0xF4, 0x45, 0x00)


def _any_step(rng: Random, places: list[tuple[int, int, int]]) -> Step:
    """Mostly what a driver does; of six, one is a read of anything."""
    word = config_address(*rng.choice(places), rng.randrange(0, 256, 4))
    size = rng.choice((1, 2, 4))
    steps: tuple[Step, ...] = (
        _out(rng.choice((STATUS, DATA)), rng.choice(COMMANDS)),
        _in(rng.choice((STATUS, DATA, DATA, NEXT))),
        _out(ADDRESS, rng.choice((word, word, word & 0x7FFF_FFFF)), 4),
        _in(CONFIG + rng.randrange(4), size),
        _out(SELECT, rng.choice((0, 5, 0x19, 7)), 2),
        _in(rng.choice((0x60, 0x64, 0xCF8, 0xCFA, 0xCFC, 0xCFF, 0x510, 0x511, 0x80)), size),
    )
    return rng.choice(steps)


def _flood(answer: Answer, rng: Random) -> Difference | None:
    """A guest that writes and never reads; what waits is bounded, and the first come first."""
    pair = _Pair(answer)
    writes = [_out(DATA, 0xF2)] * 6 + [_out(DATA, rng.choice((0xF2, 0xFF))) for _ in range(100)]
    return first(pair.step(step) for step in [*writes, *_drain(20)])


OTHER_SIZES = (
    *(_out(DATA, 0xFF), _in(DATA, 2), _in(STATUS, 4), _in(DATA)),
    *(_out(ADDRESS, 0x80, 1), _in(ADDRESS, 2), _in(ADDRESS, 4)),
    *(*_item(0, 1), _in(NEXT, 2), _out(SELECT, 0), _in(SELECT, 2), _in(NEXT)),
)
"""Each port in a size that is not its own; afterwards, nothing has changed."""

BOARD = Task(
    "ps3.q3",
    "a machine to be found",
    ("Board",),
    ("S15", "S16", "S17"),
    lines=35,
    minutes=35,
    difficulty=3,
    points=6,
    cases=(
        Case("the preset status", _runs(_in(STATUS), _in(DATA), _in(STATUS))),
        Case("the self-test", _runs(_out(STATUS, 0xAA), *_drain(2))),
        Case("the test of the port", _runs(_out(STATUS, 0xAB), *_drain(2))),
        Case("the command byte", _runs(_out(STATUS, 0x20), *_drain(1))),
        Case(
            "a new command byte",
            _runs(_out(STATUS, 0x60), _out(DATA, 0x47), *_drain(1), _out(STATUS, 0x20), *_drain(2)),
        ),
        Case(
            "another command", _runs(_out(STATUS, 0xD4), *_drain(1), _out(STATUS, 0xED), *_drain(1))
        ),
        Case("a keyboard", _runs(_out(DATA, 0xF4), *_drain(2), _out(DATA, 0xFF), *_drain(3))),
        Case(
            "the keyboard again",
            _runs(_out(STATUS, 0x60), _out(DATA, 0x47), _out(DATA, 0xF4), *_drain(2)),
        ),
        Case("who it is", _runs(_out(DATA, 0xF2), *_drain(4))),
        Case(
            "a command in between",
            _runs(_out(STATUS, 0x60), _out(STATUS, 0xAA), _out(DATA, 0xF4), *_drain(3)),
        ),
        Case("a guest that never reads", _flood),
        Case(
            "the address register",
            _runs(_in(ADDRESS, 4), _out(ADDRESS, 0x8000_0000, 4), _in(ADDRESS, 4)),
        ),
        Case("a card", _runs(*_register(0, 0, 0, 0), *_register(0, 0, 0, 0x3C))),
        Case("bytes of a register", _runs(*_register(0, 0, 0, 2, 2), *_register(0, 0, 0, 0x0B, 1))),
        Case("functions and buses", _runs(*_register(0, 4, 7, 0), *_register(2, 31, 0, 0xFC))),
        Case("nobody there", _runs(*_register(0, 5, 0, 0), *_register(1, 0, 0, 0, 2))),
        Case(
            "without enable",
            _runs(_out(ADDRESS, 0x2000, 4), _in(ADDRESS, 4), _in(CONFIG, 4), _in(CONFIG)),
        ),
        Case("past the register", _runs(*_register(0, 0, 0, 4), _in(0xCFE, 4), _in(0xCFF, 2))),
        Case(
            "nothing is written", _runs(*_register(0, 0, 0, 4), _out(CONFIG, 7, 4), _in(CONFIG, 4))
        ),
        Case("a scan", _scans),
        Case("an item", _runs(*_item(0, 4))),
        Case("another item", _runs(*_item(0x19, 29), *_item(5, 2))),
        Case("from the first byte again", _runs(*_item(0, 2), *_item(0, 5), _in(NEXT))),
        Case("the item at power-on", _runs(*[_in(NEXT)] * 5)),
        Case("no such item", _runs(*_item(0, 1), *_item(7, 2))),
        Case("other sizes", _runs(*OTHER_SIZES)),
        Case(
            "nobody's ports",
            _runs(_in(0x80), _in(0x3F8, 2), _out(0x80, 1), _in(0xCFA, 2), _in(0xFFFF)),
        ),
        Case("any guest", _any_guest),
    ),
    hints=(
        "Take one device at a time, in the order of the cases. Each row of the tables is one if, "
        "with the port and the size in it; all ones is what is left at the end.",
        "State is what a guest can tell from a second read: the bytes that wait, the command byte "
        "and whether one is awaited, the word at 0xcf8, and of the item what is left. All of it "
        "begins in __init__.",
        "Let the bytes that wait be a list that a helper extends and cuts to 16. For PCI, take "
        "bus, device and function out of the word by shifts and masks, look the tuple up, and cut "
        "`size` bytes from offset (word & 0xfc) + port - 0xcfc. A command other than 0x60 ends the "
        "waiting for a command byte.",
    ),
)
