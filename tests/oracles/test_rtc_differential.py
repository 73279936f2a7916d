"""Our MC146818A against QEMU's: random accesses, every answer compared, while time stands still.

The random run sets the time as a driver does, and only to dates that exist: where bytes are wrong,
or formats change under a running clock, the two differ on purpose. Tests of their own show these,
and what time itself does; each has both answers and the clause.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.needs import needs_qemu, require
from tests.oracles.differential import Access, ask, explain, run_both, tell
from virtlab.bus import AddressSpace
from virtlab.clock import MICROSECOND, SECOND, Clock
from virtlab.devices.hpet import BASE as HPET
from virtlab.devices.hpet import Hpet
from virtlab.devices.rtc import (
    ALARM_REGISTERS,
    CENTURY,
    CMOS_BYTES,
    DAY_OF_WEEK,
    FIRST_RAM,
    SECONDS,
    SECONDS_ALARM,
    T_BUC,
    T_UC,
    TIME_REGISTERS,
    A,
    B,
    C,
    D,
    Mc146818,
    Moment,
)
from virtlab.guest.rtc import RTC, RTC_IRQ, RtcDriver
from virtlab.hosts.python import BareCpu
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import IrqLine

ACCESSES = 20_000
START = datetime(2026, 1, 1)
INDEX, DATA = RTC, RTC + 1
PS2_CENTURY = 0x37
RAM = [n for n in range(FIRST_RAM, CMOS_BYTES) if n not in (CENTURY.offset, PS2_CENTURY)]
READABLE = [n for n in range(CMOS_BYTES) if n != PS2_CENTURY]
SET, DM, H24 = B.SET.mask, B.DM.mask, B.HOURS_24.mask
UIE, AIE, PIE = B.UIE.mask, B.AIE.mask, B.PIE.mask
STOPPED, RUNNING = 0x60, 0x20


def qemu(**options) -> QtestMachine:
    require("QEMU")
    extra = ["-rtc", f"base={START.isoformat()},clock=vm"]
    return QtestMachine(options.pop("machine", "pc"), extra, **options)


class Ours:
    """Our clock, with what QEMU's firmware tables put into the RAM of theirs."""

    def __init__(self, ram: bytes = b"") -> None:
        self.clock = Clock()
        self.irq = IrqLine("irq8")
        self.rtc = Mc146818(self.irq, self.clock, START)
        self.rtc.cmos[FIRST_RAM : FIRST_RAM + len(ram)] = ram
        self.ports = AddressSpace("port", 16, max_size=4)
        self.ports.map(RTC, 2, self.rtc)
        self.cpu = BareCpu(self.ports, AddressSpace("memory", 52), self.clock)


# -- random accesses


def get(index: int) -> list[Access]:
    return [tell(INDEX, index), ask(DATA)]


def put(index: int, value: int) -> list[Access]:
    return [tell(INDEX, index), tell(DATA, value)]


