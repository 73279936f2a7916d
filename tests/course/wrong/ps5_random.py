"""Plausible wrong answers to tasks 3 and 4 of problem set 5: one source of numbers, two devices."""

from tests.course.wrong.slips import slipped

READ = """        if (offset, size) != (4, 4):
            return 0
        self.state = xorshift(self.state)
        return self.state
"""
NUMBERS = "    numbers = [cpu.load(base + 4, 4) for _ in range((length + 3) // 4)]\n"
JOIN = '    return b"".join(number.to_bytes(4, "little") for number in numbers)[:length]\n'
TAKE = "self.state = value or 1"

WRONG_Q3 = slipped(
    "ps05",
    "ps5.q3",
    [
        ("the state before", READ, """        if (offset, size) != (4, 4):
            return 0
        before, self.state = self.state, xorshift(self.state)
        return before
""", ["the first number"]),
        ("begins at 0", "self.state = 1\n", "self.state = 0\n", ["the first number"]),
        ("begins at its first number", "self.state = 1\n", "self.state = xorshift(1)\n",
         ["the first number"]),
        ("always the same",
         "        self.state = xorshift(self.state)\n        return self.state\n",
         "        return xorshift(self.state)\n", ["the next ones"]),
        ("two steps", "self.state = xorshift(self.state)",
         "self.state = xorshift(xorshift(self.state))", ["the first number"]),
        ("no return", "        return self.state\n", "", ["the first number"]),
        ("bytes", "        return self.state\n",
         "        return self.state.to_bytes(4, 'little')\n", ["the first number"]),
        ("a random number", "self.state = xorshift(self.state)",
         "self.state = __import__('random').getrandbits(32)", ["the first number"]),
        ("the registers swapped", "!= (4, 4)", "!= (0, 4)", ["the first number"]),
        ("SEED at 4", "== (0, 4)", "== (4, 4)", ["a seed"]),
        ("the seed is lost", TAKE, "pass", ["a seed"]),
        ("the seed is mixed in", TAKE, "self.state = (self.state ^ value) or 1",
         ["a seed", "the same seed again"]),
        ("only the first seed counts", TAKE,
         "self.state = value if self.state == 1 else self.state", ["the same seed again"]),
        ("31 bits", TAKE, "self.state = value & 0x7FFFFFFF or 1", ["all ones"]),
        ("16 bits", TAKE, "self.state = value & 0xFFFF or 1", ["a seed"]),
        ("the seed 0 is 0", TAKE, "self.state = value", ["the seed 0"]),
        ("the seed 0 is ignored", TAKE, "self.state = value or self.state", ["the seed 0"]),
        ("all seeds but 0 are one more", TAKE, "self.state = value + 1 & 0xFFFFFFFF", ["a seed"]),
        ("SEED shows the state", "            return 0\n",
         "            return self.state if offset == 0 else 0\n", ["SEED is read"]),
        ("SEED advances", "        if (offset, size) != (4, 4):\n            return 0\n",
         "        if size != 4 or offset not in (0, 4):\n            return 0\n", ["SEED is read"]),
        ("reading SEED begins anew", "            return 0\n",
         "            self.state = 1 if offset == 0 else self.state\n            return 0\n",
         ["SEED is read"]),
        ("NEXT takes a value", "(offset, size) == (0, 4)", "size == 4 and offset in (0, 4)",
         ["NEXT is written"]),
        ("NEXT advances when written", TAKE,
         TAKE + "\n        elif offset == 4 and size == 4:\n"
         "            self.state = xorshift(self.state)",
         ["NEXT is written"]),
        ("any size is a read", "(offset, size) != (4, 4)", "offset != 4", ["narrow reads"]),
        ("a byte of the state", "            return 0\n",
         "            return self.state & (1 << 8 * size) - 1 if offset == 4 else 0\n",
         ["narrow reads"]),
        ("narrow reads advance", "            return 0\n",
         "            if offset == 4 and size < 4:\n"
         "                self.state = xorshift(self.state)\n"
         "            return 0\n", ["narrow reads"]),
        ("any size is a write", "(offset, size) == (0, 4)", "offset == 0",
         ["narrow writes"]),
        ("4 bytes or more is a write", "(offset, size) == (0, 4)", "offset == 0 and size >= 4",
         ["wide accesses"]),
        ("4 bytes or more is a read", "(offset, size) != (4, 4)", "offset != 4 or size < 4",
         ["wide accesses"]),
        ("offsets rounded down", "(offset, size) != (4, 4)", "(offset // 4 * 4, size) != (4, 4)",
         ["between the registers"]),
        ("writes rounded down", "(offset, size) == (0, 4)", "(offset // 4, size) == (0, 4)",
         ["between the registers"]),
        ("everything but SEED is NEXT", "(offset, size) != (4, 4)", "offset == 0 or size != 4",
         ["between the registers"]),
        ("again behind them", "(offset, size) != (4, 4)", "(offset % 8, size) != (4, 4)",
         ["behind them"]),
        ("SEED again behind them", "(offset, size) == (0, 4)", "(offset % 8, size) == (0, 4)",
         ["behind them"]),
        ("all ones elsewhere", "            return 0\n",
         "            return 0xFFFFFFFF >> 32 - 8 * min(size, 4)\n", ["SEED is read"]),
        ("a KeyError elsewhere", "            return 0\n", "            raise KeyError(offset)\n",
         ["SEED is read"]),
        ("None elsewhere", "            return 0\n", "            return\n", ["SEED is read"]),
        ("one state for all", "        self.state = 1\n",
         "        self.__dict__ = vars(xorshift)\n        self.state = 1\n", ["two devices"]),
        ("no seed", "    cpu.store(base, seed, 4)\n", "", ["one number"]),
        ("the seed again for each", NUMBERS,
         "    numbers = []\n    for _ in range((length + 3) // 4):\n"
         "        cpu.store(base, seed, 4)\n"
         "        numbers.append(cpu.load(base + 4, 4))\n", ["one number"]),
        ("the seed in a byte", "cpu.store(base, seed, 4)", "cpu.store(base, seed, 1)",
         ["one number"]),
        ("the seed to NEXT", "cpu.store(base, seed, 4)", "cpu.store(base + 4, seed, 4)",
         ["one number", "some bytes"]),
        ("from SEED", "cpu.load(base + 4, 4)", "cpu.load(base, 4)", ["one number"]),
        ("byte by byte",
         NUMBERS + JOIN,
         "    return bytes(cpu.load(base + 4, 1) for _ in range(length))\n", ["one number"]),
        ("the low byte of each",
         NUMBERS + JOIN,
         "    return bytes(cpu.load(base + 4, 4) & 0xFF for _ in range(length))\n", ["one number"]),
        ("rounded down", "(length + 3) // 4", "length // 4", ["some bytes"]),
        ("one too many", "(length + 3) // 4", "length // 4 + 1", ["one number"]),
        ("a load for each byte", "(length + 3) // 4", "length", ["one number"]),
        ("not cut", "for number in numbers)[:length]", "for number in numbers)", ["some bytes"]),
        ("cut at the front", "for number in numbers)[:length]", "for number in numbers)[-length:]",
         ["some bytes"]),
        ("big-endian", '"little"', '"big"', ["one number"]),
        ("a list of numbers",
         '    return b"".join(number.to_bytes(4, "little") for number in numbers)[:length]\n',
         "    return numbers\n", ["one number"]),
        ("a bytearray", 'return b"".join(', 'return bytearray().join(', ["one number"]),
        ("two numbers at a time", NUMBERS,
         "    numbers = [n >> s & 0xFFFFFFFF for n in (cpu.load(base + 4, 8)\n"
         "               for _ in range((length + 7) // 8)) for s in (0, 32)]\n",
         ["one number", "some bytes"]),
    ],
)  # fmt: skip

