"""The MC146818A: a clock that costs nothing while nobody looks.

The idea: nothing ticks. The bytes say what time it was at `settled`, and whoever looks makes them
say what it is now. Between, the chip asks the virtual clock for a call only if an interrupt is
enabled whose flag is clear. After that call its line is up, and it asks for no other until the
guest has read register C. So no rate and no alarm can flood the host.

    register C      PF  AF  UF        set by time, cleared by reading
    register B      PIE AIE UIE       the line is up while a flag and its enable are both set

Time is counted from `origin`: every tap of the divider has an edge there. A second ends at each
whole second from there, and with it an update: the bytes move, UF is set, and AF on a match.

        ...---------------[  UIP: tBUC + tUC  ]|----------- ...      | the second ends

Source: MC146818A data sheet, "Update Cycle", "Interrupts", "Divider Stages", "Registers". Left out:
the square-wave pin (SQWE only reads back), daylight saving (DSE likewise). The values of the bytes
during an update are undefined there; here they are the old ones.
"""

from __future__ import annotations

from datetime import datetime

from virtlab.clock import MICROSECOND, SECOND, Clock, Timer
from virtlab.devices.rtc.calendar import Moment, until_alarm
from virtlab.devices.rtc.registers import (
    ALARM_REGISTERS,
    CMOS_BYTES,
    DATA,
    DIVIDER_32KHZ,
    FLAGS,
    INDEX,
    REGISTERS,
    A,
    B,
    C,
    D,
    rate,
)
from virtlab.interrupts import IrqLine
from virtlab.registers import Reg
from virtlab.wire import all_ones

T_BUC = 244 * MICROSECOND
"""How long before an update UIP rises, at least (ns, table 6)."""

T_UC = 1984 * MICROSECOND
"""How long an update takes with a crystal of 32.768 kHz (ns, table 6)."""

START = datetime(2000, 1, 1)


