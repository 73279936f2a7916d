"""The debug console: a device that no board ever had, at one port.

    port 0xE9    write: a character          read: 0xE9, "I am here"

The idea: a VMM is free to invent. A character costs one `OUT`: there is no line, so nothing to ask
about its state. It cannot be enumerated; a guest knows the port, reads it, and gets the port's own
number back if the device is there. An empty port gives 0xFF.

Source: Bochs, port_e9_hack; QEMU, the device isa-debugcon and its property `readback`.
"""

from __future__ import annotations

from virtlab.backends import Terminal

PORT = 0xE9
READBACK = 0xE9
"""What a read gives."""


class DebugConsole:
    """One port; what is written there appears on `terminal`."""

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal if terminal is not None else Terminal()

    def read(self, offset: int, size: int) -> int:
        """The sign that it is there."""
        return READBACK

    def write(self, offset: int, size: int, value: int) -> None:
        """Print a character."""
        self.terminal.receive(value & 0xFF)
