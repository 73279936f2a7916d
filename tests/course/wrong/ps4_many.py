"""Plausible wrong answers to tasks 7 and 8 of problem set 4: a packed ring, and many chains."""

from tests.course.wrong.slips import slipped

IMPORTS = "import numpy as np\n\nfrom virtlab.virtio.layouts import DESC\n\n\n"

ROUND = """        slot += 1
        if slot == q.size:
            slot, wrap = 0, 1 - wrap
"""

WRONG_Q7 = slipped(
    "ps04",
    "ps4.q7",
    [
        ("AVAIL alone", " and flags >> 15 != wrap", "", ["used in this lap"]),
        ("USED alone", "flags >> 7 & 1 == wrap and flags >> 15 != wrap", "flags >> 15 != wrap",
         ["an empty ring"]),
        ("the bits differ", "flags >> 7 & 1 == wrap and flags >> 15 != wrap",
         "flags >> 7 & 1 != flags >> 15", ["left over from a lap"]),
        ("the first lap for ever", "flags >> 7 & 1 == wrap and flags >> 15 != wrap",
         "flags >> 7 & 1 == 1 and flags >> 15 == 0", ["the second lap"]),
        ("both bits", "flags >> 15 != wrap", "flags >> 15 == wrap", ["one descriptor"]),
        ("flags before id", 'flags = int.from_bytes(raw[14:], "little")',
         'flags = int.from_bytes(raw[12:14], "little")', ["one descriptor"]),
        ("the id of the split ring's place", "ident = int.from_bytes(raw[12:14]",
         "ident = int.from_bytes(raw[14:16]", ["one descriptor"]),
        ("the first descriptor's id", '    ident = int.from_bytes(raw[12:14], "little")\n',
         "    ident = q.memory.load(q.ring + 16 * q.slot + 12, 2)\n", ["one descriptor"]),
        ("an id of 1 byte", "raw[12:14]", "raw[12:13]", ["a large id"]),
        ("one descriptor a list", "    while flags & 1:\n", "    for _ in range(1):\n",
         ["a list of three"]),
        ("no wrap", "            slot, wrap = 0, 1 - wrap\n", "            slot = 0\n",
         ["up to the last slot", "round the end"]),
        ("no end", ROUND, "        slot += 1\n", ["up to the last slot"]),
        ("wrap at the end of the list alone", ROUND, "        slot = (slot + 1) % q.size\n",
         ["up to the last slot"]),
        ("wrap flips, but later", "flags >> 7 & 1 == wrap and flags >> 15 != wrap",
         "flags >> 7 & 1 == q.wrap and flags >> 15 != q.wrap", ["a list over the end"]),
        ("one slot too far", "if slot == q.size:", "if slot > q.size:",
         ["up to the last slot", "round the end"]),
        ("wrap is 0 from then on", "slot, wrap = 0, 1 - wrap", "slot, wrap = 0, 0",
         ["a list over the end", "three laps"]),
        ("wrap a bool", "slot, wrap = 0, 1 - wrap", "slot, wrap = 0, not wrap",
         ["up to the last slot"]),
        ("the slot by one", "q.slot, q.wrap = slot, wrap",
         "q.slot, q.wrap = (q.slot + 1) % q.size, wrap",
         ["a list of three"]),
        ("does not move", "    q.slot, q.wrap = slot, wrap\n", "", ["one descriptor"]),
        ("moves first", "        slot += 1\n",
         "        slot += 1\n        q.slot = slot % q.size\n",
         ["NEXT all around", "no room", "a gap"]),
        ("never full", '        if len(buffers) == room:\n            return "room"\n',
         '        if len(buffers) > 9:\n            return "room"\n', ["NEXT all around"]),
        ("the ring's size", "if len(buffers) == room:", "if len(buffers) == q.size:",
         ["offered while in flight"]),
        ("lists, not slots", "room = q.size - sum(q.in_flight.values())",
         "room = q.size - len(q.in_flight)", ["offered while in flight"]),
        ("one too few", "if len(buffers) == room:", "if len(buffers) + 1 == room:",
         ["up to the last slot", "round the end", "a list of the whole ring",
         "lists of every length"]),
        ("room asked at the end", '        if len(buffers) == room:\n            return "room"\n',
         "",
         ["NEXT all around"]),
        ("a gap ends the list", '            return "gap"\n', "            break\n", ["a gap"]),
        ("a gap is none", 'return "gap"', "return None", ["a gap"]),
        ("the first alone is asked", '        if not available:\n            return "gap"\n', "",
         ["NEXT all around", "a gap"]),
        ("a gap before room", '        if len(buffers) == room:\n            return "room"\n'
         '        if not available:\n            return "gap"\n',
         '        if not available:\n            return "gap"\n'
         '        if len(buffers) == room:\n            return "room"\n',
         ["NEXT all around", "no room"]),
        ("tables are buffers", '        if flags & 4:\n            return "indirect"\n', "",
         ["INDIRECT"]),
        ("empty buffers", '        if length == 0:\n            return "empty"\n', "", ["0 bytes"]),
        ("any order", '        if writing and not write:\n            return "order"\n', "",
         ["readable behind writable"]),
        ("any id", '    if ident in q.in_flight:\n        return "id"\n', "", ["an id in flight"]),
        ("the id first", "    writing = False\n",
         '    if ident in q.in_flight:\n        return "id"\n    writing = False\n',
         ["two mistakes"]),
        ("not in flight", "    q.in_flight[ident] = len(buffers)\n", "", ["one descriptor"]),
        ("one slot in flight", "q.in_flight[ident] = len(buffers)", "q.in_flight[ident] = 1",
         ["a list of three"]),
        ("flags by themselves, then all", "        raw = q.memory.read(q.ring + 16 * slot, 16)\n",
         "        if not buffers and q.memory.load(q.ring + 16 * slot + 14, 2) >> 7 & 1 != wrap:\n"
         "            return None\n        raw = q.memory.read(q.ring + 16 * slot, 16)\n",
         ["one descriptor", "an empty ring"]),
        ("the rest first",
         "        raw = q.memory.read(q.ring + 16 * slot, 16)\n",
         "        raw = q.memory.read(q.ring + 16 * slot, 14)\n"
         "        raw += q.memory.read(q.ring + 16 * slot + 14, 2)\n",
         ["an empty ring", "one descriptor"]),
        ("marked as used", "    q.slot, q.wrap = slot, wrap\n",
         "    q.memory.store(q.ring + 16 * q.slot + 14, 2, 0x8080 * q.wrap)\n"
         "    q.slot, q.wrap = slot, wrap\n", ["one descriptor"]),
    ],
)  # fmt: skip

