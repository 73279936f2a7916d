"""An instruction with an operand in memory, as a record: what a VMM must know to finish it.

      or word ptr [ecx*4 + 0xfe034010], 2        load 2 bytes, store 2 bytes at the same place
      movzx eax, byte ptr [edi + 3]              load 1 byte, fill EAX with it
      rep stosb byte ptr es:[edi], al            store 1 byte, ECX times

The rule that keeps it simple: operands say where a value lives, and the mnemonic says which of them
are read and which are written. What the instruction loads and stores follows from the two.

Source: SDM 2A 2.1.5 (operands), the instruction pages of volume 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from virtlab.vmm.x86_opcodes import REGISTERS
from virtlab.wire import all_ones

ES, CS, SS, DS, FS, GS = range(6)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
_WIDTHS = {1: "byte", 2: "word", 4: "dword"}

COPIES = ("mov", "movzx", "movsx", "movs*", "stos*", "lods*")
"""What writes its first operand without reading it."""
COMPARES = ("cmp", "test")
"""What reads both operands and writes neither."""
UPDATES = ("add", "or", "and", "sub", "xor", "inc", "dec", "xchg")
"""What reads its first operand and writes it. With memory there, LOCK is allowed."""


class Register(NamedTuple):
    """Register `number` of `size` bytes, as ModR/M numbers them (SDM 2A table 2-2)."""

    number: int
    size: int

    def __str__(self) -> str:
        return REGISTERS[self.size][self.number]


class Immediate(NamedTuple):
    """A constant from the code, for an operation on `size` bytes; negative if sign-extended."""

    value: int
    size: int

    def __str__(self) -> str:
        return _number(self.value)


@dataclass(frozen=True, slots=True)
class Memory:
    """An operand of `size` bytes in memory: `segment:[base + index * scale + displacement]`.

    `base` and `index` are numbers of 32-bit registers, or None. `named` is set where the code, and
    not a rule, says which segment.
    """

    size: int
    segment: int = DS
    base: int | None = None
    index: int | None = None
    scale: int = 1
    displacement: int = 0
    named: bool = False

    def __str__(self) -> str:
        parts = [REGISTERS[4][self.base]] if self.base is not None else []
        if self.index is not None:
            parts.append(f"{REGISTERS[4][self.index]}{f'*{self.scale}' * (self.scale > 1)}")
        text = " + ".join(parts)
        if not text:
            text = _number(self.displacement & all_ones(4))
        elif self.displacement:
            sign = "-" if self.displacement < 0 else "+"
            text += f" {sign} {_number(abs(self.displacement))}"
        segment = f"{SEGMENTS[self.segment]}:" if self.named else ""
        return f"{_WIDTHS[self.size]} ptr {segment}[{text}]"


Operand = Register | Immediate | Memory


@dataclass(frozen=True, slots=True)
class MmioInstruction:
    """An instruction with an operand in memory.

    `code` is its own bytes. `mnemonic` is in small letters; a string instruction ends in `*` for
    the letter of its size. `size` is in bytes, that of the access. `operands` stand as Intel writes
    them, the destination first. `rep` repeats it ECX times.
    """

    code: bytes
    mnemonic: str
    size: int
    operands: tuple[Operand, ...]
    rep: bool = False
    lock: bool = False

    @property
    def length(self) -> int:
        """Bytes of code: the next instruction is so much further."""
        return len(self.code)

    @property
    def load(self) -> Memory | None:
        """The memory that it reads, if it does."""
        return memory_of(self.operands[1 if self.mnemonic in COPIES else 0 :])

    @property
    def store(self) -> Memory | None:
        """The memory that it writes, if it does."""
        return None if self.mnemonic in COMPARES else memory_of(self.operands[:1])

    def __str__(self) -> str:
        prefix = "rep " * self.rep + "lock " * self.lock
        name = self.mnemonic.replace("*", _WIDTHS[self.size][0])
        return f"{prefix}{name} {', '.join(self._text(operand) for operand in self.operands)}"

    def _text(self, operand: Operand) -> str:
        if isinstance(operand, Immediate) and self.mnemonic not in ("add", "sub", "cmp"):
            return _number(operand.value & all_ones(operand.size))
        return str(operand)


def memory_of(operands: tuple[Operand, ...]) -> Memory | None:
    """The first operand that lies in memory."""
    return next((operand for operand in operands if isinstance(operand, Memory)), None)


def _number(value: int) -> str:
    """Ten and more in hexadecimal."""
    return f"{value}" if abs(value) < 10 else f"{value:#x}"
