"""The VMM's loop: an exit comes in as a record, the guest goes on with a `Resume`.

The idea: a VM has address spaces of its own, with *virtual* devices in them. They are ordinary
`AddressSpace` and `Device` objects. To emulate an access is to pass it on to the virtual space:
the same UART model that is a physical device on the bare machine is a virtual device here.

      IoExit                                    ->  the virtual port space
      EptViolation, ShadowFault, misconfigured  ->  the virtual memory space
      HltExit                                   ->  time passes, then a vector is injected
      VmcallExit                                ->  no such call; `handlers` may know it

The rule that keeps it simple: what is emulated is past, so `handle` never fails on anything that a
guest can do. Every exit is counted; its way through the VMM stands between two trace events, `exit`
and `entry`, and costs virtual time: `COSTS["vm_exit"]`, or `exit_cost` ns.

An EPT misconfiguration is emulated like a violation, since VMMs use it so: Linux KVM marks pages
of emulated devices by an entry that is misconfigured on purpose, as that exit is quicker to sort.

Sources: SDM 3C 26 and 28 (exits), 27.6 (event injection).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from virtlab.bus import AddressSpace
from virtlab.clock import COSTS, SECOND, Clock
from virtlab.interrupts import InterruptController
from virtlab.trace import Trace
from virtlab.vmm.exits import (
    ControlExit,
    ExceptionExit,
    Exit,
    HltExit,
    InvlpgExit,
    IoExit,
    MemoryExit,
    TripleFault,
    VmcallExit,
)
from virtlab.vmm.vcpu import Resume
from virtlab.wire import all_ones

MAX_HALT = 60 * SECOND
"""Virtual ns that one HLT may last: a guest cannot keep the host turning for longer."""

NO_SUCH_CALL = all_ones(4)
"""What a hypercall answers that the VMM does not know."""


class Vmm:
    """The monitor of one VM.

    `ports` and `memory` are the VM's own spaces, with its virtual devices; `controller` is its
    virtual interrupt controller. `exits` counts by the record's class name. `busy` is how many
    exits are being handled now: while it is not 0, the guest does not run.

    `handlers` says who takes a kind of exit in place of the rules above: a service for hypercalls,
    a shadow pager for its page faults.
    """

    def __init__(
        self,
        ports: AddressSpace,
        memory: AddressSpace,
        clock: Clock,
        trace: Trace,
        controller: InterruptController | None = None,
        name: str = "vm",
        exit_cost: int | None = None,
    ) -> None:
        self.ports = ports
        self.memory = memory
        self.clock = clock
        self.trace = trace
        self.controller = controller
        self.name = name
        self.exit_cost = round(COSTS["vm_exit"].ns) if exit_cost is None else exit_cost
        self.exits: Counter[str] = Counter()
        self.busy = 0
        self.handlers: dict[type[Exit], Callable[[Exit], Resume]] = {}

    def handle(self, exit: Exit) -> Resume:
        """One turn of the loop: count, pay, do what the record asks for, enter again."""
        kind = type(exit).__name__
        self.exits[kind] += 1
        self.trace.counts[f"exit {kind}"] += 1
        self.trace.emit("exit", self.name, *exit.place, note=str(exit))
        self.busy += 1
        try:
            self.clock.advance(self.exit_cost)
            resume = self.emulate(exit)
        finally:
            self.busy -= 1
        self.trace.emit("entry", self.name, *exit.place, note=_in_words(resume))
        return resume

    def emulate(self, exit: Exit) -> Resume:
        """Do what the guest's instruction would have done, on the virtual machine."""
        handler = self.handlers.get(type(exit))
        if handler is not None:
            return handler(exit)
        match exit:
            case IoExit():
                return self._access(self.ports, exit.port, exit)
            case MemoryExit():
                return self._access(self.memory, exit.gpa, exit)
            case HltExit():
                return self._halt(exit)
            case VmcallExit():
                return Resume(NO_SUCH_CALL)
            case ControlExit() | InvlpgExit() | ExceptionExit() | TripleFault():
                return Resume(0)
        raise TypeError(f"no VMM here knows what to do with {exit!r}")

    def _access(self, space: AddressSpace, address: int, exit: IoExit | MemoryExit) -> Resume:
        if exit.write:
            space.write(address, exit.size, exit.value)
            return Resume(0)
        return Resume(space.read(address, exit.size))

    def _halt(self, exit: HltExit) -> Resume:
        """Let time pass until the virtual controller has a vector, and inject that."""
        controller = self.controller
        timeout = min(max(exit.timeout, 0), MAX_HALT)
        if timeout == 0:
            return Resume(None)
        if controller is None:
            self.clock.advance(timeout)
            return Resume(None)
        if not self.clock.advance_until(lambda: controller.pending, timeout):
            return Resume(None)
        vector = controller.acknowledge()
        self.trace.emit("inject", self.name, value=vector, note=f"vector {vector:#x}")
        return Resume(vector)


def _in_words(resume: Resume) -> str:
    return "the same instruction again" if resume.again else "past the instruction"
