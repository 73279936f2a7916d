"""A guest's RAM in a file without a name, and a processor that has this RAM and nothing else.

    gpa     0 ..... 0xA0000     0x100000 ......... 0x1100000
    file    [ region 0 ][ region 1 .............. ]          one memfd, mapped here and there
    user    base        base + 0xA0000                       where it is mapped here

The idea: a back-end works in the guest's memory, so it must have it: by a descriptor. `shapes` is
what it is told of each region. `RamCpu` runs our drivers on this RAM. It hears eventfds instead of
an interrupt controller.

The rule that keeps it simple: a number is read and written in one access, as a processor does. The
other process must never see half an index.

Our driver writes an index and then asks whether to ring. A store may wait in the processor while
the next load passes it. So each store is followed by a locked instruction, a lock's (on x86: Intel
SDM 3A 9.2.2). Linux only. Source: memfd_create(2), eventfd(2); vhost-user.rst, "Memory
regions description".
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from virtlab.cpu import string_length
from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.virtio.vhost_user.layouts import MAX_REGIONS
from virtlab.virtio.vhost_user.mapping import sealed_file
from virtlab.virtio.vhost_user.shared_memory import Shape
from virtlab.vmm.service.shared import map_file
from virtlab.wire import all_ones

KINDS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""How `memoryview` calls a number of so many bytes."""


class FileRam(GuestMemory):
    """RAM in a memfd, `fd`, which is closed with it. `regions` are those of `GuestMemory`.

    `ValueError` unless they are whole pages, and so few that one message can name them.
    """

    def __init__(self, regions: int | Iterable[tuple[int, int]]) -> None:
        pairs = [(0, regions)] if isinstance(regions, int) else list(regions)
        if not 0 < len(pairs) <= MAX_REGIONS:
            raise ValueError(f"a back-end is shown 1 to {MAX_REGIONS} regions, not {len(pairs)}")
        if any(start % PAGE or size % PAGE or size <= 0 for start, size in pairs):
            raise ValueError(f"a region is whole pages, one or more, not {pairs}")
        total = sum(size for _, size in pairs)
        self.fd = sealed_file("virtlab-ram", total)
        weakref.finalize(self, os.close, self.fd)
        super().__init__(pairs, map_file(self.fd, total))

    @property
    def shapes(self) -> list[Shape]:
        """The regions as a back-end is told: guest address, size, user address, place in `fd`."""
        return [
            Shape(r.start, r.size, self.user_of(r.start, r.size), r.offset) for r in self.regions
        ]

    def user_of(self, gpa: int, length: int) -> int:
        """Where this process has the `length` bytes at `gpa`. `ValueError` if they are no RAM."""
        try:
            return int(self.bytes.ctypes.data) + self.offset(gpa, length)
        except DmaFault:
            raise ValueError(f"{length} bytes at {gpa:#x} are not in one region of RAM") from None


class RamCpu:
    """A `virtlab.cpu.Cpu` on `ram`. It has no ports, and outside RAM nobody answers: all ones.

    Devices are plugged in by `listen`. `wait` takes real time.
    """

    def __init__(self, ram: FileRam) -> None:
        self.ram = ram
        whole = ram.bytes.data
        self._words = {size: whole.cast(kind) for size, kind in KINDS.items()}
        self._locked = threading.Lock()
        self._poll = select.poll()
        self._lines: dict[int, Callable[[], int]] = {}

    # -- memory

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes, in one access if `gpa` is a multiple of `size`."""
        try:
            start = self.ram.offset(gpa, size)
        except DmaFault:
            return all_ones(size)
        if start % size:
            return self.ram.load(gpa, size)
        return int(self._words[size][start // size])

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes, the same way; what follows is done after it."""
        try:
            start = self.ram.offset(gpa, size)
        except DmaFault:
            return
        if start % size:
            self.ram.store(gpa, size, value)
        else:
            self._words[size][start // size] = value & all_ones(size)
        with self._locked:
            pass

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes of one region; where they are none, all ones."""
        try:
            return self.ram.read(gpa, string_length(length))
        except DmaFault:
            return b"\xff" * length

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data` to one region; where there is none, it is lost."""
        string_length(len(data))
        try:
            self.ram.write(gpa, data)
        except DmaFault:
            return

    # -- ports

    def inp(self, port: int, size: int = 1) -> int:
        """Nobody answers: all ones."""
        return all_ones(size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """Nobody listens."""

    # -- interrupts

    def listen(self, fd: int, heard: Callable[[], int]) -> None:
        """While somebody waits: call `heard` when `fd` can be read. It gives the vector."""
        self._lines[fd] = heard
        self._poll.register(fd, select.POLLIN)

    def ignore(self, fd: int) -> None:
        """Do not listen to `fd` any more, if anybody did."""
        if self._lines.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """The vector of the next interrupt, or None after `timeout` real ns.

        What a device finds out meanwhile, it may raise: `ConnectionError` if its back-end is gone.
        """
        deadline = time.monotonic_ns() + timeout
        while True:
            left = max(0, deadline - time.monotonic_ns())
            for fd, _ in self._poll.poll(math.ceil(left / 1e6)):
                heard = self._lines.get(fd)
                if heard is not None:
                    return heard()
            if time.monotonic_ns() >= deadline:
                return None
