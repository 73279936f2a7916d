"""The first place to cut: the system call. The VMM takes it before the guest's kernel does.

    application     SYSCALL        with EFER.SCE clear: an invalid opcode, vector 6
    VMM             exit           is it SYSCALL? is the call one on files?
                    yes            the shadow routine does it on the host, and RAX has the result
                    no             the guest goes on in its own kernel
    application     goes on

The idea: who has the call has the intention: *these bytes, to that file*. The VMM does it by
routines of its own, the *shadow I/O routines*, and the guest's kernel never hears of it.

VT-x cannot intercept SYSCALL. But the instruction is undefined while EFER.SCE is 0, and the VMM can
see every exception that it wants (the exception bitmap). So it clears the bit behind the guest's
back. It pays for that: it must know the guest's operating system, its numbers, its errors and what
its calls mean, and it has a second table of open files. SYSRET is undefined then, too: a call that
the kernel serves costs two exits, one that the VMM serves a single one.

The rules that keep it simple: the routines are `FileCalls`, the same that the kernel has. Registers
are read once. A pointer must be the application's own; the VMM checks it as the kernel would.

Sources: SDM 2B SYSCALL and SYSRET (#UD if EFER.SCE = 0), SDM 3C 25.6.3 (exception bitmap). The
trick is that of Nitro (Pfoh, Schneider, Eckert, IWSEC 2011). Left out: system calls by INT and by
SYSENTER, which a VMM would have to catch in other ways.
"""

from __future__ import annotations

from virtlab.backends.disk import Storage
from virtlab.errors import DmaFault
from virtlab.guest.calls import BlocksFailed, Call, FileCalls, Registers, Span
from virtlab.guest.files import FlatFiles
from virtlab.guest.kernel import USER, VOLUME, Syscall
from virtlab.vmm.exits import ExceptionExit, Exit
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.virtual_machine import ScatteredRam, VirtualMachine

INVALID_OPCODE = 6
"""The vector of #UD."""


class RamMemory:
    """The application's memory, as the VMM reaches it: in the VM's frames."""

    def __init__(self, ram: ScatteredRam, user: Span) -> None:
        self.ram = ram
        self.user = user

    def read(self, gpa: int, length: int) -> bytes | None:
        """`length` bytes, or None if they are not all the application's."""
        if not self.user.has(gpa, length):
            return None
        try:
            return self.ram.read(gpa, length)
        except DmaFault:
            return None

    def write(self, gpa: int, data: bytes) -> bool:
        """Put `data` there; False if that is not all the application's."""
        if self.read(gpa, len(data)) is None:
            return False
        self.ram.write(gpa, data)
        return True


class HostBlocks:
    """The VM's disk, for the VMM itself. What cannot be is `BlocksFailed`."""

    def __init__(self, disk: Storage) -> None:
        self.disk = disk

    def read(self, sector: int, count: int = 1) -> bytes:
        """`count` sectors from `sector`."""
        return self.disk.read(sector, count)

    def write(self, sector: int, data: bytes) -> None:
        """Put `data` from `sector` on."""
        if self.disk.read_only:
            raise BlocksFailed("the disk can only be read")
        self.disk.write(sector, data)


class ShadowRoutines:
    """The shadow I/O routines for the applications of `vm`, on the volume of its `disk`.

    `kernel` is the guest's own entry, for the calls that are not on files. `syscall` is the
    instruction as this VM's processor runs it. `simulated` and `reflected` count calls.
    """

    def __init__(self, vm: VirtualMachine, disk: Storage, kernel: Syscall) -> None:
        if disk.sectors < VOLUME.start + VOLUME.size:
            raise ValueError(f"a disk of {disk.sectors} sectors has no room for the volume")
        self.vmm = vm.vmm
        self.kernel = kernel
        self.simulated = self.reflected = 0
        blocks = HostBlocks(disk)
        self.calls = FileCalls(
            lambda: FlatFiles(blocks, VOLUME.start, VOLUME.size), RamMemory(vm.ram, USER)
        )
        self._registers: Registers | None = None
        vm.vmm.handlers[ExceptionExit] = self.handle

    def syscall(self, registers: Registers) -> None:
        """`SYSCALL` while EFER.SCE is clear: it exits, and perhaps the kernel runs after all."""
        self._registers = registers
        resume = self.vmm.handle(ExceptionExit(INVALID_OPCODE))
        self._registers = None
        if resume.value is not None:
            registers.answer(resume.value)
            return
        self.kernel(registers)
        self.vmm.handle(ExceptionExit(INVALID_OPCODE))  # the kernel's SYSRET

    def handle(self, exit: Exit) -> Resume:
        """The VMM's part. No value means: the guest goes on in its kernel, as if nothing were."""
        registers, is_call = self._registers, exit == ExceptionExit(INVALID_OPCODE)
        if registers is None or not is_call:
            return Resume(0)
        taken = Registers(registers.rax, registers.rdi, registers.rsi, registers.rdx)
        if taken.rax not in tuple(Call):
            self.reflected += 1
            return Resume(None)
        self.simulated += 1
        return Resume(self.calls.serve(taken))
