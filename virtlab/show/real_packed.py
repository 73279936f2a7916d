"""A packed ring at one moment: whose each slot is, and the chains that are on its way.

    used        last_avail        added
      |  the device's  |  exposed   |  the driver's ...          round the ring, with no gap

The idea: in one ring there is one order. Between the three counts lie the owners.

The rule that keeps it simple: only chains that the device has, or may take, are taken apart. Over
the others it has written used descriptors.

Source: virtio 1.3 2.8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from virtlab.hosts.tape_shot import RingShot
from virtlab.memory import Dma
from virtlab.show.real_chain import LATEST, Chain, Entry, Look, Owner, chain_of, kept
from virtlab.virtio.layouts import INDIRECT, NEXT, WRITE
from virtlab.virtio.packed_layouts import EVENT, PACKED_DESC, PackedRings


def look_packed(shot: RingShot, rings: PackedRings) -> Look:
    """What the packed ring of a shot is."""
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
        found.append(chain_of(shot.memory, position, head, owner, slots, inside, indirect))
        position += len(slots)
    return found


def _packed_table(memory: Dma, entry: Entry) -> list[Entry]:
    raw = kept(memory, entry[0], entry[1] - entry[1] % PACKED_DESC.itemsize)
    return [_packed_entry(each) for each in np.frombuffer(raw, PACKED_DESC).tolist()]
