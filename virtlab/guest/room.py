"""RAM that a driver has for itself, given out from the bottom up.

    room = Room(0x10_0000, 1 << 20)
    ring = room.take(4096, 4096)      # the address of 4096 bytes, on a page border

The idea: a driver needs memory that its device can reach: rings, tables, buffers. It needs them
from its start to its reset, and then all at once no more. So nothing is ever freed by itself.

The rule that keeps it simple: addresses are `gpa`s, and nothing is written here.
"""

from __future__ import annotations


class Room:
    """RAM for one driver: `length` bytes from `gpa`, given out from the bottom up."""

    def __init__(self, gpa: int, length: int) -> None:
        self.gpa = gpa
        self.length = length
        self.taken = 0

    def take(self, length: int, align: int = 16) -> int:
        """The address of `length` bytes, a multiple of `align`. `ValueError` if they do not fit."""
        start = -(-(self.gpa + self.taken) // align) * align
        if start + length > self.gpa + self.length:
            raise ValueError(f"{length} bytes do not fit: {self.taken} of {self.length} are taken")
        self.taken = start + length - self.gpa
        return start

    def clear(self) -> None:
        """Take all of it back."""
        self.taken = 0