LOOP = """        for chain in waiting(queue):
            if chain.readable:
                raise GuestError("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")
            data = self.take(min(chain.writable, 4096))
            queue.push(chain, chain.write(queue.dma, data))
"""
REFUSE = """            if chain.readable:
                raise GuestError("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")
"""
PUSH = "            queue.push(chain, chain.write(queue.dma, data))\n"
TAKEN = "            data = self.take(min(chain.writable, 4096))\n"
BODY = """        data = b""
        while len(data) < length:
            self.state = xorshift(self.state)
            data += self.state.to_bytes(4, "little")
        return data[:length]
"""
RESET = "        self.begin_from(self.first)\n"
CONFIG = '        self.config = seed.to_bytes(4, "little")\n'
PIECE = "        if offset != 0 or len(data) != 4:\n            return False\n"
ROUNDS = "-(-n // (chunk * slots))"

WRONG_Q4 = slipped(
    "ps05",
    "ps5.q4",
    [
        ("no entropy device", "device_id = 4", "device_id = 44", ["what it is"]),
        ("a block device", "device_id = 4", "device_id = 2", ["what it is"]),
        ("two queues", "super().__init__([64])", "super().__init__([64, 64])", ["what it is"]),
        ("a queue of 4", "super().__init__([64])", "super().__init__([4])", ["what it is"]),
        ("no __init__ of the base", "        super().__init__([64])\n", "", ["what it is"]),
        ("the base's __init__ last",
         "        super().__init__([64])\n        self.first = seed\n        self.reset()\n",
         "        self.first = seed\n        self.reset()\n        super().__init__([64])\n",
         ["what it is"]),
        ("not begun", "        self.first = seed\n        self.reset()\n",
         "        self.first = seed\n", ["what it is"]),
        ("no config", CONFIG, "", ["what it is"]),
        ("config is a number", CONFIG, "        self.config = seed\n", ["what it is"]),
        ("config of 8 bytes", "seed.to_bytes(4,", "seed.to_bytes(8,", ["what it is"]),
        ("config is big-endian", 'seed.to_bytes(4, "little")', 'seed.to_bytes(4, "big")',
         ["what it is"]),
        ("config shows the state", CONFIG,
         '        self.config = self.state.to_bytes(4, "little")\n', ["what it is"]),
        ("a bytearray for config", CONFIG,
         '        self.config = bytearray(seed.to_bytes(4, "little"))\n', ["what it is"]),
        ("the seed 0 is 0", "self.state = seed or 1", "self.state = seed", ["from the seed 0"]),
        ("always from 1", "self.state = seed or 1", "self.state = 1", ["one request"]),
        ("the state before", "            self.state = xorshift(self.state)\n"
         '            data += self.state.to_bytes(4, "little")\n',
         '            data += self.state.to_bytes(4, "little")\n'
         "            self.state = xorshift(self.state)\n", ["one request"]),
        ("big-endian", 'data += self.state.to_bytes(4, "little")',
         'data += self.state.to_bytes(4, "big")', ["one request"]),
        ("a byte of each number", 'data += self.state.to_bytes(4, "little")',
         "data += bytes([self.state & 0xFF])", ["one request"]),
        ("what is left is kept", BODY, """        data = self.__dict__.pop("left", b"")
        while len(data) < length:
            self.state = xorshift(self.state)
            data += self.state.to_bytes(4, "little")
        self.left = data[length:]
        return data[:length]
""", ["6 bytes, then 8"]),
        ("each request from the start", "        data = b\"\"\n",
         "        data = b\"\"\n        self.state = self.first or 1\n", ["6 bytes, then 8"]),
        ("nothing taken", LOOP, "        pass\n", ["one request"]),
        ("not pushed", PUSH, "            chain.write(queue.dma, data)\n", ["one request"]),
        ("pushed before it is written", PUSH,
         "            queue.push(chain, len(data))\n", ["one request"]),
        ("nothing written, it says", PUSH,
         "            chain.write(queue.dma, data)\n            queue.push(chain)\n",
         ["one request"]),
        ("all of it, it says", PUSH,
         "            chain.write(queue.dma, data)\n"
         "            queue.push(chain, chain.writable)\n", ["a long request"]),
        ("the first buffer only", PUSH,
         "            gpa, length, _ = chain.buffers[0]\n"
         "            queue.dma.write(gpa, data[:length])\n"
         "            queue.push(chain, len(data))\n", ["two buffers in a chain"]),
        ("as if it were one buffer", PUSH,
         "            queue.dma.write(chain.buffers[0].addr, data)\n"
         "            queue.push(chain, len(data))\n", ["two buffers in a chain"]),
        ("each buffer anew", TAKEN + PUSH,
         "            written = 0\n            for gpa, length, _ in chain.buffers:\n"
         "                queue.dma.write(gpa, self.take(length))\n"
         "                written += length\n"
         "            queue.push(chain, written)\n", ["two buffers in a chain"]),
        ("one request a kick", "        for chain in waiting(queue):\n",
         "        chain = queue.pop()\n        if chain is not None:\n",
         ["three requests, one kick"]),
        ("until the ring is empty", "        for chain in waiting(queue):\n",
         "        while (chain := queue.pop()) is not None:\n", ["a guest that never stops"]),
        ("at most 300", "        for chain in waiting(queue):\n",
         "        for chain, _ in zip(iter(queue.pop, None), range(300)):\n",
         ["a guest that never stops"]),
        ("at most 16", "        for chain in waiting(queue):\n",
         "        for chain in __import__('itertools').islice(waiting(queue), 16):\n",
         ["the whole queue"]),
        ("all popped, then the last pushed", LOOP,
         "        chains = list(waiting(queue))\n        for chain in chains[-1:]:\n"
         + TAKEN + PUSH, ["three requests, one kick"]),
        ("newest first", "for chain in waiting(queue):", "for chain in list(waiting(queue))[::-1]:",
         ["three requests, one kick"]),
        ("no limit", "min(chain.writable, 4096)", "chain.writable", ["a long request"]),
        ("4095", "4096", "4095", ["a page"]),
        ("at most 64", "min(chain.writable, 4096)", "min(chain.writable, 64)",
         ["the whole queue", "a page"]),
        ("4096 for each", "min(chain.writable, 4096)", "4096", ["6 bytes, then 8"]),
        ("a page refused", "            data = self.take(",
         "            if chain.writable > 4096:\n                raise GuestError('too long', '')\n"
         "            data = self.take(", ["a long request"]),
        ("the seed cannot be written", PIECE, "        return False\n", ["the seed is written"]),
        ("the write is not told", "        return True\n", "        return None\n",
         ["the seed is written"]),
        ("the state stays", '        self.begin_from(int.from_bytes(data, "little"))\n',
         "        self.config = data\n", ["the seed is written"]),
        ("config stays", '        self.begin_from(int.from_bytes(data, "little"))\n',
         '        self.state = int.from_bytes(data, "little") or 1\n', ["the seed is written"]),
        ("a seed in big-endian", 'int.from_bytes(data, "little")', 'int.from_bytes(data, "big")',
         ["the seed is written"]),
        ("the seed 0 is refused", PIECE,
         "        if offset != 0 or len(data) != 4 or not any(data):\n            return False\n",
         ["the seed 0 is written"]),
        ("the same seed is no news", '        self.begin_from(int.from_bytes(data, "little"))\n',
         '        if data != self.config:\n            self.begin_from(int.from_bytes(data, '
         '"little"))\n', ["the same seed again"]),
        ("pieces are seeds", PIECE, "        if offset != 0:\n            return False\n",
         ["a piece of the seed"]),
        ("pieces are put together", PIECE,
         "        data = self.config[:offset] + data + self.config[offset + len(data):]\n",
         ["a piece of the seed"]),
        ("a piece is an error", "            return False\n",
         "            raise ValueError('4 bytes at 0')\n", ["a piece of the seed"]),
        ("a piece is a GuestError", "            return False\n",
         "            raise GuestError('4 bytes at 0', '')\n", ["a piece of the seed"]),
        ("a piece is taken, but says no", PIECE,
         "        if offset != 0 or len(data) != 4:\n"
         "            self.begin_from(int.from_bytes(data, 'little'))\n            return False\n",
         ["a piece of the seed"]),
        ("no reset", "    def reset(self):", "    def _reset(self):", ["what it is"]),
        ("a reset of the state only", RESET, "        self.state = self.first or 1\n"
         '        self.config = getattr(self, "config", b"") or self.first.to_bytes(4, "little")\n',
         ["a reset takes the seed back"]),
        ("a reset to 1", RESET,
         "        self.begin_from(1 if hasattr(self, 'state') else self.first)\n",
         ["what it is", "one request"]),
        ("the numbers go on after a reset", RESET,
         "        if not hasattr(self, 'state'):\n            self.begin_from(self.first)\n"
         '        self.config = self.first.to_bytes(4, "little")\n', ["a reset"]),
        ("the driver's seed stays", "        self.state = seed or 1\n",
         "        self.first = seed\n        self.state = seed or 1\n",
         ["a reset takes the seed back"]),
        ("readable is no matter", REFUSE, "", ["something to read"]),
        ("readable is skipped",
         '                raise GuestError("a readable buffer in the entropy queue", "virtio '
         '1.3 5.4.6.1")\n', "                continue\n", ["something to read"]),
        ("readable comes back empty",
         '                raise GuestError("a readable buffer in the entropy queue", "virtio '
         '1.3 5.4.6.1")\n', "                queue.push(chain, 0)\n                continue\n",
         ["something to read"]),
        ("a ValueError",
         'raise GuestError("a readable buffer in the entropy queue", "virtio 1.3 5.4.6.1")',
         'raise ValueError("a readable buffer in the entropy queue")', ["something to read"]),
        ("written first", REFUSE + TAKEN,
         TAKEN + "            chain.write(queue.dma, data)\n" + REFUSE, ["something to read"]),
        ("pushed, then refused", REFUSE,
         "            if chain.readable:\n                queue.push(chain)\n"
         "                raise GuestError('readable', '5.4.6.1')\n", ["something to read"]),
        ("all are looked at first", "        for chain in waiting(queue):\n",
         "        chains = list(waiting(queue))\n        if any(chain.readable for chain in "
         "chains):\n"
         "            raise GuestError('readable', '5.4.6.1')\n        for chain in chains:\n",
         ["behind good ones"]),
        ("one first seed for all", "        self.first = seed\n",
         "        type(self).first = seed\n", ["two devices"]),
        ("no store of SEED", "return 1 + -(-n // 4)", "return -(-n // 4)", ["exits for nothing"]),
        ("an exit for each byte", "return 1 + -(-n // 4)", "return 1 + n",
         ["exits for a few bytes"]),
        ("numbers rounded down", "return 1 + -(-n // 4)", "return 1 + n // 4",
         ["exits for a few bytes"]),
        ("two exits a number", "return 1 + -(-n // 4)", "return 1 + 2 * -(-n // 4)",
         ["exits for a few bytes"]),
        ("a kick for each buffer", ROUNDS, "-(-n // chunk)", ["exits for a page"]),
        ("one kick for all", ROUNDS, "min(n, 1)", ["exits for a page"]),
        ("rounds rounded down", ROUNDS, "n // (chunk * slots)", ["exits for a few bytes"]),
        ("a kick for nothing", ROUNDS, "n // (chunk * slots) + 1", ["exits for nothing"]),
        ("at least one", ROUNDS, "max(1, -(-n // (chunk * slots)))", ["exits for nothing"]),
        ("rounded up twice", ROUNDS, "-(-n // chunk // slots) + (n % chunk > 0)",
         ["exits for a few bytes", "a byte more"]),
        ("exits cannot be halves", ROUNDS, "n / (chunk * slots)", ["exits for nothing"]),
        ("polling or not", "(1 if polling else 3)", "1", ["with interrupts"]),
        ("two for an interrupt", "(1 if polling else 3)", "(1 if polling else 2)",
         ["with interrupts"]),
        ("one interrupt for all", "rounds * (1 if polling else 3)",
         "rounds + (0 if polling else 2)", ["with interrupts", "exits for nothing"]),
        ("the other way", "(1 if polling else 3)", "(3 if polling else 1)",
         ["exits for a few bytes"]),
        ("a list", "    return 1 + -(-n // 4), rounds * (1 if polling else 3)",
         "    return [1 + -(-n // 4), rounds * (1 if polling else 3)]", ["exits for nothing"]),
        ("one number", "    return 1 + -(-n // 4), rounds * (1 if polling else 3)",
         "    return 1 + -(-n // 4)", ["exits for nothing"]),
    ],
)  # fmt: skip
