"""KVM: the guest's machine code on the real processor, by `ioctl` on `/dev/kvm`.

    from virtlab.hosts.kvm import KvmProcessor
    with KvmProcessor(vm) as processor:
        run_guest(processor, vm.vmm)

Read `api`, the kernel's layouts and numbers; `machine`, a VM as the kernel has it; `processor`,
which turns what KVM says into our exit records.

Linux only, and only where `/dev/kvm` gives a vCPU: `available()` says so. Nothing here is imported
by the core. Source: Linux, Documentation/virt/kvm/api.rst (the sections are cited by number).
"""

from virtlab.hosts.kvm.machine import KvmMachine, available
from virtlab.hosts.kvm.processor import KvmProcessor

__all__ = ["KvmMachine", "KvmProcessor", "available"]
