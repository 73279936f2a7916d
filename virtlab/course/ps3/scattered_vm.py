"""A VM whose RAM lies in scattered frames: what task 7 of problem set 3 is held against.

The idea: a student's VMM may ask only for pins and for bytes. So each pin is counted, and so is
each byte of the guest's memory that is read: who reads a byte a second time, finds another one.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from virtlab.course.answers import Stopped
from virtlab.course.ps2.regions import Pieces, joined
from virtlab.course.ps3.machines import whole
from virtlab.devices.ata.registers import BOUNDARY
from virtlab.memory import PAGE

PINS = 4_000
"""Pins that an answer may ask for on one VM."""

LOW, HIGH = range(0, 0x2_0000, PAGE), range(0x10_0000, 0x14_0000, PAGE)
"""The guest-physical pages that the VM has; between them is nothing."""

FIXED = {0x1000: 0x9000, 0x2000: 0x5000, 0x3000: 0x6000, 0x4000: 0x4000, 0x5000: 0x7000}
"""Frames of the fixed cases: two and three are side by side, and so are three and five."""


class Vm:
    """What a student's VMM knows of a VM."""

    def __init__(self, frames: dict[int, int]) -> None:
        self.frames = frames
        self.ram = {page: bytearray(PAGE) for page in frames}
        self.pins: Counter[int] = Counter()
        self.reads: Counter[int] = Counter()
        self.made = 0
        self.wrong = ""

    def pin(self, page: int) -> int | None:
        """Pin a page's frame: its hpa, or None."""
        self._check(page)
        self.made += 1
        if self.made > PINS:
            raise Stopped(f"it was stopped after {PINS:,} pins")
        if page not in self.frames:
            return None
        self.pins[page] += 1
        return self.frames[page]

    def unpin(self, page: int) -> None:
        """Take one pin back."""
        self._check(page)
        self.pins[page] -= 1
        if self.pins[page] < 0:
            self.wrong = self.wrong or f"unpin({page:#x}), which was not pinned"

    def read(self, gpa: int, length: int) -> bytes | None:
        """Bytes of guest RAM, or None; who reads a byte again, finds another."""
        if not 0 <= whole(length) <= BOUNDARY:
            raise ValueError(f"a read has 0 to {BOUNDARY} bytes, not {length}")
        there = range(whole(gpa), gpa + length)
        if any(at & -PAGE not in self.ram for at in there):
            return None
        data = bytes(self.ram[at & -PAGE][at % PAGE] ^ 0x5A * self.reads[at] % 256 for at in there)
        self.reads.update(there)
        return data

    def write(self, gpa: int, data: bytes) -> None:
        """Put bytes there, for the guest; what is outside is lost."""
        for at, byte in enumerate(data, gpa):
            if at & -PAGE in self.ram:
                self.ram[at & -PAGE][at % PAGE] = byte

    def _check(self, page: int) -> None:
        if whole(page) % PAGE or page < 0:
            raise ValueError(f"a page begins at a multiple of {PAGE:#x}, not at {page:#x}")

    # -- what must be

    def host(self, pieces: Pieces) -> Pieces | None:
        """The pieces in the host, as few as can be; None if they are not all the VM's."""
        found: Pieces = []
        for gpa, length in pieces:
            while length:
                frame, offset = self.frames.get(gpa & -PAGE), gpa % PAGE
                if frame is None:
                    return None
                n = min(length, PAGE - offset)
                found.append((frame + offset, n))
                gpa, length = gpa + n, length - n
        return joined(found)

    def touched(self, pieces: Pieces) -> set[int]:
        """The pages that the pieces lie in."""
        ranges = (range(gpa & -PAGE, gpa + length, PAGE) for gpa, length in pieces if length)
        return {page for pages in ranges for page in pages}

    def foreign(self, pieces: Pieces) -> int | None:
        """The first host page of `pieces` that is not this VM's, if there is one."""
        mine = set(self.frames.values())
        for hpa, length in pieces:
            for page in range(hpa & -PAGE, min(hpa + length, hpa + (1 << 23)), PAGE):
                if page not in mine:
                    return page
        return None


def scattered(rng: Random) -> dict[int, int]:
    """Frames for all pages of the VM: runs of pages side by side, scattered over 16 MiB."""
    pages = [*LOW, *HIGH]
    slots = rng.sample(range(1, 256), len(pages))  # 64 KiB each
    frames: dict[int, int] = {}
    frame = 0
    for number, page in enumerate(pages):
        if rng.random() < 0.5 or (frame + PAGE) % (2 * BOUNDARY) == 0:
            frame = slots[number] * BOUNDARY + PAGE * rng.randrange(16)
        else:
            frame += PAGE
        while frame in frames.values():
            frame = rng.randrange(1, 4096) * PAGE
        frames[page] = frame
    return frames
