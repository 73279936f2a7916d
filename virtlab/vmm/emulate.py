"""Finish an instruction for the guest: the device's answer goes into its registers and flags.

The idea: the processor stopped *before* the instruction, so nothing of it has happened. The VMM
decodes it, makes its accesses on the virtual device, and puts the registers where the processor
would have left them. Then the guest goes on behind it.

      decode(code)  ->  accesses(...)  ->  the virtual device  ->  complete(..., loaded)
                        load, then store                           registers, flags, value to store

The rules that keep it simple: nothing here touches memory; whoever calls makes the accesses, in
their order. With REP, one call is one repetition: EIP stays at the instruction until the last, so
each repetition is an exit of its own and an interrupt may come in between, as on a processor.

Sources: SDM volume 2, the page of each instruction; SDM 1 3.4.3 (EFLAGS), 7.3.9 (strings). AF after
AND, OR, XOR and TEST is undefined there; here it is 0. Left out: segment limits, faults.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

from virtlab.vmm.emulate_decode import NeedsMore, Undecodable, decode
from virtlab.vmm.emulate_records import (
    COMPARES,
    Immediate,
    Memory,
    MmioInstruction,
    Operand,
    Register,
)
from virtlab.vmm.x86_opcodes import ECX
from virtlab.wire import Bits, all_ones

__all__ = ["Completion", "MmioAccess", "MmioInstruction", "NeedsMore", "Registers", "Undecodable"]
__all__ += ["accesses", "complete", "decode"]

CF, PF, AF, ZF, SF, DF, OF = (Bits(n) for n in (0, 2, 4, 6, 7, 10, 11))
"""The flags that an instruction here reads or changes (SDM 1 figure 3-8)."""


class Registers(NamedTuple):
    """The processor's registers, as far as they matter here.

    `general` is EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, in the order of their numbers. `bases` are
    the segments' base addresses, ES, CS, SS, DS, FS, GS; all 0 in the flat model.
    """

    general: tuple[int, ...] = (0,) * 8
    eip: int = 0
    eflags: int = 0x2
    bases: tuple[int, ...] = (0,) * 6

    def get(self, register: Register) -> int:
        """The value of a register, or of the part of it that has a name."""
        number, bits = _piece(register)
        return bits.get(self.general[number])

    def put(self, register: Register, value: int) -> Registers:
        """The same with another value in `register`; what is beyond its size is cut off."""
        number, bits = _piece(register)
        general = list(self.general)
        general[number] = bits.put(general[number], value)
        return self._replace(general=tuple(general))


class MmioAccess(NamedTuple):
    """One access that the instruction makes: `size` bytes at `linear`, its linear address.

    While the guest's paging is off, that is the guest-physical one.
    """

    linear: int
    size: int
    write: bool

    def __str__(self) -> str:
        return f"{'store' if self.write else 'load'} {self.linear:#x}/{self.size}"


class Completion(NamedTuple):
    """The instruction, or one repetition of it, done: the `registers` after it.

    `value` is what the store writes, or None if it stores nothing.
    """

    registers: Registers
    value: int | None


def accesses(instruction: MmioInstruction, registers: Registers) -> tuple[MmioAccess, ...]:
    """The accesses that `instruction` makes next, in order: none, a load, a store, or both."""
    if _over(instruction, registers):
        return ()
    load, store = instruction.load, instruction.store
    found = [MmioAccess(linear(load, registers), load.size, False)] if load else []
    found += [MmioAccess(linear(store, registers), store.size, True)] if store else []
    return tuple(found)


def linear(memory: Memory, registers: Registers) -> int:
    """The linear address of an operand in memory: segment base, base, index and displacement."""
    offset = memory.displacement
    if memory.base is not None:
        offset += registers.general[memory.base]
    if memory.index is not None:
        offset += registers.general[memory.index] * memory.scale
    return (registers.bases[memory.segment] + offset) & all_ones(4)


def complete(instruction: MmioInstruction, registers: Registers, loaded: int = 0) -> Completion:
    """Finish `instruction`; `loaded` is the answer to its load, if it makes one.

    >>> code = decode(bytes.fromhex("8a0f"))                             # mov cl, byte ptr [edi]
    >>> done = complete(code, Registers(eip=0x1000), 0x41)
    >>> hex(done.registers.eip), done.registers.general[1], done.value
    ('0x1002', 65, None)
    """
    after = registers._replace(eip=(registers.eip + instruction.length) & all_ones(4))
    if _over(instruction, registers):
        return Completion(after, None)
    values = [_value(operand, registers, loaded) for operand in instruction.operands]
    result, eflags = OPERATIONS[instruction.mnemonic](values, instruction.size, registers.eflags)
    after = after._replace(eflags=eflags)
    target = instruction.operands[0]
    if isinstance(target, Register) and instruction.mnemonic not in COMPARES:
        after = after.put(target, result)
    if instruction.mnemonic == "xchg" and isinstance(instruction.operands[1], Register):
        after = after.put(instruction.operands[1], values[0])
    if "*" in instruction.mnemonic:
        after = _step(instruction, after, registers.eip)
    return Completion(after, result if instruction.store else None)


def _piece(register: Register) -> tuple[int, Bits]:
    """Which of the eight registers, and which of its bits: AH, CH, DH, BH are bits 15:8."""
    if register.size == 1 and register.number >= 4:
        return register.number - 4, Bits(15, 8)
    return register.number, Bits(8 * register.size - 1, 0)


def _over(instruction: MmioInstruction, registers: Registers) -> bool:
    """Whether REP has no repetition left: ECX is 0."""
    return instruction.rep and registers.general[ECX] == 0


def _value(operand: Operand, registers: Registers, loaded: int) -> int:
    match operand:
        case Register():
            return registers.get(operand)
        case Immediate(value, size):
            return value & all_ones(size)
        case Memory():  # pragma: no branch
            return loaded & all_ones(operand.size)


def _step(instruction: MmioInstruction, after: Registers, eip: int) -> Registers:
    """The pointers one on, or back with DF; with REP, ECX one down, and `eip` again if not 0."""
    forth = -instruction.size if DF.get(after.eflags) else instruction.size
    for operand in instruction.operands:
        if isinstance(operand, Memory) and operand.base is not None:
            pointer = Register(operand.base, 4)
            after = after.put(pointer, after.get(pointer) + forth)
    if instruction.rep:
        after = after.put(Register(ECX, 4), after.general[ECX] - 1)
        if after.general[ECX]:
            return after._replace(eip=eip)
    return after


# -- what the mnemonics do: operands, their size and EFLAGS -> result and EFLAGS

Operation = Callable[[list[int], int, int], tuple[int, int]]


def _copy(values: list[int], size: int, eflags: int) -> tuple[int, int]:
    """MOV, MOVZX and the string moves: the second operand, no flag."""
    return values[-1], eflags


def _extend(values: list[int], size: int, eflags: int) -> tuple[int, int]:
    """MOVSX: the sign bit of the `size` bytes fills what is above."""
    sign = 1 << 8 * size - 1
    return (values[-1] ^ sign) - sign & all_ones(4), eflags


def _combine(how: Callable[[int, int], int], carry: bool = True) -> Operation:
    """Two operands, or one and 1. `carry`: whether CF changes too; INC and DEC leave it alone."""

    def operation(values: list[int], size: int, eflags: int) -> tuple[int, int]:
        left, right = (*values, 1)[:2]
        full = how(left, right)
        result = full & all_ones(size)
        eflags = CF.put(eflags, full != result) if carry else eflags
        eflags = AF.put(eflags, (left ^ right ^ full) >> 4 & 1 if how in ARITHMETIC else 0)
        eflags = OF.put(eflags, _overflow(how, left, right, result) >> 8 * size - 1 & 1)
        return result, _of_result(eflags, result, size)

    return operation


ARITHMETIC = (operator.add, operator.sub)


def _overflow(how: Callable[[int, int], int], left: int, right: int, result: int) -> int:
    """A word whose top bit is OF: the signs of the operands and of the result do not fit."""
    if how is operator.add:
        return ~(left ^ right) & (left ^ result)
    return (left ^ right) & (left ^ result) if how is operator.sub else 0


def _of_result(eflags: int, result: int, size: int) -> int:
    """SF, ZF, and PF, which is the parity of the low byte."""
    eflags = SF.put(eflags, result >> 8 * size - 1)
    eflags = ZF.put(eflags, result == 0)
    return PF.put(eflags, (result & 0xFF).bit_count() % 2 == 0)


OPERATIONS: dict[str, Operation] = {
    **dict.fromkeys(("mov", "movzx", "movs*", "stos*", "lods*", "xchg"), _copy),
    "movsx": _extend,
    "add": _combine(operator.add),
    "sub": _combine(operator.sub),
    "cmp": _combine(operator.sub),
    "or": _combine(operator.or_),
    "and": _combine(operator.and_),
    "test": _combine(operator.and_),
    "xor": _combine(operator.xor),
    "inc": _combine(operator.add, carry=False),
    "dec": _combine(operator.sub, carry=False),
}
"""Every mnemonic that `decode` may give."""
