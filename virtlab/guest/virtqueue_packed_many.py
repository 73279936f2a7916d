"""The plural calls of the packed ring's driver: `add_buf` and `get_buf` for many at once.

    add_bufs    all descriptors but two bytes: the flags of the first, if they open a batch
    get_bufs    the flags of a stretch | its ids and lengths        flags first, then the rest

The idea: in a packed ring only the order of the descriptors in memory says what comes next. How far
it is to the next used one is known when its id is: as far as that buffer had slots. Where all have
the same number, that is a ramp, and all are looked at together.

The rule that keeps it simple: a stretch is read twice. From the first copy only flags are taken,
and from the second, behind the barrier, all else. So no `len` is older than the flag before it.

Source: virtio 1.3 2.8.21.1.1, 2.8.22, 2.8.8 (in order).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.guest.virtqueue_books import Bools, Ints, first_of_each
from virtlab.guest.virtqueue_many import hops, in_order, prefix, read_ring, write_runs
from virtlab.guest.virtqueue_pieces import Pieces, Plan, Records, records
from virtlab.virtio.layouts import NEXT
from virtlab.virtio.packed_layouts import (
    AVAIL,
    FLAGS_AT,
    PACKED_DESC,
    USED,
    PackedOrder,
    avail_bits,
    used_bits,
    wrap_at,
)

if TYPE_CHECKING:
    from virtlab.guest.virtqueue_packed import PackedDriver

STRETCH = 64
"""Descriptors that are looked at in one go, at least. Twice the last batch, if that was more."""


def add_bufs(driver: PackedDriver, pieces: Pieces, tokens: Sequence[Any]) -> int:
    """Place as many of the buffers as there are slots for; gives how many."""
    plan = Plan.of(pieces, driver.tables, driver.free)
    if not len(plan):
        return 0
    ids = driver._free.take_many(len(plan))
    ring = plan.ring(PACKED_DESC, driver.tables, ids)
    ring["id"] = np.repeat(ids, plan.slots)
    ring["flags"] |= _by_lap(driver, driver.added, len(ring), avail_bits)
    if driver.tables:
        _write_tables(driver, plan, ids)
    _write_ring(driver, ring)
    room = plan.pieces.room()
    driver.outstanding.add_many(ids, driver._given, tokens[: len(plan)], plan.slots, room)
    driver.added += len(ring)
    driver._given += len(plan)
    return len(plan)


def _write_tables(driver: PackedDriver, plan: Plan, ids: Ints) -> None:
    """The tables of those that have one. In it, WRITE is the only flag (2.8.7)."""
    assert driver.tables is not None
    pieces, places = plan.tables(driver.tables, ids)
    table = records(pieces, PACKED_DESC)
    table["flags"] &= ~np.uint16(NEXT)
    write_runs(driver.cpu, driver.tables.gpa, places, table)


def _write_ring(driver: PackedDriver, ring: Records) -> None:
    """All from `added` on. The flags of the first stay behind if `kick` shall open the batch."""
    start = 0
    if driver.added == driver.exposed:
        driver._first_flags, start = int(ring["flags"][0]), 1
        driver.cpu.write(driver.rings.desc_at(driver.added), ring[:1].tobytes()[:FLAGS_AT])
    places = np.arange(driver.added + start, driver.added + len(ring)) % driver.size
    write_runs(driver.cpu, driver.rings.desc, places, ring[start:])


def _by_lap(
    driver: PackedDriver, position: int, count: int, bits: Callable[[int], int]
) -> npt.NDArray[np.uint16]:
    """(count,) AVAIL and USED for the descriptors from `position` on: at most two laps."""
    wrap, size = wrap_at(position, driver.size), driver.size
    found = np.full(count, bits(wrap), np.uint16)
    found[size - position % size :] = bits(1 - wrap)
    return found


def get_bufs(driver: PackedDriver, most: int) -> tuple[list[Any], Ints]:
    """The tokens of up to `most` used buffers, and what was written; none if the first is bad."""
    tokens: list[Any] = []
    written = [_NONE]
    start = driver.last_used
    while len(tokens) < most:
        before, stretch = driver.last_used, driver._stretch
        ids, wrote = (_in_order if driver._in_order else _any_order)(driver, most - len(tokens))
        tokens += _take_back(driver, ids)
        written.append(wrote)
        # Nobody counts the used ones. A stretch that was used to its end may go on.
        driver._stretch = max(STRETCH, 2 * (driver.last_used - start))
        if driver.last_used - before < stretch:
            break
    if tokens and driver.callbacks and driver._exact:
        driver._listen()
    return tokens, np.concatenate(written)


def _take_back(driver: PackedDriver, ids: Ints) -> list[Any]:
    """They are the driver's again."""
    driver.last_used += int(driver.outstanding.slots[ids].sum())
    driver._free.give_many(ids)
    driver._returned += len(ids)
    driver._batch_end = max(driver._batch_end, driver._returned)
    return driver.outstanding.pop_many(ids)


