"""Plausible wrong answers to task 3 of problem set 6: a fault record, and all of them."""

from tests.course.wrong.slips import slipped

FREE = "    if not number >> 127:\n        return None\n"
WHO = '    who = f"{source >> 8:02x}:{source >> 3 & 0x1F:02x}.{source & 0b111}"\n'
INTERRUPT = (
    "    if 0x20 <= reason < 0x30:\n"
    '        return who, "interrupt", number >> 48 & 0xFFFF, reason\n'
)
KIND = '    kind = "read" if number >> 126 & 1 else "write"\n'
PAGE = "number & 0xFFFFFFFFFFFFF000"
CAP = "    records, count = base + 16 * (cap >> 24 & 0x3FF), (cap >> 40 & 0xFF) + 1\n"
FRI = "    number = cpu.load(base + 0x34, 4) >> 8 & 0xFF\n"
AT = "        at = records + 16 * (number % count)\n"
READ = (
    "        high = cpu.load(at + 8, 8)\n        if not high >> 63:\n            break\n"
    "        record = high << 64 | cpu.load(at, 8)\n"
)
KEEP = '        faults.append(decode_fault(record.to_bytes(16, "little")))\n'
GIVE = "        cpu.store(at + 12, 1 << 31, 4)\n"
ON = "        number += 1\n"
LOST = "    lost = cpu.load(base + 0x34, 4) & 1 == 1\n"
CLEAR = "    if lost:\n        cpu.store(base + 0x34, 1, 4)\n"
LOOP = "    faults = []\n    while True:\n" + AT + READ + KEEP + GIVE + ON
EARLY = "    lost = cpu.load(base + 0x34, 4) & 1 == 1\n" + CLEAR

FIRST, ONE, SEVERAL = ["a write"], ["one fault"], ["several"]
MOMENT = ["a fault at any moment"]
MOMENTS = [*MOMENT, "many at any moment"]

