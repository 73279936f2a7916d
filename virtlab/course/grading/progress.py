"""How far a run is: a bar on a terminal, a line now and then elsewhere.

    grading  ███████████████░░░░░░░░░░░░░   108 of 200   31 s, about 27 s to go

The idea: a reader wants to know how many are done and when it is over. What is to come is taken
from what has been: so many seconds for so many.

The rule that keeps it simple: it writes to standard error alone, and only what is ASCII where the
terminal cannot do more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30
"""Characters of the bar."""
EVERY = 10.0
"""Seconds between two lines where there is no terminal."""
FRAME = 0.1
"""Seconds between two pictures of the bar."""


class Progress:
    """Counts what is done. A context manager; leaving it ends the bar's line."""

    def __init__(
        self,
        total: int,
        out: TextIO,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.out, self.quiet, self.clock = total, out, quiet, clock
        self.done = 0
        self.start = self.last = clock()
        self.bar = not quiet and out.isatty()

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        now = self.clock()
        late = now - self.last >= (FRAME if self.bar else EVERY)
        if not self.quiet and (late or (self.bar and self.done == self.total)):
            self.last = now
            self._say(now - self.start)

    def _say(self, seconds: float) -> None:
        left = seconds / self.done * (self.total - self.done)
        text = f"{self.done} of {self.total}   {_time(seconds)}"
        if self.done < self.total:
            text += f", about {_time(left)} to go"
        if self.bar:
            self._put(f"\r\x1b[Kgrading  {self._bar()}   {text}")
        else:
            self._put(f"grading  {text}\n")

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that is gone ends no run
            self.out.write(text)
            self.out.flush()

    def _bar(self) -> str:
        full, empty = "█░" if (self.out.encoding or "").lower().startswith("utf") else "#."
        filled = WIDTH * self.done // max(self.total, 1)
        return full * filled + empty * (WIDTH - filled)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *why: object) -> None:
        if self.bar and self.done:
            self._put("\n")


def _time(seconds: float) -> str:
    """Seconds as a person says them.

    >>> _time(4.2), _time(200)
    ('4 s', '3 min 20 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