class Mc146818:
    """The clock: a device of two ports. `irq` is its IRQ pin, which a PC has at IRQ 8.

    `start` is the time at power-on. `cmos` are all its bytes, (128,), by index: a board fills the
    RAM from 0Eh on. `nmi_masked` is bit 7 of port 70h, which belongs to the board.
    """

    def __init__(
        self, irq: IrqLine | None = None, clock: Clock | None = None, start: datetime = START
    ) -> None:
        self.irq = irq if irq is not None else IrqLine("rtc")
        self.clock = clock if clock is not None else Clock()
        self.index = 0
        self.nmi_masked = False
        self.cmos = bytearray(CMOS_BYTES)
        for reg in (A, B, D):
            self._put(reg, reg.reset)
        self.settled = self.clock.now
        self.origin = self.clock.now - start.microsecond * MICROSECOND
        self._call: Timer | None = None
        Moment.of(start).put(self.cmos, B.reset)

    def reset(self) -> None:
        """The RESET pin: no interrupts, no flags. Time, formats and RAM stay (Register B, C)."""
        self._settle()
        kept = ~(B.PIE.mask | B.AIE.mask | B.UIE.mask | B.SQWE.mask)
        self._put(B, self._get(B) & kept)
        self._put(C, 0)
        self._update()

    # -- the ports

    def read(self, offset: int, size: int) -> int:
        """DATA: the byte that INDEX names. INDEX cannot be read: all ones."""
        if offset & 1 != DATA.offset:
            return all_ones(1)
        self._settle()
        match self.index:
            case A.offset:
                return A.UIP.put(self._get(A), self.update_in_progress)
            case C.offset:
                value = self._flags()
                self._put(C, 0)
                self._update()
                return value
            case index:
                return self.cmos[index]

    def write(self, offset: int, size: int, value: int) -> None:
        """INDEX, or the byte that it names. C and D ignore it."""
        if offset & 1 != DATA.offset:
            self.index = INDEX.ADDRESS.get(value)
            self.nmi_masked = bool(INDEX.NMI_MASK.get(value))
            return
        self._settle()
        match self.index:
            case A.offset:
                self._write_a(value & A.rw)
            case B.offset:
                self._write_b(value & B.rw)
            case C.offset | D.offset:
                pass
            case index:
                self.cmos[index] = value & all_ones(1)
        self._update()

    def peek(self) -> dict[str, int]:
        """Every register by name, as it stands now, with no side effect."""
        self._settle()
        values = {reg.name: self._get(reg) for reg in REGISTERS}
        values[A.name] = A.UIP.put(values[A.name], self.update_in_progress)
        values[C.name] = self._flags()
        return values | {INDEX.name: INDEX.NMI_MASK.put(self.index, self.nmi_masked)}

    def _write_a(self, new: int) -> None:
        """The divider begins half a second before its first update ("Register A", DV)."""
        was = self.running
        self._put(A, new)
        if self.running and not was:
            self.origin = self.clock.now - SECOND // 2

    def _write_b(self, new: int) -> None:
        """SET going up clears UIE ("Register B", UIE)."""
        if B.SET.get(new):
            new = B.UIE.put(new, 0)
        self._put(B, new)

    # -- time

    @property
    def running(self) -> bool:
        """Whether the divider runs: DV names a time base."""
        return A.DV.get(self._get(A)) <= DIVIDER_32KHZ

    @property
    def updating(self) -> bool:
        """Whether seconds move the time: SET holds them off."""
        return self.running and not B.SET.get(self._get(B))

    @property
    def update_in_progress(self) -> bool:
        """UIP: an update is under way, or begins within `T_BUC`."""
        return self.updating and self._edge(1) - self.clock.now <= T_BUC + T_UC

    def _edges(self, when: int, hertz: int) -> int:
        """How many edges a tap of the divider has had since `origin`, at time `when`."""
        return (when - self.origin) * hertz // SECOND

    def _edge(self, hertz: int) -> int:
        """When that tap has its next edge (ns)."""
        following = self._edges(self.clock.now, hertz) + 1
        return self.origin - -following * SECOND // hertz

    def _settle(self) -> None:
        """Let the bytes and flags say what time has made of them since `settled`."""
        since, self.settled = self.settled, self.clock.now
        if not self.running:
            return
        hertz = rate(self._get(A))
        if self._edges(self.settled, hertz) > self._edges(since, hertz):
            self._put(C, self._get(C) | C.PF.mask)
        seconds = self._edges(self.settled, 1) - self._edges(since, 1)
        if seconds and self.updating:
            due = self._until_alarm()
            matched = due is not None and due <= seconds
            happened = C.UF.mask | C.AF.put(0, matched)
            self._put(C, self._get(C) | happened)
            self._moment().later(seconds).put(self.cmos, self._get(B))

    def _until_alarm(self) -> int | None:
        hours, minutes, seconds = (self._get(reg) for reg in ALARM_REGISTERS)
        return until_alarm(self._moment().later(0), (hours, minutes, seconds), self._get(B))

    # -- the interrupt

    def _flags(self) -> int:
        """Register C: the flags, and IRQF while one of them is enabled."""
        flags = self._get(C) & FLAGS
        return C.IRQF.put(flags, bool(flags & self._get(B)))

    def _update(self) -> None:
        """Drive the line, and ask for a call when the next enabled flag will be set."""
        self.irq.set(bool(C.IRQF.get(self._flags())))
        due = None if self.irq.level else min(self._due(), default=None)
        if self._call is not None and self._call.when != due:
            self._call.cancel()
            self._call = None
        if self._call is None and due is not None:
            self._call = self.clock.after(due - self.clock.now, self._fire)

    def _due(self) -> list[int]:
        """When each enabled interrupt comes (ns)."""
        enabled, found = self._get(B), []
        hertz = rate(self._get(A))
        if self.running and hertz and B.PIE.get(enabled):
            found.append(self._edge(hertz))
        if self.updating and B.UIE.get(enabled):
            found.append(self._edge(1))
        if self.updating and B.AIE.get(enabled) and (seconds := self._until_alarm()) is not None:
            found.append(self._edge(1) + (seconds - 1) * SECOND)
        return found

    def _fire(self) -> None:
        self._call = None
        self._settle()
        self._update()

    # -- the bytes

    def _get(self, reg: Reg) -> int:
        return self.cmos[reg.offset]

    def _put(self, reg: Reg, value: int) -> None:
        self.cmos[reg.offset] = value

    def _moment(self) -> Moment:
        return Moment.in_bytes(self.cmos, self._get(B))

    def __repr__(self) -> str:
        moment = self._moment()
        return f"Mc146818({moment.year}-{moment.month:02}-{moment.date:02}, irq {self.irq.level})"
