"""What the bytes of the clock mean, and what they become some seconds later.

The idea: a `Moment` is a time as plain numbers, whatever was in the bytes. Each field may be out
of range, because a guest may write anything; `later` carries it into the next field, as a counter
would. So no byte is an error, and a second and a year cost the same.

The rule that keeps it simple: these are functions of numbers. Nothing here has a state or a clock.

Source: MC146818A, "Time, Calendar, and Alarm Locations", table 3. The day of the week is a counter
of its own, as in the chip. Leap years are those of the Gregorian calendar, because a PC has a
century; the chip alone takes every fourth. Left out: daylight saving (DSE).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from virtlab.devices.rtc.registers import (
    CENTURY,
    DATE,
    DAY_OF_WEEK,
    DONT_CARE,
    HOURS,
    MINUTES,
    MONTH,
    SECONDS,
    YEAR,
    B,
)

PLAIN = (SECONDS, MINUTES, DAY_OF_WEEK, DATE, MONTH, YEAR, CENTURY)
"""The bytes of the time that are one number; HOURS has a bit for PM."""

DAY = 24 * 3600
CYCLE_YEARS = 400
CYCLE = 146_097 * DAY
"""Seconds in 400 years: then the calendar begins anew, on the same day of the week."""


class Moment(NamedTuple):
    """A time. `weekday` is 1 on Sunday; `year` has its century."""

    second: int
    minute: int
    hour: int
    weekday: int
    date: int
    month: int
    year: int

    @classmethod
    def of(cls, when: datetime) -> Moment:
        """The whole second of `when`."""
        weekday = when.isoweekday() % 7 + 1
        return cls(when.second, when.minute, when.hour, weekday, when.day, when.month, when.year)

    @classmethod
    def in_bytes(cls, cmos: bytes | bytearray, b: int) -> Moment:
        """The time that the bytes of the clock say, in the formats of register B."""
        second, minute, weekday, date, month, year, century = (
            decode(cmos[reg.offset], b) for reg in PLAIN
        )
        hour = decode_hour(cmos[HOURS.offset], b)
        return cls(second, minute, hour, weekday, date, month, century * 100 + year)

    def put(self, cmos: bytearray, b: int) -> None:
        """Write this time into the bytes of the clock, in the formats of register B."""
        year, century = self.year % 100, self.year // 100 % 100
        numbers = (self.second, self.minute, self.weekday, self.date, self.month, year, century)
        for reg, number in zip(PLAIN, numbers, strict=True):
            cmos[reg.offset] = encode(number, b)
        cmos[HOURS.offset] = encode_hour(self.hour, b)

    @property
    def of_day(self) -> int:
        """Seconds since midnight."""
        return (self.hour * 60 + self.minute) * 60 + self.second

    def later(self, seconds: int) -> Moment:
        """This time and `seconds` more, every field in its range.

        >>> Moment(59, 59, 23, 7, 28, 2, 2024).later(1)
        Moment(second=0, minute=0, hour=0, weekday=1, date=29, month=2, year=2024)
        """
        cycles, seconds = divmod(seconds, CYCLE)
        years, month = divmod(self.month - 1, 12)
        whole, year = divmod(self.year + years, CYCLE_YEARS)
        first = datetime(2000 + year, month + 1, 1)
        then = first + timedelta(days=self.date - 1, seconds=self.of_day + seconds)
        midnights = (self.of_day + seconds) // DAY
        return Moment.of(then)._replace(
            weekday=(self.weekday - 1 + midnights) % 7 + 1,
            year=then.year - 2000 + CYCLE_YEARS * (whole + cycles),
        )


def encode(number: int, b: int) -> int:
    """The byte for `number` (0 to 99): binary with DM in register B, else two digits of BCD.

    >>> hex(encode(59, 0)), hex(encode(59, B.DM.mask))
    ('0x59', '0x3b')
    """
    return number if B.DM.get(b) else number // 10 << 4 | number % 10


def decode(byte: int, b: int) -> int:
    """The number in a byte. A digit above 9 counts on: 1Ah is 20 in BCD."""
    return byte if B.DM.get(b) else (byte >> 4) * 10 + (byte & 0x0F)


def encode_hour(hour: int, b: int) -> int:
    """The byte for an hour of 0 to 23; with 12 hours, midnight is 12 AM and noon is 12 PM.

    >>> hex(encode_hour(0, 0)), hex(encode_hour(13, 0)), hex(encode_hour(13, B.HOURS_24.mask))
    ('0x12', '0x81', '0x13')
    """
    if B.HOURS_24.get(b):
        return encode(hour, b)
    return HOURS.PM.put(encode(hour % 12 or 12, b), hour >= 12)


def decode_hour(byte: int, b: int) -> int:
    """The hour in a byte."""
    if B.HOURS_24.get(b):
        return decode(byte, b)
    return decode(HOURS.HOUR.get(byte), b) % 12 + 12 * HOURS.PM.get(byte)


def until_alarm(now: Moment, alarm: tuple[int, int, int], b: int) -> int | None:
    """Seconds from `now`, at least 1, until a time whose bytes are those of `alarm`.

    `alarm` is hours, minutes, seconds, as bytes. None if no time has such bytes. A field that does
    not care is at the next match what it is now, one more, or 0.
    """
    hours, minutes, seconds = alarm
    matches = [
        (hour * 60 + minute) * 60 + second
        for hour in _matching(hours, [encode_hour(n, b) for n in range(24)], now.hour)
        for minute in _matching(minutes, [encode(n, b) for n in range(60)], now.minute)
        for second in _matching(seconds, [encode(n, b) for n in range(60)], now.second)
    ]
    return min(((match - now.of_day - 1) % DAY + 1 for match in matches), default=None)


def _matching(alarm: int, codes: list[int], now: int) -> set[int]:
    """The values that an alarm byte matches, as far as the next match can have them."""
    if alarm >= DONT_CARE:
        return {0, now % len(codes), (now + 1) % len(codes)}
    return {codes.index(alarm)} if alarm in codes else set()
