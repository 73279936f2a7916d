"""Random instructions with an operand in memory, written out byte by byte, and Unicorn to run one.

The encodings are listed here by hand, from SDM volume 2, and not taken from the library's tables.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from hypothesis import strategies as st

from tests.needs import require
from virtlab.wire import all_ones

NAMES = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
ECX, ESI, EDI = 1, 6, 7
PAGE, CODE, DEVICE = 0x1000, 0x7000_0000, 0xFE03_4000
ARITHMETIC = (0, 1, 4, 5, 6, 7)  # ADD OR AND SUB XOR CMP

WITH_REGISTER = {
    *(8 * n + form for n in ARITHMETIC for form in range(4)),
    *(0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x0FB6, 0x0FB7, 0x0FBE, 0x0FBF),
}
GROUPS = {
    **{opcode: (ARITHMETIC, size) for opcode, size in ((0x80, 1), (0x81, 0), (0x83, 1))},
    **{0xC6: ((0,), 1), 0xC7: ((0,), 0), 0xF6: ((0,), 1), 0xF7: ((0,), 0)},
    **{0xFE: ((0, 1), None), 0xFF: ((0, 1), None)},
}
"""Opcode: its digits, and the bytes of its immediate; 0 is the operand's size, None for none."""
OFFSETS, STRINGS = (0xA0, 0xA1, 0xA2, 0xA3), (0xA4, 0xA5, 0xAA, 0xAB, 0xAC, 0xAD)
OPCODES = sorted(WITH_REGISTER | set(GROUPS) | set(OFFSETS) | set(STRINGS))
SEGMENTS = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)


def writes_memory(opcode: int, digit: int) -> bool:
    """Whether it reads memory and writes it: then LOCK is allowed."""
    if opcode in (0x80, 0x81, 0x83):
        return digit != 7
    return opcode in (0x86, 0x87, 0xFE, 0xFF) or (opcode < 0x38 and opcode & 7 in (0, 1))


@st.composite
def addresses(draw, digit: int) -> bytes:
    """ModR/M with `digit` in the middle, and what follows it: every form that means memory."""
    mod, rm = draw(st.integers(0, 2)), draw(st.integers(0, 7))
    sib = draw(st.binary(min_size=1, max_size=1)) if rm == 4 else b""
    base = sib[0] & 7 if sib else rm
    length = 4 if mod == 2 or (mod == 0 and base == 5) else mod
    return (
        bytes([mod << 6 | digit << 3 | rm])
        + sib
        + draw(st.binary(min_size=length, max_size=length))
    )


@st.composite
def mmio_code(draw, opcode: int | None = None) -> bytes:
    """One instruction of at most 15 bytes, with prefixes in any order."""
    opcode = draw(st.sampled_from(OPCODES)) if opcode is None else opcode
    prefixes = [0x66] * draw(st.integers(0, 1)) + draw(
        st.lists(st.sampled_from(SEGMENTS), max_size=1)
    )
    size = 2 if 0x66 in prefixes else 4
    body, digit = opcode.to_bytes(1 + (opcode > 0xFF), "big"), -1
    if opcode in WITH_REGISTER:
        body += draw(addresses(draw(st.integers(0, 7))))
    elif opcode in GROUPS:
        digits, immediate = GROUPS[opcode]
        digit = draw(st.sampled_from(digits))
        length = size if immediate == 0 else immediate or 0
        body += draw(addresses(digit)) + draw(st.binary(min_size=length, max_size=length))
    elif opcode in OFFSETS:
        body += draw(st.binary(min_size=4, max_size=4))
    elif draw(st.booleans()):
        prefixes.append(0xF3)
    if writes_memory(opcode, digit) and draw(st.booleans()):
        prefixes.append(0xF0)
    return bytes(draw(st.permutations(prefixes))) + body


def register_values() -> st.SearchStrategy[tuple[int, ...]]:
    """Eight registers, with ECX small enough to count down."""
    value = st.integers(0, 0xFFFF_FFFF)
    return st.tuples(value, st.integers(0, 5), *[value] * 6)


