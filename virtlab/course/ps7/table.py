"""Task 2 of problem set 7: the memory table, and the two addresses that a byte of memory has.

First tables, and what makes one impossible; then rings, by user address; then buffers, by gpa, that
may go on from one file to the next.
"""

from __future__ import annotations

from virtlab.course.given.world import Region
from virtlab.course.ps3.machines import all_of
from virtlab.course.ps7.table_asks import (
    LAST,
    MIB,
    USER,
    any_place,
    any_table,
    eight,
    ends_of,
    gpas,
    payload_of,
    places,
    raw,
    tables,
)
from virtlab.course.tasks import Case, Task

PC: list[Region] = [
    (0x0, 0xA_0000, USER, 0x0),
    (0x10_0000, 7 * MIB, USER + 0x10_0000, 0x10_0000),
]
"""A PC's memory: one file, with a hole for the old display."""

HALVES: list[Region] = [
    (0x40_0000, 0x2000, USER, 0x8000),
    (0x40_2000, 0x3000, USER + 0x40_0000, 0x1000),
    (0x40_5000, 0x1000, USER + 0x2000, 0x0),
]
"""Three files, one behind the other to the guest; to the front-end the third follows the first."""

UPSET = [HALVES[2], HALVES[0], HALVES[1]]
FILES = [8 * MIB, 8 * MIB]

