"""The PC's keyboard controller, and the keyboard and the mouse at its two plugs.

Three machines, each with a processor of its own, speak bytes to each other:

    guest <- ports 60h, 64h -> I8042 <- clock and data wire -> Ps2Keyboard
                                     <- clock and data wire -> Ps2Mouse

`keys`        names of keys and their scan codes: one table for the keyboard and for the driver
`link`        what a keyboard and a mouse have in common: they send bytes, and take bytes
`keyboard`    commands and scan codes        `mouse`   commands and packets
`registers`   the controller's, and its table from set 2 to set 1
`controller`  the 8042: two ports, one output buffer, translation
`port92`      the second way to the A20 gate and to the reset line
"""

from virtlab.devices.i8042.controller import I8042
from virtlab.devices.i8042.keyboard import Ps2Keyboard
from virtlab.devices.i8042.mouse import Ps2Mouse
from virtlab.devices.i8042.port92 import Port92
from virtlab.devices.i8042.registers import REGISTERS

__all__ = ["I8042", "REGISTERS", "Port92", "Ps2Keyboard", "Ps2Mouse"]
