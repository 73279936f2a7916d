"""A block device's requests, from the available ring to the used ring, beside memcpy alone.

    Python   pop_many | heads | one move | statuses | push_many        all of `VirtioBlk.handle`
    C        a loop of memcpy                                          of the data alone

The idea: what a batch of requests costs beyond the move of its data. The C side does none of that
work, so the ratio is what the device adds, and nothing is hidden in the twin.

Each request is 4 KiB, has a head, data and a status, and comes from the guest's own block driver
over virtio-mmio, or virtio-pci where that is said. The disk has 16 MiB, the blocks are any.
`benchmarks/disk_rows.py` has the move.
"""

from __future__ import annotations

import ctypes
from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks import compiler
from benchmarks.boards import BOARDS
from benchmarks.harness import Row
from benchmarks.split_twin import SOURCE
from virtlab.backends.disk import Disk
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BLK_FEATURES, BlkDriver
from virtlab.guest.virtio_blk_slots import RequestSlots
from virtlab.memory import GuestMemory
from virtlab.virtio.blk import VirtioBlk
from virtlab.virtio.blk_layouts import BlkStatus, BlkType
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature, Features

BLOCK = 4096
DISK = 4096
"""Blocks of the disk: 16 MiB."""

ROOM = 0x10000
SECTORS = BLOCK // 512

NOTES = ("block device: 4 KiB each; the C side is memcpy of the data alone, without any ring",)


class HeldBack(VirtioBlk):
    """A block device that serves its queue when the clock runs, and not when the bell rings."""

    queue: Queue

    def handle(self, index: int, queue: Queue) -> None:
        self.queue = queue

    def serve_now(self) -> None:
        """Answer what waits."""
        super().handle(0, self.queue)


class Requests:
    """`n` requests of one `kind` into buffers side by side; `ring` are the features of it."""

    def __init__(
        self, n: int, kind: BlkType, ring: Features, flags: tuple[str, ...], board: str = "mmio"
    ) -> None:
        self.n, self.kind = n, kind
        self.random = np.random.default_rng(n)
        size = DISK * BLOCK
        self.disk = Disk(bytearray(self.random.integers(0, 256, size, np.uint8).tobytes()))
        self.memory = GuestMemory(2 * n * BLOCK + (4 << 20))
        self.device = HeldBack(self.disk, queue_size=4 * n)
        self.driver = self._driver(ring, board)
        assert self.driver.requests is not None
        self.slots: RequestSlots = self.driver.requests.slots
        self.library = compiler.library(SOURCE, flags)
        self.library.copy_blocks.restype = ctypes.c_int64
        self.waiting = np.zeros(0, np.int64)
        self.prepare()

    def _driver(self, ring: Features, board: str) -> BlkDriver:
        cpu, transport, _ = BOARDS[board](self.device, self.memory)
        room = Room(ROOM, self.memory.size - ROOM)
        understood = BLK_FEATURES | {Feature.VERSION_1, *ring}
        driver = BlkDriver(cpu, transport, room, understood=understood, slots=self.n)
        driver.start()
        return driver

    def prepare(self) -> None:
        """Other blocks. What waits from before is served and taken back."""
        if len(self.waiting):
            self.device.serve_now()
            found = self.slots.finish()
            assert len(found.slots) == self.n
            assert not (found.status != BlkStatus.OK).any()
            self.slots.release(found.slots)
        self.blocks = self.random.permutation(DISK)[: self.n]
        self.waiting = self.slots.submit(self.kind, self.blocks * SECTORS, np.full(self.n, BLOCK))
        self.offset = self.slots.data + self.waiting * BLOCK
        self.slots.kick()

    def python(self) -> int:
        """Serve them all."""
        start = perf_counter_ns()
        self.device.serve_now()
        return perf_counter_ns() - start

    def twin(self) -> int:
        """Move their data by `memcpy`, the one way or the other."""
        disk, memory = self.disk.array(), self.memory.bytes
        sides = (memory, self.offset, disk, self.blocks)
        if self.kind == BlkType.OUT:
            # It counts the source in blocks, from the first buffer on.
            buffers = memory[self.slots.data :]
            sides = (disk, self.blocks * BLOCK, buffers, self.waiting)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in sides]
        return int(self.library.copy_blocks(*pointers, self.n, ctypes.c_uint64(BLOCK)))

    def check(self) -> None:
        """Each side moves the blocks to where they belong."""
        for side in (self.python, self.twin):
            self.prepare()
            here = [self.memory.view(int(at), BLOCK) for at in self.offset]
            if self.kind == BlkType.OUT:
                for view in here:
                    view[:] = self.random.integers(0, 256, BLOCK, np.uint8)
            side()
            blocks = self.disk.array().reshape(-1, BLOCK)
            for block, view in zip(self.blocks, here, strict=True):
                assert np.array_equal(blocks[block], view), "the payload differs"


class Scattered(Requests):
    """The same into buffers here and there: the driver's slots are free in any order."""

    def prepare(self) -> None:
        if len(self.waiting):
            super().prepare()
            return
        taken = self.slots.free.take_many(self.n)
        self.slots.free.give_many(self.random.permutation(taken))
        super().prepare()


RINGS = {
    "split": {Feature.IN_ORDER},
    "split indirect": {Feature.IN_ORDER, Feature.RING_INDIRECT_DESC},
    "packed": {Feature.IN_ORDER, Feature.RING_PACKED},
    "packed indirect": {Feature.IN_ORDER, Feature.RING_PACKED, Feature.RING_INDIRECT_DESC},
}


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, for a twin compiled with `flags`."""
    found = []
    for name, ring in RINGS.items():
        for kind, verb in ((BlkType.IN, "reads"), (BlkType.OUT, "writes")):
            for n in (256, 1024) if "indirect" in name else (256, 1024, 4096):
                duel = partial(Requests, n, kind, frozenset(ring), flags)
                found.append(Row(f"block device, {verb}, {name}", n, duel, 1.1))
    split = frozenset(RINGS["split"])
    for kind, verb in ((BlkType.IN, "reads"), (BlkType.OUT, "writes")):
        for n in (256, 1024):
            duel = partial(Requests, n, kind, split, flags, "pci")
            found.append(Row(f"block device, {verb}, split, pci", n, duel, 1.1))
    far = partial(Scattered, 256, BlkType.IN, split, flags)
    return [*found, Row("block device, reads, split, buffers scattered", 256, far)]
