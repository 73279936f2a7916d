"""Task 1 of problem set 6: what is wrong with the tables of a case, one kind after another.

    narrowed, in_order             rights, and two mistakes at once
    widths, no_aw, no_top, no_table, to_interrupts      where a walk may not go
    itself, any_tables, hostile    tables that nobody would make

The idea: each function here is one case. It makes tables, spoils them, and asks.

Source: VT-d 3.0, 3.7, 7.1.3, 9.3, 9.8.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.machines import first
from virtlab.course.ps6.second_level import (
    END,
    HUGE,
    LARGE,
    LEVEL,
    PS,
    RW,
    SMALL,
    TABLES,
    R,
    Tables,
    W,
    page,
)
from virtlab.course.ps6.walk_runs import asks
from virtlab.course.tasks import Difference
from virtlab.interrupts import MESSAGE_BASE
from virtlab.iommu.layouts import index_bits
from virtlab.memory import PAGE


def narrowed(answer: Answer, rng: Random) -> Difference | None:
    """An entry above gives less than the page's own."""
    for level in (2, 3, 4):
        for flip in (R, W, RW):
            tables = Tables()
            tables.plant(0x1000, 1, page(0x5000))
            tables.spoil(0x1000, level, flip)
            if found := first(asks(answer, tables, 0x1FFF, write) for write in (False, True)):
                return found
    return None


def widths(answer: Answer, rng: Random) -> Difference | None:
    """The last address of tables, and the first behind it."""
    for levels in (3, 4, 5):
        width = index_bits(levels).hi + 1
        last = (1 << width) - 1
        tables = Tables(levels)
        tables.plant(last & -PAGE, 1, page(0x7000))
        tables.plant(0, 1, page(0x9000))
        asked = [last, last + 1, last + 1 | 0x123, 1 << 63, (1 << 64) - 1]
        if found := first(asks(answer, tables, iova, bool(iova % 2)) for iova in asked):
            return found
    return None


def no_aw(answer: Answer, rng: Random) -> Difference | None:
    """An address width that no unit has."""
    return first(asks(answer, Tables(4, aw=aw), 0x1000, False) for aw in (0, 4, 5, 6, 7))


def no_top(answer: Answer, rng: Random) -> Difference | None:
    """A top table that is not in memory, or only its first half is."""
    for top in (1 << 40, TABLES * PAGE):
        asked = (0xFF << 39, 0x100 << 39, 0x1FF << 39)
        if found := first(asks(answer, Tables(4, top), iova, False) for iova in asked):
            return found
    return None


def no_table(answer: Answer, rng: Random) -> Difference | None:
    """A table below the top that is not in memory, or only its first half is."""
    for level in (2, 3):
        for at in (1 << 40, END & -PAGE):
            tables = Tables()
            tables.plant(0, level, at | RW)
            low = index_bits(level - 1).lo
            asked = [(0xFF << low, False), (0x100 << low, False), (0x1FF << low, True)]
            if found := first(asks(answer, tables, *question) for question in asked):
                return found
    return None


def itself(answer: Answer, rng: Random) -> Difference | None:
    """Tables that lead to themselves, or round and round; at level 1 the table is the page."""
    for levels in (3, 4, 5):
        tables = Tables(levels)
        for number in range(4):
            tables.ram.store(tables.top + 8 * number, 8, tables.top | RW)
        other = tables.take()
        tables.ram.store(tables.top + 8 * 5, 8, other | RW)
        tables.ram.store(other + 8 * 5, 8, tables.top | RW)
        asked = [0, 0x4020_1ABC, sum(5 << index_bits(n).lo for n in range(1, levels + 1))]
        width = (1 << index_bits(levels).hi + 1) - 1
        if found := first(asks(answer, tables, iova & width, True) for iova in asked):
            return found
    return None


