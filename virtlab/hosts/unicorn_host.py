"""Machine code in a virtual machine on Unicorn, QEMU's translator as a library.

      the engine stops before an I/O instruction, HLT  ->  finished here, access by access
                       before it meets no RAM          ->  finished by the VMM's emulator
                       at a fault, INT n               ->  its gate, or a triple fault

The idea: the engine computes, and everything that leaves the processor is done here, by the vCPU's
own rules (`VirtualCpu.run`): what is open or assigned reaches the host's hardware, the rest is a
record.

The rule that keeps it simple: one generator, `_life`, is the processor's life, and each `yield` in
it is an exit. What is finished here has not begun in the engine.

Sources: SDM 3A 6.12.1 (interrupts), volume 2 (I/O instructions). Left out: guest paging; a table of
gates and a stack that lie in a device; the error codes of faults, which are 0. An instruction that
the emulator does not know is undefined where it meets a device. A guest that runs off the end of
its RAM is lost some instructions earlier than on a processor: Unicorn reads ahead.
"""

from __future__ import annotations

from collections.abc import Generator

from virtlab.hosts.gates import IF, deliver
from virtlab.hosts.tiny_vm import START, with_form
from virtlab.hosts.unicorn_core import Shutdown, UnicornCore
from virtlab.hosts.unicorn_engine import STEPS, Engine
from virtlab.vmm.emulate import DF, MmioInstruction, Registers, accesses, complete
from virtlab.vmm.emulate import decode as decode_access
from virtlab.vmm.emulate_records import Register
from virtlab.vmm.exits import UNDEFINED_OPCODE, Exit, TripleFault
from virtlab.vmm.processor import Start
from virtlab.vmm.vcpu import Hlt, In, Instruction, Load, Out, Resume, Store, pieces
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import MAX_HALT
from virtlab.vmm.x86_opcodes import ECX, EDX, Operand, decode
from virtlab.vmm.x86_opcodes import Instruction as Code
from virtlab.wire import all_ones

WITH_ERROR_CODE = (8, 10, 11, 12, 13, 14, 17)
"""Faults that push an error code (SDM 3A table 6-1)."""

Steps = Generator[Exit, Resume, int]
"""A part of the processor's life: exits, and at its end a number."""


