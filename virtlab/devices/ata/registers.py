"""The registers through which a PC asks its disk, those of the bus master, and the commands.

    offset  command block          control block                      bus master
            read      write        read              write
      0     DATA, 16 bits          ALTERNATE_STATUS  DEVICE_CONTROL   BMICOM
      1     ERROR     FEATURES
      2     SECTOR_COUNT                                              BMISTA
      3-5   LBA_LOW  LBA_MID  LBA_HIGH
      4                                                               BMIDTP, 32 bits
      6     DEVICE
      7     STATUS    COMMAND

Registers 1 to 5 are two bytes deep: a write pushes what was there before one place back. That is
how 48 bits of address fit through ports made for 28, and HOB lets the older bytes be read.

Source: ATA/ATAPI-6 (T13/1410D), "Register definitions and descriptions"; names are its own. Fields
of CHS addressing, which it made obsolete, are ATA-5's. Programming Interface for Bus Master IDE
Controller 1.0, 1.2 and 2.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, u16, u32

COMMAND_BLOCK, CONTROL_BLOCK, BUS_MASTER = 8, 1, 8
"""Ports of a channel's three blocks."""

# fmt: off
DATA = Reg(0, 2, name="DATA", spec="ATA-6 Data register",
           doc="The next word of the sector in transfer.")
ERROR = Reg(1, 1, reset=0x01, name="ERROR", access="r", spec="ATA-6 Error register",
            fields={"ABRT": Bits(2), "IDNF": Bits(4), "UNC": Bits(6), "ICRC": Bits(7)},
            doc="Why the last command failed; after a reset, what the self-test found.")
FEATURES = Reg(1, 1, rw=0xFF, name="FEATURES", access="w", spec="ATA-6 Features register",
               doc="A parameter of the command.")
SECTOR_COUNT = Reg(2, 1, reset=0x01, rw=0xFF, name="SECTOR_COUNT",
                   spec="ATA-6 Sector Count register",
                   doc="How many sectors; 0 stands for the most.")
LBA_LOW = Reg(3, 1, reset=0x01, rw=0xFF, name="LBA_LOW", spec="ATA-6 LBA Low register",
              doc="Address bits 7 to 0, or the sector in its track, from 1.")
LBA_MID = Reg(4, 1, rw=0xFF, name="LBA_MID", spec="ATA-6 LBA Mid register",
              doc="Address bits 15 to 8, or the low byte of the cylinder.")
LBA_HIGH = Reg(5, 1, rw=0xFF, name="LBA_HIGH", spec="ATA-6 LBA High register",
               doc="Address bits 23 to 16, or the high byte of the cylinder.")
DEVICE = Reg(6, 1, reset=0xA0, rw=0x5F, name="DEVICE", spec="ATA-6 Device register",
             fields={"HEAD": Bits(3, 0), "DEV": Bits(4), "LBA": Bits(6)},
             doc="Which of two drives; address bits 27 to 24 or the head; LBA or CHS.")
STATUS = Reg(7, 1, reset=0x50, name="STATUS", access="r", spec="ATA-6 Status register",
             fields={"ERR": Bits(0), "DRQ": Bits(3), "DSC": Bits(4), "DF": Bits(5),
                     "DRDY": Bits(6), "BSY": Bits(7)},
             doc="Busy, ready, wants data, failed. Reading it takes the interrupt back.")
COMMAND = Reg(7, 1, rw=0xFF, name="COMMAND", access="w", spec="ATA-6 Command register",
              doc="What to do. Writing it starts the command.")
ALTERNATE_STATUS = Reg(0, 1, reset=0x50, name="ALTERNATE_STATUS", access="r",
                       spec="ATA-6 Alternate Status register", fields=STATUS.fields,
                       doc="STATUS once more; reading it here takes no interrupt back.")
DEVICE_CONTROL = Reg(0, 1, rw=0x86, name="DEVICE_CONTROL", access="w",
                     spec="ATA-6 Device Control register",
                     fields={"NIEN": Bits(1), "SRST": Bits(2), "HOB": Bits(7)},
                     doc="No interrupts, software reset, read the older bytes.")
# fmt: on

REGISTERS = (
    DATA,
    ERROR,
    FEATURES,
    SECTOR_COUNT,
    LBA_LOW,
    LBA_MID,
    LBA_HIGH,
    DEVICE,
    STATUS,
    COMMAND,
)
"""The command block."""

CONTROL_REGISTERS = (ALTERNATE_STATUS, DEVICE_CONTROL)
"""The control block."""

BSY, DRDY, DSC, DRQ, ERR = (
    field.mask for field in (STATUS.BSY, STATUS.DRDY, STATUS.DSC, STATUS.DRQ, STATUS.ERR)
)
"""Status bits as masks."""

