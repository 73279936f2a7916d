"""What a request costs in memory: accesses, and cache lines, of each side and of each layout.

    driver's core                     device's core
    [ lines it has ]  <-- moves -->   [ lines it has ]        64 bytes a line

The idea: both sides run for real, and their memory is watched. An access is one load, store, read
or write. A *move* is a line that one core has to fetch because the other has written it since, or
has to take away from the other because it wants to write it. It is what costs between two cores.

The rule that keeps it simple: a line is in neither, in one or in both caches; whoever writes has it
alone (MESI without the names). Caches are endless, so that nothing else is counted. Both sides work
one after the other. Two that run at the same time may take a line from each other more often.

Only the queue's own memory is counted. The buffers cost the same in every layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.hosts.python import BareCpu
from virtlab.memory import Bytes, GuestMemory
from virtlab.show.ring_look import MODERN
from virtlab.show.tables import Table
from virtlab.virtio.chain import Chain
from virtlab.virtio.doctor import Layout
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.split import SplitQueue

LINE = 64
"""Bytes of a cache line, on today's processors of the PC."""

Side = Literal["driver", "device"]

IN_ORDER = MODERN | {Feature.IN_ORDER}

_RING, _BUFFERS = 0x1_0000, 0x10_0000


class Lines:
    """Who has which line of the memory `spans`, and what it took."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = tuple(spans)
        self.holders: dict[int, frozenset[Side]] = {}
        self.clear()

    def clear(self) -> None:
        """Count from 0 again; the caches keep what they have."""
        self.accesses: dict[Side, int] = {"driver": 0, "device": 0}
        self.touched: dict[Side, set[int]] = {"driver": set(), "device": set()}
        self.moves = 0

    def note(self, side: Side, gpa: int, length: int, write: bool) -> None:
        """One access by `side`."""
        if not any(start <= gpa < start + size for start, size in self.spans):
            return
        self.accesses[side] += 1
        for number in range(gpa // LINE, (gpa + length - 1) // LINE + 1):
            self.touched[side].add(number)
            has = self.holders.get(number, frozenset())
            alone: frozenset[Side] = frozenset({side})
            if side not in has or (write and has != alone):
                self.moves += 1
            self.holders[number] = alone if write else has | alone


class WatchedCpu(BareCpu):
    """A processor whose accesses to memory are noted in `lines`, as the driver's."""

    def __init__(self, memory: GuestMemory, lines: Lines) -> None:
        space = AddressSpace("memory", 32)
        space.map_ram(memory)
        super().__init__(AddressSpace("port", 16), space, Clock())
        self.lines = lines

    def load(self, gpa: int, size: int = 4) -> int:
        """One load."""
        self.lines.note("driver", gpa, size, write=False)
        return super().load(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """One store."""
        self.lines.note("driver", gpa, size, write=True)
        super().store(gpa, value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """One read of many bytes."""
        self.lines.note("driver", gpa, length, write=False)
        return super().read(gpa, length)

    def write(self, gpa: int, data: bytes) -> None:
        """One write of many bytes."""
        self.lines.note("driver", gpa, len(data), write=True)
        super().write(gpa, data)


class WatchedDma:
    """A `Dma` whose accesses are noted in `lines`, as the device's. A view moves nothing."""

    def __init__(self, memory: GuestMemory, lines: Lines) -> None:
        self.memory = memory
        self.lines = lines

    def read(self, iova: int, length: int) -> bytes:
        """One read."""
        self.lines.note("device", iova, length, write=False)
        return self.memory.read(iova, length)

    def write(self, iova: int, data: bytes) -> None:
        """One write."""
        self.lines.note("device", iova, len(data), write=True)
        self.memory.write(iova, data)

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves: asked for to see whether a buffer is memory."""
        return self.memory.view(iova, length, write)


class Pair(NamedTuple):
    """Both sides of a queue, watched."""

    lines: Lines
    driver: SplitDriver | PackedDriver
    queue: SplitQueue | PackedQueue


def pair(layout: Layout, size: int = 256, features: Features = MODERN) -> Pair:
    """A fresh queue of `size`, its memory watched from now on."""
    memory = GuestMemory([(_RING, 0x2_0000), (_BUFFERS, 0x1_0000)])
    placed = SplitRings.placed if layout == "split" else PackedRings.placed
    rings = placed(_RING, size)
    lines = Lines(rings.parts)
    cpu, dma = WatchedCpu(memory, lines), WatchedDma(memory, lines)
    if isinstance(rings, PackedRings):
        packed = PackedQueue(dma)
        made = Pair(lines, PackedDriver(cpu, rings, features), packed)
        packed.enable(rings, features)
    else:
        split = SplitQueue(dma)
        made = Pair(lines, SplitDriver(cpu, rings, features), split)
        split.enable(rings, features)
    lines.clear()
    return made


def batch(made: Pair, count: int) -> None:
    """`count` requests of one buffer, added, kicked, popped, pushed and got back together.

    In order, one used descriptor stands for all of them.
    """
    for number in range(count):
        made.driver.add_buf([], [(_BUFFERS + number * LINE, LINE)], number)
    made.driver.kick()
    taken: list[Chain] = []
    while (chain := made.queue.pop()) is not None:
        taken.append(chain)
    if Feature.IN_ORDER in made.queue.features:
        made.queue.push(taken[-1], LINE, count=len(taken))
    else:
        for chain in taken:
            made.queue.push(chain, LINE)
    made.queue.notify()
    while made.driver.get_buf() is not None:
        pass


class Cost(NamedTuple):
    """Of one request: accesses and lines of each side, and lines that moved between the two."""

    driver_accesses: float
    device_accesses: float
    driver_lines: float
    device_lines: float
    moves: float


@lru_cache
def cost(layout: Layout, count: int, features: Features = MODERN, size: int = 256) -> Cost:
    """What a request costs in batches of `count`: the mean of one lap of the ring, after another.

    `ValueError` if the batches do not fill a lap.
    """
    if not 0 < count <= size or size % count:
        raise ValueError(f"{size} entries are no whole number of batches of {count}")
    made = pair(layout, size, features)
    laps = size // count
    for _ in range(laps):
        batch(made, count)
    made.lines.clear()
    lines: dict[Side, int] = {"driver": 0, "device": 0}
    for _ in range(laps):
        for touched in made.lines.touched.values():
            touched.clear()
        batch(made, count)
        for side, touched in made.lines.touched.items():
            lines[side] += len(touched)
    accesses = made.lines.accesses
    counted = (accesses["driver"], accesses["device"], lines["driver"], lines["device"])
    return Cost(*(each / size for each in (*counted, made.lines.moves)))


LAYOUTS: dict[str, tuple[Layout, Features]] = {
    "split": ("split", MODERN),
    "packed": ("packed", MODERN),
    "split, in order": ("split", IN_ORDER),
    "packed, in order": ("packed", IN_ORDER),
}
"""What is compared, by name."""


def moves_table(batches: Sequence[int] = (1, 4, 16, 64)) -> Table:
    """For each batch and layout, the cache lines that move between the cores for one request."""
    return _table("Cache lines that move, for one request", batches, lambda each: each.moves)


def lines_table(batches: Sequence[int] = (1, 4, 16, 64)) -> Table:
    """For each batch and layout, the lines that driver and device touch for one request."""
    words = "Cache lines touched by both sides, for one request"
    return _table(words, batches, lambda each: each.driver_lines + each.device_lines)


def _table(caption: str, batches: Sequence[int], number: Callable[[Cost], float]) -> Table:
    rows = []
    for count in batches:
        costs = (cost(layout, count, features) for layout, features in LAYOUTS.values())
        rows.append((f"{count}", *(f"{number(each):.2f}" for each in costs)))
    return Table(caption, ("batch", *LAYOUTS), tuple(rows))
