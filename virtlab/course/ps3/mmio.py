"""Task 6 of problem set 3: do what the instruction would. The judge is who made the instruction.

`instructions` puts moves together from their parts, so a case knows what each does. The device
counts: it must see one access, of the right size, with the right value; and none at all where the
bytes are no instruction of the table, or not all of one.
"""

from __future__ import annotations

from random import Random

from virtlab.course.answers import Answer
from virtlab.course.ps3.instructions import (
    ADDRESSES,
    LONGEST,
    PLAIN,
    Address,
    Kind,
    Move,
    any_address,
    any_move,
    registers_text,
)
from virtlab.course.ps3.machines import first, whole
from virtlab.course.tasks import Case, Difference, Run, Task, compare, same, shown
from virtlab.wire import all_ones

LOOK_ACCESS = "one access to the device, of the operand's size (SDM 2B, MOV and MOVZX)"
LOOK_REGISTERS = "the register and the part of it that `reg` names (SDM 2A table 2-2)"
LOOK_LENGTH = "prefix, opcode, M, S, the bytes after it, the constant (SDM 2A 2.1, tables 2-2, 2-3)"
LOOK_NONE = "decode all of it first; what cannot be decoded makes no access"

EIP, GPA = 0x1000, 0xFEB0_0010
START = [0x0403_0201, 0x1413_1211, 0x2423_2221, 0x3433_3231, 0x9000, 0x5453_5251, 0x6463_6261, 7]
"""Registers of the fixed cases: every byte of the first four is another."""