ABRT, IDNF = ERROR.ABRT.mask, ERROR.IDNF.mask
"""Error bits as masks."""

OBSOLETE_ONES = DEVICE.reset
"""DEVICE bits 7 and 5, which read as 1 since the first drives."""

PASSED = 0x01
"""The diagnostic code in ERROR: device 0 passed, device 1 passed or is not there."""


class Command(IntEnum):
    """The command codes that this drive knows; any other one is aborted."""

    RECALIBRATE = 0x10
    READ_SECTORS = 0x20
    READ_SECTORS_EXT = 0x24
    READ_DMA_EXT = 0x25
    READ_MULTIPLE_EXT = 0x29
    WRITE_SECTORS = 0x30
    WRITE_SECTORS_EXT = 0x34
    WRITE_DMA_EXT = 0x35
    WRITE_MULTIPLE_EXT = 0x39
    READ_VERIFY_SECTORS = 0x40
    READ_VERIFY_SECTORS_EXT = 0x42
    SEEK = 0x70
    EXECUTE_DEVICE_DIAGNOSTIC = 0x90
    INITIALIZE_DEVICE_PARAMETERS = 0x91
    READ_MULTIPLE = 0xC4
    WRITE_MULTIPLE = 0xC5
    SET_MULTIPLE_MODE = 0xC6
    READ_DMA = 0xC8
    WRITE_DMA = 0xCA
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    STANDBY = 0xE2
    IDLE = 0xE3
    CHECK_POWER_MODE = 0xE5
    SLEEP = 0xE6
    FLUSH_CACHE = 0xE7
    FLUSH_CACHE_EXT = 0xEA
    IDENTIFY_DEVICE = 0xEC
    SET_FEATURES = 0xEF


EXTENDED = frozenset(code for code in Command if code.name.endswith("_EXT"))
"""The commands with a 48-bit address and a 16-bit count."""


class Feature(IntEnum):
    """What SET FEATURES can change: the value of FEATURES (ATA-6, SET FEATURES)."""

    WRITE_CACHE_ON = 0x02
    TRANSFER_MODE = 0x03
    WRITE_CACHE_OFF = 0x82
    KEEP_ON_RESET = 0x66
    REVERT_ON_RESET = 0xCC


class Mode(IntEnum):
    """Kinds of transfer mode: bits 7 to 3 of SECTOR_COUNT (ATA-6, SET FEATURES, table of modes)."""

    PIO_DEFAULT = 0
    PIO = 1
    SINGLE_WORD_DMA = 2
    MULTIWORD_DMA = 4
    ULTRA_DMA = 8


FASTEST = {
    Mode.PIO_DEFAULT: 1,
    Mode.PIO: 4,
    Mode.SINGLE_WORD_DMA: 2,
    Mode.MULTIWORD_DMA: 2,
    Mode.ULTRA_DMA: 5,
}
"""The highest mode number that this drive has of each kind, as IDENTIFY DEVICE says."""


class Power(IntEnum):
    """Power modes, with CHECK POWER MODE's answer. Asleep, a drive answers nothing at all."""

    STANDBY = 0x00
    IDLE = 0x80
    ACTIVE = 0xFF
    SLEEP = -1


class BusMasterRegisters(RegisterFile):
    """The eight ports of a channel's bus master."""

    length = BUS_MASTER
    BMICOM = Reg(
        0,
        1,
        rw=0x09,
        fields={"START": Bits(0), "TO_MEMORY": Bits(3)},
        spec="Bus Master IDE 1.0 2.1",
        doc="Start and stop; the direction, as the bus master sees memory.",
    )
    BMISTA = Reg(
        2,
        1,
        rw=0x60,
        w1c=0x06,
        fields={
            "ACTIVE": Bits(0),
            "ERROR": Bits(1),
            "INTERRUPT": Bits(2),
            "DRIVE_0_DMA": Bits(5),
            "DRIVE_1_DMA": Bits(6),
            "SIMPLEX": Bits(7),
        },
        spec="Bus Master IDE 1.0 2.2",
        doc="Whether it runs, failed, and saw the drive's interrupt; notes from firmware.",
    )
    BMIDTP = Reg(
        4,
        4,
        rw=0xFFFF_FFFC,
        spec="Bus Master IDE 1.0 2.3",
        doc="Where the table of regions is, a multiple of 4.",
    )


PRD = np.dtype([("base", u32), ("count", u16), ("flags", u16)])
"""An entry of that table: a region of memory, `count` bytes from `base`. Both are even: bit 0 of
neither is there (Bus Master IDE 1.0, 1.2)."""

PRD_EOT = Bits(15)
"""Field of `flags`: the last entry."""

BOUNDARY = 1 << 16
"""Neither a region nor the table crosses a multiple of it; and a region whose count is 0 has it."""
