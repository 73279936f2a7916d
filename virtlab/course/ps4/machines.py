"""What stands round the records of problem set 4 (`given.rings`): a Cpu, memory, and words.

The idea: an answer is a function on a record. What it left in the record is compared field by
field, and the other end of the queue is always the library's.

`Flipping` is a guest that changes its memory as soon as it was read: whoever reads a thing twice
gets two things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.course.budget import BudgetCpu
from virtlab.course.ps3.machines import PATTERN, Memory
from virtlab.course.tasks import Difference, same, shown
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import SplitRings

RAM = 1 << 16
"""Bytes of memory that a case has."""

BASE = 0x2000
"""Where its queue lies, if it does not matter."""

Span = tuple[int, int]


class Stepped(BareCpu):
    """A bare Cpu on memory alone; `before` is called with the number of each access to it."""

    def __init__(self, ram: GuestMemory, ports: AddressSpace | None = None) -> None:
        memory = AddressSpace("memory", 52)
        memory.map_ram(ram)
        ports = ports or AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
        super().__init__(ports, memory, Clock())
        self.count = 0
        self.before: Callable[[int], None] = lambda number: None

    def _step(self) -> None:
        self.before(self.count)
        self.count += 1

    def load(self, gpa: int, size: int = 4) -> int:
        """A load, after its step."""
        self._step()
        return super().load(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """A store, after its step."""
        self._step()
        super().store(gpa, value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """A string move, after its step."""
        self._step()
        return super().read(gpa, length)

    def write(self, gpa: int, data: bytes) -> None:
        """A string move, after its step."""
        self._step()
        super().write(gpa, data)


def budgeted(cpu: Stepped) -> BudgetCpu:
    """That Cpu as an answer gets it: every access noted, and one of so many."""
    return BudgetCpu(cpu, cpu.clock)


def empty_ram(rings: SplitRings, size: int = RAM) -> GuestMemory:
    """Memory full of `PATTERN`, but for the queue's parts, which are 0."""
    ram = GuestMemory(size)
    ram.bytes[:] = PATTERN
    for gpa, length in rings.parts:
        ram.write(gpa, bytes(length))
    return ram


class Flipping(Memory):
    """Memory whose guest inverts the bytes of `watched` as soon as somebody has read them."""

    def __init__(self, ram: GuestMemory, watched: Iterable[Span] = ()) -> None:
        super().__init__(ram)
        self.watched = list(watched)

    def read(self, address: int, length: int) -> bytes:
        """A copy; then the guest strikes."""
        data = super().read(address, length)
        self._strike(address, length)
        return data

    def load(self, address: int, size: int) -> int:
        """A number; then the guest strikes."""
        value = super().load(address, size)
        self._strike(address, size)
        return value

    def _strike(self, address: int, length: int) -> None:
        for start, size in self.watched:
            low, high = max(start, address), min(start + size, address + length)
            if low < high:
                self.ram.bytes[low:high] ^= 0xFF


# -- words for a report


def changed(side: object, expected: dict[str, object], look: str) -> Difference | None:
    """The first field of a record that is not as it should be."""
    for name, right in expected.items():
        yours = getattr(side, name, None)
        if not same(right, yours) or (type(right) is dict and not _same_items(right, yours)):
            mine = _items(yours)
            return Difference(f"q.{name} {_items(right)}", f"q.{name} {mine}", look)
    return None


def _same_items(right: dict[Any, Any], yours: Any) -> bool:
    return all(same(right[key], yours[key]) for key in right)


def _items(value: object) -> str:
    if type(value) is dict:
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    if type(value) is list and all(type(item) is int for item in value):
        return str(value[:24])
    return str(value) if type(value) is int else shown(value)


def pieces_text(pieces: Iterable[Any]) -> str:
    """Buffers as a report shows them: `r 16 @0x4000, w 1 @0x4010`."""
    texts = [_piece(piece) for piece in pieces]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")


def _piece(piece: Any) -> str:
    kinds = [type(item) for item in piece] if type(piece) is tuple else []
    if kinds == [int, int, bool]:
        return f"{'w' if piece[2] else 'r'} {piece[1]} @{piece[0]:#x}"
    return shown(piece)


def buffers_text(value: object) -> str:
    """What a walk gave: its buffers, or the word of a refusal."""
    if type(value) is list:
        return f"{len(value)} buffer{'s' * (len(value) != 1)}: {pieces_text(value)}"
    return shown(value)


def compare_buffers(expected: object, yours: object, look: str) -> Difference | None:
    """None if two walks gave the same."""
    if same(expected, yours):
        return None
    said = "None: is there a return?" if yours is None else buffers_text(yours)
    return Difference(buffers_text(expected), said, look)
