"""Task 2 of problem set 4: walk a chain that a guest wrote. The judge is `walks.expected`.

A case is a descriptor table in memory, and perhaps an indirect one. Besides the answer it counts
what was read: a descriptor that is read twice may be two descriptors.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import PATTERN, Memory
from virtlab.course.ps4.machines import compare_buffers
from virtlab.course.ps4.walks import (
    DISK,
    INNER,
    INSIDE,
    RUN,
    STEP,
    Descriptor,
    I,
    N,
    W,
    any_chain,
    any_descriptor,
    chain,
    expected,
    lay,
    points,
    table_text,
)
from virtlab.course.tasks import Case, Difference, Run, Task
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import INDIRECT

RAM, TABLE = 0x1_0000, 0x2000
"""Bytes of memory, and where the queue's table is."""

LOOKS = {
    "range": "head and next are indices of the table that is being walked (virtio 1.3 2.7.5)",
    "long": "at most `size` descriptors in a chain, a table's among them (virtio 1.3 2.7.5.3.1)",
    "indirect": "when INDIRECT is allowed, and of which length (virtio 1.3 2.7.5.3, 2.7.5.3.1)",
    "memory": "from its first byte to its last it lies in memory (virtio 1.3 2.7.5)",
    "empty": "a buffer has bytes (virtio 1.3 2.7.13.1)",
    "order": "what the device reads comes first (virtio 1.3 2.7.4.2)",
}
LOOK_WALK = "addr, len, flags, next; NEXT is 1, WRITE is 2 (virtio 1.3 2.7.5)"
LOOK_TABLE = "an indirect table is walked from its entry 0 (virtio 1.3 2.7.5.3.2)"
LOOK_ONCE = "the guest may change it in between: read a descriptor once, in one piece"

Tables = tuple[list[Descriptor], list[Descriptor]]


def _walk(
    answer: Answer, ram: GuestMemory, size: int, head: int, indirect: bool, told: str
) -> Difference | None:
    """Let the student walk once."""
    right = expected(ram, TABLE, size, head, indirect)
    memory = Memory(ram)
    answer.given = f"walk(memory, {TABLE:#x}, {size}, {head}, {indirect}): {told}"
    yours = answer.call("walk", memory, TABLE, size, head, indirect)
    inside = isinstance(right, list) and "INDIRECT" in told
    look = LOOKS[right] if isinstance(right, str) else LOOK_TABLE if inside else LOOK_WALK
    if isinstance(right, list) and isinstance(yours, str):
        look = LOOKS.get(yours, look)
    return compare_buffers(right, yours, look) or (None if right == "long" else _once(memory))


