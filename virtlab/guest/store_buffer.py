"""A processor's store buffer: its stores wait in a queue while its loads go ahead.

    store avail.flags = 0     [ avail.flags = 0 ]             memory still has 1
    load  used.idx            [ avail.flags = 0 ]             answered at once, from memory
    drain                     [                 ]             now the others see it

The idea: a PC's processor does not wait until a store has reached memory. So a store and a load
that follows it may seem exchanged to everybody else: that, and nothing else, a PC does reorder. All
that virtio asks of barriers between a store and a load can be tried with this one class.

The rule that keeps it simple: stores leave in the order in which they were made, and a processor
sees its own ones at once, byte by byte, from the youngest back.

Source: SDM 3A 9.2.3.4 (loads may be reordered with earlier stores), 9.2.3.5 (own stores are seen).
The default length is that of Skylake's (Optimization Reference Manual). Left out: ports, `wait`,
locked instructions, and loads that go ahead of loads, which other processors have.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

SKYLAKE = 56
"""Stores that wait in one, at most."""


class Memory(Protocol):
    """What is behind the buffer: a `Cpu`, a `Dma`, a `GuestMemory`."""

    def read(self, gpa: int, length: int, /) -> bytes:
        """A copy of `length` bytes."""

    def write(self, gpa: int, data: bytes, /) -> None:
        """Put `data` there."""


class Store(NamedTuple):
    """A store that waits: `data` for `gpa`."""

    gpa: int
    data: bytes


class StoreBuffer:
    """The memory verbs of a Cpu, over `memory`, with a buffer of `length` stores in between.

    `drain` has a barrier's shape: `SplitDriver(buffer, rings, barrier=buffer.drain)`.
    """

    def __init__(self, memory: Memory, length: int = SKYLAKE) -> None:
        if length < 1:
            raise ValueError(f"a store buffer has room for one store or more, not {length}")
        self.memory = memory
        self.length = length
        self.waiting: deque[Store] = deque()

    # -- the processor's side

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes, little-endian."""
        return int.from_bytes(self.read(gpa, size), "little")

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes, little-endian: into the buffer."""
        self.write(gpa, value.to_bytes(size, "little"))

    def read(self, gpa: int, length: int) -> bytes:
        """The bytes of memory, and over them those of our own stores, oldest first."""
        seen = bytearray(self.memory.read(gpa, length))
        for store in self.waiting:
            start = max(gpa, store.gpa)
            end = min(gpa + length, store.gpa + len(store.data))
            if start < end:
                seen[start - gpa : end - gpa] = store.data[start - store.gpa : end - store.gpa]
        return bytes(seen)

    def write(self, gpa: int, data: bytes) -> None:
        """One store more that waits. Where there is no room the oldest leaves first."""
        if len(self.waiting) == self.length:
            self.drain_one()
        self.waiting.append(Store(gpa, bytes(data)))

    # -- the way to memory

    def drain_one(self) -> Store | None:
        """The oldest store reaches memory. Gives it, or None if none waited."""
        if not self.waiting:
            return None
        store = self.waiting.popleft()
        self.memory.write(store.gpa, store.data)
        return store

    def drain(self, point: str = "") -> None:
        """All of them do: what a barrier waits for. `point` says where, and changes nothing."""
        while self.waiting:
            self.drain_one()
