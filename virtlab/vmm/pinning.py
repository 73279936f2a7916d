"""Pinning: a frame that a device is about to use stays where it is.

A VMM moves pages: to fill a hole, to swap, to balance memory. The guest does not notice, for its
table entry is changed with the bytes. A device does notice: it holds the *old* number.

      frame 12 [ A's page ]  <--- the device has 12        move        frame 12 [ B's page ]  <--- !
      frame 40 [          ]                              ------->      frame 40 [ A's page ]

So every frame under DMA has a count of its users, and `Mover` lets a frame alone while that is not
zero. A frame that is named twice is pinned twice.

The rule that keeps it simple: who gives an address to a device pins it first, and unpins it when
the device says that it is done.

Source: Linux, Documentation/core-api/pin_user_pages.rst, the same rule for DMA in one kernel. Left
out: a real VMM would wait for a pinned page; here it is told no, and may try again.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from virtlab.memory import PAGE
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.tables import Walk
from virtlab.vmm.virtual_machine import ScatteredRam


class Mapping(Protocol):
    """A VM's EPT or shadow table, as the mover sees it."""

    def walk(self, gpa: int) -> Walk:
        """Where `gpa` leads."""

    def map(self, gpa: int, hpa: int, length: int) -> None:
        """Let `gpa` lead to `hpa`."""


class Movable(Protocol):
    """A VM, as the mover sees it."""

    @property
    def name(self) -> str:
        """For the trace."""

    @property
    def trace(self) -> Trace:
        """Where events go."""

    @property
    def ram(self) -> ScatteredRam:
        """Its memory."""

    @property
    def tables(self) -> Mapping:
        """Its table."""


class Pins:
    """How many users each frame of the host has. Frames nobody uses are not in `counts`."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def pin(self, hpa: int, length: int) -> None:
        """Count one user more for every frame that `length` bytes at `hpa` touch."""
        self.counts.update(_frames(hpa, length))

    def unpin(self, hpa: int, length: int) -> None:
        """Count one less. `ValueError` if one of them is not pinned."""
        for frame in _frames(hpa, length):
            if not self.counts[frame]:
                raise ValueError(f"the frame at {frame:#x} is not pinned")
            self.counts[frame] -= 1
            if not self.counts[frame]:
                del self.counts[frame]

    def pinned(self, hpa: int) -> bool:
        """Whether the frame of `hpa` must stay where it is."""
        return hpa & -PAGE in self.counts

    def __len__(self) -> int:
        return len(self.counts)


class Mover:
    """The part of a VMM that moves pages of VMs to other frames.

    `frames` are free ones; those that a page has left come first, as the next to be used. With
    no `pins` it moves whatever it is told to: that is the mistake that a lesson shows.
    """

    def __init__(self, frames: Frames, pins: Pins | None = None) -> None:
        self.frames = frames
        self.pins = pins
        self.left: list[int] = []

    def move(self, vm: Movable, gpa: int) -> int | None:
        """Move the page of `gpa` to another frame: where it is now, or None if it is pinned.

        `ValueError` if the VM has no page there.
        """
        page = gpa & -PAGE
        old = vm.ram.frames.get(page)
        if old is None:
            raise ValueError(f"{vm.name} has no page at {gpa:#x}")
        if self.pins is not None and self.pins.pinned(old):
            vm.trace.emit("pinned", vm.name, "memory", page, PAGE, old, "the frame stays")
            return None
        new = self.left.pop() if self.left else self.frames.take()
        vm.ram.memory.write(new, vm.ram.memory.read(old, PAGE))
        vm.trace.emit("copy", vm.name, "memory", page, PAGE, new, f"from frame {old:#x}")
        vm.ram.frames[page] = new
        if not vm.tables.walk(page).problem:
            vm.tables.map(page, new, PAGE)
        self.left.append(old)
        return new


def _frames(hpa: int, length: int) -> range:
    """The frames that `length` bytes at `hpa` touch."""
    return range(hpa & -PAGE, hpa + length, PAGE) if length else range(0)