class Guest:
    """Makes random accesses. It knows the formats that it has chosen."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.b = H24

    def accesses(self, count: int) -> list[Access]:
        """`count` accesses, the same for a seed."""
        found = [access for index in READABLE for access in get(index)]
        while len(found) < count:
            found += self.gesture()
            for index in self.rng.choices([*READABLE[:FIRST_RAM], CENTURY.offset], k=3):
                found += get(index | self.rng.choice([0, 0x80]))
        return found

    def byte(self) -> int:
        return self.rng.randrange(256)

    def gesture(self) -> list[Access]:
        """One thing that a guest might do."""
        what = ("ram", "alarm", "rates", "enables", "set", "divider", "frozen", "fixed", "wide")
        match self.rng.choices(what, (4, 3, 3, 3, 4, 2, 1, 1, 2))[0]:
            case "ram":
                index = self.rng.choice(RAM)
                return put(index, self.byte()) + get(index)
            case "alarm":
                return put(self.rng.choice(ALARM_REGISTERS).offset, self.byte())
            case "rates":
                return put(A.offset, self.rng.randrange(0x30) | self.rng.choice([0, 0x80]))
            case "enables":
                return put(B.offset, self.enables())
            case "set":
                return [*self.set_time()]
            case "divider":
                return [*self.hold_divider()]
            case "frozen":
                looks = [access for reg in TIME_REGISTERS for access in get(reg.offset)]
                return put(A.offset, self.rng.randrange(0x30, 0x60)) + looks + put(A.offset, 0x26)
            case "fixed":
                return put(self.rng.choice([C, D]).offset, self.byte())
            case _:
                index = self.rng.choice(RAM)
                return [tell(INDEX, self.byte() << 8 | index, 2), ask(INDEX, 2), ask(DATA)]

    def enables(self) -> int:
        """Register B, with the formats as they are."""
        return self.byte() & ~(SET | DM | H24) | self.b

    def set_time(self) -> Iterator[Access]:
        """SET, other formats, any bytes, then a date; SET off."""
        self.b = self.rng.choice([0, DM]) | self.rng.choice([0, H24])
        yield from put(B.offset, self.enables() | SET)
        yield from get(B.offset)
        yield from self.any_bytes()
        yield from self.a_date()
        yield from put(B.offset, self.enables())

    def hold_divider(self) -> Iterator[Access]:
        """The divider in reset, any bytes, then a date; and on."""
        yield from put(A.offset, self.rng.randrange(STOPPED, 0x80))
        yield from self.any_bytes()
        yield from self.a_date()
        yield from put(A.offset, self.rng.randrange(0x30))

    def any_bytes(self) -> Iterator[Access]:
        for reg in self.rng.choices(TIME_REGISTERS, k=5):
            yield from put(reg.offset, self.byte())
            yield from get(self.rng.choice(TIME_REGISTERS).offset)
            yield from get(A.offset)

    def a_date(self) -> Iterator[Access]:
        when = datetime(1980, 1, 1) + timedelta(seconds=self.rng.randrange(220 * 365 * 86_400))
        cmos = bytearray(CMOS_BYTES)
        Moment.of(when).put(cmos, self.b)
        for reg in TIME_REGISTERS:
            yield from put(reg.offset, cmos[reg.offset])


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_random_accesses_get_the_same_answers(seed):
    with qemu(paused=True) as machine:
        ours = Ours(RtcDriver(machine).ram())
        pairs = run_both(
            machine, ours.ports, {RTC_IRQ: ours.irq}, Guest(seed).accesses(ACCESSES), ours.rtc.peek
        )
    explain(pairs)
    answers = [pair.ours for pair in pairs if not pair.access.write]
    assert len(answers) > ACCESSES / 4
    assert len(set(answers)) > 200


# -- while time stands still: each deviation by itself


def both(accesses: list[Access]) -> tuple[int, int]:
    """Our last answer and QEMU's to the same accesses."""
    ours = Ours()
    with qemu(paused=True) as machine:
        pairs = run_both(machine, ours.ports, {}, accesses)
    return pairs[-1].ours, pairs[-1].theirs


@needs_qemu
def test_deviation_qemu_computes_the_day_of_the_week_from_the_date():
    """Table 3: it is a byte that the program sets; an update moves it."""
    assert both(put(DAY_OF_WEEK.offset, 2) + get(DAY_OF_WEEK.offset)) == (2, 5)


@needs_qemu
def test_deviation_qemu_carries_a_wrong_byte_at_once():
    """Time, Calendar, and Alarm Locations: the program writes bytes; only an update moves them."""
    assert both(put(SECONDS.offset, 0x77) + get(SECONDS.offset)) == (0x77, 0x17)


@needs_qemu
def test_deviation_qemu_converts_the_bytes_when_the_format_changes():
    """Register B, DM and 24/12: cannot be changed without initializing the data bytes anew."""
    accesses = put(B.offset, SET | H24) + put(SECONDS.offset, 0x10) + put(B.offset, H24)
    accesses += put(B.offset, H24 | DM) + get(SECONDS.offset)
    assert both(accesses) == (0x10, 10)


@needs_qemu
def test_deviation_qemu_has_the_century_at_37h_too():
    """PC/AT Technical Reference: it is at 32h, and 37h is RAM. The PS/2 had it at 37h."""
    assert both(put(PS2_CENTURY, 0x21) + get(CENTURY.offset)) == (0x20, 0x21)


@needs_qemu
def test_deviation_qemus_reset_leaves_uie():
    """Register B: RESET clears PIE, AIE, UIE and SQWE."""
    ours = Ours()
    RtcDriver(ours.cpu).put(B, 0x7F)
    ours.rtc.reset()
    with qemu(paused=True) as machine:
        driver = RtcDriver(machine)
        driver.put(B, 0x7F)
        machine.qmp("system_reset")
        machine.settle()
        assert (RtcDriver(ours.cpu).get(B), driver.get(B)) == (0x07, 0x17)


