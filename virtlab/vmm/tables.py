"""Tables that the VMM makes: the tree that EPT and a shadow page table have in common.

A table is one frame of 512 entries of 8 bytes. The VMM maps pages, changes their rights, takes them
away again. With `large`, a run that is aligned in both address spaces becomes pages of 2 MiB or
1 GiB: fewer tables, and a walk that ends early. A large page of which a part is to change is
*split* first: a table of 512 smaller pages takes its place, and nothing else is different.

      level 2   [ 2 MiB page, RWX ]      ->      [ table ]
      level 1                                    [ RWX | RWX | --- | RWX ...  512 pages of 4 KiB ]

The rule that keeps it simple: one method puts an entry at a level, making or splitting what is
above it and freeing what is below it. All else is loops around it.

Sources: SDM 3A 4.5 (4-level paging), SDM 3C 29.3.2 (EPT). Left out: pages are never joined again,
and a table whose entries are all gone keeps its frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.memory import PAGE
from virtlab.vmm.exits import MemoryExit
from virtlab.vmm.frames import Frames
from virtlab.vmm.walk import ADDRESS, INDEX, LARGE, NOT_PRESENT, Step, Tree, Words, gather
from virtlab.wire import all_ones


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


class Tables(Tree):
    """A tree of tables whose frames come from `frames`; `root` is the top one.

    `width` is the processor's physical-address width in bits (MAXPHYADDR): the bits of an entry
    from there to 51 are reserved.
    """

    TABLE: ClassVar[int] = 0
    """The low bits of an entry that points to a table."""

    def __init__(self, frames: Frames, width: int = 46) -> None:
        self.frames = frames
        self.memory = frames.memory
        self.beyond_width = beyond(width)
        self._root = frames.take()
        self.changes = 0
        """How often the VMM changed an entry; who keeps something made of these tables compares."""

    @property
    def root(self) -> int:
        """The host-physical address of the top table."""
        return self._root

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | MemoryExit:
        """The host-physical address of an access inside one page, or the exit that it causes."""
        raise NotImplementedError

    # -- the processor's side

    def walk(self, gpa: int) -> Walk:
        """Translate `gpa` and tell every step. Addresses past 48 bits are not present."""
        return Walk(gpa, *self.descend(gpa))

    def entry(self, entry_at: int) -> int:
        """The 8 bytes at `entry_at`: all ones where the host has no memory."""
        try:
            return self.memory.load(entry_at, 8)
        except DmaFault:
            return all_ones(8)

    def entries(self, entry_at: Words) -> Words:
        """Many entries, (n,); all ones where the host has no memory."""
        return gather(self.memory, entry_at, 8)

    # -- the VMM's side

    def set_entry(self, gpa: int, entry: int, level: int = 1) -> None:
        """Write the entry of `gpa` at `level`: 1 for a page of 4 KiB, 2 for 2 MiB, 3 for 1 GiB.

        Missing tables above it are made, a larger page above it is split, and tables below it, if
        there were any, go back to the pool.
        """
        table = self._root
        for above in range(4, level, -1):
            table = self._table_below(Step(above, *self._look(table, gpa, above)))
        entry_at, old = self._look(table, gpa, level)
        self._release(old, level)
        self.memory.store(entry_at, 8, entry)
        self.changes += 1

    def set_pages(self, gpa: int, hpa: int, length: int, flags: int, large: bool = False) -> None:
        """Map `length` bytes at `gpa` to `hpa`, each entry with `flags`.

        In pages of 4 KiB, or, where `large`, in the largest that fit.
        """
        self.check_pages(gpa, length)
        if hpa & ~(ADDRESS.mask & ~self.beyond_width):
            raise ValueError(f"{hpa:#x} is no host-physical page address")
        done = 0
        while done < length:
            level = largest(gpa + done, hpa + done, length - done) if large else 1
            leaf = LARGE.mask if level > 1 else 0
            self.set_entry(gpa + done, (hpa + done) | flags | leaf, level)
            done += 1 << INDEX[level].lo

    def unmap(self, gpa: int, length: int) -> None:
        """Make `length` bytes at `gpa` not present: any access exits from now on."""
        self.change(gpa, length, lambda entry: 0)

    def clear(self) -> None:
        """Make everything not present; the frames of all tables but the top one go back."""
        top = self.memory.view(self._root, PAGE).view("<u8")
        for entry in top.tolist():
            self._release(entry, 4)
        top[:] = 0
        self.changes += 1

    def change(self, gpa: int, length: int, new: Callable[[int], int]) -> None:
        """Replace the entry of each mapped page of `length` bytes at `gpa` by `new(entry)`.

        What is not mapped stays so. A large page that is only partly inside is split.
        """
        self.check_pages(gpa, length)
        self.changes += 1
        at, end = gpa, gpa + length
        while at < end:
            walk = self.walk(at)
            step = walk.steps[-1]
            size = 1 << INDEX[step.level].lo
            after = (at & -size) + size
            if walk.problem != NOT_PRESENT and (at % size or after > end):
                self.split(step)
                continue
            if walk.problem != NOT_PRESENT:
                self.memory.store(step.entry_at, 8, new(step.entry))
            at = after

    def split(self, step: Step) -> None:
        """Put a table in the place of a large page: 512 smaller ones, with the same rights."""
        if step.level == 1 or not self.is_leaf(step.entry, step.level):
            raise ValueError(f"the entry {step.entry:#x} at level {step.level} is no large page")
        part = 1 << INDEX[step.level - 1].lo
        flags = step.entry & ~ADDRESS.mask & ~(LARGE.mask if step.level == 2 else 0)
        first = step.entry & ADDRESS.mask & -(512 * part) | flags
        table = self.frames.take()
        view = self.memory.view(table, PAGE).view("<u8")
        view[:] = np.uint64(first) + np.arange(512, dtype=np.uint64) * np.uint64(part)
        self.memory.store(step.entry_at, 8, table | self.TABLE)

    def _look(self, table: int, gpa: int, level: int) -> tuple[int, int]:
        entry_at = table + 8 * INDEX[level].get(gpa)
        return entry_at, self.memory.load(entry_at, 8)

    def _table_below(self, step: Step) -> int:
        """The table that an entry points to, made where it is missing."""
        if self.problem(step.entry, step.level) == NOT_PRESENT:
            self.memory.store(step.entry_at, 8, self.frames.take() | self.TABLE)
        elif self.is_leaf(step.entry, step.level):
            self.split(step)
        return self.memory.load(step.entry_at, 8) & ADDRESS.mask

    def _release(self, entry: int, level: int) -> None:
        """Give back the tables below an entry."""
        if self.problem(entry, level) == NOT_PRESENT or self.is_leaf(entry, level):
            return
        table = entry & ADDRESS.mask
        for below in self.memory.view(table, PAGE).view("<u8").tolist():
            self._release(below, level - 1)
        self.frames.give(table)

    @staticmethod
    def check_pages(gpa: int, length: int) -> None:
        """`ValueError` unless `length` bytes at `gpa` are whole pages inside 48 bits."""
        if gpa % PAGE or length % PAGE or not 0 <= gpa <= gpa + length <= 1 << 48:
            raise ValueError(f"{length:#x} bytes at {gpa:#x} are not whole pages inside 48 bits")


def largest(gpa: int, hpa: int, length: int) -> int:
    """The level of the largest page that can begin at both addresses and holds no more bytes.

    >>> largest(0x4000_0000, 0, 1 << 30), largest(0x20_0000, 0x40_0000, 1 << 30)
    (3, 2)
    """
    for level in (3, 2):
        size = 1 << INDEX[level].lo
        if length >= size and not (gpa | hpa) % size:
            return level
    return 1


def beyond(width: int) -> int:
    """The bits of an entry from the physical-address width, 32 to 52 bits, up to bit 51."""
    if not 32 <= width <= 52:
        raise ValueError(f"a physical address has 32 to 52 bits, not {width}")
    return ADDRESS.mask & -(1 << width)
