"""A keyboard and a mouse: what somebody does with the hands.

Neither knows a scan code or a packet. A key is the name on its cap, a movement is a number of
counts; the device that listens makes of it what a guest reads.
"""

from __future__ import annotations

from collections.abc import Callable


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
