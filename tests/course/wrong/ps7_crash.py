"""Plausible wrong answers to task 4 of problem set 7: what is lost or done twice."""

from tests.course.wrong.slips import slipped

WRONG_Q4 = slipped(
    "ps07",
    "ps7.q4",
    [
        (
            "start: used_idx before the list is crossed out",
            '        if version > 1:\n            return "broken"\n',
            (
                "        if version > 1:\n"
                '            return "broken"\n'
                "        store(14, 2, q.pushed)\n"
            ),
            ["killed while it starts"],
        ),
        (
            "start: a version of one byte",
            "load(8, 2)",
            "load(8, 1)",
            ["notes that cannot be"],
        ),
        (
            "start: desc_num of one byte",
            "store(10, 2, q.size)",
            "store(10, 1, q.size & 0xFF)",
            ["notes on another ring"],
        ),
        (
            "give_back: a head of one byte",
            "q.notes.store(12, 2, head)",
            "q.notes.store(12, 1, head & 0xFF)",
            ["given back"],
        ),
        (
            "give_back: a next of one byte",
            "state + 6, 2, q.notes.load(12, 2)",
            "state + 6, 1, q.notes.load(12, 1)",
            ["given back"],
        ),
        (
            "stop: no return",
            "    return q.pushed & 0xFFFF\n",
            "    q.pushed & 0xFFFF\n",
            ["stopped"],
        ),
        (
            "stop: last_avail",
            "    return q.pushed & 0xFFFF\n",
            "    return q.last_avail & 0xFFFF\n",
            ["stopped, with chains in flight"],
        ),
        (
            "stop: all bits",
            "    return q.pushed & 0xFFFF\n",
            "    return q.pushed\n",
            ["stopped long after"],
        ),
        (
            "stop: in the ring's size",
            "    return q.pushed & 0xFFFF\n",
            "    return q.pushed % q.size\n",
            ["stopped"],
        ),
        (
            "stop: pushed and in flight",
            "    return q.pushed & 0xFFFF\n",
            "    return (q.pushed + q.in_flight) & 0xFFFF\n",
            ["stopped, with chains in flight"],
        ),
        (
            "no return",
            "    return [head for _, head in sorted(found)]\n",
            "",
            ["no notes"],
        ),
        (
            "counters and heads",
            "    return [head for _, head in sorted(found)]\n",
            "    return sorted(found)\n",
            ["one in flight"],
        ),
        (
            "a tuple",
            "    return [head for _, head in sorted(found)]\n",
            "    return tuple(head for _, head in sorted(found))\n",
            ["no notes"],
        ),
        (
            "in the order of the heads",
            "    return [head for _, head in sorted(found)]\n",
            "    return [head for _, head in found]\n",
            ["the oldest first"],
        ),
        (
            "the youngest first",
            "    return [head for _, head in sorted(found)]\n",
            "    return [head for _, head in sorted(found)][::-1]\n",
            ["the oldest first"],
        ),
        (
            "sorted by the head",
            "found.append((load(16 + 16 * head + 8, 8), head))",
            "found.append((head, head))",
            ["the oldest first"],
        ),
        (
            "counters of 4 bytes",
            "load(16 + 16 * head + 8, 8)",
            "load(16 + 16 * head + 8, 4)",
            ["the oldest first"],
        ),
        (
            "no notes: the base is nothing",
            "    q.pushed = base\n",
            "    q.pushed = 0\n",
            ["no notes"],
        ),
        (
            "no notes: the ring's idx",
            "    q.pushed = base\n",
            "    q.pushed = q.memory.load(q.used + 2, 2)\n",
            ["no notes"],
        ),
        (
            "the base with notes too",
            "        q.pushed = q.memory.load(q.used + 2, 2)\n",
            "",
            ["the base of nobody"],
        ),
        (
            "idx of the available ring",
            "q.memory.load(q.used + 2, 2)",
            "q.memory.load(q.avail + 2, 2)",
            ["notes of nobody"],
        ),
        (
            "the flags of the used ring",
            "q.memory.load(q.used + 2, 2)",
            "q.memory.load(q.used, 2)",
            ["notes of nobody"],
        ),
        (
            "idx in the ring's size",
            "q.memory.load(q.used + 2, 2)",
            "q.memory.load(q.used + 2, 2) % q.size",
            ["nothing in flight"],
        ),
        (
            "used_idx is believed",
            "        q.pushed = q.memory.load(q.used + 2, 2)\n",
            "        q.pushed = load(14, 2)\n",
            ["notes of nobody"],
        ),
        (
            "no distance in 16 bits",
            "(q.pushed - load(14, 2)) & 0xFFFF",
            "q.pushed - load(14, 2)",
            ["past 65535"],
        ),
        (
            "the other way round",
            "(q.pushed - load(14, 2)) & 0xFFFF",
            "(load(14, 2) - q.pushed) & 0xFFFF",
            ["given back, not crossed out"],
        ),
        (
            "in the ring's size, the distance",
            "(q.pushed - load(14, 2)) & 0xFFFF",
            "(q.pushed - load(14, 2)) % q.size",
            ["a list of them"],
        ),
        (
            "any version",
            ('        if version > 1:\n            return "broken"\n'),
            "",
            ["notes that cannot be"],
        ),
        (
            "version 0 is broken",
            "        if version > 1:\n",
            "        if version != 1:\n",
            ["notes of nobody"],
        ),
        (
            "version 0 is like 1",
            "version == 0 or behind > q.size",
            "behind > q.size",
            ["notes of nobody"],
        ),
        (
            "version 0 has a list",
            "version == 0 or behind > q.size",
            "version == 0 and not load(10, 2) or behind > q.size",
            ["notes on another ring"],
        ),
        (
            "any distance",
            "version == 0 or behind > q.size",
            "version == 0",
            ["notes on another ring"],
        ),
        (
            "too far is broken",
            "        if version == 0 or behind > q.size:\n",
            (
                "        if version and behind > q.size:\n"
                '            return "broken"\n'
                "        if version == 0:\n"
            ),
            ["notes on another ring"],
        ),
        (
            "no version is written",
            "            store(8, 2, 1)\n",
            "",
            ["notes of nobody"],
        ),
        (
            "no desc_num is written",
            "            store(10, 2, q.size)\n",
            "",
            ["notes of nobody"],
        ),
        (
            "nothing is cleared",
            (
                "            for head in range(q.size):\n"
                "                store(16 + 16 * head, 1, 0)\n"
            ),
            "",
            ["notes on another ring"],
        ),
        (
            "all but the last are cleared",
            (
                "            for head in range(q.size):\n"
                "                store(16 + 16 * head, 1, 0)\n"
            ),
            (
                "            for head in range(q.size - 1):\n"
                "                store(16 + 16 * head, 1, 0)\n"
            ),
            ["notes on another ring"],
        ),
        (
            "used_idx stays",
            "        store(14, 2, q.pushed)\n",
            "",
            ["notes of nobody"],
        ),
        (
            "used_idx is the base",
            "        store(14, 2, q.pushed)\n",
            "        store(14, 2, base)\n",
            ["the base of nobody"],
        ),
        (
            "nothing is crossed out",
            "            for _ in range(behind):\n",
            "            for _ in range(0):\n",
            ["given back, not crossed out"],
        ),
        (
            "one is crossed out at most",
            "            for _ in range(behind):\n",
            "            for _ in range(min(behind, 1)):\n",
            ["a list of them"],
        ),
        (
            "one too many is crossed out",
            "            for _ in range(behind):\n",
            "            for _ in range(behind + 1):\n",
            ["one in flight"],
        ),
        (
            "the list begins at used_idx",
            "            head = load(12, 2)\n",
            "            head = load(14, 2) % q.size\n",
            ["given back, not crossed out"],
        ),
        (
            "the list goes on by counters",
            "                head = load(16 + 16 * head + 6, 2)\n",
            "                head = load(16 + 16 * head + 8, 2)\n",
            ["a list of them"],
        ),
        (
            "the list is the used ring",
            "                head = load(16 + 16 * head + 6, 2)\n",
            "                head = (head - 1) % q.size\n",
            ["a list of them"],
        ),
        (
            "next of 1 byte",
            "head = load(16 + 16 * head + 6, 2)",
            "head = load(16 + 16 * head + 6, 1)",
            ["a list of them"],
        ),
        (
            "any head",
            ('                if head >= q.size:\n                    return "broken"\n'),
            "",
            ["notes that cannot be"],
        ),
        (
            "a head too many",
            "if head >= q.size:",
            "if head > q.size:",
            ["notes that cannot be"],
        ),
        (
            "a head that is none ends the list",
            ('                if head >= q.size:\n                    return "broken"\n'),
            ("                if head >= q.size:\n                    break\n"),
            ["notes that cannot be"],
        ),
        (
            "the next head is judged too",
            "                head = load(16 + 16 * head + 6, 2)\n",
            (
                "                head = load(16 + 16 * head + 6, 2)\n"
                "                if head >= q.size:\n"
                '                    return "broken"\n'
            ),
            ["a list of them"],
        ),
        (
            "states without the header",
            "            if load(16 + 16 * head, 1):\n",
            "            if load(16 * head, 1):\n",
            ["one in flight"],
        ),
        (
            "the first state is left out",
            ("        for head in range(q.size):\n            if load"),
            ("        for head in range(1, q.size):\n            if load"),
            ["one in flight"],
        ),
        (
            "last_avail is pushed",
            "    q.last_avail = q.pushed + len(found)\n",
            "    q.last_avail = q.pushed\n",
            ["one in flight"],
        ),
        (
            "pushed is behind",
            "    q.last_avail = q.pushed + len(found)\n",
            ("    q.last_avail = q.pushed\n    q.pushed -= len(found)\n"),
            ["one in flight"],
        ),
        (
            "in_flight is 0",
            "    q.in_flight = len(found)\n",
            "",
            ["one in flight"],
        ),
        (
            "the clock begins anew",
            "        q.clock = max(found)[0] + 1 if found else 0\n",
            "",
            ["the clock goes on"],
        ),
        (
            "the clock is the number of chains",
            "max(found)[0] + 1 if found else 0",
            "len(found)",
            ["the clock goes on"],
        ),
        (
            "the clock is the largest counter",
            "max(found)[0] + 1 if found",
            "max(found)[0] if found",
            ["the clock goes on"],
        ),
        (
            "the clock goes on from the last head",
            "max(found)[0] + 1 if found",
            "found[-1][0] + 1 if found",
            ["the clock goes on"],
        ),
        (
            "taken: nothing",
            (
                "    q.notes.store(state + 8, 8, q.clock)\n"
                "    q.notes.store(state, 1, 1)\n"
                "    q.clock += 1\n"
            ),
            "    pass\n",
            ["a note"],
        ),
        (
            "taken: no counter",
            "    q.notes.store(state + 8, 8, q.clock)\n",
            "",
            ["a note"],
        ),
        (
            "taken: no flag",
            "    q.notes.store(state, 1, 1)\n",
            "",
            ["a note"],
        ),
        (
            "taken: the flag first",
            ("    q.notes.store(state + 8, 8, q.clock)\n    q.notes.store(state, 1, 1)\n"),
            ("    q.notes.store(state, 1, 1)\n    q.notes.store(state + 8, 8, q.clock)\n"),
            ["killed while it notes"],
        ),
        (
            "taken: the clock stands",
            "    q.clock += 1\n",
            "",
            ["a note"],
        ),
        (
            "taken: the clock first",
            (
                "    q.notes.store(state + 8, 8, q.clock)\n"
                "    q.notes.store(state, 1, 1)\n"
                "    q.clock += 1\n"
            ),
            (
                "    q.clock += 1\n"
                "    q.notes.store(state + 8, 8, q.clock)\n"
                "    q.notes.store(state, 1, 1)\n"
            ),
            ["a note"],
        ),
        (
            "taken: last_avail as the counter",
            "8, q.clock)",
            "8, q.last_avail)",
            ["a note"],
        ),
        (
            "taken: a counter of 4 bytes",
            "state + 8, 8, q.clock",
            "state + 4, 4, q.clock",
            ["a note"],
        ),
        (
            "taken: the flag is the clock",
            "q.notes.store(state, 1, 1)",
            "q.notes.store(state, 1, q.clock)",
            ["a note"],
        ),
        (
            "taken: the flag of 8 bytes",
            "q.notes.store(state, 1, 1)",
            "q.notes.store(state, 8, 1)",
            ["given back"],
        ),
        (
            "taken: no header",
            ("    state = 16 + 16 * head\n    q.notes.store(state + 8, 8, q.clock)\n"),
            ("    state = 16 * head\n    q.notes.store(state + 8, 8, q.clock)\n"),
            ["a note"],
        ),
        (
            "give: no push",
            "    parts.push(q, head, written)\n",
            "",
            ["given back"],
        ),
        (
            "give: no list",
            (
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
            ),
            "",
            ["given back"],
        ),
        (
            "give: no next",
            "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n",
            "",
            ["given back"],
        ),
        (
            "give: last_batch_head stays",
            "    q.notes.store(12, 2, head)\n",
            "",
            ["given back"],
        ),
        (
            "give: last_batch_head first",
            (
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
            ),
            (
                "    q.notes.store(12, 2, head)\n"
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
            ),
            ["given back"],
        ),
        (
            "give: not crossed out",
            "    q.notes.store(state, 1, 0)\n",
            "",
            ["given back"],
        ),
        (
            "give: used_idx stays",
            "    q.notes.store(14, 2, q.pushed & 0xFFFF)\n",
            "",
            ["given back"],
        ),
        (
            "give: crossed out before the push",
            ("    parts.push(q, head, written)\n    q.notes.store(state, 1, 0)\n"),
            ("    q.notes.store(state, 1, 0)\n    parts.push(q, head, written)\n"),
            ["killed while it gives back"],
        ),
        (
            "give: used_idx before the push",
            (
                "    parts.push(q, head, written)\n"
                "    q.notes.store(state, 1, 0)\n"
                "    q.notes.store(14, 2, q.pushed & 0xFFFF)\n"
            ),
            (
                "    q.notes.store(14, 2, (q.pushed + 1) & 0xFFFF)\n"
                "    parts.push(q, head, written)\n"
                "    q.notes.store(state, 1, 0)\n"
            ),
            ["killed while it gives back"],
        ),
        (
            "give: used_idx before it is crossed out",
            ("    q.notes.store(state, 1, 0)\n    q.notes.store(14, 2, q.pushed & 0xFFFF)\n"),
            ("    q.notes.store(14, 2, q.pushed & 0xFFFF)\n    q.notes.store(state, 1, 0)\n"),
            ["killed while it gives back"],
        ),
        (
            "give: the list behind the push",
            (
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
                "    parts.push(q, head, written)\n"
            ),
            (
                "    parts.push(q, head, written)\n"
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
            ),
            ["killed while it gives back"],
        ),
        (
            "give: last_batch_head behind the push",
            ("    q.notes.store(12, 2, head)\n    parts.push(q, head, written)\n"),
            ("    parts.push(q, head, written)\n    q.notes.store(12, 2, head)\n"),
            ["killed while it gives back"],
        ),
        (
            "give: all behind the push",
            (
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
                "    parts.push(q, head, written)\n"
                "    q.notes.store(state, 1, 0)\n"
            ),
            (
                "    parts.push(q, head, written)\n"
                "    q.notes.store(state, 1, 0)\n"
                "    q.notes.store(state + 6, 2, q.notes.load(12, 2))\n"
                "    q.notes.store(12, 2, head)\n"
            ),
            ["killed while it gives back"],
        ),
        (
            "give: used_idx is one more than it was",
            "q.notes.store(14, 2, q.pushed & 0xFFFF)",
            "q.notes.store(14, 2, q.pushed + 1)",
            ["given back"],
        ),
        (
            "give: used_idx in the ring's size",
            "q.notes.store(14, 2, q.pushed & 0xFFFF)",
            "q.notes.store(14, 2, q.pushed % q.size)",
            ["given back long after"],
        ),
        (
            "give: the length as the head",
            "parts.push(q, head, written)",
            "parts.push(q, written, head)",
            ["given back"],
        ),
        (
            "give: 0 bytes",
            "parts.push(q, head, written)",
            "parts.push(q, head, 0)",
            ["given back"],
        ),
        (
            "give: next is the head",
            "q.notes.store(state + 6, 2, q.notes.load(12, 2))",
            "q.notes.store(state + 6, 2, head)",
            ["given back"],
        ),
    ],
)
