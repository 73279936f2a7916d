"""What a guest can do: six verbs and a wait.

Everything a guest driver does to the outside world is one of these. `IN` and `OUT` reach the
port space. A load or a store reaches the memory space, where RAM and devices live side by
side. Then it waits for an interrupt.

The idea that carries the course: a driver in `virtlab.guest` is written against `Cpu` and
nothing else. So the same driver runs on the bare machine, inside a virtual machine where any
verb may exit, and on QEMU over a socket.

`Recorder` is a Cpu around a Cpu. It keeps a list of the accesses, which is what a test compares
and a lesson draws.
"""

from __future__ import annotations

from typing import Protocol

from virtlab.trace import Access

MAX_MOVE = 16 << 20
"""Bytes that one string move may have."""


def string_length(length: int) -> int:
    """`length`, if one string move can have so many bytes; else `ValueError`."""
    if not 0 <= length <= MAX_MOVE:
        raise ValueError(f"a string move has 0 to {MAX_MOVE} bytes, not {length}")
    return length


class Cpu(Protocol):
    """Six verbs and a wait. Sizes are in bytes; addresses are guest-physical (`gpa`)."""

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space, little-endian."""

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space, little-endian."""

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does."""

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does."""

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Halt until an interrupt comes, and acknowledge it.

        Gives the vector that the interrupt controller delivered, or None if none came within
        `timeout` ns of the machine's own time.
        """


class Recorder:
    """A Cpu that passes every verb on to `cpu` and keeps what passed in `accesses`."""

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self.accesses: list[Access] = []

    def _note(self, write: bool, space: str, address: int, size: int, value: int) -> int:
        self.accesses.append(Access(len(self.accesses), write, space, address, size, value))
        return value

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`, noted with the answer."""
        return self._note(False, "port", port, size, self.cpu.inp(port, size))

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`, noted."""
        self._note(True, "port", port, size, value)
        self.cpu.out(port, value, size)

    def load(self, gpa: int, size: int = 4) -> int:
        """A load, noted with the answer."""
        return self._note(False, "memory", gpa, size, self.cpu.load(gpa, size))

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """A store, noted."""
        self._note(True, "memory", gpa, size, value)
        self.cpu.store(gpa, value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """A string move from memory; one note for the whole of it, its value the first bytes."""
        data = self.cpu.read(gpa, length)
        self._note(False, "memory", gpa, length, int.from_bytes(data[:8], "little"))
        return data

    def write(self, gpa: int, data: bytes) -> None:
        """A string move to memory; one note for the whole of it, its value the first bytes."""
        self._note(True, "memory", gpa, len(data), int.from_bytes(data[:8], "little"))
        self.cpu.write(gpa, data)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Wait on the Cpu behind."""
        return self.cpu.wait(timeout)
