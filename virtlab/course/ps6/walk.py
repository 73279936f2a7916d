"""Task 1 of problem set 6: a second-level walk, from raw bytes. The judge is the library's walk.

The verdict counts, and that no entry was read twice. Beside the sound tables there are those that a
driver spoilt: reserved bits, tables that are not in memory or lead to themselves, and pages where
interrupts are written.
"""

from __future__ import annotations

from virtlab.course.ps3.machines import all_of
from virtlab.course.ps6.second_level import END, HUGE, LARGE, PS, RW, R, W, page
from virtlab.course.ps6.walk_runs import Planted, entries, looks, tables_with
from virtlab.course.ps6.walk_spoilt import (
    any_tables,
    hostile,
    in_order,
    itself,
    narrowed,
    no_aw,
    no_table,
    no_top,
    to_interrupts,
    widths,
)
from virtlab.course.tasks import Case, Task
from virtlab.memory import PAGE

FAR, BEHIND = 0x5A_5432_1000, END + PAGE // 2
PAGES: list[Planted] = [
    (0x0, 1, page(0x7000)),
    (0x5000, 1, page(0x1_2345_9000)),
    (FAR, 1, page(0x3A_BCDE_F000)),
    (0x20_0000, 2, page(0x40_0000, LARGE)),
    (0x4000_0000, 3, page(0x8000_0000, HUGE)),
]

WALK = Task(
    "ps6.q1",
    "translate a device's address",
    ("translate",),
    ("S42", "S43"),
    lines=30,
    minutes=30,
    difficulty=4,
    points=6,
    cases=(
        Case("one page", looks([(0, 1, page(0x7000))], (0, False), (0x123, True))),
        Case("other pages", looks(PAGES, (0x5FFF, False), (FAR | 0xABC, True))),
        Case(
            "four levels",
            looks([(0x8080_6050_4000, 1, page(0x9000))], (0x8080_6050_4321, False), levels=4),
            costs=True,
        ),
        Case(
            "five levels",
            looks(
                [(0x123_C080_6050_4000, 1, page(0x9000))], (0x123_C080_6050_4765, True), levels=5
            ),
        ),
        Case("a page of 2 MiB", looks(PAGES, (0x21_2345, False), (0x3F_FFFF, True))),
        Case("a page of 1 GiB", looks(PAGES, (0x4000_0000, False), (0x7FED_CBA9, True))),
        Case(
            "not present",
            looks(PAGES, (0x1000, False), (0x6000, True), (1 << 38, True), (0x60_0000, False)),
        ),
        Case("one right alone", entries(1, page(0x7000, rights=R), page(0x8000, rights=W))),
        Case("rights of all entries", narrowed),
        Case("beyond the tables", widths),
        Case("an AW that is none", no_aw),
        Case("no top table", no_top),
        Case("a table outside memory", no_table),
        Case(
            "a page outside memory", entries(1, page(BEHIND), page(0x3FFF_FFFF_F000), page(1 << 45))
        ),
        Case(
            "no such address",
            all_of(
                tables_with(46, 49, 51), entries(1, *(page(0x7000 | 1 << bit) for bit in (46, 51)))
            ),
        ),
        Case("reserved bits of a table", all_of(tables_with(11, 62), tables_with(11, 62, level=4))),
        Case(
            "bit 7 above level 3",
            all_of(
                tables_with(7, level=4),
                tables_with(7, level=5),
                entries(4, PS | RW, PS | RW | 1 << 39),
                entries(5, PS | RW, levels=5),
            ),
        ),
        Case(
            "reserved bits of a page",
            all_of(
                entries(1, page(0x7000) | 1 << 11, page(0x7000) | 1 << 62),
                entries(2, page(LARGE, LARGE) | 1 << 11),
            ),
        ),
        Case(
            "low bits of a large page",
            entries(2, *(page(LARGE, LARGE) | 1 << bit for bit in (12, 16, 20, 21))),
        ),
        Case(
            "low bits of a huge page",
            entries(3, *(page(HUGE, HUGE) | 1 << bit for bit in (12, 21, 29, 30))),
        ),
        Case(
            "bits that are ignored",
            all_of(
                entries(1, *(page(0x7000) | 1 << bit for bit in (2, 3, 6, 7, 8, 10, 52, 61, 63))),
                tables_with(2, 3, 6, 8, 10, 52, 61, 63),
            ),
        ),
        Case("two mistakes", in_order),
        Case("where interrupts are written", to_interrupts),
        Case("a table that names itself", itself),
        Case("any tables", any_tables),
        Case("hostile tables", hostile),
    ),
    hints=(
        "Take the context entry apart first: int.from_bytes, then the top table and the levels. "
        "Then do the walk for pages of 4 KiB, all entries sound. At which shift do the nine bits "
        "of each level begin?",
        "One loop over the levels, from the top to 1. In each turn four questions in the order of "
        "the text: is the entry in memory, does it give the right, is a reserved bit set, is it a "
        "page. The fault ends the walk where it is found.",
        "An entry of level n covers 2 to the power 3 + 9n bytes: that is a large page's size, its "
        "mask, and the unit of the index. Only one right is asked for, so one bit does: 1 for a "
        "read, 2 for a write. Put the reserved bits of every entry into one number, then add "
        "what is reserved for this level and kind.",
    ),
)
