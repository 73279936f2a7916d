"""The second place to cut: the driver. A para-virtual driver calls the VMM's I/O component.

    guest    kernel, file layer          unmodified
             block driver    VMCALL      made for this VMM: sector, sectors, where the data lie
    VMM                      exit        the I/O component checks, moves the block, answers
    guest    block driver    EAX         a status

The idea: a request of a driver is small and whole, whatever its size. So it is one exit. But the
guest must have the driver, and the driver must have the VMM.

The rules that keep it simple: the answer says what was wrong, and nothing has moved then. A request
has at most `MAX_SECTORS`, so that no guest makes the VMM allocate more. A call that is not about
blocks goes to whoever took hypercalls before.

Source: SDM 3C 26.1.2 (VMCALL always exits). The numbers are the course's own (`guest.blocks`).
"""

from __future__ import annotations

from virtlab.backends.disk import SECTOR, Storage
from virtlab.errors import DmaFault
from virtlab.guest.blocks import BLOCK_READ, BLOCK_WRITE, MAX_SECTORS, Status
from virtlab.vmm.exits import Exit, VmcallExit
from virtlab.vmm.vcpu import Resume, Vmcall
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import NO_SUCH_CALL


class BlockService:
    """The VMM's I/O component for the blocks of `disk`, called by `vm`."""

    def __init__(self, vm: VirtualMachine, disk: Storage) -> None:
        self.ram = vm.ram
        self.cpu = vm.cpu
        self.disk = disk
        self._others = vm.vmm.handlers.get(VmcallExit)
        vm.vmm.handlers[VmcallExit] = self.handle

    def vmcall(self, number: int, arguments: tuple[int, ...]) -> int:
        """`VMCALL` by the guest: what its driver is given."""
        return self.cpu.finish(Vmcall(number, arguments)) or 0

    def handle(self, exit: Exit) -> Resume:
        """One hypercall."""
        match exit:
            case VmcallExit(number, arguments) if number in (BLOCK_READ, BLOCK_WRITE):
                sector, count, gpa = (*arguments, 0, 0, 0)[:3]
                return Resume(self._request(number == BLOCK_WRITE, sector, count, gpa))
        return self._others(exit) if self._others is not None else Resume(NO_SUCH_CALL)

    def _request(self, write: bool, sector: int, count: int, gpa: int) -> Status:
        """Check everything, then move the block."""
        if not 1 <= count <= MAX_SECTORS:
            return Status.BAD_LENGTH
        if sector < 0 or sector + count > self.disk.sectors:
            return Status.BAD_SECTOR
        if write and self.disk.read_only:
            return Status.READ_ONLY
        try:
            data = self.ram.read(gpa, count * SECTOR)
        except DmaFault:
            return Status.BAD_ADDRESS
        if write:
            self.disk.write(sector, data)
        else:
            self.ram.write(gpa, self.disk.read(sector, count))
        return Status.OK
