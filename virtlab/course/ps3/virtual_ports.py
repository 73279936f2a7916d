"""What the ports of task 3 of problem set 3 must say: a model, and the cards that are plugged in.

The idea: the same table that the student reads, written a second time, as a `match` on port and
size. A test holds it against the library's own configuration ports and keyboard controller.
`Ports` lets the library's drivers run on a student's.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Built, Stopped
from virtlab.course.tasks import shown
from virtlab.wire import all_ones

ROOM = 16
"""Bytes that can wait."""
ACCESSES = 40_000
"""Accesses that a driver may make."""

Functions = dict[tuple[int, int, int], bytes]
Items = dict[int, bytes]


def function(device: int, multi: bool = False, seed: int = 1) -> bytes:
    """A card's 256 bytes: an identity, type 0, no BARs, and a byte of its own everywhere else."""
    data = bytearray(Random(f"{device} {seed}").randbytes(256))
    data[0:4] = 0x1AF4.to_bytes(2, "little") + device.to_bytes(2, "little")
    data[0x0E] = 0x80 * multi
    data[0x10:0x28] = bytes(0x18)
    return bytes(data)


FUNCTIONS: Functions = {
    (0, 0, 0): function(1),
    (0, 4, 0): function(2, multi=True),
    (0, 4, 7): function(3),
    (2, 31, 0): function(4),
}

ITEMS: Items = {0: b"QEMU", 5: (2).to_bytes(2, "little"), 0x19: b"a longer item, of 29 letters."}


class Model:
    """What the ports must say."""

    def __init__(self, functions: Functions, items: Items) -> None:
        self.functions, self.items = functions, items
        self.waiting: list[int] = []
        self.command_byte, self.awaited = 0x05, False
        self.word = 0
        self.item = list(items.get(0, b""))

    def inp(self, port: int, size: int) -> int:
        """A read."""
        match port, size:
            case (0x64, 1):
                return 0x14 | bool(self.waiting)
            case (0x60, 1):
                return self.waiting.pop(0) if self.waiting else 0
            case (0xCF8, 4):
                return self.word
            case (0x511, 1):
                return self.item.pop(0) if self.item else 0
        return self._config(port - 0xCFC, size)

    def _config(self, byte: int, size: int) -> int:
        """Bytes of the register that is chosen; else all ones."""
        there = self.functions.get(self.place)
        if there is None or not self.word >> 31 or not 0 <= byte <= 4 - size:
            return all_ones(size)
        start = (self.word & 0xFC) + byte
        return int.from_bytes(there[start : start + size], "little")

    @property
    def place(self) -> tuple[int, int, int]:
        """The function that is chosen."""
        return self.word >> 16 & 0xFF, self.word >> 11 & 0x1F, self.word >> 8 & 7

    def out(self, port: int, value: int, size: int) -> None:
        """A write."""
        match port, size:
            case (0x64, 1):
                self.awaited = value == 0x60
                said = {0xAA: [0x55], 0xAB: [0], 0x20: [self.command_byte]}
                self._wait(said.get(value, []))
            case (0x60, 1) if self.awaited:
                self.command_byte, self.awaited = value, False
            case (0x60, 1):
                self._wait([0xFA, *{0xFF: [0xAA], 0xF2: [0xAB, 0x83]}.get(value, [])])
            case (0xCF8, 4):
                self.word = value
            case (0x510, 2):
                self.item = list(self.items.get(value, b""))

    def _wait(self, values: list[int]) -> None:
        self.waiting = (self.waiting + values)[:ROOM]


class Ports:
    """A student's board as the Cpu that a driver gets; its accesses are bounded."""

    def __init__(self, board: Built) -> None:
        self.board = board
        self.accesses = 0

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`; what is no number of that size ends the driver, and says so."""
        self._count()
        value = self.board.call("inp", port, size)
        if type(value) is not int or not 0 <= value <= all_ones(size):
            raise NoNumber(port, size, value)
        return value

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`."""
        self._count()
        self.board.call("out", port, value, size)

    def _count(self) -> None:
        self.accesses += 1
        if self.accesses > ACCESSES:
            raise Stopped(f"a driver has made {ACCESSES:,} accesses, and does not come to an end")


class NoNumber(Exception):
    """What a driver cannot use."""

    def __init__(self, port: int, size: int, value: object) -> None:
        super().__init__(f"inp({port:#x}, {size}) gave {shown(value)}")
