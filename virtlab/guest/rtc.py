"""A driver for the real-time clock: read the time safely, set it, and be woken.

    clock = RtcDriver(cpu)
    clock.set_time(datetime(2026, 1, 1, 12))
    print(clock.now())
    clock.start_periodic(1024)          # IRQ 8, until each `acknowledge`

The idea: the time is eight bytes that may move between two reads. The data sheet offers UIP: while
it is 0 there are 244 us in which nothing moves. An interrupted guest may need longer than that, so
the driver also reads everything twice, until both say the same.

The rule that keeps it simple: the driver obeys the formats that it finds in register B, binary or
BCD, 12 or 24 hours. No loop is without a bound: after its polls it gives up with `RtcTimeout`.

Source: MC146818A data sheet, "Update Cycle", "Interrupts". The order in which the time is set is
the one that Linux uses. The registers are the device's own declarations.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time

from virtlab.cpu import Cpu
from virtlab.devices.rtc import (
    CMOS_BYTES,
    DATA,
    DIVIDER_32KHZ,
    DIVIDER_RESET,
    FIRST_RAM,
    HOURS_ALARM,
    INDEX,
    MINUTES_ALARM,
    SECONDS_ALARM,
    TIME_REGISTERS,
    A,
    B,
    C,
    D,
    Moment,
    encode,
    encode_hour,
    rate,
)
from virtlab.registers import Reg

RTC = 0x70
"""The first of the two ports."""

RTC_IRQ = 8

MAX_POLLS = 2000
"""Polls of a register before the driver goes on: 2.9 ms of ISA cycles. UIP is up for 2.3 ms."""

MAX_READINGS = 10
"""Readings of the time before two of them must agree."""

ANY = 0xFF
"""An alarm byte that matches everything, as the BIOS writes it."""


class RtcTimeout(TimeoutError):
    """The clock did not stand still for long enough to be read."""


class RtcDriver:
    """The clock at `port`, through `cpu`.

    `mask_nmi` is bit 7 of every index that the driver writes: port 70h has it beside the index.
    """

    def __init__(self, cpu: Cpu, port: int = RTC, mask_nmi: bool = False) -> None:
        self.cpu = cpu
        self.port = port
        self.mask_nmi = mask_nmi

    # -- bytes

    def get(self, reg: Reg) -> int:
        """The byte of a register."""
        return self.get_byte(reg.offset)

    def put(self, reg: Reg, value: int) -> None:
        """Write the byte of a register."""
        self.put_byte(reg.offset, value)

    def get_byte(self, index: int) -> int:
        """The byte at `index`, 0 to 127."""
        self._select(index)
        return self.cpu.inp(self.port + DATA.offset)

    def put_byte(self, index: int, value: int) -> None:
        """Write the byte at `index`."""
        self._select(index)
        self.cpu.out(self.port + DATA.offset, value)

    def _select(self, index: int) -> None:
        if not 0 <= index < CMOS_BYTES:
            raise ValueError(f"the clock has bytes 0 to {CMOS_BYTES - 1}, not {index}")
        self.cpu.out(self.port + INDEX.offset, INDEX.NMI_MASK.put(index, self.mask_nmi))

    def ram(self) -> bytes:
        """The 114 bytes of RAM, from index 0Eh."""
        return bytes(self.get_byte(index) for index in range(FIRST_RAM, CMOS_BYTES))

    @property
    def battery(self) -> bool:
        """Whether RAM and time are valid: the battery has held (VRT)."""
        return bool(D.VRT.get(self.get(D)))

    # -- the time

    def now(self) -> datetime:
        """The time. `RtcTimeout` if it never stands still; `ValueError` if it is no date."""
        before = self._reading()
        for _ in range(MAX_READINGS):
            after = self._reading()
            if after == before:
                return _as_datetime(after)
            before = after
        raise RtcTimeout(f"no two of {MAX_READINGS} readings agree")

    def _reading(self) -> Moment:
        """The time, read once, after UIP was 0.

        UIP may stay up: virtual time need not pass while a guest polls. Then two readings that
        agree must be enough.
        """
        self._poll(lambda: not A.UIP.get(self.get(A)))
        cmos = bytearray(CMOS_BYTES)
        for reg in TIME_REGISTERS:
            cmos[reg.offset] = self.get(reg)
        return Moment.in_bytes(cmos, self.get(B))

    def set_time(self, when: datetime) -> None:
        """Set the time to the whole second of `when`. The next second begins half a second later.

        SET holds updates off; the divider stands in reset until the bytes are written.
        """
        a, b = self.get(A), self.get(B)
        self.put(B, b | B.SET.mask)
        self.put(A, A.DV.put(a, DIVIDER_RESET))
        cmos = bytearray(CMOS_BYTES)
        Moment.of(when).put(cmos, b)
        for reg in TIME_REGISTERS:
            self.put(reg, cmos[reg.offset])
        self.put(B, B.SET.put(b, 0))
        self.put(A, A.DV.put(a, DIVIDER_32KHZ))

    def set_format(self, binary: bool, hours_24: bool = True) -> None:
        """Choose how the bytes say the time, and write the time anew, as the chip demands."""
        when = self.now()
        self.put(B, B.HOURS_24.put(B.DM.put(self.get(B), binary), hours_24))
        self.set_time(when)

    # -- interrupts

    def start_periodic(self, hertz: int) -> None:
        """Interrupt `hertz` times a second: a power of two, 2 to 8192."""
        selects = {rate(A.DV.put(n, DIVIDER_32KHZ)): n for n in range(1, 16)}
        if hertz not in selects:
            raise ValueError(f"a rate is a power of two from 2 to 8192, not {hertz}")
        self.put(A, A.RS.put(self.get(A), selects[hertz]))
        self.put(B, self.get(B) | B.PIE.mask)

    def stop_periodic(self) -> None:
        """No more periodic interrupts."""
        self.put(B, self.get(B) & ~B.PIE.mask)

    def set_alarm(
        self, hour: int | None = None, minute: int | None = None, second: int | None = None
    ) -> None:
        """Interrupt whenever the time is so; None matches every hour, minute or second.

        `ValueError` for what is no time of day.
        """
        b = self.get(B)
        when = time(hour or 0, minute or 0, second or 0)
        self.put(B, b & ~B.AIE.mask)
        self.put(HOURS_ALARM, ANY if hour is None else encode_hour(when.hour, b))
        self.put(MINUTES_ALARM, ANY if minute is None else encode(when.minute, b))
        self.put(SECONDS_ALARM, ANY if second is None else encode(when.second, b))
        self.acknowledge()
        self.put(B, b | B.AIE.mask)

    def cancel_alarm(self) -> None:
        """No more alarm interrupts. Alarm bytes stay."""
        self.put(B, self.get(B) & ~B.AIE.mask)

    def tell_updates(self, wanted: bool = True) -> None:
        """Interrupt at the end of every update, or no longer."""
        self.put(B, B.UIE.put(self.get(B), wanted))

    def acknowledge(self) -> dict[str, int]:
        """Read register C, which clears it and lets the line fall: UF, AF, PF, IRQF."""
        return C.decode(self.get(C))

    def await_flag(self, flag: str, polls: int = MAX_POLLS) -> bool:
        """Poll register C until `flag` (`"UF"`, `"AF"`, `"PF"`) is set; whether it came."""
        return self._poll(lambda: bool(self.acknowledge()[flag]), polls)

    def _poll(self, ready: Callable[[], bool], polls: int = MAX_POLLS) -> bool:
        return any(ready() for _ in range(polls))


def _as_datetime(moment: Moment) -> datetime:
    return datetime(
        moment.year, moment.month, moment.date, moment.hour, moment.minute, moment.second
    )
