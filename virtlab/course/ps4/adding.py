"""Task 3 of problem set 4: add_buf and kick. Judges: a device that looks, and the accesses.

After each call the library's `SplitQueue` reads the student's ring as a device would: before the
kick it must see nothing new, afterwards the chain. What was stored, and where, is noted; so a store
into a descriptor that the device has is found too.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps4.driver_bench import Bench, Piece
from virtlab.course.tasks import Case, Difference, Run, Task

OUT: list[Piece] = [(0x8000, 16)]
IN: list[Piece] = [(0x9000, 512), (0x8010, 1)]
Step = tuple[list[Piece], list[Piece], str] | str | int
"""A buffer to add; "kick" or "silent kick"; or a head that comes back."""


def _does(size: int, *steps: Step, start: int = 0, free: list[int] | None = None) -> Run:
    """A driver of a queue of `size` that does this."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        bench = Bench(answer, size, start, free)
        return first(_step(bench, step) for step in steps)

    return run


def _step(bench: Bench, step: Step) -> Difference | None:
    if isinstance(step, tuple):
        return bench.add(*step)
    if isinstance(step, int):
        bench.give_back(step)
        return None
    return bench.kick(silent=step == "silent kick")


READ: Step = (OUT, [], "a")
FILL: Step = ([], IN[:1], "b")
DISK: Step = (OUT, IN, "c")
KICK, SILENT = "kick", "silent kick"


def _any_driver(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(3):
        size = 1 << rng.randrange(1, 6)
        free = rng.sample(range(size), size)
        bench = Bench(answer, size, rng.choice((0, 65530, rng.randrange(1 << 20))), free)
        for number in range(40):
            out, in_ = (_some(rng) for _ in range(2))
            back = [head for head in bench.chains if head in bench.popped]
            step: Step = (out or OUT, in_, f"t{number}")
            if rng.random() < 0.5:
                step = rng.choice((KICK, KICK, SILENT, rng.choice(back) if back else KICK))
            if found := _step(bench, step):
                return found
    return None


def _some(rng: Random) -> list[Piece]:
    return [
        (rng.randrange(0x8000, 0xF000), rng.randrange(1, 4096)) for _ in range(rng.randrange(3))
    ]


ADD = Task(
    "ps4.q3",
    "add a buffer and kick",
    ("add_buf", "kick"),
    ("S37", "S38", "S39"),
    lines=18,
    minutes=25,
    difficulty=3,
    points=5,
    cases=(
        Case("one buffer to read", _does(8, READ)),
        Case("one buffer to write", _does(8, FILL)),
        Case("three descriptors", _does(8, DISK)),
        Case("two buffers", _does(8, DISK, READ)),
        Case("a free list in disorder", _does(8, DISK, READ, free=[6, 1, 4, 0, 7, 2, 5, 3])),
        Case("just enough room", _does(4, DISK, READ)),
        Case("no room", _does(4, DISK, DISK, READ, READ)),
        Case("a kick", _does(8, READ, KICK)),
        Case("two buffers, one kick", _does(8, READ, FILL, KICK)),
        Case("nothing to kick", _does(8, KICK, READ, KICK, KICK)),
        Case("the device is not listening", _does(8, READ, SILENT, FILL, KICK, SILENT)),
        Case(
            "round the ring",
            _does(4, READ, KICK, FILL, KICK, 0, 1, DISK, KICK, 2, READ, KICK),
            costs=True,
        ),
        Case("freed in another order", _does(4, READ, FILL, READ, KICK, 2, 0, DISK, KICK)),
        Case("past entry 65535", _does(8, READ, KICK, FILL, KICK, DISK, KICK, start=65534)),
        Case("long after", _does(8, READ, KICK, DISK, KICK, start=0x2_FFFF)),
        Case("any driver", _any_driver),
    ),
    hints=(
        "Take one buffer of one piece: which bytes are written where, and which are written only "
        "by kick? Note that the entry holds the head, not a position.",
        "Take the slots off the list first. Then each piece with its slot is a descriptor, and all "
        "but the last know which slot comes next. What the record keeps of a chain is what get_buf "
        "will need.",
        "out comes first with flags 0, then in_ with WRITE; add NEXT to all but the last. The "
        "entry is 2 bytes at avail + 4 + 2 * (added % size). kick: compare added with exposed, "
        "store added & 0xffff at avail + 2, and only then read flags at used.",
    ),
)
