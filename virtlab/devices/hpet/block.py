"""The HPET's timer block: the general registers, the main counter, and where interrupts go.

The rule that keeps it simple: the lines are driven in one place, `settle`, from the registers as
they stand. A level-triggered timer holds its line while its status bit is set; an edge is a line
that was raised and that nobody wants up. Only lines that this block `held` are let fall: another
device may share the wire.

Source: IA-PC HPET specification 1.0a, 2.3.2 to 2.3.7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from virtlab.bus import cycles
from virtlab.clock import Clock
from virtlab.devices.hpet.timer import FIRST_TIMER, TICK, TIMER_STRIDE, HpetTimer
from virtlab.interrupts import IrqLine, Msi
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

BASE = 0xFED00000
"""Where a PC has it (gpa)."""

TICK_FS = TICK * 1_000_000
"""Femtoseconds a tick, as `GCAP_ID` tells it."""

TIMERS = 3


class Hpet(RegisterFile):
    """The timer block: `MAIN_CNT`, three timers, and where their interrupts go.

    `lines` are the inputs of the I/O APIC that the timers can be routed to, by number; `legacy`
    are IRQ 0 and IRQ 8, which timers 0 and 1 take over with `LEG_RT_CNF`. Where a `message` sink
    is given the timers can send messages instead.
    """

    length = 0x400
    GCAP_ID = Reg(
        0x000,
        8,
        reset=TICK_FS << 32 | 0x8086 << 16 | 1 << 15 | 1 << 13 | (TIMERS - 1) << 8 | 1,
        fields={
            "REV_ID": Bits(7, 0),
            "NUM_TIM_CAP": Bits(12, 8),
            "COUNT_SIZE_CAP": Bits(13),
            "LEG_RT_CAP": Bits(15),
            "VENDOR_ID": Bits(31, 16),
            "COUNTER_CLK_PERIOD": Bits(63, 32),
        },
        access="r",
        spec="HPET 1.0a 2.3.4",
        doc="How many timers, how wide, and how many femtoseconds a tick has.",
    )
    GEN_CONF = Reg(
        0x010,
        8,
        rw=0x3,
        fields={"ENABLE_CNF": Bits(0), "LEG_RT_CNF": Bits(1)},
        spec="HPET 1.0a 2.3.5",
        doc="Lets the counter run, and interrupts out; takes over IRQ 0 and IRQ 8.",
    )
    GINTR_STA = Reg(
        0x020,
        8,
        w1c=0x7,
        fields={"T0_INT_STS": Bits(0), "T1_INT_STS": Bits(1), "T2_INT_STS": Bits(2)},
        spec="HPET 1.0a 2.3.6",
        doc="Which level-triggered timers want attention; a written 1 clears.",
    )
    MAIN_CNT = Reg(
        0x0F0,
        8,
        rw=all_ones(8),
        spec="HPET 1.0a 2.3.7",
        doc="The counter; written while it stands still.",
    )

    def __init__(
        self,
        clock: Clock | None = None,
        lines: Mapping[int, IrqLine] | None = None,
        legacy: tuple[IrqLine, IrqLine] | None = None,
        message: Callable[[Msi], None] | None = None,
    ) -> None:
        super().__init__()
        self.clock = clock if clock is not None else Clock()
        self.lines = dict(lines) if lines is not None else _ich_lines()
        self.legacy = legacy or (IrqLine("irq0"), IrqLine("irq8"))
        self.message = message
        self.started = 0
        self.held: set[IrqLine] = set()
        routes = sum(1 << number for number in self.lines)
        self.timers = [HpetTimer(self, n, routes, message is not None) for n in range(TIMERS)]

    # -- the bus: the general registers, then the timers' blocks

    def read(self, offset: int, size: int) -> int:
        """Any bytes of the block, also several registers' at once; holes are 0."""
        value = 0
        for at, n, shift in cycles(offset, size, 8):
            timer, inside = self._timer_at(at)
            part = timer.read(inside, n) if timer else super().read(at, n)
            value |= part << shift
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Any bytes of the block. Software writes 4 or 8, aligned (2.3.2)."""
        for at, n, shift in cycles(offset, size, 8):
            timer, inside = self._timer_at(at)
            part = (value >> shift) & all_ones(n)
            if timer:
                timer.write(inside, n, part)
            else:
                super().write(at, n, part)

    def _timer_at(self, offset: int) -> tuple[HpetTimer | None, int]:
        number, inside = divmod(offset - FIRST_TIMER, TIMER_STRIDE)
        return (self.timers[number] if 0 <= number < TIMERS else None), inside

    def peek(self) -> dict[str, int]:
        """The general registers by name, the counter as it stands now, with no side effect."""
        return {**super().peek(), "MAIN_CNT": self.counter}

    # -- the counter

    @property
    def running(self) -> bool:
        """Whether `ENABLE_CNF` is set."""
        return bool(Hpet.GEN_CONF.ENABLE_CNF.get(self.GEN_CONF))

    @property
    def counter(self) -> int:
        """The main counter now: 64 bits."""
        ticks = (self.clock.now - self.started) // TICK if self.running else 0
        return (self.MAIN_CNT + ticks) & all_ones(8)

    def until(self, ticks: int) -> int:
        """Nanoseconds from now until `ticks` more have been counted."""
        return ticks * TICK - (self.clock.now - self.started) % TICK

    def read_MAIN_CNT(self) -> int:
        """The counter."""
        return self.counter

    def write_MAIN_CNT(self, old: int, new: int) -> None:
        """Kept only while the counter stands still."""
        if self.running:
            self.MAIN_CNT = old

    def write_GEN_CONF(self, old: int, new: int) -> None:
        """Start or stop the counter, and let the lines follow."""
        was = Hpet.GEN_CONF.ENABLE_CNF.get(old)
        if self.running and not was:
            self.started = self.clock.now
        if was and not self.running:
            ticks = (self.clock.now - self.started) // TICK
            self.MAIN_CNT += ticks
        if self.running != was:
            for timer in self.timers:
                timer.arm()
        self.settle()

    # -- interrupts

    def interrupt(self, timer: HpetTimer) -> None:
        """A timer matched: a status bit, a message, or an edge.

        The status bit is set even where the interrupt is not enabled (2.3.8, INT_ENB_CNF).
        """
        fsb = timer.has("FSB_EN_CNF")
        if timer.has("INT_TYPE_CNF") and not fsb:
            self.GINTR_STA |= 1 << timer.number
        elif timer.has("INT_ENB_CNF") and fsb and self.message is not None:
            fields = HpetTimer.FSB_ROUTE.decode(timer.FSB_ROUTE)
            self.message(Msi(fields["FSB_INT_ADDR"], fields["FSB_INT_VAL"]))
        elif timer.has("INT_ENB_CNF") and (line := self.line_of(timer)) is not None:
            self.held.add(line)
            line.set(True)
        self.settle()

    def settle(self) -> None:
        """Drive every line to what the level-triggered timers want of it; edges end here."""
        wanted = {self.line_of(timer) for timer in self.timers if self._asserts(timer)} - {None}
        for line in self.held - wanted:
            line.set(False)
        self.held = {line for line in wanted if line is not None}
        for line in self.held:
            line.set(True)

    def write_GINTR_STA(self, old: int, new: int) -> None:
        """A status bit cleared lets its line fall."""
        self.settle()

    def line_of(self, timer: HpetTimer) -> IrqLine | None:
        """The wire of a timer; with `LEG_RT_CNF` timers 0 and 1 have IRQ 0 and IRQ 8 (2.3.5)."""
        if timer.number < 2 and Hpet.GEN_CONF.LEG_RT_CNF.get(self.GEN_CONF):
            return self.legacy[timer.number]
        return self.lines.get(timer.route)

    def _asserts(self, timer: HpetTimer) -> bool:
        level = timer.has("INT_TYPE_CNF") and not timer.has("FSB_EN_CNF")
        if not level:
            self.GINTR_STA &= ~(1 << timer.number)
        status = self.GINTR_STA >> timer.number & 1
        return self.running and level and timer.has("INT_ENB_CNF") and bool(status)

    def reset(self) -> None:
        """As after power-on: halted at 0, all lines low."""
        super().reset()
        for timer in self.timers:
            timer.reset()
        self.settle()


def _ich_lines() -> dict[int, IrqLine]:
    """The four inputs that Intel's chip sets offer every timer."""
    return {number: IrqLine(f"hpet gsi {number}") for number in (20, 21, 22, 23)}