def _once(memory: Memory) -> Difference | None:
    """Whether any descriptor was read twice. (A loop is read as often as it is walked.)"""
    seen: set[int] = set()
    for access in memory.accesses:
        cells = range(access.address // STEP, -(-(access.address + access.length) // STEP))
        for cell in cells:
            if cell in seen:
                said = f"more than one read of {cell * STEP:#x}"
                return Difference("each descriptor is read once", said, LOOK_ONCE)
        seen.update(cells)
    return None


def memory_with(main: list[Descriptor], inner: list[Descriptor]) -> GuestMemory:
    """Memory with the queue's table in it, and an indirect one."""
    ram = GuestMemory(RAM)
    ram.bytes[:] = PATTERN
    lay(ram, TABLE, main)
    lay(ram, INNER, inner)
    return ram


def _walks(
    entries: dict[int, Descriptor],
    *heads: int,
    inner: list[Descriptor] | None = None,
    size: int = 8,
    indirect: bool = True,
) -> Run:
    """Walks of one table."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        main, table = [entries.get(index, (0, 0, 0, 0)) for index in range(size)], inner or []
        told = (
            table_text(main, "t") + ("; " if table else "") + table_text(table, f"at {INNER:#x} ")
        )
        for head in heads:
            if found := _walk(answer, memory_with(main, table), size, head, indirect, told):
                return found
        return None

    return run


def _both(*runs: Run) -> Run:
    def run(answer: Answer, rng: Random) -> Difference | None:
        return next((found for one in runs if (found := one(answer, rng))), None)

    return run


def _good(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(25):
        ram = memory_with([], [])
        size = 1 << rng.randrange(8)
        head = any_chain(rng, ram, TABLE, size)
        if found := _walk(answer, ram, size, head, True, "a good chain by chance"):
            return found
    return None


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(80):
        size = 1 << rng.randrange(5)
        main = [any_descriptor(rng, RAM, size) for _ in range(size)]
        inner = [any_descriptor(rng, RAM, size) for _ in range(rng.randrange(1, 6))]
        for index, one in enumerate(main):
            if one[2] & INDIRECT and rng.random() < 0.6:
                length = STEP * rng.choice((1, len(inner), len(inner), 40))
                main[index] = (INNER, length, rng.choice((I, I, I | W, I | N)), one[3])
        told = table_text(main, "t") + "; " + table_text(inner, f"at {INNER:#x} ")
        head = rng.choice((rng.randrange(size), rng.randrange(size), rng.getrandbits(16)))
        answered = _walk(answer, memory_with(main, inner), size, head, rng.random() < 0.8, told)
        if answered:
            return answered
    return None


WALK = Task(
    "ps4.q2",
    "walk a chain",
    ("walk",),
    ("S33", "S37", "B02"),
    lines=30,
    minutes=30,
    difficulty=4,
    points=6,
    cases=(
        Case("one descriptor", _walks({3: (0x4000, 16, 0, 0)}, 3)),
        Case("one to be written", _walks({3: (0x4000, 16, W, 0)}, 3)),
        Case("two chained", _walks(chain(3, 4), 3)),
        Case("in disorder", _walks(DISK, 3, 1, 6)),
        Case("next without NEXT", _walks(chain(5, 2, last=5), 5, 2)),
        Case("reserved flags", _walks({0: (0x4000, 8, 0xFFF8 | N, 7), 7: (64, 8, 0x80, 0)}, 0)),
        Case("the whole queue", _walks(chain(3, 1, 2, 0, 7, 6, 5, 4), 3)),
        Case("a head out of range", _walks(chain(3, 4), 8, 0xFFFF)),
        Case(
            "next out of range",
            _both(_walks({1: (64, 8, N, 8)}, 1), _walks({0: (64, 8, N, 1)}, 0, size=1)),
        ),
        Case(
            "a loop",
            _both(_walks({2: (64, 8, N, 2)}, 2), _walks({2: (64, 8, N, 4), 4: (64, 8, N, 2)}, 2)),
        ),
        Case(
            "a loop behind a tail",
            _walks({0: (64, 8, N, 1), 1: (64, 8, N, 2), 2: (64, 8, N, 1)}, 0),
        ),
        Case("a buffer of 0 bytes", _walks({0: (64, 8, N, 1), 1: (64, 0, 0, 0)}, 1, 0)),
        Case(
            "outside memory",
            _walks(
                {
                    0: (RAM, 1, 0, 0),
                    1: (RAM - 8, 9, 0, 0),
                    2: ((1 << 64) - 1, 16, W, 0),
                    3: (64, 0xFFFF_FFFF, 0, 0),
                },
                0,
                1,
                2,
                3,
            ),
        ),
        Case("the last byte", _walks({0: (RAM - 1, 1, 0, 0), 1: (0, RAM, W, 0)}, 0, 1)),
        Case("readable behind writable", _walks({0: (64, 8, N | W, 1), 1: (64, 8, 0, 0)}, 0)),
        Case("an indirect table", _walks(points(48), 2, inner=INSIDE)),
        Case("its WRITE means nothing", _walks(points(48, I | W), 2, inner=INSIDE)),
        Case(
            "behind other descriptors",
            _walks({0: (0x6000, 8, N, 2)} | points(48), 0, inner=INSIDE),
        ),
        Case("not negotiated", _walks(points(48), 2, inner=INSIDE, indirect=False)),
        Case("INDIRECT and NEXT", _walks({5: (64, 8, 0, 0)} | points(48, I | N), 2, inner=INSIDE)),
        Case("a table in a table", _walks(points(32), 2, inner=[(64, 8, N, 1), (INNER, 16, I, 0)])),
        Case("its length", _both(*(_walks(points(n), 2, inner=INSIDE) for n in (0, 8, 24, 49)))),
        Case(
            "a table outside memory",
            _both(
                _walks(points(0xFFFF_FFF0), 2),
                _walks(points(16, addr=1 << 60), 2),
                _walks(points(32, addr=RAM - 16), 2),
            ),
        ),
        Case("next inside a table", _walks(points(32), 2, inner=INSIDE)),
        Case(
            "a table longer than the queue",
            _walks(points(16 * 12), 2, inner=[(64, 8, N, 10), *RUN[:9], (96, 8, 0, 0)]),
        ),
        Case(
            "a chain longer than the queue",
            _both(
                _walks(points(16 * 12), 2, inner=RUN),
                _walks(
                    chain(0, 1, 3, 4) | {4: (64, 4, N, 2)} | points(16 * 5),
                    0,
                    inner=[*RUN[:4], RUN[-1]],
                ),
            ),
        ),
        Case(
            "just as long as the queue",
            _walks(
                chain(0, 1, 3, 4) | {4: (64, 4, N, 2)} | points(16 * 4),
                0,
                inner=[*RUN[:3], RUN[-1]],
            ),
        ),
        Case("a loop in a table", _walks(points(32), 2, inner=[(64, 8, N, 1), (64, 8, N, 0)])),
        Case(
            "two mistakes",
            _both(
                _walks({0: (64, 0, N | W, 1), 1: (64, 8, N, 9)}, 0),
                _walks({0: (64, 8, N | W, 1), 1: (64, 8, N, 2), 2: (64, 0, 0, 0)}, 0),
                _walks({0: (RAM, 8, N | W, 1), 1: (64, 8, 0, 0)}, 0),
            ),
        ),
        Case("any chain", _good),
        Case("hostile tables", _hostile),
    ),
    hints=(
        "First without INDIRECT: a loop that takes one descriptor from memory, adds a buffer, and "
        "goes on if NEXT is set. What must be asked before memory is read?",
        "An indirect table is walked like the queue's own; only where it lies and how many entries "
        "it has are different. Walk first, and look at the buffers when the walk is over.",
        "Keep three things: where the table is, its entries, the index. Ask in each round for the "
        "index, then for how many buffers there are already. At INDIRECT the three change, and "
        "from there on INDIRECT is not allowed. int.from_bytes takes a number out of 16 bytes.",
    ),
)
