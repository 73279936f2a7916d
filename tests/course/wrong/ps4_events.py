"""Plausible wrong answers to task 6 of problem set 4: thresholds, and a driver that sleeps."""

from tests.course.wrong.slips import slipped

WISH = """    if q.event_idx:
        q.cpu.store(q.avail + 4 + 2 * q.size, q.last_used & 0xFFFF, 2)
    else:
        q.cpu.store(q.avail, 0, 2)
"""
LOOK = "    return q.cpu.load(q.used + 2, 2) == q.last_used & 0xFFFF\n"
PASSED = "(event - old) & 0xFFFF < (new - old) & 0xFFFF"

WRONG_Q6 = slipped(
    "ps04",
    "ps4.q6",
    [
        ("no circle", PASSED, "old <= event < new", ["past 65535"]),
        ("no masks", PASSED, "(event - old) < (new - old)",
         ["one step", "many steps", "past 65535"]),
        ("one mask", PASSED, "(event - old) & 0xFFFF < (new - old)", ["past 65535"]),
        ("new too", PASSED, "(event - old) & 0xFFFF <= (new - old) & 0xFFFF", ["one step"]),
        ("not old", PASSED, "0 < (event - old) & 0xFFFF < (new - old) & 0xFFFF", ["one step"]),
        ("not old, but new", PASSED, "0 < (event - old) & 0xFFFF <= (new - old) & 0xFFFF",
         ["one step"]),
        ("the index has come so far", PASSED, "new >= event + 1", ["one step", "many steps"]),
        ("the entry it stands at", PASSED, "event == new - 1", ["many steps"]),
        ("the next entry alone", PASSED, "event == old and new != old", ["many steps"]),
        ("a circle of 15 bits", PASSED, "(event - old) & 0x7FFF < (new - old) & 0x7FFF",
         ["more than half a circle"]),
        ("signed distances", PASSED,
         "(event - old + 0x8000) % 0x10000 - 0x8000 < (new - old) & 0xFFFF",
         ["one step", "many steps"]),
        ("the specification's, without - 1", PASSED,
         "(new - event) & 0xFFFF < (new - old) & 0xFFFF",
         ["one step"]),
        ("a number", "return " + PASSED, "return int(" + PASSED + ")", ["one step"]),
        ("kick: the threshold without EVENT_IDX",
         "    return q.exposed != old and q.cpu.load(q.used, 2) & 1 == 0",
         "    return need_event(q.cpu.load(q.used + 4 + 8 * q.size, 2), q.exposed, old)",
         ["kick by the flag"]),
        ("kick: all flags", "q.cpu.load(q.used, 2) & 1 == 0", "q.cpu.load(q.used, 2) == 0",
         ["kick by the flag"]),
        ("kick: the other bit", "q.cpu.load(q.used, 2) & 1 == 0", "q.cpu.load(q.used, 2) & 1 == 1",
         ["kick by the flag"]),
        ("kick: its own flags", "q.cpu.load(q.used, 2)", "q.cpu.load(q.avail, 2)",
         ["kick by the flag"]),
        ("kick: the flag as well",
         "return need_event(q.cpu.load(q.used + 4 + 8 * q.size, 2), q.exposed, old)",
         "return (q.cpu.load(q.used, 2) & 1 == 0 and "
         "need_event(q.cpu.load(q.used + 4 + 8 * q.size, 2), q.exposed, old))",
         ["kick by the threshold"]),
        ("kick: its own threshold", "q.cpu.load(q.used + 4 + 8 * q.size, 2)",
         "q.cpu.load(q.avail + 4 + 2 * q.size, 2)", ["kick by the threshold"]),
        ("kick: in front of the elements", "q.cpu.load(q.used + 4 + 8 * q.size, 2)",
         "q.cpu.load(q.used + 4, 2)", ["kick by the threshold"]),
        ("kick: behind entries of 2", "q.cpu.load(q.used + 4 + 8 * q.size, 2)",
         "q.cpu.load(q.used + 4 + 2 * q.size, 2)", ["kick by the threshold"]),
        ("kick: old and new exchanged", "q.exposed, old)", "old, q.exposed)",
         ["kick by the threshold"]),
        ("kick: what was added", "q.exposed != old and q.cpu", "q.cpu", ["nothing to kick for"]),
        ("interrupt: the device's own flags", "q.memory.load(q.avail, 2)",
         "q.memory.load(q.used, 2)",
         ["interrupt by the flag"]),
        ("interrupt: the other bit", "q.memory.load(q.avail, 2) & 1 == 0",
         "q.memory.load(q.avail, 2) & 1 == 1", ["interrupt by the flag"]),
        ("interrupt: its own threshold", "q.memory.load(q.avail + 4 + 2 * q.size, 2)",
         "q.memory.load(q.used + 4 + 8 * q.size, 2)", ["interrupt by the threshold"]),
        ("interrupt: in place of idx", "q.memory.load(q.avail + 4 + 2 * q.size, 2)",
         "q.memory.load(q.avail + 2, 2)", ["interrupt by the threshold"]),
        ("interrupt: one threshold reached",
         "need_event(q.memory.load(q.avail + 4 + 2 * q.size, 2), q.pushed, old)",
         "q.pushed > q.memory.load(q.avail + 4 + 2 * q.size, 2)", ["interrupt by the threshold"]),
        ("interrupt: for nothing", "q.pushed != old and q.memory", "q.memory",
         ["nothing to interrupt for"]),
        ("off: the flag, with EVENT_IDX too",
         "    if q.event_idx:\n"
         "        q.cpu.store(q.avail + 4 + 2 * q.size, (q.last_used - 1) & 0xFFFF, 2)\n"
         "    else:\n        q.cpu.store(q.avail, 1, 2)",
         "    q.cpu.store(q.avail, 1, 2)", ["off, with EVENT_IDX"]),
        ("off: nothing without EVENT_IDX", "    else:\n        q.cpu.store(q.avail, 1, 2)", "",
         ["callbacks off"]),
        ("off: the used ring's flag", "q.cpu.store(q.avail, 1, 2)", "q.cpu.store(q.used, 1, 2)",
         ["callbacks off"]),
        ("off: the next entry", "(q.last_used - 1) & 0xFFFF", "q.last_used & 0xFFFF",
         ["off, with EVENT_IDX"]),
        ("off: one lap", "(q.last_used - 1) & 0xFFFF", "(q.last_used + q.size - 1) & 0xFFFF",
         ["off, with EVENT_IDX"]),
        ("off: always 65535", "(q.last_used - 1) & 0xFFFF", "0xFFFF", ["off, with EVENT_IDX"]),
        ("on: nothing is asked", WISH, "", ["callbacks on"]),
        ("on: the flag, with EVENT_IDX too", WISH, "    q.cpu.store(q.avail, 0, 2)\n",
         ["on, with EVENT_IDX"]),
        ("on: the threshold alone", "    else:\n        q.cpu.store(q.avail, 0, 2)\n", "",
         ["callbacks on"]),
        ("on: the entry after the next", "q.size, q.last_used & 0xFFFF, 2)",
         "q.size, q.last_used + 1 & 0xFFFF, 2)", ["on, with EVENT_IDX"]),
        ("on: sleeps always", LOOK, "    return True\n", ["callbacks on"]),
        ("on: never sleeps", LOOK, "    return False\n", ["callbacks on"]),
        ("on: nothing returned", LOOK, LOOK.replace("return ", ""), ["callbacks on"]),
        ("on: turned round", LOOK, LOOK.replace("==", "!="), ["callbacks on"]),
        ("on: no mask", LOOK, LOOK.replace(" & 0xFFFF", ""), ["callbacks on"]),
        ("on: smaller", LOOK, LOOK.replace("==", "<="), ["callbacks on"]),
        ("on: looks, then asks", WISH + LOOK,
         "    empty = q.cpu.load(q.used + 2, 2) == q.last_used & 0xFFFF\n" + WISH
         + "    return empty\n",
         ["a device in between"]),
        ("on: asks only if nothing waits", WISH + LOOK,
         "    if q.cpu.load(q.used + 2, 2) != q.last_used & 0xFFFF:\n        return False\n" + WISH
         + "    return True\n", ["a device in between"]),
        ("on: looks between the two wishes", WISH + LOOK,
         "    q.cpu.store(q.avail, 0, 2)\n"
         "    empty = q.cpu.load(q.used + 2, 2) == q.last_used & 0xFFFF\n" + WISH
         + "    return empty\n", ["in between, with EVENT_IDX"]),
    ],
)  # fmt: skip
