"""The bare machine: a guest in Python, straight on the two address spaces, with no VMM.

This is the processor of the course's first lessons. `IN`, `OUT`, loads and stores go to the
buses; `wait` lets virtual time pass until the interrupt controller has a vector to give.
"""

from __future__ import annotations

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.cpu import string_length
from virtlab.interrupts import InterruptController


class BareCpu:
    """A `virtlab.cpu.Cpu` with nothing between it and the buses.

    Each access to a port takes `port_time` ns of virtual time.
    """

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
        self.port_time = 0

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""
        self.clock.advance(self.port_time)
        return self.ports.read(port, size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""
        self.clock.advance(self.port_time)
        self.ports.write(port, size, value)

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space."""
        return self.memory.read(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space."""
        self.memory.write(gpa, size, value)

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does: one load a byte where it meets a device."""
        return self.memory.read_bytes(gpa, string_length(length))

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does."""
        string_length(len(data))
        self.memory.write_bytes(gpa, data)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Let virtual time pass until an interrupt is pending; acknowledge it, give its vector."""
        controller = self.controller
        if controller is None:
            self.clock.advance(timeout)
            return None
        if not self.clock.advance_until(lambda: controller.pending, timeout):
            return None
        vector = controller.acknowledge()
        self.memory.trace.emit("interrupt", value=vector, note=f"vector {vector:#x}")
        return vector
