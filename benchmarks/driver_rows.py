"""The driver's side: `add_bufs` and `get_bufs`, against `add_buf` and `get_buf` again and again.

    add, kick    measured
    pop, push    the device's work, which is not
    get          measured

The idea: a driver whose queue is empty fills it whole, and takes all of it back. Both layouts are
driven through the bus of a bare machine, so an access costs what it costs a guest of the course.
Buffers are 512 bytes, one piece each, for the device to read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks.harness import Row
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.guest.virtqueue_driver import VirtqueueDriver
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.hosts.python import BareCpu
from virtlab.memory import GuestMemory
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue

BASE, BUFFER = 0x1000, 512

NOTES = (
    "drivers: add_bufs, kick and get_bufs of a whole queue; the device's work is not measured",
    "the other side is add_buf, kick and get_buf; ratio: its time in units of the plural calls",
)


class SplitSides:
    """A split queue's driver and its device, over one memory."""

    def __init__(self, cpu: BareCpu, memory: GuestMemory, size: int) -> None:
        self.rings = SplitRings.placed(BASE, size)
        self.driver: VirtqueueDriver = SplitDriver(cpu, self.rings)
        self.device: SplitQueue | PackedQueue = SplitQueue(memory)
        self.device.enable(self.rings)


class PackedSides(SplitSides):
    """The same for a packed one."""

    def __init__(self, cpu: BareCpu, memory: GuestMemory, size: int) -> None:
        rings = PackedRings.placed(BASE, size)
        self.driver = PackedDriver(cpu, rings)
        self.device = PackedQueue(memory)
        self.device.enable(rings)


class DriverDuel:
    """`n` buffers go to the device and come back."""

    def __init__(self, n: int, sides: type[SplitSides]) -> None:
        self.n = n
        self.data = BASE + 64 * n
        self.memory = GuestMemory(self.data + 2 * n * BUFFER)
        space = AddressSpace("memory", 52)
        space.map_ram(self.memory)
        cpu = BareCpu(AddressSpace("port", 16), space, Clock())
        self.sides = sides(cpu, self.memory, n)
        self.random = np.random.default_rng(n)
        self.lengths = np.full(n, BUFFER)
        self.tokens = list(range(n))
        self.returned: tuple[list[int], list[int]] = [], []
        self.prepare()

    def prepare(self) -> None:
        """Other buffers."""
        self.gpas = self.data + self.random.permutation(2 * self.n)[: self.n] * BUFFER
        self.pieces = [[(gpa, BUFFER)] for gpa in self.gpas.tolist()]

    def python(self) -> int:
        """By plural calls."""
        return self._turn(self._add_many, self._get_many)

    def twin(self) -> int:
        """One by one."""
        return self._turn(self._add_each, self._get_each)

    def _turn(self, add: Callable[[], None], get: Callable[[], None]) -> int:
        start = perf_counter_ns()
        add()
        self.sides.driver.kick()
        spent = perf_counter_ns() - start
        device = self.sides.device
        device.push_many(device.pop_many(), 0)
        start = perf_counter_ns()
        get()
        return spent + perf_counter_ns() - start

    def _add_many(self) -> None:
        self.sides.driver.add_bufs(self.gpas, self.lengths, self.tokens)

    def _get_many(self) -> None:
        tokens, written = self.sides.driver.get_bufs()
        self.returned = tokens, written.tolist()

    def _add_each(self) -> None:
        add = self.sides.driver.add_buf
        for pieces, token in zip(self.pieces, self.tokens, strict=True):
            add(pieces, (), token)

    def _get_each(self) -> None:
        get, tokens, written = self.sides.driver.get_buf, [], []
        while (used := get()) is not None:
            tokens.append(used.token)
            written.append(used.written)
        self.returned = tokens, written

    def check(self) -> None:
        """The device sees each buffer, and each comes back, whichever side adds and gets."""
        sides = (self._add_many, self._get_many), (self._add_each, self._get_each)
        for add, get in sides:
            self.prepare()
            add()
            self.sides.driver.kick()
            batch = self.sides.device.pop_many()
            assert batch.offset.tolist() == self.gpas.tolist(), "the addresses differ"
            assert batch.length.tolist() == self.lengths.tolist(), "the lengths differ"
            self.sides.device.push_many(batch, 0)
            get()
            assert self.returned == (self.tokens, [0] * self.n), "what came back differs"


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows; there is no twin in C, so `flags` are not looked at."""
    kinds = {"driver, split": SplitSides, "driver, packed": PackedSides}
    return [
        Row(name, n, partial(DriverDuel, n, sides), least=True, against="singular calls")
        for name, sides in kinds.items()
        for n in (256, 1024)
    ]
