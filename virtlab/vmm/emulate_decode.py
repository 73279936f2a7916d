"""Decode the instruction that met a device: which memory it reads or writes, and how much.

The idea: a memory access that exits tells the VMM an address and whether it was a write. Not how
many bytes, not which register. That is in the guest's code, so the VMM fetches it and decodes.

      66     81     0C 8D   10 40 03 FE   02 00          or word ptr [ecx*4 + 0xfe034010], 2
      prefix opcode ModR/M  displacement  immediate
                    and SIB

The rules that keep it simple: the opcode map of `x86_opcodes` says what the operands are; this file
adds what memory operands need. Bytes that it does not know are an `Undecodable`, bytes that end too
early a `NeedsMore`; both are answers, since a guest may put anything there. Only instructions
with an operand in memory are decoded: no other meets a device.

Sources: SDM 2A 2.1 (prefixes, ModR/M, SIB, tables 2-2 and 2-3), 2.3.11 (at most 15 bytes), appendix
A. Left out: 16-bit and 64-bit addressing, the stack, I/O instructions, x87 and vectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from virtlab.vmm.emulate_records import (
    COMPARES,
    COPIES,
    DS,
    ES,
    SS,
    UPDATES,
    Immediate,
    Memory,
    MmioInstruction,
    Operand,
    Register,
    memory_of,
)
from virtlab.vmm.x86_opcodes import EAX, EDI, ESI, OPERAND_SIZE, REP, ROWS

MAX_LENGTH = 15
"""Bytes that one instruction may have; a longer one is a general protection fault."""

ESP, EBP = 4, 5
SIB_FOLLOWS = NO_INDEX = 4
"""The number of ESP: as the base in ModR/M a SIB byte follows, as an index there is none."""
SEGMENT_PREFIXES = dict(zip((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65), range(6), strict=True))
"""Which segment each of the prefixes names, in the order of `SEGMENTS`."""
ADDRESS_SIZE, LOCK, REPNE, TWO_BYTES = 0x67, 0xF0, 0xF2, 0x0F

MORE_ROWS = {
    (0x86, -1): "xchg Eb, Gb",
    (0x87, -1): "xchg Ev, Gv",
    (0x0FB6, -1): "movzx Gv, Eb",
    (0x0FB7, -1): "movzx Gv, Ew",
    (0x0FBE, -1): "movsx Gv, Eb",
    (0x0FBF, -1): "movsx Gv, Ew",
}
"""Rows that drivers need beside those of `x86_opcodes`; 0Fxx is a two-byte opcode."""

ALL_ROWS = ROWS | MORE_ROWS
GROUPS = {opcode for opcode, digit in ALL_ROWS if digit >= 0}
"""Opcodes whose operation stands in ModR/M."""


class Undecodable(NamedTuple):
    """The bytes are no instruction that this emulator knows. `why` says so in words."""

    why: str


class NeedsMore(NamedTuple):
    """The bytes end inside an instruction; it has at least `length` bytes."""

    length: int


def decode(code: bytes) -> MmioInstruction | Undecodable | NeedsMore:
    r"""The instruction at the start of `code`, for 32-bit code. Bytes after it do not matter.

    >>> print(decode(bytes.fromhex("6681 0c8d 104003fe 0200")))
    or word ptr [ecx*4 + 0xfe034010], 2
    >>> decode(b"\x66\x81"), decode(b"\xf4")
    (NeedsMore(length=3), Undecodable(why="'hlt' is no access to memory"))
    """
    try:
        return _Decoder(code).instruction()
    except _Stop as stop:
        return stop.outcome


class _Stop(Exception):
    """Ends a decoding with `outcome`; never leaves this file."""

    def __init__(self, outcome: Undecodable | NeedsMore) -> None:
        self.outcome = outcome


class _Decoder:
    """Takes an instruction from the front of `code`: prefixes, opcode, operands."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.at = 0
        self.prefixes: set[int] = set()
        self.segment: int | None = None

    def instruction(self) -> MmioInstruction:
        opcode = self.opcode()
        row = self.row(opcode)
        name, _, rest = row.partition(" ")
        tokens = rest.split(", ") if rest else []
        known = name in (*COPIES, *COMPARES, *UPDATES)
        if not known or not any(token[0] in "EOXY" for token in tokens):
            raise _Stop(Undecodable(f"{row!r} is no access to memory"))
        operands = self.operands(tokens)
        memory = memory_of(operands)
        if memory is None:
            raise _Stop(Undecodable(f"{row!r} has no operand in memory here"))
        rep, lock = REP in self.prefixes, LOCK in self.prefixes
        if (rep and "*" not in name) or REPNE in self.prefixes:
            raise _Stop(Undecodable(f"{row!r} takes no such repeat prefix"))
        if lock and not (name in UPDATES and memory is operands[0]):
            raise _Stop(Undecodable(f"{row!r} takes no LOCK: it does not update memory"))
        return MmioInstruction(self.code[: self.at], name, memory.size, operands, rep, lock)

    def take(self, size: int = 1, signed: bool = False) -> int:
        """The next `size` bytes as a little-endian number."""
        end = self.at + size
        if end > MAX_LENGTH:
            raise _Stop(Undecodable(f"longer than {MAX_LENGTH} bytes"))
        if end > len(self.code):
            raise _Stop(NeedsMore(end))
        self.at = end
        return int.from_bytes(self.code[end - size : end], "little", signed=signed)

    def opcode(self) -> int:
        """Take the prefixes and the opcode. Of several segment prefixes the last one counts."""
        while (byte := self.take()) in (*SEGMENT_PREFIXES, OPERAND_SIZE, LOCK, REP, REPNE):
            self.segment = SEGMENT_PREFIXES.get(byte, self.segment)
            self.prefixes.add(byte)
        if byte == ADDRESS_SIZE:
            raise _Stop(Undecodable("prefix 0x67: 16-bit addresses"))
        return TWO_BYTES << 8 | self.take() if byte == TWO_BYTES else byte

    def row(self, opcode: int) -> str:
        """The line of the opcode map."""
        digit = self.peek() >> 3 & 7 if opcode in GROUPS else -1
        row = ALL_ROWS.get((opcode, digit))
        if row is None:
            width = 6 if opcode > 0xFF else 4
            raise _Stop(Undecodable(f"opcode {opcode:#0{width}x}{f'/{digit}' * (digit >= 0)}"))
        return row

    def peek(self) -> int:
        """The next byte, which stays."""
        byte = self.take()
        self.at -= 1
        return byte

    def operands(self, tokens: list[str]) -> tuple[Operand, ...]:
        """What the tokens of a row stand for; their bytes follow ModR/M in the same order."""
        modrm = self.take() if any(token[0] in "EG" for token in tokens) else 0
        return tuple(self.operand(token, modrm) for token in tokens)

    def operand(self, token: str, modrm: int) -> Operand:
        """The operand that `token` stands for."""
        size = self.width(token)
        match token.rstrip("bwv"):
            case "E" if modrm >> 6 != 3:
                return self.placed(self.modrm_memory(modrm, size))
            case "E":
                return Register(modrm & 7, size)
            case "G":
                return Register(modrm >> 3 & 7, size)
            case "I":
                return Immediate(self.take(size), size)
            case "sI":
                return Immediate(self.take(1, signed=True), self.wide)
            case "O":
                return self.placed(Memory(size, displacement=self.take(4)))
            case "X":
                return self.placed(Memory(size, base=ESI))
            case "Y":
                return Memory(size, ES, EDI, named=True)
            case _:
                return Register(EAX, size)

    @property
    def wide(self) -> int:
        """Bytes of a `v` operand."""
        return 2 if OPERAND_SIZE in self.prefixes else 4

    def width(self, token: str) -> int:
        """Bytes of the operand that `token` stands for."""
        return {"b": 1, "w": 2, "L": 1}.get(token[-1], self.wide)

    def modrm_memory(self, modrm: int, size: int) -> Memory:
        """The memory that ModR/M names, with SIB and displacement (SDM 2A tables 2-2, 2-3)."""
        mod, base, index, scale = modrm >> 6, modrm & 7, NO_INDEX, 1
        if base == SIB_FOLLOWS:
            sib = self.take()
            base, index, scale = sib & 7, sib >> 3 & 7, 1 << (sib >> 6)
        scaled: tuple[int | None, int] = (None, 1) if index == NO_INDEX else (index, scale)
        if mod == 0 and base == EBP:
            return Memory(size, DS, None, *scaled, self.take(4))
        segment = SS if base in (ESP, EBP) else DS
        return Memory(size, segment, base, *scaled, self.take((0, 1, 4)[mod], signed=True))

    def placed(self, memory: Memory) -> Memory:
        """`memory`, in the segment that a prefix names, if one does."""
        if self.segment is None:
            return memory
        return replace(memory, segment=self.segment, named=True)