WRONG_Q3 = slipped(
    "ps06",
    "ps6.q3",
    [
        ("big-endian", '    number = int.from_bytes(record, "little")',
         '    number = int.from_bytes(record, "big")', FIRST),
        ("free records are told", FREE, "", ["a record that is free"]),
        ("F is bit 126", "number >> 127", "number >> 126 & 1", FIRST),
        ("F is bit 0", "number >> 127", "number & 1", FIRST),
        ("free is an empty tuple", FREE, FREE.replace("None", "()"),
         ["a record that is free"]),
        ("free is all zeros", "not number >> 127", "not number", ["a record that is free"]),
        ("free has no reason", "not number >> 127", "not number >> 96 & 0xFF",
         ["a record that is free"]),
        ("a source of 8 bits", "number >> 64 & 0xFFFF", "number >> 64 & 0xFF", ["who it was"]),
        ("a source from bit 80 on", "number >> 64 &", "number >> 80 &", FIRST),
        ("a source and more", "number >> 64 & 0xFFFF", "number >> 64 & 0xFFFFFFFF",
         ["what else is in it"]),
        ("device and function alone", WHO, '    who = f"{source >> 3 & 0x1F:02x}.{source & 7}"\n',
         FIRST),
        ("decimal", WHO, '    who = f"{source >> 8:02}:{source >> 3 & 0x1F:02}.{source & 7}"\n',
         ["who it was"]),
        ("capitals", WHO, '    who = f"{source >> 8:02X}:{source >> 3 & 0x1F:02X}.{source & 7}"\n',
         ["who it was"]),
        ("no zeros in front", WHO,
         '    who = f"{source >> 8:x}:{source >> 3 & 0x1F:x}.{source & 7}"\n',
         FIRST),
        ("a device of 4 bits", "source >> 3 & 0x1F", "source >> 3 & 0xF", ["who it was"]),
        ("a device of 8 bits", "source >> 3 & 0x1F", "source >> 3", ["who it was"]),
        ("a function of 2 bits", "source & 0b111", "source & 0b11", ["who it was"]),
        ("bus and device exchanged", WHO,
         '    who = f"{source & 0x1F:02x}:{source >> 8:02x}.{source >> 5 & 7}"\n', FIRST),
        ("a number for who", WHO, "    who = source\n", FIRST),
        ("a reason of 4 bits", "number >> 96 & 0xFF", "number >> 96 & 0xF",
         ["an interrupt"]),
        ("a reason and more", "number >> 96 & 0xFF", "number >> 96 & 0xFFFF",
         ["what else is in it"]),
        ("a reason from bit 104 on", "number >> 96 & 0xFF", "number >> 104 & 0xFF", FIRST),
        ("all is DMA", INTERRUPT, "", ["an interrupt"]),
        ("only 0x22 to 0x26 are interrupts", "0x20 <= reason < 0x30", "0x22 <= reason < 0x27",
         ["the first reason and the last"]),
        ("from 0x21 on", "0x20 <= reason < 0x30", "0x20 < reason < 0x30",
         ["the first reason and the last"]),
        ("0x30 is one, too", "0x20 <= reason < 0x30", "0x20 <= reason <= 0x30",
         ["the first reason and the last"]),
        ("all from 0x20 on", "0x20 <= reason < 0x30", "reason >= 0x20",
         ["the first reason and the last"]),
        ("bit 5 of the reason", "0x20 <= reason < 0x30", "reason & 0x20",
         ["the first reason and the last"]),
        ("the index is the page", "number >> 48 & 0xFFFF, reason", "number >> 12 & 0xFFFF, reason",
         ["an interrupt"]),
        ("the index has 8 bits", "number >> 48 & 0xFFFF, reason", "number >> 48 & 0xFF, reason",
         ["an interrupt"]),
        ("an index and more", "number >> 48 & 0xFFFF, reason", "number >> 48, reason",
         ["an interrupt"]),
        ("read and write exchanged", KIND, '    kind = "write" if number >> 126 & 1 else "read"\n',
         FIRST),
        ("the direction by the reason", KIND, '    kind = "read" if reason == 6 else "write"\n',
         ["any record"]),
        ("the direction in bit 125", KIND, '    kind = "read" if number >> 125 & 1 else "write"\n',
         ["a read"]),
        ("the number of the page", PAGE, "number >> 12 & 0xFFFFFFFFFFFFF", FIRST),
        ("48 bits of iova", PAGE, "number & 0xFFFFFFFFF000", ["a high page"]),
        ("the low bits are believed", PAGE, "number & (1 << 64) - 1", ["what else is in it"]),
        ("a list", "    return who, kind, number & 0xFFFFFFFFFFFFF000, reason",
         "    return [who, kind, number & 0xFFFFFFFFFFFFF000, reason]", FIRST),
        ("records at the usual place", "base + 16 * (cap >> 24 & 0x3FF)", "base + 0x220",
         ["another unit"]),
        ("FRO is bytes", "16 * (cap >> 24 & 0x3FF)", "(cap >> 24 & 0x3FF)", ["no fault"]),
        ("FRO has 8 bits", "cap >> 24 & 0x3FF", "cap >> 24 & 0x1F", ONE),
        ("eight records", CAP, CAP.replace("(cap >> 40 & 0xFF) + 1", "8"), ["another unit"]),
        ("NFR is the number of records", CAP, CAP.replace(") + 1", ")"),
         ["after the last comes record 0", "every record"]),
        ("CAP is 4 bytes", "cpu.load(base + 0x08, 8)", "cpu.load(base + 0x08, 4)",
         ["several", "again and again", "after the last comes record 0"]),
        ("from record 0", FRI, "    number = 0\n", ["not from record 0"]),
        ("FRI of 4 bits at 4", FRI, "    number = cpu.load(base + 0x34, 4) >> 4 & 0xF\n",
         ["not from record 0"]),
        ("the byte of FRI", FRI, "    number = cpu.load(base + 0x35, 1)\n", ["no fault"]),
        ("no wrap", AT, "        at = records + 16 * number\n", ["after the last comes record 0"]),
        ("ends at the last record", "    while True:\n", "    while number < count:\n",
         ["after the last comes record 0"]),
        ("records of 8 bytes", AT, AT.replace("16 *", "8 *"), ["several"]),
        ("the low half first", READ,
         "        low = cpu.load(at, 8)\n        high = cpu.load(at + 8, 8)\n"
         "        if not high >> 63:\n            break\n        record = high << 64 | low\n",
         MOMENT),
        ("byte by byte", READ,
         "        record = int.from_bytes(cpu.read(at, 16), 'little')\n"
         "        if not record >> 127:\n            break\n", ["no fault"]),
        ("halves exchanged", "high << 64 | cpu.load(at, 8)", "cpu.load(at, 8) << 64 | high",
         ONE),
        ("one record at a time", KEEP + GIVE + ON, KEEP + GIVE + ON + "        break\n", SEVERAL),
        ("no record is freed", GIVE, "        if number > count:\n            break\n", ONE),
        ("freed by a zero", GIVE, "        cpu.store(at + 12, 0, 4)\n        if number > 20:\n"
         "            break\n", ONE),
        ("freed in the low half", GIVE,
         "        cpu.store(at, 1 << 31, 4)\n        if number > 20:\n            break\n", ONE),
        ("freed, then read", READ, READ.replace("        record =", GIVE + "        record ="),
         MOMENTS),
        ("all are freed in the end", "    lost = cpu", "    for n in range(count):\n"
         "        cpu.store(records + 16 * n + 12, 1 << 31, 4)\n    lost = cpu", MOMENTS),
        ("the newest first", "    return faults, lost", "    return faults[::-1], lost", SEVERAL),
        ("goes round once", "    while True:\n", "    for _ in range(count):\n", MOMENTS),
        ("PFO is not asked for", LOST, "    lost = False\n", ["faults were lost"]),
        ("PFO is not cleared", CLEAR, "", ["faults were lost"]),
        ("PFO is bit 1", LOST, LOST.replace("& 1 == 1", "& 2 == 2"), ["faults were lost"]),
        ("a number for lost", LOST, LOST.replace(" & 1 == 1", " & 1"), ["no fault"]),
        ("PFO is cleared by a zero", CLEAR, "    if lost:\n        cpu.store(base + 0x34, 0, 4)\n",
         ["faults were lost"]),
        ("what was read is written back", CLEAR,
         "    if lost:\n        cpu.store(base + 0x34, cpu.load(base + 0x34, 4), 4)\n",
         ["what is not yours"]),
        ("all of FSTS is cleared", CLEAR, "    cpu.store(base + 0x34, 0xFFFFFFFF, 4)\n",
         ["what is not yours"]),
        ("FRI is read for each record", ON,
         "        number = cpu.load(base + 0x34, 4) >> 8 & 0xFF\n", SEVERAL),
        ("FRI is read while PPF is set", "", """
def decode_fault(record):
    number = int.from_bytes(record, "little")
    if not number >> 127:
        return None
    source, reason = number >> 64 & 0xFFFF, number >> 96 & 0xFF
    who = f"{source >> 8:02x}:{source >> 3 & 0x1F:02x}.{source & 0b111}"
    if 0x20 <= reason < 0x30:
        return who, "interrupt", number >> 48 & 0xFFFF, reason
    return who, ("write", "read")[number >> 126 & 1], number & 0xFFFFFFFFFFFFF000, reason


def read_faults(cpu, base):
    place, faults = base + 16 * (cpu.load(base + 8, 8) >> 24 & 0x3FF), []
    while (status := cpu.load(base + 0x34, 4)) & 2:
        at = place + 16 * (status >> 8 & 0xFF)
        record = cpu.load(at + 8, 8) << 64 | cpu.load(at, 8)
        faults.append(decode_fault(record.to_bytes(16, "little")))
        cpu.store(at + 12, 1 << 31, 4)
    return faults, bool(status & 1)
""", SEVERAL),
        ("PFO is asked for first", FRI + LOOP + LOST, FRI + LOST + LOOP, MOMENTS),
        ("PFO is cleared first", FRI + LOOP + LOST + CLEAR, EARLY + FRI + LOOP, MOMENTS),
        ("lost is not told", "    return faults, lost", "    return faults", ["no fault"]),
        ("texts", "    return faults, lost", "    return [str(one) for one in faults], lost", ONE),
    ],
)  # fmt: skip
"""Wrong answers to task 3."""
