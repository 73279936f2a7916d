"""One timer of the HPET: a comparator, what a match does to it, and when the next one is due.

The rule that keeps it simple: a timer has at most one call waiting at the clock, `alarm`, and every
write that could move the next match asks for it anew. `COMP` as stored is the value written last,
which is the period; what a read gives is `comparator`.

Source: IA-PC HPET specification 1.0a, 2.3.8 to 2.3.10. `MODE32_CNF` is the field that it spells
Tn_32MODE_CNF.
"""

from __future__ import annotations

from typing import Protocol

from virtlab.clock import MICROSECOND, Clock, Timer
from virtlab.registers import Reg, RegisterFile, masked
from virtlab.wire import Bits, all_ones

TICK = 10
"""Nanoseconds a tick of the main counter: 100 MHz."""

FIRST_TIMER, TIMER_STRIDE = 0x100, 0x20
"""Where timer 0 begins in the block, and the bytes from one timer to the next."""

MIN_INTERVAL = 10 * MICROSECOND
"""Virtual ns between two interrupts of one timer, at least."""


class Block(Protocol):
    """What a timer needs of the block around it."""

    clock: Clock

    @property
    def running(self) -> bool:
        """Whether the main counter runs."""

    @property
    def counter(self) -> int:
        """The main counter now."""

    def until(self, ticks: int) -> int:
        """Nanoseconds from now until `ticks` more have been counted."""

    def interrupt(self, timer: HpetTimer) -> None:
        """This timer matched."""

    def settle(self) -> None:
        """Drive every line to what the timers want of it."""


class HpetTimer(RegisterFile):
    """Timer `number` of `hpet`. `routes` has a bit for each interrupt input it can drive."""

    length = TIMER_STRIDE
    CONF = Reg(
        0x00,
        8,
        rw=0x7F4E,
        reset=0x30,
        fields={
            "INT_TYPE_CNF": Bits(1),
            "INT_ENB_CNF": Bits(2),
            "TYPE_CNF": Bits(3),
            "PER_INT_CAP": Bits(4),
            "SIZE_CAP": Bits(5),
            "VAL_SET_CNF": Bits(6),
            "MODE32_CNF": Bits(8),
            "INT_ROUTE_CNF": Bits(13, 9),
            "FSB_EN_CNF": Bits(14),
            "FSB_INT_DEL_CAP": Bits(15),
            "INT_ROUTE_CAP": Bits(63, 32),
        },
        spec="HPET 1.0a 2.3.8",
        doc="What the timer does, where its interrupt goes, and what it is able to do.",
    )
    COMP = Reg(
        0x08,
        8,
        reset=all_ones(8),
        rw=all_ones(8),
        spec="HPET 1.0a 2.3.9",
        doc="Reads give the comparator; the value written last is the period.",
    )
    FSB_ROUTE = Reg(
        0x10,
        8,
        rw=all_ones(8),
        fields={"FSB_INT_VAL": Bits(31, 0), "FSB_INT_ADDR": Bits(63, 32)},
        spec="HPET 1.0a 2.3.10",
        doc="The message that replaces the wire: value and address.",
    )

    def __init__(self, hpet: Block, number: int, routes: int, fsb: bool) -> None:
        super().__init__()
        self.hpet = hpet
        self.number = number
        self.capabilities = self.CONF
        self.capabilities = HpetTimer.CONF.INT_ROUTE_CAP.put(self.capabilities, routes)
        self.capabilities = HpetTimer.CONF.FSB_INT_DEL_CAP.put(self.capabilities, fsb)
        self.alarm: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """As after power-on: disarmed, the comparator all ones."""
        super().reset()
        self.disarm()
        self.CONF = self.capabilities
        self.comparator = self.COMP

    def has(self, field: str) -> bool:
        """Whether a one-bit field of `CONF` is set."""
        return bool(HpetTimer.CONF.fields[field].get(self.CONF))

    @property
    def span(self) -> int:
        """How many ticks the compared part of the counter counts before it is 0 again."""
        return 1 << (32 if self.has("MODE32_CNF") else 64)

    @property
    def route(self) -> int:
        """The interrupt input that the timer is routed to."""
        return HpetTimer.CONF.INT_ROUTE_CNF.get(self.CONF)

    # -- registers

    def write_CONF(self, old: int, new: int) -> None:
        """Refuse what the timer cannot do, then let the change show.

        A route that is not in `INT_ROUTE_CAP` does not read back (2.3.8).
        """
        field = HpetTimer.CONF.INT_ROUTE_CNF
        if not HpetTimer.CONF.INT_ROUTE_CAP.get(new) >> field.get(new) & 1:
            new = field.put(new, field.get(old))
        if not HpetTimer.CONF.FSB_INT_DEL_CAP.get(new):
            new = HpetTimer.CONF.FSB_EN_CNF.put(new, 0)
        self.CONF = new
        self.COMP %= self.span
        self.comparator %= self.span
        self.arm()
        self.hpet.settle()

    def read_COMP(self) -> int:
        """The number that the counter is compared with; in periodic mode it moves (2.3.9)."""
        return self.comparator

    def write_COMP(self, old: int, new: int) -> None:
        """One-shot: the comparator. Periodic: the period, and, after VAL_SET_CNF, both."""
        self.COMP = new % self.span
        if not self.has("TYPE_CNF") or self.has("VAL_SET_CNF"):
            self.comparator = masked(self.comparator, new, self.lanes, 0) % self.span
        self.CONF = HpetTimer.CONF.VAL_SET_CNF.put(self.CONF, 0)
        self.arm()

    # -- time

    def arm(self) -> None:
        """Ask the clock for a call at the next match, if the counter runs."""
        self.disarm()
        if self.hpet.running:
            ticks = (self.comparator - self.hpet.counter) % self.span or self.span
            self.alarm = self.hpet.clock.after(self.hpet.until(ticks), self._match)

    def disarm(self) -> None:
        """Forget the next match."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _match(self) -> None:
        """The counter reached the comparator, or, where matches are too close, passed it."""
        if self.has("TYPE_CNF") and self.COMP:
            behind = (self.hpet.counter - self.comparator) % self.span
            steps = behind // self.COMP + 1
            self.comparator = (self.comparator + steps * self.COMP) % self.span
        ticks = (self.comparator - self.hpet.counter) % self.span or self.span
        delay = max(MIN_INTERVAL, self.hpet.until(ticks))
        self.alarm = self.hpet.clock.after(delay, self._match)
        self.hpet.interrupt(self)
