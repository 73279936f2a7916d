"""The real-time clock: bytes, updates, flags, interrupts. MC146818A data sheet."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.bus import AddressSpace
from virtlab.clock import MICROSECOND, MILLISECOND, SECOND, Clock
from virtlab.devices.rtc import REGISTERS, T_BUC, T_UC, Mc146818, Moment, decode, rate
from virtlab.interrupts import IrqLine

SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM = range(6)
DAY_OF_WEEK, DATE, MONTH, YEAR, A, B, C, D = range(6, 14)
CENTURY = 0x32
SET, PIE, AIE, UIE, SQWE, DM, H24, DSE = (1 << n for n in range(7, -1, -1))
IRQF, PF, AF, UF = (1 << n for n in range(7, 3, -1))
UIP, STOPPED, RUNNING = 0x80, 0x60, 0x20
BASE = 0x70
NEW_YEAR = datetime(2026, 1, 1)
DAY = timedelta(days=1)


class Bench:
    """A clock at ports 70h and 71h, its virtual time, and every change of its line."""

    def __init__(self, start=NEW_YEAR):
        self.clock, self.edges = Clock(), []
        self.irq = IrqLine("irq8", lambda level: self.edges.append((self.clock.now, level)))
        self.rtc = Mc146818(self.irq, self.clock, start)
        self.ports = AddressSpace("port", 16, max_size=4)
        self.ports.map(BASE, 2, self.rtc, "rtc")

    def get(self, index):
        self.ports.write(BASE, 1, index)
        return self.ports.read(BASE + 1, 1)

    def set(self, index, value):
        self.ports.write(BASE, 1, index)
        self.ports.write(BASE + 1, 1, value)

    def time(self):
        """Century to seconds, as hexadecimal digits."""
        order = (CENTURY, YEAR, MONTH, DATE, HOURS, MINUTES, SECONDS)
        return " ".join(f"{self.get(index):02x}" for index in order)

    def raised(self):
        return [when for when, level in self.edges if level]


@pytest.fixture
def bench():
    return Bench()


# -- the ports


def test_power_on(bench):
    assert bench.time() == "20 26 01 01 00 00 00"
    assert [bench.get(n) for n in (DAY_OF_WEEK, A, B, C, D)] == [5, 0x26, 0x02, 0, 0x80]
    assert bench.get(0x0E) == 0


def test_the_index_cannot_be_read_and_its_bit_7_masks_the_nmi(bench):
    bench.set(0x8E, 0x5A)
    assert bench.rtc.nmi_masked
    assert bench.ports.read(BASE, 1) == 0xFF
    assert bench.get(0x0E) == 0x5A
    assert not bench.rtc.nmi_masked
    assert bench.ports.read(BASE, 2) == 0x5AFF


def test_114_bytes_are_ram(bench):
    ram = [n for n in range(0x0E, 0x80) if n != CENTURY]
    for n in ram:
        bench.set(n, n ^ 0xA5)
    bench.clock.advance(5 * SECOND)
    bench.rtc.reset()
    assert [bench.get(n) for n in ram] == [n ^ 0xA5 for n in ram]
    assert bench.rtc.cmos[0x7F] == 0xDA


@pytest.mark.parametrize("index", [C, D])
def test_c_and_d_cannot_be_written(bench, index):
    before = bench.get(index)
    bench.set(index, 0xFF)
    bench.set(index, 0x0F)
    assert bench.get(index) == before


def test_uip_cannot_be_written(bench):
    bench.set(A, 0xFF)
    assert bench.get(A) == 0x7F


def test_the_reset_pin_clears_enables_and_flags_and_nothing_else(bench):
    bench.set(B, PIE | AIE | UIE | SQWE | DM | H24 | DSE)
    bench.clock.advance(SECOND)
    assert bench.irq.level
    bench.rtc.reset()
    assert (bench.get(B), bench.get(C), bench.irq.level) == (DM | H24 | DSE, 0, False)
    assert bench.get(SECONDS) == 1
    assert bench.clock.next_event() is None


def test_peek_shows_now_and_changes_nothing(bench):
    bench.clock.advance(2 * SECOND - MILLISECOND)
    peeked = bench.rtc.peek()
    assert peeked == bench.rtc.peek()
    assert (peeked["SECONDS"], peeked["A"], peeked["C"]) == (1, 0x26 | UIP, PF | UF)
    assert peeked.keys() == {reg.name for reg in REGISTERS} | {"INDEX"}
    assert bench.get(C) == PF | UF
    assert repr(bench.rtc) == "Mc146818(2026-01-01, irq False)"


# -- the time


def test_seconds_become_minutes_hours_days_months_and_years():
    bench = Bench(datetime(1999, 12, 31, 23, 59, 58))
    bench.clock.advance(SECOND)
    assert bench.time() == "19 99 12 31 23 59 59"
    assert bench.get(DAY_OF_WEEK) == 6
    bench.clock.advance(SECOND)
    assert bench.time() == "20 00 01 01 00 00 00"
    assert bench.get(DAY_OF_WEEK) == 7


def test_a_start_within_a_second_ends_it_sooner():
    bench = Bench(datetime(2026, 1, 1, 0, 0, 0, 750_000))
    bench.clock.advance(SECOND // 4 - 1)
    assert bench.get(SECONDS) == 0
    bench.clock.advance(1)
    assert bench.get(SECONDS) == 1


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        (0, [0x58, 0x59, 0x91, 0x30]),
        (H24, [0x58, 0x59, 0x23, 0x30]),
        (DM, [58, 59, 0x8B, 30]),
        (DM | H24, [58, 59, 23, 30]),
    ],
)
def test_formats(bench, b, expected):
    """11:59:58 pm on the 30th, as table 3 writes it; and two seconds later."""
    bench.set(B, SET | b)
    for index, value in zip((SECONDS, MINUTES, HOURS, DATE), expected, strict=True):
        bench.set(index, value)
    bench.set(B, b)
    bench.clock.advance(SECOND)
    assert [bench.get(n) for n in (MINUTES, HOURS)] == expected[1:3]
    bench.clock.advance(SECOND)
    midnight = 0 if b & H24 else 12 if b & DM else 0x12
    date = 31 if b & DM else 0x31
    assert [bench.get(n) for n in (SECONDS, MINUTES, HOURS, DATE)] == [0, 0, midnight, date]


@pytest.mark.parametrize(
    ("hour", "byte"), [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)]
)
def test_twelve_hours(hour, byte):
    bench = Bench(datetime(2026, 1, 1, hour))
    bench.set(B, 0)
    bench.clock.advance(SECOND)
    bench.set(HOURS, byte)
    bench.clock.advance(SECOND)
    assert bench.get(HOURS) == byte


def test_set_stops_the_time_and_keeps_what_is_written(bench):
    bench.set(B, SET | H24)
    bench.set(SECONDS, 0x77)
    bench.clock.advance(10 * SECOND)
    assert (bench.get(SECONDS), bench.get(MINUTES)) == (0x77, 0)
    assert bench.get(C) & UF == 0


def test_the_divider_goes_on_under_set(bench):
    bench.clock.advance(SECOND // 4)
    bench.set(B, SET | H24)
    bench.clock.advance(10 * SECOND + SECOND // 2)
    bench.set(B, H24)
    bench.clock.advance(SECOND // 4)
    assert bench.get(SECONDS) == 1


@pytest.mark.parametrize("stopped", [0x30, 0x40, 0x50, 0x60, 0x70])
def test_the_first_update_comes_half_a_second_after_the_divider_reset(bench, stopped):
    bench.set(A, stopped)
    bench.clock.advance(10 * SECOND)
    assert (bench.get(SECONDS), bench.get(C)) == (0, 0)
    bench.set(A, RUNNING)
    bench.clock.advance(SECOND // 2 - 1)
    assert bench.get(SECONDS) == 0
    bench.clock.advance(1)
    assert (bench.get(SECONDS), bench.get(C)) == (1, UF)
    bench.clock.advance(SECOND)
    assert bench.get(SECONDS) == 2


def test_the_day_of_the_week_is_a_counter_of_its_own(bench):
    bench.set(DAY_OF_WEEK, 7)
    bench.clock.advance(24 * 3600 * SECOND)
    assert bench.get(DAY_OF_WEEK) == 1


def test_a_change_of_format_leaves_the_bytes_until_the_next_update(bench):
    bench.set(SECONDS, 0x59)
    bench.set(B, H24 | DM)
    assert bench.get(SECONDS) == 0x59


@given(st.datetimes(datetime(1980, 1, 1), datetime(2099, 12, 31)), st.integers(0, 10**9))
def test_it_counts_as_the_calendar_does(start, seconds):
    start = start.replace(microsecond=0)
    bench = Bench(start)
    bench.clock.advance(seconds * SECOND)
    then = start + timedelta(seconds=seconds)
    assert bench.time() == then.strftime("%C %y %m %d %H %M %S")
    assert bench.get(DAY_OF_WEEK) == then.isoweekday() % 7 + 1


@given(st.tuples(*[st.integers(0, 165)] * 6, st.integers(0, 16665)), st.integers(0, 10**14))
def test_any_bytes_make_a_moment_with_every_field_in_its_range(fields, seconds):
    moment = Moment(*fields).later(seconds)
    assert all(
        low <= value <= high
        for value, low, high in zip(
            moment[:6], (0, 0, 0, 1, 1, 1), (59, 59, 23, 7, 31, 12), strict=True
        )
    )
    assert moment.later(1).later(86_399) == moment.later(86_400)


def test_digits_that_are_none_count_on():
    assert [decode(byte, 0) for byte in (0x09, 0x0A, 0x1A, 0xFF)] == [9, 10, 20, 165]


# -- update in progress


def test_uip_is_up_before_and_during_an_update(bench):
    """Table 6: 244 us before, and 1984 us during it."""
    assert (T_BUC, T_UC) == (244 * MICROSECOND, 1984 * MICROSECOND)
    bench.clock.advance(SECOND - T_BUC - T_UC - 1)
    assert not bench.get(A) & UIP
    bench.clock.advance(1)
    assert bench.get(A) & UIP
    bench.clock.advance(T_BUC + T_UC - 1)
    assert bench.get(A) & UIP
    assert bench.get(SECONDS) == 0
    bench.clock.advance(1)
    assert not bench.get(A) & UIP
    assert bench.get(SECONDS) == 1


@pytest.mark.parametrize(("index", "value"), [(B, SET | H24), (A, STOPPED)])
def test_no_update_no_uip(bench, index, value):
    """SET inhibits any update cycle and then clears UIP."""
    bench.clock.advance(SECOND - MILLISECOND)
    assert bench.get(A) & UIP
    bench.set(index, value)
    assert not bench.get(A) & UIP
    bench.clock.advance(MILLISECOND)
    assert bench.get(SECONDS) == 0


# -- flags and interrupts


def test_nothing_is_asked_of_the_clock_while_nothing_is_enabled(bench):
    bench.set(A, 0x23)
    bench.clock.advance(1000 * SECOND)
    assert bench.clock.next_event() is None
    assert bench.get(C) == PF | UF


def test_flags_come_without_their_enables_and_reading_clears_them(bench):
    bench.clock.advance(24 * 3600 * SECOND)
    assert bench.get(C) == PF | AF | UF
    assert bench.get(C) == 0
    assert bench.edges == []


def test_the_update_ended_interrupt(bench):
    bench.set(B, H24 | UIE)
    bench.clock.advance(3 * SECOND)
    assert bench.edges == [(SECOND, True)]
    assert bench.get(C) == IRQF | PF | UF
    assert not bench.irq.level
    bench.clock.advance(SECOND)
    assert bench.raised() == [SECOND, 4 * SECOND]


def test_a_pending_interrupt_asks_nothing_of_the_clock(bench):
    """So the fastest rate cannot flood the host: there is one call for each read of C."""
    bench.set(A, 0x23)
    bench.set(B, H24 | PIE | UIE | AIE)
    bench.clock.advance(SECOND)
    assert bench.irq.level
    assert bench.clock.next_event() is None


def test_enabling_a_flag_that_is_set_interrupts_at_once(bench):
    bench.clock.advance(SECOND)
    bench.set(B, H24 | UIE)
    assert bench.irq.level
    bench.set(B, H24)
    assert not bench.irq.level
    assert bench.get(C) == PF | UF


def test_set_clears_uie(bench):
    bench.set(B, SET | UIE | H24)
    assert bench.get(B) == SET | H24


@pytest.mark.parametrize(
    ("a", "hertz"),
    [
        *[(0x20, 0), (0x21, 256), (0x22, 128), (0x23, 8192), (0x26, 1024), (0x2F, 2)],
        *[(0x01, 32768), (0x12, 16384), (0x0F, 2)],
    ],
)
def test_rates(a, hertz):
    assert rate(a) == hertz


@pytest.mark.parametrize(
    ("select", "hertz"), [(0x23, 8192), (0x26, 1024), (0x2D, 8), (0x01, 32768)]
)
def test_periodic_interrupts_come_at_the_edges_of_their_tap(bench, select, hertz):
    bench.set(A, select)
    bench.set(B, H24 | PIE)
    for n in range(1, 8):
        bench.clock.advance(-(-n * SECOND // hertz) - bench.clock.now)
        assert bench.get(C) & (IRQF | PF) == IRQF | PF
    assert bench.raised() == [-(-n * SECOND // hertz) for n in range(1, 8)]


def test_no_rate_no_periodic_interrupt(bench):
    bench.set(A, 0x20)
    bench.set(B, H24 | PIE)
    bench.clock.advance(SECOND)
    assert bench.get(C) == UF
    assert bench.clock.next_event() is None


def test_periodic_interrupts_come_under_set_and_not_in_divider_reset(bench):
    bench.set(B, SET | H24 | PIE)
    bench.clock.advance(SECOND)
    assert bench.get(C) == IRQF | PF
    bench.set(A, STOPPED | 6)
    bench.clock.advance(SECOND)
    assert (bench.get(C), bench.clock.next_event()) == (0, None)


def alarm(bench, hour, minute, second):
    bench.set(HOURS_ALARM, hour)
    bench.set(MINUTES_ALARM, minute)
    bench.set(SECONDS_ALARM, second)
    bench.set(B, bench.get(B) | AIE)


ANY = 0xC0


@pytest.mark.parametrize(
    ("hour", "minute", "second", "first", "next_"),
    [
        (0x08, 0x30, 0x15, timedelta(hours=8, minutes=30, seconds=15), DAY),
        (0x00, 0x00, 0x00, DAY, DAY),
        (ANY, 0x30, 0x15, timedelta(minutes=30, seconds=15), timedelta(hours=1)),
        (ANY, ANY, 0x15, timedelta(seconds=15), timedelta(minutes=1)),
        (ANY, ANY, 0x00, timedelta(minutes=1), timedelta(minutes=1)),
        (0xFF, 0xFF, 0xFF, timedelta(seconds=1), timedelta(seconds=1)),
        (0x08, ANY, 0x15, timedelta(hours=8, seconds=15), timedelta(minutes=1)),
        (0x08, ANY, ANY, timedelta(hours=8), timedelta(seconds=1)),
        (0x00, 0x00, ANY, timedelta(seconds=1), timedelta(seconds=1)),
    ],
)
def test_alarms(bench, hour, minute, second, first, next_):
    """The alarm is once a day; each byte from C0 on makes it once an hour, minute, second."""
    alarm(bench, hour, minute, second)
    moments = [first, first + next_]
    for moment in moments:
        bench.clock.advance(moment // timedelta(microseconds=1) * MICROSECOND - bench.clock.now)
        assert bench.get(C) & (IRQF | AF) == IRQF | AF
    assert [NEW_YEAR + timedelta(seconds=when // SECOND) for when in bench.raised()] == [
        NEW_YEAR + moment for moment in moments
    ]


def test_an_alarm_in_12_hours(bench):
    bench.set(B, SET)
    bench.set(HOURS, 0x11)
    bench.set(B, 0)
    alarm(bench, 0x92, 0, 0)
    bench.clock.advance(2 * 3600 * SECOND)
    assert bench.raised() == [3600 * SECOND]


@pytest.mark.parametrize("byte", [0x1A, 0x60, 0xBF])
def test_an_alarm_that_is_no_time_never_comes(bench, byte):
    alarm(bench, ANY, ANY, byte)
    bench.clock.advance(3 * 24 * 3600 * SECOND)
    assert bench.edges == []
    assert bench.get(C) == PF | UF


def test_no_alarm_under_set(bench):
    alarm(bench, ANY, ANY, ANY)
    bench.set(B, SET | AIE | H24)
    bench.clock.advance(5 * SECOND)
    assert bench.edges == []


@settings(max_examples=30)
@given(
    st.integers(0, 86_399),
    st.tuples(*[st.one_of(st.none(), st.integers(0, high)) for high in (23, 59, 59)]),
    st.sampled_from([0, H24, DM, DM | H24]),
)
def test_the_alarm_comes_at_the_next_second_that_matches(start, wanted, b):
    """As a search through the day's seconds finds it."""
    begin = NEW_YEAR + timedelta(seconds=start)
    bench = Bench(begin)
    bench.set(B, SET | b)
    Moment.of(begin).put(bench.rtc.cmos, b)
    bytes_of = bytearray(128)
    Moment(wanted[2] or 0, wanted[1] or 0, wanted[0] or 0, 1, 1, 1, 2026).put(bytes_of, b)
    for index, at, value in zip(
        (HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM), (HOURS, MINUTES, SECONDS), wanted, strict=True
    ):
        bench.set(index, 0xFF if value is None else bytes_of[at])
    bench.set(B, b | AIE)
    days_seconds = (
        (n // 3600 % 24, n // 60 % 60, n % 60) for n in range(start + 1, start + 86_401)
    )
    match = next(
        n
        for n, then in enumerate(days_seconds, 1)
        if all(value in (None, now) for value, now in zip(wanted, then, strict=True))
    )
    assert bench.clock.next_event() == match * SECOND


@given(st.lists(st.integers(1, 3 * SECOND), max_size=12), st.integers(0, 15))
def test_looking_more_often_changes_nothing(delays, select):
    """The bytes and flags are the same, whether somebody looked in between or not."""
    often, once = Bench(), Bench()
    for bench in (often, once):
        bench.set(A, RUNNING | select)
        alarm(bench, ANY, ANY, 0x07)
    for delay in delays:
        often.clock.advance(delay)
        often.rtc.peek()
    once.clock.advance(sum(delays))
    assert often.rtc.peek() == once.rtc.peek()
    assert often.edges == once.edges


# -- a hostile guest

steps = st.lists(
    st.tuples(
        st.sampled_from(["r", "w", "i", "t"]),
        st.integers(0, 3),
        st.sampled_from([1, 2, 4]),
        st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0, 0x0D)),
    ),
    max_size=60,
)


@given(steps)
def test_no_access_raises_out_of_the_bus_or_hangs(steps):
    bench = Bench()
    for verb, offset, size, value in steps:
        match verb:
            case "r":
                assert 0 <= bench.ports.read(BASE + offset, size) < 1 << 8 * size
            case "w":
                bench.ports.write(BASE + offset, size, value)
            case "i":
                bench.set(value & 0x7F if value & 0x80 else value & 0x0F, value >> 8 & 0xFF)
            case "t":
                bench.clock.advance(value << (value & 15))
    bench.clock.advance(100 * SECOND)


@given(st.integers(-16, 40), st.integers(-1, 40), st.integers())
def test_called_directly_it_takes_any_offset_and_size(offset, size, value):
    rtc = Mc146818()
    rtc.write(offset, size, value)
    rtc.write(1, size, value)
    assert rtc.read(offset, size) >= 0


def test_every_register_names_its_clause():
    assert all(reg.spec.startswith(("MC146818A ", "PC/AT TR")) for reg in REGISTERS)
