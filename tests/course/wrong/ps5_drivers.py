"""Plausible wrong answers to tasks 1 and 2 of problem set 5: eight steps, and a front-end."""

from tests.course.wrong.slips import slipped

RESET = """    cpu.store(base + 0x70, 0, 4)
    for _ in range(100):
        if cpu.load(base + 0x70, 4) == 0:
            break
    else:
        return "dead"
"""
TELL = "    cpu.store(base + 0x70, 1, 4)\n    cpu.store(base + 0x70, 1 | 2, 4)\n"
AGREE = "    cpu.store(base + 0x70, 1 | 2 | 8, 4)\n    if not cpu.load(base + 0x70, 4) & 8:\n"
AGREE += '        return give_up(cpu, base, "refused")\n'
WORDS = """    for half in (0, 1):
        cpu.store(base + 0x24, half, 4)
        cpu.store(base + 0x20, accepted >> 32 * half & 0xFFFF_FFFF, 4)
"""
LEGACY = '    if not accepted >> 32 & 1:\n        return give_up(cpu, base, "legacy")\n'
PROBE = (
    "    if (cpu.load(base, 4), cpu.load(base + 4, 4)) != wanted or cpu.load(base + 8, 4) == 0:\n"
)
FAILED = "cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 128, 4)"
READY = "        cpu.store(base + 0x44, 1, 4)\n"
SIZE = "        cpu.store(base + 0x38, size, 4)\n"
ASK = "        if cpu.load(base + 0x44, 4) != 0 or cpu.load(base + 0x34, 4) < size:\n"
LIVE = "    cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 4, 4)\n"
FIRST = "nothing but VERSION_1"

