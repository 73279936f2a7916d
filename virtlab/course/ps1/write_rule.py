"""Task 6 of problem set 1: the write rule. The judge is a `RegisterFile` with one register.

A case is a list of writes, each with the register's old value and its masks. The first cases write
the whole register, the later ones some of its bytes. The report names the lowest bit that differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from virtlab.course.answers import Answer
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import all_ones

LOOK_RULE = (
    "rw takes the value, a 1 in w1c clears, the rest stays; in the written bytes only (lesson 02)"
)

Write = tuple[int, int, int, int, int, int]


def _register_says(old: int, new: int, offset: int, size: int, rw: int, w1c: int) -> int:
    """The judge: a device with one register."""

    class One(RegisterFile):
        R = Reg(0, 4, reset=old, rw=rw, w1c=w1c)

    device = One()
    device.write(offset, size, new & all_ones(size))
    return device.R


def _written(answer: Answer, writes: Iterable[Write]) -> Difference | None:
    for write in writes:
        old, new, offset, size, rw, w1c = write
        register = f"old {old:#010x}, rw {rw:#010x}, w1c {w1c:#010x}"
        answer.given = f"{register}\nnew {new:#x}, size {size}, offset {offset}"
        expected = _register_says(*write)
        yours = answer.call("written", *write)
        if not same(expected, yours):
            found = compare(expected, yours, LOOK_RULE)
            return found and found._replace(access=_bits(expected, yours))
    return None


def _bits(expected: int, yours: object) -> str:
    """Which bits differ, where the answer is a number."""
    if type(yours) is not int:
        return ""
    wrong = (expected ^ yours) & all_ones(8)
    bit = (wrong & -wrong).bit_length() - 1
    return f"the lowest bit that differs is bit {bit}, in byte {bit // 8} of the register"


def _writes(*writes: Write) -> Run:
    return lambda answer, rng: _written(answer, writes)


def _any_write(answer: Answer, rng: Random) -> Difference | None:
    writes = []
    for _ in range(60):
        size = rng.choice((1, 2, 4))
        rw, any_w1c = rng.getrandbits(32), rng.getrandbits(32)
        offset = rng.randrange(0, 5 - size)
        writes.append((rng.getrandbits(32), rng.getrandbits(32), offset, size, rw, any_w1c & ~rw))
    return _written(answer, writes)


ALL = all_ones(4)

WRITTEN = Task(
    "ps1.q6",
    "the write rule",
    ("written",),
    ("S03",),
    lines=5,
    minutes=20,
    difficulty=3,
    points=4,
    cases=(
        Case("writable bits take the value", _writes((0x11223344, 0xAABBCCDD, 0, 4, ALL, 0))),
        Case("the others keep theirs", _writes((0x11223344, 0xAABBCCDD, 0, 4, 0x00FF00F0, 0))),
        Case(
            "a written 1 clears", _writes((0xFF, 0x0F, 0, 4, 0, 0x3C), (0x00, 0xFF, 0, 4, 0, ALL))
        ),
        Case("rw and w1c in one register", _writes((0xF0F0, 0x3333, 0, 4, 0x00FF, 0xFF00))),
        Case("the low byte alone", _writes((0x11223344, 0x99, 0, 1, ALL, 0))),
        Case("a byte in the middle", _writes((0x11223344, 0x99, 1, 1, ALL, 0))),
        Case("two bytes at the top", _writes((0x11223344, 0xBEEF, 2, 2, ALL, 0))),
        Case("only the written bytes clear", _writes((ALL, 0xFF, 3, 1, 0, 0xF0F0F0F0))),
        Case(
            "more value than size", _writes((0, 0x123456, 0, 1, ALL, 0), (0, 0xABCDE, 1, 2, ALL, 0))
        ),
        Case("any write", _any_write),
    ),
    hints=(
        "Start with size 4 and offset 0. There the rule of the lesson is the whole answer.",
        "A write of size bytes at a byte offset touches only some bits of the register. Make a "
        "mask of those bits: 8 * size ones, shifted up by 8 * offset.",
        "Move new to its place (new << 8 * offset) and cut it with the mask. Cut rw and w1c with "
        "the same mask. Then the rule works for every size, because a bit that is neither rw nor "
        "w1c keeps its value.",
    ),
)
