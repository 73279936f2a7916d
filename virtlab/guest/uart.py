"""A driver for the 16550 UART: find it, set it up, send and receive, by polling or by interrupt.

The idea: a driver knows registers, not addresses. `Registers` is the little layer between the two:
`PortRegisters` reaches them with `IN` and `OUT`, `MmioRegisters` with loads and stores. Everything
above it is the same driver, so the two ways of I/O can be compared on the same task.

The rule that keeps it simple: hardware may be broken, so no loop waits for ever. Each poll is
counted, and after `polls` of them the driver gives up with `UartTimeout`.

Registers and fields are the device's own declarations. Follows PC16550D; the way to tell the
models apart is the one that Linux uses. Left out: flow control, and other formats than 8N1.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, Self

from virtlab.cpu import Cpu
from virtlab.devices.uart import (
    BI,
    CRYSTAL,
    DLL,
    DLM,
    FCR,
    FE,
    FIFO_SIZE,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    OE,
    PE,
    RBR,
    SCR,
    THR,
    TRIGGERS,
    Cause,
)
from virtlab.registers import Reg
from virtlab.wire import Bits

COM1 = 0x3F8
"""The first port of a PC's first UART. Its interrupt is IRQ 4."""

MAX_POLLS = 100_000
"""Reads of LSR before the driver gives up: 72 ms of 8-bit ISA cycles."""

EIGHT_N_ONE = 0b11
"""LCR for 8 data bits, no parity, 1 stop bit."""


class UartTimeout(TimeoutError):
    """The UART did not become ready in the polls allowed."""


class Registers(Protocol):
    """How a driver reaches the registers of one UART."""

    def get(self, reg: Reg) -> int:
        """The byte in `reg`."""

    def put(self, reg: Reg, value: int) -> None:
        """Write the byte `value` to `reg`."""


class PortRegisters:
    """Registers at ports, one after another from `base`."""

    def __init__(self, cpu: Cpu, base: int = COM1) -> None:
        self.cpu = cpu
        self.base = base

    def get(self, reg: Reg) -> int:
        """One `IN`."""
        return self.cpu.inp(self.base + reg.offset)

    def put(self, reg: Reg, value: int) -> None:
        """One `OUT`."""
        self.cpu.out(self.base + reg.offset, value)


class MmioRegisters:
    """Registers in memory from `gpa`, `1 << shift` bytes apart, each access as wide as that."""

    def __init__(self, cpu: Cpu, gpa: int, shift: int = 0) -> None:
        self.cpu = cpu
        self.gpa = gpa
        self.shift = shift

    def get(self, reg: Reg) -> int:
        """One load."""
        return self.cpu.load(self.gpa + (reg.offset << self.shift), 1 << self.shift) & 0xFF

    def put(self, reg: Reg, value: int) -> None:
        """One store."""
        self.cpu.store(self.gpa + (reg.offset << self.shift), value, 1 << self.shift)


