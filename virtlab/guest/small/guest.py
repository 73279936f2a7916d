"""A small guest: listings at fixed places in RAM, their data, and what it is expected to do.

    0x1000   the guest itself: where a processor starts          0x2000   its data
    0x1800   pieces that guests share, each at its own place     0x2F00   segments, gates' place
    0x3000   what it leaves for a reader                         0x4000   gates of interrupts
    0x5000   a region table, for DMA                             0x6000   a sector
    0x9000   the stack, downwards

The idea: a guest is data. Anything that runs x86 code, an interpreter, an emulator or the
processor itself, loads the same bytes and is asked for the same outcome.

The rule that keeps it simple: a piece always stands at the same address, so a `call` of it has one
text wherever it is used. Gaps between pieces are filled with `hlt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from virtlab.guest.programs import ORIGIN, Line, listing

FILLER = b"\xf4"
"""HLT: where nothing should run, it stops."""

Data = tuple[tuple[int, bytes], ...]
"""Pairs `(gpa, bytes)`."""


class Writable(Protocol):
    """A `Cpu`, or a VM's RAM."""

    def write(self, gpa: int, data: bytes, /) -> None:
        """Put `data` at `gpa`."""


@dataclass(frozen=True)
class Piece:
    """A listing at its place, `origin`, and the `data` that it needs elsewhere."""

    name: str
    origin: int
    source: str
    data: Data = ()

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The listing with an address on each line."""
        return listing(self.source, self.origin)

    @property
    def code(self) -> bytes:
        """The machine code."""
        return b"".join(line.code for line in self.lines)

    def __str__(self) -> str:
        return "\n".join([self.name, *map(str, self.lines)])


@dataclass(frozen=True)
class SmallGuest:
    """A program for 32-bit flat protected mode, entered at `ORIGIN` with paging off.

    `what` says in words what it does. `source` is its own listing, `pieces` what it calls, `data`
    what else the loader places. `builds_on` names the guests to understand first.

    Its outcome: it `prints` this through the first UART, `leaves` these bytes in RAM, and halts for
    good, or ends in a triple fault. `keys` are tapped, by name, while it sleeps.
    """

    name: str
    what: str
    source: str
    pieces: tuple[Piece, ...] = ()
    data: Data = ()
    builds_on: tuple[str, ...] = ()
    prints: str = ""
    leaves: Data = ()
    keys: tuple[str, ...] = ()
    triple_fault: bool = False

    @cached_property
    def parts(self) -> tuple[Piece, ...]:
        """All listings: its own first, then those of the pieces."""
        return (Piece(self.name, ORIGIN, self.source), *self.pieces)

    @cached_property
    def code(self) -> bytes:
        """The code from `ORIGIN` to the end of the last piece."""
        image = bytearray()
        for part in sorted(self.parts, key=lambda part: part.origin):
            image += FILLER * (part.origin - ORIGIN - len(image)) + part.code
        return bytes(image)

    def load(self, ram: Writable) -> None:
        """Place code and data in `ram`, as a loader does."""
        ram.write(ORIGIN, self.code)
        for at, data in (*self.data, *(pair for piece in self.pieces for pair in piece.data)):
            ram.write(at, data)

    def __str__(self) -> str:
        return "\n\n".join([f"{self.name}: {self.what}", *map(str, self.parts)])
