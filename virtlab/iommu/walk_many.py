"""The plural of `walk`: many addresses of one device, all levels at once.

    level    address 0    address 1    address 2  ...
      4      [ entry ]    [ entry ]    [ entry ]         a row is one gather from memory
      3      [ entry ]    [ entry ]    [ entry ]
      ...                                                then all rows are checked together

The idea: `certain` reads every level first and asks afterwards, of all entries in one number: the
bits that any of them has, and the bits that all of them have. If no bit is reserved, and the right
is there, and no table is outside of memory, then each walk is right. A gather that is clipped reads
nothing outside of memory, so guessing is safe.

The rules that keep it simple:

1. What is not certain goes to `careful`: a level at a time, with the questions of `walk.descend` in
   the same order, as masks. The answers are those of `descend` and `judged`, one by one.
2. Entries are read once. What the guest changes meanwhile changes nothing here.
3. Nothing is remembered. `iotlb` keeps what comes out.

Source: VT-d 3.0, 3.7, 7.1.3, 9.8. An address of 2**63 or more is negative in int64, and beyond any
width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from virtlab.interrupts import INTERRUPT_RANGE
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.context import Context, address_width, beyond_width, load_entry
from virtlab.iommu.layouts import LEVEL_BITS, SECOND_LEVEL, TranslationType, index_bits
from virtlab.iommu.reasons import Reason
from virtlab.iommu.walk import Start, maps_page, reserved_bits
from virtlab.iommu.walk_scratch import Scratch, Words
from virtlab.memory import PAGE, Bools, GuestMemory, Numbers

Codes = npt.NDArray[np.uint8]

_R, _W, _PS = SECOND_LEVEL.R.mask, SECOND_LEVEL.W.mask, SECOND_LEVEL.PS.mask
_ADDRESS = SECOND_LEVEL.ADDRESS.mask
_PLAIN = _ADDRESS | _R | _W | SECOND_LEVEL.X.mask
"""Bits of an entry whose number, divided by 8, is the word of its table: no other may be set."""

_LAST = (1 << LEVEL_BITS) - 1
_EIGHT, _OFFSET, _INDEX = np.array(3), np.array(PAGE - 1), np.array(_LAST)
_PAGES, _SHIFTS = np.array(_ADDRESS), [np.array(index_bits(level).lo) for level in range(1, 6)]


class Walks(NamedTuple):
    """How many walks ended: `gpas` (n,) int64, and `reasons` (n,) uint8, 0 where a page was found.

    Where there is a reason, the gpa is 0. The arrays are the caller's own.
    """

    gpas: Numbers
    reasons: Codes


class Questions(NamedTuple):
    """What is asked of an entry: the `right`, and the reasons where it lacks, or is not there."""

    right: int
    denied: Reason
    missing: Reason = Reason.PAGING_ACCESS


class BatchWalk:
    """Walks through tables in `memory`, as a unit of these `capabilities` makes them."""

    def __init__(self, memory: GuestMemory, capabilities: Capabilities) -> None:
        self.memory, self.capabilities = memory, capabilities
        self._words, self._scratch = Words(memory), Scratch()
        levels = range(6)
        self._table = [reserved_bits(level, False, capabilities) for level in levels[1:]]
        self._page = [reserved_bits(level, True, capabilities) for level in levels[1:]]

    def translate(self, context: Context, iovas: Numbers, write: bool) -> Walks:
        """What `walk.translate` gives for each of `iovas`, (n,) int64, in one `context`."""
        if context.reason is not None or not len(iovas):
            return _all(len(iovas), context.reason or 0)
        low, high = _hull(iovas)
        if low < 0 or beyond_width(context, self.capabilities, high):
            return self._within(context, iovas, write)
        if context.kind == TranslationType.PASS_THROUGH:
            wrong = (iovas >= INTERRUPT_RANGE.start) & (iovas < INTERRUPT_RANGE.stop)
            return Walks(np.where(wrong, 0, iovas), wrong * np.uint8(Reason.INTERRUPT_RANGE))
        return self.descend(Start(context.levels, context.table), iovas, write)

    def _within(self, context: Context, iovas: Numbers, write: bool) -> Walks:
        """Some have too many bits: the others are walked."""
        width = address_width(context, self.capabilities)
        good = np.flatnonzero(iovas >> width == 0)
        found = _all(len(iovas), Reason.BEYOND_WIDTH)
        inner = self.translate(context, iovas[good], write)
        found.gpas[good], found.reasons[good] = inner.gpas, inner.reasons
        return found

    def descend(self, start: Start, iovas: Numbers, write: bool) -> Walks:
        """What `descend` and `judged` give for each of `iovas`, none of them negative."""
        top = self._shared(start, iovas, write)
        if top is None:
            return self.careful(start, iovas, write)
        certain = self.certain(top, iovas, write)
        return certain if certain is not None else self.careful(top, iovas, write)

    # -- all levels, then all questions

    def certain(self, start: Start, iovas: Numbers, write: bool) -> Walks | None:
        """All walks, if each surely finds a page of 4 KiB; else None."""
        words, table = self._words, self._words.table(start.table)
        if table is None or not (start.write if write else start.read):
            return None
        rows, index, spare = self._scratch.of(len(iovas), start.level)
        np.right_shift(iovas, _SHIFTS[start.level - 1], index)
        np.bitwise_and(index, _INDEX, index)
        table.take(index, 0, rows[0], "clip")
        for row in range(1, start.level):
            np.right_shift(rows[row - 1], _EIGHT, spare)
            np.right_shift(iovas, _SHIFTS[start.level - row - 1], index)
            np.bitwise_and(index, _INDEX, index)
            np.add(index, spare, index)
            if words.before:
                np.subtract(index, words.before, index)
            words.all.take(index, 0, rows[row], "clip")
        return self._judge(rows, iovas, _W if write else _R, index)

    def _shared(self, start: Start, iovas: Numbers, write: bool) -> Start | None:
        """The first table in which the addresses part; None where that is not certain.

        What holds for the lowest and the highest address holds for all: above that table they meet
        the same entries, and these are read once.
        """
        low, high = _hull(iovas)
        at = start
        if not (start.write if write else start.read):
            return None
        while at.level > 1 and low >> index_bits(at.level).lo == high >> index_bits(at.level).lo:
            entry_at = at.table + SECOND_LEVEL.size * index_bits(at.level).get(low)
            entry = load_entry(self.memory, entry_at, SECOND_LEVEL.size)
            if entry is None or not entry & (_W if write else _R) or maps_page(entry, at.level):
                return None
            if entry & self._table[at.level - 1]:
                return None
            at = Start.below(entry, at.level, at.read, at.write)
        return at

    def _judge(self, rows: Numbers, iovas: Numbers, right: int, spare: Numbers) -> Walks | None:
        """The questions, of all entries at once. `rows` is (levels, n); it is used up."""
        upper, leaves, every = rows[:-1], rows[-1], rows.reshape(-1)
        some = int(np.bitwise_or.reduce(every))
        if not int(np.bitwise_and.reduce(every)) & right:
            return None
        if some & (~_PLAIN | self._table[0]) and self._unsure(upper, leaves):
            return None
        if len(upper) and not self._words.has_tables(some & _ADDRESS, upper):
            return None
        np.bitwise_and(leaves, _PAGES, leaves)
        np.bitwise_and(iovas, _OFFSET, spare)
        gpas = leaves + spare
        reasons = np.zeros(len(gpas), np.uint8)
        if some & _ADDRESS >= INTERRUPT_RANGE.start:
            _forbid_interrupts(gpas, reasons)
        return Walks(gpas, reasons)

    def _unsure(self, upper: Numbers, leaves: Numbers) -> bool:
        """Whether a bit is set that one kind of entry may have, and not the other."""
        above = int(np.bitwise_or.reduce(upper.reshape(-1))) if len(upper) else 0
        wrong = above & (~_PLAIN | self._table[1] if len(upper) else 0)
        return bool(wrong or int(np.bitwise_or.reduce(leaves)) & self._page[0])

    # -- level by level

    def careful(self, start: Start, iovas: Numbers, write: bool) -> Walks:
        """All walks, whatever the tables hold: the questions of `descend`, each a mask."""
        found = _all(len(iovas), 0)
        walking, asked = np.arange(len(iovas)), iovas
        tables = np.full(len(iovas), start.table, np.int64)
        ask = Questions(_W if write else _R, Reason.WRITE if write else Reason.READ)
        if not (start.write if write else start.read):
            ask = ask._replace(right=0)
        if start.top:
            ask = ask._replace(missing=Reason.CONTEXT_INVALID)
        for level in range(start.level, 0, -1):
            index = asked >> index_bits(level).lo & _LAST
            entries, there = self._words.load(tables + SECOND_LEVEL.size * index)
            if not self._all_go_on(level, entries, ask):
                reasons, is_page = self._answers(level, entries, there, ask)
                inside = (1 << index_bits(level).lo) - 1
                gpas = entries & (_ADDRESS & ~inside) | asked & inside
                found.reasons[walking] = reasons
                found.gpas[walking] = np.where(is_page, gpas, 0)
                onward = np.flatnonzero((reasons == 0) & ~is_page)
                walking, entries, asked = walking[onward], entries[onward], asked[onward]
                if not len(walking):
                    break
            tables = entries & _ADDRESS
            ask = ask._replace(missing=Reason.PAGING_ACCESS)
        _forbid_interrupts(found.gpas, found.reasons)
        return found

    def _all_go_on(self, level: int, entries: Numbers, ask: Questions) -> bool:
        """Whether each entry surely names a table, so that nothing ends at this level.

        An entry that is not there is 0, and gives no right.
        """
        some, common = int(np.bitwise_or.reduce(entries)), int(np.bitwise_and.reduce(entries))
        wrong = some & (self._table[level - 1] | _PS)
        return level > 1 and bool(common & ask.right) and not wrong

    def _answers(
        self, level: int, entries: Numbers, there: Bools, ask: Questions
    ) -> tuple[Codes, Bools]:
        """Why each walk ends at this level, 0 if for no reason; and whether it is at its page."""
        large = entries & _PS != 0 if level > 1 else np.ones(len(entries), np.bool_)
        reserved = np.where(large, self._page[level - 1], self._table[level - 1])
        reasons = np.zeros(len(entries), np.uint8)
        # The last that is written counts, so the first question comes last.
        reasons[entries & reserved != 0] = Reason.PAGING_RESERVED
        reasons[entries & ask.right == 0] = ask.denied
        reasons[~there] = ask.missing
        return reasons, large & (reasons == 0)


def _hull(iovas: Numbers) -> tuple[int, int]:
    """The lowest and the highest."""
    return int(iovas.item(iovas.argmin())), int(iovas.item(iovas.argmax()))


def _all(n: int, reason: int) -> Walks:
    """`n` walks that end in the same way, at 0."""
    return Walks(np.zeros(n, np.int64), np.full(n, reason, np.uint8))


def _forbid_interrupts(gpas: Numbers, reasons: Codes) -> None:
    """No page leads to where interrupts are written."""
    there = (gpas >= INTERRUPT_RANGE.start) & (gpas < INTERRUPT_RANGE.stop)
    if there.any():
        gpas[there], reasons[there] = 0, Reason.INTERRUPT_RANGE
