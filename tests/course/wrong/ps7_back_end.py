"""Plausible wrong answers to task 5 of problem set 7: what QEMU would not get along with."""

from tests.course.answers import notebook, sources
from tests.course.wrong.slips import slipped

SLIPS = slipped(
    "ps07",
    "ps7.q5",
    [
        (
            "acked from the beginning",
            "self.acked = self.enabled = False",
            "self.acked, self.enabled = True, False",
            ["features"],
        ),
        (
            "acked whatever is agreed on",
            "bool(number & 1 << 3)",
            "True",
            ["features"],
        ),
        (
            "protocol features of 32 bits",
            "                if number & ~PROTOCOL:",
            "                if ring & ~PROTOCOL:",
            ["what was never offered"],
        ),
        (
            "features that were refused are kept",
            "                if number & ~FEATURES:",
            "                self.accepted = number\n                if number & ~FEATURES:",
            ["without EVENT_IDX"],
        ),
        (
            "a size that was refused is kept",
            "                if not 1 <= value <= QUEUE_SIZE",
            "                self.size = value\n                if not 1 <= value <= QUEUE_SIZE",
            ["sizes"],
        ),
        (
            "disabled, and it begins anew",
            "self.enabled = bool(value)",
            "self.enabled = bool(value)\n                self.q = self.q if value else None",
            ["not enabled"],
        ),
        (
            "enabled, and not broken any more",
            "self.enabled = bool(value)",
            'self.enabled, self.word = bool(value), ""',
            ["a driver that breaks a rule"],
        ),
        (
            "a full ring is broken",
            'if state not in ("sleep", "more"):',
            'if state != "sleep":',
            ["as many as there are entries"],
        ),
        (
            "a size that nobody said",
            "if self.addresses is not None and self.size:",
            "if self.addresses is not None:",
            ["half of it said"],
        ),
        (
            "addresses that nobody said",
            "if self.addresses is not None and self.size:",
            "if self.size:",
            ["half of it said"],
        ),
        (
            "the error's descriptor is refused",
            "case 3 | 12 | 13 | 14:",
            "case 3 | 12 | 13:",
            ["the first request"],
        ),
        (
            "flags are zero in a configuration",
            'struct.pack("<III", offset, size, flags) + data',
            'struct.pack("<III", offset, size, 0) + data',
            ["the configuration"],
        ),
        (
            "descriptors of 15 bytes",
            "16 * self.size",
            "15 * self.size",
            ["a ring that is nowhere"],
        ),
        (
            "a used ring of 9 bytes an entry",
            "6 + 8 * self.size",
            "6 + 9 * self.size",
            ["a ring that is nowhere"],
        ),
        (
            "features as a number",
            'struct.pack("<Q", FEATURES)',
            "FEATURES",
            ["features"],
        ),
        (
            "any features",
            ('                if number & ~FEATURES:\n                    return "refused"\n'),
            "",
            ["what was never offered"],
        ),
        (
            "any protocol features",
            ('                if number & ~PROTOCOL:\n                    return "refused"\n'),
            "",
            ["what was never offered"],
        ),
        (
            "all features must be accepted",
            "                if number & ~FEATURES:",
            "                if number != FEATURES:",
            ["what was never offered"],
        ),
        (
            "acked is the number",
            "self.acked = bool(number & 1 << 3)",
            "self.acked = number & 1 << 3",
            ["features"],
        ),
        (
            "acked by SET_FEATURES too",
            "                self.accepted = number\n",
            (
                "                self.accepted = number\n"
                "                self.acked = bool(number & 1 << 3)\n"
            ),
            ["features"],
        ),
        (
            "config without its head",
            'return struct.pack("<III", offset, size, flags) + data',
            "return data",
            ["the configuration"],
        ),
        (
            "config without zeros",
            'data.ljust(size, b"\\0")',
            "data",
            ["the configuration"],
        ),
        (
            "config from its beginning",
            "[offset : offset + size]",
            "[:size]",
            ["the configuration"],
        ),
        (
            "any size of config",
            ('                if size > 256:\n                    return "refused"\n'),
            "",
            ["the configuration"],
        ),
        (
            "config beyond its end is refused",
            "                if size > 256:",
            "                if size > 256 or offset + size > 72:",
            ["the configuration"],
        ),
        (
            "others are done",
            ('            case _:\n                return "refused"\n'),
            "",
            ["requests of others"],
        ),
        (
            "KICK and CALL are refused",
            ("            case 3 | 12 | 13 | 14:\n                pass\n"),
            ("            case 3:\n                pass\n"),
            ["the first request"],
        ),
        (
            "no refused ring",
            (
                "        if request in (8, 9, 10, 11, 18) and ring != 0:\n"
                '            return "refused"\n'
            ),
            "",
            ["rings that are not there"],
        ),
        (
            "any ring may be stopped",
            "(8, 9, 10, 11, 18)",
            "(8, 9, 10, 18)",
            ["rings that are not there"],
        ),
        (
            "the base in place of the ring",
            'return struct.pack("<II", 0, self.base)',
            'return struct.pack("<II", self.base, 0)',
            ["stopped, and started elsewhere"],
        ),
        (
            "sizes are not judged",
            (
                "                if not 1 <= value <= QUEUE_SIZE or value & (value - 1):\n"
                '                    return "refused"\n'
            ),
            "",
            ["sizes"],
        ),
        (
            "any number of entries",
            "not 1 <= value <= QUEUE_SIZE or value & (value - 1)",
            "not 1 <= value <= QUEUE_SIZE",
            ["sizes"],
        ),
        (
            "used and available swapped",
            "self.addresses = desc, avail, used",
            "self.addresses = desc, used, avail",
            ["the first request"],
        ),
        (
            "addresses are gpas",
            (
                "        gpas = [gpa_of(regions, *part) for part in zip(self.addresses, "
                "lengths, strict=True)]\n"
            ),
            (
                "        gpas = [at if place(regions, at, n) else None for at, n in "
                "zip(self.addresses, lengths, strict=True)]\n"
            ),
            ["the first request"],
        ),
        (
            "found when they are said",
            "                self.addresses = desc, avail, used\n",
            (
                "                self.addresses = desc, avail, used\n"
                "                regions, lengths = self.memory.regions, (16 * self.size, "
                "6 + 2 * self.size, 6 + 8 * self.size)\n"
                "                if None in [gpa_of(regions, *part) for part in "
                "zip(self.addresses, lengths)]:\n"
                '                    return "refused"\n'
            ),
            ["a ring that is nowhere"],
        ),
        (
            "only the first byte of a part",
            "        lengths = 16 * self.size, 6 + 2 * self.size, 6 + 8 * self.size\n",
            "        lengths = 1, 1, 1\n",
            ["a ring that is nowhere"],
        ),
        (
            "lengths of used and available swapped",
            "16 * self.size, 6 + 2 * self.size, 6 + 8 * self.size",
            "16 * self.size, 6 + 8 * self.size, 6 + 2 * self.size",
            ["a ring that is nowhere"],
        ),
        (
            "nowhere is not noticed",
            "            if None in gpas:\n",
            "            if False:\n",
            ["a ring that is nowhere"],
        ),
        (
            "no base",
            "        start(self.q, self.base)\n",
            "",
            ["stopped, and started elsewhere"],
        ),
        (
            "never EVENT_IDX",
            "bool(self.accepted & 1 << 29)",
            "False",
            ["as the driver wishes"],
        ),
        (
            "always EVENT_IDX",
            "bool(self.accepted & 1 << 29)",
            "True",
            ["without EVENT_IDX"],
        ),
        (
            "EVENT_IDX as offered",
            "self.accepted & 1 << 29",
            "FEATURES & 1 << 29",
            ["without EVENT_IDX"],
        ),
        (
            "no ring is not noticed",
            "            if self.addresses is not None and self.size:\n",
            "            if True:\n",
            ["too early"],
        ),
        (
            "always enabled",
            ('        if not self.enabled:\n            return False, "sleep"\n'),
            "",
            ["not enabled"],
        ),
        (
            "enabled once and for all",
            "                self.enabled = bool(value)\n",
            "                self.enabled = True\n",
            ["not enabled"],
        ),
        (
            "not enabled is broken",
            ('        if not self.enabled:\n            return False, "sleep"\n'),
            ('        if not self.enabled:\n            return False, "broken"\n'),
            ["not enabled"],
        ),
        (
            "stopped, and the ring stays",
            ('                self.q, self.word = None, ""\n                return'),
            ('                self.word = ""\n                return'),
            ["stopped, and started elsewhere"],
        ),
        (
            "stopped, and still broken",
            ('                self.q, self.word = None, ""\n                return'),
            ("                self.q = None\n                return"),
            ["a ring that is nowhere"],
        ),
        (
            "stopped, and the base is last_avail",
            "self.base = stop(self.q)",
            "self.base = self.q.last_avail & 0xFFFF",
            ["a driver that breaks a rule"],
        ),
        (
            "stopped, and the base is the old one",
            (
                "                if self.q is not None:\n"
                "                    self.base = stop(self.q)\n"
            ),
            "",
            ["stopped, and started elsewhere"],
        ),
        (
            "stopped, and the base forgotten",
            'return struct.pack("<II", 0, self.base)',
            ('base, self.base = self.base, 0\n                return struct.pack("<II", 0, base)'),
            ["another driver"],
        ),
        (
            "the ring starts at each kick",
            ("        if self.q is None:\n            gpas = [None]\n"),
            ("        if True:\n            gpas = [None]\n"),
            ["several with one kick"],
        ),
        (
            "broken is forgotten",
            ('        if state not in ("sleep", "more"):\n            self.word = state\n'),
            "",
            ["a driver that breaks a rule"],
        ),
        (
            "broken is looked at again",
            ("        if self.word:\n            return False, self.word\n"),
            "",
            ["too early"],
        ),
        (
            "broken, and 'sleep'",
            ("        if self.word:\n            return False, self.word\n"),
            ('        if self.word:\n            return False, "sleep"\n'),
            ["too early"],
        ),
        (
            "what cannot start is tried again",
            ('                self.word = "broken"\n                return False, self.word\n'),
            '                return False, "broken"\n',
            ["too early"],
        ),
        (
            "never called",
            "        return call, state\n",
            "        return False, state\n",
            ["the first request"],
        ),
        (
            "a refused table stays",
            (
                '                if regions == "refused":\n'
                '                    return "refused"\n'
                "                self.memory.regions, self.memory.files = regions, files\n"
            ),
            (
                "                self.memory.files = files\n"
                '                if regions == "refused":\n'
                '                    return "refused"\n'
                "                self.memory.regions = regions\n"
            ),
            ["a table that is refused"],
        ),
        (
            "a refused table is no memory",
            ('                if regions == "refused":\n                    return "refused"\n'),
            (
                '                if regions == "refused":\n'
                "                    self.memory.regions = []\n"
                '                    return "refused"\n'
            ),
            ["a table that is refused"],
        ),
        (
            "a new Mapped",
            "                self.memory.regions, self.memory.files = regions, files\n",
            "                self.memory = Mapped(regions, files, place)\n",
            ["more memory"],
        ),
        (
            "files are counted only",
            "[len(file) for file in files]",
            "[1 << 62 for file in files]",
            ["a table that is refused"],
        ),
        (
            "a table ends the ring",
            "                self.memory.regions, self.memory.files = regions, files\n",
            (
                "                self.memory.regions, self.memory.files = regions, files\n"
                "                self.q = None\n"
            ),
            ["more memory"],
        ),
        (
            "nothing is served",
            "        return parts.answer(buffers, self.memory, self.disk, self.name)\n",
            "        return sum(n for _, n, w in buffers if w)\n",
            ["the first request"],
        ),
    ],
)

PARTS = "\n".join(sources(notebook("solutions", "ps07"))[f"ps7.q{n}"] for n in (2, 3, 4))
"""The tasks that the last one uses."""

WRONG_Q5 = [(mistake, f"{PARTS}\n{source}", cases) for mistake, source, cases in SLIPS]
