"""A vCPU of KVM as a `Processor`: what the kernel says, turned into the course's exit records.

The idea: the same `VirtualMachine` that a guest in Python has. Its scattered frames become the
kernel's memory slots, page by page, as its tables map them. What has no slot comes back to us.

      KVM_EXIT_IO          ->  IoExit, one for each element of a string instruction
      KVM_EXIT_MMIO        ->  EptViolation or ShadowFault, whatever our tables say of the address
      KVM_EXIT_HLT         ->  HltExit
      KVM_EXIT_SHUTDOWN    ->  TripleFault

The rules that keep it simple: the kernel has decoded the instruction, so a record has its size and
value. Whether it was a string or an immediate form the kernel does not tell; we read the bytes at
EIP. A port that the I/O bitmap opens, and a page that is a device of the host, are served here,
with no record: the host's devices are objects of ours, so the real processor has to come back.

A guest that runs for `seconds` without an exit is stopped by a timer, in the main thread only.
Source: Linux, Documentation/virt/kvm/api.rst 5 (`struct kvm_run`); SDM 3A 6.12 (delivery).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

import numpy as np

from virtlab.bus import AddressSpace
from virtlab.errors import DmaFault
from virtlab.hosts.io_form import LONGEST_IO, PAST, Form, io_form
from virtlab.hosts.kvm import api
from virtlab.hosts.kvm.machine import KvmMachine, slots
from virtlab.memory import PAGE
from virtlab.vmm.exits import Exit, HltExit, IoExit, MemoryExit, TripleFault
from virtlab.vmm.processor import Start
from virtlab.vmm.vcpu import Resume
from virtlab.vmm.virtual_machine import VirtualMachine
from virtlab.vmm.vmm import MAX_HALT
from virtlab.wire import all_ones

FLAT_CODE, FLAT_DATA = 8, 16
"""Selectors of a flat code and a flat data segment."""
IRETD, FIXED_FLAG = 0xCF, 1 << 1
MMIO_DATA = 8
"""Where in an MMIO exit's details the data stands."""
MAX_DIRECT = 1_000_000
"""Accesses to the host's devices that one `run` may make before it comes back."""


