"""A hypercall that tells a guest where its memory really is.

      guest  VMCALL(HOST_ADDRESS, gpa)   ->   hpa

A guest that knows can program a physical card itself. With the card's registers mapped by EPT, a
request for DMA then costs no exit at all.

What it costs instead: the VMM cannot know when the guest forgets the number, so the frame is pinned
for good. And nothing checks the number that the guest gives to the card. Only a VM that may do
anything to the host is ever told.

The rule that keeps it simple: one page, one call. Source: the lecture's "direct DMA"; Xen tells its
para-virtual guests their machine addresses in the same way (Barham et al., SOSP 2003, 3.3.2).
"""

from __future__ import annotations

from virtlab.errors import DmaFault
from virtlab.memory import PAGE
from virtlab.vmm.exits import Exit, VmcallExit
from virtlab.vmm.pinning import Pins
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import NO_SUCH_CALL

HOST_ADDRESS = 0x20
"""The number of the call."""

NO_MEMORY = (1 << 64) - 1
"""The answer for an address where the VM has no memory."""


class HostAddresses:
    """The service: it takes `vm`'s hypercalls, and pins a page the first time it is asked for."""

    def __init__(self, vm: VirtualMachine, pins: Pins) -> None:
        self.vm = vm
        self.pins = pins
        self.told: set[int] = set()
        self._others = vm.vmm.handlers.get(VmcallExit)
        vm.vmm.handlers[VmcallExit] = self.answer

    def answer(self, exit: Exit) -> Resume:
        """What the call gives. A call that is another goes to whoever took hypercalls before."""
        match exit:
            case VmcallExit(number, (gpa,)) if number == HOST_ADDRESS:
                return Resume(self._tell(gpa))
        return self._others(exit) if self._others is not None else Resume(NO_SUCH_CALL)

    def _tell(self, gpa: int) -> int:
        try:
            hpa = self.vm.ram.hpa(gpa)
        except DmaFault:
            return NO_MEMORY
        if hpa & -PAGE not in self.told:
            self.told.add(hpa & -PAGE)
            self.pins.pin(hpa & -PAGE, PAGE)
        return hpa
