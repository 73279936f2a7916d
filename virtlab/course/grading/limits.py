"""What a child may use, and the words for a child that used more.

The idea: every bound is held twice. The kernel holds what it can, in the child itself (`confine`);
a watch in the grader looks twenty times a second, and ends what the kernel let through (`watch`).

    limit      the kernel                     the watch
    cpu        RLIMIT_CPU, in whole seconds   the process's own clock
    memory     RLIMIT_AS                      resident pages
    file       RLIMIT_FSIZE                   -
    folder     the size of its tmpfs          bytes and number of files
    wall       -                              this machine's clock
    THREADS    RLIMIT_NPROC, in a namespace   threads of the process

What it leaves out: `quiet`. Only who waits for an answer knows that he waits.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one child's life.

    `cpu`: seconds of processor time; `memory`: bytes of address space; `file`: bytes of one file;
    `folder`: bytes of its temporary folder; `wall`: seconds by the clock; `quiet`: seconds by the
    clock that one call may take while the child computes. On a busy machine a right answer waits
    for its turn: processor time decides, and `wall` only ends what hangs.
    """

    cpu: float = 20.0
    memory: int = 2 << 30
    file: int = 16 << 20
    folder: int = 64 << 20
    wall: float = 600.0
    quiet: float = 5.0


THREADS = 64
"""Threads that a child may have at once."""
ENTRIES = 10_000
"""Files and folders that a child may have in its temporary folder."""
DESCRIPTORS = 64
"""Open files that a child may have at once."""

NOT_BEGUN = 71
"""The status of a child that could not give away what it should, or lacks a module."""
NOTHING_RUN = "its sandbox could not begin, so nothing was run"
"""Why such a child ended: no fault of the student's."""


def size(count: int) -> str:
    """A number of bytes as a report says it.

    >>> size(2 << 30), size(16 << 20), size(1000)
    ('2 GiB', '16 MiB', '1,000 bytes')
    """
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:,} bytes"


def too_long(limits: Limits) -> str:
    """Why a child ended that ran too long by the clock."""
    return f"it was stopped after {limits.wall:g} s by the clock"


def too_busy(limits: Limits) -> str:
    """Why a child ended that used up its processor time."""
    return f"it was stopped after {limits.cpu:g} s of processor time"


def too_large(limits: Limits) -> str:
    """Why a child ended that took too much memory."""
    return f"it used more than {size(limits.memory)} of memory"


def too_full(limits: Limits) -> str:
    """Why a child ended that wrote too much."""
    return f"it wrote more than {size(limits.folder)} of files"
