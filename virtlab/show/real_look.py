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

import numpy as np

from virtlab.hosts.tape_shot import RingShot
from virtlab.memory import Dma
from virtlab.show.real_chain import LATEST, Chain, Entry, Look, Owner, chain_of, kept
from virtlab.show.real_packed import look_packed
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import (
    DESC,
    INDIRECT,
    NEXT,
    NO_INTERRUPT,
    WRITE,
    SplitRings,
    avail_ring,
    used_ring,
)


def look(shot: RingShot) -> Look:
    """What the ring of a shot is."""
    if isinstance(shot.rings, SplitRings):
        return _look_split(shot, shot.rings)
    return look_packed(shot, shot.rings)


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
        _threshold(shot.features, heads, "used_event"),
        _threshold(shot.features, back, "avail_event"),
        tuple(chain for chain in chains if newest[chain.head] == chain.position),
    )


def _threshold(features: Features, part: np.void, field: str) -> str:
    """Of which entry a side wants to be told: the field behind its ring, or its flags."""
    if Feature.RING_EVENT_IDX in features:
        return f"entry {int(part[field])} ({field})"
    return "none" if int(part["flags"]) & NO_INTERRUPT else "every one"  # NO_NOTIFY is the same


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
    return chain_of(memory, position, head, owner, slots, inside, indirect)


def _table(memory: Dma, entry: Entry) -> list[Entry]:
    """The descriptors of an indirect table that were kept, in the order in which they follow."""
    addr, length = entry[:2]
    whole = length - length % DESC.itemsize
    raw = b""
    while whole and not raw:
        raw = kept(memory, addr, whole)
        whole = whole // 2 - whole // 2 % DESC.itemsize
    inside = [_split_entry(each) for each in np.frombuffer(raw, DESC).tolist()]
    return [inside[slot] for slot in _run(inside, 0)]
