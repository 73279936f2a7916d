"""Plausible wrong answers to task 3 of problem set 7: lost chains, lost wake-ups."""

from tests.course.wrong.slips import slipped

WRONG_Q3 = slipped(
    "ps07",
    "ps7.q3",
    [
        (
            "no return",
            "    return parts.should_interrupt(q, old), state\n",
            "",
            ["an empty ring"],
        ),
        (
            "only the call",
            "    return parts.should_interrupt(q, old), state\n",
            "    return parts.should_interrupt(q, old)\n",
            ["an empty ring"],
        ),
        (
            "state first",
            "    return parts.should_interrupt(q, old), state\n",
            "    return state, parts.should_interrupt(q, old)\n",
            ["an empty ring"],
        ),
        (
            "a list",
            "    return parts.should_interrupt(q, old), state\n",
            "    return [parts.should_interrupt(q, old), state]\n",
            ["an empty ring"],
        ),
        (
            "one chain a kick",
            "    for _ in range(q.size):\n",
            "    for _ in range(1):\n",
            ["one chain"],
        ),
        (
            "for ever",
            "    for _ in range(q.size):\n",
            "    while True:\n",
            ["as many as there are"],
        ),
        (
            "one chain too few",
            "    for _ in range(q.size):\n",
            "    for _ in range(q.size - 1):\n",
            ["as many as there are"],
        ),
        (
            "one chain too many",
            "    for _ in range(q.size):\n",
            "    for _ in range(q.size + 1):\n",
            ["as many as there are"],
        ),
        (
            "until the state of the beginning",
            "    for _ in range(q.size):\n",
            (
                "    waiting = (q.memory.load(q.avail + 2, 2) - q.last_avail) & 0xFFFF\n"
                "    for _ in range(min(waiting, q.size)):\n"
            ),
            ["an empty ring"],
        ),
        (
            "256 at most",
            "    for _ in range(q.size):\n",
            "    for _ in range(256):\n",
            ["as many as there are"],
        ),
        (
            "sleeps behind the last one",
            '    state = "more"\n',
            '    state = "sleep"\n',
            ["as many as there are"],
        ),
        (
            "no wish",
            (
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            "",
            ["an empty ring"],
        ),
        (
            "no second look",
            (
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n",
            ["a guest that adds meanwhile"],
        ),
        (
            "the look before the wish",
            (
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            (
                "            chain = parts.pop(q)\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
            ),
            ["a guest that adds meanwhile"],
        ),
        (
            "the wish once more at the end, and no look",
            (
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            (
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
            ),
            ["a guest that adds meanwhile"],
        ),
        (
            "the wish at the beginning",
            "    old = q.pushed\n",
            (
                "    old = q.pushed\n"
                "    if q.event_idx:\n"
                "        q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
            ),
            ["one chain"],
        ),
        (
            "the wish before each chain",
            (
                "        chain = parts.pop(q)\n"
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            (
                "        if q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "        chain = parts.pop(q)\n"
            ),
            ["one chain"],
        ),
        (
            "the wish behind each chain",
            "        parts.push(q, head, written)\n",
            (
                "        parts.push(q, head, written)\n"
                "        if q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
            ),
            ["a batch"],
        ),
        (
            "the wish names the one after next",
            "2, q.last_avail)",
            "2, q.last_avail + 1)",
            ["an empty ring"],
        ),
        (
            "the wish names the last one",
            "2, q.last_avail)",
            "2, q.last_avail - 1)",
            ["an empty ring"],
        ),
        (
            "the wish in the ring's size",
            "2, q.last_avail)",
            "2, q.last_avail % q.size)",
            ["with others in flight"],
        ),
        (
            "the wish is what was pushed at first",
            "2, q.last_avail)",
            "2, old)",
            ["one chain"],
        ),
        (
            "the wish at used_event",
            "q.used + 4 + 8 * q.size, 2",
            "q.avail + 4 + 2 * q.size, 2",
            ["an empty ring"],
        ),
        (
            "the wish in the last element",
            "q.used + 4 + 8 * q.size, 2",
            "q.used + 4 + 8 * (q.size - 1), 2",
            ["an empty ring"],
        ),
        (
            "the wish without the header",
            "q.used + 4 + 8 * q.size, 2",
            "q.used + 8 * q.size, 2",
            ["an empty ring"],
        ),
        (
            "the wish of 4 bytes",
            "q.size, 2, q.last_avail)",
            "q.size, 4, q.last_avail)",
            ["an empty ring"],
        ),
        (
            "the wish without EVENT_IDX too",
            "if chain is None and q.event_idx:",
            "if chain is None:",
            ["without EVENT_IDX"],
        ),
        (
            "the wish only without EVENT_IDX",
            "if chain is None and q.event_idx:",
            "if chain is None and not q.event_idx:",
            ["an empty ring"],
        ),
        (
            "flags in place of a wish",
            (
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
            ),
            (
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used, 2, 0)\n"
                "            chain = parts.pop(q)\n"
            ),
            ["an empty ring"],
        ),
        (
            "flags off while it works",
            "    for _ in range(q.size):\n",
            ("    q.memory.store(q.used, 2, 1)\n    for _ in range(q.size):\n"),
            ["without EVENT_IDX"],
        ),
        (
            "never told",
            "    return parts.should_interrupt(q, old), state\n",
            "    return False, state\n",
            ["one chain"],
        ),
        (
            "always told",
            "    return parts.should_interrupt(q, old), state\n",
            "    return True, state\n",
            ["an empty ring"],
        ),
        (
            "told if something was pushed",
            "    return parts.should_interrupt(q, old), state\n",
            "    return q.pushed != old, state\n",
            ["long after"],
        ),
        (
            "asked of the last one alone",
            "    return parts.should_interrupt(q, old), state\n",
            "    return parts.should_interrupt(q, q.pushed - 1), state\n",
            ["a batch"],
        ),
        (
            "old is taken at the end",
            "    return parts.should_interrupt(q, old), state\n",
            ("    old = q.pushed\n    return parts.should_interrupt(q, old), state\n"),
            ["one chain"],
        ),
        (
            "old is last_avail",
            "    old = q.pushed\n",
            "    old = q.last_avail\n",
            ["with others in flight"],
        ),
        (
            "old is what the ring says",
            "    old = q.pushed\n",
            "    old = q.memory.load(q.used + 2, 2)\n",
            ["long after"],
        ),
        (
            "not told where a chain is refused",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            ("        if isinstance(chain, str):\n            return False, chain\n"),
            ["a chain is refused"],
        ),
        (
            "not told where it is no request",
            (
                "        if isinstance(written, str):\n"
                "            state = written\n"
                "            break\n"
            ),
            ("        if isinstance(written, str):\n            return False, written\n"),
            ["no request"],
        ),
        (
            "told where a chain is refused",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            ("        if isinstance(chain, str):\n            return True, chain\n"),
            ["a chain is refused"],
        ),
        (
            "what is refused is passed over",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            ("        if isinstance(chain, str):\n            continue\n"),
            ["a chain is refused"],
        ),
        (
            "what is refused is the end, and well",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            (
                "        if isinstance(chain, str):\n"
                '            state = "sleep"\n'
                "            break\n"
            ),
            ["a chain is refused"],
        ),
        (
            "every word is broken",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            (
                "        if isinstance(chain, str):\n"
                '            state = "broken"\n'
                "            break\n"
            ),
            ["a chain is refused"],
        ),
        (
            "what is refused is an error",
            ("        if isinstance(chain, str):\n            state = chain\n            break\n"),
            ("        if isinstance(chain, str):\n            raise ValueError(chain)\n"),
            ["a chain is refused"],
        ),
        (
            "no request goes back with 0",
            (
                "        if isinstance(written, str):\n"
                "            state = written\n"
                "            break\n"
            ),
            ("        if isinstance(written, str):\n            written = 0\n"),
            ["no request"],
        ),
        (
            "no request goes back, then it ends",
            (
                "        if isinstance(written, str):\n"
                "            state = written\n"
                "            break\n"
            ),
            (
                "        if isinstance(written, str):\n"
                "            parts.push(q, head, 0)\n"
                "            state = written\n"
                "            break\n"
            ),
            ["no request"],
        ),
        (
            "no request is passed over",
            (
                "        if isinstance(written, str):\n"
                "            state = written\n"
                "            break\n"
            ),
            ("        if isinstance(written, str):\n            continue\n"),
            ["no request"],
        ),
        (
            "no request is not noticed",
            (
                "        if isinstance(written, str):\n"
                "            state = written\n"
                "            break\n"
            ),
            "",
            ["no request"],
        ),
        (
            "pushed with 0",
            "parts.push(q, head, written)",
            "parts.push(q, head, 0)",
            ["one chain"],
        ),
        (
            "pushed with the room",
            "parts.push(q, head, written)",
            "parts.push(q, head, sum(n for _, n, w in buffers if w))",
            ["one chain"],
        ),
        (
            "head and bytes swapped",
            "parts.push(q, head, written)",
            "parts.push(q, written, head)",
            ["one chain"],
        ),
        (
            "never pushed",
            "        parts.push(q, head, written)\n",
            "",
            ["one chain"],
        ),
        (
            "pushed before it is served",
            "        written = serve(buffers)\n",
            ("        parts.push(q, head, 0)\n        written = serve(buffers)\n"),
            ["one chain"],
        ),
        (
            "served twice",
            "        written = serve(buffers)\n",
            ("        serve(buffers)\n        written = serve(buffers)\n"),
            ["one chain"],
        ),
        (
            "serve gets the chain",
            "serve(buffers)",
            "serve(chain)",
            ["one chain"],
        ),
        (
            "all popped, then pushed, the last first",
            "",
            (
                "from virtlab.course.given import parts\n"
                "\n"
                "def turn(q, serve):\n"
                '    old, done, state = q.pushed, [], "more"\n'
                "    for _ in range(q.size):\n"
                "        chain = parts.pop(q)\n"
                "        if chain is None and q.event_idx:\n"
                "            q.memory.store(q.used + 4 + 8 * q.size, 2, q.last_avail)\n"
                "            chain = parts.pop(q)\n"
                "        if chain is None:\n"
                '            state = "sleep"\n'
                "            break\n"
                "        done.append((chain[0], serve(chain[1])))\n"
                "    for head, written in done[::-1]:\n"
                "        parts.push(q, head, written)\n"
                "    return parts.should_interrupt(q, old), state\n"
            ),
            ["a batch"],
        ),
    ],
)
