"""Real machine code in guest mode: a processor that runs until something exits, and the loop.

The idea: a `VirtualCpu` is called by a guest in Python, verb by verb. A guest of machine code is
the other way round: the VMM calls the *processor*, `run`, and gets a record when the guest may not
go on by itself. The VMM's part is the same `Vmm.handle`.

      run()  ->  Exit  ->  vmm.handle(exit)  ->  Resume  ->  resume(exit, ...)  ->  run() ...

The rules that keep it simple: every processor starts in the same state, `START`. A `HLT` that no
interrupt ends is the end of the program. The loop has a bound, whatever the guest does.

Source: SDM 3A 3.1 (the flat model: segments that start at 0 and end at 4 GiB), 9.1.4 (why a real
processor starts elsewhere), SDM 3C 27 and 28 (entries and exits).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from virtlab.vmm.exits import Exit, HltExit, TripleFault
from virtlab.vmm.vcpu import Resume

MAX_EXITS = 1_000_000
"""Exits after which a guest is stopped."""


class Start(NamedTuple):
    """The state a guest begins in: 32-bit flat protected mode, paging and interrupts off."""

    eip: int = 0x1000
    esp: int = 0x9000
    eflags: int = 0x2


class Processor(Protocol):
    """Something that runs the guest's machine code: an emulator, or the real processor by KVM."""

    def run(self) -> Exit:
        """Run the guest until it exits; the record says why."""

    def resume(self, exit: Exit, resume: Resume) -> None:
        """Finish the instruction that exited: its result, or the vector that it woke up with."""


class Handler(Protocol):
    """The VMM, as the loop sees it."""

    def handle(self, exit: Exit) -> Resume:
        """Do what the record asks for, and say how the guest goes on."""


def run_guest(processor: Processor, vmm: Handler, limit: int = MAX_EXITS) -> Exit:
    """The VMM's loop: run, handle, resume, until the guest halts for good or faults three times.

    Gives the last record. `ValueError` if the guest exits more than `limit` times.
    """
    for _ in range(limit):
        exit = processor.run()
        resume = vmm.handle(exit)
        over = isinstance(exit, HltExit) and resume.value is None
        if over or isinstance(exit, TripleFault):
            return exit
        processor.resume(exit, resume)
    raise ValueError(f"the guest has not halted after {limit} exits")
