"""A tiny guest kernel and an application: from `write(fd, data)` down to a block driver.

    application        write(3, gpa, 4096)
        |  SYSCALL
    system call        descriptor 3 is the file "notes", at its byte 0
        |              copy the bytes from the application
    file layer         that is sector 65 of the disk, 8 sectors
        |
    block driver       PIO, DMA, or a hypercall

The idea: I/O goes down through a kernel in layers, and each boundary between two of them is an
interface. A VMM may stand at any. So the layers here are separate objects, and what is handed from
one to the next is what the VMM sees if it cuts there: a file and bytes, sectors, or a port.

The rule that keeps it simple: `SYSCALL` is a function of the registers. The application calls it
and cannot know who answers. The kernel's own entry is one such function.

Source: SDM 2B, SYSCALL. Left out: paging (addresses are physical), processes, a page cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from virtlab.cpu import Cpu
from virtlab.guest.calls import GETPID, Call, FileCalls, Registers, Span
from virtlab.guest.files import Blocks, FlatFiles
from virtlab.trace import Trace

USER = Span(0x2_0000, 0x4_0000)
"""The application's memory."""

BUFFER, TABLE = 0x7_0000, 0x9000
"""The kernel's: the block drivers' buffer, and the table of a DMA command (gpa)."""

VOLUME = Span(64, 512)
"""The sectors of the volume on the disk."""

PID = 1

BYTES_COPIED = "bytes copied"
"""The counter that sums the sizes of all copies."""

Syscall = Callable[[Registers], None]
"""`SYSCALL`, as an application sees it."""


class CpuMemory:
    """The application's memory by loads and stores of the kernel."""

    def __init__(self, cpu: Cpu, user: Span = USER) -> None:
        self.cpu = cpu
        self.user = user

    def read(self, gpa: int, length: int) -> bytes | None:
        """`length` bytes, or None if they are not all the application's."""
        return self.cpu.read(gpa, length) if self.user.has(gpa, length) else None

    def write(self, gpa: int, data: bytes) -> bool:
        """Put `data` there; False if that is not all the application's."""
        if not self.user.has(gpa, len(data)):
            return False
        self.cpu.write(gpa, data)
        return True


class Kernel:
    """A kernel on `cpu`, with its disk behind `blocks`. `entry` is where SYSCALL goes.

    `trace`, where given, gets an event for each system call, and for each copy between the
    application and the kernel: what a real kernel's tracepoints would tell.
    """

    def __init__(self, cpu: Cpu, blocks: Blocks, trace: Trace | None = None) -> None:
        self.trace = trace if trace is not None else Trace()
        mount = partial(FlatFiles, blocks, VOLUME.start, VOLUME.size)
        self.calls = FileCalls(mount, CpuMemory(cpu), self._copied)

    def entry(self, registers: Registers) -> None:
        """Serve one call; its result is in RAX."""
        self.trace.emit("system call", "guest kernel", note=name_of(registers.rax))
        answer = PID if registers.rax == GETPID else self.calls.serve(registers)
        registers.answer(answer)

    def _copied(self, size: int) -> None:
        count_copy(self.trace, "guest kernel", size, f"{size} bytes")


class Application:
    """A program in the guest: its data lie in its own memory, and `syscall` is its only way out."""

    def __init__(self, cpu: Cpu, syscall: Syscall, user: Span = USER) -> None:
        self.cpu = cpu
        self.syscall = syscall
        self.user = user

    @property
    def data(self) -> int:
        """Where it puts what it writes (gpa); its strings lie before."""
        return self.user.start + 0x1000

    def call(self, number: int, *arguments: int) -> int:
        """Any system call with up to three arguments; its result, an error negative."""
        first, second, third = (*arguments, 0, 0, 0)[:3]
        registers = Registers(number, first, second, third)
        self.syscall(registers)
        return registers.result

    def open(self, name: bytes) -> int:
        """A descriptor for the file `name`."""
        self.cpu.write(self.user.start, name + b"\0")
        return self.call(Call.OPEN, self.user.start)

    def write(self, descriptor: int, data: bytes) -> int:
        """How many bytes of `data` were written."""
        self.cpu.write(self.data, data)
        return self.call(Call.WRITE, descriptor, self.data, len(data))

    def read(self, descriptor: int, length: int) -> bytes:
        """At most `length` bytes; nothing where the call failed."""
        result = self.call(Call.READ, descriptor, self.data, length)
        return self.cpu.read(self.data, max(0, result))

    def close(self, descriptor: int) -> int:
        """Give a descriptor back."""
        return self.call(Call.CLOSE, descriptor)


def count_copy(trace: Trace, who: str, size: int, note: str) -> None:
    """One block of `size` bytes has moved between two memories: an event `copy`, and a sum."""
    trace.emit("copy", who, size=size, note=note)
    trace.counts[BYTES_COPIED] += size


def name_of(number: int) -> str:
    """A call in words.

    >>> name_of(1), name_of(999)
    ('write', 'call 999')
    """
    known = {**{call.value: call.name.lower() for call in Call}, GETPID: "getpid"}
    return known.get(number, f"call {number}")
