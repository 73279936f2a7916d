"""DMA remapping in software: what a guest calls an address becomes where the bytes are.

A guest's driver knows guest-physical addresses and no others. A device knows host-physical ones.
Somebody must stand between them, or the device writes at the right number in the wrong memory.

      guest writes       the VMM translates           the device gets
      [ gpa, length ] -> page by page            ->   [ hpa, bytes ] [ hpa, bytes ] ...

One piece of guest memory is several pieces of host memory, one for each run of frames that lie next
to each other. `SoftwareRemapper.pieces` is that cut; the mediators (`mediated_edu`, `mediated_ide`)
use it when they intercept a device's registers. The same object is a `Dma` too: put into `Domains`
it translates each request by itself, as VT-d does it in hardware.

The rule that keeps it simple: only what the VM's RAM has can be named. A request that touches
anything else is refused as a whole, and moves nothing.

Source: the lecture's "DMA remapping". Left out: rights of a page; a VM's RAM is readable and
writable. Bounce buffers, for devices that cannot make the address of a high frame.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, Bytes, Dma
from virtlab.vmm.virtual_machine import ScatteredRam

Addresses = npt.NDArray[np.uint64]


class Piece(NamedTuple):
    """`length` bytes in a row at host-physical `hpa`."""

    hpa: int
    length: int


class Translator(Protocol):
    """What a mediator asks before it gives a device an address."""

    def pieces(self, iova: int, length: int) -> list[Piece]:
        """Where `length` bytes at `iova` lie, in order; `DmaFault` if any of them may not be."""

    def reach(self, iova: int, length: int) -> int:
        """How many of `length` bytes at `iova` may be named, up to the first that may not."""


class SoftwareRemapper:
    """The translation of one VM, whose memory is `ram`: `iova` is a guest-physical address.

    A `Dma`. What it refuses is a `DmaFault`, before anything has moved.
    """

    def __init__(self, ram: ScatteredRam) -> None:
        self.ram = ram

    def translate(self, iova: int) -> int:
        """The host-physical address of one byte."""
        return self.ram.hpa(iova)

    def translate_many(self, iovas: Addresses) -> tuple[Addresses, npt.NDArray[np.bool_]]:
        """The same for many: `(hpas, ok)`, both (n,). Where `ok` is false, the hpa is 0.

        `iovas`: (n,) uint64.
        """
        table = np.array(sorted(self.ram.frames.items()), np.uint64).reshape(-1, 2)
        asked = np.asarray(iovas, np.uint64)
        offset = asked & np.uint64(PAGE - 1)
        pages = np.append(table[:, 0], np.uint64(1))  # no page begins at 1: a row for "none"
        frames = np.append(table[:, 1], np.uint64(0))
        row = np.searchsorted(table[:, 0], asked - offset)
        ok = pages[row] == asked - offset
        return np.where(ok, frames[row] + offset, np.uint64(0)), ok

    def pieces(self, iova: int, length: int) -> list[Piece]:
        """The frames of `length` bytes at `iova`, in order, those that are neighbours as one."""
        have = self.reach(iova, length)
        if have < length:
            raise DmaFault("not the VM's memory", iova + have, length - have)
        found: list[Piece] = []
        for hpa, n in self.ram.parts(iova, length):
            if found and sum(found[-1]) == hpa:
                found[-1] = Piece(found[-1].hpa, found[-1].length + n)
            else:
                found.append(Piece(hpa, n))
        return found

    def reach(self, iova: int, length: int) -> int:
        """How many of `length` bytes at `iova` the VM has, up to the first that it has not."""
        end = iova
        while end < iova + length and end & -PAGE in self.ram.frames:
            end = (end & -PAGE) + PAGE
        return min(end - iova, length)

    # -- as a Dma

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes at `iova`."""
        memory = self.ram.memory
        return b"".join(memory.read(hpa, n) for hpa, n in self.pieces(iova, length))

    def write(self, iova: int, data: bytes) -> None:
        """Put `data` at `iova`."""
        done = 0
        for hpa, n in self.pieces(iova, len(data)):
            self.ram.memory.write(hpa, data[done : done + n])
            done += n

    def view(self, iova: int, length: int, write: bool = False) -> Bytes:
        """The bytes themselves, where they lie in one piece; else `DmaFault`."""
        return self.ram.view(iova, length, write)


class Untranslated:
    """A lesson's mistake, not a service: the guest's number goes to the device as it is.

    The device then writes at hpa = gpa, whoever's memory that is.
    """

    def pieces(self, iova: int, length: int) -> list[Piece]:
        """One piece, at the guest's own number."""
        return [Piece(iova, length)] if length else []

    def reach(self, iova: int, length: int) -> int:
        """All of it: nobody looks."""
        return length


class Domains:
    """Which memory each requester reaches, by its 16-bit source id: what a root complex asks.

        board.cards.root.memory = domains

    Requesters that nobody `assign`ed reach `default`. No software runs between a physical card and
    memory, so on a real machine this is hardware: VT-d (VT-d 3.4).
    """

    def __init__(self, default: Dma) -> None:
        self.default = default
        self.assigned: dict[int, Dma] = {}

    def assign(self, source_id: int, dma: Dma) -> None:
        """Let the requests of `source_id` go to `dma`."""
        self.assigned[source_id] = dma

    def withdraw(self, source_id: int) -> None:
        """They reach `default` again."""
        self.assigned.pop(source_id, None)

    def __call__(self, source_id: int) -> Dma:
        """The memory of one requester."""
        return self.assigned.get(source_id, self.default)
