"""Plausible wrong answers to task 2 of problem set 6: map and unmap while devices are at work."""

from tests.course.wrong.slips import slipped

CHECK = (
    "    if iova + length > 1 << 12 + 9 * d.levels or any(mapped(d, iova, length)):\n"
    "        return False\n"
)
CLASH = " or any(mapped(d, iova, length))"
ROOM = "iova + length > 1 << 12 + 9 * d.levels or "
LOOP = "    for offset in range(0, length, 4096):\n"
STORE = "        d.memory.store(at, 8, gpa + offset | rights)\n"
BODY = LOOP + "        at = entry_at(d, iova + offset, make=True)\n" + STORE
CACHING = "    if d.caching_mode:\n        d.invalidate(d.number, iova, length)\n"
TABLES = "    for level in range(d.levels, 1, -1):\n"
AT = "        at = table + 8 * (iova >> 3 + 9 * level & 0x1FF)\n"
PRESENT = "        if not entry & 0b11:\n            if not make:\n"
ZERO = "            d.memory.write(new, bytes(4096))\n"
NAMED = "            entry = new | 0b11\n            d.memory.store(at, 8, entry)\n"
LAST = "    return table + 8 * (iova >> 12 & 0x1FF)\n"
MISSING = "            if not make:\n                return None\n"
MAPPED = "        if at is not None and d.memory.load(at, 8) & 0b11:\n"
GIVEN = "            yield at, d.memory.load(at, 8)\n"
FOUND = "    found = list(mapped(d, iova, length))\n"
CLEAR = "    for at, _ in found:\n        d.memory.store(at, 8, 0)\n"
FORGET = "    if found:\n        d.invalidate(d.number, iova, length)\n"
FREE = "    for _, entry in found:\n        d.free(entry & FRAME)\n"

FIRST, UNMAP, SEVERAL = ["map one page"], ["unmap one page"], ["several pages"]

