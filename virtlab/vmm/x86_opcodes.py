"""A disassembler for the small opcode map: from bytes to instructions, and to their text.

The rule that keeps it simple: the map decides. `Operand` says where a value lives, not what it is.

Source: Intel SDM volume 2, 2.1 (prefixes, ModR/M). Of ModR/M only `[disp32]`, `[register]` and
`register`. Left out: SIB bytes, displacements from a register, LOCK and segment prefixes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from virtlab.vmm.x86_map import (
    ARITHMETIC,
    EAX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    FORMS,
    OPERAND_SIZE,
    REGISTERS,
    REP,
    ROWS,
    TWO_BYTES,
)
from virtlab.wire import all_ones

__all__ = ["ARITHMETIC", "EAX", "ECX", "EDI", "EDX", "ESI", "ESP", "FORMS", "REGISTERS", "ROWS"]
__all__ += ["OPERAND_SIZE", "REP", "Instruction", "Operand", "decode", "disassemble"]

_WIDTHS = {1: "byte", 2: "word", 4: "dword"}


class Operand(NamedTuple):
    """Where a value lives.

    `kind` is `reg` (a register's number), `mem` (an address), `at` and `es` (the number of the
    register that holds the address; `es` is the destination of a string instruction), `imm`
    (the value itself), `port` (its number), `dx` (the port that DX names), `to` (a target), `far`
    (a target, with its segment's selector in bits 47:32) or `table` (an address of six bytes).
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
            case "far":
                return f"{_number(self.value >> 32)}:{_number(self.value & all_ones(4))}"
            case "table":
                return f"[{_number(self.value)}]"
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
        if self.opcode == TWO_BYTES:
            self.opcode = TWO_BYTES << 8 | self.take()
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
            raise self.wrong(
                self.opcode >> 8 or self.opcode, "it starts no instruction of the subset"
            )
        name, _, rest = row.partition(" ")
        tokens = rest.split(", ") if rest else []
        wide = any(token[-1] == "v" or token == "eAX" for token in tokens)
        for prefix, allowed in ((OPERAND_SIZE, wide), (REP, "*" in name)):
            if prefix in self.prefixes and not allowed:
                raise self.wrong(prefix, f"this prefix does not go with {row!r}")
        size = 1 if not wide else 2 if OPERAND_SIZE in self.prefixes else 4
        if any(token[0] in "EGM" for token in tokens):
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
            case "M":
                return self.memory_only()
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
            case "Ap":
                return Operand("far", self.take(6))
            case "J" | "Jz":
                distance = self.take(1 if token == "Jb" else 4, signed=True)
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

    def memory_only(self) -> Operand:
        """ModR/M that says `[disp32]`: what LGDT and LIDT have here."""
        if self.modrm >> 6 == 0 and self.modrm & 7 == 5:
            return Operand("table", self.take(4))
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
