"""Task 1 of problem set 5: eight steps to a live device. The judge is a device that watches.

The cases of negotiate go from what both know to what lacks something, then to devices that are not
there, slow, of another age, or that do not agree. Those of set_up end with queues that cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import all_of
from virtlab.course.ps5.negotiations import FOREVER, Bits, Negotiation, Place, SetUp
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.virtio.features import to_bits

BASES = (0xFEB0_0000, 0xA00_0000, 0x1_0000_0200)
"""Where the device may be."""


def _asks(offered: Bits = (), understood: Bits = (), **how: Any) -> Run:
    """One negotiation, with the device at some base."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        return Negotiation(offered, understood, **how).run(answer, rng.choice(BASES))

    return run


def _sets(sizes: Bits, *wanted: Place, used: int = -1) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        return SetUp(sizes, wanted, used).run(answer, rng.choice(BASES))

    return run


def _some(rng: Random, of: Iterable[int], share: float) -> Bits:
    return tuple(bit for bit in of if rng.random() < share)


OTHERS = (*range(24), *range(50, 64))
"""Features of device types: none of them changes how a queue lies."""


def _any_device(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(10):
        share = rng.choice((0.1, 0.5, 0.9))
        offered, understood = _some(rng, OTHERS, share), _some(rng, OTHERS, rng.random())
        needs = {
            bit: to_bits(rng.sample(OTHERS, rng.randrange(1, 3))) for bit in _some(rng, OTHERS, 0.2)
        }
        insists = needs | ({rng.choice(OTHERS): 1 << rng.choice(OTHERS)} if share > 0.4 else {})
        one = Negotiation(
            offered,
            understood,
            needs,
            insists=insists,
            slow=rng.choice((0, 0, 1, 50)),
            version_1=rng.random() < 0.9,
            used=rng.random() < 0.3,
        )
        if found := one.run(answer, rng.choice(BASES)):
            return found
    return None


def _any_queues(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(8):
        count = rng.randrange(1, 5)
        sizes = tuple(1 << rng.randrange(9) for _ in range(count))
        places: list[Place] = []
        for number in range(rng.randrange(1, count + 1 + (rng.random() < 0.2))):
            most = sizes[number] if number < count else 8
            at = 0x100 * rng.randrange(1 << rng.choice((10, 30, 48)))
            size = 1 << rng.randrange(most.bit_length() + (rng.random() < 0.1))
            places.append((size, at, at + 0x10000 * rng.randrange(1, 9), at + 0x100000))
        used = rng.randrange(count) if rng.random() < 0.15 else -1
        if found := SetUp(sizes, tuple(places), used).run(answer, rng.choice(BASES)):
            return found
    return None


NEGOTIATE = Task(
    "ps5.q1",
    "eight steps to a live device",
    ("negotiate", "set_up"),
    ("S29", "S36"),
    lines=45,
    minutes=40,
    difficulty=3,
    points=6,
    cases=(
        Case("nothing but VERSION_1", _asks()),
        Case("what both know", _asks((0, 5, 9), (5, 9, 17)), costs=True),
        Case("the high word", _asks((3, 50, 57, 63), (3, 57, 62))),
        Case("a device that offers everything", _asks(OTHERS, (0, 23, 51))),
        Case("a driver that understands everything", _asks((2, 23), OTHERS)),
        Case("a feature with what it needs", _asks((1, 7), (1, 7), needs={7: 1 << 1})),
        Case("a feature without it", _asks((1, 7), (7, 8), needs={7: 1 << 1})),
        Case(
            "one of two is missing",
            all_of(
                _asks((7, 10), (7, 10, 1), needs={7: 1 << 1 | 1 << 10}),
                _asks((7, 55), (7, 55), needs={7: 1 << 55 | 1 << 60}),
            ),
        ),
        Case(
            "a chain of needs",
            all_of(
                _asks((2, 3, 4), (1, 2, 3, 4), needs={4: 1 << 3, 3: 1 << 2, 2: 1 << 1}),
                _asks((2, 3, 4), (1, 2, 3, 4), needs={2: 1 << 1, 3: 1 << 2, 4: 1 << 3}),
            ),
        ),
        Case("two that need each other", _asks((5, 6), (5, 6), needs={5: 1 << 6, 6: 1 << 5})),
        Case("no virtio here", all_of(_asks(magic=0), _asks(magic=0xFFFF_FFFF))),
        Case("another version", all_of(_asks(version=1), _asks(version=3))),
        Case("an empty window", _asks(device_id=0)),
        Case("its last driver left it live", _asks((4,), (4,), used=True)),
        Case("a slow reset", all_of(*(_asks((4,), (4,), slow=n, used=n > 1) for n in (1, 40, 99)))),
        Case("a reset that never ends", _asks((4,), (4,), slow=FOREVER)),
        Case("a legacy device", _asks((4, 5), (4,), version_1=False)),
        Case(
            "the device does not agree",
            all_of(
                _asks((5, 7), (5,), insists={5: 1 << 7}),
                _asks((0, 50, 51), (0, 51), insists={51: 1 << 50}),
            ),
        ),
        Case("any device", _any_device),
        Case("one queue", _sets((8,), (8, 0x1000, 0x2000, 0x3000)), costs=True),
        Case(
            "an address beyond 4 GiB",
            _sets((64,), (64, 0x1_2345_6000, 0x7_0000_1000, 0xFFFF_FFFF_0000)),
        ),
        Case(
            "three queues",
            _sets(
                (8, 8, 64),
                (8, 0x1000, 0x2000, 0x3000),
                (8, 0x4000, 0x5000, 0x6000),
                (64, 0x8000, 0x9000, 0xA000),
            ),
        ),
        Case("a smaller queue", _sets((256,), (16, 0x1000, 0x2000, 0x3000))),
        Case("fewer queues than there are", _sets((8, 8), (8, 0x1000, 0x2000, 0x3000))),
        Case("no queue wanted", _sets((8,))),
        Case(
            "no such queue",
            _sets((8,), (8, 0x1000, 0x2000, 0x3000), (8, 0x4000, 0x5000, 0x6000)),
        ),
        Case("too large", _sets((8,), (16, 0x1000, 0x2000, 0x3000))),
        Case("in use already", _sets((8,), (8, 0x1000, 0x2000, 0x3000), used=0)),
        Case("a queue where none may lie", _sets((8,), (8, 0x1008, 0x2000, 0x3000))),
        Case("any queues", _any_queues),
    ),
    hints=(
        "Write the steps as a list of loads and stores first, for a device without features of its "
        "own. STATUS is at 0x70. Which value has it after each step, and what comes between?",
        "A word of features is behind a selector: store 0 or 1 in it, then load or store the word. "
        "For the needs, take away what lacks something, and look again until nothing lacks "
        "anything. The last step of a failure is always the same, so make it a function.",
        "for ... else in Python runs the else if no break happened: that fits the reset. "
        "The high word is the number shifted right by 32, and the low one the number & 0xffffffff. "
        "In set_up ask both questions right after the selector, before anything is written.",
    ),
)