def to_interrupts(answer: Answer, rng: Random) -> Difference | None:
    """Pages in front of the addresses of interrupts, at them, and behind; and large ones."""
    tables = Tables()
    gpas = [
        MESSAGE_BASE - PAGE,
        MESSAGE_BASE,
        MESSAGE_BASE + 0xF_F000,
        MESSAGE_BASE + 0x10_0000,
        1 << 32 | MESSAGE_BASE,
    ]
    for number, gpa in enumerate(gpas):
        tables.plant(number * PAGE, 1, page(gpa, rights=RW if number % 2 else R))
    tables.plant(LARGE, 2, page(MESSAGE_BASE & -LARGE, LARGE))
    tables.plant(HUGE, 3, page(MESSAGE_BASE & -HUGE, HUGE))
    inside, outside = MESSAGE_BASE % LARGE + 0x4_5678, MESSAGE_BASE % LARGE + 0x10_0000
    iovas = [number * PAGE | 0x10 for number in range(5)]
    iovas += [PAGE - 1, PAGE, 3 * PAGE - 1, 3 * PAGE]  # the bytes at both borders
    iovas += [LARGE + inside, LARGE + outside, LARGE, HUGE + MESSAGE_BASE % HUGE, HUGE]
    asked = [(iova, write) for iova in iovas for write in (False, True)]
    return first(asks(answer, tables, *question) for question in asked)


def in_order(answer: Answer, rng: Random) -> Difference | None:
    """Two mistakes: of one entry the right comes first, of two entries the upper one."""
    spoilt = [
        [(1, W | 1 << 11)],
        [(2, R | 1 << 46)],
        [(3, W), (2, 1 << 62)],
        [(3, 1 << 11), (2, RW)],
        [(2, 1 << 50), (1, W)],
        [(4, PS), (3, RW)],
    ]
    for flips in spoilt:
        tables = Tables()
        tables.plant(0x5000, 1, page(0x7000))
        for level, flip in reversed(flips):
            tables.spoil(0x5000, level, flip)
        if found := first(asks(answer, tables, 0x5008, write) for write in (False, True)):
            return found
    return None


SPOIL = (R, W, RW, PS, 1 << 2, 1 << 9, 1 << 11, 1 << 12, 1 << 21, 1 << 30, 1 << 46, 1 << 51,
         1 << 52, 1 << 62, 1 << 63, 1 << 40)  # fmt: skip


def any_tables(answer: Answer, rng: Random) -> Difference | None:
    """Sound tables by chance, with a few bits spoilt."""
    for _ in range(8):
        levels = rng.choice((3, 4, 5))
        tables = Tables(levels)
        iovas = []
        for _ in range(4):
            size = rng.choice((SMALL, SMALL, LARGE, HUGE))
            iova = rng.getrandbits(index_bits(levels).hi + 1) & -size
            gpa = rng.getrandbits(46) & -size
            tables.plant(iova, LEVEL[size], page(gpa, size, rng.choice((R, W, RW, RW))))
            iovas.append(iova + rng.randrange(size))
        for _ in range(rng.randrange(5)):
            tables.spoil(rng.choice(iovas), rng.randrange(1, levels + 1), rng.choice(SPOIL))
        asked = [*iovas, iovas[0] ^ 1 << rng.randrange(64)]
        if found := first(asks(answer, tables, iova, rng.random() < 0.5) for iova in asked):
            return found
    return None


def hostile(answer: Answer, rng: Random) -> Difference | None:
    """Memory full of entries by chance, most of which lead on to other such tables."""
    for _ in range(4):
        tables = Tables(rng.choice((3, 4, 5)), rng.randrange(TABLES) * PAGE)
        odd = (0, 0, 0, 0, 0, 0, PS, 1 << 11, 1 << 46, 1 << 63, R, 0x678)
        entries = [
            rng.randrange(TABLES + 2) * PAGE | rng.choice((R, W, RW, RW, RW)) ^ rng.choice(odd)
            for _ in range(61)
        ]
        raw = b"".join(entry.to_bytes(8, "little") for entry in entries)
        tables.ram.write(0, (raw * (END // len(raw) + 1))[:END])
        width = index_bits(tables.levels).hi + 1
        asked = [(rng.getrandbits(width), rng.random() < 0.5) for _ in range(40)]
        if found := first(asks(answer, tables, *question) for question in asked):
            return found
    return None
