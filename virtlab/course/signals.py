"""Signals that end a command.

    interruptible()              SIGTERM and SIGHUP are Ctrl-C, an exception
    on_signals(action, ENDS)     each of them is a call of `action`, where an exception is no end
    waking(fd)                   none is slept through

The rule that keeps it simple: afterwards each signal does what it did before.

Source: signal(7); Python, signal.set_wakeup_fd. Only in a process's main thread.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

ENDS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that end a command, as far as the system has them."""


@contextlib.contextmanager
def on_signals(
    action: Callable[[], None], numbers: Sequence[signal.Signals], once: bool = False
) -> Iterator[None]:
    """Call `action` on each of these signals. If `once` is set, the next ones are ignored."""

    def handle(number: int, frame: FrameType | None) -> None:
        for each in numbers if once else ():
            signal.signal(each, signal.SIG_IGN)
        action()

    before = [(each, signal.signal(each, handle)) for each in numbers]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


@contextlib.contextmanager
def waking(fd: int) -> Iterator[None]:
    """Have each signal written to `fd` as well, which does not block; somebody sleeps on it.

    Python calls a handler when it is back from what it was doing. A signal that comes just before a
    long sleep is not noticed by that sleep, and so its handler waits for the end of it.
    """
    before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Treat a request to end, and a closed terminal, as Ctrl-C; once is enough."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with on_signals(interrupt, ENDS, once=True):
        yield
