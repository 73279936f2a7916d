"""The bare machine: a guest in Python, straight on the two address spaces, with no VMM.

This is the processor of the course's first lessons. `IN`, `OUT`, loads and stores go to the
buses; `wait` lets virtual time pass until the interrupt controller has a vector to give.
"""

from __future__ import annotations

from typing import Protocol

from virtlab.bus import AddressSpace
from virtlab.clock import Clock

MAX_MOVE = 16 << 20
"""Bytes that one string move may have."""


class InterruptController(Protocol):
    """What a processor needs of it: is there an interrupt, and which vector is it?"""

    @property
    def pending(self) -> bool:
        """Whether the INTR pin is up."""

    def acknowledge(self) -> int:
        """The INTA cycle: the vector of the highest request, which is now in service."""


class BareCpu:
    """A `virtlab.cpu.Cpu` with nothing between it and the buses."""

    def __init__(
        self,
        ports: AddressSpace,
        memory: AddressSpace,
        clock: Clock,
        controller: InterruptController | None = None,
    ) -> None:
        self.ports = ports
        self.memory = memory
        self.clock = clock
        self.controller = controller

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""
        return self.ports.read(port, size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""
        self.ports.write(port, size, value)

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space."""
        return self.memory.read(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space."""
        self.memory.write(gpa, size, value)

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does: one load a byte where it meets a device."""
        return self.memory.read_bytes(gpa, _bounded(length))

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does."""
        _bounded(len(data))
        self.memory.write_bytes(gpa, data)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Let virtual time pass until an interrupt is pending; acknowledge it, give its vector."""
        deadline = self.clock.now + timeout
        while self.controller is None or not self.controller.pending:
            due = self.clock.next_event()
            if due is None or due > deadline:
                self.clock.advance(deadline - self.clock.now)
                return None
            self.clock.advance(due - self.clock.now)
        return self.controller.acknowledge()


def _bounded(length: int) -> int:
    if not 0 <= length <= MAX_MOVE:
        raise ValueError(f"a string move has 0 to {MAX_MOVE} bytes, not {length}")
    return length
