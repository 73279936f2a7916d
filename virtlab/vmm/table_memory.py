"""Guest-physical memory, as a processor reaches a guest's page tables in it.

The idea: a walk reads entries, and sets flags in them, and either can go wrong on the way: the
entry may lie where there is no memory, or behind tables of the VMM's that refuse the access. So
who walks is given a `TableMemory`, and the walk itself is the same on a bare machine and in a VM.

The rule that keeps it simple: nothing here raises on what a guest's CR3 or entries point at.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from virtlab.errors import DmaFault
from virtlab.memory import GuestMemory
from virtlab.vmm.exits import Exit
from virtlab.vmm.tables import Tables
from virtlab.wire import all_ones


class TableMemory(Protocol):
    """Guest-physical memory, as the processor reaches page tables in it."""

    def load(self, gpa: int, size: int) -> int | None:
        """The entry of `size` bytes at `gpa`, or None where it cannot be reached."""

    def store(self, gpa: int, size: int, value: int) -> bool:
        """Write an entry; False where it cannot be written."""


class PlainMemory:
    """Guest-physical memory with nothing below it: a bare machine, or a guest that is let alone.

    Where there is no memory an entry reads as all ones, and a write is lost.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory

    def load(self, gpa: int, size: int) -> int:
        """The little-endian number at `gpa`."""
        try:
            return self.memory.load(gpa, size)
        except DmaFault:
            return all_ones(size)

    def store(self, gpa: int, size: int, value: int) -> bool:
        """Put a number at `gpa`."""
        with suppress(DmaFault):
            self.memory.store(gpa, size, value)
        return True


class BehindTables:
    """Guest-physical memory behind the VMM's `tables`: a `TableMemory` for `GuestPaging`.

    Each entry of a guest's table is reached by a translation of its own. `refused` is what the last
    access gave, None if it got through, and `refused_at` is the last place that was refused.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.memory = PlainMemory(tables.memory)
        self.refused: Exit | None = None
        self.refused_at = 0

    def load(self, gpa: int, size: int) -> int | None:
        """The entry at `gpa`, or None where the tables refuse it."""
        hpa = self._hpa(gpa, size, write=False)
        return None if hpa is None else self.memory.load(hpa, size)

    def store(self, gpa: int, size: int, value: int) -> bool:
        """Write the entry at `gpa`; False where the tables refuse it."""
        hpa = self._hpa(gpa, size, write=True)
        if hpa is None:
            return False
        return self.memory.store(hpa, size, value)

    def _hpa(self, gpa: int, size: int, write: bool) -> int | None:
        result = self.tables.translate(gpa, size, write)
        if isinstance(result, int):
            self.refused = None
            return result
        self.refused, self.refused_at = result, gpa
        return None
