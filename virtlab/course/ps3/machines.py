"""What the answers of problem set 3 are held to: memory that notes, and a host with nothing on it.

The idea: a VMM's code gets the guest's memory and numbers that the guest chose. So memory here is
noted and bounded: a case sees which bytes an answer asked for, how often, and in which order.

The rule that keeps it simple: `read` and `write` of bytes that are not there raise, as a bug in a
VMM would; `load` gives all ones there, as a bus does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.course.answers import Stopped
from virtlab.course.tasks import Difference, Run
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.wire import all_ones

ACCESSES = 5_000
"""Accesses that one `Memory` grants an answer."""

PATTERN = 0xEE
"""Fills memory, so that a byte that nobody wrote can be told from a zero."""

LONGEST = 1 << 20
"""Bytes that one access can have."""


class MemoryAccess(NamedTuple):
    """One access to memory: its verb, where, and how many bytes."""

    verb: str
    address: int
    length: int


class Memory:
    """Memory as an answer gets it: every access is noted, and is one of `ACCESSES`."""

    def __init__(self, ram: GuestMemory) -> None:
        self.ram = ram
        self.size = ram.size
        self.accesses: list[MemoryAccess] = []

    def read(self, address: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        self._note("read", address, length)
        return self.ram.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Put `data` there."""
        self._note("write", address, len(data))
        self.ram.write(address, data)

    def load(self, address: int, size: int) -> int:
        """The little-endian number of `size` bytes; all ones where there is no memory."""
        self._note("load", address, size)
        try:
            return self.ram.load(address, size)
        except DmaFault:
            return all_ones(size)

    def store(self, address: int, size: int, value: int) -> None:
        """Put the low `size` bytes of `value` there."""
        self._note("store", address, size)
        self.ram.store(address, size, whole(value))

    def _note(self, verb: str, address: int, length: int) -> None:
        if not 0 <= whole(length) <= LONGEST:
            raise ValueError(f"an access has 0 to {LONGEST} bytes, not {length}")
        if len(self.accesses) >= ACCESSES:
            raise Stopped(f"it was stopped after {ACCESSES:,} accesses to memory")
        self.accesses.append(MemoryAccess(verb, whole(address), length))


class Host:
    """A host with `pages` of RAM. Devices are put into `ports` and `memory` by whoever has some."""

    def __init__(self, pages: int = 64) -> None:
        self.clock = Clock()
        self.trace = Trace(self.clock)
        self.ports = AddressSpace("port", 16, self.trace, ("in", "out"), max_size=4)
        self.memory = AddressSpace("memory", 52, self.trace)
        self.ram = GuestMemory(pages * PAGE)
        self.memory.map_ram(self.ram)
        self.frames = Frames(self.ram, 0, pages)

    def vm(self, pages: int = 4) -> VirtualMachine:
        """A VM with so many pages of RAM, somewhere in the host's."""
        return VirtualMachine(self, self.frames, pages * PAGE)


def whole(number: object) -> int:
    """`number`, if it is a whole number; else an error in the answer's own line."""
    if not isinstance(number, int):
        raise TypeError(f"addresses, sizes and values are whole numbers, not {number!r}")
    return int(number)


def first(found: Iterable[Difference | None]) -> Difference | None:
    """The first difference, if there is one; nothing after it is tried."""
    return next((difference for difference in found if difference), None)


def all_of(*runs: Run) -> Run:
    """One run after another, up to the first difference."""
    return lambda answer, rng: first(run(answer, rng) for run in runs)
