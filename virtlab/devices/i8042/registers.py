"""The registers of the keyboard controller, and the table that turns scan-code set 2 into set 1.

Two ports are all that a guest sees. The command byte and the output port stand behind commands:
20h reads the one and 60h writes it, D0h and D1h do the same for the other.

IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
"""

from __future__ import annotations

from virtlab.registers import Reg
from virtlab.wire import Bits

DATA_PORT, COMMAND_PORT = 0, 4
"""Offsets of the two ports from 60h. What lies between is not the controller's."""

SPEC = "PS/2 HITR, Keyboard and Auxiliary Device Controller"
"""IBM PS/2 Hardware Interface Technical Reference: the chapter that all of these follow."""

# fmt: off
OUTPUT_BUFFER = Reg(DATA_PORT, 1, spec=SPEC, name="OUTPUT_BUFFER", access="r",
                    doc="A byte of the keyboard, the mouse or the controller.")
INPUT_BUFFER = Reg(DATA_PORT, 1, spec=SPEC, name="INPUT_BUFFER", access="w",
                   doc="A byte for the keyboard, or what the last command asks for.")
STATUS = Reg(COMMAND_PORT, 1, spec=SPEC, name="STATUS", access="r", reset=0x18, fields={
    "OBF": Bits(0), "IBF": Bits(1), "SYS": Bits(2), "A2": Bits(3), "INH": Bits(4),
    "AUXB": Bits(5), "TO": Bits(6), "PERR": Bits(7)},
    doc="Output buffer full, input buffer full, self-test passed, last write was a command, not "
        "inhibited, output buffer holds the mouse's byte, timeout, parity error.")
COMMAND = Reg(COMMAND_PORT, 1, spec=SPEC, name="COMMAND", access="w", doc="A controller command.")
COMMAND_BYTE = Reg(0, 1, spec=SPEC, name="COMMAND_BYTE", rw=0xFF, reset=0x03,
    when="controller RAM, byte 0",
    fields={"INT": Bits(0), "INT2": Bits(1), "SYS": Bits(2), "OVERRIDE": Bits(3),
            "DISABLE": Bits(4), "DISABLE2": Bits(5), "XLATE": Bits(6)},
    doc="Interrupts, plugs, translation; 2 is the mouse.")
OUTPUT_PORT = Reg(0, 1, spec=SPEC, name="OUTPUT_PORT", rw=0xCF, reset=0xCF, when="commands D0, D1",
    fields={"NO_RESET": Bits(0), "A20": Bits(1), "OBF": Bits(4), "AUXB": Bits(5)},
    doc="The wires to the board.")
# fmt: on

REGISTERS = (OUTPUT_BUFFER, INPUT_BUFFER, STATUS, COMMAND, COMMAND_BYTE, OUTPUT_PORT)

SELF_TEST_PASSED = 0x55
NO_PASSWORD = 0xF1
INPUT_PORT = 0x80
"""What C0 answers: bit 7, the key lock is open."""

TRANSLATION = bytes.fromhex(
    "ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59"
    "65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b"
    "67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d"
    "69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f"
    "6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61"
    "6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76"
    "55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f"
    "52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54"
    "80 81 82 41 54"
) + bytes(range(0x85, 0x100))
"""Set 2 to set 1, by the byte of set 2 (256 bytes). From 85 on a byte stays what it is."""
