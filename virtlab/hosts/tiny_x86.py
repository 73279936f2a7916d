"""Real x86 machine code on any `Cpu`, counted instruction by instruction.

The idea: how many instructions does a driver need through ports, how many through memory? Only a
processor's own code can tell. `TinyX86` runs it, and each access that leaves the processor goes
through a `virtlab.cpu.Cpu`: to the bare machine, a virtual machine, or QEMU.

    tiny_x86          a run: decode, execute, until it ends
    tiny_state        registers, flags, stack: where operands live
    tiny_operations   what each mnemonic does
    gates             how an interrupt or a fault finds its handler

The rule that keeps it simple: the code is given, not fetched, so a run shows data accesses only.
Interrupts are taken at `hlt` and nowhere else; the direction flag is clear.

The subset of the instructions is the map in `vmm.x86_opcodes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from virtlab.cpu import Cpu
from virtlab.hosts.tiny_operations import EXECUTE
from virtlab.hosts.tiny_state import End, State
from virtlab.trace import Access
from virtlab.vmm.x86_opcodes import REGISTERS, Instruction, decode

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
    device, as `in`, `out`, `load` and `store`. `registers` by name, and the flags, are as left;
    `end` says why it ended.
    """

    path: list[int]
    code_bytes: int
    accesses: list[Access]
    devices: dict[str, int]
    registers: dict[str, int]
    zf: bool
    cf: bool
    end: End

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

    `instruction` is the one that it executes at this moment, or executed last.
    """

    def __init__(self, cpu: Cpu, ram: range = LOW_RAM) -> None:
        self.cpu = cpu
        self.ram = ram
        self.instruction: Instruction | None = None

    def run(
        self,
        code: bytes,
        origin: int = ORIGIN,
        registers: Mapping[str, int] | None = None,
        limit: int = LIMIT,
    ) -> Run:
        """Run `code`, placed at `origin`, from its first byte to its end or to a last `hlt`.

        Registers start at zero, or as `registers` says (`{"esi": 0x2000}`). `ValueError`, naming
        the address, for an undefined opcode, for a jump out of the code, and for a program that
        has not ended after `limit` steps (an instruction is a step, and so is each repetition).
        """
        end = origin + len(code)
        if origin < 0 or end > 1 << 32:
            raise ValueError(f"{len(code)} bytes of code at {origin:#x} are not inside 4 GiB")
        state = State(self.cpu, origin, registers or {}, limit)
        while not state.end and state.eip != end:
            if not origin <= state.eip < end:
                raise ValueError(
                    f"the jump at {state.path[-1]:#x} goes to {state.eip:#x}, outside the code"
                    f" at {origin:#x}-{end - 1:#x}"
                )
            self.instruction = instruction = decode(code, origin, state.eip)
            state.begin(instruction)
            EXECUTE[instruction.mnemonic](state, instruction)
        left = dict(zip(REGISTERS[4], state.registers, strict=True))
        accesses = state.io.accesses
        met = _count(accesses, self.ram)
        return Run(
            state.path, len(code), accesses, met, left, state.zf, state.cf, state.end or "code"
        )


def _count(accesses: list[Access], ram: range) -> dict[str, int]:
    """How many accesses of each verb met a device."""
    verbs = {("port", False): "in", ("port", True): "out"}
    verbs |= {("memory", False): "load", ("memory", True): "store"}
    counts = dict.fromkeys(verbs.values(), 0)
    for access in accesses:
        if access.region == "port" or access.address not in ram:
            counts[verbs[access.region, access.write]] += 1
    return counts