class Devices:
    """The devices behind the page: what they saw, and `value`, what a read gives."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.seen: list[str] = []

    def read(self, gpa: int, size: int) -> int:
        """A read, noted."""
        self.seen.append(f"read({whole(gpa):#x}, {whole(size)})")
        return self.value & all_ones(size if size in (1, 2, 4, 8) else 8)

    def write(self, gpa: int, size: int, value: int) -> None:
        """A write, noted."""
        self.seen.append(f"write({whole(gpa):#x}, {whole(size)}, {whole(value):#x})")


def _given(code: bytes, registers: list[int]) -> str:
    return f"code {code.hex(' ') or 'is empty'}; {registers_text(registers)}"


def _move(
    answer: Answer, move: Move, registers: list[int], value: int, after: bytes = b""
) -> Difference | None:
    """Let the student do one move, with other instructions `after` it."""
    code = (move.code + after)[:LONGEST]
    devices, size = Devices(value), move.access_size
    answer.given = _given(code, registers)
    yours = answer.call("emulate", code, list(registers), EIP, GPA, devices)
    written = move.written(registers)
    access, then = f"read({GPA:#x}, {size})", list(registers)
    if written is None:
        then = move.loaded(registers, value & all_ones(size))
    else:
        access = f"write({GPA:#x}, {size}, {written:#x})"
    if devices.seen != [access]:
        return Difference(access, "; ".join(devices.seen[:4]) or "no access", LOOK_ACCESS)
    return _result(then, EIP + len(move.code), yours)


def _result(registers: list[int], eip: int, yours: object) -> Difference | None:
    """What it returned."""
    if same((registers, eip), yours):
        return None
    if type(yours) is not tuple or len(yours) != 2 or type(yours[0]) is not list:
        return compare((registers, eip), yours, LOOK_REGISTERS)
    mine, there = yours
    if not same(registers, mine):
        right = registers_text(registers)
        whole_list = len(mine) == 8 and all(type(one) is int for one in mine)
        return Difference(
            right, registers_text(mine) if whole_list else shown(mine), LOOK_REGISTERS
        )
    said = f"eip + {eip - EIP}"
    seen = f"eip + {there - EIP}" if type(there) is int else shown(there)
    return Difference(said, seen, LOOK_LENGTH)


def _nothing(answer: Answer, code: bytes) -> Difference | None:
    """Bytes that are no instruction of the table."""
    devices = Devices(0x55)
    answer.given = _given(code, START)
    yours = answer.call("emulate", code, list(START), EIP, GPA, devices)
    if devices.seen:
        return Difference("no access", "; ".join(devices.seen[:4]), LOOK_NONE)
    return None if yours is None else Difference("None", shown(yours), LOOK_NONE)


def _moves(*moves: Move) -> Run:
    return lambda answer, rng: first(_move(answer, one, START, 0xA1B2_C3D4) for one in moves)


def _all(kind: Kind, size: int) -> Run:
    """A kind of move with every register."""
    return _moves(*(Move(kind, size, register, PLAIN) for register in range(8)))


def _none(*codes: str) -> Run:
    return lambda answer, rng: first(_nothing(answer, bytes.fromhex(code)) for code in codes)


def _addresses(*addresses: Address) -> Run:
    """Each way to write an address, in a load, a store and a constant, with code behind it."""

    def run(answer: Answer, rng: Random) -> Difference | None:
        kinds: tuple[Kind, ...] = ("load", "store", "constant")
        moves = [Move(kind, 4, 0, address, 0x1122) for address in addresses for kind in kinds]
        return first(_move(answer, move, START, 0x5566_7788, b"\x90" * 6) for move in moves)

    return run


def _cut(answer: Answer, rng: Random) -> Difference | None:
    """Instructions that are not all there, from no byte on."""
    moves = [Move("load", 4, 2, address) for address in ADDRESSES]
    moves += [Move("constant", 2, 0, address, 0x1234) for address in ADDRESSES]
    moves.append(Move("extend", 2, 1, ADDRESSES[1]))
    codes = [move.code[:end] for move in moves for end in range(len(move.code))]
    return first(_nothing(answer, code) for code in codes)


def _any_move(answer: Answer, rng: Random) -> Difference | None:
    for _ in range(90):
        move, registers = any_move(rng), [rng.getrandbits(32) for _ in range(8)]
        value, after = rng.getrandbits(32), rng.randbytes(rng.randrange(6))
        if found := _move(answer, move, registers, value, after):
            return found
    return None


KNOWN = (0x88, 0x89, 0x8A, 0x8B, 0xC6, 0xC7, 0x66, 0x0F)


def _hostile(answer: Answer, rng: Random) -> Difference | None:
    """Other opcodes with all that follows, and register forms."""
    for _ in range(40):
        opcode = rng.choice([byte for byte in range(256) if byte not in KNOWN])
        prefix = rng.choice((b"", b"\x66"))
        wrong = prefix + bytes([opcode]) + rng.randbytes(rng.randrange(14))
        move = any_move(rng)._replace(address=Address(3, rng.randrange(8)))
        constant = Move("constant", 4, rng.randrange(1, 8), any_address(rng), 7)
        codes = wrong, move.code, constant.code, b"\x66" * rng.randrange(2, 16) + move.code
        if found := first(_nothing(answer, code[:LONGEST]) for code in codes):
            return found
    return None


MMIO = Task(
    "ps3.q6",
    "do what the instruction would",
    ("emulate",),
    ("S12", "S14", "S19"),
    lines=35,
    minutes=40,
    difficulty=4,
    points=7,
    cases=(
        Case("write eax", _moves(Move("store", 4, 0, PLAIN))),
        Case("write any register", _all("store", 4)),
        Case("read into any register", _all("load", 4)),
        Case("write one byte", _moves(*(Move("store", 1, number, PLAIN) for number in range(4)))),
        Case(
            "write ah to bh", _moves(*(Move("store", 1, number, PLAIN) for number in range(4, 8)))
        ),
        Case("read one byte", _moves(*(Move("load", 1, number, PLAIN) for number in range(4)))),
        Case(
            "read into ah to bh",
            _moves(*(Move("load", 1, number, PLAIN) for number in range(4, 8))),
        ),
        Case("two bytes", _moves(Move("store", 2, 3, PLAIN), Move("load", 2, 6, PLAIN))),
        Case(
            "a constant",
            _moves(*(Move("constant", 4, 0, PLAIN, value) for value in (0x8765_4321, 7))),
        ),
        Case(
            "constants of one and two bytes",
            _moves(Move("constant", 1, 0, PLAIN, 0xE5), Move("constant", 2, 0, PLAIN, 0x8001)),
        ),
        Case("a byte extended", _moves(Move("extend", 4, 5, PLAIN), Move("extend", 4, 0, PLAIN))),
        Case("a byte extended to two", _moves(Move("extend", 2, 6, PLAIN))),
        Case("bytes after M", _addresses(*ADDRESSES[:3])),
        Case("an address alone", _addresses(ADDRESSES[3])),
        Case("mod 1 and rm 5", _addresses(ADDRESSES[7])),
        Case("with S", _addresses(ADDRESSES[4], ADDRESSES[6])),
        Case("with S, without a base", _addresses(ADDRESSES[5], ADDRESSES[8])),
        Case("another instruction", _none("90", "01 03 00 00 00 00 00", "b6 03 03 03", "0f b7 03")),
        Case(
            "between registers",
            _none("89 c3", "8a c3 00 00 00 00 00", "c7 c0 01 00 00 00", "8b c4"),
        ),
        Case("reg is not 0", _none("c7 0b 01 00 00 00", "c6 3b 01 00")),
        Case("two prefixes", _none("66 66 89 03", "66 66 0f b6 03")),
        Case("not all of it", _cut),
        Case("any move", _any_move),
        Case("hostile bytes", _hostile),
    ),
    hints=(
        "Begin with 89 and 8b, mod 0, no S: two bytes, one access, eip + 2. Then one table row "
        "after the other. Where does the value of a register of one byte come from?",
        "Three questions, in this order: which form is it (prefix, opcode, size), how long is it "
        "(M, S, what follows, the constant), and only then the access. Whatever is missing or "
        "unknown ends the function before the third.",
        "Cut the prefix off and remember it; treat 0f b6 as one opcode. Count the length from M: "
        "2, and 1 for S, and 0, 1 or 4, and the constant. A byte register is number % 4 of the "
        "eight, shifted by 8 from number 4 on. To put a value into a part of a register, clear "
        "that part with a mask first.",
    ),
)
