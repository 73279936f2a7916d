"""A child process of the grader's: two pipes, a watch, and why it ended.

    grader                              child
    stdin   -- raw bytes -->            descriptor 0
    stdout  <-- raw bytes --            descriptor 1
    watch   -- looks 20 times a second, kills beyond a limit

The idea: nothing that a child does can make the grader wait for ever. Whatever it blocks, stops or
ignores, the watch ends it when its `wall` is up at the latest. Then both pipes are at their end.

The rule that keeps it simple: a child is killed, never asked to end. SIGKILL has no handler.

What it leaves out: what travels over the pipes (`channel`), and how a child is started (`sandbox`).
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple, Self

from virtlab.course.grading import folder, measure
from virtlab.course.grading.limits import NOT_BEGUN, NOTHING_RUN, Limits, too_busy, too_long

LOOK = 0.05
"""Seconds between two looks of the watch."""
PATIENCE = 5.0
"""Seconds that a killed process may take to be gone: the kernel gives its memory back first."""
LINUX = sys.platform == "linux"


class Started(NamedTuple):
    """What `sandbox` started.

    `pid` is the child's own number, `process` what was started: the child, or bubblewrap around it.
    `folder` is the child's temporary folder as the grader sees it; `report` a descriptor to close
    at the end, or -1.
    """

    process: subprocess.Popen[bytes]
    pid: int
    folder: str
    report: int = -1

    @property
    def wrapped(self) -> bool:
        """Whether bubblewrap is around the child."""
        return self.pid != self.process.pid


class Child:
    """A child that runs. Close it, or use it in a `with`: then nothing of it is left.

    `stdin` and `stdout` are raw: a write may write less than asked, a read gives what is there.
    `begun`: whoever talks to it says so after its first reply; `NOT_BEGUN` is then no excuse.
    """

    def __init__(self, started: Started, limits: Limits) -> None:
        assert started.process.stdin
        assert started.process.stdout
        self.stdin: io.RawIOBase = started.process.stdin  # type: ignore[assignment]
        self.stdout: io.RawIOBase = started.process.stdout  # type: ignore[assignment]
        self.limits = limits
        self.begun = False
        self._started = started
        self._lock = threading.Lock()
        self._why = ""
        self._status: int | None = None
        self._used = 0.0
        self._around = 0.0  # processor time of bubblewrap itself
        self._handle = _handle(started.pid)
        self._over = threading.Event()
        self._began = time.monotonic()
        self._next = 0.0  # when the folder is looked at again
        self._watch = threading.Thread(target=self._look, name="virtlab-watch", daemon=True)
        self._watch.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def cpu_seconds(self) -> float:
        """Processor time of the child so far, or of its whole life, as the kernel counts it.

        Where the kernel cannot be asked, seconds by the clock: an upper bound for one thread.
        """
        with self._lock:
            if self._reaped():
                return self._used
            now = measure.processor_time(self._started.pid)
            if now is not None:
                self._used = max(self._used, now)
            elif not LINUX:
                self._used = time.monotonic() - self._began
            return self._used

    def ended(self, patience: float = 0.0) -> str:
        """Why it ended, for a learner to read; empty while it lives, at most `patience` seconds."""
        until = time.monotonic() + patience
        while not self._gone():
            if time.monotonic() >= until:
                return ""
            self._wait(min(0.02, max(0.0, until - time.monotonic())))
        return self._words()

    def kill(self, why: str = "") -> None:
        """End it now; `why` is what `ended` will say, unless there was a reason before."""
        with self._lock:
            if self._reaped():
                return
            self._why = self._why or why or "it was ended by the grader"
            self._strike()

    def close(self) -> None:
        """End it if it lives, and leave nothing: no process, thread, descriptor or file."""
        self.kill()
        self._over.set()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        if not self.ended(PATIENCE):
            with contextlib.suppress(OSError):  # bubblewrap itself: with it its child dies
                self._started.process.kill()
            self.ended(PATIENCE)
        self._watch.join()
        self._release()

    # -- the end

    def _strike(self) -> None:
        """Kill the child itself: what is around it then ends, and says how much it used."""
        with contextlib.suppress(OSError):
            if self._handle >= 0:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self._started.wrapped or not hasattr(os, "killpg"):
                self._started.process.kill()
            else:
                os.killpg(self._started.pid, signal.SIGKILL)

    def _gone(self) -> bool:
        with self._lock:
            return self._reaped()

    def _reaped(self) -> bool:
        """Whether it has ended; takes its status, and its processor time. Under the lock."""
        if self._status is not None:
            return True
        process = self._started.process
        if not hasattr(os, "wait4"):
            self._status = process.poll()
            return self._status is not None
        if self._started.wrapped:
            self._around = measure.processor_time(process.pid) or self._around
        try:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
        except ChildProcessError:  # somebody waits for all children of this process
            pid, status, used = process.pid, 0, None
        if pid:
            self._status = process.returncode = os.waitstatus_to_exitcode(status)
            if used is not None:
                self._used = max(self._used, used.ru_utime + used.ru_stime - self._around)
        return bool(pid)

    def _wait(self, seconds: float) -> None:
        """Until the child ends, but not longer."""
        if self._handle >= 0:
            select.select([self._handle], [], [], seconds)
        if self._handle < 0 or self._started.wrapped:
            time.sleep(min(seconds, 0.002))

    def _words(self) -> str:
        """Why it ended: what the grader did, what the kernel did, what it did itself."""
        status = self._status or 0
        number = -status if status < 0 else status - 128 if self._started.wrapped else 0
        if self._why:
            return self._why
        if number == getattr(signal, "SIGXCPU", -1) or (
            number == getattr(signal, "SIGKILL", -1) and self._used >= self.limits.cpu
        ):
            return too_busy(self.limits)
        if number == getattr(signal, "SIGKILL", -1):
            return "it was killed by the system, perhaps for want of memory"
        if number in {one.value for one in signal.Signals}:
            return f"it crashed Python ({signal.Signals(number).name})"
        if status == NOT_BEGUN and not self.begun:
            return NOTHING_RUN
        return "it ended Python itself" + (f", with status {status}" if status else "")

    def _release(self) -> None:
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
            if self._started.report >= 0:
                os.close(self._started.report)
                self._started = self._started._replace(report=-1)
        if self._started.folder and not self._started.wrapped:
            folder.remove(self._started.folder)

    # -- the watch

    def _look(self) -> None:
        """Look at the child until it is over; end it beyond a limit."""
        while not self._over.wait(LOOK):
            if self._gone():
                return
            if why := self._beyond():
                self.kill(why)
                return

    def _beyond(self) -> str:
        if time.monotonic() - self._began > self.limits.wall:
            return too_long(self.limits)
        return measure.busy(self._started.pid, self.limits) or self._full()

    def _full(self) -> str:
        """Look at the folder, but spend no more than a tenth of the time on it: it may be large."""
        began = time.monotonic()
        if began < self._next:
            return ""
        why = folder.full(self._started.folder, self._started.wrapped, self.limits)
        self._next = began + 10 * (time.monotonic() - began)
        return why


def _handle(pid: int) -> int:
    """A descriptor for a process, which no other process can come to have; -1 if there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1
