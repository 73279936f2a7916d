"""A serial terminal: the far end of a UART, or of a port of a virtio console.

It keeps what the device sends, and sends what somebody types. What it keeps is bounded: a guest
that never stops to print cannot fill the host. A UART sends byte by byte, a virtio port in buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MAX_CAPTURE = 1 << 20
"""Bytes of output that a terminal keeps; the oldest go first."""


class ModemLines(NamedTuple):
    """The four inputs of a serial port, as the other side drives them."""

    cts: bool = True
    dsr: bool = True
    ri: bool = False
    dcd: bool = True


class Terminal:
    """A serial terminal: it shows what the UART sends, and sends what is typed.

    `output` holds the bytes received, the last `MAX_CAPTURE` of them. `listener(data)` is the
    UART's receiver; `modem` are the lines the terminal drives.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.listener: Callable[[bytes], None] | None = None
        self.modem_listener: Callable[[ModemLines], None] | None = None
        self.modem = ModemLines()

    @property
    def text(self) -> str:
        """The output as text; bytes that are no ASCII show as escapes."""
        return self.output.decode("ascii", "backslashreplace")

    def receive(self, byte: int) -> None:
        """The UART sent `byte`."""
        self.output.append(byte)
        if len(self.output) > MAX_CAPTURE:
            del self.output[: MAX_CAPTURE // 2]

    def receive_many(self, data: bytes) -> None:
        """The device sent `data`: as `receive` for each byte."""
        half = MAX_CAPTURE // 2
        # In halves, so that what is kept is what byte by byte would leave.
        for at in range(0, len(data), half):
            self.output += data[at : at + half]
            if len(self.output) > MAX_CAPTURE:
                del self.output[:half]

    def type(self, data: str | bytes) -> None:
        """Somebody types: the bytes go to the UART."""
        if self.listener is not None:
            self.listener(data.encode("ascii") if isinstance(data, str) else data)

    def set_modem(self, lines: ModemLines) -> None:
        """Drive the modem lines."""
        self.modem = lines
        if self.modem_listener is not None:
            self.modem_listener(lines)

    def __repr__(self) -> str:
        return f"Terminal({len(self.output)} bytes received)"
