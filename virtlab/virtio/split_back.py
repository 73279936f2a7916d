"""Giving many chains of a split queue back at once: `push_many`, for `SplitQueue`.

    out of order   [ 3, 512 ][ 0, 1 ][ 5, 512 ]      an element a chain, then the index
    in order       [ 5, 512 ]                        one for all, if the others are complete

The idea: a used element is 8 bytes, so it is one number: `id` below, `len` above. A batch of them
is the array of the heads, and what was written shifted into it.

The rule that keeps it simple: all is checked before anything is stored, and the index is stored
last. A driver that sees the index sees every element, and before that it looks at none.

What a batch may be written is known from the batch. Bare heads tell it only in order, where each
has its position. Out of order a driver may have given one head twice, with other lengths: then it
must not be able to make a device's honest `push_many` a `ValueError`.

Source: virtio 1.3 2.7.8, 2.7.9, 2.7.14.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from virtlab.virtio.batch import WHOLE, Batch, Ints, Written
from virtlab.virtio.batch_checks import first
from virtlab.virtio.layouts import MAX_BYTES, USED_ELEM, packer
from virtlab.virtio.ordering import Order
from virtlab.virtio.split_shadow import Seen
from virtlab.virtio.split_views import IDX
from virtlab.wire import all_ones

if TYPE_CHECKING:
    from virtlab.virtio.split_many import SplitMany

FEW = 5
"""Below so many elements it is quicker to put each alone."""

ELEMENT = USED_ELEM.itemsize
_ELEMENT_THEN_USED_IDX = Order.ELEMENT_THEN_USED_IDX
_LEN, _HIGH = np.array(all_ones(4)), np.array(32)
_pack_into = packer(USED_ELEM).pack_into


def give_back(
    many: SplitMany, heads: Batch | npt.ArrayLike, written: npt.ArrayLike | Written
) -> None:
    """See `SplitQueue.push_many`."""
    many.follow_map()
    queue, used = many.queue, many.queue.used
    # A batch that was taken just where the next used element goes is known.
    seen = many.seen.get(used & many.size - 1)
    if seen is not None and seen.batch is heads:
        ids, raw = seen.batch.heads, seen.raw_heads
    else:
        seen = None
        ids = _heads(heads.heads if isinstance(heads, Batch) else heads, many.size)
    n = len(ids)
    if n > queue.last_avail - used:
        raise ValueError(f"{queue.in_flight} chains are in flight: cannot give {n} back")
    if not n:
        return
    if written is WHOLE:
        if seen is not None and (not many.in_order or seen.last_avail == used):
            _put_whole(many, seen)
            _show(many, n)
            return
        if not isinstance(heads, Batch):
            raise ValueError("only of a batch it is known what may be written")
        written = heads.writable()
    length = None if isinstance(written, int) and not written else _lengths(written, n)
    if many.in_order:
        _put_runs(many, seen, ids, length)
    elif length is None:
        _put(many, raw if seen else ids.data.cast("B"))
    else:
        room, largest = _room(heads, seen)
        _check_room(length, room)
        _put(many, _elements(ids, length, largest).data.cast("B"))
    _show(many, n)


def _show(many: SplitMany, n: int) -> None:
    """The index: `n` more are used."""
    queue = many.queue
    queue.barrier(_ELEMENT_THEN_USED_IDX)
    used = queue.used + n
    if many.views is None:
        queue._store(queue.rings.used_field("idx"), used)
    else:
        many.views.used[IDX] = used & 0xFFFF
    queue.used = used


def _put_whole(many: SplitMany, seen: Seen) -> None:
    """What was `seen` here goes back, written completely: in order it is one element (2.7.9)."""
    if many.in_order and many.views is not None:
        at = (many.queue.used & many.size - 1) * ELEMENT
        many.views.elements[at : at + ELEMENT] = seen.whole()[-ELEMENT:]
    else:
        _put(many, seen.whole())


def _put(many: SplitMany, raw: memoryview) -> None:
    """The bytes of neighbouring used elements, from `used` on.

    They are stored as one slice, or as two round the end of the ring.
    """
    views = many.views
    if views is None:
        elements = np.frombuffer(raw, np.int64)
        _put_singly(many, range(len(elements)), elements)
        return
    live, at, end = views.elements, (many.queue.used & many.size - 1) * ELEMENT, len(raw)
    split = len(live) - at
    if end <= split:
        live[at : at + end] = raw
    else:
        live[at:] = raw[:split]
        live[: end - split] = raw[split:]


def _put_runs(many: SplitMany, seen: Seen | None, ids: Ints, length: Ints | None) -> None:
    """In order: an element for each run of chains of which all but the last are complete.

    It lies where that of the run's first chain would lie (2.7.9).
    """
    used = many.queue.used
    # What was taken here as one batch is in order, and what room it has is known.
    if seen is not None and seen.last_avail == used:
        room, largest = seen.writable()
    else:
        room, largest = _check_order(many, ids), MAX_BYTES
    if length is None:
        if not largest and many.views is not None:
            _pack_into(many.views.elements, (used & many.size - 1) * ELEMENT, ids[-1], 0)
            return
        length = np.zeros(len(ids), np.int64)
    _check_room(length, room)
    last = length != room
    last[-1] = True
    if np.count_nonzero(last) == len(ids):
        _put(many, _elements(ids, length, largest).data.cast("B"))
        return
    ends = np.flatnonzero(last)
    begins = np.concatenate(([0], ends[:-1] + 1))
    elements = _elements(ids[ends], length[ends], largest)
    if many.views is None or len(ends) < FEW:
        _put_singly(many, begins, elements)
    else:
        np.frombuffer(many.views.elements, np.int64)[used + begins & many.size - 1] = elements


def _put_singly(many: SplitMany, places: Iterable[int], elements: Ints) -> None:
    """Used elements that many `places` behind `used`."""
    queue, low = many.queue, all_ones(4)
    for place, element in zip(places, elements.tolist(), strict=True):
        queue._put(queue.used + int(place), element & low, element >> 32 & low)


def _check_order(many: SplitMany, ids: Ints) -> Ints:
    """`ValueError` unless `ids` are next in order; (n,) the bytes each may be written."""
    queue = many.queue
    at = (queue.used + np.arange(len(ids))) & many.size - 1
    expected = queue._order[at]
    wrong = first(expected != ids)
    if wrong < len(ids):
        raise ValueError(f"in order, chain {expected[wrong]} is next, not {ids[wrong]}")
    room: Ints = queue._room[at]
    return room


def _room(heads: Batch | npt.ArrayLike, seen: Seen | None) -> tuple[Ints, int]:
    """The bytes of each chain that may be written, or one bound for all; and the largest."""
    if seen is not None:
        return seen.writable()
    if isinstance(heads, Batch):
        return heads.writable(), MAX_BYTES
    return _LEN, all_ones(4)


def _heads(heads: npt.ArrayLike, size: int) -> Ints:
    """(n,) int64. `ValueError` for what cannot be heads of a queue of `size`."""
    ids = np.asarray(heads)
    if ids.shape == (0,):
        return ids.astype(np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(f"heads are whole numbers from 0 to {size - 1}, in one row")
    return ids.astype(np.int64, order="C")


def _lengths(written: npt.ArrayLike, n: int) -> Ints:
    """(n,) int64 of bytes written; one number stands for all."""
    if isinstance(written, np.ndarray) and written.dtype == np.int64 and written.shape == (n,):
        return written
    length = np.asarray(written)
    if length.dtype.kind not in "iu" or length.shape not in ((), (n,)):
        raise ValueError(f"what was written is one whole number of bytes, or {n}")
    return np.broadcast_to(length, (n,)).astype(np.int64)


def _check_room(length: Ints, room: Ints) -> None:
    """`ValueError` where more was written than there was `room`, (n,) or one for all."""
    # As unsigned numbers: less than nothing is far too much.
    too_much = length.view(np.uint64) > room.view(np.uint64)
    if np.count_nonzero(too_much):
        wrong = first(too_much)
        has = np.broadcast_to(room, length.shape)[wrong]
        raise ValueError(f"the chain has {has} writable bytes, not {length[wrong]}")


def _elements(ids: Ints, length: Ints, largest: int) -> Ints:
    """Used elements, as one number each, where no `length` is more than `largest`."""
    if largest > all_ones(4):
        length = np.minimum(length, _LEN)  # `len` may be less than was written
    elements: Ints = np.left_shift(length, _HIGH)
    elements |= ids
    return elements
