"""The outside world: what stands at the far end of a device.

A UART ends in a terminal, a disk controller in a disk, a network card in a wire with somebody at
the other end. These objects are that end. A lesson and a test *use* them (`terminal.type("ls")`,
`keyboard.press("A")`) and look at what they got.

The rule that keeps it simple: a backend knows no register and no bus. It calls its `listener`, or
is called by the device. What a guest can fill is bounded, and nothing here looks at the wall clock.
"""

from virtlab.backends.capture import Capture
from virtlab.backends.crash import CrashDisk
from virtlab.backends.disk import (
    SECTOR,
    Disk,
    FlatStorage,
    Partition,
    Storage,
    ThinStorage,
)
from virtlab.backends.frames import Frames
from virtlab.backends.inputs import Keyboard, Mouse
from virtlab.backends.network import Link, LinkEnd
from virtlab.backends.screen import Screen
from virtlab.backends.speaker import Speaker
from virtlab.backends.switch import Switch
from virtlab.backends.terminal import MAX_CAPTURE, ModemLines, Terminal

__all__ = [
    "MAX_CAPTURE",
    "SECTOR",
    "Capture",
    "CrashDisk",
    "Disk",
    "FlatStorage",
    "Frames",
    "Keyboard",
    "Link",
    "LinkEnd",
    "ModemLines",
    "Mouse",
    "Partition",
    "Screen",
    "Speaker",
    "Storage",
    "Switch",
    "Terminal",
    "ThinStorage",
]
