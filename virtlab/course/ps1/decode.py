"""Task 1 of problem set 1: who answers at an address. The judge is the bus.

Each question is one access. `AddressSpace` gets a device for each mapping and is asked the same;
its trace says who answered, or that the access was unclaimed or ran over an edge. The fixed
questions stand at the edges, and the random maps put devices side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.bus import AddressSpace
from virtlab.course.answers import Answer
from virtlab.course.tasks import Case, Difference, Run, Task, same, shown

LOOK_WHOLE = "an access belongs to one device as a whole, first byte and last (virtlab.bus, rule 2)"

Map = list[tuple[int, int, str]]

PC_PORTS: Map = [(0x3F8, 8, "uart"), (0x60, 1, "keyboard"), (0x20, 2, "pic"), (0x22, 4, "timer")]
"""Four devices, not in order; `pic` and `timer` are neighbours."""


class _Nothing:
    """A device that answers zero."""

    def read(self, offset: int, size: int) -> int:
        """Zero."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing changes."""


def _bus_says(mappings: Map, address: int, size: int) -> str | None:
    """The judge: the real bus, asked for one access."""
    space = AddressSpace("memory", 32)
    for base, length, name in mappings:
        space.map(base, length, _Nothing(), name)
    with space.trace.recording() as events:
        space.read(address, size)
    return events[0].who if events[0].kind == "load" else None


def _decode(
    answer: Answer, mappings: Map, questions: Iterable[tuple[int, int]]
) -> Difference | None:
    lines = ", ".join(f"({base:#x}, {length}, {name!r})" for base, length, name in mappings)
    for address, size in questions:
        answer.given = f"mappings [{lines}]\naddress {address:#x}, size {size}"
        expected = _bus_says(mappings, address, size)
        yours = answer.call("who_answers", list(mappings), address, size)
        if not same(expected, yours):
            return Difference(shown(expected), shown(yours), LOOK_WHOLE)
    return None


def _asks(*questions: tuple[int, int]) -> Run:
    return lambda answer, rng: _decode(answer, PC_PORTS, questions)


def _any_map(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(12):
        base, mappings = rng.randrange(64), []
        for name in "abcdef":
            length = rng.choice((1, 2, 4, 8, 16))
            mappings.append((base, length, name))
            base += length + rng.choice((0, 0, 1, 5))
        rng.shuffle(mappings)
        edges = [edge for start, length, _ in mappings for edge in (start, start + length)]
        near = [max(0, edge - rng.randrange(5)) for edge in rng.sample(edges, 8)]
        questions = [(address, rng.choice((1, 2, 4))) for address in near]
        if found := _decode(answer, mappings, questions):
            return found
    return None


DECODE = Task(
    "ps1.q1",
    "who answers at an address",
    ("who_answers",),
    ("S02", "S03"),
    lines=4,
    minutes=10,
    difficulty=1,
    points=2,
    cases=(
        Case("inside a device", _asks((0x3FA, 1), (0x23, 1))),
        Case("its first address", _asks((0x3F8, 1), (0x60, 1), (0x20, 1))),
        Case("its last address", _asks((0x3FF, 1), (0x21, 1))),
        Case("nobody there", _asks((0x400, 1), (0x3F7, 1), (0x61, 1), (0x80, 1), (0x26, 1))),
        Case("wide, and all of it inside", _asks((0x3F8, 4), (0x3FC, 4), (0x20, 2), (0x22, 4))),
        Case("off the end of one", _asks((0x3FE, 4), (0x60, 2), (0x25, 2))),
        Case("into one from below", _asks((0x3F7, 2), (0x5F, 2), (0x1E, 4))),
        Case("from one into its neighbour", _asks((0x21, 2), (0x20, 4))),
        Case("any map", _any_map),
    ),
    hints=(
        "Two numbers decide: the first byte of the access and its last. Write both down for the "
        "example, beside the first and last address of the device.",
        "The last byte of an access is at address + size - 1; a device's last address is base + "
        "length - 1. Where must both bytes of the access lie?",
        "Go through the mappings one by one. Return the name at once where the whole access is "
        "inside; after the loop only one value is left to return. Mappings do not overlap, so "
        "their order does not matter.",
    ),
)
