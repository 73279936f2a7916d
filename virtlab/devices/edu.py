"""The teaching device of QEMU: numbers to look at, a factorial to wait for, and a DMA engine.

    0x00  IDENTIFICATION     0x20  STATUS             0x80  DMA_SOURCE
    0x04  LIVENESS           0x24  INTERRUPT_STATUS   0x88  DMA_DESTINATION
    0x08  FACTORIAL          0x60  RAISE              0x90  DMA_COUNT
                             0x64  ACKNOWLEDGE        0x98  DMA_COMMAND

The idea: everything that a real device does, once, with nothing around it. A register that answers,
work that takes time, an interrupt that must be acknowledged, and bytes that it fetches itself.

The DMA engine moves bytes between memory and a buffer of 4 KiB in the device. To it the buffer lies
at 0x40000; the processor cannot reach it.

The rule that keeps it simple: a register takes whole accesses only, of 4 bytes, and from 0x80 on of
4 or 8. Any other reads all ones and writes nothing.

Source: QEMU, docs/specs/edu.rst and hw/misc/edu.c. A transfer that leaves the buffer ends QEMU 7.2;
here it does nothing, and DMA_COMMAND says that it is over.
"""

from __future__ import annotations

from contextlib import suppress

from virtlab.clock import MICROSECOND, MILLISECOND, Clock, Timer
from virtlab.errors import DmaFault
from virtlab.interrupts import IrqLine
from virtlab.memory import Dma
from virtlab.pci.capabilities import Msi
from virtlab.pci.function import Function, Identity
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

SPEC = "QEMU edu"
LENGTH = 1 << 20
"""Bytes of its BAR."""

IDENTITY = 0x0100_00ED
"""Version 1.0, and the letters ED."""

BUFFER, BUFFER_BYTES = 0x40000, 4096
"""Where the DMA engine sees its buffer, and how large it is."""

DMA_MASK = (1 << 28) - 1
"""Addresses that the engine makes unless it is told otherwise: 28 bits."""

FACTORIAL_TIME, DMA_TIME = 10 * MICROSECOND, 100 * MILLISECOND
"""Virtual time of one factorial, and of one transfer. QEMU's transfer takes as long."""

LAST_FACTORIAL = 34
"""34! is a multiple of 2**32, and so is every factorial after it."""

FACTORIAL_DONE, DMA_DONE = 0x001, 0x100
"""Bits of INTERRUPT_STATUS that the device itself sets."""

MSI_AT = 0x40


class EduRegisters:
    """The registers, for the device, the driver and the pictures."""

    IDENTIFICATION = Reg(
        0x00,
        4,
        reset=IDENTITY,
        name="IDENTIFICATION",
        fields={"MAGIC": Bits(15, 0), "MINOR": Bits(23, 16), "MAJOR": Bits(31, 24)},
        access="r",
        spec=SPEC,
        doc="Who it is: 0xRRrr00ed.",
    )
    LIVENESS = Reg(
        0x04, 4, rw=all_ones(4), name="LIVENESS", spec=SPEC, doc="Reads what was written, inverted."
    )
    FACTORIAL = Reg(
        0x08,
        4,
        rw=all_ones(4),
        name="FACTORIAL",
        spec=SPEC,
        doc="Write n, wait, read n factorial, modulo 2**32.",
    )
    STATUS = Reg(
        0x20,
        4,
        rw=0x80,
        name="STATUS",
        fields={"COMPUTING": Bits(0), "INTERRUPT_WHEN_DONE": Bits(7)},
        spec=SPEC,
        doc="Whether it computes, and whether it interrupts when it has.",
    )
    INTERRUPT_STATUS = Reg(
        0x24, 4, name="INTERRUPT_STATUS", access="r", spec=SPEC, doc="Why the line is up."
    )
    RAISE = Reg(0x60, 4, name="RAISE", access="w", spec=SPEC, doc="Sets bits of the above.")
    ACKNOWLEDGE = Reg(0x64, 4, name="ACKNOWLEDGE", access="w", spec=SPEC, doc="Clears them.")
    DMA_SOURCE = Reg(
        0x80, 8, rw=all_ones(8), name="DMA_SOURCE", spec=SPEC, doc="Where bytes come from."
    )
    DMA_DESTINATION = Reg(
        0x88, 8, rw=all_ones(8), name="DMA_DESTINATION", spec=SPEC, doc="Where they go."
    )
    DMA_COUNT = Reg(0x90, 8, rw=all_ones(8), name="DMA_COUNT", spec=SPEC, doc="How many.")
    DMA_COMMAND = Reg(
        0x98,
        8,
        rw=all_ones(8),
        name="DMA_COMMAND",
        fields={"START": Bits(0), "TO_MEMORY": Bits(1), "INTERRUPT": Bits(2)},
        spec=SPEC,
        doc="Start; the direction; whether to interrupt at the end.",
    )


REGISTERS = tuple(reg for reg in vars(EduRegisters).values() if isinstance(reg, Reg))
"""By offset."""

DMA_REGISTERS = tuple(reg for reg in REGISTERS if reg.width == 8)
START, TO_MEMORY, INTERRUPT = (bits.mask for bits in EduRegisters.DMA_COMMAND.fields.values())