class Memory:
    """4 GiB in which each byte has a fixed random value until it is written."""

    def __init__(self) -> None:
        self.written: dict[int, int] = {}

    @staticmethod
    def page(base: int) -> bytes:
        """What a page holds at first."""
        return random.Random(base).randbytes(PAGE)

    def load(self, linear: int, size: int) -> int:
        """The value there; past 4 GiB it goes on at 0."""
        places = [(linear + i) & 0xFFFF_FFFF for i in range(size)]
        data = [self.written.get(at, self.page(at & -PAGE)[at % PAGE]) for at in places]
        return int.from_bytes(bytes(data), "little")

    def store(self, linear: int, size: int, value: int) -> None:
        """Write it."""
        for i in range(size):
            self.written[(linear + i) & 0xFFFF_FFFF] = value >> 8 * i & 0xFF


class Outcome(NamedTuple):
    """What one instruction leaves behind, in a form that compares."""

    general: tuple[int, ...]
    eip: int
    eflags: int
    accesses: list[tuple[bool, int, int]]  # write, linear address, size
    written: dict[int, int]


def unicorn_once(code: bytes, general: tuple[int, ...], eflags: int) -> Outcome:
    """Run one instruction at `CODE` on Unicorn, all repetitions of it, over a `Memory`."""
    require("Unicorn")
    import unicorn
    from unicorn import x86_const as x86

    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    uc.mem_map(CODE, PAGE)
    uc.mem_write(CODE, code)
    accesses: list[tuple[bool, int, int]] = []
    written: dict[int, int] = {}

    def page_missing(uc, kind, at, size, value, data):
        for base in {at & -PAGE, (at + size - 1 & 0xFFFF_FFFF) & -PAGE}:
            if not any(begin <= base <= end for begin, end, _ in uc.mem_regions()):
                uc.mem_map(base, PAGE)
                uc.mem_write(base, Memory.page(base))
        return True

    def access(_, kind, at, size, value, data):
        write = kind == unicorn.UC_MEM_WRITE
        accesses.append((write, at, size))
        if write:
            for i in range(size):
                written[(at + i) & 0xFFFF_FFFF] = (value & all_ones(size)) >> 8 * i & 0xFF

    uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, page_missing)
    uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, access)
    numbers = [getattr(x86, f"UC_X86_REG_{name.upper()}") for name in NAMES]
    for number, value in zip(numbers, general, strict=True):
        uc.reg_write(number, value)
    uc.reg_write(x86.UC_X86_REG_EFLAGS, eflags)
    uc.emu_start(CODE, CODE + len(code), timeout=10_000_000)
    left = tuple(uc.reg_read(number) for number in numbers)
    eip, flags = uc.reg_read(x86.UC_X86_REG_EIP), uc.reg_read(x86.UC_X86_REG_EFLAGS)
    return Outcome(left, eip, flags, accesses, written)


def unicorn_device_log(
    code: bytes, general: tuple[int, ...], answers: tuple[int, ...]
) -> list[tuple[bool, int, int, int]]:
    """What a device of one page at `DEVICE` sees of `code`: `(write, offset, size, value)`."""
    require("Unicorn")
    import unicorn
    from unicorn import x86_const as x86

    uc, log, left = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32), [], list(answers)

    def read(_, offset, size, data):
        log.append((False, offset, size, left.pop(0) & all_ones(size)))
        return log[-1][3]

    def write(_, offset, size, value, data):
        log.append((True, offset, size, value & all_ones(size)))

    uc.mem_map(CODE, PAGE)
    uc.mem_write(CODE, code)
    uc.mmio_map(DEVICE, PAGE, read, None, write, None)
    for name, value in zip(NAMES, general, strict=True):
        uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), value)
    uc.emu_start(CODE, CODE + len(code), timeout=10_000_000)
    return log
