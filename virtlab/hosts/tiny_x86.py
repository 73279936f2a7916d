"""Real x86 machine code on any `Cpu`, counted instruction by instruction.

The idea: how many instructions does a driver need through ports, how many through memory? Only a
processor's own code can tell. `TinyX86` runs it, and each access that leaves the processor goes
through a `virtlab.cpu.Cpu`: to the bare machine, a virtual machine, or QEMU.

The rule that keeps it simple: an instruction moves or combines operands, and an operand knows
where it lives. So `IN` is a move from a port, `OUT` a move to one, `INS` and `STOS` moves that
step a pointer; one function serves all of them.

Source: Intel SDM volume 2, the pages of each instruction; the subset is in `vmm.x86_opcodes`. The
code is given, not fetched, so a run shows data accesses only. Interrupts are off and the
direction flag is clear; of the flags there are ZF and CF.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from virtlab.cpu import Cpu, Recorder
from virtlab.trace import Access
from virtlab.vmm.x86_opcodes import ECX, EDX, REGISTERS, Instruction, Operand, decode
from virtlab.wire import Bits, all_ones

ORIGIN = 0x1000
"""Where code is placed unless told otherwise."""
LIMIT = 100_000
"""Instructions and repetitions after which a run is given up."""
LOW_RAM = range(0xA0000)
"""Addresses of a PC where a load or a store meets memory and no device."""


@dataclass(frozen=True)
class Run:
    """What a program did.

    `path` holds the address of each instruction executed; `code_bytes` is the program's length;
    `accesses` are its data accesses, RAM included, in order; `devices` counts those that met a
    device, as `in`, `out`, `load` and `store`. `registers` by name, and the flags, are as left.
    """

    path: list[int]
    code_bytes: int
    accesses: list[Access]
    devices: dict[str, int]
    registers: dict[str, int]
    zf: bool
    cf: bool

    @property
    def instructions(self) -> int:
        """Instructions executed; one that repeats counts once."""
        return len(self.path)

    def __str__(self) -> str:
        met = ", ".join(f"{verb} {n}" for verb, n in self.devices.items() if n)
        size = f"instructions {self.instructions}, bytes of code {self.code_bytes}"
        return f"{size}; devices: {met or 'none'}"


class TinyX86:
    """A processor whose ports and memory are those of `cpu`; `ram` tells which memory is RAM.

    An instruction that both loads and stores is one instruction and two accesses. A VMM made of
    our `Cpu` verbs sees each access as an exit of its own; a real one may serve both in one exit.
    """

    def __init__(self, cpu: Cpu, ram: range = LOW_RAM) -> None:
        self.cpu = cpu
        self.ram = ram

    def run(
        self,
        code: bytes,
        origin: int = ORIGIN,
        registers: Mapping[str, int] | None = None,
        limit: int = LIMIT,
    ) -> Run:
        """Run `code`, placed at `origin`, from its first byte to its end or to a `hlt`.

        Registers start at zero, or as `registers` says (`{"esi": 0x2000}`). `ValueError`, naming
        the address, for an undefined opcode, for a jump out of the code, and for a program that
        has not ended after `limit` steps (an instruction is a step, and so is each repetition).
        """
        end = origin + len(code)
        if origin < 0 or end > 1 << 32:
            raise ValueError(f"{len(code)} bytes of code at {origin:#x} are not inside 4 GiB")
        state = _State(self.cpu, origin, registers or {}, limit)
        while not state.halted and state.eip != end:
            if not origin <= state.eip < end:
                raise ValueError(
                    f"the jump at {state.path[-1]:#x} goes to {state.eip:#x}, outside the code"
                    f" at {origin:#x}-{end - 1:#x}"
                )
            state.step(decode(code, origin, state.eip))
        left = dict(zip(REGISTERS[4], state.registers, strict=True))
        accesses = state.io.accesses
        met = _count(accesses, self.ram)
        return Run(state.path, len(code), accesses, met, left, state.zf, state.cf)


def _count(accesses: list[Access], ram: range) -> dict[str, int]:
    """How many accesses of each verb met a device."""
    verbs = {("port", False): "in", ("port", True): "out"}
    verbs |= {("memory", False): "load", ("memory", True): "store"}
    counts = dict.fromkeys(verbs.values(), 0)
    for access in accesses:
        if access.region == "port" or access.address not in ram:
            counts[verbs[access.region, access.write]] += 1
    return counts


class _State:
    """The processor while it runs: registers, two flags, and how many steps are left."""

    def __init__(self, cpu: Cpu, eip: int, registers: Mapping[str, int], limit: int) -> None:
        unknown = sorted(set(registers) - set(REGISTERS[4]))
        if unknown:
            raise ValueError(f"no register {unknown[0]!r}; there are {', '.join(REGISTERS[4])}")
        self.registers = [registers.get(name, 0) & all_ones(4) for name in REGISTERS[4]]
        self.io = Recorder(cpu)
        self.eip, self.zf, self.cf, self.halted = eip, False, False, False
        self.path: list[int] = []
        self.steps, self.limit = 0, limit

    def step(self, instruction: Instruction) -> None:
        """Execute one instruction."""
        self.count_step(instruction)
        self.path.append(instruction.address)
        self.eip = instruction.address + len(instruction.code)
        _EXECUTE[instruction.mnemonic](self, instruction)

    def count_step(self, instruction: Instruction) -> None:
        """One more step, if there may be one."""
        if self.steps >= self.limit:
            raise ValueError(
                f"the program has not ended after {self.limit} steps; the next is"
                f" {instruction.text!r} at {instruction.address:#x}"
            )
        self.steps += 1

    def outside(self, operand: Operand) -> int:
        """The address or the port number of an operand outside the processor."""
        match operand.kind:
            case "at" | "es":
                return self.registers[operand.value]
            case "dx":
                return self.registers[EDX] & 0xFFFF
            case _:
                return operand.value

    def get(self, operand: Operand, size: int) -> int:
        """The `size` bytes that live at `operand`."""
        match operand.kind:
            case "reg":
                index, bits = _piece(operand.value, size)
                return bits.get(self.registers[index])
            case "imm":
                return operand.value & all_ones(size)
            case "port" | "dx":
                return self.io.inp(self.outside(operand), size)
            case _:
                return self.io.load(self.outside(operand), size)

    def put(self, operand: Operand, size: int, value: int) -> None:
        """Let `size` bytes of `value` live at `operand`."""
        match operand.kind:
            case "reg":
                index, bits = _piece(operand.value, size)
                self.registers[index] = bits.put(self.registers[index], value)
            case "port" | "dx":
                self.io.out(self.outside(operand), value, size)
            case _:
                self.io.store(self.outside(operand), value, size)


def _piece(number: int, size: int) -> tuple[int, Bits]:
    """Which register, and which of its bits, register `number` of `size` bytes is.

    Byte registers 4 to 7 (AH, CH, DH, BH) are bits 15:8 of the first four.
    """
    if size == 1 and number >= 4:
        return number - 4, Bits(15, 8)
    return number, Bits(8 * size - 1, 0)


# -- what the mnemonics do


def _move(state: _State, instruction: Instruction) -> None:
    """MOV, IN, OUT: the second operand goes to the first."""
    target, source = instruction.operands
    state.put(target, instruction.size, state.get(source, instruction.size))


def _string(state: _State, instruction: Instruction) -> None:
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


def _combine(
    how: Callable[[int, int], int], keep: bool = True, carry: bool = True
) -> Callable[[_State, Instruction], None]:
    """ADD, SUB, OR, AND, XOR combine two operands; INC and DEC one operand with 1.

    CF is the carry out of the top bit or the borrow into it; the logical ones never have any, and
    INC and DEC leave CF alone (no `carry`). CMP and TEST only set flags: they `keep` no result.
    """

    def execute(state: _State, instruction: Instruction) -> None:
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


def _jump(wanted: Callable[[_State], bool]) -> Callable[[_State, Instruction], None]:
    """Jcc, JMP, LOOP: go there if `wanted` says so."""

    def execute(state: _State, instruction: Instruction) -> None:
        if wanted(state):
            state.eip = instruction.operands[0].value

    return execute


def _count_down(state: _State) -> bool:
    """LOOP's condition: ECX less one is not zero."""
    state.registers[ECX] = (state.registers[ECX] - 1) & all_ones(4)
    return state.registers[ECX] != 0


def _halt(state: _State, _: Instruction) -> None:
    """HLT: with interrupts off, nothing comes after it."""
    state.halted = True


_EXECUTE: dict[str, Callable[[_State, Instruction], None]] = {
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
    "hlt": _halt,
}