class UnicornProcessor:
    """A `virtlab.vmm.processor.Processor` that runs the code in the RAM of `vm`.

    `limit` bounds the instructions between two exits. `ImportError`, saying how to get it, where
    Unicorn is missing.
    """

    def __init__(self, vm: VirtualMachine, start: Start = START, limit: int = STEPS) -> None:
        self.cpu = vm.cpu
        self.engine = Engine(vm.ram.memory, vm.tables, limit)
        self.core = UnicornCore(self.engine, vm.cpu)
        self.core.eip, self.core.eflags = start.eip, start.eflags
        self.engine.put("esp", start.esp)
        self._resume: Resume | None = None
        self._exits = self._life()

    def run(self) -> Exit:
        """Run the guest until it exits; the record says why.

        `ValueError` for a guest that has not exited after `limit` instructions.
        """
        resume, self._resume = self._resume, None
        self.engine.steps = 0
        return next(self._exits) if resume is None else self._exits.send(resume)

    def resume(self, exit: Exit, resume: Resume) -> None:
        """Finish the instruction that exited: its result, or the vector that it woke up with."""
        self._resume = resume

    def _life(self) -> Generator[Exit, Resume, None]:
        try:
            while (yield from self._turn()):
                pass
        except Shutdown:
            pass
        while True:
            yield TripleFault()

    def _turn(self) -> Steps:
        """Run until the engine stops, and do what it stopped for. 0 if that cannot be done."""
        stop = self.engine.run()
        match stop.why:
            case "instruction":
                return (yield from self._instruction())
            case "memory":
                return (yield from self._memory_instruction())
            case "fault":
                coded = stop.vector in WITH_ERROR_CODE and not stop.software
                return deliver(self.core, stop.vector, 0 if coded else None)
            case "nowhere":  # pragma: no branch
                return 0

    # -- instructions that are finished here

    def _do(
        self, instruction: Instruction, code: Code | None = None
    ) -> Generator[Exit, Resume, int | None]:
        """One access or halt by the vCPU's rules, through as many exits as it takes."""
        while isinstance(result := self.cpu.run(instruction), Exit):
            resume = yield with_form(result, code)
            if not resume.again:
                return resume.value
        return result

    def _memory(self, gpa: int, size: int, write: bool, value: int = 0) -> Steps:
        """A load or a store, cut where it crosses a page."""
        loaded = 0
        for at, n, shift in pieces(gpa, size):
            access = Store(at, n, value >> shift) if write else Load(at, n)
            loaded |= ((yield from self._do(access)) or 0) << shift
        return loaded

    def _instruction(self) -> Steps:
        """IN, OUT, INS, OUTS, HLT. A form that is not in the opcode map is undefined here."""
        before = self.engine.registers
        try:
            code = decode(self.engine.fetch(before.eip), before.eip, before.eip)
        except ValueError:
            return deliver(self.core, UNDEFINED_OPCODE)
        behind = before._replace(eip=(before.eip + len(code.code)) & all_ones(4))
        if code.mnemonic == "hlt":
            self.engine.registers = behind
            return (yield from self._halt())
        if code.rep and before.general[ECX] == 0:
            self.engine.registers = behind
            return 1
        after = yield from self._transfer(code, behind)
        again = code.rep and after.general[ECX]
        self.engine.registers = after._replace(eip=before.eip) if again else after
        return 1

    def _halt(self) -> Steps:
        """HLT: the vector that wakes the processor goes through its gate. Without IF none does."""
        while not IF.get(self.core.eflags):
            yield from self._do(Hlt(0))
        vector = yield from self._do(Hlt(MAX_HALT))
        return 1 if vector is None else deliver(self.core, vector, external=True)

    def _transfer(self, code: Code, registers: Registers) -> Generator[Exit, Resume, Registers]:
        """One element of an I/O instruction moves; the registers after it."""
        target, source = code.operands
        value = yield from self._get(source, code, registers)
        after = yield from self._put(target, code, registers, value)
        return _step(code, after)

    def _get(self, operand: Operand, code: Code, registers: Registers) -> Steps:
        """The value of an operand: a register's, memory's at ESI, a port's."""
        match operand.kind:
            case "reg":
                return registers.get(Register(operand.value, code.size))
            case "at":
                gpa = registers.general[operand.value]
                return (yield from self._memory(gpa, code.size, False))
            case _:
                access = In(_port(operand, registers), code.size)
                return (yield from self._do(access, code)) or 0

    def _put(
        self, operand: Operand, code: Code, registers: Registers, value: int
    ) -> Generator[Exit, Resume, Registers]:
        """Let an operand have `value`: a register, memory at EDI, a port."""
        match operand.kind:
            case "reg":
                return registers.put(Register(operand.value, code.size), value)
            case "es":
                yield from self._memory(registers.general[operand.value], code.size, True, value)
            case _:
                yield from self._do(Out(_port(operand, registers), code.size, value), code)
        return registers

    def _memory_instruction(self) -> Steps:
        """One that met no RAM: the VMM's emulator finishes it, or one repetition of it."""
        registers = self.engine.registers
        instruction = decode_access(self.engine.fetch(registers.eip))
        if not isinstance(instruction, MmioInstruction):
            return deliver(self.core, UNDEFINED_OPCODE)
        loaded = 0
        for gpa, size, write in accesses(instruction, registers):
            value = complete(instruction, registers, loaded).value if write else 0
            answer = yield from self._memory(gpa, size, write, value or 0)
            loaded = loaded if write else answer
        self.engine.registers = complete(instruction, registers, loaded).registers
        return 1


def _port(operand: Operand, registers: Registers) -> int:
    """The port that an operand names, by itself or by DX."""
    return operand.value if operand.kind == "port" else registers.general[EDX] & 0xFFFF


def _step(code: Code, registers: Registers) -> Registers:
    """A string form: the pointer one on, or back with DF; with REP, ECX one down."""
    forth = -code.size if DF.get(registers.eflags) else code.size
    for operand in code.operands:
        if operand.kind in ("at", "es"):
            pointer = Register(operand.value, 4)
            registers = registers.put(pointer, registers.get(pointer) + forth)
    count = Register(ECX, 4)
    return registers.put(count, registers.get(count) - 1) if code.rep else registers
