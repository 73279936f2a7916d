"""Landlock: a process gives up all files of the machine but these.

    rights of a rule     to read     READ_FILE READ_DIR
                         to write    all that handles files, but for devices and sockets

The idea: where bubblewrap may not make a namespace, a process can still bind its own hands. It
names the folders that it may read and write. Everything beneath them is meant too, and nothing else
can be opened any more. The kernel also keeps it from tracing processes that have more rights.

The rule that keeps it simple: a set of rules has no exceptions. A folder with one hidden corner is
named by its other parts (`view.without`).

What it leaves out: names. Whether a file exists, and how large it is, can still be asked.
Source: Documentation/userspace-api/landlock.rst, `linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

CREATE, ADD, RESTRICT = 444, 445, 446  # numbers of the three system calls, on all processors

READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
DEVICES = MAKE_CHAR | MAKE_SOCK | MAKE_BLOCK
ON_A_FILE = READ_FILE | WRITE_FILE | TRUNCATE
RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}
"""All rights that a version of the interface handles; from version 5 on, also the next bit."""


def version(libc: ctypes.CDLL) -> int:
    """The version of the interface, 0 if this kernel has none, or has it turned off."""
    return max(0, int(libc.syscall(CREATE, None, 0, 1)))


def attributes(abi: int) -> bytes:
    """`struct landlock_ruleset_attr`: files; from 4 on TCP; from 6 on signals and names."""
    words = [RIGHTS.get(abi, 0xFFFF)] + [3] * (abi >= 4) + [3] * (abi >= 6)
    return struct.pack(f"={len(words)}Q", *words)


def restrict(readable: Sequence[str], writable: Sequence[str]) -> str:
    """Give up all files but those, for good; why it could not be, or an empty text.

    PR_SET_NO_NEW_PRIVS must be set before. A name that does not exist is passed over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = version(libc)
    if abi == 0:
        return "no Landlock in this kernel"
    asked = attributes(abi)
    rules = libc.syscall(CREATE, asked, ctypes.c_size_t(len(asked)), 0)
    if rules < 0:
        return f"no Landlock: {os.strerror(ctypes.get_errno())}"
    handled = RIGHTS.get(abi, 0xFFFF)
    try:
        for name in readable:
            _add(libc, rules, name, READ_FILE | READ_DIR)
        for name in writable:
            _add(libc, rules, name, handled & ~DEVICES)
        if libc.syscall(RESTRICT, rules, 0):
            return f"no Landlock: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(rules)
    return ""


def _add(libc: ctypes.CDLL, rules: int, name: str, rights: int) -> None:
    """Allow what is at a name, and beneath it."""
    try:
        place = os.open(name, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ON_A_FILE
        libc.syscall(ADD, rules, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
