"""A vCPU whose guest has paging on: its verbs take guest-virtual addresses.

Two ways lead from there to the host's frames, and each is the `translation` of a `PagedCpu`:

      nested_paging   guest tables (gva -> gpa), then EPT (gpa -> hpa): the processor walks both
      shadow_paging   one table of the VMM's (gva -> hpa), kept in step with the guest's

The rule that keeps it simple: an exception is delivered *inside* an access. The guest's handler
runs, and if it removed the cause, the same access is tried again; the guest's code above it never
notices. That is what a processor does when it restarts the instruction.

A guest that has no handler, or one that does not help, ends in a *triple fault*: an exit for each
access, and reads give 0. Sources: SDM 3A 6.5 (faults restart), 6.15; SDM 3C 26.1.3, 27.6.
"""

from __future__ import annotations

from typing import ClassVar

from virtlab.vmm.exits import Exit, TripleFault
from virtlab.vmm.guest_paging import MAX_FAULTS, GuestFault, GuestPaging
from virtlab.vmm.vcpu import Instruction, Invlpg, MovToCr3, Resume, VirtualCpu
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import Vmm


class Paging:
    """How the accesses of a guest with paging on reach memory: the base of both ways.

    `TAKES` are the kinds of exit that it takes from the VMM's own rules. `intercepts` says whether
    `MOV CR3` and `INVLPG` exit.
    """

    TAKES: ClassVar[tuple[type[Exit], ...]] = ()
    intercepts: ClassVar[bool] = False

    def __init__(self, guest: GuestPaging, vmm: Vmm) -> None:
        self.guest = guest
        self.vmm = vmm
        self.pending: GuestFault | None = None
        self._tries = 0

    def attempt(self, gva: int, size: int, write: bool, value: int) -> int | Exit | GuestFault:
        """One try of an access: the host-physical address, an exit, or the guest's exception."""
        raise NotImplementedError

    def serve(self, exit: Exit) -> Resume:
        """Handle an exit of a kind in `TAKES`."""
        raise NotImplementedError

    def translate(self, gva: int, size: int, write: bool, value: int = 0) -> int | Exit:
        """The host-physical address of an access inside one page, or the exit that it causes.

        An exception that the VMM injected comes first, as at a VM entry.
        """
        result: int | Exit | GuestFault
        fault, self.pending = self.pending, None
        result = self.attempt(gva, size, write, value) if fault is None else fault
        while isinstance(result, GuestFault):
            if not self._deliver(result):
                self._tries = 0
                return TripleFault()
            result = self.attempt(gva, size, write, value)
        if isinstance(result, int):
            self._tries = 0
        return result

    def inject(self, fault: GuestFault) -> Resume:
        """Let the next VM entry raise `fault` in the guest."""
        self.pending = fault
        name = self.vmm.name
        self.vmm.trace.emit("inject", name, value=fault.vector, note=str(fault))
        return Resume(again=True)

    def _deliver(self, fault: GuestFault) -> bool:
        """Run the guest's handler; its own accesses begin their count of tries anew."""
        tries, self._tries = self._tries + 1, 0
        helped = tries <= MAX_FAULTS and self.guest.deliver(fault)
        self._tries = tries
        return helped


class PagedCpu(VirtualCpu):
    """A vCPU of a guest with paging on. Every `gpa` of its verbs is a gva."""

    paging: Paging

    def run(self, instruction: Instruction) -> int | Exit:
        """Run one instruction; `MOV CR3` and `INVLPG` exit only if the paging wants that.

        With EPT the guest's CR3 is its own affair: the VMM clears the controls "CR3-load exiting"
        and "INVLPG exiting" (SDM 3C 25.6.2).
        """
        if not self.paging.intercepts:
            if isinstance(instruction, MovToCr3):
                self.paging.guest.cr3 = instruction.value
                return 0
            if isinstance(instruction, Invlpg):
                return 0
        return super().run(instruction)

    def set_cr3(self, value: int) -> None:
        """`MOV CR3`: use the page tables at guest-physical `value`."""
        self.finish(MovToCr3(value))

    def invlpg(self, gva: int) -> None:
        """`INVLPG`: forget the translation of `gva`."""
        self.finish(Invlpg(gva))


def turn_on(vm: VirtualMachine, paging: Paging) -> PagedCpu:
    """Let the guest of `vm` run with paging on: its vCPU is the one given from now on."""
    vm.cpu = cpu = PagedCpu(vm.host.ports, vm.host.memory, vm.io_bitmap, paging, vm.vmm)
    cpu.paging = paging
    for kind in paging.TAKES:
        vm.vmm.handlers[kind] = paging.serve
    return cpu
