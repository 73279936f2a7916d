"""Giving many lists of a packed queue back, in whatever order, with whatever was written to them.

    lists       [ id 7: 2 slots ][ id 3: 1 slot ][ id 9: 1 slot ]
    ring        [ used: id 7    ][              ][ used: id 3   ][ used: id 9 ]
                  ^ `used`, written last

The idea: used descriptors lie one behind the other, each as far from the one before as that list
had slots. A running sum says where all of them go, and one store by index writes them.

The rule that keeps it simple: everything is checked before anything is written. A device that gives
back what it does not have is a mistake of ours, and a `ValueError`.

In order one used descriptor stands for many lists, if those before its own were written completely.

Source: virtio 1.3 2.8.2, 2.8.6, 2.8.8, 2.8.21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.virtio.batch import WHOLE, Batch, Ints, Written
from virtlab.virtio.batch_checks import first
from virtlab.virtio.layouts import MAX_BYTES, WRITE
from virtlab.virtio.packed_layouts import PackedOrder, used_bits
from virtlab.virtio.packed_views import FLAGS, ID

if TYPE_CHECKING:
    from virtlab.virtio.packed_many import Many
    from virtlab.virtio.packed_shadow import Run

# Looked up once: what is done for each batch takes two microseconds in all.
_LEN_THEN_FLAGS = PackedOrder.REST_THEN_USED_FLAGS


def give_run(many: Many, run: Run, written: Ints | int | Written) -> bool:
    """All that is in flight, and is `run`, as it was taken. False if it is not that easy.

    In order it is one used descriptor, which speaks for the last list (2.8.8), if all others are
    complete; or one for each, if none is.
    """
    wrap = 1 - many.queue.used // many.size % 2
    if isinstance(written, np.ndarray):
        if not run.is_room_for(written, many.in_order):
            return False
        run.ring.words[run.places] = run.filled(written, wrap)
        _put_first(many, run, run.ends[0][0], int(written[0]))
        return True
    if written is not WHOLE and (type(written) is not int or written):
        return False
    if many.in_order and run.writes and not written:
        return False
    if not many.in_order:
        run.ring.words[run.places] = run.used(written)[wrap]
    head, length = run.ends[-1 if many.in_order else 0]
    _put_first(many, run, head, length if written else 0)
    return True


def _put_first(many: Many, run: Run, head: int, length: int) -> None:
    """The first used descriptor, last of all: until it is there, a driver looks at no other."""
    queue, ring = many.queue, run.ring
    lap, slot = divmod(queue.used, many.size)
    at = 8 * slot
    ring.lens[at // 2 + 2] = length
    ring.halves[at + 6] = head
    queue.barrier(_LEN_THEN_FLAGS)
    ring.halves[at + 7] = used_bits(1 - lap % 2) | (WRITE if length else 0)
    queue._batch = None
    queue.used += run.slots
    queue.returned += run.lists


def give_back(many: Many, heads: Batch | Ints, written: Ints | int | Written, whole: bool) -> None:
    """See `PackedQueue.push_many`. `whole`: the last batch, and nothing else, is in flight."""
    queue = many.queue
    if isinstance(heads, Batch):
        batch, ids = heads, heads.heads
    else:
        batch, ids = None, _integers(heads, "heads")
    if len(ids) > queue.in_flight:
        raise ValueError(f"{queue.in_flight} lists are in flight: cannot give {len(ids)} back")
    if not len(ids):
        return
    rooms: Ints | None
    if whole and batch is not None:
        slots, rooms = batch.slots, batch.writable()
    else:
        slots, rooms = _check_ids(many, ids, batch)
    if isinstance(written, Written):
        if batch is None:
            raise ValueError("only of a batch it is known what may be written")
        written = batch.writable()
    lengths = _lengths(ids, rooms, written)
    ends = np.arange(len(ids))
    if rooms is not None and len(queue._order) > 0:
        stands_alone = lengths != rooms
        stands_alone[-1] = True
        ends = np.flatnonzero(stands_alone)
    behind = np.cumsum(slots)
    begins = np.concatenate(([0], behind[ends[:-1]]))
    _put(many, begins, ids[ends], np.minimum(lengths[ends], 0xFFFF_FFFF))
    # The ids of a batch that nobody has noted yet need not be struck out.
    if whole:
        queue._batch = None
    else:
        queue._slots[ids] = 0
    queue.used += int(behind[-1])
    queue.returned += len(ids)


def _lengths(ids: Ints, rooms: Ints | None, written: Ints | int) -> Ints:
    """The bytes written to each list. `ValueError` if there was less room."""
    lengths = _integers(written, "written", len(ids))
    wrong = first((lengths < 0) | (lengths > (MAX_BYTES if rooms is None else rooms)))
    if wrong < len(ids):
        room = MAX_BYTES if rooms is None else rooms[wrong]
        why = f"the list with id {ids[wrong]} has {room} writable bytes, not {lengths[wrong]}"
        raise ValueError(why)
    return lengths


def _check_ids(many: Many, ids: Ints, batch: Batch | None) -> tuple[Ints, Ints | None]:
    """The slots of each list, and how much could be written to it; None where nobody knows.

    `ValueError` unless they are in flight, and, in order, next.
    """
    queue = many.queue
    queue._settle()
    ramp = many.ramp[: len(ids)]
    inside = ids & 0xFFFF
    slots: Ints = queue._slots[inside].astype(np.int64)
    wrong = (inside != ids) | (slots == 0)
    if batch is not None:
        wrong |= slots != batch.slots
    # Written from behind, each id has the number of its first place: a second one shows.
    many.stamps[inside[::-1]] = ramp[::-1]
    wrong |= many.stamps[inside] != ramp
    at = first(wrong)
    if at < len(ids):
        raise ValueError(f"no such list with id {ids[at]} is in flight, or it was given twice")
    if not len(queue._order):
        return slots, None if batch is None else batch.writable()
    numbers = (queue.returned + np.arange(len(ids))) % queue.size
    expected = queue._order[numbers]
    at = first(expected != ids)
    if at < len(ids):
        raise ValueError(f"in order, list {expected[at]} is next, not {ids[at]}")
    return slots, queue._room[numbers]


def _put(many: Many, begins: Ints, ids: Ints, lengths: Ints) -> None:
    """A used descriptor at each of the positions `used` + `begins`, that at `used` last of all.

    A driver looks there first: until that one is used, it looks at no other. So the others are
    written in any order, and only the flags of the first wait for everything.
    """
    queue, ring = many.queue, many.ring
    if ring is None:
        # In several pieces of memory: a descriptor at a time.
        for begin, ident, length in reversed([*zip(begins, ids, lengths, strict=True)]):
            queue._use(queue.used + int(begin), int(ident), int(length))
        return
    laps, slots = np.divmod(queue.used + begins, queue.size)
    flags = np.where(laps % 2, used_bits(0), used_bits(1)) | np.where(lengths > 0, WRITE, 0)
    words = lengths | ids << ID | flags << FLAGS
    ring.words[slots[1:]] = words[1:].view(np.uint64)
    slot = int(slots[0])
    ring.lens[4 * slot + 2] = int(lengths[0])
    ring.halves[8 * slot + 6] = int(ids[0])
    queue.barrier(PackedOrder.REST_THEN_USED_FLAGS)
    ring.halves[8 * slot + 7] = int(flags[0])


def _integers(numbers: Ints | int, name: str, count: int | None = None) -> Ints:
    """`numbers` as (n,) int64; with `count`, one number stands for so many. Else `ValueError`."""
    array = np.asarray(numbers)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} are whole numbers, not {array.dtype}")
    if count is not None and array.ndim == 0:
        array = np.full(count, array)
    if array.ndim != 1 or count not in (None, len(array)):
        shape = "(n,)" if count is None else f"({count},)"
        raise ValueError(f"{name} have shape {shape}, not {array.shape}")
    return array.astype(np.int64, copy=False)
