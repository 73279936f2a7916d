"""A device's clock that follows real time, and rings a descriptor when the next event is due.

    real      ----+--------+-----------+------->     monotonic ns
    virtual   ----|        |           |             `now` stands still between two calls of `ring`
                ring()   after(5 ms)  fd can be read, 5 ms later: ring()

The idea: a device of ours lives in virtual time and asks for calls. Here somebody waits for it who
lives in real time. So a timer of the kernel is set to the earliest of those calls.

The rule that keeps it simple: time moves in `ring` and nowhere else, so no call comes in the middle
of another. A delay that is asked for between two rings is counted from real now.

Source: timerfd_create(2). Linux only; Python has no timerfd before 3.13.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable

from virtlab.clock import SECOND, Clock, Timer

MONOTONIC, NON_BLOCKING = 1, os.O_NONBLOCK | os.O_CLOEXEC
"""CLOCK_MONOTONIC; TFD_NONBLOCK and TFD_CLOEXEC."""

_libc = ctypes.CDLL(None, use_errno=True)


class RealClock(Clock):
    """A `Clock`; `fd` can be read when `ring` is due. `real` gives real ns.

    A process that was stopped has not lived through that time: at most a second goes by at once.
    """

    def __init__(self, real: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__()
        self.fd: int = _libc.timerfd_create(MONOTONIC, NON_BLOCKING)
        if self.fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"timerfd_create: {os.strerror(code)}")
        self._real = real
        self._seen = real()

    def close(self) -> None:
        """Ring no more."""
        os.close(self.fd)

    @property
    def behind(self) -> int:
        """Nanoseconds of real time since `now`."""
        return min(max(0, self._real() - self._seen), SECOND)

    def after(self, delay: int, action: Callable[[], None]) -> Timer:
        """See `Clock`: `delay` ns of real time from now on."""
        timer = super().after(delay + self.behind, action)
        self._set()
        return timer

    def ring(self) -> None:
        """Let time go on to now, and make every call that is due."""
        with contextlib.suppress(BlockingIOError):  # nobody rang, or it was set anew meanwhile
            os.read(self.fd, 8)
        behind = self.behind
        self._seen = self._real()
        self.advance(behind)
        self._set()

    def _set(self) -> None:
        """Set the kernel's timer to the next call; 0 stops it."""
        due = self.next_event()
        left = 0 if due is None else max(1, due - self.now - self.behind)
        # An itimerspec: the interval, which stays 0, and the time until it rings.
        value = (ctypes.c_long * 4)(0, 0, *divmod(left, SECOND))
        _libc.timerfd_settime(self.fd, 0, ctypes.byref(value), None)
