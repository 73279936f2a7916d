"""What a virtqueue is at one moment: its bytes decoded, and whose each descriptor is.

    free ---add---> added ---kick---> exposed ---pop---> device ---push---> used ---get---> free

The idea: a look is made from memory, with the declared layouts, and from the counts that each side
keeps for itself, because no memory has those. The objects of driver and device are not asked. So a
picture shows what the other side could see, and a change of one byte is a change of the look.

The rule that keeps it simple: a look is a value. Two of them are compared field by field, and that
is what changed.

Source: virtio 1.3 2.7 (split), 2.8 (packed). What is pending in a split ring, the ring doctor says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from virtlab.errors import DmaFault
from virtlab.guest.virtqueue_packed import PackedDriver
from virtlab.guest.virtqueue_split import SplitDriver
from virtlab.memory import Dma
from virtlab.virtio import packed_chain, split_chain
from virtlab.virtio.doctor import Finding, Ring, examine
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, SplitRings, avail_ring, used_ring
from virtlab.virtio.packed import PackedQueue
from virtlab.virtio.packed_layouts import EVENT, PACKED_DESC, PackedRings, is_avail, wrap_at
from virtlab.virtio.split import SplitQueue

MODERN = frozenset({Feature.VERSION_1})
"""What is negotiated, if nothing else is said."""

MOST_SLOTS = 8
"""Descriptors of the largest ring that is drawn."""

PEEK = 12
"""Bytes of a buffer that a look keeps."""


class Owner(StrEnum):
    """Whose a descriptor is, in the order of its life."""

    FREE = "free"
    ADDED = "added"
    EXPOSED = "exposed"
    DEVICE = "device"
    USED = "used"


class Counts(NamedTuple):
    """How far the two sides are: four counts that run free, each kept by one side.

    Entries of the rings (split), or positions in the ring (packed). A split ring has two of them in
    memory as well: `avail.idx` is `added` as of the last kick, and `used.idx` is `used`.
    """

    added: int = 0  # the driver's: where it adds next
    last_used: int = 0  # the driver's: what it gets back next
    last_avail: int = 0  # the device's: what it takes next
    used: int = 0  # the device's: where it gives back next


class SplitLook(NamedTuple):
    """A split ring: the fields of its three parts, and for each descriptor who has it."""

    rings: SplitRings
    counts: Counts
    descriptors: tuple[split_chain.Descriptor, ...]
    avail_flags: int
    avail_idx: int
    heads: tuple[int, ...]  # the available ring's entries
    used_event: int
    used_flags: int
    used_idx: int
    elements: tuple[tuple[int, int], ...]  # the used ring's `(id, len)`
    avail_event: int
    owners: tuple[Owner, ...]
    peeks: tuple[bytes, ...]  # the first bytes of each buffer
    findings: tuple[Finding, ...]


class PackedLook(NamedTuple):
    """A packed ring: its descriptors, both event suppression structures, and who has what."""

    rings: PackedRings
    counts: Counts
    descriptors: tuple[packed_chain.Descriptor, ...]
    driver_event: tuple[int, int]  # `(desc, flags)`
    device_event: tuple[int, int]
    owners: tuple[Owner, ...]
    peeks: tuple[bytes, ...]
    findings: tuple[Finding, ...]


def counts_of(driver: SplitDriver | PackedDriver, queue: SplitQueue | PackedQueue) -> Counts:
    """The four counts of a live pair."""
    return Counts(driver.added, driver.last_used, queue.last_avail, queue.used)


def look_split(
    dma: Dma,
    rings: SplitRings,
    counts: Counts,
    features: Features = MODERN,
    held: Sequence[int] | None = None,
) -> SplitLook:
    """What the split ring at `rings` is now. `ValueError` if it is too large to be drawn.

    `held` are the heads that the device has. If nobody says, the ring doctor finds them: it may
    err where a device is so late that the driver has used its entry again.
    """
    _check_size(rings.size)
    table, avail, used = (dma.read(*part) for part in rings.parts)
    descriptors = tuple(
        split_chain.Descriptor(*each) for each in np.frombuffer(table, DESC).tolist()
    )
    avail_flags, idx, heads, used_event = _fields(np.frombuffer(avail, avail_ring(rings.size)))
    used_flags, used_idx, elements, avail_event = _fields(
        np.frombuffer(used, used_ring(rings.size))
    )
    report = examine(dma, Ring("split", *rings, features, counts.last_avail & 0xFFFF, used_idx))
    taken = [each.head for each in report.pending if each.taken] if held is None else held
    owned = {
        Owner.ADDED: _entries(heads, idx, counts.added),
        Owner.USED: [ident for ident, _ in _entries(elements, counts.last_used, used_idx)],
        Owner.EXPOSED: _entries(heads, counts.last_avail, idx),
        Owner.DEVICE: taken,
    }
    return SplitLook(
        rings,
        counts,
        descriptors,
        avail_flags,
        idx,
        tuple(heads),
        used_event,
        used_flags,
        used_idx,
        tuple(elements),
        avail_event,
        _split_owners(descriptors, owned),
        tuple(_peek(dma, each.addr, each.len) for each in descriptors),
        report.findings,
    )


def _entries(ring: list[Any], start: int, end: int) -> list[Any]:
    """The entries of a ring from one count to another; none where they cannot be right."""
    count = (end - start) & 0xFFFF
    return [ring[(start + n) % len(ring)] for n in range(count if count <= len(ring) else 0)]


def _split_owners(
    descriptors: tuple[split_chain.Descriptor, ...], owned: Mapping[Owner, Iterable[int]]
) -> tuple[Owner, ...]:
    """Whose each descriptor is: that of the chain that it belongs to, by the chains' heads."""
    owners = [Owner.FREE] * len(descriptors)
    for owner, heads in owned.items():
        for head in heads:
            for slot in run_of(descriptors, head):
                owners[slot] = owner
    return tuple(owners)


