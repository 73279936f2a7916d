"""Following the descriptors of a packed ring: a list is a run of neighbours, its id in the last.

    slot       2                3          4                5
               [ NEXT ]         [ NEXT ]   [ WRITE, id 7 ]  [ INDIRECT, id 1 ] ----> [ ][ ][ WRITE ]
               list of 3, head 7                            slots 1, three buffers

The idea: there is no index to follow, so there is no loop to find. What can be wrong is that the
list does not end, or is not yet there: so every descriptor in it has to be marked as available in
its own lap.

The rule that keeps it simple: each byte is read once. First the flags of the first descriptor,
which say whether the rest has been written; then its other 14 bytes; then each of the others in one
piece. An indirect table is read whole. It has at most as many entries as the ring.

The order of the checks is the order in which the list is walked; `check_buffers` then sees the
whole. Inside a table only WRITE means something: NEXT, INDIRECT and the ids are ignored (2.8.7).

Source: virtio 1.3 2.8.5 to 2.8.7, 2.8.16, 2.8.17, 2.8.19.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.chain import (
    ADDRESSES,
    Buffer,
    Chain,
    Clauses,
    check_buffers,
    check_parts,
    guests_memory,
)
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import INDIRECT, MAX_SIZE, NEXT, WRITE, packer
from virtlab.virtio.ordering import Barrier
from virtlab.virtio.packed_layouts import (
    FLAGS_AT,
    PACKED_DESC,
    PACKED_PARTS,
    PackedOrder,
    PackedRings,
    is_avail,
    wrap_at,
)

CLAUSES = Clauses(
    element="virtio 1.3 2.8.4",
    order="virtio 1.3 2.8.17",
    total="virtio 1.3 2.8.13",
    address="virtio 1.3 2.8.13",
    ring="virtio 1.3 2.8",
)
"""Where the packed ring's chapter has the rules about buffers.

It sets no limit to the bytes of a list; but what a device wrote is told in `len`, of 32 bits.
"""

_SIZE = PACKED_DESC.itemsize
_struct = packer(PACKED_DESC)


class Descriptor(NamedTuple):
    """A copy of one: the fields of `PACKED_DESC`."""

    addr: int
    len: int
    id: int
    flags: int

    @property
    def buffer(self) -> Buffer:
        """The buffer that it describes, if it is not INDIRECT."""
        return Buffer(self.addr, self.len, bool(self.flags & WRITE))


def check_rings(rings: PackedRings) -> None:
    """`GuestError` unless a packed queue may lie there."""
    # Queue Size is at most 32768, and need not be a power of 2 (2.8.10.1).
    if not 0 < rings.size <= MAX_SIZE:
        raise GuestError(f"a packed queue of {rings.size}", "virtio 1.3 2.8")
    check_parts(rings.parts, PACKED_PARTS, CLAUSES.ring, "virtio 1.3 2.8.11")


def flags_at(dma: Dma, rings: PackedRings, position: int) -> int:
    """The flags of one descriptor, and nothing else of it."""
    with guests_memory(CLAUSES.address):
        return int.from_bytes(dma.read(rings.desc_at(position) + FLAGS_AT, 2), "little")


def walk(
    dma: Dma, rings: PackedRings, features: Features, position: int, room: int, barrier: Barrier
) -> Chain | None:
    """The list that begins at `position`; None if it is not available.

    `room` is how many slots the device does not hold already. `GuestError` where the list breaks a
    rule. Whether its buffers are memory is not looked at here: see `chain.check_memory`.
    """
    flags = flags_at(dma, rings, position)
    if not is_avail(flags, wrap_at(position, rings.size)):
        return None
    # The flags are written last, and so the rest may be read only after them (2.8.21.1.1).
    barrier(PackedOrder.FLAGS_THEN_REST)
    entries = _list(dma, rings, position, flags, room)
    buffers = _buffers(dma, rings.size, features, entries)
    check_buffers(buffers, rings.parts, CLAUSES)
    return Chain(entries[-1].id, tuple(buffers), len(entries))


def _list(dma: Dma, rings: PackedRings, position: int, flags: int, room: int) -> list[Descriptor]:
    """The descriptors of the list: neighbours, each but the last with NEXT."""
    # A descriptor that the device holds is not made available again before it is used.
    if room < 1:
        raise GuestError("a descriptor available again that was not used", "virtio 1.3 2.8.16")
    found = [_first(dma, rings, position, flags)]
    while found[-1].flags & NEXT:
        # There is space for a whole list before its first descriptor is made available.
        if len(found) == room:
            raise GuestError(f"a list that goes on after {room} descriptors", "virtio 1.3 2.8.17")
        position += 1
        entry = _read(dma, rings.desc_at(position))
        # All others are made available before the first one is.
        if not is_avail(entry.flags, wrap_at(position, rings.size)):
            why = f"slot {position % rings.size} in a list is not available"
            raise GuestError(why, "virtio 1.3 2.8.17")
        found.append(entry)
    return found


def _first(dma: Dma, rings: PackedRings, position: int, flags: int) -> Descriptor:
    """The descriptor whose `flags` are known: its other bytes."""
    with guests_memory(CLAUSES.address):
        rest = dma.read(rings.desc_at(position), FLAGS_AT)
    return Descriptor(*_struct.unpack(rest + flags.to_bytes(2, "little")))


def _read(dma: Dma, iova: int) -> Descriptor:
    """The one read of a descriptor."""
    with guests_memory(CLAUSES.address):
        return Descriptor(*_struct.unpack(dma.read(iova, _SIZE)))


def _buffers(dma: Dma, size: int, features: Features, entries: list[Descriptor]) -> list[Buffer]:
    """What the list describes: itself, or, if it is one INDIRECT descriptor, what its table has."""
    for entry in entries:
        if not entry.flags & INDIRECT:
            continue
        # INDIRECT is for those who negotiated it.
        if Feature.RING_INDIRECT_DESC not in features:
            raise GuestError("INDIRECT without the feature", "virtio 1.3 2.8.19")
        # A descriptor with INDIRECT is not part of a list that is linked by NEXT.
        if len(entries) > 1:
            raise GuestError("INDIRECT in a list with NEXT", "virtio 1.3 2.8.19")
        return _table(dma, size, entry)
    return [entry.buffer for entry in entries]


def _table(dma: Dma, size: int, entry: Descriptor) -> list[Buffer]:
    """The buffers in the indirect table of `entry`, whose own WRITE means nothing (2.8.7)."""
    # `len` counts the table's bytes, and it has `len / 16` descriptors.
    count, rest = divmod(entry.len, _SIZE)
    if rest or not count:
        raise GuestError(f"an indirect table of {entry.len} bytes", "virtio 1.3 2.8.7")
    if entry.addr + entry.len > ADDRESSES:
        raise GuestError("an indirect table that passes the last address", CLAUSES.address)
    # A list has at most Queue Size descriptors, wherever they are.
    if count > size:
        why = f"an indirect table of {count} descriptors, in a queue of {size}"
        raise GuestError(why, "virtio 1.3 2.8.17")
    with guests_memory(CLAUSES.address):
        raw = dma.read(entry.addr, entry.len)
    return [Descriptor(*fields).buffer for fields in _struct.iter_unpack(raw)]