LOOP = """
def walk_many(memory, desc, size, heads, longest):
    table = np.frombuffer(memory.read(desc, 16 * size), DESC).tolist()
    starts, found = [0], []
    for head in heads.tolist():
        chain, index, writing = [], head, 0
        while index < size and len(chain) < longest:
            addr, length, flags, following = table[index]
            if flags & 2 < writing:
                break
            writing, index = flags & 2, following
            chain.append((addr, length, writing == 2))
            if not flags & 1:
                found += chain
                break
        starts.append(len(found))
    columns = list(zip(*found)) if found else [(), (), ()]
    types = np.uint64, np.int64, bool
    return np.array(starts), *(np.array(c, t) for c, t in zip(columns, types))
"""

BYTES = LOOP.replace(
    "table = np.frombuffer(memory.read(desc, 16 * size), DESC).tolist()",
    "raw = memory.read(desc, 16 * size)",
).replace(
    "table[index]",
    "[int.from_bytes(raw[16 * index + a:16 * index + b], 'little')"
    " for a, b in ((0, 8), (8, 12), (12, 14), (14, 16))]",
)

ROWS = LOOP.replace(", DESC).tolist()", ", DESC)").replace(
    "table[index]", "(int(field) for field in table[index])"
)

GIVEN = """
from virtlab.course.given.scalar_walk import walk_each


def walk_many(memory, desc, size, heads, longest):
    return walk_each(memory, desc, size, heads, longest)
"""

FINAL = """    return starts, addr, length, (found["flags"] & 2) == 2"""

