"""The registers of an I/O APIC: three in memory, and behind them as many as it has inputs.

    00 IOREGSEL  which          -->   00 ID   01 version   02 arbitration
    10 IOWIN     the register         10 11 entry 0   12 13 entry 1   ...   3E 3F entry 23
    40 EOI       ends a vector

    an entry   63    56 55       17   16  15  14  13  12  11 10  8 7      0
              +--------+-----------+----+---+---+---+---+---+-----+--------+
              |  dest  |     0     |mask|TM |RIR|pol|sta|DM |mode | vector |
              +--------+-----------+----+---+---+---+---+---+-----+--------+

The idea: an entry is a message that is not yet sent. In the format of a remapping unit bits 63:48
are a handle and the format bit, and land in the same bits of the message's address.

Source: Intel 82093AA data sheet (290566), 3.1, 3.2; the EOI register and version 20h: Intel ICH9
data sheet, 13.5. The remappable entry: VT-d 3.0, 5.1.5.1.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits, all_ones

BASE = 0xFEC0_0000
"""Where a PC has the first one (gpa)."""

PINS = 24
"""Inputs."""

ID_INDEX, VERSION_INDEX, ARBITRATION_INDEX, FIRST_ENTRY = 0x00, 0x01, 0x02, 0x10
"""What `IOREGSEL` chooses. An entry takes two: its low half, then its high half."""

VERSION = 0x20
"""The one that has an EOI register."""

ID_BITS = Bits(27, 24)
"""Of the registers ID and arbitration."""

ENTRY = {
    "VECTOR": Bits(7, 0),
    "MODE": Bits(10, 8),
    "LOGICAL": Bits(11),
    "STATUS": Bits(12),  # sending: never seen here
    "POLARITY": Bits(13),
    "REMOTE_IRR": Bits(14),  # a level-triggered message was sent, and no EOI came yet
    "LEVEL": Bits(15),
    "MASK": Bits(16),
    "ADDRESS": Bits(63, 48),  # bits 19:4 of the message's address
    "DESTINATION": Bits(63, 56),
}
"""Fields of an entry of the redirection table."""

READ_ONLY = ENTRY["STATUS"].mask | ENTRY["REMOTE_IRR"].mask

WRITABLE = all_ones(8) & ~READ_ONLY & ~Bits(47, 17).mask
"""Bits of an entry that a write sets."""


class IoApicRegisters(RegisterFile):
    """What is in memory. `IoApic` is made of them."""

    length = 0x1000

    # fmt: off
    IOREGSEL = Reg(0x00, 4, rw=0xFF, spec="82093AA 3.1.1", fields={"INDEX": Bits(7, 0)},
                   doc="Which register IOWIN is.")
    IOWIN = Reg(0x10, 4, rw=all_ones(4), spec="82093AA 3.1.2", doc="That register, 32 bits.")
    EOI = Reg(0x40, 4, rw=0xFF, access="w", spec="ICH9 13.5.1", fields={"VECTOR": Bits(7, 0)},
              doc="The interrupts of this vector have ended.")
    # fmt: on