WRONG_Q2 = slipped(
    "ps06",
    "ps6.q2",
    [
        ("the table is named before it is empty", ZERO + NAMED, NAMED + ZERO, FIRST),
        ("the table keeps its old contents", ZERO, "", FIRST),
        ("half of the table is emptied", "bytes(4096)", "bytes(2048)", FIRST),
        ("one entry of it is emptied", "bytes(4096)", "bytes(8)", FIRST),
        ("the wrong page is emptied", "d.memory.write(new,", "d.memory.write(table,",
         [*FIRST, "two pages of one table"]),
        ("the right first, then the address", STORE,
         "        d.memory.store(at, 8, rights)\n" + STORE, FIRST),
        ("the low half first", STORE,
         "        entry = gpa + offset | rights\n        d.memory.store(at, 4, entry)\n"
         "        d.memory.store(at + 4, 4, entry >> 32)\n", ["a high page"]),
        ("a byte at a time", STORE,
         "        entry = gpa + offset | rights\n        for n in range(8):\n"
         "            d.memory.store(at + n, 1, entry >> 8 * n)\n", FIRST),
        ("four bytes of an entry", STORE, "        d.memory.store(at, 4, gpa + offset | rights)\n",
         ["a high page"]),
        ("no rights", STORE, "        d.memory.store(at, 8, gpa + offset)\n", FIRST),
        ("all rights", STORE, "        d.memory.store(at, 8, gpa + offset | 0b11)\n", ["rights"]),
        ("tables give no right", NAMED, NAMED.replace("new | 0b11", "new"), FIRST),
        ("tables give to read", NAMED, NAMED.replace("new | 0b11", "new | 0b01"), FIRST),
        ("every page is the first", STORE, "        d.memory.store(at, 8, gpa | rights)\n",
         SEVERAL),
        ("the first page only", LOOP, "    for offset in (0,):\n", SEVERAL),
        ("one page too many", LOOP, "    for offset in range(0, length + 1, 4096):\n", FIRST),
        ("one table for all", "        at = entry_at(d, iova + offset, make=True)\n",
         "        at = entry_at(d, iova, make=True) + offset // 512\n", ["over a table's end"]),
        ("a level too few", TABLES, "    for level in range(d.levels, 2, -1):\n", FIRST),
        ("always three levels", TABLES, "    for level in (3, 2):\n", ["four and five levels"]),
        ("always four levels", TABLES, "    for level in (4, 3, 2):\n", FIRST),
        ("ten bits for each level", AT, AT.replace("3 + 9 *", "2 + 10 *").replace("0x1FF", "0x3FF"),
         ["over a table's end", "far apart"]),
        ("an index without a bound", AT, AT.replace(" & 0x1FF", ""), ["far apart"]),
        ("entries of 4 bytes", AT, AT.replace("8 *", "4 *"), ["over a table's end", "far apart"]),
        ("the last index of 8 bits", LAST, LAST.replace("0x1FF", "0xFF"),
         ["over a table's end"]),
        ("a new table each time", PRESENT, "        if make or not entry & 0b11:\n"
         "            if not make:\n", ["two pages of one table"]),
        ("a page is taken for nothing", PRESENT,
         "        spare = d.take_page() if make else None\n" + PRESENT, FIRST),
        ("a look makes tables", MISSING, "", ["what is not mapped"]),
        ("no look at all", CHECK, "", ["mapped already"]),
        ("what is there is written over", CLASH, "", ["mapped already"]),
        ("only the first page is looked at", CLASH, " or any(mapped(d, iova, 4096))",
         ["mapped already"]),
        ("page by page", CHECK + LOOP, LOOP + "        if iova + offset >= 1 << 12 + 9 * d.levels "
         "or any(mapped(d, iova + offset, 4096)):\n            return False\n",
         ["mapped already"]),
        ("a page to read only is not there", MAPPED, MAPPED.replace("0b11", "0b10"),
         ["mapped already"]),
        ("any width", ROOM, "", ["beyond the tables"]),
        ("48 bits of width", "1 << 12 + 9 * d.levels or", "1 << 48 or",
         ["four and five levels", "beyond the tables"]),
        ("the first address counts", "iova + length > 1 <<", "iova >= 1 <<",
         ["beyond the tables"]),
        ("the last page is beyond", "iova + length > 1 <<", "iova + length >= 1 <<",
         ["beyond the tables"]),
        ("no answer", "    return True\n", "", FIRST),
        ("a number for an answer", "    return True\n", "    return 1\n", FIRST),
        ("map invalidates", CACHING, "    d.invalidate(d.number, iova, length)\n", FIRST),
        ("caching mode is forgotten", CACHING, "", ["caching mode"]),
        ("caching mode, but the first page only", CACHING, CACHING.replace("length", "4096"),
         ["caching mode"]),
        ("invalidates, then maps", BODY + CACHING, CACHING + BODY, ["caching mode"]),
        ("nothing is unmapped", CLEAR, "", UNMAP),
        ("only the rights go", CLEAR,
         "    for at, entry in found:\n        d.memory.store(at, 8, entry & ~0b10)\n", UNMAP),
        ("the frame goes, the rights stay", CLEAR,
         "    for at, entry in found:\n        d.memory.store(at, 8, entry & 0b11)\n", UNMAP),
        ("no invalidation", FORGET, "", UNMAP),
        ("invalidation first", CLEAR + FORGET, FORGET + CLEAR, UNMAP),
        ("invalidation last", FORGET + FREE, FREE + FORGET, UNMAP),
        ("freed first", CLEAR + FORGET + FREE, FREE + CLEAR + FORGET, UNMAP),
        ("page by page, freed at once", CLEAR + FORGET + FREE,
         "    for at, entry in found:\n        d.memory.store(at, 8, 0)\n"
         "        d.free(entry & FRAME)\n" + FORGET, UNMAP),
        ("an invalidation for each page", CLEAR + FORGET + FREE,
         "    for at, entry in found:\n        d.memory.store(at, 8, 0)\n"
         "        d.invalidate(d.number, iova, length)\n        d.free(entry & FRAME)\n",
         ["several pages go"]),
        ("invalidation of one page", FORGET, FORGET.replace("length", "4096"),
         ["several pages go"]),
        ("invalidation of another domain", FORGET, FORGET.replace("d.number", "0"), UNMAP),
        ("invalidation by gpa", FORGET,
         "    if found:\n        d.invalidate(d.number, found[0][1] & FRAME, length)\n", UNMAP),
        ("invalidation of half", FORGET, FORGET.replace("length)", "length // 2 or 4096)"),
         ["several pages go", "unmap over a table's end"]),
        ("nothing is freed", FREE, "", UNMAP),
        ("the first page is freed", FREE, FREE.replace("in found", "in found[:1]"),
         ["several pages go"]),
        ("freed twice", FREE, FREE + FREE, UNMAP),
        ("rights are freed, too", FREE, FREE.replace(" & FRAME", ""), UNMAP),
        ("the entry is read again to free it", FREE,
         "    for at, _ in found:\n        d.free(d.memory.load(at, 8) & FRAME)\n", UNMAP),
        ("a page of 32 bits is freed", FREE, FREE.replace("FRAME", "0xFFFFF000"),
         ["a high page goes"]),
        ("four bytes tell what to free", MAPPED + GIVEN,
         MAPPED + GIVEN.replace("load(at, 8)", "load(at, 4)"), ["a high page goes"]),
        ("round the tables", "    end = min(iova + length, 1 << 12 + 9 * d.levels)\n",
         "    end = iova + length\n", ["what lies beyond the tables"]),
        ("every second page is looked at", CLASH,
         " or any(any(mapped(d, iova + n, 1)) for n in range(0, length, 8192))",
         ["mapped already"]),
        ("the iova is freed", FREE, "    for page in range(iova, iova + length, 4096):\n"
         "        d.free(page)\n", UNMAP),
        ("the first page is unmapped", FOUND, FOUND.replace("length", "4096"),
         ["several pages go"]),
        ("one page too many goes", FOUND, FOUND.replace("length", "length + 4096"),
         ["several pages go", "those in between stay", "unmap over a table's end"]),
        ("holes are freed", MAPPED, "        if at is not None:\n",
         ["two pages of one table"]),
        ("holes end it", MAPPED, "        if at is None or not d.memory.load(at, 8) & 0b11:\n"
         "            break\n        else:\n", ["mapped already", "what is not mapped"]),
        ("tables are expected", "        if at is not None and d", "        if d", FIRST),
        ("pages to write only stay", FOUND,
         "    found = [one for one in mapped(d, iova, length) if one[1] & 1]\n",
         ["pages with one right go"]),
        ("the table goes, too", CLEAR, CLEAR +
         "    d.memory.store(d.table + 8 * (iova >> 3 + 9 * d.levels & 0x1FF), 8, 0)\n", UNMAP),
    ],
)  # fmt: skip
"""Wrong answers to task 2."""
