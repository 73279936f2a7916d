"""The small machines of problem set 1: a serial port that takes its time, and a text screen.

Each has a `cpu` for the student, on which every access costs a bus cycle of virtual time, and a
`bare` one for the case, which looks at the result for free.
"""

from __future__ import annotations

from virtlab.backends import Terminal
from virtlab.bus import AddressSpace
from virtlab.clock import Clock
from virtlab.course.budget import CYCLE, BudgetCpu
from virtlab.devices.text_screen import LENGTH, TextScreen
from virtlab.devices.uart import DLL, DLM, LCR, LSR, THR, Uart16550
from virtlab.hosts.python import BareCpu
from virtlab.machine import TEXT_SCREEN, UART

COM1, SCREEN = UART, TEXT_SCREEN

DLAB = LCR.DLAB.mask

SLOW = 4 * CYCLE
"""What an access takes here, in ns: fewer polls while a character is on the line."""


class SerialCpu(BareCpu):
    """A bare Cpu that remembers which of its characters came too early: THR was still full."""

    def __init__(self, ports: AddressSpace, clock: Clock) -> None:
        super().__init__(ports, AddressSpace("memory", 32), clock)
        self.characters = 0
        self.too_early: list[int] = []

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`, with a look at LSR before a character goes to THR."""
        if port == COM1 + THR.offset:
            if not LSR.THRE.get(self.ports.read(COM1 + LSR.offset, 1)):
                self.too_early.append(self.characters)
            self.characters += 1
        super().out(port, value, size)


class SerialBoard:
    """A PC's first serial port with a terminal: 8N1, and the divisor given.

    With `timed` a character takes as long as on a real line.
    """

    def __init__(self, divisor: int, timed: bool = False) -> None:
        self.clock = Clock()
        self.terminal = Terminal()
        self.uart = Uart16550(terminal=self.terminal, clock=self.clock, timed=timed)
        ports = AddressSpace("port", 16, verbs=("in", "out"), max_size=4)
        ports.map(COM1, 8, self.uart, "uart")
        self.bare = SerialCpu(ports, self.clock)
        self.cpu = BudgetCpu(self.bare, self.clock, cycle=SLOW)
        for offset, value in (
            (LCR.offset, DLAB),
            (DLL.offset, divisor & 0xFF),
            (DLM.offset, divisor >> 8),
            (LCR.offset, 0b11),
        ):
            self.uart.write(offset, 1, value)


class ScreenBoard:
    """A PC's text screen in the memory space, and nothing else."""

    def __init__(self) -> None:
        self.screen = TextScreen()
        memory = AddressSpace("memory", 32)
        memory.map(SCREEN, LENGTH, self.screen, "screen", width=8)
        clock = Clock()
        self.cpu = BudgetCpu(BareCpu(AddressSpace("port", 16, max_size=4), memory, clock), clock)