TABLE = Task(
    "ps7.q2",
    "a byte with two addresses",
    ("read_table", "gpa_of", "place"),
    ("B04", "B07"),
    lines=38,
    minutes=35,
    difficulty=3,
    points=6,
    cases=(
        Case("one region", tables((PC[:1], [MIB]))),
        Case("two regions", tables((PC, FILES))),
        Case("the order of the table", tables((PC[::-1], FILES), (UPSET, ends_of(UPSET)))),
        Case("eight regions", lambda answer, rng: eight(answer)),
        Case(
            "bytes behind the rows",
            raw(PC, FILES, payload_of(PC) + bytes(32), payload_of(PC, padding=77) + b"x"),
        ),
        Case(
            "rows that are not there",
            all_of(
                raw(PC, FILES, payload_of(PC)[:-1], payload_of(PC)[:40], payload_of(PC)[:8]),
                raw(PC, FILES, b"", bytes(7)),
            ),
        ),
        Case(
            "a count that lies",
            all_of(
                raw([], [], payload_of([])),
                raw(PC, FILES, payload_of(PC, 1), payload_of(PC, 0), payload_of(PC, 0xFFFF_FFFF)),
                raw(PC, FILES, payload_of(PC, 0x1_0002), payload_of(PC, 0x102)),
            ),
        ),
        Case("too few files", tables((PC, FILES[:1]), (PC, []), (PC[:1], FILES))),
        Case("nine regions", lambda answer, rng: eight(answer, 9)),
        Case("an empty region", tables(([PC[0], (0x10_0000, 0, USER + MIB, 0)], FILES))),
        Case(
            "the end of the file",
            tables(
                (PC, ends_of(PC)),
                (PC, [ends_of(PC)[0], ends_of(PC)[1] - 1]),
                (PC[:1], [0x9_FFFF]),
                (HALVES, [0x9FFF, MIB, MIB]),
            ),
        ),
        Case(
            "the last address",
            tables(
                ([(LAST - 0x1000, 0x1000, USER, 0)], [MIB]),
                ([(LAST - 0xFFF, 0x1000, USER, 0)], [MIB]),
                ([(0, 0x1000, (1 << 64) - 0x1000, 0)], [MIB]),
                ([(0, 0x1000, USER, (1 << 64) - 0x800)], [MIB]),
                ([((1 << 64) - 1, 0x1000, USER, 0)], [MIB]),
            ),
        ),
        Case(
            "two regions for one gpa",
            tables(
                ([(0, 0x2000, USER, 0), (0x1FFF, 0x1000, USER + MIB, 0)], FILES),
                ([(0x1000, 0x1000, USER, 0), (0, 0x4000, USER + MIB, 0)], FILES),
                ([(0, 0x1000, USER, 0), (0, 0x1000, USER + MIB, 0)], FILES),
                ([*HALVES, (0x40_5FFF, 0x1000, USER + 8 * MIB, 0)], [MIB] * 4),
            ),
        ),
        Case(
            "two regions for one user address",
            tables(
                ([(0, 0x2000, USER, 0), (MIB, 0x1000, USER + 0x1000, 0)], FILES),
                ([(MIB, 0x1000, USER + 0x1000, 0), (0, 0x1001, USER, 0)], FILES),
            ),
        ),
        Case(
            "neighbours",
            tables(
                ([(0, 0x1000, USER, 0), (0x1000, 0x1000, USER + 0x1000, 0)], FILES),
                ([(0x1000, 0x1000, USER, 0), (0, 0x1000, USER + 0x1000, 0x1000)], FILES),
            ),
        ),
        Case(
            "one file twice", tables(([(0, 0x1000, USER, 0), (MIB, 0x1000, USER + MIB, 0)], FILES))
        ),
        Case("any table", any_table),
        Case(
            "a ring",
            gpas(PC, (USER + 0x5000, 0x1000), (USER + 0x10_3000, 0x806), (USER, 16)),
        ),
        Case(
            "the first byte and the last",
            gpas(PC, (USER, 0xA_0000), (USER + 0x9_FFFF, 1), (USER + 0x10_0000, 7 * MIB)),
        ),
        Case(
            "a ring that is nowhere",
            gpas(PC, (0x5000, 0x1000), (USER + 0xA_0000, 1), (USER - 1, 2), (USER + 8 * MIB, 1)),
        ),
        Case(
            "a ring over a border",
            all_of(
                gpas(PC, (USER + 0x9_F000, 0x1001), (USER, 0xA_0001)),
                gpas(HALVES, (USER + 0x1FF0, 0x20), (USER + 0x1FF0, 0x10), (USER + 0x2000, 0x10)),
                gpas(UPSET, (USER + 0x1FF0, 0x20), (USER + 0x40_0000, 0x3001)),
            ),
        ),
        Case("a buffer", places(PC[:1], (0x5000, 512), (0, 1), (0x9_FFFF, 1), (0, 0xA_0000))),
        Case(
            "in the second region",
            all_of(places(PC, (0x12_3456, 4096)), places(HALVES, (0x40_2010, 16))),
        ),
        Case(
            "over two regions",
            places(HALVES, (0x40_1FF0, 0x20), (0x40_4FFF, 2), (0x40_0000, 0x5000)),
        ),
        Case(
            "over all of them",
            all_of(
                places(HALVES, (0x40_0000, 0x6000), (0x40_1FFF, 0x3002)),
                places(UPSET, (0x40_0000, 0x6000), (0x40_1FFF, 0x3002), (0x40_4000, 0x1800)),
            ),
        ),
        Case(
            "into a hole",
            all_of(
                places(PC, (0x9_FFFF, 2), (0xA_0000, 1), (0xF_FFFF, 2), (8 * MIB - 1, 2)),
                places(UPSET, (0x40_5FFF, 2), (0x3F_FFFF, 2), (0x40_0000, 0x6001)),
            ),
        ),
        Case("no bytes", places(PC, (0x5000, 0), (0xA_0000, 0))),
        Case(
            "lengths that a guest may write",
            places(PC, (0, 0xFFFF_FFFF), ((1 << 64) - 1, 2), (1 << 63, 0x1000), (0x5000, 1 << 40)),
        ),
        Case("any place", any_place),
    ),
    hints=(
        "Three times the same question: is a range of bytes inside another? Write it once with "
        "both ends: start <= first, and first + length <= start + size. The three functions "
        "differ in which address they compare.",
        "read_table: unpack all rows first, judge afterwards. Two ranges overlap if each begins "
        "before the other ends; sorted by their start, only neighbours have to be compared. "
        "place: take as much as the region has from gpa on, then go on behind it.",
        "struct.iter_unpack('<4Q', ...) gives the rows. In place, a while loop that runs as "
        "long as bytes are missing searches the region with 0 <= gpa - guest < size; if there "
        "is none, the answer is None. A for with an else says that well.",
    ),
)
