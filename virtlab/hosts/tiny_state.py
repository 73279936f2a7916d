"""The small processor's state: registers, flags, the stack, and where operands live.

The rule that keeps it simple: all that leaves the processor goes through one `Recorder`, so a run
is known by its accesses. Of the flags there are ZF, CF and IF; segments are flat, and CS is a
number that a gate pushes.

Source: Intel SDM 1 3.4 (registers, EFLAGS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from virtlab.cpu import Cpu, Recorder
from virtlab.hosts.gates import IF
from virtlab.vmm.vmm import MAX_HALT
from virtlab.vmm.x86_opcodes import EDX, ESP, REGISTERS, Instruction, Operand
from virtlab.wire import Bits, all_ones

CF, ZF = Bits(0), Bits(6)

End = Literal["", "code", "halted", "asleep", "triple fault"]
"""Why a run ended: behind its last byte; at a `hlt` with interrupts off; at one that no interrupt
ended; by a fault that had no handler."""


class State:
    """The processor while it runs: registers, three flags, and how many steps are left.

    `registers` are the values to start with, by name; the others are 0. `end` is empty until
    something ends the run.
    """

    def __init__(self, cpu: Cpu, eip: int, registers: Mapping[str, int], limit: int) -> None:
        unknown = sorted(set(registers) - set(REGISTERS[4]))
        if unknown:
            raise ValueError(f"no register {unknown[0]!r}; there are {', '.join(REGISTERS[4])}")
        self.registers = [registers.get(name, 0) & all_ones(4) for name in REGISTERS[4]]
        self.io = Recorder(cpu)
        self.eip, self.cs = eip, 0
        self.zf = self.cf = self.interrupts = False
        self.gates = (0, 0)
        self.end: End = ""
        self.path: list[int] = []
        self.steps, self.limit = 0, limit

    def begin(self, instruction: Instruction) -> None:
        """One more instruction: it is in the path, and EIP is behind it."""
        self.count_step(instruction)
        self.path.append(instruction.address)
        self.eip = instruction.address + len(instruction.code)

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

    # -- the stack

    def push(self, value: int, size: int = 4) -> None:
        """`size` bytes onto the stack."""
        self.registers[ESP] = (self.registers[ESP] - size) & all_ones(4)
        self.io.store(self.registers[ESP], value & all_ones(size), size)

    def pop(self, size: int = 4) -> int:
        """`size` bytes from the stack."""
        value = self.io.load(self.registers[ESP], size)
        self.registers[ESP] = (self.registers[ESP] + size) & all_ones(4)
        return value

    # -- what a gate and HLT need: see `gates.Core`

    def load(self, gpa: int, size: int) -> int:
        """A load that no operand makes."""
        return self.io.load(gpa, size)

    def wait(self) -> int | None:
        """Sleep until an interrupt comes; its vector, or None."""
        return self.io.wait(MAX_HALT)

    @property
    def eflags(self) -> int:
        """The flags in their places; bit 1 is always 1."""
        flags = CF.put(0x2, self.cf)
        return IF.put(ZF.put(flags, self.zf), self.interrupts)

    @eflags.setter
    def eflags(self, value: int) -> None:
        self.cf, self.zf = bool(CF.get(value)), bool(ZF.get(value))
        self.interrupts = bool(IF.get(value))


def _piece(number: int, size: int) -> tuple[int, Bits]:
    """Which register, and which of its bits, register `number` of `size` bytes is.

    Byte registers 4 to 7 (AH, CH, DH, BH) are bits 15:8 of the first four.
    """
    if size == 1 and number >= 4:
        return number - 4, Bits(15, 8)
    return number, Bits(8 * size - 1, 0)
