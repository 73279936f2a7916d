"""Frames of host memory: what a VM's RAM and its tables are made of.

A VMM takes host memory by the page. It takes the tables' frames one after another, and a VM's RAM
in scattered frames, as a host that has been up for a while does: so that a guest-physical address
is visibly not the host-physical one.

The rule that keeps it simple: a pool is bounded when it is made, and its order is decided by a
seed. No guest can make it grow.
"""

from __future__ import annotations

import random
from bisect import insort
from operator import neg

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory


class Frames:
    """`count` free frames of `memory` (the host's RAM), from host-physical `start`.

    >>> pool = Frames(GuestMemory(64 * PAGE), 0x10000, 8)
    >>> hex(pool.take()), [hex(hpa) for hpa in pool.scatter(3, seed=1)], pool.left
    ('0x10000', ['0x12000', '0x15000', '0x11000'], 4)
    """

    def __init__(self, memory: GuestMemory, start: int, count: int) -> None:
        if start % PAGE or count < 0:
            raise ValueError(f"a pool starts at a page border, not {start:#x}, and has 0 or more")
        try:
            memory.offset(start, count * PAGE)
        except DmaFault as fault:
            raise ValueError(f"the host has no {count} frames at {start:#x}") from fault
        self.memory = memory
        self.span = range(start, start + count * PAGE, PAGE)
        self._free = list(reversed(self.span))

    @property
    def left(self) -> int:
        """Frames that are still free."""
        return len(self._free)

    def take(self) -> int:
        """The lowest free frame, filled with zeros: its host-physical address."""
        self._need(1)
        hpa = self._free.pop()
        self.memory.view(hpa, PAGE)[:] = 0
        return hpa

    def scatter(self, count: int, seed: int) -> tuple[int, ...]:
        """`count` free frames in an order that `seed` decides, filled with zeros."""
        self._need(count)
        chosen = random.Random(seed).sample(sorted(self._free), count)
        taken = set(chosen)
        self._free = [hpa for hpa in self._free if hpa not in taken]
        for hpa in chosen:
            self.memory.view(hpa, PAGE)[:] = 0
        return tuple(chosen)

    def give(self, hpa: int) -> None:
        """Put a frame back that was taken; it is filled with zeros when it is taken again."""
        if hpa not in self.span or hpa in self._free:
            raise ValueError(f"{hpa:#x} is no frame that was taken from this pool")
        insort(self._free, hpa, key=neg)

    def _need(self, count: int) -> None:
        if count > len(self._free):
            raise ValueError(f"{count} frames are wanted, and {len(self._free)} are left")
