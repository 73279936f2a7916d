"""A small part of the x86 opcode map, and a disassembler that reads it.

The idea: x86 is a table. The first byte of an instruction picks a row; the row says what its
operands are and where their bytes stand. `MAP` is that table as Intel prints it, and everything
else in this file only reads it.

The rule that keeps it simple: a row has one width. It works on bytes, or on doublewords, which
the prefix 66 turns into words. `Operand` says where a value lives, not what it is.

Source: Intel SDM volume 2, appendix A.2 (the letters for operands, table A-2), 2.1 (prefixes,
ModR/M). Only 32-bit protected mode, and of ModR/M only `[disp32]`, `[register]` and `register`.
Left out: SIB bytes, displacements from a register, segments, LOCK, the stack, two-byte opcodes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from virtlab.wire import all_ones

# The letters of A.2.1: E a register or memory by ModR/M, G the register in ModR/M, I an immediate,
# J a jump, O an offset with no ModR/M, X memory at ESI, Y memory at EDI; b a byte, v a word or
# doubleword. Ours: Z the register in the opcode (`40+` is eight rows), sIb a byte that is
# sign-extended, port an Ib that numbers a port, * the letter of the width.
# What moves words and doublewords is on the right; nearly always bit 0 of the opcode says so.
MAP = """
                                 |  40+   inc Zv
                                 |  48+   dec Zv
    6c    ins* Yb, DX            |  6d    ins* Yv, DX
    6e    outs* DX, Xb           |  6f    outs* DX, Xv
    72    jb Jb                  |
    73    jae Jb                 |
    74    je Jb                  |
    75    jne Jb                 |
    84    test Eb, Gb            |  85    test Ev, Gv
    88    mov Eb, Gb             |  89    mov Ev, Gv
    8a    mov Gb, Eb             |  8b    mov Gv, Ev
    90    nop                    |
    a0    mov AL, Ob             |  a1    mov eAX, Ov
    a2    mov Ob, AL             |  a3    mov Ov, eAX
    a4    movs* Yb, Xb           |  a5    movs* Yv, Xv
    a8    test AL, Ib            |  a9    test eAX, Iv
    aa    stos* Yb, AL           |  ab    stos* Yv, eAX
    ac    lods* AL, Xb           |  ad    lods* eAX, Xv
    b0+   mov Zb, Ib             |  b8+   mov Zv, Iv
    c6/0  mov Eb, Ib             |  c7/0  mov Ev, Iv
    e2    loop Jb                |
    e4    in AL, port            |  e5    in eAX, port
    e6    out port, AL           |  e7    out port, eAX
    eb    jmp Jb                 |
    ec    in AL, DX              |  ed    in eAX, DX
    ee    out DX, AL             |  ef    out DX, eAX
    f4    hlt                    |
    f6/0  test Eb, Ib            |  f7/0  test Ev, Iv
    fe/0  inc Eb                 |  ff/0  inc Ev
    fe/1  dec Eb                 |  ff/1  dec Ev
"""

# Arithmetic fills the map by rule: the operation is bits 5:3, the operands bits 2:0 (table A-2).
# Group 1 has the operation in ModR/M instead (table A-6).
ARITHMETIC = {0: "add", 1: "or", 4: "and", 5: "sub", 6: "xor", 7: "cmp"}
FORMS = ("Eb, Gb", "Ev, Gv", "Gb, Eb", "Gv, Ev", "AL, Ib", "eAX, Iv")
GROUP_1 = {0x80: "Eb, Ib", 0x81: "Ev, Iv", 0x83: "Ev, sIb"}

REGISTERS = {
    1: ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
    2: ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"),
    4: ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"),
}
"""Register names by size in bytes, in the order of their numbers (table 2-2)."""
EAX, ECX, EDX, ESI, EDI = 0, 1, 2, 6, 7
OPERAND_SIZE, REP = 0x66, 0xF3
_WIDTHS = {1: "byte", 2: "word", 4: "dword"}


def _rows() -> dict[tuple[int, int], str]:
    """The map as `(opcode, digit) -> row`; the digit is -1 where ModR/M does not choose."""
    rows = {
        (8 * n + i, -1): f"{name} {form}"
        for n, name in ARITHMETIC.items()
        for i, form in enumerate(FORMS)
    }
    rows |= {(op, n): f"{ARITHMETIC[n]} {form}" for op, form in GROUP_1.items() for n in ARITHMETIC}
    for cell in MAP.replace("\n", "|").split("|"):
        opcode, _, row = cell.strip().partition(" ")
        if row:
            first, digit = int(opcode[:2], 16), int(opcode[3:] or -1)
            rows |= {(first + i, digit): row.strip() for i in range(8 if "+" in opcode else 1)}
    return rows


ROWS = _rows()
"""Every row: `(opcode, ModR/M digit or -1)` and its text, such as `"or Eb, Ib"`."""


class Operand(NamedTuple):
    """Where a value lives.

    `kind` is `reg` (a register's number), `mem` (an address), `at` and `es` (the number of the
    register that holds the address; `es` is the destination of a string instruction), `imm`
    (the value itself), `port` (its number), `dx` (the port that DX names) or `to` (a target).
    """

    kind: str
    value: int

    def text(self, size: int, signed: bool = False) -> str:
        """The operand in Intel's syntax; `size` in bytes, `signed` for an immediate."""
        match self.kind:
            case "reg":
                return REGISTERS[size][self.value]
            case "mem" | "at" | "es":
                segment = "es:" if self.kind == "es" else ""
                place = _number(self.value) if self.kind == "mem" else REGISTERS[4][self.value]
                return f"{_WIDTHS[size]} ptr {segment}[{place}]"
            case "imm":
                return _number(self.value if signed else self.value & all_ones(size))
            case "dx":
                return "dx"
            case _:
                return _number(self.value)