class Edu:
    """The device: `irq` is its line, `dma` its way to memory.

    `buffer` is the DMA engine's own memory. `factorial_time` and `dma_time` are in virtual ns.
    `dma_mask` are the bits of an address that the engine makes, as QEMU's option of that name.
    """

    def __init__(
        self,
        irq: IrqLine,
        dma: Dma,
        clock: Clock,
        factorial_time: int = FACTORIAL_TIME,
        dma_time: int = DMA_TIME,
        dma_mask: int = DMA_MASK,
    ) -> None:
        self.irq = irq
        self.dma = dma
        self.clock = clock
        self.factorial_time = factorial_time
        self.dma_time = dma_time
        self.dma_mask = dma_mask
        self.values = {reg.offset: reg.reset for reg in REGISTERS}
        self.buffer = bytearray(BUFFER_BYTES)
        self._work: list[Timer] = []

    def reset(self) -> None:
        """As after power-on. Work that goes on is forgotten."""
        for timer in self._work:
            timer.cancel()
        self._work.clear()
        self.values = {reg.offset: reg.reset for reg in REGISTERS}
        self.buffer = bytearray(BUFFER_BYTES)
        self.irq.set(False)

    def peek(self) -> dict[str, int]:
        """Every register by name, with no side effect."""
        return {reg.name: self.values[reg.offset] for reg in REGISTERS}

    # -- the two verbs

    def read(self, offset: int, size: int) -> int:
        """A whole register; all ones for anything else, and for what can only be written."""
        if not _whole(offset, size):
            return all_ones(size)
        reg = next((reg for reg in REGISTERS if reg.offset == offset), None)
        if reg is None or reg.access == "w":
            return all_ones(size)
        return self.values[offset] & all_ones(size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A whole register; anything else is lost."""
        if not _whole(offset, size):
            return
        match offset:
            case 0x04:
                self.values[offset] = ~value & all_ones(4)
            case 0x08:
                self._compute(value)
            case 0x20:
                wanted = EduRegisters.STATUS.INTERRUPT_WHEN_DONE.mask
                self.values[offset] = self.values[offset] & ~wanted | value & wanted
            case 0x60:
                self._raise(value & all_ones(4))
            case 0x64:
                self._interrupts(self.values[0x24] & ~value)
            case 0x80 | 0x88 | 0x90:
                if not self.moving:
                    self.values[offset] = value
            case 0x98:
                if value & START and not self.moving:
                    self.values[offset] = value
                    self._work.append(self.clock.after(self.dma_time, self._transfer))

    def _forget(self) -> None:
        """Let go of timers that have rung."""
        self._work = [timer for timer in self._work if timer.action is not None]

    # -- the factorial

    @property
    def computing(self) -> bool:
        """Whether a factorial is under way."""
        return bool(self.values[0x20] & EduRegisters.STATUS.COMPUTING.mask)

    def _compute(self, n: int) -> None:
        if not self.computing:
            self.values[0x08] = n
            self.values[0x20] |= EduRegisters.STATUS.COMPUTING.mask
            self._work.append(self.clock.after(self.factorial_time, self._computed))

    def _computed(self) -> None:
        self._forget()
        self.values[0x08] = factorial(self.values[0x08])
        self.values[0x20] &= ~EduRegisters.STATUS.COMPUTING.mask
        if self.values[0x20] & EduRegisters.STATUS.INTERRUPT_WHEN_DONE.mask:
            self._raise(FACTORIAL_DONE)

    # -- the DMA engine

    @property
    def moving(self) -> bool:
        """Whether a transfer is under way."""
        return bool(self.values[0x98] & START)

    def _transfer(self) -> None:
        """Move the bytes, if they are inside the buffer and memory can be reached."""
        self._forget()
        source, destination, count, command = (self.values[reg.offset] for reg in DMA_REGISTERS)
        inside = (source if command & TO_MEMORY else destination) - BUFFER
        if 0 <= inside and inside + count <= BUFFER_BYTES:
            with suppress(DmaFault):
                self._move(command, inside, (source, destination), count)
        self.values[0x98] &= ~START
        if command & INTERRUPT:
            self._raise(DMA_DONE)

    def _move(self, command: int, inside: int, ends: tuple[int, int], count: int) -> None:
        if command & TO_MEMORY:
            self.dma.write(ends[1] & self.dma_mask, bytes(self.buffer[inside : inside + count]))
        else:
            self.buffer[inside : inside + count] = self.dma.read(ends[0] & self.dma_mask, count)

    # -- interrupts

    def _raise(self, bits: int) -> None:
        self._interrupts(self.values[0x24] | bits)

    def _interrupts(self, bits: int) -> None:
        self.values[0x24] = bits
        self.irq.set(bits != 0)


def _whole(offset: int, size: int) -> bool:
    return size == 4 or (size == 8 and offset >= DMA_REGISTERS[0].offset)


def factorial(n: int) -> int:
    """N factorial modulo 2**32.

    >>> factorial(5), factorial(34)
    (120, 0)
    """
    product = 1
    for factor in range(2, min(n, LAST_FACTORIAL) + 1):
        product = product * factor & all_ones(4)
    return product


class EduFunction(Function):
    """1234:11e8. Its registers are behind BAR 0; it has a pin, and one message."""

    def __init__(self, clock: Clock, name: str = "edu") -> None:
        identity = Identity(0x1234, 0x11E8, 0x00FF00, 0x10, 0x1AF4, 0x1100)
        super().__init__(identity, name=name, pin=1)
        self.edu = Edu(self.irq, self.dma, clock)
        self.memory_bar(0, self.edu, LENGTH, width=8)
        self.config.add(Msi(bits64=True), MSI_AT)

    def reset(self) -> None:
        """The function and the device in it."""
        super().reset()
        self.edu.reset()
