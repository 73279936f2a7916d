"""The local APIC's timer: a count that goes down, and an interrupt where it reaches 0.

    count  3   2   1   0                 one-shot: stays at 0
           3   2   1   3   2   1   3     periodic: 0 and the initial count are one moment
                       ^           ^     interrupt

The rule that keeps it simple: no tick is ever made. The count is computed from the clock, and one
alarm waits for the next 0, and only while somebody wants the interrupt.

A count is `divide` ticks of a bus clock of 1 GHz, as QEMU and KVM have it; on a real processor the
frequency is found by measuring. To protect the host, a periodic timer interrupts at most every
`MIN_INTERVAL` ns, at a moment when its count is 0.

Source: Intel SDM 3A, 11.5.4.
"""

from __future__ import annotations

from collections.abc import Callable

from virtlab.clock import MICROSECOND, Clock, Timer

MIN_INTERVAL = 10 * MICROSECOND
"""Virtual ns between two interrupts of a periodic timer, at least."""


class CountDown:
    """The count. `zero()` is called where it reaches 0 and `wanted` says so."""

    def __init__(self, clock: Clock, zero: Callable[[], None]) -> None:
        self.clock = clock
        self.zero = zero
        self.alarm: Timer | None = None
        self.reset()

    def reset(self) -> None:
        """As after power-on: it stands at 0."""
        self.initial = self._left = 0
        self.divide = 2
        self.periodic = self.wanted = False
        self._since = self.clock.now
        self._arm()

    @property
    def current(self) -> int:
        """The count now."""
        gone = (self.clock.now - self._since) // self.divide
        if gone < self._left or not self.periodic or not self.initial:
            return max(0, self._left - gone)
        return self.initial - (gone - self._left) % self.initial

    def load(self, count: int) -> None:
        """Start from `count`; 0 stops it."""
        self.initial = self._left = count
        self._since = self.clock.now
        self._arm()

    def change(self, *, divide: int, periodic: bool, wanted: bool) -> None:
        """Count otherwise from here on. The count stays; a count that is half over begins anew."""
        self._left, self._since = self.current, self.clock.now
        self.divide, self.periodic, self.wanted = divide, periodic, wanted
        self._arm()

    def _arm(self) -> None:
        """Wait for the next 0, if there is one that somebody wants to know of.

        It is called where a count begins.
        """
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        counts = self.current
        if self.wanted and counts:
            self.alarm = self.clock.after(self._spaced(counts * self.divide), self._reached)

    def _spaced(self, delay: int) -> int:
        """`delay`, or the first later 0 that is not too soon."""
        if not self.periodic or delay >= MIN_INTERVAL:
            return delay
        period = self.initial * self.divide
        return delay + -(-(MIN_INTERVAL - delay) // period) * period

    def _reached(self) -> None:
        self.alarm = None
        if self.periodic:
            self._arm()
        self.zero()
