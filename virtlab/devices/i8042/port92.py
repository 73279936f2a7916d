"""System control port A (port 92h): a fast way to the A20 gate and to the reset line.

          7    6      5 .. 2       1         0
        +---------+-----------+----------+--------+
        | LIGHTS  |     0     | ALT_GATE | RESET  |
        +---------+-----------+----------+--------+

The keyboard controller has both wires too, but takes a millisecond. A 0 to 1 step of RESET pulses
the processor's reset; the bit stays set. The gate of a PC is open when either side opens it.

IBM PS/2 Hardware Interface Technical Reference, "System Control Port A". Left out: the watchdog's
status and the lock of the password, bits 4 and 3.
"""

from __future__ import annotations

from virtlab.interrupts import IrqLine
from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits


class Port92(RegisterFile):
    """The port. `a20` follows ALT_GATE, `reset_line` pulses when RESET is set."""

    CONTROL = Reg(
        0,
        1,
        rw=0xC3,
        spec="System Control Port A",
        fields={"RESET": Bits(0), "ALT_GATE": Bits(1), "LIGHTS": Bits(7, 6)},
        doc="A20 gate and fast reset.",
    )

    def __init__(self, a20: IrqLine | None = None, reset_line: IrqLine | None = None) -> None:
        super().__init__()
        self.a20 = a20 if a20 is not None else IrqLine("a20")
        self.reset_line = reset_line if reset_line is not None else IrqLine("reset")

    def write_CONTROL(self, old: int, new: int) -> None:
        """Drive the two wires."""
        control = Port92.CONTROL
        self.a20.set(bool(control.ALT_GATE.get(new)))
        if control.RESET.get(new) and not control.RESET.get(old):
            self.reset_line.pulse()


REGISTERS = Port92.registers
