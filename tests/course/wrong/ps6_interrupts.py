"""Plausible wrong answers to task 4 of problem set 6: the wrong interrupt, or nobody's."""

from tests.course.wrong.slips import slipped

INDEX = "    index = address >> 5 & 0x7FFF | (address >> 2 & 1) << 15\n"
SUB = """    if address >> 3 & 1:
        if data >> 16:
            return 0x20
        index += data & 0xFFFF
"""
BOUND = "    if index >= 2 << (irta & 0xF):\n        return 0x21\n"
READ = "    raw = memory.read((irta >> 12 << 12) + 16 * index, 16)\n"
NONE = "    if raw is None:\n        return 0x23\n"
PRESENT = "    if not entry & 1:\n        return 0x22\n"
RESERVED = """    if entry & reserved or svt == 3 or (not posted and mode in (3, 6)):
        return 0x24
"""
EXACT = """    if svt == 1 and (source_id ^ sid) & ~(0, 4, 6, 7)[sq]:
        return 0x26
"""
RANGE = """    if svt == 2 and not sid >> 8 <= source_id >> 8 <= sid & 0xFF:
        return 0x26
"""
OLD = '        return "send", data & 0xFF, address >> 12 & 0xFF, data >> 8 & 7, data >> 15 & 1\n'
SEND = '    return "send", vector, destination, mode, entry >> 4 & 1\n'
POST = '        return "post", vector, descriptor, entry >> 14 & 1\n'
DESTINATION = "entry >> 32 & 0xFFFF_FFFF if extended else entry >> 40 & 0xFF"

