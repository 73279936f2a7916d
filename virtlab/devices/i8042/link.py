"""What a PS/2 keyboard and a PS/2 mouse have in common: a wire that carries bytes both ways.

The device sends a byte when it has one and the controller lets the clock run; the controller
sends a byte, and the device answers it. Two queues keep that simple:

1. *Replies* to the last command go first. A new command throws away what is left of the old
   one's, so they stay few.
2. *Data* (scan codes, packets) waits in 16 bytes. The device decides what happens when they are
   full; nothing grows.

IBM PS/2 Hardware Interface Technical Reference, Keyboard and Auxiliary Device Controller, "Data
Transmission". Left out: the bits on the wire, so no parity error and no timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

BUFFER = 16
"""Bytes of data that a device keeps until the controller takes them."""

ACK = 0xFA
RESEND = 0xFE
BAT_OK = 0xAA
"""Basic assurance test completed: sent after a reset."""


class Plug(Protocol):
    """What the controller sees of the device at its end of the cable.

    `plugged` is False where no device answers. `listener()` is called when there may be a new
    byte to take.
    """

    plugged: bool
    listener: Callable[[], None] | None

    @property
    def ready(self) -> bool:
        """Whether the device has a byte to send."""

    def send(self) -> int:
        """The device's next byte. Only while `ready`."""

    def receive(self, byte: int) -> None:
        """The controller sends `byte` to the device."""

    def reset(self) -> None:
        """Power on."""


class Ps2Device:
    """The device's end of the wire: queues, replies, and commands that take a second byte.

    A subclass has `_command(byte)` and `_option(command, byte)`.
    """

    def __init__(self) -> None:
        self.plugged = True
        self.listener: Callable[[], None] | None = None
        self._replies: deque[int] = deque()
        self._data: deque[int] = deque()
        self._expects = 0

    @property
    def ready(self) -> bool:
        """Whether a byte waits to be sent."""
        return bool(self._replies or self._data)

    @property
    def waiting(self) -> bytes:
        """Every byte that waits, in the order in which it will be sent."""
        return bytes(self._replies) + bytes(self._data)

    def send(self) -> int:
        """Take the next byte: replies before data."""
        return (self._replies or self._data).popleft()

    def receive(self, byte: int) -> None:
        """A byte from the controller: a command, or the second byte of the one before."""
        self._replies.clear()
        command, self._expects = self._expects, 0
        if command and not self._is_command(byte):
            self._option(command, byte)
        else:
            self._command(byte)

    def _is_command(self, byte: int) -> bool:
        """Whether `byte`, where an option is due, is a new command instead."""
        raise NotImplementedError

    def _command(self, byte: int) -> None:
        raise NotImplementedError

    def _option(self, command: int, byte: int) -> None:
        raise NotImplementedError

    def _reply(self, *reply: int) -> None:
        self._replies.extend(reply)
        self._tell()

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener()
