"""Two foreign readers of x86 code: capstone disassembles it, Unicorn executes it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from tests.needs import require
from virtlab.cpu import Recorder
from virtlab.trace import Access
from virtlab.vmm.x86_opcodes import REGISTERS
from virtlab.wire import all_ones

RAM_SIZE = 0x10000
DEVICES = (0xB8000, 0x8000), (0xFE034000, 0x1000)
"""Where Unicorn has devices in memory: base and length."""
INS, REP_PREFIXES = (0x6C, 0x6D), (0x66, 0xF3)


@cache
def _capstone():
    missing = "capstone is missing: pip install -c constraints.txt -e '.[x86]'"
    capstone = pytest.importorskip("capstone", reason=missing, exc_type=ImportError)
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)


def capstone_texts(code: bytes, origin: int) -> list[tuple[int, bytes, str]]:
    """What capstone makes of `code`, in the form of our `disassemble`."""
    found = _capstone().disasm(code, origin)
    return [(i.address, bytes(i.bytes), f"{i.mnemonic} {i.op_str}".strip()) for i in found]


class Answers:
    """Devices everywhere: the n-th read of any of them gives the n-th number of a fixed series.

    `answers`, where given, come first.
    """

    def __init__(self, answers=()):
        self.answers, self.reads = list(answers), 0

    def next(self, size: int) -> int:
        self.reads += 1
        if self.reads <= len(self.answers):
            return self.answers[self.reads - 1] & all_ones(size)
        return (self.reads * 0x9E3779B1 >> 3) & all_ones(size)


class FlatCpu:
    """A `Cpu` with 64 KiB of RAM and `Answers` everywhere else. `vectors` end its waits."""

    def __init__(self, ram: bytes, answers: Answers, vectors=()):
        self.ram, self.answers, self.vectors = bytearray(ram), answers, list(vectors)

    def wait(self, timeout=0):
        return self.vectors.pop(0) if self.vectors else None

    def inp(self, port, size=1):
        return self.answers.next(size)

    def out(self, port, value, size=1):
        pass

    def load(self, gpa, size=4):
        if gpa + size <= RAM_SIZE:
            return int.from_bytes(self.ram[gpa : gpa + size], "little")
        return self.answers.next(size)

    def store(self, gpa, value, size=4):
        if gpa + size <= RAM_SIZE:
            self.ram[gpa : gpa + size] = value.to_bytes(size, "little")


class Outcome(NamedTuple):
    """All that a run leaves behind, in a form that compares."""

    path: list[int]
    accesses: list[tuple]
    registers: dict[str, int]
    zf: bool
    cf: bool
    ram: bytes


def plain(accesses: list[Access]) -> list[tuple]:
    """Accesses without their numbers, and without the values that were read."""
    return [(a.region, a.write, a.address, a.size, a.value if a.write else None) for a in accesses]


def unicorn_run(
    code: bytes, origin: int, ram: bytes, answers: Answers, registers: dict[str, int] | None = None
) -> Outcome:
    """Run `code` to its end on Unicorn, with `Answers` at the ports and at `DEVICES`."""
    require("Unicorn")
    import unicorn
    from unicorn import x86_const as x86

    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    uc.mem_map(0, RAM_SIZE)
    uc.mem_write(0, bytes(ram))
    uc.mem_write(origin, code)
    for base, length in DEVICES:
        uc.mmio_map(
            base, length, lambda _, at, size, data: answers.next(size), None, lambda *_: None, None
        )
    path: list[int] = []
    accesses: list[tuple] = []
    dummy = [False]

    def executed(_, at, size, data):
        body = bytes(code[at - origin : at - origin + size])
        opcode = body.lstrip(bytes(REP_PREFIXES))[0]
        # QEMU tries the destination of INS with a store of zero, to see whether it faults.
        dummy[0] = opcode in INS
        # A REP instruction is reported at each repetition: only the first is a new instruction.
        if not (path and path[-1] == at and 0xF3 in body[:2]):
            path.append(at)

    def memory(_, kind, at, size, value, data):
        write = kind == unicorn.UC_MEM_WRITE
        if write and dummy[0]:
            dummy[0] = False
        else:
            accesses.append(("memory", write, at, size, value & all_ones(size) if write else None))

    def port_in(_, port, size, data):
        accesses.append(("port", False, port, size, None))
        return answers.next(size)

    def port_out(_, port, size, value, data):
        accesses.append(("port", True, port, size, value & all_ones(size)))

    uc.hook_add(unicorn.UC_HOOK_CODE, executed)
    uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, memory)
    uc.hook_add(unicorn.UC_HOOK_INSN, port_in, None, 1, 0, x86.UC_X86_INS_IN)
    uc.hook_add(unicorn.UC_HOOK_INSN, port_out, None, 1, 0, x86.UC_X86_INS_OUT)
    numbers = {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in REGISTERS[4]}
    for name, number in numbers.items():
        uc.reg_write(number, (registers or {}).get(name, 0))
    uc.emu_start(origin, origin + len(code), timeout=10_000_000)
    flags = uc.reg_read(x86.UC_X86_REG_EFLAGS)
    left = {name: uc.reg_read(number) for name, number in numbers.items()}
    after = bytearray(uc.mem_read(0, RAM_SIZE))
    after[origin : origin + len(code)] = ram[origin : origin + len(code)]
    return Outcome(path, accesses, left, bool(flags & 0x40), bool(flags & 1), bytes(after))


def our_run(
    code: bytes, origin: int, ram: bytes, answers: Answers, registers: dict[str, int] | None = None
) -> Outcome:
    """The same on `TinyX86`."""
    from virtlab.hosts.tiny_x86 import TinyX86

    cpu = FlatCpu(ram, answers)
    run = TinyX86(Recorder(cpu)).run(code, origin, registers)
    return Outcome(run.path, plain(run.accesses), run.registers, run.zf, run.cf, bytes(cpu.ram))
