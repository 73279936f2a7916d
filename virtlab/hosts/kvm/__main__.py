"""Run a guest of two instructions on the real processor, and say how it ended.

    python -m virtlab.hosts.kvm         HLT (reason 12, qualification 0x0)

The idea: that a file can be opened says little. `virtlab doctor` runs this as a process of its own,
so that a KVM that does not answer is seen, and ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.hosts.kvm.processor import KvmProcessor
from virtlab.memory import PAGE, GuestMemory
from virtlab.trace import Trace
from virtlab.vmm.frames import Frames
from virtlab.vmm.processor import Start, run_guest
from virtlab.vmm.virtual_machine import VirtualMachine

CLI_HLT = b"\xfa\xf4"


@dataclass
class Bare:
    """A host with nothing but RAM."""

    clock: Clock = field(default_factory=Clock)
    trace: Trace = field(default_factory=Trace)
    ports: AddressSpace = field(default_factory=lambda: AddressSpace("port", 16, max_size=4))
    memory: AddressSpace = field(default_factory=lambda: AddressSpace("memory", 52))


def main() -> None:
    """Print the last exit of the guest."""
    vm = VirtualMachine(Bare(), Frames(GuestMemory(32 * PAGE), 0, 32), 16 * PAGE)
    vm.ram.write(Start().eip, CLI_HLT)
    with KvmProcessor(vm) as processor:
        print(run_guest(processor, vm.vmm))


if __name__ == "__main__":
    main()
