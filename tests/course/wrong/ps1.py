"""Plausible wrong answers to problem set 1: what is wrong, the code, where the report must point.

`WRONG[task]` is a list of `(mistake, source, cases)`: the first case that fails is one of `cases`.
"""

WHO = "def who_answers(mappings, address, size):\n    for base, length, name in mappings:\n        "

WRONG_Q1 = [
    (
        "end included",
        WHO
        + "if base <= address and address + size <= base + length + 1:\n            return name",
        ["nobody there", "off the end of one"],
    ),
    (
        "size ignored",
        WHO + "if base <= address < base + length: return name",
        ["off the end of one"],
    ),
    (
        "base left out",
        WHO + "if base < address and address + size <= base + length: return name",
        ["inside a device", "its first address"],
    ),
    (
        "only the last byte",
        WHO + "if base <= address + size - 1 < base + length: return name",
        ["into one from below"],
    ),
    (
        "last byte one too far",
        WHO + "if base <= address and address + size < base + length: return name",
        ["its first address", "its last address"],
    ),
    (
        "any overlap will do",
        WHO + "if address < base + length and base < address + size: return name",
        ["off the end of one"],
    ),
    (
        "empty name for nobody",
        WHO + "if base <= address and address + size <= base + length: return name\n    return ''",
        ["nobody there"],
    ),
    (
        "first mapping only",
        WHO + "return name if base <= address and address + size <= base + length else None",
        ["inside a device"],
    ),
    (
        "sorted list expected",
        WHO + "if address < base: return None\n"
        "        if address + size <= base + length: return name",
        ["inside a device"],
    ),
    (
        "the mapping, not its name",
        WHO + "if base <= address and address + size <= base + length: return (base, length, name)",
        ["inside a device"],
    ),
    (
        "neighbours joined",
        """
def who_answers(mappings, address, size):
    def one(a):
        return next((n for b, l, n in mappings if b <= a < b + l), None)
    ends = one(address), one(address + size - 1)
    return ends[0] if None not in ends else None
""",
        ["from one into its neighbour"],
    ),
]

PUT = "def put(cpu, text):\n    for character in text:\n        "

WRONG_Q2 = [
    ("no polling", PUT + "cpu.out(0x3F8, ord(character))", ["a line"]),
    (
        "polls once, at the start",
        """
def put(cpu, text):
    while not cpu.inp(0x3FD) & 0x20: pass
    for character in text: cpu.out(0x3F8, ord(character))
""",
        ["a line"],
    ),
    (
        "polls after the write",
        PUT + "cpu.out(0x3F8, ord(character))\n        while not cpu.inp(0x3FD) & 0x20: pass",
        ["the UART is busy"],
    ),
    (
        "equal to 0x60",
        PUT + "while cpu.inp(0x3FD) != 0x60: pass\n        cpu.out(0x3F8, ord(character))",
        ["a character has come in"],
    ),
    (
        "waits while the bit is set",
        PUT + "while cpu.inp(0x3FD) & 0x20: pass\n        cpu.out(0x3F8, ord(character))",
        ["one character"],
    ),
    (
        "asks the modem status",
        PUT + "while not cpu.inp(0x3FE) & 0x20: pass\n        cpu.out(0x3F8, ord(character))",
        ["a line"],
    ),
    (
        "the received-data bit",
        PUT + "while not cpu.inp(0x3FD) & 0x01: pass\n        cpu.out(0x3F8, ord(character))",
        ["one character"],
    ),
    (
        "any bit of LSR",
        PUT + "while not cpu.inp(0x3FD): pass\n        cpu.out(0x3F8, ord(character))",
        ["a character has come in"],
    ),
    (
        "if in place of while",
        PUT + "if cpu.inp(0x3FD) & 0x20: cpu.out(0x3F8, ord(character))",
        ["a line"],
    ),
    (
        "last character lost",
        PUT.replace("in text", "in text[:-1]")
        + "while not cpu.inp(0x3FD) & 0x20: pass\n        cpu.out(0x3F8, ord(character))",
        ["one character"],
    ),
    (
        "a character, not its number",
        PUT + "while not cpu.inp(0x3FD) & 0x20: pass\n        cpu.out(0x3F8, character)",
        ["one character"],
    ),
    (
        "port and value swapped",
        PUT + "while not cpu.inp(0x3FD) & 0x20: pass\n        cpu.out(ord(character), 0x3F8)",
        ["one character"],
    ),
    (
        "waits a fixed time",
        PUT + "for i in range(100): cpu.inp(0x3FD)\n        cpu.out(0x3F8, ord(character))",
        ["a line", "a slow line"],
    ),
]


