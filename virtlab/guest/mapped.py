"""A driver whose addresses are the device's: what is between the two is looked up for it.

    driver                            store 0x80_0000_1000
      MappedCpu   0x80_0000_1000  ->  store 0x0020_3000          the processor's way
      device      0x80_0000_1000  ->  unit  0x0020_3000          the device's way

The idea: behind a remapping unit a buffer has two addresses, one for the processor (gpa) and one
for the device (iova). A driver writes a buffer, and tells the device where it is. If it uses the
iova for both, it needs no change at all: `MappedCpu` turns its loads and stores around. So a
`Room` of iovas and a `MappedCpu` make any driver of this package one that lives behind a unit.

The rule that keeps it simple: an address inside one of the windows is an iova, any other is passed
on as it is. So iovas must not be where registers are.

This is what a kernel's DMA mapping does. There, the driver keeps both addresses (virtio 1.3 6.1,
ACCESS_PLATFORM, demands it of virtio).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from virtlab.cpu import Cpu


class Window(NamedTuple):
    """`length` bytes that the device has at `iova`, and the processor at `gpa`."""

    iova: int
    gpa: int
    length: int


class MappedCpu:
    """A Cpu around `cpu`. Inside `windows` the addresses of its four memory verbs are iovas."""

    def __init__(self, cpu: Cpu, windows: Iterable[Window] = ()) -> None:
        self.cpu = cpu
        self.windows: list[Window] = []  # by iova
        self._starts: list[int] = []
        for window in windows:
            self.add(*window)

    def add(self, iova: int, gpa: int, length: int) -> None:
        """One more window. `ValueError` if it overlaps another."""
        at = bisect_right(self._starts, iova)
        for other in self.windows[max(at - 1, 0) : at + 1]:
            if iova < other.iova + other.length and other.iova < iova + length:
                raise ValueError(f"{iova:#x} overlaps the window at {other.iova:#x}")
        self.windows.insert(at, Window(iova, gpa, length))
        self._starts.insert(at, iova)

    def gpa_of(self, iova: int) -> int:
        """Where the processor finds the byte that a device has at `iova`."""
        return self._way(iova)[0]

    def _way(self, at: int) -> tuple[int, int | None]:
        """The gpa, and how many bytes follow there; None: as many as one likes."""
        number = bisect_right(self._starts, at)
        if number:
            window = self.windows[number - 1]
            if at < window.iova + window.length:
                return window.gpa + at - window.iova, window.iova + window.length - at
        return at, self._starts[number] - at if number < len(self._starts) else None

    def _pieces(self, at: int, length: int) -> Iterator[tuple[int, int, int]]:
        """`(offset, gpa, bytes)` of a string move: it is cut where windows begin and end."""
        done = 0
        while done < length:
            gpa, room = self._way(at + done)
            n = length - done if room is None else min(room, length - done)
            yield done, gpa, n
            done += n

    # -- the six verbs, and the wait

    def load(self, gpa: int, size: int = 4) -> int:
        """A load. An aligned one is in one window, as a page is."""
        return self.cpu.load(self._way(gpa)[0], size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """A store."""
        self.cpu.store(self._way(gpa)[0], value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """A string move, from window to window."""
        return b"".join(self.cpu.read(at, n) for _, at, n in self._pieces(gpa, length))

    def write(self, gpa: int, data: bytes) -> None:
        """The same, written."""
        for done, at, n in self._pieces(gpa, len(data)):
            self.cpu.write(at, data[done : done + n])

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: no memory, nothing to look up."""
        return self.cpu.inp(port, size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: likewise."""
        self.cpu.out(port, value, size)

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Wait on the Cpu behind."""
        return self.cpu.wait(timeout)