# -- while time passes


@pytest.fixture
def running():
    with qemu(machine="pc,hpet=on") as machine:
        yield machine


POLLS = 60_000
"""Reads of C on QEMU before a test gives up: several seconds."""


def flags_after(driver: RtcDriver, flag: str) -> bool:
    """Whether `flag` comes on QEMU, within `POLLS`."""
    return driver.await_flag(flag, POLLS)


@needs_qemu
def test_the_first_update_comes_half_a_second_after_the_divider_reset(running):
    """Register A, DV: then the first update cycle begins."""
    driver = RtcDriver(running)
    running.store(HPET + Hpet.GEN_CONF.offset, 1, 4)
    driver.set_time(START)
    driver.acknowledge()
    begin = nanoseconds(running)
    assert flags_after(driver, "UF")
    assert SECOND * 4 // 10 < nanoseconds(running) - begin < SECOND * 9 // 10


@needs_qemu
def test_deviation_qemu_ends_updates_under_set(running):
    """Register B, SET: any update cycle is aborted. UF: set after each update cycle."""
    ours = Ours()
    for cpu in (ours.cpu, running):
        RtcDriver(cpu).put(B, SET | H24)
        RtcDriver(cpu).acknowledge()
    ours.clock.advance(10 * SECOND)
    assert RtcDriver(ours.cpu).acknowledge()["UF"] == 0
    assert flags_after(RtcDriver(running), "UF")


@needs_qemu
def test_deviation_qemu_has_no_periodic_flag_without_its_interrupt(running):
    """Register C, PF: set independently of PIE."""
    ours = Ours()
    for cpu in (ours.cpu, running):
        RtcDriver(cpu).put(A, RUNNING | 3)
        RtcDriver(cpu).acknowledge()
    ours.clock.advance(SECOND)
    assert RtcDriver(ours.cpu).acknowledge()["PF"] == 1
    assert not RtcDriver(running).await_flag("PF", 200)


@needs_qemu
def test_deviation_qemu_takes_a_wrong_alarm_byte_for_a_number(running):
    """Alarm: the bytes match those of the time. 1Ah is no BCD; QEMU makes it 20."""
    ours = Ours()
    for cpu in (ours.cpu, running):
        driver = RtcDriver(cpu)
        driver.set_alarm()
        driver.put(SECONDS_ALARM, 0x1A)
        driver.set_time(datetime(2026, 1, 1, 0, 0, 19))
        driver.acknowledge()
    ours.clock.advance(100 * SECOND)
    assert RtcDriver(ours.cpu).acknowledge()["AF"] == 0
    assert flags_after(RtcDriver(running), "AF")


@needs_qemu
def test_deviation_qemus_update_takes_no_time(running):
    """Table 6: UIP is up for 244 us before the update and 1984 us during it. QEMU: 244 us in all.

    A busy machine may stretch what QEMU shows, or hide it, so each of sixty seconds has a chance.
    """
    running.store(HPET + Hpet.GEN_CONF.offset, 1, 4)
    running.out(INDEX, A.offset)
    assert any(0 < uip_span(running) < T_UC for _ in range(60))
    ours = Ours()
    ours.clock.advance(SECOND - T_BUC - T_UC)
    assert A.UIP.get(RtcDriver(ours.cpu).get(A))


def uip_span(machine: QtestMachine) -> int:
    """Nanoseconds that UIP can have been up at most, in a second: from clear to clear around it.

    0 if it was not seen.
    """
    look = [Access(0, False, "memory", HPET + Hpet.MAIN_CNT.offset, 4, 0), ask(DATA)] * 400
    begin = before = nanoseconds(machine)
    seen = False
    while before - begin < SECOND + 100_000 * MICROSECOND:
        done = machine.pipeline(look)
        for count, a in zip(done[::2], done[1::2], strict=True):
            now = count.value * 10
            if A.UIP.get(a.value):
                seen = True
            elif seen:
                return now - before
            else:
                before = now
    return 0


def nanoseconds(machine: QtestMachine) -> int:
    """QEMU's virtual time, from its HPET: 10 ns a tick, 42 s a round."""
    return machine.load(HPET + Hpet.MAIN_CNT.offset, 4) * 10
