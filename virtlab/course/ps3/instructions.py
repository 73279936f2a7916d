"""Machine code for task 6 of problem set 3: moves made from their parts, never decoded.

The idea: a case decides what an instruction does, and puts its bytes together from that. So what is
expected does not depend on anybody's decoder, ours or the student's.

Source: SDM 2A 2.1 (the format), tables 2-2 and 2-3 (ModRM and SIB), 2B (MOV, MOVZX). Left out: all
that is not a move between memory and a register or a constant, in 32-bit code.
"""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

from virtlab.wire import all_ones

Kind = Literal["store", "load", "constant", "extend"]

OPCODES: dict[Kind, tuple[bytes, bytes]] = {
    "store": (b"\x88", b"\x89"),
    "load": (b"\x8a", b"\x8b"),
    "constant": (b"\xc6", b"\xc7"),
    "extend": (b"\x0f\xb6", b"\x0f\xb6"),
}
"""For one byte, and for more."""

WORDS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
BYTES = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
LONGEST = 15
"""Bytes that an instruction can have."""


class Address(NamedTuple):
    """How an address is written: `mod` and `rm` of ModRM, and the bytes that follow it."""

    mod: int
    rm: int
    rest: bytes = b""


class Move(NamedTuple):
    """One move. `size` is that of the operand, 1, 2 or 4; an extension reads 1 byte always."""

    kind: Kind
    size: int
    register: int = 0
    address: Address = Address(0, 0)
    value: int = 0

    @property
    def code(self) -> bytes:
        """Its bytes."""
        opcode = OPCODES[self.kind][self.size > 1]
        modrm = self.address.mod << 6 | self.register << 3 | self.address.rm
        end = self.value.to_bytes(self.size, "little") if self.kind == "constant" else b""
        prefix = b"\x66" if self.size == 2 else b""
        return prefix + opcode + bytes([modrm]) + self.address.rest + end

    @property
    def access_size(self) -> int:
        """Bytes that the device sees."""
        return 1 if self.kind == "extend" else self.size

    def written(self, registers: list[int]) -> int | None:
        """What it writes to memory, or None if it reads."""
        if self.kind == "constant":
            return self.value
        if self.kind != "store":
            return None
        number, shift = part(self.register, self.size)
        return registers[number] >> shift & all_ones(self.size)

    def loaded(self, registers: list[int], value: int) -> list[int]:
        """The registers after a read that gave `value`."""
        after = list(registers)
        number, shift = part(self.register, self.size)
        mask = all_ones(self.size) << shift
        after[number] = after[number] & ~mask | value << shift
        return after


def part(register: int, size: int) -> tuple[int, int]:
    """The register of eight, and the lowest bit in it, that a number means for a size.

    >>> part(5, 1), part(5, 4)
    ((1, 8), (5, 0))
    """
    return (register % 4, 8 * (register // 4)) if size == 1 else (register, 0)


def registers_text(registers: list[int]) -> str:
    """Eight registers as a report shows them."""
    return ", ".join(f"{name} {value:#x}" for name, value in zip(WORDS, registers, strict=True))


PLAIN = Address(0, 3)
"""`[ebx]`."""

ADDRESSES = (
    PLAIN,
    Address(1, 3, b"\x0c"),
    Address(2, 6, b"\x10\x20\x30\x40"),
    Address(0, 5, b"\x00\x00\xb0\xfe"),
    Address(0, 4, b"\x24"),
    Address(0, 4, b"\x8d\x04\x03\x02\x01"),
    Address(1, 4, b"\x4d\x88"),
    Address(1, 5, b"\x88"),
    Address(2, 4, b"\x85\x66\x89\x8b\xc7"),
)
"""One of each way: none, disp8, disp32, no base, SIB, SIB without base, SIB with each."""


def any_address(rng: Random) -> Address:
    """Any way to write an address."""
    mod, rm = rng.randrange(3), rng.randrange(8)
    sib = rng.randbytes(1) if rm == 4 else b""
    base = sib[0] & 7 if sib else rm
    count = 1 if mod == 1 else 4 if mod == 2 or base == 5 else 0
    return Address(mod, rm, sib + rng.randbytes(count))


def any_move(rng: Random) -> Move:
    """Any move of the table."""
    kind: Kind = rng.choice(("store", "load", "constant", "extend"))
    size = rng.choice((2, 4) if kind == "extend" else (1, 2, 4))
    if kind == "constant":
        return Move(kind, size, 0, any_address(rng), rng.getrandbits(8 * size))
    return Move(kind, size, rng.randrange(8), any_address(rng))
