"""Plausible wrong answers to task 1 of problem set 6: a second-level walk."""

from tests.course.wrong.slips import slipped

CONTEXT = "    table, levels = entry & ADDRESS, (entry >> 64 & 0b111) + 2\n"
NO_AW = "    if levels not in (3, 4, 5):\n"
WIDTH = "    if iova >> 12 + 9 * levels:\n"
RIGHT = "    right = 0b10 if write else 0b01\n"
SIZE = "        size = 1 << 3 + 9 * level\n"
AT = "        at = table + 8 * (iova // size % 512)\n"
BOUND = (
    "        if at + 8 > memory.size:\n"
    '            return "fault", 0x3 if level == levels else 0x7\n'
)
LOAD = "        entry = memory.load(at, 8)\n"
ASKED = '        if not entry & right:\n            return "fault", 0x5 if write else 0x6\n'
PAGE = "        page = level == 1 or entry & PS\n"
RESERVED = '        if entry & reserved(level, page, size):\n            return "fault", 0xC\n'
NEXT = "        table = entry & ADDRESS\n"
GPA = "    gpa = entry & ADDRESS | iova % size\n"
RANGE = '    if gpa >> 20 == 0xFEE:\n        return "fault", 0xE\n'
MASK = "    mask = 1 << 62 | 0x3F << 46 | 1 << 11\n"
LARGE_LOW = "    if page:\n        mask |= ADDRESS & size - 1\n"
TOP_PS = "    if level > 3:\n        mask |= PS\n"

FIRST, SMALL = ["one page"], ["other pages"]

