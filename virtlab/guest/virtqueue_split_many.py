"""The plural calls of the split ring's driver: what `add_buf` and `get_buf` do, for many at once.

    add_bufs    tables and descriptors | entries            kick shows them all at once
    get_bufs    used idx | a stretch of used elements       read once, then checked, then believed

The idea: what the device says is read into memory of our own, and judged there as a whole. The
batch ends before the first element that breaks a rule. If that is the very first one, `get_buf`
meets it, so that both refuse in the same way.

The rule that keeps it simple: no state here. It is the driver's, and the same for singular calls.

Source: virtio 1.3 2.7.13, 2.7.14, 2.7.9 (in order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.guest.virtqueue_books import Ints, first_of_each
from virtlab.guest.virtqueue_many import hops, in_order, prefix, read_ring, write_runs
from virtlab.guest.virtqueue_pieces import Pieces, Plan, records
from virtlab.virtio.layouts import DESC, NEXT, USED_ELEM
from virtlab.virtio.ordering import Order
from virtlab.wire import u16

if TYPE_CHECKING:
    from virtlab.guest.virtqueue_split import SplitDriver


def add_bufs(driver: SplitDriver, pieces: Pieces, tokens: Sequence[Any]) -> int:
    """Place as many of the buffers as there are descriptors for; gives how many."""
    plan = Plan.of(pieces, driver.tables, driver.free)
    if not len(plan):
        return 0
    ends = np.cumsum(plan.slots)
    slots = driver._free.take_many(int(ends[-1]))
    heads = slots[ends - plan.slots]
    ring = plan.ring(DESC, driver.tables, heads)
    if len(ring) > len(plan):
        ring["next"][:-1] = np.where(ring["flags"][:-1] & NEXT, slots[1:], 0)
        driver._next[slots] = ring["next"]
    if driver.tables:
        _write_tables(driver, plan, heads)
    write_runs(driver.cpu, driver.rings.desc, slots, ring)
    entries = (driver.added + np.arange(len(plan))) % driver.size
    write_runs(driver.cpu, driver.rings.avail_field("ring"), entries, heads.astype(u16))
    room = plan.pieces.room()
    driver.outstanding.add_many(heads, driver.added, tokens[: len(plan)], plan.slots, room)
    driver.added += len(plan)
    return len(plan)


def _write_tables(driver: SplitDriver, plan: Plan, heads: Ints) -> None:
    """The tables of those that have one: in a table, too, each but the last names the next."""
    assert driver.tables is not None
    pieces, places = plan.tables(driver.tables, heads)
    table = records(pieces, DESC)
    table["next"] = np.where(table["flags"] & NEXT, pieces.index() + 1, 0)
    write_runs(driver.cpu, driver.tables.gpa, places, table)


def get_bufs(driver: SplitDriver, most: int) -> tuple[list[Any], Ints]:
    """The tokens of up to `most` used buffers, and what was written; none if the first is bad."""
    look = _in_order if driver._in_order else _any_order
    heads, written = look(driver, most)
    if not len(heads):
        return [], written
    slots = slots_of(driver._next, heads, driver.outstanding.slots[heads])
    tokens = driver.outstanding.pop_many(heads)
    driver._free.give_many(slots)
    driver.last_used += len(heads)
    driver._batch_end = max(driver._batch_end, driver.last_used)
    if driver.callbacks and driver._exact:
        driver._listen()
    return tokens, written


def _any_order(driver: SplitDriver, most: int) -> tuple[Ints, Ints]:
    """The heads of the next used elements, and what was written to each."""
    heads, wrote, new = _elements(driver, driver.last_used, most)
    if not new:
        return heads, wrote
    heads = heads[: prefix(driver.outstanding.known(heads, driver.exposed))]
    heads = heads[: prefix(first_of_each(heads, driver.size))]
    return heads, np.minimum(wrote[: len(heads)], driver.outstanding.room[heads])


def _in_order(driver: SplitDriver, most: int) -> tuple[Ints, Ints]:
    """The same, where an element may stand for many. What it leaves in hand comes next time."""
    held, start = driver._batch_end - driver.last_used, driver._batch_end
    heads, wrote, new = _elements(driver, start, most - held)
    places = np.arange(len(heads))
    known = driver.outstanding.known(heads, driver.exposed)
    # An element at `start + place` stands for all from there to its own buffer.
    upto = np.where(known, driver.outstanding.number[np.where(known, heads, 0)] + 1 - start, 0)
    steps = np.where(upto <= new, upto - places, 0)
    at = hops(steps)
    ends, wrote = held + upto[at], wrote[at]
    if held:
        ends, wrote = np.append(held, ends), np.append(driver._batch_written, wrote)
    if len(at):
        driver._batch_end, driver._batch_head = start + int(upto[at[-1]]), int(heads[at[-1]])
        driver._batch_written = int(wrote[-1])
    count = min(most, driver._batch_end - driver.last_used)
    keys = driver.outstanding.at_many(driver.last_used, count)
    return keys, in_order(driver.outstanding.room[keys], ends, wrote)


def _elements(driver: SplitDriver, position: int, most: int) -> tuple[Ints, Ints, int]:
    """(n,) ids and lengths of `most` used elements from `position` on, and how many are new."""
    new = (driver._used_idx() - position) & 0xFFFF if most > 0 else 0
    if new > driver.exposed - position:
        new = 0
    if new:
        # The index first, then the elements that it speaks of.
        driver.barrier(Order.USED_IDX_THEN_ELEMENT)
    at, size = driver.rings.used_field("ring"), driver.size
    found = read_ring(driver.cpu, at, position, min(new, most), size, USED_ELEM) if new else _NONE
    return found["id"].astype(np.int64), found["len"].astype(np.int64), new


_NONE = np.zeros(0, USED_ELEM)


def slots_of(following: Ints, heads: Ints, counts: Ints) -> Ints:
    """The descriptors of (n,) chains of (n,) `counts`, one chain behind the other."""
    ends = np.cumsum(counts)
    if ends[-1] == len(heads):
        return heads
    slots = np.empty(int(ends[-1]), np.int64)
    at, left, now = ends - counts, counts, heads
    # All chains step together, and those that end fall out.
    while len(now):
        slots[at] = now
        on = left > 1
        at, left, now = at[on] + 1, left[on] - 1, following[now[on]]
    return slots
