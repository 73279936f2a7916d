"""What a look at a ring gives: whose its descriptors are, and the latest chains in it.

    position 126   head 6   the device's   16 r | 4096 w | 1 w     read 8 sectors at 32

The idea: both layouts are looked at in two ways, and give the same thing. So a picture need not
know which of them it draws.

The rule that keeps it simple: a chain is its pieces and the first bytes of it. What those mean is
said by whoever knows the device.

Source: virtio 1.3 2.7 (split), 2.8 (packed).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from virtlab.errors import DmaFault
from virtlab.memory import Dma
from virtlab.show.real_requests import head_words, pieces_words
from virtlab.virtio.blk_layouts import REQUEST, SECTOR

LATEST = 6
"""Chains that are looked into."""


class Owner(StrEnum):
    """Whose a descriptor is."""

    DRIVER = "the driver's"
    EXPOSED = "exposed"
    DEVICE = "the device's"


class Chain(NamedTuple):
    """A chain that stands in the ring: its head, whose it is, and the pieces of its buffers."""

    position: int  # in the available ring, or in the packed ring, running free
    head: int
    owner: Owner
    slots: tuple[int, ...]
    pieces: tuple[tuple[int, bool], ...]
    indirect: bool
    start: bytes  # the first bytes that the device reads

    @property
    def words(self) -> str:
        """What it asks for, read as a block request."""
        return head_words(self.start, self.sectors)

    @property
    def sectors(self) -> int:
        """Sectors of data, if it is a block request."""
        return (sum(length for length, _ in self.pieces) - REQUEST.itemsize - 1) // SECTOR

    @property
    def buffers(self) -> str:
        """Its pieces in words."""
        return pieces_words(self.pieces)


class Look(NamedTuple):
    """A ring: whose each descriptor is, how far both sides are, and its latest chains.

    Counts run free. `wish` is what the driver wants to be told of, `ask` what the device does.
    """

    size: int
    packed: bool
    owners: tuple[Owner, ...]
    added: int
    last_avail: int
    used: int
    wish: str
    ask: str
    chains: tuple[Chain, ...]


Entry = tuple[int, int, bool, bool, bool, int]
"""Of a descriptor: address, length, whether the device writes it, INDIRECT, NEXT, what follows."""


def chain_of(
    memory: Dma,
    position: int,
    head: int,
    owner: Owner,
    slots: Sequence[int],
    inside: Sequence[Entry],
    indirect: bool,
) -> Chain:
    """A chain from the entries that it has."""
    pieces = tuple((length, write) for _, length, write, _, _, _ in inside)
    start = b""
    if inside and not inside[0][2]:
        start = kept(memory, inside[0][0], min(inside[0][1], REQUEST.itemsize))
    return Chain(position, head, owner, tuple(slots), pieces, indirect, start)


def kept(memory: Dma, gpa: int, length: int) -> bytes:
    """The bytes there; none where they were not kept."""
    try:
        return memory.read(gpa, length) if length else b""
    except DmaFault:
        return b""
