"""Machine code in a virtual machine on the small processor: its verbs are the vCPU's.

      TinyX86  --verb-->  VirtualCpu  --exit-->  with_form  -->  the VMM

The idea: the vCPU knows that a guest reads a port. That the guest does so by `REP INSB`, or with
the port inside the instruction, only its code says; so the record gets that on its way.

The rule that keeps it simple: the VMM's loop is the vCPU's. Only the end is told here, since no
verb is left to tell it.
"""

from __future__ import annotations

from dataclasses import replace

from virtlab.hosts.io_form import form_of
from virtlab.hosts.tiny_x86 import LIMIT, Run, TinyX86
from virtlab.vmm.exits import Exit, HltExit, IoExit, TripleFault
from virtlab.vmm.processor import Start
from virtlab.vmm.vcpu import ExitHandler, Resume, VirtualCpu
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.x86_opcodes import Instruction

START = Start()
"""The state in which every guest begins."""


def with_form(exit: Exit, instruction: Instruction | None) -> Exit:
    """`exit` as the processor reports it: with the form that its I/O instruction has."""
    if not isinstance(exit, IoExit) or instruction is None:
        return exit
    return replace(exit, **form_of(instruction)._asdict())


class TinyVm:
    """The small processor as the vCPU of `vm`. `processor` is a `TinyX86`."""

    def __init__(self, vm: VirtualMachine) -> None:
        self.vmm: ExitHandler = vm.vmm
        cpu = VirtualCpu(vm.host.ports, vm.host.memory, vm.io_bitmap, vm.tables, self)
        self.processor = TinyX86(cpu)
        self.last: Exit = HltExit(0)

    def handle(self, exit: Exit) -> Resume:
        """An exit on its way to the VMM."""
        self.last = with_form(exit, self.processor.instruction)
        return self.vmm.handle(self.last)

    def run(self, code: bytes, start: Start = START, limit: int = LIMIT) -> Run:
        """Run `code`, placed at `start.eip`, to its end; `last` is the last exit.

        `ValueError` as `TinyX86.run`.
        """
        run = self.processor.run(code, start.eip, {"esp": start.esp}, limit)
        if run.end == "halted":
            self.handle(HltExit(0))
        elif run.end == "triple fault":
            self.handle(TripleFault())
        return run
