"""Many chains of a split ring at once: from their heads to a batch that is right.

    heads  ->  the ring's descriptors  ->  indirect tables  ->  buffers  ->  checked, translated
               straight, or `follow`       the same

The idea: `split_chain.walk` and `check_buffers` with every loop turned inside out. Each rule is
applied to all chains, and then comes the next rule.

The rule that keeps it simple: nothing is refused here. The batch ends before the first chain that
is not surely right. What is to be said of that one, `SplitQueue.pop` says, or it takes it: so the
rules are worded, and put in order, in one place.

A guest may let each chain be as long as the ring, or a loop. No more than `most` descriptors are
read: then it is tried with half as many chains.

Source: virtio 1.3 2.7.4.2, 2.7.5 to 2.7.5.3.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.memory import Flat
from virtlab.virtio.batch import Batch, Bools, Ints
from virtlab.virtio.batch_checks import Records, chain_of, fields, first, misplaced, over
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.layouts import DESC, INDIRECT, MAX_BYTES, NEXT, WRITE, SplitRings, offset_of
from virtlab.virtio.split_steps import (
    FLAGS,
    NO_STEPS,
    SIZE,
    Steps,
    Tables,
    follow,
    starts_of,
    straight_ring,
    straight_tables,
)
from virtlab.virtio.split_views import SplitViews
from virtlab.wire import all_ones

_WRITE, _INDIRECT = WRITE << FLAGS, INDIRECT << FLAGS
FLAGS_AT = offset_of(DESC, "flags")
GUESS = 64
"""Descriptors of the last chain that `straight` looks for: nothing tells where that one ends."""


class Place(NamedTuple):
    """Where the chains are, and what was negotiated: what a rule may ask for."""

    dma: Flat
    rings: SplitRings
    features: Features
    views: SplitViews
    most: int  # descriptors to be read


class Found(NamedTuple):
    """A batch, and the descriptors that were read for it: those in the ring, and in tables."""

    batch: Batch
    ring: Steps
    inside: Steps


def walk_many(place: Place, heads: Ints) -> tuple[Found, int]:
    """The chains of `heads` before the first that is not surely right, and how many were looked at.

    All `heads`, (n,), are in range. Fewer are looked at where all have too many descriptors.
    """
    n = len(heads)
    while True:
        found = _walk(place, heads[:n])
        # One chain alone is never too much: it has at most twice the queue's size.
        if found is not None:
            return found, n
        n = max(1, n // 2)


def _walk(place: Place, heads: Ints) -> Found | None:
    """The same, for all of `heads`. None if they have too many descriptors."""
    ring = _ring(place, heads)
    if ring is None:
        return None
    ends = ring.records[ring.starts[1:] - 1]
    refers = (fields(ends)[1] & _INDIRECT) != 0
    inside = NO_STEPS
    if np.count_nonzero(refers):
        found = _inside(place, _tables(place, ends[refers]))
        if found is None:
            return None
        inside = found
        if inside.n < np.count_nonzero(refers):
            good = int(np.flatnonzero(refers)[inside.n])
            ring, refers = ring.first(good), refers[:good]
    if not ring.n:
        return Found(Batch.of((), place.dma), ring, inside)
    starts, records = _merge(ring, inside, refers)
    batch = _batch(place, heads[: ring.n], np.diff(ring.starts), starts, records)
    return Found(batch, ring, inside)


def _ring(place: Place, heads: Ints) -> Steps | None:
    """The descriptors in the ring: of the chains before the first that goes wrong."""
    views, size = place.views, place.rings.size
    # If each chain begins where the one before it ends, it ends where the next begins.
    counts = np.empty(len(heads), np.int64)
    np.subtract(heads[1:], heads[:-1], out=counts[:-1])
    counts[:-1] &= size - 1
    counts[-1] = _guess(views, int(heads[-1]))
    if counts[counts.argmin()] and int(np.add.reduce(counts)) <= size:
        steps = straight_ring(views.table, views.ramp, heads, counts)
        if steps is not None:
            return steps
    in_order = Feature.IN_ORDER in place.features
    tables = Tables(np.array(views.desc), np.array(size), indirect=False, in_order=in_order)
    return follow(place.dma.bytes, tables, heads, place.most)


def _guess(views: SplitViews, head: int) -> int:
    """How many descriptors a chain may have, all neighbours: a guess, which is not relied on."""
    size = len(views.table)
    for count in range(min(GUESS, size)):
        if not views.table_bytes[(head + count) % size * SIZE + FLAGS_AT] & NEXT:
            return count + 1
    return 0


def _tables(place: Place, referring: Records) -> Tables:
    """The tables that descriptors refer to, up to the first that is not surely right."""
    addr, rest = fields(referring)
    length = rest & all_ones(4)
    offset = place.dma.offset_many(addr, length, write=False)
    wrong = (offset < 0) | (length % SIZE != 0) | (length == 0)
    right = first(wrong) if Feature.RING_INDIRECT_DESC in place.features else 0
    in_order = Feature.IN_ORDER in place.features
    return Tables(offset[:right], length[:right] // SIZE, True, in_order)


def _inside(place: Place, tables: Tables) -> Steps | None:
    """The descriptors in the tables, of those before the first that goes wrong."""
    size, memory = place.rings.size, place.dma.bytes
    index = np.zeros(len(tables.offset), np.int64)
    if len(index) and int(tables.entries.sum()) <= place.most and tables.entries.max() <= size:
        # Mostly a table is as long as its chain.
        steps = straight_tables(memory, tables)
        if steps is not None:
            return steps
    return follow(memory, tables, index, place.most)


def _merge(ring: Steps, inside: Steps, refers: Bools) -> tuple[Ints, Records]:
    """Each chain's buffers: its descriptors of the ring, and in place of the last its table's."""
    slots = np.diff(ring.starts)
    if not inside.n:
        return ring.starts, ring.records
    if inside.n == len(slots) == len(ring.records):
        return inside.starts, inside.records
    counts = slots - refers
    counts[refers] += np.diff(inside.starts)
    starts = starts_of(counts)
    records = np.empty(starts[-1], ring.records.dtype)
    own = np.ones(len(ring.records), np.bool_)
    own[ring.starts[1:][refers] - 1] = False
    places = np.arange(len(own)) + np.repeat(starts[:-1] - ring.starts[:-1], slots)
    records[places[own]] = ring.records[own]
    begins = (starts[:-1] + slots - 1)[refers]
    shift = np.repeat(begins - inside.starts[:-1], np.diff(inside.starts))
    records[np.arange(len(inside.records)) + shift] = inside.records
    return starts, records


def _batch(place: Place, heads: Ints, slots: Ints, starts: Ints, records: Records) -> Batch:
    """The chains before the first that has a wrong buffer, or too many, or too many bytes."""
    addr, rest = fields(records)
    length, write = rest & all_ones(4), (rest & _WRITE) != 0
    offset = place.dma.offset_many(addr, length, write)
    wrong = (offset < 0) | (length == 0)
    if np.count_nonzero(write):
        wrong |= misplaced(write, starts)
        low, size = place.views.hull
        # Mostly nothing at all lies between the queue's first byte and its last.
        near = write & (addr < low + size) & (addr + length > low)
        if np.count_nonzero(near):
            wrong |= near & over(place.rings.parts, addr, length)
    right = chain_of(first(wrong), starts) if np.count_nonzero(wrong) else len(heads)
    counts = np.diff(starts)
    largest = int(counts[counts.argmax()])
    if largest > place.rings.size:
        right = min(right, first(counts > place.rings.size))
    if largest * int(length[length.argmax()]) > MAX_BYTES:
        right = min(right, first(np.add.reduceat(length, starts[:-1]) > MAX_BYTES))
    return Batch(heads, slots, starts, offset, length, write).first(right)