WRONG_Q4 = slipped(
    "ps06",
    "ps6.q4",
    [
        ("no return", SEND, "", ["a vector"]),
        ("a list", SEND, '    return ["send", vector, destination, mode, entry >> 4 & 1]\n',
         ["a vector"]),
        ("the word is missing", SEND, "    return vector, destination, mode, entry >> 4 & 1\n",
         ["a vector"]),
        ("trigger as a bool", SEND,
         '    return "send", vector, destination, mode, bool(entry & 16)\n', ["a vector"]),
        ("entries of 8 bytes", "16 * index, 16)", "8 * index, 16)", ["an entry further on"]),
        ("the table's low bits stay", "(irta >> 12 << 12)", "irta", ["a vector"]),
        ("the handle is not shifted", "address >> 5 & 0x7FFF", "address & 0x7FFF", ["a vector"]),
        ("a handle of 8 bits", "address >> 5 & 0x7FFF", "address >> 5 & 0x7F",
         ["an entry further on"]),
        ("big-endian", '"little"', '"big"', ["a vector"]),
        ("vector and destination swapped", SEND,
         '    return "send", destination, vector, mode, entry >> 4 & 1\n', ["a vector"]),
        ("vector of the message", SEND,
         '    return "send", data & 0xFF, destination, mode, entry >> 4 & 1\n', ["a vector"]),
        ("trigger from bit 15", SEND,
         '    return "send", vector, destination, mode, entry >> 15 & 1\n',
         ["mode and trigger"]),
        ("mode from bits 10:8", "entry >> 5 & 7", "entry >> 8 & 7", ["mode and trigger"]),
        ("mode of two bits", "posted, mode = entry >> 15 & 1, entry >> 5 & 7",
         "posted, mode = entry >> 15 & 1, entry >> 5 & 3", ["mode and trigger"]),
        ("an id of 7 bits", DESTINATION,
         "entry >> 32 & 0xFFFF_FFFF if extended else entry >> 40 & 0x7F", ["an APIC id of 8 bits"]),
        ("all of DST", DESTINATION, "entry >> 32 & 0xFFFF_FFFF", ["a vector"]),
        ("ids of 8 bits only", DESTINATION, "entry >> 40 & 0xFF", ["an APIC id of 32 bits"]),
        ("ids of 16 bits", "entry >> 32 & 0xFFFF_FFFF if", "entry >> 32 & 0xFFFF if",
         ["an APIC id of 32 bits"]),
        ("EIME is bit 4", "irta >> 11 & 1", "irta >> 4 & 1", ["an APIC id of 32 bits"]),
        ("always reserved above 8 bits", "        if not extended:\n", "        if True:\n",
         ["an APIC id of 32 bits"]),
        ("software's own bits are reserved", "bits(14, 12) | bits(31, 24) | bits(127, 84)",
         "bits(14, 8) | bits(31, 24) | bits(127, 84)", ["bits that do not matter"]),
        ("FPD is reserved", "reserved = bits(14, 12)", "reserved = bits(1, 1) | bits(14, 12)",
         ["bits that do not matter"]),
        ("the subhandle always counts", "    if address >> 3 & 1:\n", "    if data:\n",
         ["bits that do not matter"]),
        ("the data is always checked", SUB,
         "    if data >> 16:\n        return 0x20\n" + SUB, ["bits that do not matter"]),
        ("no bit 15", INDEX, "    index = address >> 5 & 0x7FFF\n", ["the handle's highest bit"]),
        ("bit 2 is the lowest", INDEX,
         "    index = (address >> 5 & 0x7FFF) << 1 | address >> 2 & 1\n", ["an entry further on"]),
        ("no subhandle", "        index += data & 0xFFFF\n", "", ["a subhandle"]),
        ("the subhandle is set in", "index += data & 0xFFFF", "index |= data & 0xFFFF",
         ["a subhandle", "past the end with its subhandle"]),
        ("a subhandle of 8 bits", "index += data & 0xFFFF", "index += data & 0xFF",
         ["a subhandle"]),
        ("a subhandle of 15 bits", "index += data & 0xFFFF", "index += data & 0x7FFF",
         ["the subhandle's highest bit"]),
        ("a subhandle has 15 bits", "if data >> 16:", "if data >> 15:",
         ["the subhandle's highest bit"]),
        ("the subhandle alone", "index += data & 0xFFFF", "index = data & 0xFFFF",
         ["a subhandle"]),
        ("SHV is bit 4", "    if address >> 3 & 1:\n", "    if address >> 4 & 1:\n",
         ["bits that do not matter"]),
        ("high data is added", "        if data >> 16:\n            return 0x20\n", "",
         ["no subhandle that has more bits"]),
        ("high data is a bad index", "return 0x20", "return 0x21",
         ["no subhandle that has more bits"]),
        ("no bound", BOUND, "", ["past the end"]),
        ("one too many", "index >= 2 <<", "index > 2 <<", ["past the end"]),
        ("2 ** S entries", "2 << (irta & 0xF)", "1 << (irta & 0xF)", ["the last entry"]),
        ("S entries", "2 << (irta & 0xF)", "(irta & 0xF) + 1", ["an entry further on"]),
        ("S has three bits", "2 << (irta & 0xF)", "2 << (irta & 0x7)",
         ["an entry further on"]),
        ("the index wraps", "index += data & 0xFFFF", "index = index + data & 0xFFFF",
         ["past the end with its subhandle"]),
        ("the bound is for the handle", INDEX + SUB + BOUND, INDEX + BOUND + SUB,
         ["past the end with its subhandle"]),
        ("no entry is an empty one", NONE, "    raw = raw or bytes(16)\n",
         ["a table beyond memory"]),
        ("no entry is past the end", "return 0x23", "return 0x21", ["a table beyond memory"]),
        ("no look at None", NONE, "", ["a table beyond memory"]),
        ("the base has 32 bits", "(irta >> 12 << 12) + 16", "(irta & 0xFFFFF000) + 16",
         ["a table beyond memory"]),
        ("not present is let through", PRESENT, "", ["not present"]),
        ("not present is reserved", "return 0x22", "return 0x24", ["not present"]),
        ("only an entry of zeros is not present", "not entry & 1", "not entry", ["not present"]),
        ("no reserved bits", "    if entry & reserved or svt", "    if svt", ["reserved bits"]),
        ("bits 14:12 are free", "reserved = bits(14, 12) | ", "reserved = ", ["reserved bits"]),
        ("only bits above 95", "bits(127, 84)\n", "bits(127, 96)\n", ["reserved bits"]),
        ("DST is free", "            reserved |= bits(39, 32) | bits(63, 48)\n",
         "            pass\n", ["reserved while ids have 8 bits"]),
        ("only DST's high half", "bits(39, 32) | bits(63, 48)", "bits(63, 48)",
         ["reserved while ids have 8 bits"]),
        ("all modes", " or (not posted and mode in (3, 6))", "", ["modes that are none"]),
        ("6 is a mode", "mode in (3, 6)", "mode == 3", ["modes that are none"]),
        ("SVT 3 is nobody", RESERVED + EXACT,
         RESERVED.replace(" or svt == 3", "")
         + "    if svt == 3:\n        return 0x26\n" + EXACT, ["nobody's: SVT 3"]),
        ("SVT 3 is anybody", " or svt == 3", "", ["nobody's: SVT 3"]),
        ("always compared", "if svt == 1 and", "if svt < 2 and", ["anybody's"]),
        ("SQ without SVT", EXACT, EXACT.replace("svt == 1 and", "svt != 2 and"), ["anybody's"]),
        ("never compared", EXACT, "", ["its own device's"]),
        ("only the bus is compared", "(source_id ^ sid) &", "(source_id ^ sid) >> 8 &",
         ["its own device's"]),
        ("only the low byte is compared", "(source_id ^ sid) &", "(source_id ^ sid) & 0xFF &",
         ["its own device's"]),
        ("0x25 for a stranger", "return 0x26", "return 0x25", ["its own device's"]),
        ("SQ does not count", "~(0, 4, 6, 7)[sq]", "0xFFFF", ["some bits not compared"]),
        ("SQ 1 is bit 0", "(0, 4, 6, 7)", "(0, 1, 3, 7)", ["some bits not compared"]),
        ("SQ 2 is bits 1:0", "(0, 4, 6, 7)", "(0, 4, 3, 7)", ["some bits not compared"]),
        ("SQ is a mask", "~(0, 4, 6, 7)[sq]", "~sq", ["some bits not compared"]),
        ("buses 0 to 127", EXACT, EXACT.replace("(source_id ^ sid)", "(source_id ^ sid & 0x7FFF)"),
         ["its own device's"]),
        ("a range up to 127", RANGE, RANGE.replace("sid & 0xFF", "sid & 0x7F"),
         ["a range of buses"]),
        ("no bus range", RANGE, "", ["a range of buses"]),
        ("the last bus is outside", "source_id >> 8 <= sid & 0xFF", "source_id >> 8 < sid & 0xFF",
         ["a range of buses"]),
        ("the range is turned round", "not sid >> 8 <= source_id >> 8 <= sid & 0xFF",
         "not sid & 0xFF <= source_id >> 8 <= sid >> 8", ["a range of buses"]),
        ("one bus", "not sid >> 8 <= source_id >> 8 <= sid & 0xFF", "sid >> 8 != source_id >> 8",
         ["a range of buses"]),
        ("the sender first", RESERVED + EXACT + RANGE, EXACT + RANGE + RESERVED,
         ["the first reason counts"]),
        ("reserved before present", PRESENT, "", ["not present"]),
        ("memory before the bound", BOUND + READ + NONE, READ + NONE + BOUND,
         ["past the end", "the first reason counts"]),
        ("the bound before the data", SUB + BOUND,
         "    index += data & 0xFFFF if address >> 3 & 1 else 0\n" + BOUND
         + "    if address >> 3 & 1 and data >> 16:\n        return 0x20\n",
         ["the first reason counts"]),
        ("posted is sent", POST, SEND.replace("    return", "        return")
         .replace("destination", "0"), ["posted"]),
        ("the low half only", "(entry >> 96) << 32 | ", "", ["posted"]),
        ("the halves swapped", "(entry >> 96) << 32 | (entry >> 38 & 0x3FF_FFFF) << 6",
         "(entry >> 38 & 0x3FF_FFFF) << 38 | entry >> 96", ["posted"]),
        ("not shifted to bit 6", "(entry >> 38 & 0x3FF_FFFF) << 6", "(entry >> 38 & 0x3FF_FFFF)",
         ["posted"]),
        ("urgent from bit 4", POST, '        return "post", vector, descriptor, entry >> 4 & 1\n',
         ["posted"]),
        ("never urgent", POST, '        return "post", vector, descriptor, 0\n', ["posted"]),
        ("the other order", POST, '        return "post", descriptor, vector, entry >> 14 & 1\n',
         ["posted"]),
        ("reserved as if sent", "    if posted:\n        reserved = bits(7, 2)",
         "    if False:\n        reserved = bits(7, 2)", ["posted"]),
        ("bits 7:2 are free", "reserved = bits(7, 2) | bits(13, 12)", "reserved = bits(13, 12)",
         ["posted, with reserved bits"]),
        ("bits 37:32 are free", " | bits(37, 32)", "", ["posted, with reserved bits"]),
        ("bits 95:84 are free", " | bits(95, 84)", "", ["posted, with reserved bits"]),
        ("posted for anybody", RESERVED + EXACT + RANGE, RESERVED
         + '    if posted:\n        return ("post", entry >> 16 & 0xFF, (entry >> 96) << 32'
         " | (entry >> 38 & 0x3FF_FFFF) << 6, entry >> 14 & 1)\n" + EXACT + RANGE,
         ["posted, and from somebody else"]),
        ("the old format always", "        if extended or not compatibility:\n"
         "            return 0x25\n", "", ["the old format, blocked"]),
        ("the old format never", "if extended or not compatibility:", "if True:",
         ["the old format"]),
        ("the old format is reserved", "return 0x25", "return 0x20", ["the old format, blocked"]),
        ("EIME does not block", "if extended or not compatibility:", "if not compatibility:",
         ["the old format, and ids of 32 bits"]),
        ("the old destination from bit 8", OLD, OLD.replace("address >> 12", "address >> 8"),
         ["the old format"]),
        ("the old trigger from bit 14", OLD, OLD.replace("data >> 15", "data >> 14"),
         ["the old format"]),
        ("the old mode is fixed", OLD, OLD.replace("data >> 8 & 7", "0"), ["the old format"]),
        ("the old format if it is allowed", "    if not address >> 4 & 1:\n",
         "    if compatibility or not address >> 4 & 1:\n",
         ["the new format, with the old allowed"]),
        ("two halves", '    entry = int.from_bytes(raw, "little")\n',
         "    at = (irta >> 12 << 12) + 16 * index\n"
         '    entry = int.from_bytes(raw[:8], "little")\n'
         '    entry |= int.from_bytes(memory.read(at + 8, 8), "little") << 64\n',
         ["the entry changes behind your back"]),
        ("read again for the answer", "    vector = entry >> 16 & 0xFF\n",
         "    raw = memory.read((irta >> 12 << 12) + 16 * index, 16)\n"
         '    entry = int.from_bytes(raw, "little")\n    vector = entry >> 16 & 0xFF\n',
         ["the entry changes behind your back"]),
    ],
)  # fmt: skip
