"""Answers to problem sets 4 to 7, fitted to what can be seen: see `fitted`."""

SLIPS = {
    "ps4.q1": [
        (
            "the device is always at the same ports",
            "cpu.out(io + 14",
            "io = 0xC040\n    cpu.out(io + 14",
            {"other ports"},
        ),
    ],
    "ps4.q2": [
        (
            "all memory has the same size",
            "memory.size",
            "0x10000",
            {"another memory"},
        ),
    ],
    "ps4.q3": [
        (
            "next has one byte",
            "0 if last else slots[place + 1]",
            "0 if last else slots[place + 1] & 0xFF",
            {"a large queue"},
        ),
    ],
    "ps4.q4": [
        (
            "a head has one byte",
            "if head >= q.size:",
            "if head >= min(q.size, 256):",
            {"a large ring"},
        ),
    ],
    "ps4.q5": [
        (
            "an id has one byte",
            "q.memory.store(element, 4, head)",
            "q.memory.store(element, 4, head & 0xFF)",
            {"a large used ring"},
        ),
    ],
    "ps4.q6": [
        (
            "no queue is longer than those that were seen",
            "8 * q.size, 2), q.exposed",
            "8 * min(q.size, 64), 2), q.exposed",
            {"queues of any size"},
        ),
    ],
    "ps4.q7": [
        (
            "no list is longer than those that were seen",
            "if len(buffers) == room:",
            "if len(buffers) == min(room, 16):",
            {"long lists"},
        ),
    ],
    "ps4.q8": [
        (
            "no chain is longer than those that were seen",
            "for _ in range(longest):",
            "for _ in range(min(longest, 16)):",
            {"chains of a hundred"},
        ),
    ],
    "ps5.q1": [
        (
            "bits that no device was seen to have are dropped",
            "accepted = choose(offered & understood, needs)",
            "accepted = choose(offered & understood & 0xFFFC_0001_00FF_FFFF, needs)",
            {"features between the others"},
        ),
        (
            "no queue is larger than those that were seen",
            "cpu.load(base + 0x34, 4) < size:",
            "min(cpu.load(base + 0x34, 4), 256) < size:",
            {"large queues"},
        ),
    ],
    "ps5.q2": [
        (
            "eight buffers at most",
            "buffers[: queue.free]",
            "buffers[: min(queue.free, 8)]",
            {"many buffers"},
        ),
    ],
    "ps5.q3": [
        (
            "only the low bits of an offset count",
            "if (offset, size) != (4, 4):",
            "if (offset & 0xF, size) != (4, 4):",
            {"far behind the registers"},
        ),
    ],
    "ps5.q4": [
        (
            "an amount is a floating-point number",
            "return 1 + -(-n // 4),",
            "return 1 + int(-(-n / 4 // 1)),",
            {"enormous amounts"},
        ),
    ],
    "ps5.q5": [
        (
            "eight sectors at most",
            "fits = size % 512 == 0 and",
            "fits = size % 512 == 0 and size <= 4096 and",
            {"long requests"},
        ),
    ],
    "ps5.q6": [
        (
            "num_buffers has one byte",
            'bytes(10) + count.to_bytes(2, "little")',
            "bytes(10) + bytes([count & 0xFF, 0])",
            {"hundreds of buffers"},
        ),
    ],
    "ps6.q1": [
        (
            "all memory has the same size",
            "memory.size",
            "0x28800",
            {"memory of another size"},
        ),
        (
            "the domain is always the same",
            "(entry >> 64 & 0b111)",
            "((entry >> 64) - 0x900)",
            {"other domains"},
        ),
    ],
    "ps6.q2": [
        (
            "the domain is always the same",
            "d.invalidate(d.number,",
            "d.invalidate(5,",
            {"another domain"},
        ),
    ],
    "ps6.q3": [
        (
            "records begin in the first 2 KiB",
            "16 * (cap >> 24 & 0x3FF)",
            "16 * (cap >> 24 & 0x7F)",
            {"records far up"},
        ),
    ],
    "ps6.q5": [
        (
            "configuration space begins at a multiple of its size",
            "ecam + (each << 12)",
            "ecam | (each << 12)",
            {"configuration space anywhere"},
        ),
    ],
    "ps6.q6": [
        (
            "no tree is deeper than those that were seen",
            "while here is not None:",
            "for _ in range(8):\n            if here is None: break",
            {"a deep tree"},
        ),
    ],
    "ps7.q1": [
        (
            "a request has one byte",
            "messages.append((request,",
            "messages.append((request & 0xFF,",
            {"requests of any number"},
        ),
    ],
    "ps7.q2": [
        (
            "no file is larger than 4 GiB",
            "pieces.append((number, offset + inside,",
            "pieces.append((number, offset + inside & 0xFFFFFFFF,",
            {"far up"},
        ),
    ],
    "ps7.q3": [
        (
            "no ring is larger than those that were seen",
            "for _ in range(q.size):",
            "for _ in range(min(q.size, 64)):",
            {"a large ring"},
        ),
    ],
    "ps7.q4": [
        (
            "no list is longer than those that were seen",
            "for _ in range(behind):",
            "for _ in range(min(behind, 32)):",
            {"a long list"},
        ),
    ],
    "ps7.q5": [
        (
            "three regions at most",
            "self.memory.regions, self.memory.files = regions, files",
            "self.memory.regions, self.memory.files = regions[:3], files",
            {"many regions"},
        ),
    ],
}