class KvmProcessor:
    """Runs the guest in `vm`, a `VirtualMachine`, on the real processor.

    `seconds` is the wall-clock time for one stretch without an exit. `machine` is the kernel's
    side; `machine.entries` counts the entries into the guest. With `irqchip` the kernel has the
    interrupt controllers, and a `HLT` waits there. Use it in a `with`.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        start: Start | None = None,
        seconds: float = 5,
        irqchip: bool = False,
    ) -> None:
        self.vm = vm
        self.seconds = seconds
        self.machine = KvmMachine(irqchip)
        self.elements: Iterator[IoExit] = iter(())
        self.answer: memoryview | None = None
        self.last_eip = -1
        self.use_memory()
        self._set_up(start or Start())

    def close(self) -> None:
        """Give the VM back to the kernel."""
        self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- before the first entry

    def use_memory(self) -> None:
        """Make slots of the RAM that the VM's tables map. Call it again when they have changed."""
        ram, base = self.vm.ram, self.vm.ram.memory.bytes.ctypes.data
        pages = [
            (gpa, base + ram.memory.offset(hpa, PAGE))
            for gpa, hpa in ram.frames.items()
            if self.vm.tables.walk(gpa).hpa == hpa
        ]
        self.machine.set_memory(slots(pages))

    def _set_up(self, start: Start) -> None:
        sregs = self.machine.get(api.GET_SREGS, api.SREGS)
        for name in ("cs", "ds", "es", "fs", "gs", "ss"):
            code = name == "cs"
            selector, kind = (FLAT_CODE, 11) if code else (FLAT_DATA, 3)
            sregs[name] = (0, 0xFFFFFFFF, selector, kind, 1, 0, 1, 1, 0, 1, 0, 0, 0)
        sregs["cr0"] |= 1  # PE
        self.machine.put(api.SET_SREGS, sregs)
        regs = np.zeros(1, api.REGS)
        regs["rip"], regs["rsp"], regs["rflags"] = start
        self.machine.put(api.SET_REGS, regs)

    # -- the processor's two verbs

    def run(self) -> Exit:
        """Run the guest until it exits; the record says why."""
        for _ in range(MAX_DIRECT):
            exit = next(self.elements, None) or self._enter()
            if exit is None:
                continue
            if not self._direct(exit):
                return exit
        raise ValueError(f"the guest made {MAX_DIRECT} accesses to the host with no exit")

    def resume(self, exit: Exit, resume: Resume) -> None:
        """Give an access its result, or deliver the vector that ended a `HLT`."""
        if not isinstance(exit, HltExit):
            self._answer(resume.value or 0)
        elif resume.value is not None:
            self.machine.interrupt(resume.value)

    def _answer(self, value: int) -> None:
        """Put the result of a read where the kernel takes it from at the next entry."""
        if self.answer is not None:
            size = len(self.answer)
            self.answer[:] = (value & all_ones(size)).to_bytes(size, "little")
            self.answer = None

    # -- what the kernel said

    def _enter(self) -> Exit | None:
        """One stretch of the guest: a record, or None if there is nothing to tell."""
        with deadline(self.seconds):
            self.machine.enter()
        match int(self.machine.run["exit_reason"]):
            case api.EXIT_IO:
                self.elements = self._io()
                return next(self.elements, None)
            case api.EXIT_MMIO:
                return self._mmio()
            case api.EXIT_HLT:
                return HltExit(MAX_HALT if self.machine.run["if_flag"] else 0)
            case api.EXIT_IRQ_WINDOW | api.EXIT_INTR:
                return None
            case api.EXIT_INTERNAL_ERROR if self._return_from_interrupt():
                return None
        return TripleFault()

    def _io(self) -> Iterator[IoExit]:
        """A record for each element that the kernel has, or wants, of a port."""
        direction, size, port, count, offset = self.machine.details(api.IO).item()
        write = direction == api.IO_OUT
        form = self._form(size, write)
        shared = self.machine.shared.data
        for at in range(offset, offset + size * count, size):
            element = shared[at : at + size]
            self.answer = None if write else element
            value = int.from_bytes(element, "little") if write else 0
            yield IoExit(port, size, write, value, *form)

    def _form(self, size: int, write: bool) -> Form:
        """Whether it is a string, a repeated, an immediate form: from the bytes at EIP."""
        eip = self._regs("rip")
        again, self.last_eip = eip == self.last_eip, eip
        before, after = self._code(eip - PAST, PAST), self._code(eip, LONGEST_IO)
        return io_form(before, after, size, write, again) or Form()

    def _mmio(self) -> MemoryExit | None:
        """What our tables say of the access; one that they allow is made on the host."""
        gpa, data, size, write = self.machine.details(api.MMIO).item()
        value = data & all_ones(size) if write else 0
        start = api.DETAILS + MMIO_DATA
        self.answer = None if write else self.machine.shared.data[start : start + size]
        hpa = self.vm.tables.translate(gpa, size, bool(write), value)
        if isinstance(hpa, MemoryExit):
            return hpa
        self._answer(access(self.vm.host.memory, hpa, size, bool(write), value))
        return None

    def _direct(self, exit: Exit) -> bool:
        """Make an access to a port that the guest was given, on the host; else False."""
        if not isinstance(exit, IoExit) or self.vm.io_bitmap.exits(exit.port, exit.size):
            return False
        self._answer(access(self.vm.host.ports, exit.port, exit.size, exit.write, exit.value))
        return True

    # -- the guest's registers and code

    def _regs(self, name: str) -> int:
        return int(self.machine.get(api.GET_REGS, api.REGS)[name][0])

    def _code(self, eip: int, length: int) -> bytes:
        """`length` bytes at `eip`; none if they are not all in RAM."""
        try:
            return self.vm.ram.read(eip, length)
        except DmaFault:
            return b""

    def _return_from_interrupt(self) -> bool:
        """Finish an `IRETD` that the kernel's emulator hands back; whether it was one.

        Where the processor has no mode of its own for 32-bit guests, the kernel emulates them, and
        its emulator does not know this instruction in protected mode (api.rst 5,
        KVM_EXIT_INTERNAL_ERROR). The privilege level here never changes.
        """
        regs = self.machine.get(api.GET_REGS, api.REGS)
        eip, esp = int(regs["rip"][0]), int(regs["rsp"][0])
        if self.machine.details(api.INTERNAL_ERROR)["suberror"] != api.EMULATION:
            return False
        if self._code(eip, 1) != bytes([IRETD]):
            return False
        try:
            frame = self.vm.ram.read(esp, 12)
        except DmaFault:
            return False
        regs["rip"], _, regs["rflags"] = (int(each) for each in np.frombuffer(frame, "<u4"))
        regs["rflags"] |= FIXED_FLAG
        regs["rsp"] = (esp + 12) & all_ones(4)
        self.machine.put(api.SET_REGS, regs)
        return True


def access(space: AddressSpace, address: int, size: int, write: bool, value: int) -> int:
    """Make an access on a space: what it gives, 0 for a write."""
    if write:
        space.write(address, size, value)
        return 0
    return space.read(address, size)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `ValueError` in what runs inside if it takes longer; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise ValueError(f"the guest has run for {seconds} s without an exit")

    before: Any = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
