"""Plausible wrong answers to task 1 of problem set 7: a stream cut wrongly, and what goes back."""

from tests.course.wrong.slips import slipped

WRONG_Q1 = slipped(
    "ps07",
    "ps7.q1",
    [
        (
            "no return",
            "    return messages, data\n",
            "",
            ["one message"],
        ),
        (
            "a list, not a tuple",
            "    return messages, data\n",
            "    return [messages, data]\n",
            ["one message"],
        ),
        (
            "messages as lists",
            "messages.append((request, flags, data[12 : 12 + size]))",
            "messages.append([request, flags, data[12 : 12 + size]])",
            ["one message"],
        ),
        (
            "the header stays on the payload",
            "data[12 : 12 + size]))",
            "data[: 12 + size]))",
            ["one message"],
        ),
        (
            "the payload has no end",
            "data[12 : 12 + size]))",
            "data[12:]))",
            ["two messages"],
        ),
        (
            "size counts the header",
            (
                "        if len(data) < 12 + size:\n"
                "            break\n"
                "        messages.append((request, flags, data[12 : 12 + size]))\n"
                "        data = data[12 + size :]"
            ),
            (
                "        if len(data) < size:\n"
                "            break\n"
                "        messages.append((request, flags, data[12:size]))\n"
                "        data = data[size:]"
            ),
            ["one message"],
        ),
        (
            "a header of 8 bytes",
            "    while len(data) >= 12:",
            "    while len(data) >= 8:",
            ["half a header"],
        ),
        (
            "flags before the request",
            "request, flags, size = struct",
            "flags, request, size = struct",
            ["one message"],
        ),
        (
            "big-endian",
            '"<III", data',
            '">III", data',
            ["one message"],
        ),
        (
            "one message only",
            "        data = data[12 + size :]\n",
            ("        data = data[12 + size :]\n        break\n"),
            ["two messages"],
        ),
        (
            "more than the header is needed",
            "len(data) >= 12:",
            "len(data) > 12:",
            ["no payload"],
        ),
        (
            "half a message is given",
            ("        if len(data) < 12 + size:\n            break\n"),
            "",
            ["half a payload"],
        ),
        (
            "half a message is dropped",
            ("            break\n        messages"),
            ('            return messages, b""\n        messages'),
            ["half a payload"],
        ),
        (
            "the header of a half one is dropped",
            ("            break\n        messages"),
            ("            return messages, data[12:]\n        messages"),
            ["half a payload"],
        ),
        (
            "one byte is missing and it does not matter",
            "if len(data) < 12 + size:",
            "if len(data) < 11 + size:",
            ["half a payload"],
        ),
        (
            "the last message waits",
            "if len(data) < 12 + size:",
            "if len(data) <= 12 + size:",
            ["one message"],
        ),
        (
            "the payload as a bytearray",
            "data[12 : 12 + size]))",
            "bytearray(data[12 : 12 + size])))",
            ["one message"],
        ),
        (
            "flags without the version",
            "messages.append((request, flags,",
            "messages.append((request, flags & ~3,",
            ["one message"],
        ),
        (
            "flags of 4 bits",
            "messages.append((request, flags,",
            "messages.append((request, flags & 15,",
            ["flags are kept"],
        ),
        (
            "no version is looked at",
            "flags & 3 != 1 or size",
            "size",
            ["another version"],
        ),
        (
            "only bit 0 of the version",
            "flags & 3 != 1",
            "not flags & 1",
            ["another version"],
        ),
        (
            "all flags are the version",
            "flags & 3 != 1",
            "flags != 1",
            ["flags are kept"],
        ),
        (
            "flags up to 15",
            "flags & 3 != 1",
            "flags & ~12 != 1",
            ["flags are kept"],
        ),
        (
            "no size is too large",
            " or size > 268",
            "",
            ["a size that lies"],
        ),
        (
            "268 is too large",
            "size > 268",
            "size >= 268",
            ["the longest payload"],
        ),
        (
            "the whole message has 268",
            "size > 268",
            "size > 256",
            ["the longest payload"],
        ),
        (
            "a size that lies is waited for",
            (
                "        if flags & 3 != 1 or size > 268:\n"
                "            return messages, None\n"
                "        if len(data) < 12 + size:\n"
                "            break\n"
            ),
            (
                "        if len(data) < 12 + size:\n"
                "            break\n"
                "        if flags & 3 != 1 or size > 268:\n"
                "            return messages, None\n"
            ),
            ["a size that lies"],
        ),
        (
            "nothing is given before a bad one",
            "            return messages, None\n",
            "            return [], None\n",
            ["before a bad one"],
        ),
        (
            "a bad one is skipped",
            "            return messages, None\n",
            ("            data = data[12 + size :]\n            continue\n"),
            ["a size that lies"],
        ),
        (
            "a bad one is an error",
            "            return messages, None\n",
            '            raise ValueError("a bad header")\n',
            ["a size that lies"],
        ),
        (
            "the rest of a bad one",
            "            return messages, None\n",
            "            return messages, data\n",
            ["a size that lies"],
        ),
        (
            "bad and half are the same",
            "            return messages, None\n",
            "            break\n",
            ["a size that lies"],
        ),
        (
            "reply: no return",
            '    return struct.pack("<III", request, 1 | 4, len(result)) + result\n',
            "",
            ["an answer"],
        ),
        (
            "reply: no header",
            '    return struct.pack("<III", request, 1 | 4, len(result)) + result\n',
            "    return result\n",
            ["an answer"],
        ),
        (
            "reply: no REPLY",
            "request, 1 | 4,",
            "request, 1,",
            ["an answer"],
        ),
        (
            "reply: no version",
            "request, 1 | 4,",
            "request, 4,",
            ["an answer"],
        ),
        (
            "reply: the flags of the request stay",
            "request, 1 | 4,",
            "request, flags | 4,",
            ["an answer"],
        ),
        (
            "reply: size counts the header",
            "1 | 4, len(result))",
            "1 | 4, 12 + len(result))",
            ["an answer"],
        ),
        (
            "reply: the size of the request",
            "1 | 4, len(result))",
            "1 | 4, len(payload))",
            ["an answer"],
        ),
        (
            "reply: numbers of 4 bytes",
            'struct.pack("<Q", result',
            'struct.pack("<I", result',
            ["done, and asked"],
        ),
        (
            "reply: an empty answer is none",
            "if not isinstance(result, bytes):",
            'if not result or result == "refused":',
            ["an empty answer"],
        ),
        (
            "reply: 0 goes back always",
            ('        if result is None and not asked:\n            return b""\n'),
            "",
            ["done"],
        ),
        (
            "reply: 0 if it is asked, agreed or not",
            "asked = flags & 8 and acked",
            "asked = flags & 8",
            ["asked, and not agreed"],
        ),
        (
            "reply: 0 if it is agreed, asked or not",
            "asked = flags & 8 and acked",
            "asked = acked",
            ["done"],
        ),
        (
            "reply: NEED_REPLY is bit 2",
            "asked = flags & 8 and acked",
            "asked = flags & 4 and acked",
            ["done, and asked"],
        ),
        (
            "reply: 1 for done",
            "result is not None)",
            "result is None)",
            ["done, and asked"],
        ),
        (
            "reply: done is never told",
            "        if result is None and not asked:\n",
            "        if result is None:\n",
            ["done, and asked"],
        ),
        (
            "reply: None for nothing",
            '            return b""\n',
            "            return None\n",
            ["done"],
        ),
        (
            "reply: a failure that nobody asked about is passed over",
            ("(not asked or request in ANSWERED):\n            return None\n"),
            ('(not asked or request in ANSWERED):\n            return b""\n'),
            ["refused"],
        ),
        (
            "reply: 1 goes back even if it is not asked",
            "(not asked or request in ANSWERED)",
            "request in ANSWERED",
            ["refused"],
        ),
        (
            "reply: hang up at every failure",
            "if result is not None and (not asked or request in ANSWERED):",
            "if result is not None:",
            ["refused, and asked"],
        ),
        (
            "reply: 1 in place of what was asked for",
            "(not asked or request in ANSWERED)",
            "not asked",
            ["no answer to what asks"],
        ),
        (
            "reply: an answer only where one is due",
            "    if not isinstance(result, bytes):\n",
            (
                "    if isinstance(result, bytes) and request not in ANSWERED:\n"
                '        return b""\n'
                "    if not isinstance(result, bytes):\n"
            ),
            ["an answer"],
        ),
        (
            "reply: a reply is looked into",
            ("    if flags & 4:\n        return None\n"),
            "",
            ["a reply that nobody wants"],
        ),
        (
            "reply: a reply is looked into, then refused",
            ("    if flags & 4:\n        return None\n    result = handle(request, payload)\n"),
            ("    result = handle(request, payload)\n    if flags & 4:\n        return None\n"),
            ["a reply that nobody wants"],
        ),
        (
            "reply: a reply is passed over",
            ("    if flags & 4:\n        return None\n"),
            ('    if flags & 4:\n        return b""\n'),
            ["a reply that nobody wants"],
        ),
        (
            "reply: handle twice",
            "    result = handle(request, payload)\n",
            (
                "    if handle(request, payload) is None and not flags & 8:\n"
                '        return b""\n'
                "    result = handle(request, payload)\n"
            ),
            ["an answer"],
        ),
        (
            "reply: handle gets the message",
            "handle(request, payload)",
            "handle(request, message)",
            ["an answer"],
        ),
    ],
)