def _any_order(driver: PackedDriver, most: int) -> tuple[Ints, Ints]:
    """The ids of the next used descriptors, and what was written to each."""
    run = _run(driver, driver.last_used, most)
    if not len(run.ids):
        return run.ids, run.wrote
    steps = np.where(run.known, driver.outstanding.slots[run.ids], 0)
    at = hops(steps)[:most]
    ids = run.ids[at]
    ids = ids[: prefix(first_of_each(ids, driver.size))]
    return ids, np.minimum(run.wrote[at[: len(ids)]], driver.outstanding.room[ids])


def _in_order(driver: PackedDriver, most: int) -> tuple[Ints, Ints]:
    """The same, where one may stand for many. What it leaves in hand comes next time."""
    out, first = driver.outstanding, driver._returned
    held = driver._batch_end - first
    start = int(out.slots[out.at_many(first, held)].sum())
    run = _run(driver, driver.last_used + start, most - held)
    # How many buffers come back up to each descriptor's own, and where the last of them ends.
    upto = np.where(run.known, out.number[run.ids] + 1 - first, 0)
    keys = out.at_many(first, max(held, int(upto.max(initial=0))))
    behind = np.append(0, np.cumsum(out.slots[keys])) - start
    at = hops(behind[upto] - np.arange(len(upto)))
    # What begins behind the buffers that are wanted is for the next time.
    at = at[: np.searchsorted(at, behind[min(most, len(keys))])]
    ends, wrote = upto[at], run.wrote[at]
    if held:
        ends, wrote = np.append(held, ends), np.append(driver._batch_written, wrote)
    if len(at):
        driver._batch_end, driver._batch_id = first + int(ends[-1]), int(run.ids[at[-1]])
        driver._batch_written = int(wrote[-1])
    keys = keys[: min(most, driver._batch_end - first)]
    return keys, in_order(out.room[keys], ends, wrote)


class _Run(NamedTuple):
    """A stretch of the ring, as far as something is used: what it says, and if it can be so."""

    ids: Ints  # 0 where it cannot
    wrote: Ints
    known: Bools  # used in this lap, with the id of a buffer that the device has


def _run(driver: PackedDriver, position: int, most: int) -> _Run:
    """From `position` on, of what was exposed. Empty if `position` itself is not used."""
    cpu, desc, size = driver.cpu, driver.rings.desc, driver.size
    count = min(driver.exposed - position, driver._stretch)
    if most <= 0 or not count or not driver._is_used_at(position):
        return _Run(_NONE, _NONE, _NONE != 0)
    flags = read_ring(cpu, desc, position, count, size, PACKED_DESC)["flags"]
    used = flags & (AVAIL | USED) == _by_lap(driver, position, count, used_bits)
    used = used[: len(used) - int(used[::-1].argmax())]
    # The flags first, then what they vouch for.
    driver.barrier(PackedOrder.USED_FLAGS_THEN_REST)
    rest = read_ring(cpu, desc, position, len(used), size, PACKED_DESC)
    ids = rest["id"].astype(np.int64)
    known = used & driver.outstanding.known(ids, driver._shown)
    return _Run(np.where(known, ids, 0), rest["len"].astype(np.int64), known)


_NONE = np.zeros(0, np.int64)
