"""A seccomp filter: a small program that the kernel runs before each system call of this process.

    struct seccomp_data           struct sock_filter (8 bytes)
      0  int   nr                   u16 code    what to do
      4  u32   arch                 u8  jt, jf  how many to skip if true, if false
      8  u64   instruction pointer  u32 k       a constant
     16  u64   args[6]

The idea: the program loads one word of `seccomp_data` at a time into its one register A, compares,
and returns a verdict. Ours is a list of rules of the form "if it is this call, then this verdict".

The rule that keeps it simple: jumps go forward over the very rule that they belong to. So every
rule can be read, and tested, alone.

What it leaves out: looking through pointers, which seccomp cannot. Paths are `landlock`'s matter.
Sources: `linux/filter.h`, `linux/seccomp.h`, Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from virtlab.course.grading.syscalls import (
    FCNTL,
    IOCTL,
    MACHINES,
    NEWEST,
    PRCTL,
    THREAD,
    THREAD_FLAGS,
    Machine,
)

LOAD, AND = 0x20, 0x54  # BPF_LD|BPF_W|BPF_ABS; BPF_ALU|BPF_AND|BPF_K
EQUAL, ABOVE, ANY_BIT = 0x15, 0x25, 0x45  # BPF_JMP|BPF_K with BPF_JEQ, BPF_JGT, BPF_JSET
RETURN = 0x06  # BPF_RET|BPF_K

ALLOW = 0x7FFF0000
KILL = 0x80000000  # SECCOMP_RET_KILL_PROCESS
ERRNO = 0x00050000
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38

NUMBER, ARCH = 0, 4
X32 = 0x40000000
"""Set in the number of a call of the x32 kind: the same kernel by another door."""

Line = tuple[int, int, int, int]
"""One instruction: code, jt, jf, k."""


def argument(index: int, high: bool = False) -> int:
    """Where an argument's low (or high) 32 bits lie in `seccomp_data`."""
    return 16 + 8 * index + 4 * high


def answer(number: int, verdict: int) -> list[Line]:
    """The rule: if A is this call's number, this verdict."""
    return [(EQUAL, 0, 1, number), (RETURN, 0, 0, verdict)]


def guarded(number: int, tests: list[Line]) -> list[Line]:
    """The rule: if A is this call's number, go through its tests, which end in a verdict."""
    return [(EQUAL, 0, len(tests), number), *tests]


def one_of(index: int, values: Sequence[int]) -> list[Line]:
    """Allow if an argument of 32 bits is one of these values, else EPERM."""
    hits = [line for value in values for line in answer(value, ALLOW)]
    return [(LOAD, 0, 0, argument(index)), *hits, (RETURN, 0, 0, EPERM)]


def null(index: int) -> list[Line]:
    """Allow if an argument of 64 bits is 0, else EPERM."""
    return [
        (LOAD, 0, 0, argument(index)),
        (EQUAL, 0, 3, 0),
        (LOAD, 0, 0, argument(index, high=True)),
        (EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, EPERM),
    ]


def a_thread() -> list[Line]:
    """Allow if the flags of `clone` ask for a thread, and for nothing that a thread has not."""
    return [
        (LOAD, 0, 0, argument(0)),
        (ANY_BIT, 0, 3, THREAD),
        (AND, 0, 0, ~THREAD_FLAGS & 0xFFFFFFFF),
        (EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, EPERM),
    ]


def program(machine: Machine, pid: int, alone: bool = True) -> list[Line]:
    """The whole filter for a process with this number; `alone`: with files of its own."""
    lines: list[Line] = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, machine.audit), (RETURN, 0, 0, KILL)]
    lines += [(LOAD, 0, 0, NUMBER), (ABOVE, 0, 1, X32 - 1), (RETURN, 0, 0, KILL)]
    lines += [(ABOVE, 0, 1, NEWEST), (RETURN, 0, 0, ENOSYS)]
    for number in machine.allowed(alone):
        lines += answer(number, ALLOW)
    lines += answer(machine.clone3, ENOSYS)
    lines += guarded(machine.clone, a_thread())
    lines += guarded(machine.kill, one_of(0, [pid]))
    lines += guarded(machine.tgkill, one_of(0, [pid]))
    lines += guarded(machine.fcntl, one_of(1, FCNTL))
    lines += guarded(machine.ioctl, one_of(1, IOCTL))
    lines += guarded(machine.prctl, one_of(0, PRCTL))
    lines += guarded(machine.prlimit64, null(2))
    return [*lines, (RETURN, 0, 0, EPERM)]


class _Program(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install(alone: bool) -> str:
    """Put the filter on this process for good; why it could not be, or an empty text.

    PR_SET_NO_NEW_PRIVS must be set before.
    """
    machine = MACHINES.get(os.uname().machine)
    if machine is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return f"no filter of system calls for {os.uname().machine}"
    lines = program(machine, os.getpid(), alone)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    asked = _Program(len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, ctypes.byref(asked), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        return f"no filter of system calls: {os.strerror(ctypes.get_errno())}"
    return ""
