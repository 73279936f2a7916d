"""Which of a VM's addresses lead straight to registers of devices that it was given.

    guest puts BAR 0 at 0xC010_0000  -->  EPT: 0xC010_0000 ... -> the physical BAR     no exit
    guest moves it, or Memory Space is 0  -->  those entries are taken away

The idea: the guest decides where its BARs are, in its own address space. The physical BAR does not
move. Between the two stands EPT, which is for whole pages: what shares its page with anything that
must not be reached stays a trap.

The rules that keep it simple: after each change of any function all pages are looked at again. A
page is mapped only inside the windows of the VM's own host bridge, where neither RAM nor another
device of the VMM can be. Of two BARs that overlap, the first has the page.

Tables that have become empty go back to the pool, so that a guest that moves its BARs without end
costs the host no memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from virtlab.memory import PAGE
from virtlab.pci.root import Aperture, RootComplex
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.walk import INDEX

BLOCK = 1 << INDEX[2].lo
"""Bytes that one table of the lowest level maps."""

TOP = max(INDEX)
"""The level of the table that is always there."""

SPARE = 16
"""Frames that stay free: where fewer would be left, a BAR is not mapped, and its accesses trap."""


class Piece(NamedTuple):
    """`length` bytes at `gpa` that are the host's at `hpa`, whole pages."""

    gpa: int
    hpa: int
    length: int


class AssignedPages:
    """The pages of `vm` that are registers of physical functions; `root` is its root complex."""

    def __init__(self, vm: VirtualMachine, root: RootComplex) -> None:
        self.vm, self.root = vm, root
        self.mapped: set[Piece] = set()

    def show(self, pieces: Iterable[Piece]) -> None:
        """Let these be mapped, and no others."""
        wanted: set[Piece] = set()
        for piece in pieces:
            if self._inside(piece) and not any(_overlap(piece, other) for other in wanted):
                wanted.add(piece)
        for piece in self.mapped - wanted:
            self.vm.withdraw_memory(piece.gpa, piece.length)
            self._tidy(piece)
        for piece in wanted - self.mapped:
            if self.vm.tables.frames.left < SPARE + _tables_for(piece):
                wanted.discard(piece)
                continue
            self.vm.assign_memory(*piece)
        self.mapped = wanted

    def _inside(self, piece: Piece) -> bool:
        """Whether all of it is in one window of the VM's own host bridge."""
        mapping = self.vm.memory.find(piece.gpa)
        return (
            mapping is not None
            and isinstance(mapping.device, Aperture)
            and mapping.device.root is self.root
            and piece.gpa + piece.length <= mapping.end
        )

    def _tidy(self, piece: Piece) -> None:
        """Give back the tables that map nothing any more."""
        tables = self.vm.tables
        first = piece.gpa & -BLOCK
        for gpa in range(first, piece.gpa + piece.length, BLOCK):
            step = tables.walk(gpa).steps[-1]
            while step.level < TOP and not tables.memory.view(step.entry_at & -PAGE, PAGE).any():
                tables.set_entry(gpa, 0, level=step.level + 1)
                step = tables.walk(gpa).steps[-1]


def _tables_for(piece: Piece) -> int:
    """Tables that EPT needs for it at most: of each level, those that it touches."""
    sizes = (1 << INDEX[level].lo for level in (2, 3, 4))
    return sum(-(-(piece.gpa % size + piece.length) // size) for size in sizes)


def _overlap(one: Piece, other: Piece) -> bool:
    return one.gpa < other.gpa + other.length and other.gpa < one.gpa + one.length