def _set_line(
    open_="cpu.out(0x3FB, 0x80)",
    low="cpu.out(0x3F8, divisor & 0xFF)",
    high="cpu.out(0x3F9, divisor >> 8)",
    close="cpu.out(0x3FB, lcr)",
    divisor="115200 // baud",
    bits="bits - 5",
    stop="(stop - 1) << 2",
    parity='{"N": 0, "O": 1, "E": 3}[parity] << 3',
):
    return f"""
def set_line(cpu, baud, bits=8, parity="N", stop=1):
    divisor = {divisor}
    lcr = ({bits}) | ({stop}) | ({parity})
    {open_}
    {low}
    {high}
    {close}
"""


WRONG_Q3 = [
    ("DLAB never opened", _set_line(open_="pass"), ["the divisor of 9600 baud"]),
    (
        "DLAB never closed",
        _set_line(close="cpu.out(0x3FB, lcr | 0x80)"),
        ["DLAB closed at the end"],
    ),
    ("format first, then DLAB alone", _set_line(close="cpu.out(0x3FB, 0)"), ["8N1"]),
    (
        "divisor's bytes swapped",
        _set_line(low="cpu.out(0x3F9, divisor & 0xFF)", high="cpu.out(0x3F8, divisor >> 8)"),
        ["the divisor of 9600 baud"],
    ),
    ("no high byte", _set_line(high="pass"), ["a divisor above 255"]),
    (
        "the crystal, not the baud base",
        _set_line(divisor="1843200 // baud"),
        ["the divisor of 9600 baud"],
    ),
    ("baud rate as divisor", _set_line(divisor="baud"), ["the divisor of 9600 baud"]),
    (
        "a float",
        _set_line(divisor="115200 / baud", low="cpu.out(0x3F8, divisor)", high="pass"),
        ["the divisor of 9600 baud"],
    ),
    ("bits as they are", _set_line(bits="bits & 3"), ["8N1"]),
    (
        "even and odd swapped",
        _set_line(parity='{"N": 0, "O": 3, "E": 1}[parity] << 3'),
        ["even and odd parity"],
    ),
    (
        "even without enable",
        _set_line(parity='{"N": 0, "O": 1, "E": 2}[parity] << 3'),
        ["even and odd parity"],
    ),
    ("no parity at all", _set_line(parity="0"), ["even and odd parity"]),
    ("stop bit one too high", _set_line(stop="stop << 2"), ["8N1"]),
    ("stop bits forgotten", _set_line(stop="0"), ["two stop bits"]),
    ("wrong bit for DLAB", _set_line(open_="cpu.out(0x3FB, 0x40)"), ["the divisor of 9600 baud"]),
    (
        "high byte after closing",
        _set_line(high="cpu.out(0x3FB, lcr)", close="cpu.out(0x3F9, divisor >> 8)"),
        ["a divisor above 255"],
    ),
    (
        "interrupts switched off as well",
        _set_line(close="cpu.out(0x3FB, lcr); cpu.out(0x3F9, 0)"),
        ["nothing else changed"],
    ),
    (
        "a test character",
        _set_line(close="cpu.out(0x3FB, lcr); cpu.out(0x3F8, 0x55)"),
        ["nothing else changed"],
    ),
]


def _console(
    dlab="access.value & 0x80",
    when="access.address == 0x3F8 and not dlab",
    lcr="access.write and access.address == 0x3FB",
    write="access.write and ",
    result="bytes(printed)",
    reset="0",
):
    return f"""
def console(accesses):
    printed, dlab = bytearray(), {reset}
    for access in accesses:
        if {lcr}:
            dlab = {dlab}
        elif {write}{when}:
            printed.append(access.value)
    return {result}
"""


