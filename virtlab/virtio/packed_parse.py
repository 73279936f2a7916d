"""Many lists of a packed ring at once: which of a copy's descriptors are whole lists, and right.

    slot      0       1       2       3       4       5
    NEXT      1       1       0       0       1       0          ends   [ 2, 3, 5 ]
              `--------------´        |       `-------´          starts [ 0, 3, 4, 6 ]

The idea: a list of a packed ring is a run of neighbours, so all lists are found by one search for
the descriptors without NEXT. Every rule is then a mask over all descriptors, or over all buffers.
The first mark in a mask says how many lists are right before it.

The rule that keeps it simple: nothing is refused here. Whatever is not surely right ends the batch,
and is left to `PackedQueue.pop`, which says what is wrong with it, or takes it. So there is one
place where refusals are worded, and their order is the same by construction.

Indirect tables are gathered with one copy. A guest may let each list refer to a table as long as
the ring, so of `most` buffers and more only the lists with the first `most` are looked at.

Source: virtio 1.3 2.8.5 to 2.8.7, 2.8.17, 2.8.19, and `packed_chain`, which does one at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Bools, Ints
from virtlab.virtio.batch_checks import Records, chain_of, fields, first, gather, misplaced, over
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import INDIRECT, MAX_BYTES, NEXT, WRITE
from virtlab.virtio.packed_layouts import AVAIL, USED, PackedRings
from virtlab.virtio.packed_views import FLAGS, ID, SIZE
from virtlab.virtio.table_shadow import Inside
from virtlab.wire import all_ones


class Place(NamedTuple):
    """Where the lists lie, and what was negotiated: what a rule may ask for."""

    dma: Flat
    rings: PackedRings
    features: Features


class Parsed(NamedTuple):
    """The lists that are right, if there are any, and the tables that all of them refer to."""

    batch: Batch | None
    direct: bool  # none of them refers to one: a piece a descriptor
    inside: Inside | None  # what was read of them, if all lists that were read are in the batch


NOTHING = Parsed(None, True, None)


class Lists(NamedTuple):
    """The first lists of a copy: each list's descriptors, and whose buffers are in a table."""

    records: Records  # (slots,)
    starts: Ints  # (n + 1,) where each begins
    refers: Bools  # (slots,) which descriptor stands for a table
    direct: bool  # none does

    def cut(self, n: int) -> Lists:
        """The first `n` of them."""
        slots = int(self.starts[n])
        return Lists(
            self.records[:slots], self.starts[: n + 1], self.refers[:slots], self.direct or not n
        )


def parse(place: Place, records: Records, bits: int, limit: int, most: int) -> Parsed:
    """The lists that are right before the first that may not be, at most `limit` of them.

    `records` is a copy of neighbouring descriptors. One is available if AVAIL and USED are `bits`.
    Ids are not compared here.
    """
    lists = _lists(records, place.features, bits, limit)
    starts, pieces, inside = lists.starts, lists.records, None
    if not lists.direct:
        lists, starts, pieces, inside = _with_tables(place, lists, most)
    if len(starts) == 1:
        return NOTHING
    # In a table no flag but WRITE means anything (2.8.7).
    addr, rest = (words.copy() for words in fields(pieces))
    length, write = rest & all_ones(4), (rest & WRITE << FLAGS) != 0
    offset = place.dma.offset_many(addr, length, write)
    wrong = (offset < 0) | (length == 0)
    if np.count_nonzero(write):
        wrong |= misplaced(write, starts) | write & over(place.rings.parts, addr, length)
    right = min(chain_of(first(wrong), starts), _not_too_long(length, starts))
    if not right:
        return NOTHING
    begins = lists.starts
    ends = fields(lists.records)[1][begins[1:] - 1]
    heads, slots = ends >> ID & all_ones(2), begins[1:] - begins[:-1]
    batch = Batch(heads, slots, starts, offset, length, write).first(right)
    return Parsed(batch, lists.direct, inside if right == len(heads) else None)


def _lists(records: Records, features: Features, bits: int, limit: int) -> Lists:
    """The whole lists, up to the first that is not available, or INDIRECT where it may not be."""
    flags = fields(records)[1] >> FLAGS
    ends = np.flatnonzero(flags & NEXT == 0)[:limit]
    starts = np.concatenate(([0], ends + 1))
    refers = (flags & INDIRECT) != 0
    wrong = flags & (AVAIL | USED) != bits
    direct = not np.count_nonzero(refers)
    if not direct and Feature.RING_INDIRECT_DESC in features:
        # It stands alone: no NEXT, and none before it.
        wrong[1:] |= refers[1:] & (flags[:-1] & NEXT != 0)
        wrong |= refers & (flags & NEXT != 0)
    else:
        wrong |= refers
    # A list is right if all of it lies before the first mark.
    return Lists(records, starts, refers, direct).cut(chain_of(first(wrong), starts))


def _with_tables(place: Place, lists: Lists, most: int) -> tuple[Lists, Ints, Records, Inside]:
    """The lists before the first whose table may not be right; where the buffers of each begin; and

    the records of all of them: a list's own, or in place of those its table's; and what was read of
    the tables. If there are more than `most`, fewer lists.
    """
    refers = lists.refers
    addr, rest = (words[refers] for words in fields(lists.records))
    length = rest & all_ones(4)
    at = place.dma.offset_many(addr, length, write=False)
    wrong = (at < 0) | (length % SIZE != 0) | (length == 0) | (length > place.rings.size * SIZE)
    counts = np.ones(len(refers), np.int64)
    counts[refers] = np.where(wrong, most + 1, length // SIZE)
    # A wrong one counts as too many. The first list of all is never too much, if it is right.
    starts = np.concatenate(([0], np.cumsum(counts)))[lists.starts]
    lists = lists.cut(int(np.searchsorted(starts[1:], most, "right")))
    starts, refers, counts = starts[: len(lists.starts)], lists.refers, counts[: len(lists.refers)]
    found = np.repeat(lists.records, counts)
    # Each table's place, and from entry to entry 16 bytes on.
    tables, at = counts[refers], at[: np.count_nonzero(refers)]
    entry = np.arange(int(tables.sum())) - np.repeat(np.cumsum(tables) - tables, tables)
    places = np.repeat(at, tables) + entry * SIZE
    read = gather(place.dma.bytes, places)
    found[np.repeat(refers, counts)] = read
    return lists, starts, found, Inside(place.dma.bytes, places, read)


def _not_too_long(length: Ints, starts: Ints) -> int:
    """How many lists there are before the first of more than 2**32 bytes."""
    counts = starts[1:] - starts[:-1]
    if int(length.max()) * int(counts.max()) <= MAX_BYTES:
        return len(counts)
    return first(np.add.reduceat(length, starts[:-1]) > MAX_BYTES)
