"""A list of a packed queue that was in flight when a back-end was killed, walked from its notes.

    ring at `position`     [ used, or anything ]   [ used, or anything ]
    the notes have         [ a copy, NEXT      ]   [ a copy, id 5      ]     walk: one list, id 5

The idea: a packed ring is written over while it is used, so the descriptors are not where they
were. The walk is the usual one. It finds the copies, marked as available in the lap of now.

The rule that keeps it simple: the notes are the front-end's memory, too. What they say is checked
like a ring. A list is crossed out by its id, as a whole, so it must be one list of that id.

Source: vhost-user.rst, "Inflight I/O tracking"; virtio 1.3 2.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from virtlab.errors import GuestError
from virtlab.memory import Dma
from virtlab.virtio.chain import Chain
from virtlab.virtio.features import Features
from virtlab.virtio.ordering import no_barrier
from virtlab.virtio.packed_chain import walk
from virtlab.virtio.packed_layouts import (
    AVAIL,
    FLAGS_AT,
    PACKED_DESC,
    USED,
    PackedRings,
    avail_bits,
    wrap_at,
)
from virtlab.virtio.vhost_user.inflight import Taken

INFLIGHT = "vhost-user, Inflight I/O tracking"
"""Where it says what the notes on a list are."""

_SIZE = PACKED_DESC.itemsize


def walk_noted(
    dma: Dma, rings: PackedRings, features: Features, position: int, room: int, left: Taken
) -> Chain | None:
    """The list that is `left`, at `position`, of which `room` slots are free. See `walk`.

    `GuestError` if it breaks a rule, or is another list than the notes say.
    """
    copy = cast(Dma, _Copied(dma, rings, position, left.descriptors))
    chain = walk(copy, rings, features, position, room, no_barrier)
    noted = left.head, len(left.descriptors) // _SIZE
    if chain is not None and (chain.head, chain.slots) != noted:
        why = f"notes on {noted[1]} descriptors with id {noted[0]}, which are no list of that id"
        raise GuestError(why, INFLIGHT)
    return chain


class _Copied:
    """Memory as `dma` has it, but with copies of descriptors in the ring, from `position` on.

    They are marked as available in the lap where they lie now.
    """

    def __init__(self, dma: Dma, rings: PackedRings, position: int, raw: bytes) -> None:
        self._dma = dma
        copies: dict[int, bytes] = {}
        for number in range(len(raw) // _SIZE):
            entry = raw[number * _SIZE : (number + 1) * _SIZE]
            flags = int.from_bytes(entry[FLAGS_AT:], "little") & ~(AVAIL | USED)
            flags |= avail_bits(wrap_at(position + number, rings.size))
            copies[rings.desc_at(position + number)] = entry[:FLAGS_AT] + flags.to_bytes(
                2, "little"
            )
        self._copies: Mapping[int, bytes] = copies

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        entry = self._copies.get(iova - iova % _SIZE)
        if entry is None:
            return self._dma.read(iova, length)
        return entry[iova % _SIZE :][:length]
