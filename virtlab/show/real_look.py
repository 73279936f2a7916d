"""What a ring of any size is at one moment, as far as the device and its bytes can tell.

    the driver's      free, or given back: only the driver knows which
    exposed           made available, and not taken yet
    the device's      taken, and not given back

The idea: a shot of a real ring has its bytes and the device's own counts. The driver's own are
in no memory. So there are three owners here, where lesson 14 had five.

The rule that keeps it simple: everything is read from the shot, by the declared layouts. A chain is
followed as far as it goes, each descriptor once; an indirect table as far as it was kept. A device
is taken to give back in the order in which it took, as ours do.

Source: virtio 1.3 2.7 (split), 2.8 (packed).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.hosts.tape_shot import RingShot
from virtlab.memory import Dma
from virtlab.show.real_requests import head_words, pieces_words
from virtlab.virtio.blk_layouts import REQUEST, SECTOR
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, SplitRings, avail_ring, used_ring
from virtlab.virtio.packed_layouts import EVENT, PACKED_DESC, PackedRings

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


def look(shot: RingShot) -> Look:
    """What the ring of a shot is."""
    return (
        _look_packed(shot, shot.rings)
        if isinstance(shot.rings, PackedRings)
        else _look_split(shot, shot.rings)
    )


# -- split


def _look_split(shot: RingShot, rings: SplitRings) -> Look:
    table, avail, used = (shot.memory.read(*part) for part in rings.parts)
    entries = [_split_entry(each) for each in np.frombuffer(table, DESC).tolist()]
    heads = np.frombuffer(avail, avail_ring(rings.size))[0]
    back = np.frombuffer(used, used_ring(rings.size))[0]
    ring = heads["ring"].tolist()
    owned = {
        Owner.DEVICE: [ring[n % rings.size] for n in range(shot.used, shot.last_avail)],
        Owner.EXPOSED: [ring[n % rings.size] for n in range(shot.last_avail, shot.added)],
    }
    owners = [Owner.DRIVER] * rings.size
    for owner, starts in owned.items():
        for head in starts:
            for slot in _run(entries, head):
                owners[slot] = owner
    latest = range(max(0, shot.added - min(LATEST, rings.size)), shot.added)
    chains = [_split_chain(shot.memory, entries, n, ring[n % rings.size], owners) for n in latest]
    newest = {chain.head: chain.position for chain in chains}
    return Look(
        rings.size,
        False,
        tuple(owners),
        shot.added,
        shot.last_avail,
        shot.used,
        f"used_event {int(heads['used_event'])}",
        f"avail_event {int(back['avail_event'])}",
        tuple(chain for chain in chains if newest[chain.head] == chain.position),
    )


def _split_entry(fields: tuple[int, int, int, int]) -> Entry:
    addr, length, flags, following = fields
    return addr, length, bool(flags & WRITE), bool(flags & INDIRECT), bool(flags & NEXT), following


def _run(entries: Sequence[Entry], head: int) -> list[int]:
    """The slots of a chain, each of them once."""
    found: list[int] = []
    while head < len(entries) and head not in found:
        found.append(head)
        if not entries[head][4]:
            break
        head = entries[head][5]
    return found


def _split_chain(
    memory: Dma, entries: Sequence[Entry], position: int, head: int, owners: Sequence[Owner]
) -> Chain:
    slots = _run(entries, head)
    inside = [entries[slot] for slot in slots]
    indirect = bool(inside) and inside[0][3]
    if indirect:
        inside = _table(memory, inside[0])
    owner = owners[head] if head < len(owners) else Owner.DRIVER
    return _chain(memory, position, head, owner, slots, inside, indirect)


def _table(memory: Dma, entry: Entry) -> list[Entry]:
    """The descriptors of an indirect table that were kept, in the order in which they follow."""
    addr, length = entry[:2]
    whole = length - length % DESC.itemsize
    raw = b""
    while whole and not raw:
        raw = _read(memory, addr, whole)
        whole = whole // 2 - whole // 2 % DESC.itemsize
    inside = [_split_entry(each) for each in np.frombuffer(raw, DESC).tolist()]
    return [inside[slot] for slot in _run(inside, 0)]


# -- packed


def _look_packed(shot: RingShot, rings: PackedRings) -> Look:
    size = rings.size
    table, driver, device = (shot.memory.read(*part) for part in rings.parts)
    raw = np.frombuffer(table, PACKED_DESC).tolist()
    entries = [_packed_entry(each) for each in raw]
    owners = [Owner.DRIVER] * size
    for owner, start, end in (
        (Owner.DEVICE, shot.used, shot.last_avail),
        (Owner.EXPOSED, shot.last_avail, shot.added),
    ):
        for position in range(start, min(end, start + size)):
            owners[position % size] = owner
    return Look(
        size,
        True,
        tuple(owners),
        shot.added,
        shot.last_avail,
        shot.used,
        _event(driver),
        _event(device),
        tuple(_packed_chains(shot, entries, owners)[-LATEST:]),
    )


def _packed_entry(fields: tuple[int, int, int, int]) -> Entry:
    addr, length, ident, flags = fields
    return addr, length, bool(flags & WRITE), bool(flags & INDIRECT), bool(flags & NEXT), ident


def _event(raw: bytes) -> str:
    desc, flags = np.frombuffer(raw, EVENT)[0].item()
    return ("every one", "none", f"slot {desc & 0x7FFF}, wrap {desc >> 15}", "reserved")[flags & 3]


def _packed_chains(
    shot: RingShot, entries: Sequence[Entry], owners: Sequence[Owner]
) -> list[Chain]:
    """The chains that the device has, or may take: elsewhere used descriptors lie over them."""
    found, position, size = list[Chain](), shot.used, len(entries)
    while position < shot.added:
        slots = [position % size]
        while entries[slots[-1]][4] and len(slots) < shot.added - position:
            slots.append((slots[-1] + 1) % size)
        inside = [entries[slot] for slot in slots]
        indirect = inside[0][3]
        if indirect:
            inside = _packed_table(shot.memory, inside[0])
        head = entries[slots[-1]][5]
        owner = owners[position % size]
        found.append(_chain(shot.memory, position, head, owner, slots, inside, indirect))
        position += len(slots)
    return found


def _packed_table(memory: Dma, entry: Entry) -> list[Entry]:
    raw = _read(memory, entry[0], entry[1] - entry[1] % PACKED_DESC.itemsize)
    return [_packed_entry(each) for each in np.frombuffer(raw, PACKED_DESC).tolist()]


# -- both


def _chain(
    memory: Dma,
    position: int,
    head: int,
    owner: Owner,
    slots: Sequence[int],
    inside: Sequence[Entry],
    indirect: bool,
) -> Chain:
    pieces = tuple((length, write) for _, length, write, _, _, _ in inside)
    start = b""
    if inside and not inside[0][2]:
        start = _read(memory, inside[0][0], min(inside[0][1], REQUEST.itemsize))
    return Chain(position, head, owner, tuple(slots), pieces, indirect, start)


def _read(memory: Dma, gpa: int, length: int) -> bytes:
    """The bytes there; none where they were not kept."""
    try:
        return memory.read(gpa, length) if length else b""
    except DmaFault:
        return b""
