"""The words of an 8237A: 16 addresses, of which the lower half are the channels' counters.

    0, 2, 4, 6   ADDRESS of channel 0 to 3      1, 3, 5, 7   COUNT of channel 0 to 3
    8   write COMMAND      read STATUS          C   write CLEAR_FLIP_FLOP
    9   write REQUEST      read READ_MASK       D   write MASTER_CLEAR    read TEMPORARY
    A   write MASK                              E   write CLEAR_MASK
    B   write MODE                              F   write ALL_MASKS

A counter has 16 bits, and goes over the eight data lines in two halves, low byte first. One
flip-flop for the whole chip says which half is next.

Source: Intel 8237A data sheet (231466), "Register Description", "Software Commands", figures 5 to
7. It calls the other reads illegal. As in QEMU, address 9 reads the mask then, and the others 0.
"""

from __future__ import annotations

from enum import IntEnum

from virtlab.registers import Reg
from virtlab.wire import Bits

CHANNELS = 4
"""Channels of one chip."""


class Transfer(IntEnum):
    """MODE.TYPE: which way the bytes go ("Transfer Types")."""

    VERIFY = 0
    WRITE = 1
    READ = 2
    ILLEGAL = 3


class Mode(IntEnum):
    """MODE.MODE: how long a channel keeps the bus ("DMA Operation")."""

    DEMAND = 0
    SINGLE = 1
    BLOCK = 2
    CASCADE = 3


_CHANNEL = {"CHANNEL": Bits(1, 0)}

# fmt: off
ADDRESSES = tuple(
    Reg(2 * n, 1, name=f"ADDRESS{n}", rw=0xFF, spec="8237A Current Address Register",
        doc="Where the next transfer goes, 16 bits in two bytes.") for n in range(CHANNELS))
COUNTS = tuple(
    Reg(2 * n + 1, 1, name=f"COUNT{n}", rw=0xFF, spec="8237A Current Word Register",
        doc="Transfers to do, less one, 16 bits in two bytes.") for n in range(CHANNELS))
COMMAND = Reg(8, 1, name="COMMAND", access="w", rw=0xFF, spec="8237A Command Register",
              fields={"MEMORY_TO_MEMORY": Bits(0), "ADDRESS_HOLD": Bits(1), "DISABLE": Bits(2),
                      "COMPRESSED": Bits(3), "ROTATING": Bits(4), "EXTENDED_WRITE": Bits(5),
                      "DREQ_LOW": Bits(6), "DACK_HIGH": Bits(7)},
              doc="Disables the chip, rotates priorities; the rest is timing and wiring.")
STATUS = Reg(8, 1, name="STATUS", access="r", spec="8237A Status Register",
             fields={"TC": Bits(3, 0), "REQUEST": Bits(7, 4)},
             doc="Channels at terminal count, which reading clears; channels that request.")
REQUEST = Reg(9, 1, name="REQUEST", access="w", spec="8237A Request Register",
              fields=_CHANNEL | {"SET": Bits(2)}, doc="Software's request of one channel.")
READ_MASK = Reg(9, 1, name="READ_MASK", access="r", reset=0x0F, spec="8237A figure 6: illegal",
                doc="The four mask bits.")
MASK = Reg(10, 1, name="MASK", access="w", spec="8237A Mask Register",
           fields=_CHANNEL | {"SET": Bits(2)}, doc="Sets or clears the mask of one channel.")
MODE = Reg(11, 1, name="MODE", access="w", rw=0xFF, spec="8237A Mode Register",
           fields=_CHANNEL | {"TYPE": Bits(3, 2), "AUTO": Bits(4), "DOWN": Bits(5),
                              "MODE": Bits(7, 6)},
           doc="How one channel works: type, autoinitialization, direction, mode.")
CLEAR_FLIP_FLOP = Reg(12, 1, name="CLEAR_FLIP_FLOP", access="w", spec="8237A Software Commands",
                      doc="Any write: the low byte is next.")
TEMPORARY = Reg(13, 1, name="TEMPORARY", access="r", spec="8237A Temporary Register",
                doc="The last byte that went from memory to memory: none does here.")
MASTER_CLEAR = Reg(13, 1, name="MASTER_CLEAR", access="w", spec="8237A Software Commands",
                   doc="Any write: as the RESET pin.")
CLEAR_MASK = Reg(14, 1, name="CLEAR_MASK", access="w", spec="8237A Software Commands",
                 doc="Any write: no channel is masked.")
ALL_MASKS = Reg(15, 1, name="ALL_MASKS", access="w", spec="8237A Mask Register",
                fields={"MASKS": Bits(3, 0)}, doc="The masks of all four channels.")
# fmt: on

REGISTERS = (
    *(reg for pair in zip(ADDRESSES, COUNTS, strict=True) for reg in pair),
    *(COMMAND, STATUS, REQUEST, READ_MASK, MASK, MODE),
    *(CLEAR_FLIP_FLOP, TEMPORARY, MASTER_CLEAR, CLEAR_MASK, ALL_MASKS),
)
"""All of them, by address."""