WRONG_Q1 = slipped(
    "ps06",
    "ps6.q1",
    [
        ("big-endian", '(context, "little")', '(context, "big")', FIRST),
        ("AW is bits 65:64", "0b111) + 2", "0b11) + 2", ["an AW that is none"]),
        ("AW is the number of levels", "0b111) + 2", "0b111)", FIRST),
        ("always three levels", CONTEXT, "    table, levels = entry & ADDRESS, 3\n",
         ["four levels"]),
        ("always four levels", CONTEXT, "    table, levels = entry & ADDRESS, 4\n", FIRST),
        ("four levels at most", NO_AW, "    if levels not in (3, 4):\n", ["five levels"]),
        ("any AW", NO_AW + '        return "fault", 0x3\n', "", ["an AW that is none"]),
        ("AW 0 is two levels", NO_AW, "    if levels not in (2, 3, 4, 5):\n",
         ["an AW that is none"]),
        ("no such AW is a reserved bit", '        return "fault", 0x3\n    if iova',
         '        return "fault", 0xC\n    if iova', ["an AW that is none"]),
        ("the low bits of the pointer stay", CONTEXT,
         "    table, levels = entry & (1 << 64) - 1, (entry >> 64 & 0b111) + 2\n", FIRST),
        ("every iova fits", WIDTH + '        return "fault", 0x4\n', "", ["beyond the tables"]),
        ("48 bits for all tables", WIDTH, "    if iova >> 48:\n",
         ["five levels", "beyond the tables"]),
        ("one bit less", WIDTH, "    if iova >> 11 + 9 * levels:\n",
         SMALL),
        ("one bit more", WIDTH, "    if iova >> 13 + 9 * levels:\n", ["beyond the tables"]),
        ("the last address is beyond", WIDTH, "    if iova >= (1 << 12 + 9 * levels) - 1:\n",
         ["beyond the tables"]),
        ("beyond is not readable", '    if iova >> 12 + 9 * levels:\n        return "fault", 0x4\n',
         '    if iova >> 12 + 9 * levels:\n        return "fault", 0x5 if write else 0x6\n',
         ["beyond the tables"]),
        ("R and W exchanged", RIGHT, "    right = 0b01 if write else 0b10\n", ["one right alone"]),
        ("R is enough", RIGHT, "    right = 0b01\n", ["one right alone"]),
        ("any right is enough", RIGHT, "    right = 0b11\n", ["one right alone"]),
        ("a write needs both", ASKED, '        if not entry & right or write and not entry & 1:\n'
         '            return "fault", 0x5 if write else 0x6\n', ["one right alone"]),
        ("reasons exchanged", "0x5 if write else 0x6", "0x6 if write else 0x5", ["not present"]),
        ("not present is one reason", "0x5 if write else 0x6", "0x6", ["not present"]),
        ("rights of the page alone", ASKED, '        if not entry & 0b11 or (level == 1 or '
         'entry & PS) and not entry & right:\n'
         '            return "fault", 0x5 if write else 0x6\n', ["rights of all entries"]),
        ("rights of tables alone", ASKED, '        if not entry & (right if level > 1 else 0b11):\n'
         '            return "fault", 0x5 if write else 0x6\n', ["one right alone"]),
        ("rights at the end", ASKED + PAGE, '        right &= entry\n'
         '        if not entry & 0b11:\n            return "fault", 0x5 if write else 0x6\n' + PAGE,
         ["one right alone"]),
        ("rights are asked after the walk", ASKED, "        allowed = entry & right\n"
         "        if not entry & 0b11 or level == 1 and not allowed:\n"
         '            return "fault", 0x5 if write else 0x6\n', ["rights of all entries"]),
        ("levels upside down", "range(levels, 0, -1)", "range(1, levels + 1)", FIRST + SMALL),
        ("ten bits for each level", SIZE, "        size = 1 << 2 + 10 * level\n", FIRST + SMALL),
        ("an index without a bound", AT, "        at = table + 8 * (iova // size)\n", SMALL),
        ("entries of 4 bytes", AT, "        at = table + 4 * (iova // size % 512)\n", SMALL),
        ("an index in bytes", AT, "        at = table + iova // size % 512\n", SMALL),
        ("no bound", BOUND, "", ["no top table"]),
        ("the bound of the first byte", "at + 8 > memory.size", "at + 7 > memory.size + 7",
         ["no top table"]),
        ("the bound of the table", "at + 8 > memory.size", "table + 4096 > memory.size",
         ["no top table"]),
        ("a bound for the table's first byte", "at + 8 > memory.size", "table >= memory.size",
         ["no top table"]),
        ("no top table is no table", "0x3 if level == levels else 0x7", "0x7", ["no top table"]),
        ("every table is the context's", "0x3 if level == levels else 0x7", "0x3",
         ["a table outside memory"]),
        ("memory behind the page is asked for", GPA, GPA + "    if gpa >= memory.size:\n"
         '        return "fault", 0x7\n', ["a page outside memory", "other pages", "one page",
                                           "a page of 2 MiB"]),
        ("read once more", RESERVED, RESERVED.replace("entry &", "memory.load(at, 8) &"), FIRST),
        ("no large pages", PAGE, "        page = level == 1\n", ["a page of 2 MiB"]),
        ("2 MiB only", PAGE, "        page = level == 1 or level == 2 and entry & PS\n",
         ["a page of 1 GiB"]),
        ("PS is bit 8", "1 << 7\n", "1 << 8\n", ["a page of 2 MiB"]),
        ("a page of 4 KiB only", GPA, "    gpa = entry & ADDRESS | iova % 4096\n",
         ["a page of 2 MiB"]),
        ("the page's low bits are kept", GPA, "    gpa = (entry & ADDRESS) + (iova & 0xFFF)\n",
         ["a page of 2 MiB"]),
        ("the whole entry is the page", GPA, "    gpa = entry | iova % size\n", FIRST),
        ("no offset", GPA, "    gpa = entry & ADDRESS\n", FIRST),
        ("no reserved bits", RESERVED, "", ["no such address"]),
        ("reserved before rights", ASKED + PAGE + RESERVED, PAGE + RESERVED + ASKED,
         ["two mistakes"]),
        ("reserved in pages only", RESERVED,
         '        if page and entry & reserved(level, page, size):\n'
         '            return "fault", 0xC\n', ["no such address"]),
        ("reserved is no access", RESERVED, RESERVED.replace("0xC", "0x7"), ["no such address"]),
        ("reserved of the context", RESERVED, RESERVED.replace("0xC", "0xB"), ["no such address"]),
        ("52 bits of address", MASK, "    mask = 1 << 62 | 1 << 11\n", ["no such address"]),
        ("48 bits of address", "0x3F << 46", "0xF << 48", ["no such address"]),
        ("bit 11 is software's", MASK, "    mask = 1 << 62 | 0x3F << 46\n",
         ["reserved bits of a table"]),
        ("bit 62 is software's", MASK, "    mask = 0x3F << 46 | 1 << 11\n",
         ["reserved bits of a table"]),
        ("a page may be snooped", MASK,
         "    mask = 1 << 62 | 0x3F << 46 | (0 if page else 1 << 11)\n",
         ["reserved bits of a page"]),
        ("a page may be transient", MASK,
         "    mask = 0x3F << 46 | 1 << 11 | (0 if page else 1 << 62)\n",
         ["reserved bits of a page"]),
        ("bits 61:52 are reserved", "0x3F << 46", "0xFFFF << 46", ["bits that are ignored"]),
        ("bit 63 is reserved", "1 << 62 | 0x3F", "3 << 62 | 0x3F", ["bits that are ignored"]),
        ("bits 6:2 are reserved", "| 1 << 11\n", "| 1 << 11 | 0x7C\n", ["bits that are ignored"]),
        ("bits 11:8 are reserved", "| 1 << 11\n", "| 0xF00\n", ["bits that are ignored"]),
        ("PS at level 1 is reserved", TOP_PS,
         "    if level > 3 or level == 1:\n        mask |= PS\n",
         ["bits that are ignored"]),
        ("PS at the top is ignored", TOP_PS, "", ["bit 7 above level 3"]),
        ("PS at level 5 is ignored", TOP_PS, "    if level == 4:\n        mask |= PS\n",
         ["bit 7 above level 3"]),
        ("low bits are free", LARGE_LOW, "", ["low bits of a large page"]),
        ("low bits of 2 MiB only", LARGE_LOW, "    if page:\n"
         "        mask |= ADDRESS & (1 << 21) - 1 if level > 1 else 0\n",
         ["low bits of a huge page"]),
        ("low bits of tables too", LARGE_LOW, "    mask |= ADDRESS & size - 1\n", FIRST),
        ("one bit too many", LARGE_LOW, "    if page and level > 1:\n"
         "        mask |= ADDRESS & 2 * size - 1\n",
         ["low bits of a large page", "a page of 2 MiB", "a page of 1 GiB"]),
        ("interrupts are memory", RANGE, "", ["where interrupts are written"]),
        ("the first interrupt is memory", "gpa >> 20 == 0xFEE",
         "0xFEE00000 < gpa <= 0xFEEFFFFF", ["where interrupts are written"]),
        ("the last interrupt is memory", "gpa >> 20 == 0xFEE",
         "0xFEE00000 <= gpa < 0xFEEFFFFF", ["where interrupts are written"]),
        ("interrupts begin a byte early", "gpa >> 20 == 0xFEE",
         "0xFEE00000 - 1 <= gpa <= 0xFEEFFFFF", ["where interrupts are written"]),
        ("interrupts end a byte late", "gpa >> 20 == 0xFEE",
         "0xFEE00000 <= gpa <= 0xFEF00000", ["where interrupts are written"]),
        ("loaded before the bound", BOUND + LOAD, LOAD + BOUND, ["no top table"]),
        ("interrupts are 16 MiB", "gpa >> 20 == 0xFEE", "gpa >> 24 == 0xFE",
         ["where interrupts are written"]),
        ("interrupts by the iova", "gpa >> 20 == 0xFEE", "iova >> 20 == 0xFEE",
         ["where interrupts are written"]),
        ("only writes are interrupts", "gpa >> 20 == 0xFEE", "write and gpa >> 20 == 0xFEE",
         ["where interrupts are written"]),
        ("interrupts by the page's first byte", "gpa >> 20 == 0xFEE",
         "(entry & ADDRESS) >> 20 == 0xFEE", ["where interrupts are written"]),
        ("every page with such a byte", "gpa >> 20 == 0xFEE",
         "gpa // size == 0xFEE00000 // size", ["where interrupts are written"]),
        ("interrupts everywhere", "gpa >> 20 == 0xFEE", "gpa >> 20 & 0xFFF == 0xFEE",
         ["where interrupts are written"]),
        ("a table may not be met twice", NEXT, "        if table == entry & ADDRESS:\n"
         '            return "fault", 0x7\n' + NEXT, ["a table that names itself"]),
        ("a number alone", '    return "gpa", gpa\n', "    return gpa\n", FIRST),
        ("a list for a reason", '    return "gpa", gpa\n', '    return "fault", []\n', FIRST),
        ("a list", '    return "gpa", gpa\n', '    return ["gpa", gpa]\n', FIRST),
    ],
)  # fmt: skip
"""Wrong answers to task 1."""
