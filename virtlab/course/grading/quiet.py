"""Who waits for a child watches the clock: a child of which nothing is heard is killed.

    watch.since = now      # the judge waits
    read a frame
    watch.since = None
    the watch's thread     looks four times a second: how long, and does the child compute?

The idea: a bound that a busy machine cannot make unjust. All waits of one request together may take
`quiet` seconds by the clock. A child that computes then gets more, for it may have had little of
the processor; one that sleeps, or has had `quiet` as processor time, does not.

The rule that keeps it simple: the watch kills, and the reader sees the end of the pipe.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

LOOK = 0.25
"""Seconds between two looks."""
GRACE = 10
"""How many times `quiet` a child may take at the most."""
SILENT = "it did not come to an end within {:g} s"


class Watched(Protocol):
    """What the watch needs of a child."""

    def cpu_seconds(self) -> float:
        """Processor time so far."""

    def kill(self, why: str) -> None:
        """End it."""


class Watch:
    """Kills a child of which nothing is heard while this side waits.

    Who waits sets `since` to the time by the clock before, and to None after; and takes what he
    waited from `left`. `over` is set when the child is at its end.
    """

    def __init__(self, child: Watched, quiet: float) -> None:
        self.child, self.quiet = child, quiet
        self.left = quiet
        self.since: float | None = None
        self.over = threading.Event()
        threading.Thread(target=self._look, name="virtlab-quiet", daemon=True).start()

    def begin(self) -> None:
        """A new request."""
        self.left = self.quiet

    def _look(self) -> None:
        """Look now and then; `first` and `before` are the child's processor time at two looks."""
        first = before = 0.0
        wait: float | None = None
        while not self.over.wait(LOOK):
            since, left = self.since, self.left
            if since is None:
                wait = None
                continue
            used = self.child.cpu_seconds()
            if wait != since:
                wait, first, before = since, used, used
                continue
            slow = used - before > LOOK / 50 and used - first < self.quiet
            before = used
            waited = time.monotonic() - since
            if waited > left and not (slow and waited < left + GRACE * self.quiet):
                self.child.kill(SILENT.format(self.quiet))
                return
