"""Answers to problem sets 1 to 3, fitted to what can be seen: see `fitted`."""

SLIPS = {
    "ps1.q1": [
        (
            "all addresses are ports",
            "if base <= address and",
            "base, address = base & 0xFFFF, address & 0xFFFF\n        if base <= address and",
            {"a map of memory"},
        ),
    ],
    "ps1.q2": [
        (
            "it waits as long as the slowest line that was seen",
            "while not cpu.inp(0x3FD) & 0x20:\n            pass",
            "for _ in range(500):\n            if cpu.inp(0x3FD) & 0x20: break",
            {"a still slower line"},
        ),
        (
            "a zero ends the text",
            "for character in text:",
            "for character in text.partition(chr(0))[0]:",
            {"characters that cannot be seen"},
        ),
    ],
    "ps1.q3": [
        (
            "DLAB is toggled, not set",
            "cpu.out(0x3FB, 0x80)",
            "cpu.out(0x3FB, cpu.inp(0x3FB) ^ 0x80)",
            {"a line left open"},
        ),
        (
            "three bits of the high byte",
            "cpu.out(0x3F9, divisor >> 8)",
            "cpu.out(0x3F9, divisor >> 8 & 7)",
            {"the lowest speeds"},
        ),
    ],
    "ps1.q4": [
        (
            "text has seven bits",
            "printed.append(access.value)",
            "printed.append(access.value & 0x7F)",
            {"bytes that are no text"},
        ),
    ],
    "ps1.q5": [
        (
            "attribute 0 stands for the usual one",
            "first = 0xB8000",
            "attribute = attribute or 0x07\n    first = 0xB8000",
            {"no colour"},
        ),
    ],
    "ps1.q6": [
        (
            "a register without writable bits reads 0",
            "lanes = ",
            "if not rw | w1c: return 0\n    lanes = ",
            {"nothing to write, all to clear"},
        ),
    ],
    "ps1.q7": [
        ("COUNT has one byte", "+ 1 & 0xFFFFFFFF", "+ 1 & 0xFF", {"many writes"}),
        (
            "a new device clears the registers of all",
            "self.values = [0x544E4356, 0, 0, 0]",
            "Counter.values = [0x544E4356, 0, 0, 0]",
            {"two devices side by side"},
        ),
    ],
    "ps2.q2": [
        (
            "the card is always in the same slot",
            "command = pci.read(place, 0x04, 2)",
            "place = (0, 4, 0)\n    command = pci.read(place, 0x04, 2)",
            {"another slot"},
        ),
        (
            "four bits of the upper half",
            "answered(0x14 + 4 * index) << 32",
            "(answered(0x14 + 4 * index) & 0xF) << 32",
            {"huge cards"},
        ),
    ],
    "ps2.q3": [
        (
            "sixteen buses below a bridge are enough",
            "(0x1A, 255)",
            "(0x1A, min(255, secondary + 16))",
            {"a deep tree"},
        ),
        (
            "a vendor of 15 bits",
            "if vendor == 0xFFFF:",
            "if vendor >= 0xFF00:",
            {"other vendors"},
        ),
    ],
    "ps2.q4": [
        (
            "there is always a bridge",
            "*bridges, card = path",
            "*bridges, card = path\n    if not bridges: return None",
            {"no bridge on the path"},
        ),
    ],
    "ps2.q5": [
        (
            "requester and tag are one number",
            "name = packet.requester, packet.tag",
            "name = packet.requester + packet.tag",
            {"names side by side"},
        ),
    ],
    "ps2.q6": [
        (
            "it waits as long as the disk that was seen",
            "while not (state := cpu.inp(base + 2)) & 0b110:\n        pass",
            "for _ in range(500):\n        state = cpu.inp(base + 2)\n        if state & 6: break",
            {"a slow disk"},
        ),
    ],
    "ps2.q7": [
        (
            "the buffer is always in the same place",
            "cpu.write(buffer, frame)",
            "buffer = 0x20000\n    cpu.write(buffer, frame)",
            {"another buffer"},
        ),
    ],
    "ps3.q1": [
        (
            "all memory has the same size",
            "memory.size",
            "0x8000",
            {"memory of another size"},
        ),
    ],
    "ps3.q2": [
        (
            "room for eight at most",
            "len(self.waiting) == self.room",
            "len(self.waiting) == min(self.room, 8)",
            {"much room"},
        ),
    ],
    "ps3.q3": [
        (
            "only the bits that name something are kept",
            "self.word = value",
            "self.word = value & 0x80FFFFFC",
            {"any word"},
        ),
        (
            "the place in an item is one byte",
            "self.at += 1",
            "self.at = self.at % 256 + 1",
            {"a long item"},
        ),
    ],
    "ps3.q4": [
        (
            "a range has one port at least",
            "range(first, first + count)",
            "range(first, first + max(count, 1))",
            {"ranges of no port"},
        ),
    ],
    "ps3.q5": [
        (
            "the pointer's low bits are always the same",
            "eptp & FRAME",
            "eptp - 0x1E",
            {"other bits in the pointer"},
        ),
    ],
    "ps3.q6": [
        (
            "the device is always at the same address",
            "prefix = code",
            "gpa = 0xFEB00010\n    prefix = code",
            {"somewhere else"},
        ),
    ],
    "ps3.q7": [
        (
            "frames lie in the first 16 MiB",
            "regions.append(hpa |",
            "regions.append(hpa & 0xFFFFFF |",
            {"frames far up"},
        ),
    ],
    "ps3.q8": [
        (
            "a disk has eight pieces at most",
            "for first, size in self.pieces:",
            "for first, size in self.pieces[:8]:",
            {"many pieces"},
        ),
    ],
    "ps3.q9": [
        (
            "eight VMs at most",
            "self.waiting = [[] for _ in range(vms)]",
            "self.waiting = [[] for _ in range(8)]",
            {"many VMs"},
        ),
    ],
}
