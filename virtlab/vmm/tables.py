"""Four levels of tables in memory: the tree that EPT and 64-bit paging have in common.

A table is one frame of 512 entries of 8 bytes. Nine bits of the address choose the entry at each
level; it points to the next table, or to the page itself.

      47         39 38         30 29         21 20         12 11            0
     +-------------+-------------+-------------+-------------+---------------+
     |   level 4   |   level 3   |   level 2   |   level 1   |    offset     |
     +-------------+-------------+-------------+-------------+---------------+
     |  512 GiB    |  1 GiB page |  2 MiB page |  4 KiB page |               |

The rule that keeps it simple: this class walks, and asks its subclass about each entry with one
question, `problem(entry, level)`. The walk keeps every step, so a picture can light each entry and
a test can compare them. It is bounded by the four levels, whatever the memory holds.

Sources: SDM 3A 4.5 (4-level paging), SDM 3C 29.3.2 (EPT). Left out: five levels, and the TLB, so a
changed entry is seen at once. Mapping makes 4 KiB pages; larger ones are understood on the walk.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from virtlab.errors import DmaFault
from virtlab.memory import PAGE
from virtlab.vmm.exits import MemoryExit
from virtlab.vmm.frames import Frames
from virtlab.wire import Bits, all_ones

INDEX = {4: Bits(47, 39), 3: Bits(38, 30), 2: Bits(29, 21), 1: Bits(20, 12)}
"""The bits of an address that choose the entry at each level."""

ADDRESS = Bits(51, 12)
"""The bits of an entry that name a frame: the next table, or the page."""

LARGE = Bits(7)
"""Set in an entry of level 3 or 2 that maps a page of 1 GiB or 2 MiB."""

NOT_PRESENT = "not present"


class Step(NamedTuple):
    """One entry that a walk used: its `level`, where it lies, and its 64 bits."""

    level: int
    entry_hpa: int
    entry: int


class Walk(NamedTuple):
    """A translation: the `steps` taken, and its end.

    Either `problem` says in words why it stopped at the last step, or `hpa` is the host-physical
    address, on a page of `page_size` bytes.
    """

    gpa: int
    steps: tuple[Step, ...]
    problem: str = ""
    hpa: int = 0
    page_size: int = 0

    @property
    def common(self) -> int:
        """The bits that are set in every entry used."""
        word = all_ones(8)
        for step in self.steps:
            word &= step.entry
        return word


def is_leaf(entry: int, level: int) -> bool:
    """Whether an entry ends the walk: it maps a page and points to no table."""
    return level == 1 or (level < 4 and LARGE.get(entry) == 1)


class Tables:
    """A tree of tables whose frames come from `frames`; `root` is the top one.

    `width` is the processor's physical-address width in bits (MAXPHYADDR): the bits of an entry
    from there to 51 are reserved.
    """

    TABLE: ClassVar[int] = 0
    """The low bits of an entry that points to a table."""

    def __init__(self, frames: Frames, width: int = 46) -> None:
        self.frames = frames
        self.memory = frames.memory
        if not 32 <= width <= 52:
            raise ValueError(f"a physical address has 32 to 52 bits, not {width}")
        self.beyond_width = ADDRESS.mask & -(1 << width)
        self.root = frames.take()

    # -- what a kind of table decides

    def problem(self, entry: int, level: int) -> str:
        """Why the processor stops at this entry: empty if it does not."""
        raise NotImplementedError

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | MemoryExit:
        """The host-physical address of an access inside one page, or the exit that it causes."""
        raise NotImplementedError

    # -- the processor's side

    def walk(self, gpa: int) -> Walk:
        """Translate `gpa` and tell every step. Addresses past 48 bits are not present."""
        steps: list[Step] = []
        if gpa >> 48:
            return Walk(gpa, (), NOT_PRESENT)
        level, table = 4, self.root
        while True:
            entry_hpa = table + 8 * INDEX[level].get(gpa)
            entry = self.entry(entry_hpa)
            steps.append(Step(level, entry_hpa, entry))
            problem = self.problem(entry, level)
            if problem:
                return Walk(gpa, tuple(steps), problem)
            if is_leaf(entry, level):
                page_size = 1 << INDEX[level].lo
                hpa = (entry & ADDRESS.mask & -page_size) | (gpa & (page_size - 1))
                return Walk(gpa, tuple(steps), "", hpa, page_size)
            level, table = level - 1, entry & ADDRESS.mask

    def entry(self, entry_hpa: int) -> int:
        """The 8 bytes at `entry_hpa`: all ones where the host has no memory."""
        try:
            return self.memory.load(entry_hpa, 8)
        except DmaFault:
            return all_ones(8)

    # -- the VMM's side

    def set_entry(self, gpa: int, entry: int) -> None:
        """Write the level-1 entry of `gpa`, making the tables above it where they are missing."""
        table = self.root
        for level in (4, 3, 2):
            entry_hpa = table + 8 * INDEX[level].get(gpa)
            above = self.memory.load(entry_hpa, 8)
            if self.problem(above, level) == NOT_PRESENT:
                above = self.frames.take() | self.TABLE
                self.memory.store(entry_hpa, 8, above)
            if is_leaf(above, level):
                raise ValueError(f"{gpa:#x} lies in a page larger than 4 KiB")
            table = above & ADDRESS.mask
        self.memory.store(table + 8 * INDEX[1].get(gpa), 8, entry)

    def set_pages(self, gpa: int, hpa: int, length: int, flags: int) -> None:
        """Map `length` bytes at `gpa` to `hpa`, page by page, each entry with `flags`."""
        self.check_pages(gpa, length)
        if hpa & ~(ADDRESS.mask & ~self.beyond_width):
            raise ValueError(f"{hpa:#x} is no host-physical page address")
        for offset in range(0, length, PAGE):
            self.set_entry(gpa + offset, (hpa + offset) | flags)

    def unmap(self, gpa: int, length: int) -> None:
        """Make the entries of `length` bytes at `gpa` not present: any access exits from now on."""
        self.check_pages(gpa, length)
        for at in range(gpa, gpa + length, PAGE):
            if self.walk(at).problem != NOT_PRESENT:
                self.set_entry(at, 0)

    @staticmethod
    def check_pages(gpa: int, length: int) -> None:
        """`ValueError` unless `length` bytes at `gpa` are whole pages inside 48 bits."""
        if gpa % PAGE or length % PAGE or not 0 <= gpa <= gpa + length <= 1 << 48:
            raise ValueError(f"{length:#x} bytes at {gpa:#x} are not whole pages inside 48 bits")
