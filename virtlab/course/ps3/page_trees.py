"""The tables of task 5 of problem set 3: entries planted at any level, right or wrong.

The idea: `Tree` is the VMM that made them, and a hostile hand. Who asks the library's `Ept` about
it gets the processor's answer.
"""

from __future__ import annotations

from contextlib import suppress

from virtlab.course.ps3.machines import Memory
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.ept import RIGHTS, Ept
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import Walk

SMALL, LARGE, HUGE = PAGE, 1 << 21, 1 << 30
LEVEL = {SMALL: 1, LARGE: 2, HUGE: 3}
"""Where the entry of a page of that size stands."""

RWX, RW, WB, UC = 7, 3, 6, 0
"""Rights, and two memory types: write-back, and uncacheable."""

TABLES = 48
"""Frames of the host, all for tables."""

ADDRESS = (1 << 52) - PAGE
"""The bits of an entry that name a frame."""


def index(gpa: int, level: int) -> int:
    """Which entry of a table of `level` a gpa chooses."""
    return gpa >> shift(level) & 0x1FF


def shift(level: int) -> int:
    """The lowest bit of the gpa that a level looks at: its page has 2 to that power bytes."""
    return 3 + 9 * level


class Tree:
    """Tables in a small host; entries may be planted at any level."""

    def __init__(self) -> None:
        self.ram = GuestMemory(TABLES * PAGE)
        self.frames = Frames(self.ram, 0, TABLES)
        self.frames.take()  # so that no table lies at 0
        self.ept = Ept(self.frames)
        self.memory = Memory(self.ram)

    def plant(self, gpa: int, level: int, entry: int) -> None:
        """Let `entry` be the one of `gpa` at `level`; tables above it are made."""
        table = self.ept.root
        for above in range(4, level, -1):
            at = table + 8 * index(gpa, above)
            if not RIGHTS.get(self.ram.load(at, 8)):
                self.ram.store(at, 8, self.frames.take() | RWX)
            table = self.ram.load(at, 8) & ADDRESS
        self.ram.store(table + 8 * index(gpa, level), 8, entry)

    def spoil(self, gpa: int, level: int, flip: int) -> None:
        """Change bits of the entry that a walk for `gpa` uses at `level`, if it comes so far.

        A table may lie where the host has no memory, after an entry above it was spoilt.
        """
        for step in self.ept.walk(gpa).steps:
            if step.level == level:
                with suppress(DmaFault):
                    self.ram.store(step.entry_at, 8, step.entry ^ flip)


def text(walk: Walk) -> str:
    """The entries on the way, as a report shows them."""
    return ", ".join(f"level {step.level} {step.entry:#x}" for step in walk.steps) or "no entry"
