"""The outside world: what stands at the far end of a device.

A UART ends in a terminal, a disk controller in a disk, a network card in a wire with somebody at
the other end. These objects are that end. A lesson and a test *use* them (`terminal.type("ls")`,
`keyboard.press("A")`) and look at what they got.

The rule that keeps it simple: a backend knows no register and no bus. It calls its `listener`, or
is called by the device. What a guest can fill is bounded, and nothing here looks at the wall clock.
"""

from virtlab.backends.inputs import Keyboard, Mouse
from virtlab.backends.terminal import MAX_CAPTURE, ModemLines, Terminal

__all__ = ["MAX_CAPTURE", "Keyboard", "ModemLines", "Mouse", "Terminal"]
