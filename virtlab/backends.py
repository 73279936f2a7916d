"""The outside world: what stands at the far end of a device.

A UART ends in a terminal, a keyboard controller in a keyboard that somebody types on. These
objects are that end. A lesson and a test *use* them (`terminal.type("ls")`, `keyboard.press("A")`)
and look at what they got.

The rule that keeps it simple: a backend knows no register and no bus. It calls its `listener`, or
is called by the device. What a guest can fill is bounded.
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


class Keyboard:
    """A keyboard's keys, by the name on the cap: `press("A")`, `release("A")`, `tap("ENTER")`.

    `listener(key, down)` is the device that turns keys into scan codes.
    """

    def __init__(self) -> None:
        self.listener: Callable[[str, bool], None] | None = None

    def press(self, key: str) -> None:
        """A key goes down."""
        self._tell(key, True)

    def release(self, key: str) -> None:
        """A key comes up."""
        self._tell(key, False)

    def tap(self, *keys: str) -> None:
        """Each key down and up again, one after the other."""
        for key in keys:
            self.press(key)
            self.release(key)

    def _tell(self, key: str, down: bool) -> None:
        if self.listener is not None:
            self.listener(key, down)


class Mouse:
    """A mouse: `move(dx, dy)` in counts, up and right positive; `buttons` as bits 0-2.

    `listener(dx, dy, buttons)` and `wheel_listener(steps)` are the device.
    """

    def __init__(self) -> None:
        self.listener: Callable[[int, int, int], None] | None = None
        self.wheel_listener: Callable[[int], None] | None = None
        self.buttons = 0

    def move(self, dx: int, dy: int) -> None:
        """The mouse moves."""
        if self.listener is not None:
            self.listener(dx, dy, self.buttons)

    def press(self, buttons: int) -> None:
        """Set the buttons: bit 0 left, bit 1 right, bit 2 middle."""
        self.buttons = buttons & 7
        self.move(0, 0)

    def scroll(self, steps: int) -> None:
        """Turn the wheel; away from the hand is negative, as the packet has it."""
        if self.wheel_listener is not None:
            self.wheel_listener(steps)
