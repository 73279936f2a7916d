"""The descriptors that many chains of a split ring are made of, found in two ways.

    straight   [ 3  4  5 | 6 | 7  8 ]    each descriptor is followed by its neighbour: one gather
    follow     step 0   [ 3   0   5 ]    the heads; then what each goes on to, step by step:
               step 1   [ 4   -   7 ]    one gather a step, for all chains that go on
               step 2   [ 1   -   - ]

The idea: what a chain does next depends on what it read last, but not on the other chains. So they
go in lockstep. Most drivers take their descriptors in order, though. Then it is quicker to guess
where the chains end, to read all at once, and to see whether the guess was right.

The rule that keeps it simple: nothing is refused here. The guess holds for all chains, or none is
taken; `follow` ends before the first chain that breaks a rule of `split_chain`.

Source: virtio 1.3 2.7.5 to 2.7.5.3.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from virtlab.memory import Bytes
from virtlab.virtio.batch import Bools, Ints
from virtlab.virtio.batch_checks import RECORD, Records, fields, first, gather
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT
from virtlab.wire import all_ones

FLAGS = 32
"""The bit of a descriptor's second word where its flags begin. Below is `len`, `next` is above."""

SIZE = DESC.itemsize
FOLLOWING = FLAGS + 16
"""The bit where its `next` begins."""

_NEXT, _INDIRECT = NEXT << FLAGS, INDIRECT << FLAGS


ALONE = 8
"""Steps for each chain that still goes on, from which on `pop` is quicker for these few."""


class Tables(NamedTuple):
    """Where n chains are followed: tables of `entries` descriptors, at `offset` in memory.

    (n,) where they are `indirect`; else it is the ring's own, and both are one number for all.
    With `in_order` each descriptor is followed by its neighbour, in the ring also round its end.
    """

    offset: Ints
    entries: Ints
    indirect: bool
    in_order: bool

    def take(self, which: Ints) -> Tables:
        """Those of some chains."""
        if not self.indirect:
            return self
        return self._replace(offset=self.offset[which], entries=self.entries[which])


class Steps(NamedTuple):
    """What the first n chains read, chain by chain: those of k are `starts[k]:starts[k + 1]`."""

    starts: Ints  # (n + 1,)
    records: Records  # (m,) copies
    straight: bool = False  # whether they were found straight

    @property
    def n(self) -> int:
        """How many chains there are."""
        return len(self.starts) - 1

    def first(self, n: int) -> Steps:
        """The first `n` chains."""
        return Steps(self.starts[: n + 1], self.records[: self.starts[n]], self.straight)


NO_STEPS = Steps(np.zeros(1, np.int64), np.zeros(0, RECORD))


class Level(NamedTuple):
    """One step of the chains `which`, in rising order: what each read."""

    which: Ints
    records: Records


def starts_of(counts: Ints) -> Ints:
    """(n + 1,) where each of n things begins that are `counts` long; and the end of all."""
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def straight_ring(table: Records, ramp: Ints, heads: Ints, counts: Ints) -> Steps | None:
    """The chains of `heads`, if together they are one run of the ring's `table`.

    Chain k shall take `counts[k]` neighbours, and end where the next begins; None if one does
    otherwise. `ramp` counts twice round the ring. The counts are at least 1, and `size` in all.
    """
    starts, first_head = starts_of(counts), int(heads[0])
    total = int(starts[-1])
    # The run is one slice of the table, or two round its end.
    run = table[first_head : first_head + total]
    if len(run) < total:
        run = np.concatenate((run, table[: total - len(run)]))
    records = run.copy()
    rest = fields(records)[1]
    goes_on = (rest & _NEXT) != 0
    if np.count_nonzero(goes_on & ((rest & _INDIRECT) != 0)):
        return None
    numbers = ramp[first_head : first_head + total]
    right = _is_straight(rest, goes_on, starts, numbers)
    return Steps(starts, records, straight=True) if right else None


def straight_tables(memory: Bytes, tables: Tables) -> Steps | None:
    """The chains that are as long as their tables, each from its first entry to its last.

    None if one is otherwise, or refers to another table.
    """
    starts = starts_of(tables.entries)
    numbers = np.arange(starts[-1]) - np.repeat(starts[:-1], tables.entries)
    records = gather(memory, (numbers << 4) + np.repeat(tables.offset, tables.entries))
    rest = fields(records)[1]
    if np.count_nonzero(rest & _INDIRECT):
        return None
    goes_on = (rest & _NEXT) != 0
    right = _is_straight(rest, goes_on, starts, numbers)
    return Steps(starts, records, straight=True) if right else None


def _is_straight(rest: Ints, goes_on: Bools, starts: Ints, numbers: Ints) -> bool:
    """Whether all but the last of each chain go on, and to what was read behind them."""
    if np.count_nonzero(goes_on) != len(rest) - len(starts) + 1:
        return False
    if np.count_nonzero(goes_on[starts[1:] - 1]):
        return False
    following = rest[:-1] >> FOLLOWING & all_ones(2)
    return not np.count_nonzero((following != numbers[1:]) & goes_on[:-1])


def follow(memory: Bytes, tables: Tables, index: Ints, most: int) -> Steps | None:
    """Follow n chains from descriptor `index` of their tables on.

    The chains before the first that goes wrong, or that goes on when hardly any other does: so a
    loop ends here too. None if together they have more than `most`.
    """
    n, total = len(index), 0
    which = np.arange(n)  # the chains that go on
    levels: list[Level] = []
    while len(which):
        total += len(which)
        if total > most and n > 1:
            return None
        if len(which) * ALONE < len(levels):
            n = int(which[0])
            break
        records = gather(memory, tables.offset + (index << 4))
        levels.append(Level(which, records))
        flags = fields(records)[1] >> FLAGS
        goes_on, following = (flags & NEXT) != 0, flags >> 16 & all_ones(2)
        wrong = _wrong(tables, flags, goes_on, following, index)
        if np.count_nonzero(wrong):
            # Nothing behind the first wrong one counts any more.
            n = int(which[first(wrong)])
            goes_on &= which < n
        if np.count_nonzero(goes_on) == len(which):
            index = following
            continue
        on = np.flatnonzero(goes_on)
        which, index, tables = which[on], following[on], tables.take(on)
    return _chain_by_chain(levels, n)


def _wrong(tables: Tables, flags: Ints, goes_on: Bools, following: Ints, index: Ints) -> Bools:
    """(n,) what breaks a rule, as `split_chain._follow` has them."""
    wrong = goes_on & (following >= tables.entries)
    if tables.in_order:
        neighbour = index + 1
        wrong |= goes_on & (
            following != (neighbour if tables.indirect else neighbour % tables.entries)
        )
    # A descriptor in a table does not refer to another; one in the ring ends the chain if it does.
    refers = (flags & INDIRECT) != 0
    if np.count_nonzero(refers):
        wrong |= refers if tables.indirect else refers & goes_on
    return wrong


def _chain_by_chain(levels: list[Level], n: int) -> Steps:
    """Sort the steps of the first `n` chains, which were made level by level."""
    ends = [int(np.searchsorted(level.which, n)) for level in levels]
    counts = np.zeros(n, np.int64)
    for level, end in zip(levels, ends, strict=True):
        counts[level.which[:end]] += 1
    starts = starts_of(counts)
    records = np.empty(starts[-1], RECORD)
    for number, (level, end) in enumerate(zip(levels, ends, strict=True)):
        records[starts[level.which[:end]] + number] = level.records[:end]
    return Steps(starts, records)