class UartDriver:
    """Drives the UART behind `registers`.

    `errors` collects the line errors (`OE`, `PE`, `FE`, `BI`) that were seen: reading LSR clears
    them, so the driver keeps them. `received` is what the interrupt handler took.
    """

    def __init__(self, registers: Registers, polls: int = MAX_POLLS) -> None:
        self.get_reg, self.put_reg = registers.get, registers.put
        self.polls = polls
        self.room = 1
        self.errors = 0
        self.received = bytearray()
        self.outgoing: deque[int] = deque()

    @classmethod
    def at_ports(cls, cpu: Cpu, base: int = COM1) -> Self:
        """The driver of a UART whose registers are ports from `base` on."""
        return cls(PortRegisters(cpu, base))

    @classmethod
    def in_memory(cls, cpu: Cpu, gpa: int, shift: int = 0) -> Self:
        """The driver of a UART whose registers are in memory, `1 << shift` bytes apart."""
        return cls(MmioRegisters(cpu, gpa, shift))

    # -- find it and set it up

    def detect(self) -> str | None:
        """Which model it is: "8250", "16450", "16550" or "16550A"; None if nothing is there.

        IER keeps its four bits on every model, and no empty bus does. The 8250 has no scratch
        register, the 16450 no FIFOs, and the first 16550 shows that its FIFOs do not work.
        Leaves DLAB, all interrupts and the FIFOs off.
        """
        self.put_reg(LCR, EIGHT_N_ONE)
        if not self._keeps(IER, IER.rw, 0):
            return None
        if not self._keeps(SCR, 0xA5, 0x5A):
            return "8250"
        self.put_reg(FCR, FCR.FIFO_ENABLE.mask)
        fifos = IIR.FIFOS.get(self.get_reg(IIR))
        self.put_reg(FCR, 0)
        return ("16450", None, "16550", "16550A")[fifos]

    def _keeps(self, reg: Reg, *values: int) -> bool:
        """Whether `reg` reads back as each value that was written; the last one stays."""
        for value in values:
            self.put_reg(reg, value)
            if self.get_reg(reg) & reg.rw != value:
                return False
        return True

    def init(self, baud: int = 115_200, trigger: int = 14) -> None:
        """8N1 at `baud`, FIFOs on and empty, `trigger` characters to an interrupt; none enabled.

        `ValueError` for a rate or a trigger that a 16550A does not have.
        """
        divisor = round(CRYSTAL / 16 / baud) if baud > 0 else 0
        if not 0 < divisor < 0x10000 or trigger not in TRIGGERS:
            raise ValueError(f"no 16550A does {baud} baud with trigger {trigger}, of {TRIGGERS}")
        self.put_reg(IER, 0)
        self.put_reg(LCR, LCR.DLAB.mask | EIGHT_N_ONE)
        self.put_reg(DLL, divisor & 0xFF)
        self.put_reg(DLM, divisor >> 8)
        self.put_reg(LCR, EIGHT_N_ONE)
        reset = FCR.FIFO_ENABLE.mask | FCR.RCVR_RESET.mask | FCR.XMIT_RESET.mask
        self.put_reg(FCR, FCR.TRIGGER.put(reset, TRIGGERS.index(trigger)))
        self.room = FIFO_SIZE if IIR.FIFOS.get(self.get_reg(IIR)) == 0b11 else 1
        self.put_reg(MCR, MCR.DTR.mask | MCR.RTS.mask | MCR.OUT2.mask)
        for reg in (LSR, RBR, MSR):  # what came before is not for us
            self.get_reg(reg)

    def self_test(self) -> bool:
        """In loopback: does every character come back, and every modem output as an input?

        The terminal notices nothing.
        """
        mcr = self.get_reg(MCR)
        self.put_reg(MCR, MCR.LOOP.mask)
        try:
            return self._echoes(bytes(range(0, 256, 15))) and self._modem_echoes()
        except UartTimeout:
            return False
        finally:
            self.put_reg(MCR, mcr)
            self.get_reg(MSR)  # the inputs changed, but that was us

    def _echoes(self, pattern: bytes) -> bool:
        for byte in pattern:
            self.put(byte)
            if self.get() != byte:
                return False
        return True

    def _modem_echoes(self) -> bool:
        pairs = ((MCR.RTS, MSR.CTS), (MCR.DTR, MSR.DSR), (MCR.OUT1, MSR.RI), (MCR.OUT2, MSR.DCD))
        inputs = sum(into.mask for _, into in pairs)
        for out, into in pairs:
            self.put_reg(MCR, MCR.LOOP.mask | out.mask)
            if self.get_reg(MSR) & inputs != into.mask:
                return False
        return True

    # -- by polling

    def line_status(self) -> int:
        """LSR; its errors are added to `errors`."""
        status = self.get_reg(LSR)
        self.errors |= status & (OE | PE | FE | BI)
        return status

    def _until(self, field: Bits, what: str) -> None:
        for _ in range(self.polls):
            if field.get(self.line_status()):
                return
        raise UartTimeout(f"{what} after {self.polls} polls of LSR")

    def put(self, byte: int) -> None:
        """Send one byte: poll until THRE, then write THR. May raise `UartTimeout`."""
        self._until(LSR.THRE, "THR still full")
        self.put_reg(THR, byte)

    def write(self, data: bytes) -> None:
        """Send `data`, a FIFO full for each time that THRE is found. May raise `UartTimeout`."""
        for start in range(0, len(data), self.room):
            self._until(LSR.THRE, "XMIT FIFO not empty")
            for byte in data[start : start + self.room]:
                self.put_reg(THR, byte)

    def flush(self) -> None:
        """Wait until the last bit is out. May raise `UartTimeout`."""
        self._until(LSR.TEMT, "still sending")

    def get(self) -> int:
        """Receive one byte: poll until DR, then read RBR. May raise `UartTimeout`."""
        self._until(LSR.DR, "nothing received")
        return self.get_reg(RBR)

    def read_available(self, limit: int = 4 * FIFO_SIZE) -> bytes:
        """What is there now, without waiting: at most `limit` bytes."""
        data = bytearray()
        while len(data) < limit and LSR.DR.get(self.line_status()):
            data.append(self.get_reg(RBR))
        return bytes(data)

    # -- by interrupt

    def listen(self) -> None:
        """Enable the receiver's interrupts. From now on call `service` for each."""
        self.put_reg(IER, IER.ERBFI.mask | IER.ELSI.mask)

    def queue(self, data: bytes) -> None:
        """Let the transmitter's interrupt send `data`. The first comes at once, if it is idle."""
        self.outgoing.extend(data)
        self.put_reg(IER, self.get_reg(IER) | IER.ETBEI.mask)

    def service(self, limit: int = 64) -> list[Cause]:
        """The interrupt routine: serve one cause after another until IIR has none, in order.

        At most `limit` of them. On a PC that is needed: the controller sees edges, so the line
        must go low before there can be another interrupt.
        """
        served: list[Cause] = []
        while len(served) < limit:
            cause = Cause(IIR.CAUSE.get(self.get_reg(IIR)))
            if cause is Cause.NONE:
                break
            self._serve(cause)
            served.append(cause)
        return served

    def _serve(self, cause: Cause) -> None:
        match cause:
            case Cause.LINE_STATUS:
                self.line_status()
            case Cause.DATA_AVAILABLE | Cause.CHARACTER_TIMEOUT:
                self.received += self.read_available()
            case Cause.THR_EMPTY:
                self._refill()
            case _:
                self.get_reg(MSR)

    def _refill(self) -> None:
        """THR or the FIFO is empty. With nothing more to send, disable the interrupt."""
        for _ in range(min(self.room, len(self.outgoing))):
            self.put_reg(THR, self.outgoing.popleft())
        if not self.outgoing:
            self.put_reg(IER, self.get_reg(IER) & ~IER.ETBEI.mask & 0xFF)
