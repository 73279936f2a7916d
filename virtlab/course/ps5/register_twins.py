"""A twin of the device of task 3 of problem set 5, a pair of both, and a bus with one of them.

The idea: the twin is the table that the student reads, written in ten lines. A pair gives both the
same accesses and compares every read; a look says which row of the table it was.

The rule that keeps it simple: the student's device is only ever called, never looked into.
"""

from __future__ import annotations

from virtlab.bus import Device
from virtlab.course.answers import Answer, Built
from virtlab.course.budget import BudgetCpu
from virtlab.course.given.random_numbers import numbers
from virtlab.course.ps4.machines import Stepped, budgeted
from virtlab.course.tasks import Difference, compare
from virtlab.memory import GuestMemory

SEED, NEXT, LENGTH = 0, 4, 8
WORD = 4

LOOK_NEXT = "NEXT: the state becomes xorshift(state), and that is what is read"
LOOK_SEED = "SEED: the state becomes the value written; 0 counts as 1"
LOOK_WRITE_ONLY = "SEED reads as 0, and reading it changes nothing"
LOOK_OTHER = "only 4 bytes at offset 0 or 4 are a register; the rest reads as 0 and changes nothing"
LOOK_BUS = "an access of 8 bytes comes as two of 4: the lower offset first"
LOOK_OWN = "each device has a state of its own"
LOOK_FILL = "little-endian, four bytes a number, cut to the length"
LOOK_ACCESSES = "one store of SEED, then one load of NEXT for each number needed, no more"

Step = tuple[str, int, int, int]
"""A verb, offset, size, and the value written."""


class Twin:
    """The device that the text of task 3 describes."""

    def __init__(self) -> None:
        self.state = 1

    def read(self, offset: int, size: int) -> int:
        """NEXT, or nothing."""
        if (offset, size) != (NEXT, WORD):
            return 0
        self.state = numbers(self.state, 1)[0]
        return self.state

    def write(self, offset: int, size: int, value: int) -> None:
        """SEED, or nothing."""
        if (offset, size) == (SEED, WORD):
            self.state = value or 1


class Pair:
    """The student's device and its twin, given the same accesses."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.twin = Twin()
        self.said: list[str] = []
        self._tell()
        self.built: Built = answer.build("RandomSource")

    def step(self, step: Step) -> Difference | None:
        """One access of both; the difference of what they read, if any."""
        verb, offset, size, value = step
        wrote = verb == "write"
        self.said.append(f"{verb}({offset:#x}, {size}{f', {value:#x}' if wrote else ''})")
        self._tell()
        if wrote:
            self.twin.write(offset, size, value)
            self.built.call("write", offset, size, value)
            return None
        return compare(
            self.twin.read(offset, size), self.built.call("read", offset, size), self._look(step)
        )

    def _look(self, step: Step) -> str:
        _, offset, size, _ = step
        if (offset, size) == (SEED, WORD):
            return LOOK_WRITE_ONLY
        if (offset, size) != (NEXT, WORD):
            return LOOK_OTHER
        last = [one for one in self.said[:-1] if not one.startswith(f"read({NEXT:#x}, {WORD}")]
        if not last:
            return LOOK_NEXT
        return LOOK_SEED if last[-1].startswith(f"write({SEED:#x}, {WORD}") else LOOK_OTHER

    def _tell(self) -> None:
        cut = "... " if len(self.said) > 8 else ""
        self.answer.given = f"RandomSource(); {cut}{', '.join(self.said[-8:])}".rstrip("; ")


class Mapped:
    """A student's device as the bus has it."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.odd: object = 0

    def read(self, offset: int, size: int) -> int:
        """What it reads; 0 for what is no number, and that is kept."""
        value = self.built.call("read", offset, size)
        if type(value) is int:
            return value
        self.odd = value
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """What is written."""
        self.built.call("write", offset, size, value)


def guest(device: Device, base: int) -> BudgetCpu:
    """A guest's processor with that device at `base`."""
    cpu = Stepped(GuestMemory(1 << 12))
    cpu.memory.map(base, LENGTH, device, "random", width=WORD)
    return budgeted(cpu)
