"""The vCPU: six verbs and a wait, in guest mode.

The idea: the processor runs the guest's instructions by itself as far as it may. An access that
the I/O bitmap opens, or that the tables translate, reaches the *host's* hardware, and the VMM
never hears of it. Any other access ends the run with a record of what stopped it.

      verb  ->  run(instruction)  ->  answer                        direct: no exit
                       |
                       +-> Exit  ->  vmm.handle(exit)  ->  Resume   past it, or once more

The rules that keep it simple: `run` has no side effect on the guest when it gives an `Exit`, so
the instruction can be run again. An access that crosses a page is cut into naturally aligned
pieces, and each is translated, and exits, alone. A string move goes page by page; where it meets
a page that exits, one byte at a time, as `REP MOVSB` does.

Sources: SDM 3C 26.1.3 (what exits), 29.3 and SDM 3A 4.5 (translation). Left out: interrupts come
only at `wait`, and events that arrive while the guest runs stay pending until then.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from virtlab.bus import SIZES, AddressSpace, cycles
from virtlab.cpu import string_length
from virtlab.memory import PAGE
from virtlab.vmm.exits import ControlExit, Exit, HltExit, InvlpgExit, IoExit, VmcallExit
from virtlab.vmm.io_bitmap import IoBitmap
from virtlab.wire import all_ones

MAX_RETRIES = 8
"""How often the VMM may say "once more" for one instruction before we call that our bug."""

LARGEST = max(SIZES)


class In(NamedTuple):
    """`IN` of `size` bytes from `port`."""

    port: int
    size: int


class Out(NamedTuple):
    """`OUT` of the low `size` bytes of `value` to `port`."""

    port: int
    size: int
    value: int


class Load(NamedTuple):
    """A load of `size` bytes at `gpa`, inside one page."""

    gpa: int
    size: int


class Store(NamedTuple):
    """A store of the low `size` bytes of `value` at `gpa`, inside one page."""

    gpa: int
    size: int
    value: int


class Hlt(NamedTuple):
    """`HLT`: nothing more until an interrupt comes, or `timeout` ns have passed."""

    timeout: int


class Vmcall(NamedTuple):
    """`VMCALL`: a hypercall, its `number` in EAX and its `arguments` in the registers after it."""

    number: int
    arguments: tuple[int, ...] = ()


class MovToCr3(NamedTuple):
    """`MOV CR3`: `value` has the address of the guest's own page table from now on."""

    value: int


class Invlpg(NamedTuple):
    """`INVLPG`: forget the translation of `gva`."""

    gva: int


Instruction = In | Out | Load | Store | Hlt | Vmcall | MovToCr3 | Invlpg


class Resume(NamedTuple):
    """How the guest goes on after an exit.

    Past the instruction, with `value` as its result, or, with `again`, by the same instruction
    once more, because the VMM changed what made it exit.
    """

    value: int | None = None
    again: bool = False


class ExitHandler(Protocol):
    """The VMM, as a vCPU sees it."""

    def handle(self, exit: Exit) -> Resume:
        """Look at the record, do what is needed, say how the guest goes on."""


class Translation(Protocol):
    """EPT or a shadow page table, as a vCPU sees it; perhaps the guest's own paging above it."""

    def translate(self, gpa: int, size: int, write: bool, value: int = 0) -> int | Exit:
        """The host-physical address of an access inside one page, or the exit that it causes."""


class VirtualCpu:
    """A `virtlab.cpu.Cpu` in guest mode.

    `ports` and `memory` are the *host's* spaces, which direct accesses reach. `vmm` gets the
    exits.
    """

    def __init__(
        self,
        ports: AddressSpace,
        memory: AddressSpace,
        io_bitmap: IoBitmap,
        translation: Translation,
        vmm: ExitHandler,
    ) -> None:
        self.ports = ports
        self.memory = memory
        self.io_bitmap = io_bitmap
        self.translation = translation
        self.vmm = vmm

    # -- the processor: one instruction, to its answer or to an exit

    def run(self, instruction: Instruction) -> int | Exit:
        """Run one instruction in guest mode: its result (0 for a write), or a record."""
        match instruction:
            case In(port, size):
                if self.io_bitmap.exits(port, size):
                    return IoExit(port, size, write=False)
                return self.ports.read(port, size)
            case Out(port, size, value):
                if self.io_bitmap.exits(port, size):
                    return IoExit(port, size, write=True, value=_cut(value, size))
                self.ports.write(port, size, value)
            case Load(gpa, size):
                hpa = self.translation.translate(gpa, size, write=False)
                return self.memory.read(hpa, size) if isinstance(hpa, int) else hpa
            case Store(gpa, size, value):
                hpa = self.translation.translate(gpa, size, write=True, value=_cut(value, size))
                if not isinstance(hpa, int):
                    return hpa
                self.memory.write(hpa, size, value)
            case Hlt(timeout):
                return HltExit(timeout)
            case Vmcall(number, arguments):
                return VmcallExit(number, arguments)
            case MovToCr3(value):
                return ControlExit(value)
            case Invlpg(gva):  # pragma: no branch
                return InvlpgExit(gva)
        return 0

    def finish(self, instruction: Instruction) -> int | None:
        """Run one instruction to its end, through as many exits as it takes."""
        for _ in range(MAX_RETRIES):
            result = self.run(instruction)
            if not isinstance(result, Exit):
                return result
            resume = self.vmm.handle(result)
            if not resume.again:
                return resume.value
        raise RuntimeError(f"the VMM resumes {instruction} without end: {result}")

    # -- the guest's verbs

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""
        return self.finish(In(port, size)) or 0

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""
        self.finish(Out(port, size, value))

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space."""
        value = 0
        for at, n, shift in pieces(gpa, size):
            value |= (self.finish(Load(at, n)) or 0) << shift
        return value

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space."""
        for at, n, shift in pieces(gpa, size):
            self.finish(Store(at, n, value >> shift))

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does: one exit a byte where a page exits."""
        string_length(length)
        data = bytearray()
        while len(data) < length:
            at = gpa + len(data)
            hpa = self.translation.translate(at, 1, write=False)
            if isinstance(hpa, int):
                data += self.memory.read_bytes(hpa, min(length - len(data), PAGE - at % PAGE))
            else:
                data.append(self.load(at, 1))
        return bytes(data)

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does: one exit a byte where a page exits."""
        done, length = 0, string_length(len(data))
        while done < length:
            at = gpa + done
            hpa = self.translation.translate(at, 1, write=True, value=data[done])
            n = min(length - done, PAGE - at % PAGE) if isinstance(hpa, int) else 1
            if isinstance(hpa, int):
                self.memory.write_bytes(hpa, data[done : done + n])
            else:
                self.store(at, data[done], 1)
            done += n

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """Halt; the VMM lets time pass and injects the vector that comes, or None.

        With a timeout of 0 it still looks whether one is there: that is a halt of 1 ns.
        """
        return self.finish(Hlt(timeout or 1))


def pieces(gpa: int, size: int) -> list[tuple[int, int, int]]:
    """An access as the pages it touches allow it: `(gpa, bytes, shift)`, lowest address first.

    Inside one page it stays whole, aligned or not. A size that no instruction has stays whole
    too; the space that gets it refuses it.

    >>> pieces(0x1FFF, 4)
    [(8191, 1, 0), (8192, 2, 8), (8194, 1, 24)]
    """
    if size not in SIZES or gpa % PAGE + size <= PAGE:
        return [(gpa, size, 0)]
    return cycles(gpa, size, LARGEST)


def _cut(value: int, size: int) -> int:
    return value & all_ones(size if size in SIZES else LARGEST)
