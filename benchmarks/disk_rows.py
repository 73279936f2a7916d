"""Moving the payload: a block device's reads of 4 KiB, from a disk in memory.

    disk    [ block 0 ][ block 1 ][ block 2 ] ...        blocks   [ 2, 0, ... ]  any
    memory  ... [ buffer 0 ][ buffer 1 ] ...             offset   where each buffer begins

The idea: a block is one element, a void of 4096 bytes. So one `take` moves a whole batch, where a
loop over slices pays for each block. Where the buffers lie side by side, it moves them to their
place; where they do not, they are put there behind it, and copied once more.

The other side is a loop of `memcpy` in `split_twin.c`.
"""

from __future__ import annotations

import ctypes
from functools import partial
from time import perf_counter_ns

import numpy as np

from benchmarks import compiler
from benchmarks.harness import Row
from benchmarks.split_twin import SOURCE
from virtlab.memory import GuestMemory

BLOCK = 4096
RECORD = np.dtype(f"V{BLOCK}")
DISK = 4096
"""Blocks of the disk: 16 MiB."""

NOTES = ("block reads: 4 KiB each, any blocks of a disk of 16 MiB; only the move is measured",)


class BlockReads:
    """`n` reads into buffers side by side."""

    def __init__(self, n: int, flags: tuple[str, ...]) -> None:
        self.n = n
        self.random = np.random.default_rng(n)
        self.disk = self.random.integers(0, 256, DISK * BLOCK, np.uint8)
        self.memory = GuestMemory(8 * n * BLOCK)
        self.records = self.memory.bytes.view(RECORD)
        self.blocks_of_disk = self.disk.view(RECORD)
        self.library = compiler.library(SOURCE, flags)
        self.library.copy_blocks.restype = ctypes.c_int64
        self.prepare()

    def prepare(self) -> None:
        """Other blocks, and another place for them."""
        self.blocks = self.random.integers(0, DISK, self.n)
        self.pages = self.places()
        self.offset = self.pages * BLOCK

    def places(self) -> np.ndarray:
        """The page of each buffer."""
        return self.random.integers(0, 7 * self.n) + np.arange(self.n)

    def python(self) -> int:
        """Move them by the library's way."""
        start = perf_counter_ns()
        first = self.offset[0] // BLOCK
        there = self.records[first : first + self.n]
        self.blocks_of_disk.take(self.blocks, 0, there, "clip")
        return perf_counter_ns() - start

    def twin(self) -> int:
        """Move them by `memcpy`."""
        arrays = self.memory.bytes, self.offset, self.disk, self.blocks
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        sizes = ctypes.c_uint64(self.n), ctypes.c_uint64(BLOCK)
        return int(self.library.copy_blocks(*pointers, *sizes))

    def check(self) -> None:
        """Each side moves the blocks to where they belong."""
        for side in (self.python, self.twin):
            self.prepare()
            self.memory.bytes[:] = 0
            side()
            expected = np.zeros((8 * self.n, BLOCK), np.uint8)
            expected[self.pages] = self.disk.reshape(-1, BLOCK)[self.blocks]
            assert np.array_equal(self.memory.bytes, expected.reshape(-1)), "the payload differs"


class ScatteredReads(BlockReads):
    """`n` reads into buffers here and there."""

    def places(self) -> np.ndarray:
        return self.random.permutation(8 * self.n)[: self.n]

    def python(self) -> int:
        start = perf_counter_ns()
        self.records[self.offset // BLOCK] = self.blocks_of_disk.take(self.blocks, mode="clip")
        return perf_counter_ns() - start


def rows(flags: tuple[str, ...]) -> list[Row]:
    """All rows, for a twin compiled with `flags`."""
    near = "block reads, buffers side by side"
    found = [Row(near, n, partial(BlockReads, n, flags), 1.1) for n in (256, 1024)]
    far = "block reads, buffers scattered"
    return [*found, Row(far, 256, partial(ScatteredReads, 256, flags))]
