"""A driver for the HPET: read the time, and be woken later.

The idea: the specification has two safe ways to read a 64-bit counter that runs. One is a 64-bit
load. A 32-bit guest reads the upper half, the lower, and the upper again, until the upper stood
still. This driver does the second, which works everywhere.

The register offsets and fields are the device's own declarations.

Source: IA-PC HPET specification 1.0a, 2.3 (registers), 2.4 (how software uses them). Left out: the
ACPI table that says where the block is; it is passed in.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.devices.hpet import BASE, FIRST_TIMER, TIMER_STRIDE, Hpet, HpetTimer
from virtlab.registers import Reg

MAX_PERIOD_FS = 100_000_000
"""A tick is never longer than 100 ns (2.3.4)."""

FS_PER_NS = 1_000_000

CONF = HpetTimer.CONF


class HpetDriver:
    """The timer block at `base` (gpa), through `cpu`."""

    def __init__(self, cpu: Cpu, base: int = BASE) -> None:
        self.cpu = cpu
        self.base = base

    def detect(self) -> bool:
        """Whether an HPET is there: a vendor that is not all ones, and a possible period."""
        vendor = Hpet.GCAP_ID.VENDOR_ID.get(self.cpu.load(self.base, 4))
        return vendor not in (0, 0xFFFF) and 0 < self.period_fs() <= MAX_PERIOD_FS

    def period_fs(self) -> int:
        """Femtoseconds a tick."""
        return self.cpu.load(self.base + Hpet.GCAP_ID.offset + 4, 4)

    def timers(self) -> int:
        """How many timers the block has."""
        return Hpet.GCAP_ID.NUM_TIM_CAP.get(self.cpu.load(self.base, 4)) + 1

    # -- the counter

    def start(self, legacy: bool = False) -> None:
        """Let the counter run; with `legacy`, timers 0 and 1 take over IRQ 0 and IRQ 8."""
        self._general(Hpet.GEN_CONF, 1 | legacy << 1)

    def stop(self) -> None:
        """Halt the counter. No timer interrupts."""
        self._general(Hpet.GEN_CONF, 0)

    def ticks(self) -> int:
        """The main counter, 64 bits."""
        at = self.base + Hpet.MAIN_CNT.offset
        upper, lower = self.cpu.load(at + 4, 4), self.cpu.load(at, 4)
        if self.cpu.load(at + 4, 4) != upper:
            upper, lower = self.cpu.load(at + 4, 4), self.cpu.load(at, 4)
        return upper << 32 | lower

    def nanoseconds(self) -> int:
        """The main counter as time since it was 0."""
        return self.ticks() * self.period_fs() // FS_PER_NS

    # -- timers

    def one_shot(self, timer: int, delay: int, route: int = 0, level: bool = False) -> None:
        """Interrupt `delay` ns from now, at input `route` of the I/O APIC.

        The timer compares 32 bits, so unless it is silenced it matches again when the counter has
        gone round, 43 s later at 10 ns a tick.
        """
        self._set(timer, CONF, self._configuration(route, level))
        self._set(timer, HpetTimer.COMP, self.ticks() + self._in_ticks(delay))

    def periodic(self, timer: int, period: int, route: int = 0, level: bool = False) -> None:
        """Interrupt every `period` ns, first after one period.

        The comparator is written twice: after VAL_SET_CNF it is the first match, then the period.
        """
        step = self._in_ticks(period)
        periodic = CONF.TYPE_CNF.mask | CONF.VAL_SET_CNF.mask
        self._set(timer, CONF, self._configuration(route, level) | periodic)
        self._set(timer, HpetTimer.COMP, self.ticks() + step)
        self._set(timer, HpetTimer.COMP, step)

    def silence(self, timer: int) -> None:
        """No more interrupts from this timer."""
        self._set(timer, CONF, 0)

    def pending(self) -> int:
        """The timers that hold a level-triggered line up, a bit each."""
        return self.cpu.load(self.base + Hpet.GINTR_STA.offset, 4)

    def acknowledge(self, timer: int) -> None:
        """Let a level-triggered line fall."""
        self._general(Hpet.GINTR_STA, 1 << timer)

    def _configuration(self, route: int, level: bool) -> int:
        word = CONF.INT_ENB_CNF.mask | CONF.MODE32_CNF.mask
        word = CONF.INT_TYPE_CNF.put(word, level)
        return CONF.INT_ROUTE_CNF.put(word, route)

    def _in_ticks(self, delay: int) -> int:
        return max(1, delay * FS_PER_NS // self.period_fs())

    def _general(self, reg: Reg, value: int) -> None:
        self.cpu.store(self.base + reg.offset, value, 4)

    def _set(self, timer: int, reg: Reg, value: int) -> None:
        self.cpu.store(
            self.base + FIRST_TIMER + TIMER_STRIDE * timer + reg.offset, value & 0xFFFFFFFF, 4
        )
