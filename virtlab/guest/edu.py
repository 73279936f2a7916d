"""A driver for QEMU's teaching device: ask who it is, let it compute, let it move bytes.

The idea: every task can be done in two ways. Poll a register until the work is done, or sleep until
the device interrupts. Both are here, side by side, so that a lesson can count them.

The register offsets and fields are the device's own declarations. Every poll is bounded.

Source: QEMU, docs/specs/edu.rst.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.edu import BUFFER, BUFFER_BYTES, DMA_MASK, EduRegisters
from virtlab.registers import Reg

POLLS = 200_000
"""Reads of a register after which the device counts as dead."""

NAP = 1_000_000
"""Nanoseconds that a poll lets pass, so that time goes on while we look."""


class EduDriver:
    """The device at `base` (gpa), through `cpu`. Its engine makes addresses of `dma_mask`."""

    def __init__(self, cpu: Cpu, base: int, dma_mask: int = DMA_MASK) -> None:
        self.cpu = cpu
        self.base = base
        self.dma_mask = dma_mask

    def detect(self) -> bool:
        """Whether it is there: it says who it is, and inverts what it is told."""
        magic = EduRegisters.IDENTIFICATION.MAGIC
        known = magic.get(EduRegisters.IDENTIFICATION.reset)
        return magic.get(self.get(EduRegisters.IDENTIFICATION)) == known and self.alive()

    def alive(self, value: int = 0x1234_5678) -> bool:
        """The liveness check."""
        self.put(EduRegisters.LIVENESS, value)
        return self.get(EduRegisters.LIVENESS) == ~value & 0xFFFF_FFFF

    # -- the factorial

    def factorial(self, n: int, interrupt: bool = False) -> int:
        """N factorial modulo 2**32: by polling, or with `interrupt` asleep until it is done."""
        wanted = EduRegisters.STATUS.INTERRUPT_WHEN_DONE.mask if interrupt else 0
        self.put(EduRegisters.STATUS, wanted)
        self.put(EduRegisters.FACTORIAL, n)
        if interrupt:
            self.sleep()
        else:
            self._poll(EduRegisters.STATUS, EduRegisters.STATUS.COMPUTING.mask)
        return self.get(EduRegisters.FACTORIAL)

    # -- the DMA engine

    def to_device(self, gpa: int, length: int, at: int = 0, interrupt: bool = False) -> None:
        """Let it fetch `length` bytes from `gpa` into its buffer, at `at`."""
        self._dma(gpa, BUFFER + at, length, 0, interrupt)

    def from_device(self, gpa: int, length: int, at: int = 0, interrupt: bool = False) -> None:
        """Let it store `length` bytes of its buffer, from `at`, at `gpa`."""
        self._dma(BUFFER + at, gpa, length, EduRegisters.DMA_COMMAND.TO_MEMORY.mask, interrupt)

    def _dma(self, source: int, destination: int, length: int, way: int, interrupt: bool) -> None:
        outside = destination if way else source
        inside = (source if way else destination) - BUFFER
        if inside < 0 or length < 0 or inside + length > BUFFER_BYTES:
            raise ValueError(f"its buffer has {BUFFER_BYTES} bytes, not {length} from {inside}")
        if outside + length > self.dma_mask + 1:
            raise ValueError(f"it reaches the first {self.dma_mask + 1:#x} bytes only")
        self.put(EduRegisters.DMA_SOURCE, source)
        self.put(EduRegisters.DMA_DESTINATION, destination)
        self.put(EduRegisters.DMA_COUNT, length)
        command = EduRegisters.DMA_COMMAND
        start = command.START.mask | way | (command.INTERRUPT.mask if interrupt else 0)
        self.put(command, start)
        if interrupt:
            self.sleep()
        else:
            self._poll(command, command.START.mask)

    # -- interrupts

    def sleep(self, timeout: int = 1_000_000_000) -> int:
        """Wait for its interrupt and acknowledge it: the reasons. `TimeoutError` if none comes."""
        self.cpu.wait(timeout)
        reasons = self.get(EduRegisters.INTERRUPT_STATUS)
        if not reasons:
            raise TimeoutError("the device did not interrupt")
        self.put(EduRegisters.ACKNOWLEDGE, reasons)
        return reasons

    def raise_interrupt(self, reasons: int = 1) -> None:
        """Let the device interrupt, for whatever `reasons`."""
        self.put(EduRegisters.RAISE, reasons)

    # -- the registers

    def get(self, reg: Reg) -> int:
        """A register, 4 bytes of it."""
        return self.cpu.load(self.base + reg.offset, 4)

    def put(self, reg: Reg, value: int) -> None:
        """The whole register."""
        self.cpu.store(self.base + reg.offset, value, reg.width)

    def _poll(self, reg: Reg, busy: int) -> None:
        for _ in range(POLLS):
            if not self.get(reg) & busy:
                return
            self.cpu.wait(NAP)
        raise TimeoutError(f"{reg.name} stayed {busy:#x} for {POLLS} reads")
