"""What a child does to itself before the student's first line: it gives its rights away, for good.

    rlimits              processor time, memory, files          Linux, macOS
    death with parent    no orphan computes on                  Linux
    no new rights        no set-uid program helps               Linux
    no capabilities      root becomes a user like others        Linux
    Landlock             no files but these                     Linux 5.13, without bubblewrap
    seccomp              no processes, sockets, tracing ...     Linux, x86-64 and AArch64

The idea: a process may always take rights from itself, whoever it is. So this works for an ordinary
user and for root, and where bubblewrap does not.

The rule that keeps it honest: what could not be done comes back as a sentence, and a sentence is
shown to whoever grades.

What it leaves out: what only the outside can do, such as namespaces (`bubblewrap`) and looking at
the clock (`watch`).
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
import sys
from collections.abc import Sequence

from virtlab.course.grading import landlock, seccomp
from virtlab.course.grading.limits import DESCRIPTORS, THREADS, Limits

NO_LIMITS = "answers are bounded by the clock alone, not in processor time, memory or files"
NO_MEMORY = "this system does not bound memory: an answer can take all there is"
NO_FILTER = "answers can start processes and open network connections"
NO_FILES = (
    "answers can read and change all files of this account: solutions, other submissions, "
    "the grader itself"
)
NAMES = "answers can ask which files this machine has, and how large they are, but not open them"
ANY_LOSS = (NO_LIMITS, NO_MEMORY, NO_FILTER, NO_FILES, NAMES)

SIGNALS = 256
"""Signals that may wait to be delivered."""

PER_NAMESPACE = (5, 14)
"""From this Linux on RLIMIT_NPROC counts the tasks of a user *namespace*, not of a user."""


def confine(
    limits: Limits, readable: Sequence[str] = (), writable: Sequence[str] = (), alone: bool = False
) -> tuple[str, ...]:
    """Give away what an answer does not need; what could not be given away, in sentences.

    `alone`: this process has its own namespaces, with `readable` and `writable` as all there is.
    """
    losses = bound(limits, alone)
    if sys.platform != "linux":
        return (*losses, NO_FILTER, NO_FILES)
    libc = ctypes.CDLL(None, use_errno=True)
    if not alone:
        libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: nothing to trace, no core to any program
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    drop_capabilities(libc)
    if not alone:
        losses.append(NO_FILES if landlock.restrict(readable, writable) else NAMES)
    if seccomp.install(alone):
        losses.append(NO_FILTER)
    return tuple(losses)


def bound(limits: Limits, alone: bool) -> list[str]:
    """Set the kernel's limits of this process; what could not be set."""
    try:
        import resource
    except ImportError:
        return [NO_LIMITS]
    seconds = math.ceil(limits.cpu)
    wanted = {
        "RLIMIT_CPU": (seconds, seconds + 1),
        "RLIMIT_FSIZE": (limits.file, limits.file),
        "RLIMIT_NOFILE": (DESCRIPTORS, DESCRIPTORS),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
        "RLIMIT_SIGPENDING": (SIGNALS, SIGNALS),
        "RLIMIT_AS": (limits.memory, limits.memory),
    }
    if alone and counts_by_namespace():
        wanted["RLIMIT_NPROC"] = (THREADS, THREADS)
    refused = []
    for name, bounds in wanted.items():
        try:
            kind = getattr(resource, name)
            most = resource.getrlimit(kind)[1]
            within = [one if most == resource.RLIM_INFINITY else min(one, most) for one in bounds]
            resource.setrlimit(kind, (within[0], within[1]))
        except (AttributeError, OSError, ValueError):  # absent here, or not for this system
            refused.append(name)
    unbounded = "RLIMIT_AS" in refused or sys.platform == "darwin"  # where it is accepted, and idle
    return [NO_MEMORY] if unbounded else []


def counts_by_namespace() -> bool:
    """Whether this Linux counts a namespace's tasks apart from those of the same user outside."""
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) >= PER_NAMESPACE


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root keeps its name, and nothing of its power."""
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    libc.capset(header, bytes(24))
