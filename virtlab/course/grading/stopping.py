"""Whatever ends a run ends it as Ctrl-C does: no traceback, no process left, the journal whole.

    Ctrl-C, kill, a closed terminal  ->  KeyboardInterrupt  ->  workers end, one line, exit status 1
    kill -9, a power cut             ->  workers hear that nobody listens, and end

The idea: there is one way to stop, and it is tested. The signals that end a program take it too.

The rule that keeps it simple: once is enough. After the first of them the rest is ignored, because
the run is on its way out, and a student's child must be ended first. Ctrl-C alone may be repeated.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

ENDS = ("SIGTERM", "SIGHUP")
"""Signals that end a program, beside that of Ctrl-C. Windows has only the first."""
EVERY = 0.5
"""Seconds between two looks whether the process that started us is still there."""


@contextlib.contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Inside the `with`, raise KeyboardInterrupt for each of `ENDS`; afterwards all is as before.

    What somebody has told to be ignored, as `nohup` does, stays so.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ENDS if hasattr(signal, name)]
        heard = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
        before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    for name in ENDS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise KeyboardInterrupt


# -- a process of a pool


def end_with_parent(every: float = EVERY) -> None:
    """End this process, as `kill` does, once the process that started it has ended.

    A pool that was killed cannot tell its workers. On Windows they hear it from their pipes alone,
    after the submission that they have in hand.
    """
    if hasattr(os, "getppid") and os.name == "posix":
        threading.Thread(target=_wait, args=(os.getppid(), every), daemon=True).start()


def _wait(parent: int, every: float) -> None:
    while os.getppid() == parent:
        time.sleep(every)
    os.kill(os.getpid(), signal.SIGTERM)