WRONG_Q4 = [
    ("DLAB forgotten", _console(when="access.address == 0x3F8"), ["a divisor is no text"]),
    ("reads count too", _console(write=""), ["reads print nothing"]),
    ("all writes count", _console(when="not dlab"), ["other registers"]),
    ("LCR equal to 0x80", _console(dlab="access.value == 0x80"), ["DLAB among other bits"]),
    ("wrong bit", _console(dlab="access.value & 0x40"), ["a divisor is no text"]),
    ("any LCR value", _console(dlab="access.value"), ["a divisor is no text"]),
    ("DLAB never closes", _console(dlab="dlab or access.value & 0x80"), ["a divisor is no text"]),
    (
        "DLAB from reads of LCR",
        _console(lcr="access.address == 0x3FB"),
        ["what LCR reads is not written"],
    ),
    (
        "DLAB from the wrong port",
        _console(lcr="access.write and access.address == 0x3FC"),
        ["a divisor is no text"],
    ),
    ("a text, not bytes", _console(result="printed.decode('latin-1')"), ["characters to THR"]),
    ("a bytearray", _console(result="printed"), ["characters to THR"]),
    ("upside down", _console(when="access.address == 0x3F8 and dlab"), ["characters to THR"]),
    (
        "both data ports",
        _console(when="access.address in (0x3F8, 0x3F9) and not dlab"),
        ["other registers"],
    ),
    ("DLAB set at the start", _console(reset="1"), ["characters to THR"]),
    ("no return", _console(result="None"), ["characters to THR"]),
]


def _show(
    first="0xB8000 + 2 * (80 * row + column)",
    text="text[: 80 - column]",
    step="2 * i",
    value="ord(character) | attribute << 8",
    store="cpu.store(gpa, value, 2)",
):
    return f"""
def show(cpu, row, column, text, attribute):
    for i, character in enumerate({text}):
        gpa = {first} + {step}
        value = {value}
        {store}
"""


WRONG_Q5 = [
    (
        "attribute in the low byte",
        _show(value="ord(character) << 8 | attribute"),
        ["one character"],
    ),
    ("rows of 80 bytes", _show(first="0xB8000 + 80 * row + 2 * column"), ["another row"]),
    (
        "cells of one byte",
        _show(first="0xB8000 + 80 * row + column", step="i"),
        ["its colours", "a word"],
    ),
    ("step of one byte", _show(step="i"), ["a word"]),
    ("not cut", _show(text="text"), ["cut at the end of the row"]),
    ("cut one too early", _show(text="text[: 79 - column]"), ["the last cell"]),
    ("cut one too late", _show(text="text[: 81 - column]"), ["cut at the end of the row"]),
    (
        "two stores a cell",
        _show(store="cpu.store(gpa, value & 0xFF, 1); cpu.store(gpa + 1, attribute, 1)"),
        ["one character"],
    ),
    ("stores of four bytes", _show(store="cpu.store(gpa, value)"), ["one character"]),
    ("row and column swapped", _show(first="0xB8000 + 2 * (80 * column + row)"), ["its colours"]),
    ("25 columns", _show(first="0xB8000 + 2 * (25 * row + column)"), ["another row"]),
    ("attribute forgotten", _show(value="ord(character) | 0x0700"), ["its colours"]),
    ("the graphics address", _show(first="0xA0000 + 2 * (80 * row + column)"), ["one character"]),
    (
        "reads each cell first",
        _show(store="cpu.load(gpa, 2); cpu.store(gpa, value, 2)"),
        ["one character"],
    ),
    ("cut to 80 whatever the column", _show(text="text[:80]"), ["cut at the end of the row"]),
    (
        "a string move for each cell",
        _show(store="cpu.write(gpa, value.to_bytes(2, 'big'))"),
        ["one character"],
    ),
]


def _written(
    lanes="((1 << 8 * size) - 1) << 8 * offset",
    new="new << 8 * offset & lanes",
    rw="rw & lanes",
    result="((old & ~rw) | (new & rw)) & ~(new & w1c)",
):
    return f"""
def written(old, new, offset, size, rw, w1c):
    lanes = {lanes}
    new = {new}
    rw = {rw}
    return {result}
"""