WRONG_Q1 = slipped(
    "ps05",
    "ps5.q1",
    [
        ("nobody looks who is there", PROBE + "        return None\n", "", [FIRST]),
        ("the version is not asked", PROBE,
         "    if cpu.load(base, 4) != wanted[0] or cpu.load(base + 8, 4) == 0:\n", [FIRST]),
        ("any version", PROBE,
         "    magic, _, device = (cpu.load(base + at, 4) for at in (0, 4, 8))\n"
         "    if magic != wanted[0] or device == 0:\n", ["another version"]),
        ("any magic", PROBE,
         "    _, version, device = (cpu.load(base + at, 4) for at in (0, 4, 8))\n"
         "    if version != 2 or device == 0:\n", ["no virtio here"]),
        ("version 1 is good enough", PROBE,
         "    magic, version, device = (cpu.load(base + at, 4) for at in (0, 4, 8))\n"
         "    if magic != wanted[0] or version > 2 or device == 0:\n", ["another version"]),
        ("an empty window is driven", PROBE,
         "    magic, version, _ = (cpu.load(base + at, 4) for at in (0, 4, 8))\n"
         "    if (magic, version) != wanted:\n", ["an empty window"]),
        ("the id first", PROBE,
         "    if cpu.load(base + 8, 4) == 0 or (cpu.load(base, 4), cpu.load(base + 4, 4)) != "
         "wanted:\n", [FIRST]),
        ("a word for nobody", PROBE + "        return None\n", PROBE + '        return "nobody"\n',
         ["no virtio here"]),
        ("nobody is told FAILED", PROBE + "        return None\n",
         PROBE + "        return give_up(cpu, base, None)\n", ["no virtio here"]),
        ("no reset", RESET, "", [FIRST]),
        ("the reset is not waited for", RESET, "    cpu.store(base + 0x70, 0, 4)\n",
         ["a slow reset"]),
        ("read back once", RESET,
         "    cpu.store(base + 0x70, 0, 4)\n    cpu.load(base + 0x70, 4)\n", ["a slow reset"]),
        ("written until it is 0", RESET,
         "    cpu.store(base + 0x70, 0, 4)\n    while cpu.load(base + 0x70, 4):\n"
         "        cpu.store(base + 0x70, 0, 4)\n", ["a slow reset"]),
        ("patient for ever", RESET,
         "    cpu.store(base + 0x70, 0, 4)\n    while cpu.load(base + 0x70, 4):\n        pass\n",
         ["a reset that never ends"]),
        ("only 50 reads", "range(100)", "range(50)", ["a slow reset"]),
        ("99 reads", "range(100)", "range(99)", ["a slow reset"]),
        ("goes on with a dead device", '    else:\n        return "dead"\n', "",
         ["a reset that never ends"]),
        ("FAILED to a dead device", '        return "dead"',
         '        return give_up(cpu, base, "dead")', ["a reset that never ends"]),
        ("two steps in one", TELL, "    cpu.store(base + 0x70, 3, 4)\n", [FIRST]),
        ("all steps in one", TELL, "    cpu.store(base + 0x70, 11, 4)\n", [FIRST]),
        ("no ACKNOWLEDGE", TELL, "    cpu.store(base + 0x70, 2, 4)\n", [FIRST]),
        ("no DRIVER", TELL, "    cpu.store(base + 0x70, 1, 4)\n", [FIRST]),
        ("DRIVER takes ACKNOWLEDGE away", "1 | 2, 4)\n    offered", "2, 4)\n    offered", [FIRST]),
        ("FEATURES_OK alone", "1 | 2 | 8, 4)", "8, 4)", [FIRST]),
        ("FEATURES_OK is 4", "1 | 2 | 8, 4)", "1 | 2 | 4, 4)", [FIRST]),
        ("features before DRIVER",
         TELL + "    offered = 0\n", "    offered = cpu.load(base + 0x10, 4)\n" + TELL, [FIRST]),
        ("one word of features", "    for half in (0, 1):\n        cpu.store(base + 0x14",
         "    for half in (0,):\n        cpu.store(base + 0x14", [FIRST]),
        ("no selector", "        cpu.store(base + 0x14, half, 4)\n", "", [FIRST]),
        ("a selector for what is accepted", "base + 0x14, half", "base + 0x24, half", [FIRST]),
        ("words swapped", "cpu.load(base + 0x10, 4) << 32 * half",
         "cpu.load(base + 0x10, 4) << 32 * (1 - half)", [FIRST]),
        ("a shift of 16", "<< 32 * half", "<< 16 * half", [FIRST]),
        ("all that is offered", "choose(offered & understood, needs)", "choose(offered, needs)",
         ["what both know"]),
        ("all that is understood", "choose(offered & understood, needs)",
         "choose(understood, needs)", ["what both know"]),
        ("or for and", "offered & understood", "offered | understood", ["what both know"]),
        ("of the high word only VERSION_1", "choose(offered & understood, needs)",
         "choose(offered & understood & (1 << 33) - 1, needs)", ["the high word"]),
        ("nothing that has needs", "if both >> bit & 1 and others & ~both)", "if both >> bit & 1)",
         ["a feature with what it needs"]),
        ("only what is accepted before it", "    lacking = None\n    while lacking != 0:\n",
         "    got, before = 0, None\n    while got != before:\n        before = got\n"
         "        for bit in range(64):\n            if both >> bit & 1 and not needs.get(bit, "
         "0) & ~got:\n"
         "                got |= 1 << bit\n    return got\n    while lacking != 0:\n",
         ["two that need each other"]),
        ("needs are not asked", "choose(offered & understood, needs)", "offered & understood",
         ["a feature without it"]),
        ("needs of what is not there", "if both >> bit & 1 and others & ~both", "if others & ~both",
         ["a feature without it", "any device", "one of two is missing", "a chain of needs"]),
        ("one round", "    while lacking != 0:\n", "    for _ in range(1):\n",
         ["a chain of needs", "one of two is missing"]),
        ("one of two is enough", "others & ~both)", "not others & both)",
         ["one of two is missing"]),
        ("what is needed is accepted too", "        both &= ~lacking\n",
         "        both |= sum(others for bit, others in needs.items() if both >> bit & 1)\n"
         "        return both\n", ["a feature without it"]),
        ("needed by anybody", "        both &= ~lacking\n", "        both = both and 1 << 32\n",
         ["a feature with what it needs", "a feature without it", "what both know"]),
        ("legacy is fine", LEGACY, "", ["a legacy device"]),
        ("legacy, but not FAILED", 'return give_up(cpu, base, "legacy")', 'return "legacy"',
         ["a legacy device"]),
        ("legacy in the low word", "accepted >> 32 & 1", "accepted & 1", [FIRST]),
        ("FAILED alone", FAILED, "cpu.store(base + 0x70, 128, 4)", ["a legacy device"]),
        ("FAILED is 64", FAILED, "cpu.store(base + 0x70, cpu.load(base + 0x70, 4) | 64, 4)",
         ["a legacy device"]),
        ("a reset in place of FAILED", FAILED, "cpu.store(base + 0x70, 0, 4)", ["a legacy device"]),
        ("one word is told", WORDS, "    cpu.store(base + 0x24, 0, 4)\n"
         "    cpu.store(base + 0x20, accepted & 0xFFFF_FFFF, 4)\n", [FIRST]),
        ("the low word is not told", WORDS,
         "    cpu.store(base + 0x24, 1, 4)\n    cpu.store(base + 0x20, accepted >> 32, 4)\n",
         ["what both know"]),
        ("nothing is told", WORDS, "", [FIRST]),
        ("told without a selector", "        cpu.store(base + 0x24, half, 4)\n", "", [FIRST]),
        ("told to the wrong register", "cpu.store(base + 0x20, accepted",
         "cpu.store(base + 0x10, accepted", [FIRST]),
        ("told in 8 bytes", WORDS, "    cpu.store(base + 0x20, accepted, 8)\n", [FIRST]),
        ("told after FEATURES_OK", WORDS + AGREE, AGREE + WORDS, [FIRST]),
        ("not read back", AGREE, "    cpu.store(base + 0x70, 1 | 2 | 8, 4)\n", [FIRST]),
        ("read back, not looked at", AGREE,
         "    cpu.store(base + 0x70, 1 | 2 | 8, 4)\n    cpu.load(base + 0x70, 4)\n",
         ["the device does not agree"]),
        ("refused without FAILED", 'give_up(cpu, base, "refused")', '"refused"',
         ["the device does not agree"]),
        ("the high word is given", "    return accepted\n\n\ndef choose",
         "    return accepted >> 32\n\n\ndef choose", [FIRST]),
        ("a set is given", "    return accepted\n\n\ndef choose",
         "    return {bit for bit in range(64) if accepted >> bit & 1}\n\n\ndef choose", [FIRST]),
        ("no return", "    return accepted\n\n\ndef choose", "\n\ndef choose", [FIRST]),
        ("DRIVER_OK at once", "    return accepted\n\n\ndef choose",
         "    cpu.store(base + 0x70, 15, 4)\n    return accepted\n\n\ndef choose", [FIRST]),
        ("no queue is a failure", "    for number, (size",
         '    if not queues:\n        return give_up(cpu, base, "queue")\n    for number, (size',
         ["no queue wanted"]),
        ("queues are not selected", "        cpu.store(base + 0x30, number, 4)\n", "",
         ["three queues"]),
        ("queues from 1 on", "base + 0x30, number, 4", "base + 0x30, number + 1, 4", ["one queue"]),
        ("nothing is asked", ASK + '            return give_up(cpu, base, "queue")\n', "",
         ["one queue"]),
        ("in use is not asked", ASK, "        if cpu.load(base + 0x34, 4) < size:\n",
         ["one queue"]),
        ("the size is not asked", ASK, "        if cpu.load(base + 0x44, 4) != 0:\n",
         ["one queue"]),
        ("any queue will do", ASK,
         "        if cpu.load(base + 0x44, 4) + (cpu.load(base + 0x34, 4) == 0):\n", ["too large"]),
        ("in use, but overwritten", ASK,
         "        cpu.load(base + 0x44, 4)\n        if cpu.load(base + 0x34, 4) < size:\n",
         ["in use already"]),
        ("equal is too large", "4) < size", "4) <= size", ["one queue"]),
        ("the largest size", "        cpu.store(base + 0x38, size, 4)\n", "", ["one queue"]),
        ("no high half", "            cpu.store(base + offset + 4, gpa >> 32, 4)\n", "",
         ["an address beyond 4 GiB"]),
        ("8 bytes behind", "base + offset + 4, gpa >> 32", "base + offset + 8, gpa >> 32",
         ["one queue"]),
        ("halves swapped", "base + offset, gpa & 0xFFFF_FFFF", "base + offset, gpa >> 32",
         ["one queue"]),
        ("the address as one number", "            cpu.store(base + offset + 4, gpa >> 32, 4)\n",
         "            cpu.store(base + offset + 4, gpa, 4)\n", ["one queue"]),
        ("driver and device swapped", "(0x80, 0x90, 0xA0)", "(0x80, 0xA0, 0x90)", ["one queue"]),
        ("not made ready", READY, "", ["one queue"]),
        ("ready first", SIZE, SIZE + READY, ["one queue"]),
        ("only the last is ready", "\n        cpu.store(base + 0x44, 1, 4)\n",
         "\n    cpu.store(base + 0x44, 1, 4)\n", ["three queues"]),
        ("no DRIVER_OK", LIVE, "", ["one queue"]),
        ("DRIVER_OK before the queues", LIVE, "", ["one queue"]),
        ("DRIVER_OK alone", LIVE, "    cpu.store(base + 0x70, 4, 4)\n", ["one queue"]),
        ("FAILED for no DRIVER_OK", "| 4, 4)\n    return", "| 128, 4)\n    return", ["one queue"]),
        ("always live", "    return cpu.load(base + 0x70, 4) & 64 == 0", "    return True",
         ["one queue"]),
        ("looked at, and always live", "    return cpu.load(base + 0x70, 4) & 64 == 0",
         "    cpu.load(base + 0x70, 4)\n    return True", ["a queue where none may lie"]),
        ("live the other way", "& 64 == 0", "& 64 != 0", ["one queue"]),
        ("looks before DRIVER_OK", LIVE + "    return cpu.load(base + 0x70, 4) & 64 == 0",
         "    status = cpu.load(base + 0x70, 4)\n    cpu.store(base + 0x70, status | 4, 4)\n"
         "    return status & 64 == 0", ["one queue"]),
        ("no queue, no FAILED", 'give_up(cpu, base, "queue")', '"queue"', ["no such queue"]),
        ("no queue is no matter", 'return give_up(cpu, base, "queue")', "break", ["no such queue"]),
        ("None for no queue", 'return give_up(cpu, base, "queue")',
         "return give_up(cpu, base, None)", ["no such queue"]),
    ],
)  # fmt: skip

