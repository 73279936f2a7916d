"""Interrupt delays: one packet is there, and more may come. How long is the processor left alone?

    packets      |  |   |     |          |
    relative     +--+---+-----+----> over          RDTR, TIDV: begins anew with every packet
    absolute     +---------------> over            RADV, TADV: begins with the first one

The rule that keeps it simple: whichever timer is over first interrupts, and both rest. A relative
delay of 0 is no delay.

Source: 8254x SDM 3.2.7, 13.4.30, 13.4.31, 13.4.41, 13.4.44.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.clock import Timer

UNIT = 1024
"""Virtual ns of one unit of the four registers."""

Later = Callable[[int, Callable[[], None]], Timer]
"""`later(ns, action)` calls `action` in so many virtual ns."""


class Delay:
    """The two timers of one direction. `over()` is called when the first of them is over."""

    def __init__(self, later: Later, over: Callable[[], None]) -> None:
        self.later = later
        self.over = over
        self.relative: Timer | None = None
        self.absolute: Timer | None = None

    def packet(self, relative: int, absolute: int) -> None:
        """A packet is done. The delays are in units; an absolute delay of 0 is none."""
        if not relative:
            self.expire()
            return
        if self.relative is not None:
            self.relative.cancel()
        self.relative = self.later(relative * UNIT, self.expire)
        if absolute and self.absolute is None:
            self.absolute = self.later(absolute * UNIT, self.expire)

    def expire(self) -> None:
        """Now, whatever the timers say."""
        self.cancel()
        self.over()

    def cancel(self) -> None:
        """No interrupt is under way any more."""
        for timer in (self.relative, self.absolute):
            if timer is not None:
                timer.cancel()
        self.relative = self.absolute = None
