"""What each mnemonic of the small processor does.

The rule that keeps it simple: an instruction moves or combines operands, and an operand knows
where it lives. So `IN` is a move from a port, `OUT` a move to one, `INS` and `STOS` moves that
step a pointer; one function serves all of them.

Source: Intel SDM volume 2, the pages of each instruction. Left out: the flags beside ZF, CF and IF,
and that STI opens interrupts one instruction late, since they are taken at `HLT` only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from virtlab.hosts.gates import deliver
from virtlab.hosts.tiny_state import State
from virtlab.vmm.exits import UNDEFINED_OPCODE
from virtlab.vmm.x86_opcodes import ECX, Instruction
from virtlab.wire import all_ones

Execute = Callable[[State, Instruction], None]


def _move(state: State, instruction: Instruction) -> None:
    """MOV, IN, OUT: the second operand goes to the first."""
    target, source = instruction.operands
    state.put(target, instruction.size, state.get(source, instruction.size))


def _string(state: State, instruction: Instruction) -> None:
    """INS, OUTS, MOVS, STOS, LODS: a move, then the pointers step; with REP, ECX times."""
    while not instruction.rep or state.registers[ECX]:
        _move(state, instruction)
        for operand in instruction.operands:
            if operand.kind in ("at", "es"):
                pointer = state.registers[operand.value] + instruction.size
                state.registers[operand.value] = pointer & all_ones(4)
        if not instruction.rep:
            break
        state.registers[ECX] -= 1
        if state.registers[ECX]:
            state.count_step(instruction)


def _combine(how: Callable[[int, int], int], keep: bool = True, carry: bool = True) -> Execute:
    """ADD, SUB, OR, AND, XOR combine two operands; INC and DEC one operand with 1.

    CF is the carry out of the top bit or the borrow into it; the logical ones never have any, and
    INC and DEC leave CF alone (no `carry`). CMP and TEST only set flags: they `keep` no result.
    """

    def execute(state: State, instruction: Instruction) -> None:
        target, size = instruction.operands[0], instruction.size
        sources = [state.get(operand, size) for operand in instruction.operands]
        full = how(*sources) if len(sources) == 2 else how(sources[0], 1)
        result = full & all_ones(size)
        state.zf = result == 0
        if carry:
            state.cf = full != result
        if keep:
            state.put(target, size, result)

    return execute


def _jump(wanted: Callable[[State], bool]) -> Execute:
    """Jcc, JMP, LOOP: go there if `wanted` says so."""

    def execute(state: State, instruction: Instruction) -> None:
        if wanted(state):
            state.eip = instruction.operands[0].value

    return execute


def _count_down(state: State) -> bool:
    """LOOP's condition: ECX less one is not zero."""
    state.registers[ECX] = (state.registers[ECX] - 1) & all_ones(4)
    return state.registers[ECX] != 0


# -- the stack, segments and interrupts


def _push(state: State, instruction: Instruction) -> None:
    """PUSH: the value as it is before ESP moves."""
    state.push(state.get(instruction.operands[0], instruction.size), instruction.size)


def _pop(state: State, instruction: Instruction) -> None:
    """POP: into a register, ESP included."""
    state.put(instruction.operands[0], instruction.size, state.pop(instruction.size))


def _call(state: State, instruction: Instruction) -> None:
    """CALL: a jump that leaves the way back on the stack."""
    state.push(state.eip)
    state.eip = instruction.operands[0].value


def _return(state: State, _: Instruction) -> None:
    """RET: to where the stack says."""
    state.eip = state.pop()


def _return_from_interrupt(state: State, _: Instruction) -> None:
    """IRETD: what a gate pushed, taken back in the other order."""
    state.eip, cs, state.eflags = state.pop(), state.pop(), state.pop()
    state.cs = cs & all_ones(2)


def _far_jump(state: State, instruction: Instruction) -> None:
    """LJMP: a jump that sets CS. Its segment is flat like all others."""
    far = instruction.operands[0].value
    state.eip, state.cs = far & all_ones(4), far >> 32


def _load_table(state: State, instruction: Instruction) -> None:
    """LGDT and LIDT: a limit of two bytes, and an address of four. Only the gates are used."""
    at = instruction.operands[0].value
    limit, base = state.io.load(at, 2), state.io.load((at + 2) & all_ones(4), 4)
    if instruction.mnemonic == "lidt":
        state.gates = (base, limit)


def _let_interrupts(open_: bool) -> Execute:
    """STI and CLI."""

    def execute(state: State, _: Instruction) -> None:
        state.interrupts = open_

    return execute


def _halt(state: State, _: Instruction) -> None:
    """HLT: asleep until an interrupt. With interrupts off, nothing comes after it."""
    if not state.interrupts:
        state.end = "halted"
        return
    vector = state.wait()
    if vector is None:
        state.end = "asleep"
    elif not deliver(state, vector, external=True):
        state.end = "triple fault"


def _undefined(state: State, instruction: Instruction) -> None:
    """UD2: a fault, so the way back leads to the instruction itself."""
    state.eip = instruction.address
    if not deliver(state, UNDEFINED_OPCODE):
        state.end = "triple fault"


EXECUTE: dict[str, Execute] = {
    "mov": _move,
    "in": _move,
    "out": _move,
    **dict.fromkeys(("ins*", "outs*", "movs*", "stos*", "lods*"), _string),
    "add": _combine(operator.add),
    "sub": _combine(operator.sub),
    "or": _combine(operator.or_),
    "and": _combine(operator.and_),
    "xor": _combine(operator.xor),
    "cmp": _combine(operator.sub, keep=False),
    "test": _combine(operator.and_, keep=False),
    "inc": _combine(operator.add, carry=False),
    "dec": _combine(operator.sub, carry=False),
    "je": _jump(lambda state: state.zf),
    "jne": _jump(lambda state: not state.zf),
    "jb": _jump(lambda state: state.cf),
    "jae": _jump(lambda state: not state.cf),
    "jmp": _jump(lambda state: True),
    "loop": _jump(_count_down),
    "nop": lambda state, instruction: None,
    "push": _push,
    "pop": _pop,
    "call": _call,
    "ret": _return,
    "iretd": _return_from_interrupt,
    "ljmp": _far_jump,
    **dict.fromkeys(("lgdt", "lidt"), _load_table),
    "sti": _let_interrupts(True),
    "cli": _let_interrupts(False),
    "hlt": _halt,
    "ud2": _undefined,
}
"""By mnemonic: what an instruction does to the processor's state. EIP is behind it already."""
