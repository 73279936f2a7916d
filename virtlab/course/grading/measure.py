"""What the kernel says about a child: processor time, memory, threads.

    processor time   the process's own clock, in ns        Linux
    memory, threads  /proc/PID/stat                        Linux

The idea: a child is never asked about itself. It may lie.

What it leaves out: other systems' ways to look at a process. There the clock alone is looked at,
and `confine` says so.
"""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple

from virtlab.course.grading.limits import THREADS, Limits, too_busy, too_large

LINUX = sys.platform == "linux"


class Size(NamedTuple):
    """How large a process is: resident memory in bytes, and threads."""

    resident: int
    threads: int


def processor_time(pid: int) -> float | None:
    """Seconds that a living process has computed, all its threads; None if nobody can tell."""
    if not LINUX:
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid() makes it
    except OSError:
        return None


def size_of(pid: int) -> Size | None:
    """The size of a living process; None if nobody can tell."""
    if not LINUX:
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()  # a name may hold spaces and brackets
    except OSError:
        return None
    return Size(int(words[21]) * os.sysconf("SC_PAGE_SIZE"), int(words[17]))


def busy(pid: int, limits: Limits) -> str:
    """Why a child must end for what it computes and holds, or an empty text."""
    if (processor_time(pid) or 0) > limits.cpu:
        return too_busy(limits)
    about = size_of(pid)
    if about and about.resident > limits.memory:
        return too_large(limits)
    if about and about.threads > THREADS:
        return f"it started more than {THREADS} threads"
    return ""
