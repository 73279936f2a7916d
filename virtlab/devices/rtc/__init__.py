"""The real-time clock of a PC/AT: MC146818A, two ports and 128 bytes behind them.

`registers`  the bytes by name, and the rates of the periodic interrupt
`calendar`   what the bytes mean: BCD or binary, 12 or 24 hours, days and months, the alarm
`chip`       the clock itself: updates, flags, the interrupt
"""

from virtlab.devices.rtc.calendar import Moment, decode, decode_hour, encode, encode_hour
from virtlab.devices.rtc.chip import T_BUC, T_UC, Mc146818
from virtlab.devices.rtc.registers import (
    ALARM_REGISTERS,
    CENTURY,
    CMOS_BYTES,
    DATA,
    DATE,
    DAY_OF_WEEK,
    DIVIDER_32KHZ,
    DIVIDER_RESET,
    DONT_CARE,
    FIRST_RAM,
    HOURS,
    HOURS_ALARM,
    INDEX,
    MINUTES,
    MINUTES_ALARM,
    MONTH,
    REGISTERS,
    SECONDS,
    SECONDS_ALARM,
    TIME_REGISTERS,
    YEAR,
    A,
    B,
    C,
    D,
    rate,
)

__all__ = [
    "ALARM_REGISTERS",
    "CENTURY",
    "CMOS_BYTES",
    "DATA",
    "DATE",
    "DAY_OF_WEEK",
    "DIVIDER_32KHZ",
    "DIVIDER_RESET",
    "DONT_CARE",
    "FIRST_RAM",
    "HOURS",
    "HOURS_ALARM",
    "INDEX",
    "MINUTES",
    "MINUTES_ALARM",
    "MONTH",
    "REGISTERS",
    "SECONDS",
    "SECONDS_ALARM",
    "TIME_REGISTERS",
    "T_BUC",
    "T_UC",
    "YEAR",
    "A",
    "B",
    "C",
    "D",
    "Mc146818",
    "Moment",
    "decode",
    "decode_hour",
    "encode",
    "encode_hour",
    "rate",
]