def run_of(descriptors: tuple[split_chain.Descriptor, ...], head: int) -> list[int]:
    """The slots of the chain from `head` on, as far as it goes; each of them once.

    >>> loop = (split_chain.Descriptor(0, 1, NEXT, 1), split_chain.Descriptor(0, 1, NEXT, 0))
    >>> run_of(loop, 0), run_of(loop, 7)
    ([0, 1], [])
    """
    found: list[int] = []
    while head < len(descriptors) and head not in found:
        found.append(head)
        if not descriptors[head].flags & NEXT:
            break
        head = descriptors[head].next
    return found


def look_packed(
    dma: Dma, rings: PackedRings, counts: Counts, features: Features = MODERN
) -> PackedLook:
    """What the packed ring at `rings` is now. `ValueError` if it is too large to be drawn."""
    _check_size(rings.size)
    table, driver, device = (dma.read(*part) for part in rings.parts)
    descriptors = tuple(
        packed_chain.Descriptor(*each) for each in np.frombuffer(table, PACKED_DESC).tolist()
    )
    places = counts.last_avail % rings.size, counts.used % rings.size
    report = examine(dma, Ring("packed", *rings, features, *places))
    return PackedLook(
        rings,
        counts,
        descriptors,
        _fields(np.frombuffer(driver, EVENT)),
        _fields(np.frombuffer(device, EVENT)),
        _packed_owners(descriptors, counts),
        tuple(_peek(dma, each.addr, each.len) for each in descriptors),
        report.findings,
    )


def _packed_owners(
    descriptors: tuple[packed_chain.Descriptor, ...], counts: Counts
) -> tuple[Owner, ...]:
    """Whose each slot is. They lie round the ring in the order of the counts, with no gap."""
    size = len(descriptors)
    exposed = counts.last_avail
    while exposed < counts.added and _available(descriptors, exposed):
        exposed += 1
    owners = [Owner.FREE] * size
    spans = (
        (Owner.USED, counts.last_used, counts.used),
        (Owner.DEVICE, counts.used, counts.last_avail),
        (Owner.EXPOSED, counts.last_avail, exposed),
        (Owner.ADDED, exposed, counts.added),
    )
    for owner, start, end in spans:
        for position in range(start, min(end, start + size)):
            owners[position % size] = owner
    return tuple(owners)


def _available(descriptors: tuple[packed_chain.Descriptor, ...], position: int) -> bool:
    size = len(descriptors)
    return is_avail(descriptors[position % size].flags, wrap_at(position, size))


def is_table(descriptor: split_chain.Descriptor | packed_chain.Descriptor) -> bool:
    """Whether it refers to an indirect table."""
    return bool(descriptor.flags & INDIRECT)


def _fields(record: np.ndarray) -> tuple:  # type: ignore[type-arg]
    """The one record of an array, as Python numbers."""
    return tuple(record[name][0].tolist() for name in (record.dtype.names or ()))


def _peek(dma: Dma, iova: int, length: int) -> bytes:
    """The first bytes of a buffer; none where it is not memory."""
    try:
        return dma.read(iova, min(length, PEEK))
    except DmaFault:
        return b""


def _check_size(size: int) -> None:
    if not 1 <= size <= MOST_SLOTS:
        raise ValueError(f"a ring of 1 to {MOST_SLOTS} is drawn, not of {size}")