WRONG_Q8 = slipped(
    "ps04",
    "ps4.q8",
    [
        ("a loop over the chains", "", IMPORTS + LOOP, ["20 times faster"]),
        ("a loop, and bytes", "", IMPORTS + BYTES, ["20 times faster"]),
        ("a loop over rows", "", IMPORTS + ROWS, ["20 times faster"]),
        ("the given one", "", GIVEN, ["many of one"]),
        ("one step", "for _ in range(longest):", "for _ in range(1):", ["a chain of three"]),
        ("a step too few", "for _ in range(longest):", "for _ in range(longest - 1):",
         ["too long"]),
        ("a step too many", "for _ in range(longest):", "for _ in range(longest + 1):",
         ["too long"]),
        ("too long is cut off", "    refused[who] = True\n", "", ["a loop"]),
        ("all go on", "np.flatnonzero(mine & 1)", "np.flatnonzero(mine | 1)", ["one chain of one"]),
        ("while next is not 0", "np.flatnonzero(mine & 1)", "np.flatnonzero(following[index])",
         ["many of one", "of different lengths"]),
        ("NEXT compared", "np.flatnonzero(mine & 1)", "np.flatnonzero(mine == 1)",
         ["a chain of three"]),
        ("the neighbour", "following[index[onward]]", "index[onward] + 1", ["a chain of three"]),
        ("step after step", "order[starts[who] + step] = index",
         "order[np.arange(len(who)) + sum(len(w) for w, _ in steps[:step]) % len(order)] = index",
         ["of different lengths"]),
        ("chains side by side", "order[starts[who] + step] = index", "order[starts[who]] = index",
         ["a chain of three"]),
        ("starts are counts", "np.concatenate(([0], np.cumsum(count)))",
         "np.concatenate((count, [count.sum()]))", ["one chain of one", "many of one"]),
        ("no 0 in front", "np.concatenate(([0], np.cumsum(count)))", "np.cumsum(count)",
         ["one chain of one"]),
        ("starts without the end", "return starts, addr", "return starts[:-1], addr",
         ["one chain of one"]),
        ("addr signed", 'found["addr"].astype(np.uint64)', 'found["addr"].astype(np.int64)',
         ["one chain of one"]),
        ("addr of 63 bits", 'found["addr"].astype(np.uint64)',
         'found["addr"] & np.uint64(2**63 - 1)', ["large numbers"]),
        ("len of 16 bits", 'found["len"].astype(np.int64)',
         '(found["len"] & 0xFFFF).astype(np.int64)',
         ["large numbers"]),
        ("len as it is", 'found["len"].astype(np.int64)', 'found["len"]', ["one chain of one"]),
        ("the flags for write", '(found["flags"] & 2) == 2', 'found["flags"]',
         ["one chain of one"]),
        ("write is NEXT", '(found["flags"] & 2) == 2', '(found["flags"] & 1) == 1',
         ["many of one"]),
        ("write compared", '(found["flags"] & 2) == 2', 'found["flags"] == 2',
         ["a chain of three"]),
        ("lists", FINAL, FINAL.replace("return starts, addr", "return list(starts), addr"),
         ["one chain of one"]),
        ("an array of rows", FINAL, "    return found", ["one chain of one"]),
        ("heads out of the table", "np.flatnonzero(index < size)", "np.arange(len(who))",
         ["heads out of the table"]),
        ("indices reduced", "np.flatnonzero(index < size)", "np.arange(len(index := index % size))",
         ["heads out of the table"]),
        ("a chain that leaves is cut off", "refused[who[index >= size]] = True",
         "refused[who[index >= size]] = len(steps) == 0", ["next out of the table"]),
        ("none has any", "    count[refused] = 0\n", "    count[:] *= not refused.any()\n",
         ["heads out of the table"]),
        ("any order", "        refused[who[np.flatnonzero(mine & 2 < writing)]] = True\n", "",
         ["readable behind writable"]),
        ("writable behind readable", "mine & 2 < writing", "mine & 2 > writing",
         ["many of one", "a chain of three"]),
        ("heads as they are sorted", "np.arange(len(heads)), heads,",
         "np.arange(len(heads)), np.sort(heads),", ["many of one"]),
        ("every head once", "np.arange(len(heads)), heads,",
         "np.unique(heads, return_index=True)[1], np.unique(heads),", ["many of one"]),
        ("16 descriptors", "memory.read(desc, 16 * size)", "memory.read(desc, 256)",
         ["any table", "heads out of the table", "hostile tables"]),
        ("the table twice", 'table["next"].astype(np.int64)',
         'np.frombuffer(memory.read(desc, 16 * size), DESC)["next"].astype(np.int64)',
         ["one chain of one"]),
        ("no chains", "    steps = []\n",
         "    steps = []\n    longest = max(longest, int(heads.min()) * 0 + 1)\n",
         ["no chains"]),
    ],
)  # fmt: skip