ADD = "            queue.add_buf([], [(gpa, length)], gpa)\n"
SLEEP = '                if cpu.wait() is None:\n                    return "silent"\n'
LOOK = "            while (used := queue.get_buf()) is None:\n" + SLEEP
EMPTY = '            if written == 0:\n                return "empty"\n'
CLEAR = "            cpu.write(gpa, bytes(written))\n"
KICK = "        queue.kick()\n"

WRONG_Q2 = slipped(
    "ps05",
    "ps5.q2",
    [
        ("to be read by the device", "queue.add_buf([], [(gpa, length)], gpa)",
         "queue.add_buf([(gpa, length)], [], gpa)", ["one buffer"]),
        ("never added", ADD, "", ["one buffer"]),
        ("no kick", KICK, "", ["one buffer"]),
        ("halts before it looks", "        for _ in range(out):\n",
         "        for _ in range(out):\n            cpu.wait()\n", ["one buffer"]),
        ("a kick for each", ADD, ADD + "            queue.kick()\n", ["two buffers"]),
        ("no kick but at the end", KICK + "        for", "        for",
         ["one buffer"]),
        ("whole buffers", "length = min(size, missing)", "length = size", ["less than a buffer"]),
        ("all that is missing", "length = min(size, missing)", "length = missing", ["two buffers"]),
        ("all buffers",
         "            if missing == 0:\n                break\n"
         "            length = min(size, missing)", "            length = min(size, missing) or 1",
         ["one buffer", "less than a buffer"]),
        ("all buffers, whole",
         "            if missing == 0:\n                break\n"
         "            length = min(size, missing)", "            length = size", ["one buffer"]),
        ("more than are free", "buffers[: queue.free]", "buffers", ["a small queue"]),
        ("one buffer at a time", "buffers[: queue.free]", "buffers[:1]", ["two buffers"]),
        ("all but one", "buffers[: queue.free]", "buffers[: queue.free - 1]",
         ["a small queue", "any device"]),
        ("from the end", "buffers[: queue.free]", "buffers[::-1][: queue.free]", ["one buffer"]),
        ("one round", "    while len(data) < n:\n", "    if n:\n", ["more than they hold"]),
        ("a round for nothing", "    while len(data) < n:\n", "    while True:\n",
         ["one buffer", "nothing wanted"]),
        ("a round too many", "while len(data) < n:", "while len(data) <= n:", ["one buffer"]),
        ("asked for nothing", "    while len(data) < n:\n",
         "    if n == 0:\n        queue.add_buf([], [(buffers[0], 1)], 0)\n        queue.kick()\n"
         "    while len(data) < n:\n", ["nothing wanted"]),
        ("waits for nothing", '    data = b""\n', '    data = b""\n    cpu.wait()\n',
         ["nothing wanted"]),
        ("as long as asked", "data += cpu.read(gpa, written)", "data += cpu.read(gpa, size)",
         ["less than a buffer"]),
        ("as long as the last one", "data += cpu.read(gpa, written)",
         "data += cpu.read(gpa, length)", ["two buffers", "half of each"]),
        ("as long as offered",
         "            data += cpu.read(gpa, written)",
         "            data += cpu.read(gpa, min(size, n - len(data)))", ["half of each"]),
        ("a byte more", "cpu.read(gpa, written)", "cpu.read(gpa, written + 1)", ["one buffer"]),
        ("the first buffer again and again", "data += cpu.read(gpa, written)",
         "data += cpu.read(buffers[0], written)", ["two buffers"]),
        ("in the order of the list", "            gpa, written = used\n",
         "            written, gpa = used.written, buffers[_]\n", ["in another order"]),
        ("newest first", "data += cpu.read(gpa, written)", "data = cpu.read(gpa, written) + data",
         ["two buffers"]),
        ("only the last", "data += cpu.read(gpa, written)", "data = cpu.read(gpa, written)",
         ["two buffers", "more than they hold"]),
        ("a list of pieces", "    return data\n", "    return [data]\n", ["one buffer"]),
        ("a bytearray", '    data = b""\n', "    data = bytearray()\n", ["one buffer"]),
        ("left behind", CLEAR, "", ["nothing is left behind"]),
        ("cleared before it is read",
         "            data += cpu.read(gpa, written)\n" + CLEAR,
         CLEAR + "            data += cpu.read(gpa, written)\n", ["one buffer"]),
        ("a byte is cleared", CLEAR, "            cpu.write(gpa, bytes(1))\n",
         ["nothing is left behind"]),
        ("cleared in the list's order", CLEAR,
         "            cpu.write(buffers[_], bytes(written))\n",
         ["in another order", "nothing is left behind", "any device"]),
        ("cleared too far", CLEAR, "            cpu.write(gpa, bytes(size + 8))\n", ["one buffer"]),
        ("only the first buffer is cleared", CLEAR,
         "            if gpa == buffers[0]:\n                cpu.write(gpa, bytes(written))\n",
         ["nothing is left behind"]),
        ("does not wait", LOOK, "            used = queue.get_buf()\n            if used is None:\n"
         '                return "silent"\n', ["it takes a while"]),
        ("halts once for each", LOOK,
         "            if cpu.wait() is None:\n                return \"silent\"\n"
         "            used = queue.get_buf()\n", ["one buffer"]),
        ("halts first", LOOK,
         '            if cpu.wait() is None:\n                return "silent"\n' + LOOK,
         ["one buffer"]),
        ("an interrupt brings a buffer", LOOK,
         "            used = queue.get_buf()\n            if used is None:\n"
         '                if cpu.wait() is None:\n                    return "silent"\n'
         "                used = queue.get_buf()\n", ["an interrupt for nothing"]),
        ("one interrupt brings all", LOOK,
         "            used = queue.get_buf()\n            if used is None and _ == 0:\n"
         '                if cpu.wait() is None:\n                    return "silent"\n'
         "                used = queue.get_buf()\n            if used is None:\n"
         '                return "silent"\n',
         ["it takes a while"]),
        ("two interrupts are enough", LOOK,
         "            used = queue.get_buf()\n            for _ in range(2):\n"
         "                if used is None and cpu.wait() is None:\n"
         '                    return "silent"\n                used = used or queue.get_buf()\n',
         ["an interrupt for nothing"]),
        ("waits for ever", SLEEP, "                cpu.wait()\n", ["no answer"]),
        ("polls for ever", SLEEP, "                pass\n", ["it takes a while"]),
        ("what there is", 'return "silent"', "return data", ["no answer"]),
        ("a timeout is nothing", 'return "silent"', "break", ["no answer"]),
        ("None when silent", 'return "silent"', "return None", ["no answer"]),
        ("an exception when silent", 'return "silent"', 'raise TimeoutError("silent")',
         ["no answer"]),
        ("empty is not asked", EMPTY, "", ["an empty buffer"]),
        ("empty is silent", 'return "empty"', 'return "silent"', ["an empty buffer"]),
        ("the rest is given", 'return "empty"', "return data", ["an empty buffer"]),
        ("empty is skipped", '                return "empty"\n', "                continue\n",
         ["an empty buffer"]),
        ("empty only if all are", EMPTY,
         '            if written == 0 and not data:\n                return "empty"\n',
         ["an empty buffer among others"]),
        ("the next round before the last buffer", "        for _ in range(out):\n",
         "        for _ in range(max(1, out - 1)):\n", ["two buffers", "fewer than there are"]),
        ("one buffer a round", "        for _ in range(out):\n", "        for _ in range(1):\n",
         ["two buffers"]),
        ("waits for all buffers", "        for _ in range(out):\n",
         "        for _ in range(len(buffers)):\n", ["one buffer"]),
        ("nothing is missing", "            missing -= length\n", "            missing = 0\n",
         ["two buffers"]),
        ("asks for all again", "missing, out = n - len(data), 0", "missing, out = n, 0",
         ["more than they hold"]),
    ],
)  # fmt: skip
