"""A guest's memory in scattered frames of a host's memory, with a wall behind each of them.

    host    [ frame 7 ][ wall ][ frame 2 ][ wall ][ frame 9 ][ wall ] ...

The walls hold a pattern. A device that leaves a guest's frame by one byte changes it, or shows it.
"""

from __future__ import annotations

import random

import numpy as np

from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.virtual_machine import ScatteredRam

WALL = 0xC5
FEW = 64
"""Walls that are compared at a time: a test that counts memory should not count its own."""


class Scattered(ScatteredRam):
    """`size` bytes from gpa 0 on, with the number verbs of a `GuestMemory` too."""

    def __init__(self, size, seed=6):
        host = GuestMemory(2 * size)
        frames = list(range(0, host.size, 2 * PAGE))
        random.Random(seed).shuffle(frames)
        super().__init__(host, frames, [(0, size)])
        self.size = size
        self.walls = host.bytes.reshape(-1, PAGE)[1::2]
        self.walls[:] = WALL

    def load(self, gpa, size):
        """The little-endian number of `size` bytes at `gpa`."""
        return int.from_bytes(self.read(gpa, size), "little")

    def store(self, gpa, size, value):
        """Put the low `size` bytes of `value` at `gpa`."""
        self.write(gpa, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    @property
    def contained(self):
        """Whether all walls are as they were."""
        parts = range(0, len(self.walls), FEW)
        return all(np.equal(self.walls[at : at + FEW], WALL).all() for at in parts)