WRONG_Q6 = [
    (
        "read-only forgotten",
        _written(result="((old & ~lanes) | new) & ~(new & w1c)"),
        ["the others keep theirs"],
    ),
    ("w1c forgotten", _written(result="(old & ~rw) | (new & rw)"), ["a written 1 clears"]),
    (
        "w1c toggles",
        _written(result="((old & ~rw) | (new & rw)) ^ (new & w1c)"),
        ["a written 1 clears"],
    ),
    (
        "w1c clears on any write",
        _written(result="((old & ~rw) | (new & rw)) & ~w1c"),
        ["a written 1 clears", "rw and w1c in one register"],
    ),
    ("w1c sets", _written(result="(old & ~rw) | (new & rw) | (new & w1c)"), ["a written 1 clears"]),
    (
        "offset in bits",
        _written(lanes="((1 << 8 * size) - 1) << offset", new="new << offset & lanes"),
        ["a byte in the middle"],
    ),
    (
        "offset ignored",
        _written(lanes="(1 << 8 * size) - 1", new="new & lanes"),
        ["a byte in the middle"],
    ),
    ("size ignored", _written(lanes="0xFFFFFFFF"), ["the low byte alone"]),
    (
        "size in bits",
        _written(lanes="((1 << size) - 1) << 8 * offset"),
        ["writable bits take the value"],
    ),
    (
        "from the top, big-endian",
        _written(
            lanes="((1 << 8 * size) - 1) << 8 * (4 - size - offset)",
            new="new << 8 * (4 - size - offset) & lanes",
        ),
        ["the low byte alone"],
    ),
    (
        "value not cut to its size",
        _written(new="new << 8 * offset", rw="rw & 0xFFFFFFFF"),
        ["the low byte alone"],
    ),
    ("value cut, rw not", _written(rw="rw"), ["the low byte alone"]),
    (
        "value shifted, not cut",
        _written(
            new="new << 8 * offset",
            rw="rw & lanes",
            result="((old & ~rw) | (new & rw)) & ~(new & w1c)",
        ),
        ["any write", "only the written bytes clear"],
    ),
    (
        "rw and w1c swapped",
        _written(result="((old & ~w1c) | (new & w1c)) & ~(new & rw)"),
        ["writable bits take the value"],
    ),
    (
        "whole bytes or nothing",
        _written(result="new if size == 4 else old & ~lanes | new"),
        ["the others keep theirs"],
    ),
    (
        "a negative number",
        _written(result="old & ~rw | new & rw | ~(new & w1c)"),
        ["writable bits take the value"],
    ),
]


def _counter(
    ident="0x544E4356",
    rw="[0, 0xFFFFFFFF, 0, 0]",
    w1c="[0, 0, 0, 3]",
    place="8 * byte",
    inside="register < 4",
    count="self.values[2] = self.values[2] + 1 & 0xFFFFFFFF",
    touched="self.values[3] |= 1",
    refused="self.values[3] |= 2",
    who="(0, 2)",
    read_effect="pass",
    last="min(last // 4, 3)",
    keep="self.values[register] & ~rw",
    state="self.values = [IDENT, 0, 0, 0]",
    value="return value",
    out="8 * i",
):
    return f"""
IDENT = {ident}
class Counter:
    shared = [IDENT, 0, 0, 0]
    def __init__(self):
        {state}
    def read(self, offset, size):
        {read_effect}
        value = 0
        for i in range(size):
            register, byte = divmod(offset + i, 4)
            if {inside}:
                value |= (self.values[register] >> {place} & 0xFF) << {out}
        {value}
    def write(self, offset, size, value):
        last = offset + size - 1
        for register in range(offset // 4, {last} + 1):
            for at in range(max(offset, 4 * register), min(last, 4 * register + 3) + 1):
                shift = 8 * (at - 4 * register)
                new = (value >> 8 * (at - offset) & 0xFF) << shift
                rw, w1c = {rw}[register] & 0xFF << shift, {w1c}[register]
                self.values[register] = ({keep} | new & rw) & ~(new & w1c)
            if register == 1:
                {count}
                {touched}
            elif register in {who}:
                {refused}
"""


