"""Unicorn as an interrupt's gate sees it: three registers, a table to read, a stack to push on.

The rule that keeps it simple: the table and the stack are RAM, reached by the vCPU's own rules.
What is no RAM reads as zero, which is no gate, and ends the guest where something is pushed.

Source: SDM 3A 6.12.1 (what is pushed), 6.15 (shutdown).
"""

from __future__ import annotations

from virtlab.hosts.unicorn_engine import Engine
from virtlab.vmm.exits import Exit
from virtlab.vmm.vcpu import Load, Store, VirtualCpu, pieces
from virtlab.wire import all_ones


class Shutdown(Exception):
    """The guest is beyond help: a triple fault."""


class UnicornCore:
    """A `virtlab.hosts.gates.Core`: the registers of `engine`, the memory of `cpu`."""

    def __init__(self, engine: Engine, cpu: VirtualCpu) -> None:
        self.engine = engine
        self.cpu = cpu

    @property
    def eip(self) -> int:
        """The address of the next instruction."""
        return self.engine.get("eip")

    @eip.setter
    def eip(self, value: int) -> None:
        self.engine.put("eip", value)

    @property
    def eflags(self) -> int:
        """The flags."""
        return self.engine.get("eflags")

    @eflags.setter
    def eflags(self, value: int) -> None:
        self.engine.put("eflags", value)

    @property
    def cs(self) -> int:
        """The selector of the code segment."""
        return self.engine.get("cs")

    @cs.setter
    def cs(self, value: int) -> None:
        if not self.engine.enter_segment(value):
            raise Shutdown

    @property
    def gates(self) -> tuple[int, int]:
        """The address of the table of gates, and its limit."""
        return self.engine.gates

    def load(self, gpa: int, size: int) -> int:
        """A load that no instruction makes; 0 where there is no RAM."""
        value = 0
        for at, n, shift in pieces(gpa, size):
            piece = self.cpu.run(Load(at, n))
            value |= (piece if isinstance(piece, int) else 0) << shift
        return value

    def push(self, value: int) -> None:
        """Four bytes onto the stack, which must be RAM."""
        esp = (self.engine.get("esp") - 4) & all_ones(4)
        for at, n, shift in pieces(esp, 4):
            if isinstance(self.cpu.run(Store(at, n, value >> shift)), Exit):
                raise Shutdown
        self.engine.put("esp", esp)