class Instruction(NamedTuple):
    """One decoded instruction: `size` is the width of its operands in bytes."""

    address: int
    code: bytes
    mnemonic: str
    operands: tuple[Operand, ...]
    size: int
    rep: bool

    @property
    def text(self) -> str:
        """Intel's syntax in small letters: `or byte ptr [0xfe034010], 2`."""
        name = self.mnemonic.replace("*", _WIDTHS[self.size][0])
        signed = name in ("add", "sub", "cmp")
        operands = ", ".join(operand.text(self.size, signed) for operand in self.operands)
        return f"{'rep ' if self.rep else ''}{name} {operands}".rstrip()


class _Decoder:
    """The bytes of the instruction at `address`, taken from the front."""

    def __init__(self, code: bytes, origin: int, address: int) -> None:
        self.code, self.origin, self.address = code, origin, address
        self.at = address - origin
        self.prefixes: set[int] = set()
        self.opcode = self.take()
        while self.opcode in (OPERAND_SIZE, REP) and self.opcode not in self.prefixes:
            self.prefixes.add(self.opcode)
            self.opcode = self.take()
        self.modrm = code[self.at] if self.at < len(code) else 0

    def take(self, size: int = 1, signed: bool = False) -> int:
        """The next `size` bytes as a little-endian number."""
        piece = self.code[self.at : self.at + size]
        if len(piece) < size:
            raise ValueError(f"the code ends inside the instruction at {self.address:#x}")
        self.at += size
        return int.from_bytes(piece, "little", signed=signed)

    def wrong(self, byte: int, why: str) -> ValueError:
        """The error to raise: where, which byte, and why it cannot be."""
        return ValueError(f"byte {byte:#04x} of the instruction at {self.address:#x}: {why}")

    def instruction(self) -> Instruction:
        """Find the row, check the prefixes, take the operands."""
        row = ROWS.get((self.opcode, -1)) or ROWS.get((self.opcode, self.modrm >> 3 & 7))
        if row is None:
            raise self.wrong(self.opcode, "it starts no instruction of the subset")
        name, _, rest = row.partition(" ")
        tokens = rest.split(", ") if rest else []
        wide = any(token[-1] == "v" or token == "eAX" for token in tokens)
        for prefix, allowed in ((OPERAND_SIZE, wide), (REP, "*" in name)):
            if prefix in self.prefixes and not allowed:
                raise self.wrong(prefix, f"this prefix does not go with {row!r}")
        size = 1 if not wide else 2 if OPERAND_SIZE in self.prefixes else 4
        if any(token[0] in "EG" for token in tokens):
            self.take()
        operands = tuple(self.operand(token, size) for token in tokens)
        used = self.code[self.address - self.origin : self.at]
        return Instruction(self.address, used, name, operands, size, REP in self.prefixes)

    def operand(self, token: str, size: int) -> Operand:
        """The operand that a row's `token` stands for."""
        match token.rstrip("bv"):
            case "AL" | "eAX":
                return Operand("reg", EAX)
            case "DX":
                return Operand("dx", EDX)
            case "Z":
                return Operand("reg", self.opcode & 7)
            case "G":
                return Operand("reg", self.modrm >> 3 & 7)
            case "E":
                return self.register_or_memory()
            case "O":
                return Operand("mem", self.take(4))
            case "X":
                return Operand("at", ESI)
            case "Y":
                return Operand("es", EDI)
            case "I":
                return Operand("imm", self.take(size))
            case "sI":
                return Operand("imm", self.take(1, signed=True))
            case "J":
                distance = self.take(1, signed=True)
                return Operand("to", (self.origin + self.at + distance) & 0xFFFFFFFF)
            case _:
                return Operand("port", self.take(1))

    def register_or_memory(self) -> Operand:
        """ModR/M in the three forms of the subset (table 2-2)."""
        mod, rm = self.modrm >> 6, self.modrm & 7
        if mod == 3:
            return Operand("reg", rm)
        if mod == 0 and rm == 5:
            return Operand("mem", self.take(4))
        if mod == 0 and rm != 4:
            return Operand("at", rm)
        raise self.wrong(self.modrm, "this ModR/M form is not in the subset")


@lru_cache(4096)
def decode(code: bytes, origin: int, address: int) -> Instruction:
    """The instruction at `address` of a program that is placed at `origin`.

    `ValueError`, naming the address and the byte, where the subset has no such instruction.

    >>> decode(bytes.fromhex("800d1040 03fe02"), 0, 0).text
    'or byte ptr [0xfe034010], 2'
    """
    return _Decoder(code, origin, address).instruction()


def disassemble(code: bytes, origin: int = 0) -> list[tuple[int, bytes, str]]:
    """All of `code` as `(address, bytes, text)`; `ValueError` as `decode`."""
    lines, address = [], origin
    while address < origin + len(code):
        instruction = decode(code, origin, address)
        lines.append((address, instruction.code, instruction.text))
        address += len(instruction.code)
    return lines


def _number(value: int) -> str:
    """Ten and more in hexadecimal."""
    return f"{value}" if abs(value) < 10 else f"{value:#x}"