WRONG_Q7 = [
    ("another ID", _counter(ident="0x56434E54"), ["ID"]),
    ("big-endian bytes", _counter(place="8 * (3 - byte)"), ["ID", "ID byte by byte"]),
    (
        "always the whole register",
        _counter(value="return self.values[offset // 4] if offset < 16 else 0"),
        ["ID byte by byte"],
    ),
    (
        "more than size",
        _counter(value="return value | self.values[offset // 4 & 3]"),
        ["ID byte by byte"],
    ),
    ("ID can be written", _counter(rw="[0xFFFFFFFF, 0xFFFFFFFF, 0, 0]"), ["read-only registers"]),
    (
        "COUNT can be written",
        _counter(rw="[0, 0xFFFFFFFF, 0xFFFFFFFF, 0]"),
        ["read-only registers"],
    ),
    (
        "a byte clears the rest",
        _counter(keep="(0 if at == offset else self.values[register] & ~rw)"),
        ["a byte of SCRATCH"],
    ),
    (
        "COUNT counts reads",
        _counter(count="pass", read_effect="self.values[2] += 1"),
        ["COUNT counts writes"],
    ),
    ("COUNT counts bytes", _counter(count="self.values[2] += size"), ["COUNT counts writes"]),
    ("COUNT never moves", _counter(count="pass"), ["COUNT counts writes"]),
    (
        "COUNT counts every write",
        _counter(who="(0, 2, 3)", refused="self.values[2] += 1"),
        ["read-only registers"],
    ),
    ("WRITTEN never set", _counter(touched="pass"), ["STATUS.WRITTEN"]),
    ("WRITTEN in the wrong bit", _counter(touched="self.values[3] |= 2"), ["STATUS.WRITTEN"]),
    (
        "STATUS cleared by reading",
        _counter(value="self.values[3] = 0 if offset == 12 else self.values[3]; return value"),
        ["STATUS.WRITTEN"],
    ),
    ("REFUSED never set", _counter(refused="pass"), ["STATUS.REFUSED"]),
    ("REFUSED only for ID", _counter(who="(0,)"), ["STATUS.REFUSED"]),
    (
        "STATUS is plain rw",
        _counter(rw="[0, 0xFFFFFFFF, 0, 3]", w1c="[0, 0, 0, 0]"),
        ["a written 1 clears"],
    ),
    (
        "any write clears STATUS",
        _counter(keep="(0 if register == 3 else self.values[register] & ~rw)"),
        ["a written 1 clears"],
    ),
    ("one bit of STATUS is stuck", _counter(w1c="[0, 0, 0, 2]"), ["a written 1 clears"]),
    (
        "reserved bits of STATUS",
        _counter(rw="[0, 0xFFFFFFFF, 0, 0xFFFFFFFC]"),
        ["reserved bits of STATUS"],
    ),
    (
        "only the first register",
        _counter(last="min(offset // 4, 3)"),
        ["an access over two registers"],
    ),
    ("outside raises", _counter(inside="True"), ["outside"]),
    ("outside wraps", _counter(inside="(register := register % 4) < 4"), ["outside"]),
    (
        "outside reads ones",
        _counter(inside="register > 3: value |= 0xFF << 8 * i\n            else"),
        ["outside"],
    ),
    ("a write outside raises", _counter(last="last // 4"), ["outside"]),
    (
        "state of the class",
        _counter(state="self.values = self.shared"),
        ["a new device starts at 0"],
    ),
    (
        "no write",
        "class Counter:\n    def __init__(self): pass\n"
        "    def read(self, offset, size): return 0x544E4356 >> 8 * offset & (1 << 8 * size) - 1",
        ["SCRATCH keeps a value"],
    ),
    (
        "the higher register first",
        _counter().replace(
            "in range(offset // 4, min(last // 4, 3) + 1)",
            "in reversed(range(offset // 4, min(last // 4, 3) + 1))",
        ),
        ["an access over two registers"],
    ),
]

WRONG = {
    "ps1.q1": WRONG_Q1,
    "ps1.q2": WRONG_Q2,
    "ps1.q3": WRONG_Q3,
    "ps1.q4": WRONG_Q4,
    "ps1.q5": WRONG_Q5,
    "ps1.q6": WRONG_Q6,
    "ps1.q7": WRONG_Q7,
}
