"""The bytes of the real-time clock, and the two ports that lead to them.

    port 70h   write  INDEX: which byte; bit 7 masks the NMI        read  nothing answers
    port 71h   DATA: that byte

    00h  SECONDS        04h  HOURS          08h  MONTH      0Ch  C, cleared by reading
    01h  SECONDS_ALARM  05h  HOURS_ALARM    09h  YEAR       0Dh  D
    02h  MINUTES        06h  DAY_OF_WEEK    0Ah  A          0Eh  RAM up to 7Fh, and in it
    03h  MINUTES_ALARM  07h  DATE           0Bh  B          32h  CENTURY

The flags of C stand at the same bits as their enables in B, so one AND says what interrupts.

Source: Motorola MC146818A data sheet, "Address Map", tables 3 to 6, "Registers". The chip has 50
bytes of RAM; a PC has 114, and keeps the century in one of them (IBM PC/AT Technical Reference).
"""

from __future__ import annotations

from virtlab.registers import Reg
from virtlab.wire import Bits

CMOS_BYTES = 128
"""Bytes that INDEX can name."""

FIRST_RAM = 0x0E
"""The first byte that is RAM."""

# fmt: off
INDEX = Reg(0, 1, name="INDEX", access="w", rw=0xFF, spec="PC/AT TR, Real-Time Clock/CMOS RAM",
            fields={"ADDRESS": Bits(6, 0), "NMI_MASK": Bits(7)},
            doc="Which byte DATA is; bit 7 masks the NMI.")
DATA = Reg(1, 1, name="DATA", spec="PC/AT TR, Real-Time Clock/CMOS RAM", rw=0xFF,
           doc="The byte that INDEX names.")

SECONDS = Reg(0x00, 1, name="SECONDS", rw=0xFF, spec="MC146818A table 3", doc="0 to 59.")
SECONDS_ALARM = Reg(0x01, 1, name="SECONDS_ALARM", rw=0xFF, spec="MC146818A table 3",
                    doc="0 to 59, or don't care.")
MINUTES = Reg(0x02, 1, name="MINUTES", rw=0xFF, spec="MC146818A table 3", doc="0 to 59.")
MINUTES_ALARM = Reg(0x03, 1, name="MINUTES_ALARM", rw=0xFF, spec="MC146818A table 3",
                    doc="0 to 59, or don't care.")
HOURS = Reg(0x04, 1, name="HOURS", rw=0xFF, spec="MC146818A table 3",
            fields={"HOUR": Bits(6, 0), "PM": Bits(7)},
            doc="0 to 23; or 1 to 12, with bit 7 for PM.")
HOURS_ALARM = Reg(0x05, 1, name="HOURS_ALARM", rw=0xFF, spec="MC146818A table 3",
                  doc="As HOURS, or don't care.")
DAY_OF_WEEK = Reg(0x06, 1, name="DAY_OF_WEEK", rw=0xFF, spec="MC146818A table 3",
                  doc="1 to 7; Sunday is 1.")
DATE = Reg(0x07, 1, name="DATE", rw=0xFF, spec="MC146818A table 3", doc="1 to 31.")
MONTH = Reg(0x08, 1, name="MONTH", rw=0xFF, spec="MC146818A table 3", doc="1 to 12.")
YEAR = Reg(0x09, 1, name="YEAR", rw=0xFF, spec="MC146818A table 3", doc="0 to 99.")
A = Reg(0x0A, 1, name="A", reset=0x26, rw=0x7F, spec="MC146818A Register A",
        fields={"RS": Bits(3, 0), "DV": Bits(6, 4), "UIP": Bits(7)},
        doc="Periodic rate, divider, update in progress.")
B = Reg(0x0B, 1, name="B", reset=0x02, rw=0xFF, spec="MC146818A Register B",
        fields={"DSE": Bits(0), "HOURS_24": Bits(1), "DM": Bits(2), "SQWE": Bits(3),
                "UIE": Bits(4), "AIE": Bits(5), "PIE": Bits(6), "SET": Bits(7)},
        doc="Formats, interrupt enables, and SET, which holds the updates off.")
C = Reg(0x0C, 1, name="C", access="r", spec="MC146818A Register C",
        fields={"UF": Bits(4), "AF": Bits(5), "PF": Bits(6), "IRQF": Bits(7)},
        doc="What happened since it was last read: update ended, alarm, periodic.")
D = Reg(0x0D, 1, name="D", access="r", reset=0x80, spec="MC146818A Register D",
        fields={"VRT": Bits(7)}, doc="Valid RAM and time: the battery held.")
CENTURY = Reg(0x32, 1, name="CENTURY", rw=0xFF, spec="PC/AT TR, Real-Time Clock/CMOS RAM, 32h",
              doc="The upper two digits of the year.")
# fmt: on

TIME_REGISTERS = (SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DATE, MONTH, YEAR, CENTURY)
"""The bytes that an update moves."""

ALARM_REGISTERS = (HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM)

REGISTERS = (
    *(SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM),
    *(DAY_OF_WEEK, DATE, MONTH, YEAR, A, B, C, D, CENTURY),
)
"""All bytes with a name, by index."""

DONT_CARE = 0xC0
"""An alarm byte from here on matches every value ("Time, Calendar, and Alarm Locations")."""

FLAGS = C.UF.mask | C.AF.mask | C.PF.mask

DIVIDER_32KHZ = 0b010
"""DV: the time base is a crystal of 32.768 kHz, as in every PC. 0 and 1 are the faster ones."""

DIVIDER_RESET = 0b110
"""DV: the divider is held in reset. Here every value above `DIVIDER_32KHZ` stops the clock."""


def rate(a: int) -> int:
    """How often a second the periodic interrupt comes with register A: 0 is never (table 5).

    >>> rate(0x26), rate(0x21), rate(0x2F), rate(0x20)
    (1024, 256, 2, 0)
    """
    select = A.RS.get(a)
    if select == 0:
        return 0
    if select <= 2 and A.DV.get(a) == DIVIDER_32KHZ:
        select += 7
    return 1 << 16 - select
