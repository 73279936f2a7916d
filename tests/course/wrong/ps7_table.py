"""Plausible wrong answers to task 2 of problem set 7: one address for another, and borders."""

from tests.course.wrong.slips import slipped

WRONG_Q2 = slipped(
    "ps07",
    "ps7.q2",
    [
        (
            "a count of 2 bytes",
            'struct.unpack_from("<I", payload)[0]',
            'struct.unpack_from("<H", payload)[0]',
            ["a count that lies"],
        ),
        (
            "no return",
            "    return regions\n",
            "",
            ["one region"],
        ),
        (
            "a tuple",
            "    return regions\n",
            "    return tuple(regions)\n",
            ["one region"],
        ),
        (
            "rows as lists",
            'list(struct.iter_unpack("<4Q", rows))',
            '[list(row) for row in struct.iter_unpack("<4Q", rows)]',
            ["one region"],
        ),
        (
            "big-endian rows",
            '"<4Q"',
            '">4Q"',
            ["one region"],
        ),
        (
            "no padding",
            "rows = payload[8 : 8 + 32 * count]",
            "rows = payload[4 : 4 + 32 * count]",
            ["one region"],
        ),
        (
            "count of 8 bytes",
            'struct.unpack_from("<I", payload)[0]',
            'struct.unpack_from("<Q", payload)[0]',
            ["bytes behind the rows"],
        ),
        (
            "user before size",
            "for (guest, size, user, offset), end in",
            "for (guest, user, size, offset), end in",
            ["one region"],
        ),
        (
            "sorted by the gpa",
            "    return regions\n",
            "    return sorted(regions)\n",
            ["the order of the table"],
        ),
        (
            "the first row only",
            "payload[8 : 8 + 32 * count]",
            "payload[8 : 8 + 32]",
            ["two regions"],
        ),
        (
            "seven at most",
            "1 <= count <= 8",
            "1 <= count <= 7",
            ["eight regions"],
        ),
        (
            "any number",
            "not 1 <= count <= 8",
            "count < 1",
            ["nine regions"],
        ),
        (
            "none is a table",
            "1 <= count <= 8",
            "0 <= count <= 8",
            ["a count that lies"],
        ),
        (
            "files are not counted",
            " or count != len(sizes)",
            "",
            ["a count that lies"],
        ),
        (
            "too many files are too many only",
            "count != len(sizes)",
            "count < len(sizes)",
            ["too few files"],
        ),
        (
            "too few files are too few only",
            "count != len(sizes)",
            "count > len(sizes)",
            ["a count that lies"],
        ),
        (
            "the payload must end there",
            "rows = payload[8 : 8 + 32 * count]",
            ('rows = payload[8:]\n    if len(rows) != 32 * count:\n        return "refused"'),
            ["bytes behind the rows"],
        ),
        (
            "a cut row is no row",
            " or len(rows) < 32 * count",
            " or not rows",
            ["rows that are not there"],
        ),
        (
            "no payload",
            ('    if len(payload) < 8:\n        return "refused"\n'),
            "",
            ["rows that are not there"],
        ),
        (
            "an empty region is one",
            "size == 0 or ",
            "",
            ["an empty region"],
        ),
        (
            "no end of the file",
            "size == 0 or offset + size > end",
            "size == 0",
            ["the end of the file"],
        ),
        (
            "size alone against the file",
            "offset + size > end",
            "size > end",
            ["the end of the file"],
        ),
        (
            "offset alone against the file",
            "offset + size > end",
            "offset > end",
            ["the end of the file"],
        ),
        (
            "the last byte of the file is beyond",
            "offset + size > end",
            "offset + size >= end",
            ["two regions"],
        ),
        (
            "a byte behind the file",
            "offset + size > end",
            "offset + size > end + 1",
            ["the end of the file"],
        ),
        (
            "rounded to pages",
            "offset + size > end",
            "offset + size > (end + 4095) // 4096 * 4096",
            ["the end of the file"],
        ),
        (
            "no last address",
            (
                "        if max(guest, user, offset) + size > 1 << 62:\n"
                '            return "refused"\n'
            ),
            "",
            ["the last address"],
        ),
        (
            "the last address of the guest alone",
            "max(guest, user, offset) + size",
            "guest + size",
            ["the last address"],
        ),
        (
            "the last address without the size",
            "max(guest, user, offset) + size > 1 << 62",
            "max(guest, user, offset) > 1 << 62",
            ["the last address"],
        ),
        (
            "64 bits are enough",
            "> 1 << 62",
            "> 1 << 64",
            ["the last address"],
        ),
        (
            "the last byte is one too many",
            "+ size > 1 << 62",
            "+ size >= 1 << 62",
            ["the last address"],
        ),
        (
            "no overlap",
            "    for field in 0, 2:\n",
            "    for field in ():\n",
            ["two regions for one gpa"],
        ),
        (
            "overlap for the guest alone",
            "for field in 0, 2:",
            "for field in (0,):",
            ["two regions for one user address"],
        ),
        (
            "overlap for the front-end alone",
            "for field in 0, 2:",
            "for field in (2,):",
            ["two regions for one gpa"],
        ),
        (
            "overlap in the file too",
            "for field in 0, 2:",
            "for field in 0, 2, 3:",
            ["eight regions"],
        ),
        (
            "overlap in the order of the table",
            "sorted((region[field], region[1]) for region in regions)",
            "[(region[field], region[1]) for region in regions]",
            ["the order of the table"],
        ),
        (
            "neighbours overlap",
            "            if start < end:",
            "            if start <= end and end:",
            ["the order of the table"],
        ),
        (
            "the same start is the only overlap",
            "            if start < end:",
            "            if start == end - size:",
            ["two regions for one gpa"],
        ),
        (
            "the end of the first one only",
            "            end = start + size\n",
            "            end = end or start + size\n",
            ["two regions for one gpa"],
        ),
        (
            "raises",
            ('        if size == 0 or offset + size > end:\n            return "refused"'),
            (
                "        if size == 0 or offset + size > end:\n"
                '            raise ValueError("a region")'
            ),
            ["an empty region"],
        ),
        (
            "gpa_of: no return",
            "            return guest + user - start\n",
            "            guest + user - start\n",
            ["a ring"],
        ),
        (
            "gpa_of: by the gpa",
            "    for guest, size, start, _ in regions:",
            "    for start, size, guest, _ in regions:",
            ["a ring"],
        ),
        (
            "gpa_of: the offset",
            "            return guest + user - start\n",
            "            return guest\n",
            ["a ring"],
        ),
        (
            "gpa_of: the file's offset is added",
            (
                "    for guest, size, start, _ in regions:\n"
                "        if start <= user and user + length <= start + size:\n"
                "            return guest + user - start"
            ),
            (
                "    for guest, size, start, offset in regions:\n"
                "        if start <= user and user + length <= start + size:\n"
                "            return guest + offset + user - start"
            ),
            ["a ring"],
        ),
        (
            "gpa_of: only the first byte",
            "user + length <= start + size",
            "user < start + size",
            ["a ring over a border"],
        ),
        (
            "gpa_of: one byte too few",
            "user + length <= start + size",
            "user + length < start + size",
            ["the first byte and the last"],
        ),
        (
            "gpa_of: one byte too many",
            "user + length <= start + size",
            "user + length <= start + size + 1",
            ["a ring that is nowhere"],
        ),
        (
            "gpa_of: from below",
            "if start <= user and user",
            "if user",
            ["a ring that is nowhere"],
        ),
        (
            "gpa_of: 0 where it is nowhere",
            ("            return guest + user - start\n    return None"),
            ("            return guest + user - start\n    return 0"),
            ["a ring that is nowhere"],
        ),
        (
            "gpa_of: first and last byte, each anywhere",
            (
                "    for guest, size, start, _ in regions:\n"
                "        if start <= user and user + length <= start + size:"
            ),
            (
                "    for guest, size, start, _ in regions:\n"
                "        ends = any(s <= user + length - 1 < s + n for _, n, s, _ in regions)\n"
                "        if start <= user < start + size and ends:"
            ),
            ["a ring over a border"],
        ),
        (
            "place: no return",
            "    return pieces\n",
            "",
            ["a buffer"],
        ),
        (
            "place: lists",
            "pieces.append((number, offset + inside, piece))",
            "pieces.append([number, offset + inside, piece])",
            ["a buffer"],
        ),
        (
            "place: the gpa as the offset",
            "offset + inside, piece",
            "gpa, piece",
            ["in the second region"],
        ),
        (
            "place: no offset",
            "offset + inside, piece",
            "inside, piece",
            ["in the second region"],
        ),
        (
            "place: user addresses",
            "for number, (guest, size, _, offset) in enumerate(regions)",
            "for number, (_, size, guest, offset) in enumerate(regions)",
            ["a buffer"],
        ),
        (
            "place: regions from 1",
            ("enumerate(regions):\n            inside"),
            ("enumerate(regions, 1):\n            inside"),
            ["a buffer"],
        ),
        (
            "place: one region only",
            "    while length > 0:\n",
            "    if length > 0:\n",
            ["over two regions"],
        ),
        (
            "place: the buffer must fit",
            "if 0 <= inside < size:",
            "if 0 <= inside and inside + length <= size:",
            ["over two regions"],
        ),
        (
            "place: all of the length in the first",
            "piece = min(length, size - inside)",
            "piece = length",
            ["over two regions"],
        ),
        (
            "place: the whole region",
            "piece = min(length, size - inside)",
            "piece = min(length, size)",
            ["over two regions"],
        ),
        (
            "place: what there is",
            ("            return None\n    return pieces"),
            ("            return pieces\n    return pieces"),
            ["into a hole"],
        ),
        (
            "place: a hole is empty",
            ("            return None\n    return pieces"),
            ("            return []\n    return pieces"),
            ["into a hole"],
        ),
        (
            "place: the last byte is outside",
            "if 0 <= inside < size:",
            "if 0 <= inside < size - 1:",
            ["a buffer"],
        ),
        (
            "place: in the order of the table",
            ("    while length > 0:\n        for number,"),
            ("    for _ in (1,):\n        for number,"),
            ["over two regions"],
        ),
        (
            "place: byte by byte",
            "piece = min(length, size - inside)",
            "piece = 1",
            ["a buffer"],
        ),
        (
            "place: page by page, and joined never",
            "piece = min(length, size - inside)",
            "piece = min(length, size - inside, 4096)",
            ["a buffer"],
        ),
        (
            "place: no bytes are nowhere",
            ("    pieces = []\n    while length > 0:"),
            ("    pieces = []\n    if length == 0:\n        return None\n    while length > 0:"),
            ["no bytes"],
        ),
        (
            "place: no bytes have a piece",
            ("    pieces = []\n    while length > 0:"),
            (
                "    pieces = []\n"
                "    if length == 0:\n"
                "        return [(0, 0, 0)]\n"
                "    while length > 0:"
            ),
            ["no bytes"],
        ),
    ],
)
